package connector

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// TestTaskWithoutARightToItsRowsFailsUntilItIsGranted takes away the right to read
// while a task runs, and the one to read one of its columns.
func TestTaskWithoutARightToItsRowsFailsUntilItIsGranted(t *testing.T) {
	s := newStack(t)
	s.kudu.RequireAuthz(true)
	s.insert(100)
	i := s.instance(1)
	if err := i.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	steer, seen, done := newSteering(), i.observe(0), make(chan struct{})
	var runs atomic.Int64
	sup := &supervisor{
		task: 0, delayMax: i.cfg.RetryDelayMax, board: i.board, logger: i.logger, steer: steer, mended: i.askAgain, seen: seen,
		confirm: func(context.Context, func(error)) error { return nil },
		run: func(ctx context.Context, alive func(), w *waits) error {
			runs.Add(1)
			return i.runTask(ctx, 0, alive, w, seen)
		},
	}
	go func() {
		defer close(done)
		sup.supervise(ctx)
	}()
	stop := sync.OnceFunc(func() {
		cancel(errRevoked)
		<-done
		i.unobserve(0, seen)
	})
	defer stop()
	s.await(i)
	for name, rights := range map[string]*kudu.Privileges{"none": {}, "one column": {Columns: []string{"id"}}} {
		runs.Store(0)
		s.kudu.Grant(rights)
		s.insert(50)
		testenv.Await(t, time.Minute, "the task has failed", func() bool {
			tasks := i.board.snapshot("c").Tasks
			return len(tasks) == 1 && tasks[0].State == Failed
		})
		task := i.board.snapshot("c").Tasks[0]
		if !strings.Contains(task.Cause, "not authorized: ") || !strings.Contains(task.Cause, " lacks the right: Not authorized: not authorized to Scan") ||
			!strings.Contains(task.Remedy, "kudu2kafka rights") {
			t.Errorf("%s: %s; %s", name, task.Cause, task.Remedy)
		}
		if n := runs.Load(); n > refusals {
			t.Errorf("%s: %d runs", name, n)
		}
		s.kudu.Grant(nil)
		steer.restart(0)
		s.await(i)
	}
	stop()
	s.wantAll()
}
