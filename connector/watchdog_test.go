package connector

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

const testBound = 2 * time.Minute

// watchRuns supervises a task whose runs are run, with the bound, until the
// test's body has ended.
func watchRuns(t *testing.T, run func(ctx context.Context, w *waits) error, body func(b *statusBoard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		board := newStatusBoard()
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan struct{})
		sup := &supervisor{
			task: 3, delayMax: time.Second, board: board, logger: hclog.NewNullLogger(), bound: testBound,
			confirm: func(context.Context, func(error)) error { return nil },
			run: func(ctx context.Context, _ func(), w *waits) error {
				board.setTask(3, Running, nil)
				return run(ctx, w)
			},
		}
		go func() { defer close(done); sup.supervise(ctx) }()
		body(board)
		cancel(errRevoked)
		<-done
	})
}

func taskState(b *statusBoard) TaskStatus {
	synctest.Wait()
	return b.snapshot("c").Tasks[0]
}

func TestRunThatStandsStillIsEndedAndRepeated(t *testing.T) {
	var runs atomic.Int32
	watchRuns(t, func(ctx context.Context, w *waits) error {
		if runs.Add(1) == 1 {
			defer w.begin("an answer that never comes").end()
			<-ctx.Done()
			time.Sleep(time.Minute) // it takes its time to end
			var stalled *stalledError
			if !errors.As(context.Cause(ctx), &stalled) {
				t.Errorf("the run was ended because of %v", context.Cause(ctx))
			}
			return nil
		}
		return untilStopped(ctx)
	}, func(b *statusBoard) {
		time.Sleep(testBound - time.Second)
		if got := taskState(b); got.State != Running {
			t.Errorf("before the bound the task is %+v", got)
		}
		time.Sleep(testBound / 4)
		got := taskState(b)
		if got.State != Restarting || !strings.Contains(got.Cause, "waiting for an answer that never comes") {
			t.Errorf("while the run ends the task is %+v", got)
		}
		time.Sleep(2 * time.Minute)
		if got := taskState(b); got.State != Running || runs.Load() != 2 {
			t.Errorf("after the restart, with %d runs, the task is %+v", runs.Load(), got)
		}
	})
}

func TestRunWithoutAnythingToDoIsLeftAlone(t *testing.T) {
	var runs atomic.Int32
	watchRuns(t, func(ctx context.Context, w *waits) error {
		runs.Add(1)
		for range 100 {
			poll := w.begin("a poll")
			time.Sleep(time.Second)
			poll.end()
			if pause(ctx, testBound) != nil {
				break
			}
		}
		return nil
	}, func(b *statusBoard) {
		time.Sleep(20 * testBound)
		if got := taskState(b); got.State != Running || runs.Load() != 1 {
			t.Errorf("after %d runs the task is %+v", runs.Load(), got)
		}
	})
}

func TestWaitThatBringsSomethingBeginsAnew(t *testing.T) {
	var runs atomic.Int32
	watchRuns(t, func(ctx context.Context, w *waits) error {
		runs.Add(1)
		var answers atomic.Uint64
		defer w.beginCounted("a scan that passes over many rows", answers.Load).end()
		for range 20 {
			if pause(ctx, testBound/2) != nil {
				return nil
			}
			answers.Add(1)
		}
		<-ctx.Done()
		return nil
	}, func(b *statusBoard) {
		time.Sleep(10 * testBound)
		if got := taskState(b); got.State != Running || runs.Load() != 1 {
			t.Errorf("after %d runs the task is %+v", runs.Load(), got)
		}
		time.Sleep(2 * testBound)
		if taskState(b); runs.Load() != 2 {
			t.Errorf("%d runs, though the scan brings nothing any more", runs.Load())
		}
	})
}
