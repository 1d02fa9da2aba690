package kudufake_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// openedAt notes at which servers scans are opened.
func openedAt(c *kudufake.Cluster) func() []string {
	var mu sync.Mutex
	var names []string
	c.Control("Scan", func(call *kudufake.Call) kudufake.Decision {
		if call.Opens() {
			mu.Lock()
			names = append(names, call.Server.Name())
			mu.Unlock()
		}
		return kudufake.Decision{}
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := names
		names = nil
		return out
	}
}

func TestServersWithoutTheColumnarLayoutAreReadByRows(t *testing.T) {
	for name, opts := range map[string]kudu.ScanOptions{
		"unordered": {}, "ordered": {Ordered: true, BatchBytes: 1}, "diff": {Since: 1 << 12},
		"predicate": {Predicates: []kudu.Predicate{kudu.GreaterEqual("id", 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, kudufake.Options{TabletServers: 3, HistoryMaxAge: -1})
				// TabletServerFeatures of kudu-1.18.1, without COLUMNAR_LAYOUT (5).
				for i := range c.NumTabletServers() {
					c.TabletServer(i).SetFeatures(0, 1, 2, 3, 4, 6, 7)
				}
				fill(t, pairs(t, c, "pairs"), 0, 3000)
				k := client(t, c)
				ids, err := read(t.Context(), k, "pairs", opts, nil)
				if err != nil {
					t.Fatal(err)
				}
				complete(t, ids, 3000)
				// The second time no server is asked for columns.
				opened := openedAt(c)
				if _, err := read(t.Context(), k, "pairs", opts, nil); err != nil {
					t.Fatal(err)
				}
				if n := len(opened()); n != 4 {
					t.Errorf("%d scans opened for 4 tablets", n)
				}
			})
		})
	}
}

func TestTheClosestReplicaIsReadAndAnotherStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, tablet := single(t, kudufake.Options{}, 1000)
		near := tablet.Replicas[2]
		if near == tablet.Leader {
			t.Fatal("the leader is not the first replica")
		}
		at := func(here string, servers map[string]string) {
			c.Control("ConnectToMaster", func(*kudufake.Call) kudufake.Decision {
				return kudufake.Decision{Edit: func(m proto.Message) { m.(*pb.ConnectToMasterResponsePB).ClientLocation = &here }}
			})
			c.Control("GetTableLocations", func(*kudufake.Call) kudufake.Decision {
				return kudufake.Decision{Edit: func(m proto.Message) {
					for _, ts := range m.(*pb.GetTableLocationsResponsePB).GetTsInfos() {
						ts.Location = new(servers[string(ts.GetPermanentUuid())])
					}
				}}
			})
		}
		at("/east", map[string]string{near.UUID(): "/east", tablet.Leader.UUID(): "/west"})
		opened := openedAt(c)
		time.Sleep(time.Millisecond) // so that the rows lie in every server's past
		want := func(k *kudu.Client, opts kudu.ScanOptions, first string) {
			t.Helper()
			ids, err := read(t.Context(), k, "one", opts, nil)
			if err != nil {
				t.Fatal(err)
			}
			complete(t, ids, 1000)
			if got := opened(); len(got) == 0 || got[0] != first {
				t.Errorf("%+v: scans were opened at %v, want %s first", opts, got, first)
			}
		}
		k := client(t, c)
		want(k, kudu.ScanOptions{Replica: kudu.ClosestReplica}, near.Name())
		want(k, kudu.ScanOptions{Replica: kudu.ClosestReplica, Ordered: true}, near.Name())
		want(k, kudu.ScanOptions{Replica: kudu.LeaderOnly}, tablet.Leader.Name())
		want(k, kudu.ScanOptions{Replica: kudu.LeaderOnly, Ordered: true}, tablet.Leader.Name())
		// An ordered scan goes on elsewhere when the closest replica dies.
		batches := 0
		ids, err := read(t.Context(), k, "one", kudu.ScanOptions{Replica: kudu.ClosestReplica, Ordered: true, BatchBytes: 1}, func() {
			if batches++; batches == 2 {
				near.Kill()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		complete(t, ids, 1000)
		if got := opened(); len(got) < 2 || got[0] != near.Name() || got[len(got)-1] == near.Name() {
			t.Errorf("scans were opened at %v", got)
		}
	})
}

func TestADiffFromBeforeTheHistoryIsRefusedAsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, table, _ := single(t, kudufake.Options{HistoryMaxAge: time.Hour}, 1)
		old := c.Now()
		c.Advance(2 * time.Hour)
		if _, err := table.Insert(kudufake.Row{"id": 7}); err != nil {
			t.Fatal(err)
		}
		for _, opts := range []kudu.ScanOptions{{Since: old}, {Snapshot: old}, {Ordered: true, Snapshot: old}} {
			if _, err := read(t.Context(), client(t, c), "one", opts, nil); !errors.Is(err, kudu.ErrSnapshotTooOld) {
				t.Errorf("%+v: %v", opts, err)
			}
		}
	})
}
