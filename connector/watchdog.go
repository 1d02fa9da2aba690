package connector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A run of a task waits for other programs in a few places only, and each of
// these waits has a bound of its own: a transaction's timeout, an operation's
// timeout. Should one of them not hold, in this program or in a library, the
// task would stand still and look well. So each wait is noted while it lasts, and
// the supervisor ends a run in which one lasts longer than any should.
//
// A task without anything to do waits for nothing: its source polls, which are
// short, and between them nothing is noted.

// waits are what one run waits for at present. The nil *waits notes nothing. Safe
// for concurrent use.
type waits struct {
	mu      sync.Mutex
	present []*wait
}

// wait is one thing that is being waited for.
type wait struct {
	waits *waits
	what  string
	since time.Time
	// progress, unless nil, counts what the wait has brought so far: when it
	// grows, the wait begins anew.
	progress func() uint64
	had      uint64
}

// begin notes that something is waited for until end is called.
func (w *waits) begin(what string) *wait { return w.beginCounted(what, nil) }

// beginCounted is begin for something that comes in parts, which progress counts.
func (w *waits) beginCounted(what string, progress func() uint64) *wait {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &wait{waits: w, what: what, since: time.Now(), progress: progress}
	w.present = append(w.present, one)
	return one
}

// end: it is there.
func (o *wait) end() {
	if o == nil {
		return
	}
	o.waits.mu.Lock()
	defer o.waits.mu.Unlock()
	if i := slices.Index(o.waits.present, o); i >= 0 {
		o.waits.present = slices.Delete(o.waits.present, i, i+1)
	}
}

// longest gives what has been waited for, without progress, for the longest
// time; nothing, if nothing is.
func (w *waits) longest() (what string, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.present {
		if one.progress != nil {
			if n := one.progress(); n != one.had {
				one.had, one.since = n, time.Now()
			}
		}
		if since := time.Since(one.since); since >= took {
			what, took = one.what, since
		}
	}
	return what, took
}

// stalledError ends a run that stood still.
type stalledError struct {
	what string
	time time.Duration
}

func (e *stalledError) Error() string {
	return fmt.Sprintf("no progress for %v while waiting for %s", e.time.Round(time.Second), e.what)
}

// stallBound is how long a run may wait for one thing: twice the longest that any
// wait can take by itself. Those for Kafka end with the transaction's timeout, the
// present owner's or, when positions are read, that of an open transaction of
// somebody else; those for Kudu with the operation's timeout.
func stallBound(cfg Config) time.Duration {
	return 2 * max(cfg.TransactionTimeout, cfg.KuduOperationTimeout)
}

// watchdog looks, until ctx ends, whether a run stands still for longer than
// bound, and tells stalled so, once.
func watchdog(ctx context.Context, w *waits, bound time.Duration, stalled func(*stalledError)) {
	for pause(ctx, bound/8) == nil {
		if what, took := w.longest(); took > bound {
			stalled(&stalledError{what, took})
			return
		}
	}
}
