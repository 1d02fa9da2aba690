package status

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// catching is an overview of four tablets, of which some are behind.
func catching(at time.Time, rows int64, behind int, resumed bool) herder.Overview {
	o := overview(at, task(0, "a", 1, rows))
	c := &o.Connectors[0]
	c.Tasks[0].Tablets, c.Tasks[0].Behind = 4, behind
	c.Tasks[0].Resumed, c.TableRows = resumed, 1000
	return o
}

func TestBarTellsHowFarTheFirstCatchUpIs(t *testing.T) {
	var c catchUp
	for n, want := range []string{
		"[....................]   0%  0 rows, 0 rows/s, 0 of 4 tablets caught up",
		"[#####...............]  25%  250 rows, 250 rows/s, 0 of 4 tablets caught up, about 3.0s left",
		"[##########..........]  50%  500 rows, 250 rows/s, 0 of 4 tablets caught up, about 2.0s left",
	} {
		if got, done := c.look(catching(noon.Add(time.Duration(n)*time.Second), int64(n)*250, 4, false)); got != want || done {
			t.Errorf("after %d s: %q, %v, want %q", n, got, done, want)
		}
	}
	if got, _ := c.look(catching(noon.Add(3*time.Second), 1100, 1, false)); got != "catching up: 1100 rows, 366 rows/s, 3 of 4 tablets caught up" {
		t.Errorf("with more rows than were counted: %q", got)
	}
	if got, done := c.look(catching(noon.Add(4*time.Second), 1100, 0, false)); got != "" || !done {
		t.Errorf("caught up: %q, %v", got, done)
	}
	var resumed catchUp
	if got, _ := resumed.look(catching(noon, 0, 4, true)); !strings.HasPrefix(got, "catching up: ") {
		t.Errorf("what goes on from a stored position has a share of the whole: %q", got)
	}
	stuck := catching(noon, 0, 4, false)
	stuck.Connectors[0].Tasks[0].State = "FAILED"
	if got, done := resumed.look(stuck); got != "" || !done {
		t.Errorf("once the only task has failed: %q, %v", got, done)
	}
	var starting catchUp
	if got, done := starting.look(overview(noon)); got != "" || done {
		t.Errorf("before there are tablets: %q, %v", got, done)
	}
}

// terminal notes what is written to it.
type terminal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *terminal) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(data)
}

func TestLogLinesComeAboveTheBarWhichVanishesInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &terminal{}
		b := NewBar(out, func() int { return 40 })
		write := func(text string) {
			if n, err := b.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("writing: %d, %v", n, err)
			}
		}
		write("before\n")
		source := &fakeSource{shows: catching(time.Now(), 0, 4, false)}
		var running sync.WaitGroup
		running.Go(func() { b.Run(t.Context(), source) })
		synctest.Wait()
		write("log\n")
		source.mu.Lock()
		source.shows = catching(time.Now(), 9, 0, false)
		source.mu.Unlock()
		running.Wait()
		write("after\n")
		line := "[....................]   0%  0 rows, 0 " // cut before it wraps
		if got, want := out.text.String(), "before\n"+eraseLine+line+eraseLine+"log\n"+line+eraseLine+"after\n"; got != want {
			t.Errorf("the terminal got %q, want %q", got, want)
		}
	})
}

func TestBarFitsTheWindowThatThereIsAndIsGoneOnceClosed(t *testing.T) {
	out, width := &terminal{}, 20
	b := NewBar(out, func() int { return width })
	b.draw("0123456789012345678901234567890")
	width = 10
	b.draw("0123456789012345678901234567890") // the same line in a smaller window
	width = 5
	if _, err := b.Write([]byte("log\n")); err != nil {
		t.Error(err)
	}
	b.Close()
	b.draw("more") // whoever draws it may not have ended
	if _, err := b.Write([]byte("last\n")); err != nil {
		t.Error(err)
	}
	if got, want := out.text.String(), eraseLine+"0123456789012345678"+eraseLine+"012345678"+eraseLine+"log\n0123"+eraseLine+"last\n"; got != want {
		t.Errorf("the terminal got %q, want %q", got, want)
	}
}
