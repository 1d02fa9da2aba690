package connector

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// repairing has a reader of any key repair, also after its restarts.
func (e *elsewhere) repairing(tb testing.TB, guard string) {
	tb.Helper()
	e.reading.late = lateRows{repair: true, interval: time.Hour, guard: guard}
	e.poller, e.inOrder = &sortedPoller{reading: e.reading, sorting: e.sorting}, false
	e.restored = func(r *tabletReader) {
		r.floor, r.repairAt = e.reading.plan.start.key, time.Now().Add(time.Duration(e.dice.IntN(2))*time.Hour)
		text, ok := e.stored[r.id]
		if !ok {
			return
		}
		pos, err := offsets.ParsePosition(text)
		if err == nil {
			err = (&offsetSource{read: e.reading}).restoreCovered(r, pos)
		}
		if err != nil {
			tb.Fatalf("%s: %v", text, err)
		}
	}
	e.restart(tb)
}

// lateStory inserts, polls, repairs and kills at random, and checks that each row
// is published once, however late it came.
func (e *elsewhere) lateStory(tb testing.TB) error {
	tb.Helper()
	var tablets []string
	for id := range e.readers {
		tablets = append(tablets, id)
	}
	slices.Sort(tablets)
	for range 8 {
		e.insert(tb, 1+e.dice.IntN(50))
		for _, tablet := range tablets {
			if e.dice.IntN(2) == 0 {
				e.readers[tablet].repairAt = time.Time{}
			}
			left := -1
			if e.dice.IntN(2) == 0 {
				left = e.dice.IntN(30)
			}
			if _, _, err := e.poll(tb, tablet, left); errors.Is(err, errKilled) {
				e.restart(tb)
			} else if err != nil {
				tb.Fatal(err)
			}
		}
	}
	for range 2 {
		for _, r := range e.readers {
			r.repairAt = time.Time{}
		}
		e.drain(tb)
	}
	for _, r := range e.rows {
		if r.published != 1 {
			e.problem("row %v %v was published %d times", r.streaming, r.primary, r.published)
		}
	}
	return errors.Join(e.problems...)
}

func TestLateRowsComeOnceByAnyKey(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		e := newElsewhere(t, w, wideColumns(), elsewhereConfig(anyKey(rt)...), rapid.Uint64().Draw(rt, "seed"))
		e.repairing(t, rapid.SampledFrom([]string{guardBarrier, guardNone}).Draw(rt, "guard"))
		if err := e.lateStory(t); err != nil {
			rt.Fatal(err)
		}
	})
}

// What repairs rely on is how real servers evaluate bounds at past snapshots.
func TestRealServersTellLateRowsByAnyKey(t *testing.T) {
	w := realWorld(t)
	for _, key := range [][]string{{"double"}, {"float", "bool"}, {"binary", "date"}, {"dec128", "varchar"}, {"at", "id"}, {"id"}} {
		t.Run(fmt.Sprint(key), func(t *testing.T) {
			e := newElsewhere(t, w, wideColumns(), elsewhereConfig(key...), 11)
			e.repairing(t, guardBarrier)
			if err := e.lateStory(t); err != nil {
				t.Fatal(err)
			}
		})
	}
}
