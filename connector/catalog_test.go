package connector

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// newTestCatalog looks at the stack's table.
func newTestCatalog(s *stack) *catalog {
	return newCatalog(newKuduClient(s.t, s.kudu.Config()), testKey.Table)
}

// newKuduStack is a fake Kudu alone, with a network in memory.
func newKuduStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t}
	var err error
	if s.kudu, err = kudufake.New(kudufake.Options{TabletServers: 3}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kudu.Close)
	s.makeTable(4)
	return s
}

// outdate has the next get look again.
func (c *catalog) outdate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.taken = time.Now().Add(-time.Hour)
}

// mustGet gives the state.
func mustGet(t *testing.T, c *catalog) *tableState {
	t.Helper()
	s, err := c.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func over(s *tableState) bool {
	select {
	case <-s.changed:
		return true
	default:
		return false
	}
}

// together has n tasks ask while the first look is held back.
func together(s *stack, c *catalog, n int, d kudufake.Decision) []error {
	asked, hold := make(chan struct{}, n), make(chan struct{})
	d.Wait = hold
	remove := s.kudu.Control("GetTableSchema", func(*kudufake.Call) kudufake.Decision {
		asked <- struct{}{}
		return d
	})
	defer remove()
	errs := make([]error, n)
	var tasks sync.WaitGroup
	ask := func(i int) { tasks.Go(func() { _, errs[i] = c.get(s.t.Context()) }) }
	ask(0)
	<-asked
	for i := 1; i < n; i++ {
		ask(i)
	}
	synctest.Wait() // the others have joined the look
	close(hold)
	tasks.Wait()
	return errs
}

func TestTasksThatStartTogetherShareOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKuduStack(t)
		c := newTestCatalog(s)
		for _, err := range together(s, c, 5, kudufake.Decision{}) {
			if err != nil {
				t.Error(err)
			}
		}
		if n := s.kudu.Calls("GetTableSchema"); n != 1 {
			t.Errorf("the master was asked %d times", n)
		}
	})
}

func TestTasksThatStartTogetherShareAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKuduStack(t)
		c := newTestCatalog(s)
		failed := 0
		for _, err := range together(s, c, 5, kudufake.Decision{AppError: kudufake.MasterTableNotFound}) {
			if errors.Is(err, kudu.ErrTableNotFound) {
				failed++
			}
		}
		if failed != 5 {
			t.Errorf("%d of 5 have failed", failed)
		}
		mustGet(t, c) // a failure isn't kept
	})
}

func TestTasksAreToldOfAnotherTableOnly(t *testing.T) {
	s := newStack(t)
	c := newTestCatalog(s)
	first := mustGet(t, c)
	c.outdate()
	if again := mustGet(t, c); again != first || over(first) {
		t.Error("a look that shows nothing new ends the state")
	}
	s.kudu.DropTable(testKey.Table)
	s.makeTable(2)
	c.outdate()
	second := mustGet(t, c)
	if second == first || !over(first) || over(second) || second.table.ID() != s.table.ID() || len(second.tablets) != 2 {
		t.Errorf("after %v: %v", first, second)
	}
	if !second.gone(first.tablets[0].ID) || second.gone(second.tablets[0].ID) {
		t.Error("gone tablets aren't told from those that are there")
	}
}

func TestWatchEndsTheStateOfADroppedTable(t *testing.T) {
	s := newStack(t)
	c := newTestCatalog(s)
	state := mustGet(t, c)
	s.kudu.DropTable(testKey.Table)
	c.outdate()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.watch(ctx, time.Millisecond)
	}()
	<-state.changed
	cancel()
	<-done
	if _, err := c.get(t.Context()); !errors.Is(err, kudu.ErrTableNotFound) || !fatal(err) {
		t.Errorf("got %v", err)
	}
}
