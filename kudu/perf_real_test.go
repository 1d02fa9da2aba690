package kudu_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// scanAll reads the whole table with two workers and gives the rows.
func scanAll(t *testing.T, table *kudu.Table, opts kudu.ScanOptions) int {
	t.Helper()
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	work := make(chan string, len(tablets))
	for _, tablet := range tablets {
		work <- tablet.ID
	}
	close(work)
	var wg sync.WaitGroup
	var mu sync.Mutex
	rows := 0
	for range 2 {
		wg.Go(func() {
			for id := range work {
				s, err := table.Scan(id, opts)
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for {
					b, err := s.Next(t.Context())
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						break
					}
					n += b.NumRows()
				}
				s.Close()
				mu.Lock()
				rows += n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return rows
}

func median(runs []time.Duration) time.Duration {
	slices.Sort(runs)
	return runs[len(runs)/2]
}

// TestPerformance measures against the programs of the official C++ client, in
// turns. It needs a quiet machine: K2K_PERF=1 go test -v -run Performance ./kudu/
func TestPerformance(t *testing.T) {
	if os.Getenv("K2K_PERF") != "1" {
		t.Skip("measures only with K2K_PERF=1")
	}
	cluster := testenv.SharedKudu(t)
	c := newClient(t, cluster)
	rows := envInt("K2K_PERF_ROWS", 3_000_000) / 2 * 2
	timed := func(f func()) time.Duration {
		start := time.Now()
		f()
		return time.Since(start)
	}

	var loadgen, ours []time.Duration
	var name string
	for run := range 3 {
		before := map[string]bool{}
		list, err := c.ListTables(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range list {
			before[info.Name] = true
		}
		loadgen = append(loadgen, timed(func() {
			out, err := cluster.CLI(t.Context(), "perf", "loadgen", cluster.MasterArg(), "--keep_auto_table=true", "--auto_database=",
				"--num_threads=2", fmt.Sprintf("--num_rows_per_thread=%d", rows/2), "--table_num_hash_partitions=4", "--use_random=false")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("loadgen's own report:\n%s", out)
		}))
		if list, err = c.ListTables(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		for _, info := range list {
			if !before[info.Name] {
				if name != "" {
					if err := c.DeleteTable(t.Context(), name); err != nil {
						t.Fatal(err)
					}
				}
				name = info.Name
			}
		}
		table := createTable(t, c, kudu.TableSpec{
			Name: uniqueName("perf"),
			Columns: []kudu.Column{
				{Name: "key", Type: kudu.Int64, Key: true}, {Name: "int_val", Type: kudu.Int32}, {Name: "string_val", Type: kudu.String, Nullable: true},
			},
			Hash: []kudu.HashDimension{{Columns: []string{"key"}, Buckets: 4}},
		})
		ours = append(ours, timed(func() { loadLike(t, table, rows) }))
		t.Logf("run %d: loadgen %v, ours %v", run, loadgen[run], ours[run])
		if n := scanAll(t, table, kudu.ScanOptions{}); n != rows {
			t.Errorf("%d rows are there, want %d", n, rows)
		}
		if err := table.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("inserting %d rows: loadgen %.0f rows/s, ours %.0f rows/s, ratio %.2f", rows,
		float64(rows)/median(loadgen).Seconds(), float64(rows)/median(ours).Seconds(), median(loadgen).Seconds()/median(ours).Seconds())

	table, err := c.OpenTable(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, ordered := range []bool{false, true} {
		var theirs, ours []time.Duration
		for range 3 {
			theirs = append(theirs, timed(func() {
				out, err := cluster.CLI(t.Context(), "perf", "table_scan", cluster.MasterArg(), name, "--num_threads=2",
					fmt.Sprintf("--fault_tolerant=%v", ordered))
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				t.Logf("table_scan's own report:\n%s", out)
			}))
			ours = append(ours, timed(func() {
				if n := scanAll(t, table, kudu.ScanOptions{Ordered: ordered}); n != rows {
					t.Errorf("%d rows, want %d", n, rows)
				}
			}))
		}
		t.Logf("scanning %d rows, ordered %v: kudu perf table_scan %v, ours %v (%.0f rows/s), ratio %.2f", rows, ordered,
			median(theirs), median(ours), float64(rows)/median(ours).Seconds(), median(theirs).Seconds()/median(ours).Seconds())
	}
}

// loadLike inserts what kudu perf loadgen does, with two workers.
func loadLike(t *testing.T, table *kudu.Table, rows int) {
	t.Helper()
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			s := table.NewSession(kudu.SessionOptions{})
			defer s.Close()
			row := table.NewRow()
			text := []byte("00000000000000000000000000000000")
			for i := worker; i < rows; i += 2 {
				row.Reset()
				row.SetInt(0, int64(i))
				row.SetInt(1, int64(int32(i)))
				for k, n := len(text)-1, i; n > 0; k, n = k-1, n/10 {
					text[k] = byte('0' + n%10)
				}
				row.SetBytes(2, text)
				if err := s.Apply(t.Context(), kudu.OpInsert, row); err != nil {
					t.Error(err)
					return
				}
			}
			if done, err := s.Flush(t.Context()); err != nil || done.Rows != rows/2 {
				t.Errorf("%d rows written: %v", done.Rows, err)
			}
		})
	}
	wg.Wait()
}
