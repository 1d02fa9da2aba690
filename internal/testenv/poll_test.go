package testenv

import (
	"testing"
	"testing/synctest"
	"time"
)

// A process may not be run for a while, by the bubble's clock for longer than the
// wait is to last.
func TestWaitsLookOnceMoreWhenTheirTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		late := func() bool {
			looks++
			time.Sleep(time.Minute)
			return looks == 2
		}
		Await(t, time.Second, "the second look", late)
		looks = 0
		if !Eventually(t.Context(), time.Second, late) {
			t.Errorf("given up after %d looks", looks)
		}
		looks = 2
		if Eventually(t.Context(), time.Second, late) || looks != 4 {
			t.Errorf("what never comes is there after %d looks", looks-2)
		}
	})
}
