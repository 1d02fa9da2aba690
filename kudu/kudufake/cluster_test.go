package kudufake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// pairs is a table of id and text, in four hash buckets.
func pairs(t *testing.T, c *kudufake.Cluster, name string) *kudufake.Table {
	t.Helper()
	table, err := c.CreateTable(kudufake.TableSpec{
		Name: name,
		Columns: []kudu.Column{
			{Name: "id", Type: kudu.Int64, Key: true},
			{Name: "text", Type: kudu.String, Nullable: true},
		},
		Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func fill(t *testing.T, table *kudufake.Table, from, to int) {
	t.Helper()
	var rows []kudufake.Row
	for i := from; i < to; i++ {
		rows = append(rows, kudufake.Row{"id": i, "text": fmt.Sprint("row ", i)})
	}
	if _, err := table.Insert(rows...); err != nil {
		t.Fatal(err)
	}
}

func cluster(t *testing.T, opts kudufake.Options) *kudufake.Cluster {
	t.Helper()
	c, err := kudufake.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, c *kudufake.Cluster) *kudu.Client {
	t.Helper()
	k, err := kudu.New(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// read reads all tablets of a table, and returns its ids in the order they
// came; between, if not nil, is called after each batch.
func read(ctx context.Context, k *kudu.Client, name string, opts kudu.ScanOptions, between func()) ([]int64, error) {
	table, err := k.OpenTable(ctx, name)
	if err != nil {
		return nil, err
	}
	tablets, err := table.Tablets(ctx)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, tablet := range tablets {
		s, err := table.Scan(tablet.ID, opts)
		if err != nil {
			return nil, err
		}
		for {
			b, err := s.Next(ctx)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				_ = s.Close()
				return ids, err
			}
			for i := range b.NumRows() {
				ids = append(ids, b.Column(0).Int64(i))
			}
			if between != nil {
				between()
			}
		}
		if err := s.Close(); err != nil {
			return ids, err
		}
	}
	return ids, nil
}

// complete checks that ids are 0..n-1, each once.
func complete(t *testing.T, ids []int64, n int) {
	t.Helper()
	seen := make(map[int64]bool)
	for _, id := range ids {
		if seen[id] || id < 0 || id >= int64(n) {
			t.Fatalf("id %d twice or out of range", id)
		}
		seen[id] = true
	}
	if len(seen) != n {
		t.Fatalf("%d rows, want %d", len(seen), n)
	}
}

func TestClientReadsATableInMemoryAndOnLoopback(t *testing.T) {
	for _, loopback := range []bool{false, true} {
		t.Run(fmt.Sprintf("loopback=%v", loopback), func(t *testing.T) {
			c := cluster(t, kudufake.Options{Masters: 3, TabletServers: 3, Loopback: loopback})
			fill(t, pairs(t, c, "pairs"), 0, 5000)
			ids, err := read(t.Context(), client(t, c), "pairs", kudu.ScanOptions{Ordered: true, BatchBytes: 5000}, nil)
			if err != nil {
				t.Fatal(err)
			}
			complete(t, ids, 5000)
		})
	}
}

func TestOrderedScanSurvivesEveryFaultInABubble(t *testing.T) {
	faults := map[string]func(t *testing.T, c *kudufake.Cluster, n int){
		"cut connections": func(_ *testing.T, c *kudufake.Cluster, _ int) {
			for i := range c.NumTabletServers() {
				c.TabletServer(i).CutConnections()
			}
		},
		"expire scanners": func(_ *testing.T, c *kudufake.Cluster, _ int) {
			for i := range c.NumTabletServers() {
				c.TabletServer(i).ExpireScanners()
			}
		},
		"kill and restart": func(t *testing.T, c *kudufake.Cluster, n int) {
			if err := c.TabletServer(n % 3).Restart(); err != nil {
				t.Error(err)
			}
		},
		"move leaders": func(t *testing.T, c *kudufake.Cluster, n int) {
			table, err := c.Table("pairs")
			if err != nil {
				t.Error(err)
				return
			}
			for _, tablet := range table.Tablets() {
				if err := c.MoveLeader(tablet.ID, tablet.Replicas[n%3]); err != nil {
					t.Error(err)
				}
			}
		},
		"let time pass": func(_ *testing.T, c *kudufake.Cluster, _ int) { time.Sleep(90 * time.Second) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, kudufake.Options{TabletServers: 3})
				fill(t, pairs(t, c, "pairs"), 0, 3000)
				n := 0
				ids, err := read(t.Context(), client(t, c), "pairs", kudu.ScanOptions{Ordered: true, BatchBytes: 1}, func() {
					if n++; n%3 == 0 {
						fault(t, c, n)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				complete(t, ids, 3000)
			})
		})
	}
}

func TestDecisionsReachTheClient(t *testing.T) {
	decisions := map[string]kudufake.Decision{
		"busy":             {RPCError: kudufake.RPCServerTooBusy, Text: "busy"},
		"cut before":       {CutBefore: true},
		"cut after":        {CutAfter: true},
		"dropped":          {Drop: true},
		"slow":             {Delay: 20 * time.Second},
		"slow answer":      {DelayAnswer: 20 * time.Second},
		"truncated":        {Truncate: 9},
		"expired":          {AppError: kudufake.ScannerExpired, AppStatus: kudufake.StatusNotFound},
		"tablet is gone":   {AppError: kudufake.TabletNotFound, AppStatus: kudufake.StatusNotFound},
		"unavailable":      {AppStatus: kudufake.StatusUnavailable},
		"token is refused": {RPCError: kudufake.RPCInvalidAuthzToken, Text: "expired"},
	}
	for name, d := range decisions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, kudufake.Options{TabletServers: 3})
				fill(t, pairs(t, c, "pairs"), 0, 3000)
				var hits atomic.Int64
				defer c.Control("Scan", func(call *kudufake.Call) kudufake.Decision {
					if call.N%5 == 3 && (call.Opens() || call.Continues()) {
						hits.Add(1)
						return d
					}
					return kudufake.Decision{}
				})()
				ids, err := read(t.Context(), client(t, c), "pairs", kudu.ScanOptions{Ordered: true, BatchBytes: 1}, nil)
				if err != nil {
					t.Fatal(err)
				}
				complete(t, ids, 3000)
				if hits.Load() == 0 {
					t.Fatal("no call was hit")
				}
			})
		})
	}
}

func TestPausedServerAnswersAfterItResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, kudufake.Options{})
		fill(t, pairs(t, c, "pairs"), 0, 10)
		c.TabletServer(0).Pause()
		time.AfterFunc(5*time.Second, c.TabletServer(0).Resume)
		began := time.Now()
		ids, err := read(t.Context(), client(t, c), "pairs", kudu.ScanOptions{Ordered: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		complete(t, ids, 10)
		if took := time.Since(began); took < 5*time.Second {
			t.Fatalf("took %v", took)
		}
	})
}

func TestClientFollowsTheLeaderMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, kudufake.Options{Masters: 3})
		pairs(t, c, "pairs")
		k := client(t, c)
		for i := range 3 {
			c.LeadMaster(i)
			if _, err := k.OpenTable(t.Context(), "pairs"); err != nil {
				t.Fatal(err)
			}
		}
		c.LeadMaster(-1)
		time.AfterFunc(2*time.Second, func() { c.LeadMaster(0) })
		if _, err := k.OpenTable(t.Context(), "pairs"); err != nil {
			t.Fatal(err)
		}
		c.Master(0).Kill()
		if _, err := k.OpenTable(t.Context(), "pairs"); err != nil {
			t.Fatal(err)
		}
	})
}
