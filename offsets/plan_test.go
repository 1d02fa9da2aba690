package offsets

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPlanRoundTripsAndNoPositionIsMistakenForIt(t *testing.T) {
	want := Plan{Table: "t", TableID: "i", Tasks: 4, OrderScope: "tablet", Ready: true}
	r, err := PlanRecord("o", 0, "c", want)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != `["c",{"plan":"tasks"}]` || string(r.Value) != `{"version":1,"table":"t","table_id":"i","tasks":4,"order_scope":"tablet","ready":true}` {
		t.Errorf("stored as %s %s", r.Key, r.Value)
	}
	got, err := ParsePlan(r.Value)
	if err != nil || got != want {
		t.Errorf("read back %+v, %v", got, err)
	}
	l := newLog("o", 0, "c")
	if err := l.apply(r); err != nil || len(l.positions) != 0 || l.unreadable() != nil || l.plan == nil || *l.plan != want {
		t.Errorf("as a position: %v %v %v", err, l.positions, l.unreadable())
	}
	if _, _, ok := TabletOf(r.Key); ok {
		t.Error("the plan is taken for a tablet's record")
	}
	for _, bad := range []string{``, `{}`, `{"version":2,"tasks":1}`, `{"version":1,"tasks":0}`, `{"version":1,"tasks":1,"x":2}`, `[]`} {
		if p, err := ParsePlan([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, p)
		}
	}
}

func TestTabletOfNamesTheTabletOfAPosition(t *testing.T) {
	key, err := Key{Connector: "c", Table: "t", Tablet: "abc"}.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if table, tablet, ok := TabletOf(key); !ok || table != "t" || tablet != "abc" {
		t.Errorf("got %q %q %v", table, tablet, ok)
	}
	for _, bad := range []string{"", "x", `["c"]`, `["c",3]`, `["c",{}]`} {
		if _, _, ok := TabletOf([]byte(bad)); ok {
			t.Errorf("%q names a tablet", bad)
		}
	}
}

func TestATombstoneMendsAPlanThatCannotBeRead(t *testing.T) {
	good, err := PlanRecord("o", 0, "c", Plan{Tasks: 4, OrderScope: "tablet", Ready: true})
	if err != nil {
		t.Fatal(err)
	}
	l := newLog("o", 0, "c")
	bad := *good
	bad.Value = []byte("{")
	for _, step := range []struct {
		record *kgo.Record
		broken bool
		plan   bool
	}{{&bad, true, false}, {&kgo.Record{Key: good.Key}, false, false}, {&bad, true, false}, {good, false, true}} {
		if err := l.apply(step.record); err != nil {
			t.Fatal(err)
		}
		if (l.unreadable() != nil) != step.broken || (l.plan != nil) != step.plan {
			t.Errorf("after %q: %v, plan %v", step.record.Value, l.unreadable(), l.plan)
		}
	}
}

func TestOtherConnectorsAreNamedWhileTheyHaveRecords(t *testing.T) {
	l := newLog("o", 0, "c")
	var keys [][]byte
	for _, key := range []Key{{"b", "t", "1"}, {"b", "t", "2"}, {"c", "t", "3"}, {"a", "t", "1"}} {
		r, err := Record("o", 0, key, Position{Mode: "offset"})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.apply(r); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, r.Key)
	}
	for i, want := range [][]string{{"a", "b"}, {"a", "b"}, {"a"}, {"a"}, nil} {
		if got := l.owners(); !slices.Equal(got, want) {
			t.Errorf("after %d tombstones: %q, want %q", i, got, want)
		}
		if i < len(keys) {
			if err := l.apply(&kgo.Record{Key: keys[i]}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
