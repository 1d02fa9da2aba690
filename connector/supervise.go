package connector

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// The pause before a failed task is run again: it doubles from the first to
// errors.retry.delay.max.ms.
const firstRestartPause = 200 * time.Millisecond

// refusals is how many runs in a row may end with what Kudu's client calls fatal
// before the task is FAILED. With the pauses between them that takes about a
// minute, in which a server's restart is over.
const refusals = 8

// supervisor runs one task again and again while this worker owns it.
type supervisor struct {
	task     int32
	delayMax time.Duration
	board    *statusBoard
	logger   hclog.Logger
	// confirm makes sure that this worker still owns the task. It reports why that
	// takes long.
	confirm func(ctx context.Context, waiting func(error)) error
	// run is one life of the task. It reports progress through alive, and what it
	// waits for in waits.
	run func(ctx context.Context, alive func(), waits *waits) error
	// steer is what an operator wants of the task; may be nil.
	steer *steering
	// mended is called when an operator restarts the task: what has kept it from
	// running may be mended, and waits for that are over. May be nil.
	mended func()
	// bound is how long a run may wait for one thing before it is ended; 0: for
	// ever.
	bound time.Duration
	seen  observed
}

// watched is one run, ended when it stands still. Its error is then a
// *stalledError, unless ctx has ended or nothing else would come of another run.
func (s *supervisor) watched(ctx context.Context, alive func()) error {
	runCtx, cancel := context.WithCancelCause(ctx)
	present := &waits{}
	var watching sync.WaitGroup
	if s.bound > 0 {
		watching.Go(func() {
			watchdog(runCtx, present, s.bound, func(err *stalledError) {
				s.logger.Warn("task stands still; its run is ended", "error", err)
				// It may take its time to end, or never do so.
				s.board.setTask(s.task, Restarting, err)
				cancel(err)
			})
		})
	}
	err := s.run(runCtx, alive, present)
	cancel(nil)
	watching.Wait()
	var stalled *stalledError
	if ctx.Err() == nil && !fatal(err) && errors.As(context.Cause(runCtx), &stalled) {
		return stalled
	}
	return err
}

// supervise returns when ctx ends, and the task's run has ended with it.
func (s *supervisor) supervise(ctx context.Context) {
	defer s.board.setTask(s.task, Unassigned, nil)
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(firstRestartPause, s.delayMax)),
		backoff.WithMaxInterval(s.delayMax),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // as long as the task is ours
	)
	s.board.setTask(s.task, Restoring, nil)
	waiting := func(err error) {
		s.logger.Warn("task waits for the group", "error", err)
		s.board.setTask(s.task, Restarting, err)
	}
	refusedRuns := 0
	_, known, _ := s.steer.look(s.task)
	alive := func() {
		refusedRuns = 0
		pace.Reset()
	}
	for {
		restarts, err := s.steer.admit(ctx, s.task, func() {
			s.logger.Info("task is paused")
			s.board.setTask(s.task, Paused, nil)
		})
		if err != nil {
			return
		}
		if restarts != known && s.mended != nil {
			s.mended()
		}
		known = restarts
		runCtx, release := s.steer.steered(ctx, s.task, restarts)
		// I3: only an owner may fence.
		err = s.confirm(runCtx, waiting)
		if err == nil {
			err = s.watched(runCtx, alive)
		}
		steered := release()
		switch {
		case ctx.Err() != nil:
			s.ended(context.Cause(ctx), err)
			return
		case steered != nil:
			s.ended(steered, err)
			alive()
			s.board.setTask(s.task, Restarting, nil)
			continue
		}
		s.seen.task().Restart(causeOf(err))
		if errors.Is(err, errChanged) {
			s.logger.Info("the table has changed; the task takes it up anew")
			s.board.setTask(s.task, Restoring, nil)
			continue
		}
		if refused(err) {
			refusedRuns++
		} else {
			refusedRuns = 0
		}
		if fatal(err) || refusedRuns == refusals {
			s.logger.Error("task failed", "error", err)
			s.board.setTask(s.task, Failed, err)
			if s.steer.hold(ctx, s.task, restarts, 0) != nil {
				return
			}
			s.logger.Info("failed task is restarted by an operator")
			alive()
			s.board.setTask(s.task, Restarting, nil)
			continue
		}
		wait := pace.NextBackOff()
		s.logger.Warn("task restarts", "in", wait.Round(time.Millisecond), "error", err)
		s.board.setTask(s.task, Restarting, err)
		if s.steer.hold(ctx, s.task, restarts, wait) != nil {
			return
		}
	}
}

// ended says how the last run went. What a run that was cut short reports is
// of interest only when it couldn't finish what it had begun.
func (s *supervisor) ended(cause, err error) {
	switch {
	case err == nil, errors.Is(err, cause), errors.Is(err, context.Canceled):
		s.logger.Debug("task ended", "cause", cause)
	case errors.Is(err, kafka.ErrFenced):
		s.logger.Info("task ended: another worker has it", "cause", cause)
	default:
		s.logger.Warn("task ended with an open transaction, which Kafka aborts", "cause", cause, "error", err)
	}
}
