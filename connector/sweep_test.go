package connector

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestDueRowsArePublishedAndSweptAndOthersAreLeft(t *testing.T) {
	for _, scope := range []string{scopeTablet, scopeTable} {
		for _, order := range []string{"", "due", "priority DESC, due"} {
			t.Run(fmt.Sprintf("%s by %q", scope, order), func(t *testing.T) {
				b := newSweepBench(t, 1)
				b.cfg.OrderScope = scope
				if order != "" {
					b.cfg.SweepOrderBy = []string{order}
				}
				b.add(200, time.Now().Add(-time.Hour))
				b.add(50, time.Now().Add(time.Hour))
				b.drain()
				b.verify()
				if got := len(b.published()); got != 200 {
					t.Errorf("%d records, want 200", got)
				}
			})
		}
	}
}

// TestNoRowIsLostOrPublishedTwiceWhereverTheTaskDies kills the task before and
// after requests of every kind while a writer adds, updates, reschedules and
// re-inserts rows.
func TestNoRowIsLostOrPublishedTwiceWhereverTheTaskDies(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b := newSweepBench(t, seed)
			if seed%2 == 1 {
				b.cfg.SweepOrderBy = []string{"priority DESC", "due"}
			}
			if seed%3 == 1 {
				b.cfg.OrderScope = scopeTable
			}
			b.cfg.SweepBatchRows = 20
			if seed%4 == 3 {
				b.life = anew
			}
			b.age = time.Second
			if seed < 5 {
				b.chunk = 7 // so that transactions have many journals, most of them before their end
			}
			b.add(150, time.Now().Add(-time.Hour))
			b.add(20, time.Now().Add(24*time.Hour))
			stop := make(chan struct{})
			var writer sync.WaitGroup
			writer.Go(func() {
				pace := time.NewTicker(300 * time.Microsecond)
				defer pace.Stop()
				for {
					select {
					case <-stop:
						return
					case <-pace.C:
						b.disturb()
					}
				}
			})
			for range 8 {
				method := []string{"Scan", "Write", "EndTxn", "Produce", "Write"}[b.roll(5)]
				n, after := b.roll(12), b.roll(2) == 1
				err := b.crash(func(kill func()) func() { return b.arm(method, n, after, kill) }, 3*time.Second)
				if err != nil {
					t.Errorf("the task failed: %v", err)
				}
			}
			close(stop)
			writer.Wait()
			b.drain()
			b.verify()
		})
	}
}

func (b *sweepBench) roll(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dice.IntN(n)
}

// arm kills the task at the n-th request of the kind, before it is handled or
// before it is answered.
func (b *sweepBench) arm(method string, n int, after bool, kill func()) (disarm func()) {
	switch method {
	case "EndTxn", "Produce":
		key := kmsg.EndTxn
		if method == "Produce" {
			key = kmsg.Produce
		}
		b.network.cut(key, after, n/3, 1)
		return func() { b.network.cut(key, false, 0, 0) }
	}
	var mu sync.Mutex
	return b.kudu.Control(method, func(*kudufake.Call) kudufake.Decision {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return kudufake.Decision{}
		}
		defer kill()
		if after {
			return kudufake.Decision{Drop: true}
		}
		return kudufake.Decision{CutBefore: true}
	})
}
