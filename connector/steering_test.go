package connector

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPausedTaskEndsItsRunAndBeginsAnotherWhenResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes []error
		s, steer := superviseSteered(t, func(_ int, ctx context.Context, _ func()) error {
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			return nil
		})
		synctest.Wait()
		steer.pause(true)
		s.wantState(Paused, "")
		if len(causes) != 1 || !errors.Is(causes[0], errPaused) {
			t.Errorf("the run ended with %v", causes)
		}
		steer.restart(3) // stays paused
		s.wantState(Paused, "")
		steer.pause(false)
		synctest.Wait()
		if len(s.runs) != 2 {
			t.Errorf("%d runs, want 2", len(s.runs))
		}
		s.stop()
	})
}

func TestTaskThatIsGivenUpWhilePausedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, steer := superviseSteered(t, func(_ int, ctx context.Context, _ func()) error { return untilStopped(ctx) })
		steer.pause(true)
		s.wantState(Paused, "")
		s.stop()
	})
}

func TestRestartBeginsATaskAnewWhateverItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, steer := superviseSteered(t, func(n int, ctx context.Context, _ func()) error {
			switch n {
			case 0:
				return untilStopped(ctx)
			case 1:
				return errPassing
			case 2:
				return &FatalError{errors.New("no such column")}
			}
			return untilStopped(ctx)
		})
		synctest.Wait()
		steer.restart(4) // another task
		synctest.Wait()
		if len(s.runs) != 1 {
			t.Fatalf("%d runs", len(s.runs))
		}
		steer.restart(3)
		s.wantState(Restarting, "no answer")
		began := time.Now()
		steer.restart(3) // cuts the pause before the next try short
		s.wantState(Failed, "no such column")
		if time.Since(began) > 0 {
			t.Errorf("waited %v", time.Since(began))
		}
		steer.pause(true) // what has failed stays so
		s.wantState(Failed, "no such column")
		steer.pause(false)
		steer.restart(3)
		synctest.Wait()
		if len(s.runs) != 4 || s.mended != 3 {
			t.Errorf("%d runs, want 4; what was remembered is dropped %d times, want 3", len(s.runs), s.mended)
		}
		s.stop()
	})
}

func TestARestartThatComesWhileARunFailsIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steer *steering
		s, _ := superviseSteered(t, func(n int, ctx context.Context, _ func()) error {
			if n == 0 {
				steer.restart(3)
				return &FatalError{errors.New("no such column")}
			}
			return untilStopped(ctx)
		}, func(s *steering) { steer = s })
		synctest.Wait()
		if len(s.runs) != 2 {
			t.Errorf("%d runs, want 2", len(s.runs))
		}
		s.stop()
	})
}
