package connector

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// TestTabletWithoutARowThatCanMeetWhereIsComplete: there is nothing to wait for, in
// whichever way the rows would be read. With now() it may be otherwise later.
func TestTabletWithoutARowThatCanMeetWhereIsComplete(t *testing.T) {
	c, err := kudufake.New(kudufake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	made, err := c.CreateTable(kudufake.TableSpec{Name: "t", Columns: []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "due", Type: kudu.Int64}, {Name: "at", Type: kudu.UnixtimeMicros, Nullable: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Insert(kudufake.Row{"id": 1, "due": 1}, kudufake.Row{"id": 4, "due": 4}); err != nil {
		t.Fatal(err)
	}
	client := newKuduClient(t, c.Config())
	table, err := client.OpenTable(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	ways := []struct{ name, key, order, scope, guard string }{
		{"prefix", "id", orderKey, scopeTablet, guardNone},
		{"prefix, guarded", "id", orderKey, scopeTablet, guardBarrier},
		{"merged", "id", orderKey, scopeTable, guardNone},
		{"merged, guarded", "id", orderKey, scopeTable, guardBarrier},
		{"sorted", "due", orderKey, scopeTablet, guardNone},
		{"sorted, guarded", "due", orderKey, scopeTablet, guardBarrier},
		{"sorted together", "due", orderKey, scopeTable, guardNone},
		{"walked", "due", orderNone, scopeTablet, guardNone},
	}
	for _, way := range ways {
		for _, c := range []struct {
			where, stop string
			complete    bool
		}{
			{"id > 5 AND id < 3", "100", true},
			{"id > 5 AND id < 3", "", false},
			{"id > 5 AND id < 3 AND at < now()", "100", false},
			{"at > now() AND at < '2020-01-01T00:00:00Z'", "100", false},
			{"id > 50", "100", true},
		} {
			t.Run(fmt.Sprintf("%s, where %s, stop %q", way.name, c.where, c.stop), func(t *testing.T) {
				cfg := DefaultConfig()
				cfg.StreamingKey, cfg.KeyColumns, cfg.Where = []string{way.key}, []string{"id"}, c.where
				if c.stop != "" {
					cfg.OffsetStopValues = map[string]string{way.key: c.stop}
				}
				plan, err := planRead(cfg, table.Schema())
				if err != nil {
					t.Fatal(err)
				}
				p, polled := choosePoller(offsetOptions{
					reading: reading{
						table: table, client: client, plan: plan, batchBytes: 1 << 10, logger: hclog.NewNullLogger(),
						late: lateRows{repair: way.guard != guardNone, interval: time.Hour, guard: way.guard},
					},
					sorting: sorting{budget: extsort.NewBudget(0), directory: t.TempDir()}, scope: way.scope, order: way.order,
				}, []*tabletReader{{id: made.Tablets()[0].ID, repairAt: time.Now().Add(time.Hour)}})
				more, err := p.poll(t.Context(), polled[0], func(*batch) bool {
					t.Error("a row is published")
					return false
				})
				if err != nil || more || polled[0].complete != c.complete {
					t.Errorf("complete is %v, want %v; more %v, %v", polled[0].complete, c.complete, more, err)
				}
			})
		}
	}
}

// TestWalkOnItsWayIsKeptWhenNothingCanMeetWhere: it goes on behind the row that it
// came to once something can. So does one that has just lost its snapshot.
func TestWalkOnItsWayIsKeptWhenNothingCanMeetWhere(t *testing.T) {
	const rows = 300
	for _, snapshotLost := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot lost: %v", snapshotLost), func(t *testing.T) {
			l := newMovingTable(t, guardNone)
			defer l.close()
			for id := range int64(rows) {
				l.put(t, id, rows-id)
			}
			l.stopAt(t, rows+1)
			rd := l.source.read
			rd.late = lateRows{}
			r := &tabletReader{id: l.tablet}
			published := make(map[int64]int)
			poll := func(batches int) {
				t.Helper()
				p := &walkPoller{rd}
				if _, err := p.poll(t.Context(), r, func(b *batch) bool {
					if b.end != nil {
						return true
					}
					if batches--; batches < 0 {
						return false
					}
					for n := range b.published() {
						published[b.rows.Values(b.row(n))[0].(int64)]++
					}
					return true
				}); err != nil {
					t.Fatal(err)
				}
			}
			poll(1)
			if n := len(published); n == 0 || n == rows || r.walk == nil {
				t.Fatalf("%d of %d rows are published by the first batch", n, rows)
			}
			if snapshotLost {
				r.walk.renew()
			}
			was, whole := *r.walk, rd.plan
			cfg := l.cfg
			cfg.Where = "id > 5 AND id < 3"
			never, err := planRead(cfg, rd.table.Schema())
			if err != nil {
				t.Fatal(err)
			}
			never.stop = whole.stop
			rd.plan = never
			poll(rows)
			if !r.complete || r.walk == nil || !reflect.DeepEqual(*r.walk, was) {
				t.Fatalf("complete is %v, the walk %+v has become %+v", r.complete, was, r.walk)
			}
			rd.plan, r.complete = whole, false
			for range 2 { // one for what is above the bound of a walk that lost its snapshot
				poll(rows)
			}
			for id := range int64(rows) {
				if published[id] != 1 {
					t.Errorf("row %d is published %d times", id, published[id])
				}
			}
			if !r.complete {
				t.Error("the tablet isn't complete")
			}
		})
	}
}

// TestWalkGoesOnBehindARowWithAnEmptyKey: its encoded primary key has no bytes, but
// is a place behind the start.
func TestWalkGoesOnBehindARowWithAnEmptyKey(t *testing.T) {
	c, err := kudufake.New(kudufake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	made, err := c.CreateTable(kudufake.TableSpec{Name: "t", Columns: []kudu.Column{
		{Name: "name", Type: kudu.String, Key: true}, {Name: "due", Type: kudu.Int64},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Insert(kudufake.Row{"name": "", "due": 2}, kudufake.Row{"name": "a", "due": 1}); err != nil {
		t.Fatal(err)
	}
	client := newKuduClient(t, c.Config())
	table, err := client.OpenTable(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.StreamingKey, cfg.KeyColumns = []string{"due"}, []string{"name"}
	plan, err := planRead(cfg, table.Schema())
	if err != nil {
		t.Fatal(err)
	}
	s := &offsetSource{read: reading{table: table, client: client, plan: plan, batchBytes: 1 << 10, logger: hclog.NewNullLogger()}}
	r := &tabletReader{id: made.Tablets()[0].ID}
	var pos offsets.Position
	if _, err := (&walkPoller{s.read}).poll(t.Context(), r, func(b *batch) bool {
		pos, err = s.Position(b.pointAt(b.row(0))) // the first row is committed, then it is killed
		return false
	}); err != nil {
		t.Fatal(err)
	}
	r = &tabletReader{id: r.id}
	if err := s.restore(r, pos); err != nil {
		t.Fatal(err)
	}
	var names []string
	if _, err := (&walkPoller{s.read}).poll(t.Context(), r, func(b *batch) bool {
		for n := 0; b.end == nil && n < b.published(); n++ {
			names = append(names, fmt.Sprint(b.rows.Column(b.rows.Schema().Index("name")).Value(b.row(n))))
		}
		return true
	}); err != nil || fmt.Sprint(names) != "[a]" {
		t.Errorf("published behind the row without a name: %q, %v", names, err)
	}
}
