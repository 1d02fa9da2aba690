package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// chaosWriter writes a table's rows in key order, each batch before the next,
// so that none comes behind the position of its tablet.
type chaosWriter struct {
	table   *chaosTable
	writer  *testenv.Writer
	written int          // rows; the writer's own
	chosen  atomic.Int64 // of the written rows, those that meet where
	running sync.WaitGroup
	stop    chan struct{}
	failed  error // set before running ends
}

// write writes rows up to the number that the table has then.
func (c *chaosWriter) write(ctx context.Context, upTo, batch int) error {
	for c.written < min(upTo, c.table.rows) {
		next := min(c.written+batch, upTo, c.table.rows)
		if err := c.insert(ctx, c.written, next); err != nil {
			return fmt.Errorf("writing rows %d to %d: %w", c.written, next, err)
		}
		chosen := int64(0)
		for n := c.written; n < next; n++ {
			if c.table.chosen(n) {
				chosen++
			}
		}
		c.written = next
		c.chosen.Add(chosen)
	}
	return nil
}

// insert writes a batch, again and again if its outcome is unknown.
func (c *chaosWriter) insert(ctx context.Context, from, to int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for op := "insert"; ; op = "insert_ignore" {
		for n := from; n < to; n++ {
			c.writer.Write(op, c.table.row(n))
		}
		written, err := c.writer.Flush(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			continue
		case len(written.Errors) == 0:
			return nil
		}
		for _, e := range written.Errors {
			// What a dying server leaves open; a row that is there is a fault
			// of the table's making at the first attempt only.
			if e.Status == "ALREADY_PRESENT" && op == "insert" || e.Status == "INVALID_ARGUMENT" {
				return fmt.Errorf("row %d: %s %s", from+e.Index, e.Status, e.Message)
			}
		}
	}
}

// begin writes on in the background, batches of random sizes, until finish.
func (c *chaosWriter) begin(ctx context.Context, dice *rand.Rand, p pace) {
	c.stop = make(chan struct{})
	c.running.Go(func() {
		began, start := time.Now(), c.written
		for c.failed == nil && c.written < c.table.rows {
			due := start + int(time.Since(began).Seconds()*float64(p.rate))
			c.failed = c.write(ctx, min(due, c.written+1+dice.IntN(p.batch)), p.batch)
			select {
			case <-time.After(10 * time.Millisecond):
			case <-c.stop:
				return
			}
		}
	})
}

func (c *chaosWriter) finish() error {
	close(c.stop)
	c.running.Wait()
	return c.failed
}

// follower counts the records that a read_committed consumer sees, as they
// come. Faults between workers and broker don't concern it.
type follower struct {
	client  *kgo.Client
	running sync.WaitGroup
	cancel  context.CancelFunc

	mu   sync.Mutex
	seen int
	more chan struct{} // closed and replaced when seen grows
}

func (s *stack) follow(t *testing.T, topic string) *follower {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.kafka.BootstrapServers()), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	f := &follower{client: client, cancel: cancel, more: make(chan struct{})}
	f.running.Go(func() {
		for ctx.Err() == nil {
			n := client.PollFetches(ctx).NumRecords() // errors are of faults, and pass
			f.mu.Lock()
			f.seen += n
			close(f.more)
			f.more = make(chan struct{})
			f.mu.Unlock()
		}
	})
	return f
}

func (f *follower) close() {
	f.cancel()
	f.running.Wait()
	f.client.Close()
}

func (f *follower) count() (int, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen, f.more
}

// await waits until so many records were seen, and gives how many were.
func (f *follower) await(ctx context.Context, n int) int {
	for {
		seen, more := f.count()
		if seen >= n {
			return seen
		}
		select {
		case <-more:
		case <-ctx.Done():
			return seen
		}
	}
}
