package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// catalog is what the tasks of a connector know of their table: its schema and
// its tablets. It looks again from time to time, since Kudu tells nobody that a
// column or a range partition was added or dropped.
type catalog struct {
	client *kudu.Client
	table  string

	mu      sync.Mutex
	current *tableState
	asking  chan struct{} // closed when the look under way ends
	failure error         // how the last look failed; nil if it didn't
}

// tableState is the table at one time. Immutable, but for changed.
type tableState struct {
	table   *kudu.Table
	tablets []*kudu.Tablet
	taken   time.Time     // when the look began
	changed chan struct{} // closed when a later look shows another state
}

// freshFor is how old a state may be that a starting task takes: tasks that are
// assigned together ask the master once.
const freshFor = time.Second

func newCatalog(client *kudu.Client, table string) *catalog {
	return &catalog{client: client, table: table}
}

// get gives the table as it is now. Tasks that ask at the same time share one
// look.
func (c *catalog) get(ctx context.Context) (*tableState, error) {
	return c.since(ctx, time.Now().Add(-freshFor))
}

// since gives the table as a look shows it that has begun no earlier. What was stored
// before then is of tablets that it shows, or of such that are gone.
func (c *catalog) since(ctx context.Context, earliest time.Time) (*tableState, error) {
	for {
		c.mu.Lock()
		if s := c.current; s != nil && !s.taken.Before(earliest) {
			c.mu.Unlock()
			return s, nil
		}
		if wait := c.asking; wait != nil {
			c.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			c.mu.Lock()
			failure := c.failure
			c.mu.Unlock()
			// One that ended with its own task tells nothing. Otherwise each of the
			// tasks would wait for the same answer, one after the other.
			if failure != nil && !errors.Is(failure, context.Canceled) {
				return nil, failure
			}
			continue
		}
		done := make(chan struct{})
		c.asking = done
		c.mu.Unlock()

		s, err := c.look(ctx)

		c.mu.Lock()
		c.asking, c.failure = nil, err
		if err == nil {
			s = c.take(s)
		}
		c.mu.Unlock()
		close(done)
		return s, err
	}
}

// watch looks again every interval until ctx ends. A failure is left to the
// tasks, which meet it themselves.
func (c *catalog) watch(ctx context.Context, interval time.Duration) {
	for pause(ctx, interval) == nil {
		c.mu.Lock()
		idle := c.current == nil // no task has asked yet
		c.mu.Unlock()
		if idle {
			continue
		}
		_, err := c.get(ctx)
		if errors.Is(err, kudu.ErrTableNotFound) {
			// The tasks' scans would notice, but an idle table has few.
			c.mu.Lock()
			c.supersede()
			c.mu.Unlock()
		}
	}
}

func (c *catalog) look(ctx context.Context) (*tableState, error) {
	began := time.Now()
	table, err := c.client.OpenTable(ctx, c.table)
	if err != nil {
		return nil, err
	}
	tablets, err := table.Tablets(ctx)
	if err != nil {
		return nil, err
	}
	return &tableState{table: table, tablets: tablets, taken: began, changed: make(chan struct{})}, nil
}

// take makes s the current state, unless it shows nothing new. The caller holds
// the lock.
func (c *catalog) take(s *tableState) *tableState {
	if old := c.current; old != nil {
		if old.same(s) {
			old.taken = s.taken
			return old
		}
		c.supersede()
	}
	c.current = s
	return s
}

// supersede tells the tasks that work with the current state that it is over.
// The caller holds the lock.
func (c *catalog) supersede() {
	if c.current != nil {
		close(c.current.changed)
		c.current = nil
	}
}

// same reports whether a task that reads s would do the same with o.
func (s *tableState) same(o *tableState) bool {
	return s.table.ID() == o.table.ID() && s.table.Schema().Equal(o.table.Schema()) &&
		slices.EqualFunc(s.tablets, o.tablets, func(a, b *kudu.Tablet) bool { return a.ID == b.ID })
}

// errChanged ends a task's run because its table has changed; the next one
// begins at once.
var errChanged = errors.New("the table has changed")

// tabletsOf picks the tablets of one task; in the order of the table the first
// task has them all.
func (s *tableState) tabletsOf(task int32, cfg Config) []*kudu.Tablet {
	if cfg.OrderScope == scopeTable {
		if task != 0 {
			return nil
		}
		return s.tablets
	}
	return tabletsOf(s.tablets, s.table.PartitionSchema(), task, cfg.TasksMax)
}

// gone reports whether the tablet is no longer one of the table's.
func (s *tableState) gone(tablet string) bool {
	return !slices.ContainsFunc(s.tablets, func(t *kudu.Tablet) bool { return t.ID == tablet })
}

func (s *tableState) String() string {
	return fmt.Sprintf("table %q (%s) with %d tablets", s.table.Name(), s.table.ID(), len(s.tablets))
}
