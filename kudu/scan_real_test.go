package kudu_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// loadgenTable makes a table of `kudu perf loadgen`, 4 hash buckets, one
// BIGINT key, and gives its name.
func loadgenTable(t *testing.T, cluster *testenv.Kudu, rows int) string {
	t.Helper()
	name := fmt.Sprintf("scan_%d_%d", rows, time.Now().UnixNano())
	if out, err := cluster.CLI(t.Context(), "perf", "loadgen", cluster.MasterArg(), "--keep_auto_table=true",
		"--auto_database=", "--num_threads=1", fmt.Sprintf("--num_rows_per_thread=%d", rows),
		"--table_num_hash_partitions=4", "--seq_start=1"); err != nil {
		t.Fatalf("loadgen: %v\n%s", err, out)
	}
	out, err := cluster.CLI(t.Context(), "table", "list", cluster.MasterArg())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Fields(out) {
		if bytes.Contains(line, []byte("loadgen_auto")) {
			if out, err := cluster.CLI(t.Context(), "table", "rename_table", cluster.MasterArg(), string(line), name); err != nil {
				t.Fatalf("rename: %v\n%s", err, out)
			}
			return name
		}
	}
	t.Fatalf("loadgen left no table: %s", out)
	return ""
}

func newClient(t *testing.T, cluster *testenv.Kudu) *kudu.Client {
	t.Helper()
	c, err := kudu.New(kudu.Config{Masters: cluster.Masters()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestOrderedScansReadEachRowOnceInKeyOrder(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	const rows = 60_000
	name := loadgenTable(t, cluster, rows)
	c := newClient(t, cluster)
	table, err := c.OpenTable(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(tablets) != 4 {
		t.Fatalf("%d tablets, want 4", len(tablets))
	}
	seen := make(map[int64]bool)
	for _, tablet := range tablets {
		var after []byte
		// Many small batches, and a scan that is left in the middle and taken
		// up again after the last key.
		for pass := 0; ; pass++ {
			s, err := table.Scan(tablet.ID, kudu.ScanOptions{Ordered: true, After: after, BatchBytes: 10_000})
			if err != nil {
				t.Fatal(err)
			}
			batches, end := 0, false
			for pass > 2 || batches < 3 {
				b, err := s.Next(t.Context())
				if errors.Is(err, io.EOF) {
					end = true
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if s.Snapshot() == 0 {
					t.Fatal("an ordered scan names no snapshot")
				}
				for i := range b.NumRows() {
					id := b.Column(0).Int64(i)
					if seen[id] {
						t.Fatalf("row %d comes twice", id)
					}
					seen[id] = true
					key := kudu.AppendKey(nil, b, []int{0}, i)
					if bytes.Compare(key, after) <= 0 {
						t.Fatalf("key %x does not follow %x", key, after)
					}
					after = key
				}
				batches++
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if end {
				break
			}
		}
	}
	if len(seen) != rows {
		t.Fatalf("%d rows, want %d", len(seen), rows)
	}
}

func TestOpeningAMissingTableNamesIt(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	_, err := newClient(t, cluster).OpenTable(t.Context(), "no_such_table")
	if !errors.Is(err, kudu.ErrTableNotFound) || !bytes.Contains([]byte(err.Error()), []byte("no_such_table")) {
		t.Fatalf("got %v", err)
	}
}
