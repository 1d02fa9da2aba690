package kudu_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// TestReadersPauseForLongerThanTheLease pauses for 9 s with a lease of 6 s, and
// with K2K_LONG=1 for 60 s with a lease of 10 s. In the same cluster history is
// kept for long: a scan goes on at its snapshot. A lease that is kept is lost on a
// machine that stands still for as long, hence it isn't shorter.
func TestReadersPauseForLongerThanTheLease(t *testing.T) {
	t.Parallel()
	lease, pause := 6*time.Second, 9*time.Second
	if os.Getenv("K2K_LONG") == "1" {
		lease, pause = 10*time.Second, time.Minute
	}
	cluster := testenv.NewKudu(t, testenv.KuduConfig{TabletServerFlags: []string{
		fmt.Sprintf("--scanner_ttl_ms=%d", lease.Milliseconds()), "--scanner_gc_check_interval_us=100000",
	}})
	const rows = 30_000
	spec := simpleTable("pause")
	spec.Hash = nil
	name := createTable(t, newClient(t, cluster), spec).Name()
	open := func(keepAlive time.Duration) *kudu.Table {
		c, err := kudu.New(kudu.Config{Masters: cluster.Masters(), KeepAlive: keepAlive})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		table, err := c.OpenTable(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	kept, lost := open(lease/24), open(time.Hour)
	fill(t, kept, rows)
	tablets, err := kept.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, c := range []struct {
		name  string
		table *kudu.Table
		opts  kudu.ScanOptions
		want  error
	}{
		// An unordered scan can't be taken up again: it ends well only if its
		// lease was kept, and badly only if it was lost.
		{"unordered, lease kept", kept, kudu.ScanOptions{}, nil},
		{"unordered, lease lost", lost, kudu.ScanOptions{}, kudu.ErrNotResumable},
		{"ordered, lease kept", kept, kudu.ScanOptions{Ordered: true}, nil},
		{"ordered, lease lost", lost, kudu.ScanOptions{Ordered: true}, nil},
		{"ordered by rows, lease lost", lost, kudu.ScanOptions{Ordered: true, RowWise: true}, nil},
		{"diff, lease lost", lost, kudu.ScanOptions{Since: 1 << 12}, nil},
	} {
		if c.opts.Since != 0 {
			// Since the table was made: before its first row.
			since, err := newClient(t, cluster).OpenTable(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if c.opts.Since, err = since.Barrier(t.Context(), tablets[0].ID); err != nil {
				t.Fatal(err)
			}
			session := c.table.NewSession(kudu.SessionOptions{})
			row := c.table.NewRow()
			for i := range rows {
				row.Reset()
				row.SetAll(i, "changed")
				if err := session.Apply(t.Context(), kudu.OpUpdate, row); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := session.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			session.Close()
		}
		c.opts.BatchBytes = 10_000
		wg.Go(func() {
			n, err := readWithPause(t, c.table, tablets[0].ID, c.opts, pause)
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || n != rows) {
				t.Errorf("%s: %d rows, %v; want %d rows, %v", c.name, n, err, rows, c.want)
			}
		})
	}
	wg.Wait()
}

// readWithPause reads a tablet, stops behind the first batch for a while, and
// counts the rows, each of which must come once.
func readWithPause(t *testing.T, table *kudu.Table, tablet string, opts kudu.ScanOptions, pause time.Duration) (int, error) {
	s, err := table.Scan(tablet, opts)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	seen := make(map[int64]bool)
	for first := true; ; first = false {
		b, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return len(seen), nil
		}
		if err != nil {
			return len(seen), err
		}
		for i := range b.NumRows() {
			id := b.Column(0).Int64(i)
			if seen[id] {
				return len(seen), fmt.Errorf("row %d comes twice", id)
			}
			seen[id] = true
		}
		if first {
			<-time.After(pause) // the lease is the server's: nothing signals its end
		}
	}
}

func TestSnapshotsOlderThanTheServersHistoryAreATypedError(t *testing.T) {
	cluster := testenv.NewKudu(t, testenv.KuduConfig{TabletServerFlags: []string{"--tablet_history_max_age_sec=1"}})
	table := createTable(t, newClient(t, cluster), simpleTable("aged"))
	old := write(t, table, kudu.OpInsert, []any{1, "x"}).Timestamp
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, opts := range map[string]kudu.ScanOptions{"diff": {Since: old}, "snapshot": {Snapshot: old}, "ordered": {Ordered: true, Snapshot: old}} {
		deadline := time.Now().Add(time.Minute)
		for {
			s, err := table.Scan(tablets[0].ID, opts)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Next(t.Context())
			s.Close()
			if errors.Is(err, kudu.ErrSnapshotTooOld) {
				break
			}
			if err != nil && !errors.Is(err, io.EOF) || time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
}
