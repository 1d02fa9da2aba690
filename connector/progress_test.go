package connector

import (
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// at is the timestamp of so many seconds since 1970.
func at(seconds int) kudu.Timestamp {
	return kudu.Timestamp(0).Add(time.Duration(seconds) * time.Second)
}

// markBench is the progress of two tablets of a table with a time for its key,
// without a table.
type markBench struct {
	t    *testing.T
	p    *progress
	a, b *tabletReader
}

func newMarkBench(t *testing.T) *markBench {
	schema, err := kudu.NewSchema([]kudu.Column{{Name: "at", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.String, Key: true}})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planRead(DefaultConfig(), schema)
	if err != nil {
		t.Fatal(err)
	}
	m := &markBench{t: t, p: newProgress(), a: &tabletReader{id: tabletA}, b: &tabletReader{id: tabletB}}
	m.p.order = plan.order
	m.begin()
	return m
}

func (m *markBench) begin() {
	m.p.begin([]*tabletReader{m.a, m.b}, m.p.order, time.Hour, time.Unix(50, 0), func(tablet string) kudu.Timestamp {
		if tablet == tabletA {
			return at(40)
		}
		return 0
	})
}

// key is the order key of a row of so many seconds since 1970.
func (m *markBench) key(seconds int) []byte {
	m.t.Helper()
	key, err := kudu.EncodeKey(m.p.order.columns, []any{time.Unix(int64(seconds), 0), "x"})
	if err != nil {
		m.t.Fatal(err)
	}
	return key
}

// want looks at tablet A, which has a stored position, at 100 seconds after 1970.
func (m *markBench) want(when string, want TabletProgress) {
	m.t.Helper()
	want.Tablet, want.History, want.Resumed = tabletA, time.Hour, true
	var got TabletProgress
	m.p.look(time.Unix(100, 0), func(p TabletProgress) {
		if p.Tablet == tabletA {
			got = p
		}
	})
	if got != want {
		m.t.Errorf("%s:\n%+v, want\n%+v", when, got, want)
	}
}

// looked ends a look of tablet A at 90 s, with the next one due at 101 s.
func (m *markBench) looked(drained bool) {
	m.a.shown = at(90)
	m.p.looked(m.a, drained, time.Unix(101, 0))
}

func TestLagCountsFromWhatIsCommittedForCertain(t *testing.T) {
	const h = time.Hour
	m := newMarkBench(t)
	m.want("after a start from a stored position", TabletProgress{Behind: true, Lag: 60 * time.Second, Headroom: h})
	m.looked(true)
	m.want("after a look without rows", TabletProgress{Headroom: h})
	m.p.found(m.a.marks, at(95))
	m.want("while a look gives rows", TabletProgress{Behind: true, Lag: 10 * time.Second, Headroom: h - 5*time.Second})
	m.p.produced(m.a)
	m.a.shown = at(95)
	m.p.looked(m.a, true, time.Unix(101, 0))
	m.want("with all rows read and none committed", TabletProgress{Behind: true, Lag: 10 * time.Second, Headroom: h})
	m.p.commit(map[string]point{tabletA: {key: m.key(94)}})
	m.want("with all rows committed", TabletProgress{HasKey: true, Headroom: h})

	m.p.found(m.a.marks, at(98))
	m.p.produced(m.a)
	m.p.commit(map[string]point{tabletA: {key: m.key(96)}})
	m.want("with a commit in the middle of a look", TabletProgress{
		Behind: true, Lag: 5 * time.Second, KeyLag: 4 * time.Second, HasKey: true, Headroom: h - 2*time.Second,
	})
	m.p.looked(m.a, false, time.Unix(101, 0))
	m.want("after a look that has left rows", TabletProgress{
		Behind: true, Lag: 5 * time.Second, KeyLag: 4 * time.Second, HasKey: true, Headroom: h,
	})
}

func TestATabletThatNobodyLooksAtFallsBehind(t *testing.T) {
	m := newMarkBench(t)
	m.a.shown = at(90)
	m.p.looked(m.a, true, time.Unix(100, 0).Add(-overdueAfter))
	m.want("in time", TabletProgress{Headroom: time.Hour})
	m.p.looked(m.a, true, time.Unix(99, 0).Add(-overdueAfter))
	m.want("overdue", TabletProgress{Behind: true, Lag: 10 * time.Second, Headroom: time.Hour})
}

func TestProgressOutlivesARunUnlessPositionsArePutBack(t *testing.T) {
	m := newMarkBench(t)
	m.p.produced(m.a)
	m.looked(true)
	m.p.commit(map[string]point{tabletA: {key: m.key(80)}})
	m.a.hwm = m.key(80)
	m.begin()
	m.want("in a new run", TabletProgress{Behind: true, Lag: 10 * time.Second, KeyLag: 20 * time.Second, HasKey: true, Headroom: time.Hour})
	m.a.hwm = m.key(70)
	m.begin()
	m.want("with the position put back", TabletProgress{Behind: true, Lag: 60 * time.Second, KeyLag: 30 * time.Second, HasKey: true, Headroom: time.Hour})
}

func TestAReaderThatStandsForAllTabletsMovesThemAll(t *testing.T) {
	m := newMarkBench(t)
	all := &tabletReader{id: "all", marks: m.p.allMarks(), shown: at(90)}
	m.p.looked(all, true, time.Unix(101, 0))
	m.p.look(time.Unix(100, 0), func(p TabletProgress) {
		if p.Behind {
			t.Errorf("tablet %s is behind", p.Tablet)
		}
	})
	m.p.found(all.marks, at(95))
	m.p.look(time.Unix(100, 0), func(p TabletProgress) {
		if !p.Behind || p.Lag != 10*time.Second {
			t.Errorf("tablet %s: %+v", p.Tablet, p)
		}
	})
}

func TestHeadroomCountsFromTheOldestSnapshotThatIsReadAgain(t *testing.T) {
	m := newMarkBench(t)
	m.a.covered = coverage{{upTo: m.key(1), at: at(70)}, {upTo: m.key(2), at: at(30)}, {upTo: m.key(3), at: at(80)}}
	m.looked(true)
	m.want("with late rows to repair", TabletProgress{Headroom: time.Hour - 70*time.Second})
	m.a.covered = nil
	m.a.walk = &walk{snapshot: at(60)}
	m.looked(false)
	m.want("in the middle of a walk", TabletProgress{Behind: true, Lag: 10 * time.Second, Headroom: time.Hour - 40*time.Second})
	m.p.keeps(map[string]kudu.Timestamp{tabletA: at(20), tabletB: at(1)})
	m.looked(true)
	m.want("with rows to sweep", TabletProgress{Headroom: time.Hour - 80*time.Second})
	m.p.keeps(nil)
	m.want("with all rows swept", TabletProgress{Headroom: time.Hour})
}

func TestNotingProgressAllocatesNothing(t *testing.T) {
	m := newMarkBench(t)
	points := map[string]point{tabletA: {key: m.key(80)}, tabletB: {key: m.key(80)}}
	n := testing.AllocsPerRun(100, func() {
		m.p.found(m.a.marks, at(95))
		m.p.produced(m.a)
		m.p.commit(points)
		m.looked(true)
	})
	if n != 0 {
		t.Errorf("%v allocations for a look at a tablet and its commit", n)
	}
}

func TestPositionIsTheStreamingKeyForPeople(t *testing.T) {
	columns := []kudu.Column{{Name: "at", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true}}
	key, err := kudu.EncodeKey(columns, []any{int64(1_767_355_200_000_000), int64(7)})
	if err != nil {
		t.Fatal(err)
	}
	p := newProgress()
	p.order = &order{streaming: columns[:1], primary: columns, columns: columns, prefix: true}
	p.tablets["a"], p.tablets["b"] = &tabletMark{id: "a", hwm: key}, &tabletMark{id: "b"}
	if got := p.position("a"); got != `{"at":"2026-01-02T12:00:00.000000Z","id":7}` {
		t.Errorf("got %s", got)
	}
	if got := p.position("b") + p.position("c"); got != "" {
		t.Errorf("a tablet without a row published, and one that isn't there, have %q", got)
	}
	var nobody *progress
	if got := nobody.position("a"); got != "" {
		t.Errorf("without progress there is %q", got)
	}
}
