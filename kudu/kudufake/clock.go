package kudufake

import (
	"sync"
	"time"
)

// maxClockError is how far in the future a timestamp may lie before a server
// refuses it (--max_clock_sync_error_usec).
const maxClockError = 10 * time.Second

// logicalBits are the low bits of a hybrid timestamp, below the microseconds.
const logicalBits = 12

// wall is the physical time of the whole cluster.
type wall struct {
	now func() time.Time

	mu     sync.Mutex
	offset time.Duration
}

func (w *wall) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now().Add(w.offset)
}

func (w *wall) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += d
}

// hybridClock is one server's clock: physical microseconds and a counter,
// never going back (kudu-1.18.1 src/kudu/clock/hybrid_clock.cc).
type hybridClock struct {
	wall *wall

	mu   sync.Mutex
	skew time.Duration
	last uint64
}

func hybrid(t time.Time) uint64 { return uint64(t.UnixMicro()) << logicalBits }

func (c *hybridClock) physical() time.Time { return c.wall.time().Add(c.skew) }

// tick gives a timestamp that is larger than all before.
func (c *hybridClock) tick() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(hybrid(c.physical()), c.last+1)
	return c.last
}

// latest is the largest timestamp that a server with a fast clock could have
// made by now.
func (c *hybridClock) latest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return hybrid(c.physical().Add(maxClockError))
}

// update moves the clock behind a timestamp that somebody else made.
func (c *hybridClock) update(ts uint64) *failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ts > hybrid(c.physical().Add(maxClockError)) {
		return badArgument("Tried to update clock beyond the max. error: timestamp %d is in the future", ts)
	}
	c.last = max(c.last, ts)
	return nil
}

// untilPast is how long the clock needs to pass ts; zero if it has.
func (c *hybridClock) untilPast(ts uint64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.physical()
	if ts <= max(hybrid(now), c.last) {
		return 0
	}
	return time.UnixMicro(int64(ts>>logicalBits) + 1).Sub(now)
}

func (c *hybridClock) setSkew(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = d
}
