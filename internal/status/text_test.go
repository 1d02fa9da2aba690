package status

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// snapshots are what a terminal is shown, by the names of the golden files.
func snapshots() map[string]Snapshot {
	hostile := "\x1b[2Jno such column <script>\x07\nsecond line\u202e\r"
	busy := Snapshot{
		Overview: herder.Overview{
			Time: noon, WorkerID: "10.0.0.1:8083", GroupID: "g", Version: "v1", Health: herder.Health{Status: "healthy"},
			Workers: []herder.WorkerOverview{{ID: "10.0.0.1:8083", Self: true, Tasks: 2, Rows: 1234567, Bytes: 1 << 30}, {ID: "10.0.0.2:8083", Tasks: 1, SeenMillis: 1500}},
		},
		Connectors: []Connector{
			{
				ConnectorOverview: herder.ConnectorOverview{
					Name: "orders", State: "RUNNING", Target: "RUNNING", Mode: "offset", Table: "shop.orders", Topic: "orders",
					TaskCounts: herder.TaskCounts{Rows: 1234567, Bytes: 1 << 30, Tablets: 4, Behind: 2, LagMillis: 3_723_000},
					Tasks: []herder.TaskOverview{
						{ID: 0, State: "RUNNING", WorkerID: "10.0.0.1:8083", TaskCounts: herder.TaskCounts{Rows: 1234000, Bytes: 1 << 30, Tablets: 2, Behind: 2, LagMillis: 3_723_000}},
						{ID: 1, State: "RUNNING", WorkerID: "10.0.0.2:8083", TaskCounts: herder.TaskCounts{Rows: 567, Tablets: 2}, Last: &herder.Mishap{Trace: "Kudu was away", Remedy: "none is needed", At: noon}},
					},
					Tablets: []herder.TabletOverview{
						{Task: 0, Tablet: "5e1c", Position: `{"id":7}`, Behind: true, LagMillis: 3_723_000}, {Task: 0, Tablet: "9a00", Behind: true, LagMillis: 900}, {Task: 0, Tablet: "ffff", Position: hostile},
					},
				},
				Rates: Rates{1520.44, 215_000},
			},
			{
				ConnectorOverview: herder.ConnectorOverview{
					Name: "a\x1b]0;title\x07", State: "FAILED", Target: "PAUSED", Mode: "sweep", Table: "queue", Topic: "jobs", Trace: hostile, Remedy: "do this\nand that",
					Tasks: []herder.TaskOverview{{ID: 0, State: "UNASSIGNED"}},
				},
			},
		},
	}
	for i := range busy.Connectors {
		busy.Totals.count(&busy.Connectors[i])
	}
	busy.Totals.Rates = busy.Connectors[0].Rates
	return map[string]Snapshot{
		"busy": busy,
		"starting": {Overview: herder.Overview{
			Time: noon, WorkerID: "w", GroupID: "g", Version: "v1", Health: herder.Health{Status: "starting", Message: "Worker is still starting up"},
		}},
	}
}

func TestTerminalShowsTheSnapshotAndIsNotSteeredByIt(t *testing.T) {
	for name, s := range snapshots() {
		for suffix, o := range map[string]TextOptions{"": {}, "-color": {Color: true, Tablets: true}} {
			// As it comes from a worker.
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var read Snapshot
			if err := json.Unmarshal(data, &read); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Write(&out, &read, o); err != nil {
				t.Fatal(err)
			}
			if !o.Color && bytes.ContainsAny(out.Bytes(), "\x1b\x07\r") {
				t.Errorf("%s steers the terminal: %q", name, out.Bytes())
			}
			path := filepath.Join("testdata", name+suffix+".txt")
			if *rewrite {
				if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s is\n%s\nwant\n%s", path, out.Bytes(), want)
			}
		}
	}
}

func TestNumbersAreShownInFewDigits(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.5: "0.5", 99.94: "99.9", 12345: "12345", 1234567: "1.2M", 2.5e9: "2.5G"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%v) is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1 << 50: "1024.0 TiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%v) is %s, want %s", n, got, want)
		}
	}
	for ms, want := range map[int64]string{0: "0.0s", 9990: "10.0s", 61_000: "61s", 150_000: "2m30s", 7_260_000: "2h01m", 200_000_000: "2d07h"} {
		if got := span(ms); got != want {
			t.Errorf("span(%d) is %s, want %s", ms, got, want)
		}
	}
}
