package connector

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// meets is where of the test below.
func meets(r *tableRow) bool {
	return r.cells["bool"] == true && (r.cells["note"] == nil || r.cells["string"].(string) < "b")
}

// Start, stop and where hold for keys elsewhere as for others, also when the
// reader is killed on the way.
func TestStartStopAndWhereHoldForKeysElsewhere(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	for _, walks := range []bool{false, true} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("walks=%v seed=%d", walks, seed), func(t *testing.T) {
				cfg := elsewhereConfig("int16", "int8")
				cfg.OffsetStartValues = map[string]string{"int16": "-1"}
				cfg.OffsetStopValues = map[string]string{"int16": "256", "int8": "0"}
				cfg.Where = "bool = true AND (note IS NULL OR string < 'b')"
				e := newElsewhere(t, w, wideColumns(), cfg, seed)
				if walks {
					e.poller, e.inOrder = &walkPoller{e.reading}, false
				}
				e.insert(t, 400)
				for tablet := range e.readers {
					for kills := range 4 {
						if _, _, err := e.poll(t, tablet, e.dice.IntN(20)); errors.Is(err, errKilled) {
							e.restart(t)
						} else if err != nil {
							t.Fatalf("before kill %d: %v", kills+1, err)
						}
					}
				}
				e.drain(t)
				if err := errors.Join(e.problems...); err != nil {
					t.Fatal(err)
				}
				for tablet, r := range e.readers {
					if !r.complete {
						t.Errorf("tablet %s isn't complete", tablet)
					}
				}
				published := 0
				for _, r := range e.rows {
					a, b := r.streaming[0].(int64), r.streaming[1].(int64)
					within := a >= -1 && (a < 256 || a == 256 && b < 0)
					if want := within && meets(r); want != (r.published == 1) {
						t.Errorf("row %v %v was published %d times, want %v", r.streaming, r.primary, r.published, want)
					}
					published += r.published
				}
				if published == 0 || published == len(e.rows) {
					t.Errorf("%d of %d rows: the bounds bound nothing", published, len(e.rows))
				}
			})
		}
	}
}
