package connector

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// granted are the rights that are listed, as tokens have them.
func granted(r KuduRights) kudu.Privileges {
	return kudu.Privileges{
		Columns: slices.Clone(r.Select), Insert: r.Insert != "", Update: r.Update != "" || r.AnyWrite != "", Delete: r.Delete != "",
	}
}

// without gives the rights with each of them taken away in turn, by its name.
func without(p kudu.Privileges) map[string]kudu.Privileges {
	all := make(map[string]kudu.Privileges)
	for n, column := range p.Columns {
		less := p
		less.Columns = slices.Delete(slices.Clone(p.Columns), n, n+1)
		all["SELECT on "+column] = less
	}
	less := p
	if less.Insert, less.Update, less.Delete = false, false, false; p.Insert || p.Update || p.Delete {
		all["the right to write"] = less
	}
	return all
}

func TestRightsInKuduAreNeededAndEnough(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		rights string // besides that it is enough, it is no more than this
		late   bool   // rows come late, and are published
		sweeps bool
	}{
		"offset": {change: func(c *Config) {
			c.Columns, c.Where, c.TimestampColumn = []string{"text"}, "status = 'NEW'", "seen"
		}, rights: "SELECT on at, id, seen, status, text"},
		"streaming key elsewhere": {change: func(c *Config) { c.Columns, c.StreamingKey = []string{"text"}, []string{"seen"} }, rights: "SELECT on at, id, seen, text"},
		"order none": {change: func(c *Config) {
			c.Columns, c.StreamingKey, c.Order = []string{"text"}, []string{"seen"}, orderNone
		}, rights: "SELECT on at, id, seen, text"},
		"from the latest": {change: func(c *Config) { c.Columns, c.OffsetStart = []string{"text"}, "latest" }, rights: "SELECT on at, id, text"},
		"repair": {change: func(c *Config) {
			c.Columns, c.LateRows, c.LateRowsInterval, c.SnapshotGuard = []string{"text"}, lateRepair, 10*time.Millisecond, guardBarrier
		}, rights: "SELECT on at, id, other, seen, status, text; write", late: true},
		"repair of another key": {change: func(c *Config) {
			c.Columns, c.StreamingKey, c.LateRows, c.LateRowsInterval, c.SnapshotGuard = []string{"text"}, []string{"seen"}, lateRepair, 10*time.Millisecond, guardNone
		}, rights: "SELECT on at, id, other, seen, status, text", late: true},
		"sweep by delete": {change: func(c *Config) {
			c.Mode, c.Where, c.SweepAction = modeSweep, "status = 'NEW'", sweepDelete
		}, rights: "SELECT on at, id, other, seen, status, text; delete", sweeps: true},
		"sweep by update": {change: func(c *Config) {
			c.Mode, c.Where, c.SweepAction, c.SweepSet = modeSweep, "status = 'NEW'", sweepUpdate, map[string]string{"status": "DONE"}
		}, rights: "SELECT on at, id, other, seen, status, text; update", sweeps: true},
		"dry sweep": {change: func(c *Config) {
			c.Mode, c.Where, c.SweepAction, c.SweepDryRun = modeSweep, "status = 'NEW'", sweepDelete, true
		}, rights: "SELECT on at, id, other, seen, status, text"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t)
			const rows = 40
			table, err := s.kudu.CreateTable(kudufake.TableSpec{
				Name: "rights", Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}},
				Columns: []kudu.Column{
					{Name: "at", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String},
					{Name: "status", Type: kudu.String}, {Name: "seen", Type: kudu.UnixtimeMicros}, {Name: "other", Type: kudu.Int32},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			insert := func(from, to int, at int64) {
				t.Helper()
				for id := from; id < to; id++ {
					if _, err := table.Insert(kudufake.Row{"at": at + int64(id), "id": int64(id), "text": "x", "status": "NEW", "seen": at + int64(id), "other": int64(1)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			insert(0, rows, 1_700_000_000_000_000)
			i := s.instance(1)
			cfg := i.cfg
			cfg.KuduTable, cfg.HeadersEnable = "rights", false
			cfg.SortDirectory = t.TempDir()
			tc.change(&cfg)
			client := newKuduClient(t, s.kudu.Config())
			outlook, faults := CheckTable(t.Context(), client, cfg)
			if len(faults) > 0 {
				t.Fatalf("the configuration: %v", faults)
			}
			rights := granted(outlook.KuduRights())
			if got := shown(rights, outlook.KuduRights()); got != tc.rights {
				t.Errorf("the rights are %s, want %s", got, tc.rights)
			}
			s.kudu.RequireAuthz(true)
			for missing, less := range without(rights) {
				s.kudu.Grant(&less)
				w := s.work(true, cfg)
				s.awaitStatus(w, "the failure without "+missing, func(one Status) bool {
					tasks := append(one.Tasks, TaskStatus{State: one.State, Cause: one.Cause, Remedy: one.Remedy})
					return slices.ContainsFunc(tasks, func(task TaskStatus) bool {
						return task.State == Failed && strings.Contains(task.Cause, "not authorized to") && strings.Contains(task.Remedy, "kudu2kafka rights")
					})
				})
				w.Remove(cfg.Name)
				if !testenv.Eventually(t.Context(), time.Minute, func() bool { return len(w.Status()) == 0 }) {
					t.Fatal("the connector isn't removed")
				}
			}
			s.kudu.Grant(&rights)
			w := s.work(true, cfg)
			want := rows
			switch {
			case cfg.SweepDryRun:
				// A pass begins at once; the first denial would end it.
				s.awaitStatus(w, "passes", func(one Status) bool {
					return inState(Running, Running)(one) && time.Since(one.Tasks[0].Since) > 300*time.Millisecond
				})
				return
			case cfg.OffsetStart == "latest":
				s.awaitStatus(w, "running", inState(Running, Running))
				want = 0
			default:
				s.awaitRows(i, want)
			}
			insert(rows, rows+5, 1_700_000_000_000_000)
			s.awaitRows(i, want+5)
			if tc.late {
				insert(rows+5, rows+10, 1_600_000_000_000_000)
				s.awaitRows(i, want+10)
			}
			if tc.sweeps {
				s.awaitStatus(w, "all rows swept", func(one Status) bool { return len(one.Tasks) == 1 && one.Tasks[0].Swept.Swept == rows+5 })
			}
			s.awaitStatus(w, "running", inState(Running, Running))
		})
	}
}

func shown(p kudu.Privileges, r KuduRights) string {
	slices.Sort(p.Columns)
	text := "SELECT on " + strings.Join(p.Columns, ", ")
	for what, has := range map[string]bool{"write": r.AnyWrite != "", "insert": p.Insert, "delete": p.Delete, "update": r.Update != ""} {
		if has {
			text += fmt.Sprintf("; %s", what)
		}
	}
	return text
}
