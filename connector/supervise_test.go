package connector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// supervised runs a supervisor in a bubble of time until stop is called.
type supervised struct {
	t      *testing.T
	board  *statusBoard
	cancel context.CancelCauseFunc
	done   chan struct{}
	runs   []time.Time
	mended int
}

// superviseIn starts a supervisor whose n-th run ends with outcome(n).
func superviseIn(t *testing.T, outcome func(n int, ctx context.Context, alive func()) error) *supervised {
	s, _ := superviseSteered(t, outcome)
	return s
}

// superviseSteered is superviseIn with an operator, who is shown to known first.
func superviseSteered(t *testing.T, outcome func(n int, ctx context.Context, alive func()) error, known ...func(*steering)) (*supervised, *steering) {
	steer := newSteering()
	for _, f := range known {
		f(steer)
	}
	s := &supervised{t: t, board: newStatusBoard(), done: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(context.Background())
	s.cancel = cancel
	sup := &supervisor{
		task: 3, delayMax: time.Minute, board: s.board, logger: hclog.NewNullLogger(), steer: steer,
		confirm: func(context.Context, func(error)) error { return nil },
		mended:  func() { s.mended++ },
		run: func(ctx context.Context, alive func(), _ *waits) error {
			s.runs = append(s.runs, time.Now())
			return outcome(len(s.runs)-1, ctx, alive)
		},
	}
	go func() {
		defer close(s.done)
		sup.supervise(ctx)
	}()
	return s, steer
}

func (s *supervised) stop() {
	s.cancel(errRevoked)
	<-s.done
	if got := s.board.snapshot("c"); len(got.Tasks) != 0 {
		s.t.Errorf("the task that was given up is still shown: %+v", got.Tasks)
	}
}

func (s *supervised) wantState(want State, cause string) {
	s.t.Helper()
	synctest.Wait()
	got := s.board.snapshot("c").Tasks
	if len(got) != 1 || got[0].State != want || got[0].Cause != cause {
		s.t.Errorf("the task is %+v, want %s because %q", got, want, cause)
	}
}

var errPassing = errors.New("no answer")

func untilStopped(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func TestFailedRunsAreRepeatedAfterPausesThatGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseIn(t, func(n int, ctx context.Context, _ func()) error {
			if n == 6 {
				return untilStopped(ctx)
			}
			return errPassing
		})
		s.wantState(Restarting, "no answer")
		time.Sleep(time.Minute)
		synctest.Wait()
		s.stop()
		if len(s.runs) != 7 {
			t.Fatalf("%d runs", len(s.runs))
		}
		pause := firstRestartPause
		for i := 1; i < len(s.runs); i++ {
			// The backoff draws within half of the pause, up and down.
			if d := s.runs[i].Sub(s.runs[i-1]); d < pause/2 || d > pause*3/2 {
				t.Errorf("pause %d is %v, not about %v", i, d, pause)
			}
			pause *= 2
		}
	})
}

func TestProgressMakesThePausesShortAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseIn(t, func(n int, _ context.Context, alive func()) error {
			if n >= 6 {
				alive()
			}
			return errPassing
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		s.stop()
		for i := 7; i < len(s.runs); i++ {
			if d := s.runs[i].Sub(s.runs[i-1]); d > firstRestartPause*3/2 {
				t.Fatalf("pause %d is %v though there was progress", i, d)
			}
		}
	})
}

func TestFatalFailureEndsInFailedUntilTheTaskIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseIn(t, func(int, context.Context, func()) error { return &FatalError{errors.New("no such column")} })
		s.wantState(Failed, "no such column")
		time.Sleep(time.Hour)
		s.wantState(Failed, "no such column")
		s.stop()
		if len(s.runs) != 1 {
			t.Errorf("%d runs", len(s.runs))
		}
	})
}

func TestChangedTableIsTakenUpWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := superviseIn(t, func(n int, ctx context.Context, _ func()) error {
			if n == 3 {
				return untilStopped(ctx)
			}
			return errChanged
		})
		s.wantState(Restoring, "")
		if len(s.runs) != 4 || time.Since(began) != 0 {
			t.Errorf("%d runs in %v", len(s.runs), time.Since(began))
		}
		s.stop()
	})
}

func TestWhatKuduRefusesAgainAndAgainFailsTheTask(t *testing.T) {
	refusal := &kudu.Error{Op: "scanning", Code: "UNKNOWN_ERROR", Err: kudu.ErrMalformed}
	synctest.Test(t, func(t *testing.T) {
		s := superviseIn(t, func(int, context.Context, func()) error { return refusal })
		time.Sleep(time.Hour)
		s.wantState(Failed, refusal.Error())
		s.stop()
		if len(s.runs) != refusals {
			t.Errorf("%d runs", len(s.runs))
		}
	})
	for name, mend := range map[string]func(n int, alive func()) error{
		"progress":        func(_ int, alive func()) error { alive(); return refusal },
		"another failure": func(n int, _ func()) error { return map[bool]error{true: errPassing, false: refusal}[n%refusals == 3] },
	} {
		t.Run(name+" in between", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := superviseIn(t, func(n int, _ context.Context, alive func()) error { return mend(n, alive) })
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := s.board.snapshot("c").Tasks[0]; got.State != Restarting || len(s.runs) <= refusals {
					t.Errorf("the task is %+v after %d runs", got, len(s.runs))
				}
				s.stop()
			})
		})
	}
}

func TestWaitForTheGroupIsToldInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := newStatusBoard()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		sup := &supervisor{
			task: 3, delayMax: time.Minute, board: board, logger: hclog.NewNullLogger(),
			confirm: func(ctx context.Context, waiting func(error)) error {
				waiting(errPassing)
				<-ctx.Done()
				return ctx.Err()
			},
			run: func(context.Context, func(), *waits) error {
				t.Error("the task ran without being confirmed")
				return nil
			},
		}
		go func() { defer close(done); sup.supervise(ctx) }()
		s := &supervised{t: t, board: board}
		s.wantState(Restarting, "no answer")
		cancel()
		<-done
	})
}

func TestFailuresHaveTheirClass(t *testing.T) {
	kuduError := func(class kudu.Class, code string, err error) error {
		return fmt.Errorf("wrapped: %w", &kudu.Error{Op: "scanning", Class: class, Code: code, Err: err})
	}
	text := errors.New("some text")
	for _, c := range []struct {
		name           string
		err            error
		fatal, refused bool
	}{
		{"FatalError", &FatalError{text}, true, false},
		{"unreadable position", &offsets.UnreadableError{Err: text}, true, false},
		{"unfit topic", &offsets.UnfitTopicError{}, true, false},
		{"fenced", kafka.Classify(kerr.ProducerFenced), false, false},
		{"no permission in Kafka", kafka.Classify(kerr.TopicAuthorizationFailed), true, false},
		{"broker away", kafka.Classify(kerr.NotLeaderForPartition), false, false},
		{"reload", &errReload{unknown, text}, false, false},
		{"open transaction", fmt.Errorf("x: %w", offsets.ErrOpenTransaction), false, false},
		{"table gone", kuduError(kudu.ClassFatal, "TABLE_NOT_FOUND", kudu.ErrTableNotFound), true, true},
		{"no permission in Kudu", kuduError(kudu.ClassFatal, "NOT_AUTHORIZED", text), true, true},
		{"not on the list of users", kuduError(kudu.ClassFatal, "ERROR_APPLICATION", kudu.ErrNotAuthorized), true, true},
		{"no permission for rows, or a column was dropped", kuduError(kudu.ClassFatal, "FATAL_UNAUTHORIZED", kudu.ErrNotAuthorized), false, true},
		{"not authenticated", kuduError(kudu.ClassFatal, "", kudu.ErrNotAuthenticated), false, true},
		{"no KDC", kuduError(kudu.ClassRetry, "", kudu.ErrNoKDC), false, false},
		{"bad scan", kuduError(kudu.ClassFatal, "INVALID_SCAN_SPEC", text), true, true},
		{"malformed", kuduError(kudu.ClassFatal, "", kudu.ErrMalformed), false, true},
		{"damaged disk", kuduError(kudu.ClassFatal, "UNKNOWN_ERROR", text), false, true},
		{"tablet gone", kuduError(kudu.ClassFatal, "", kudu.ErrTabletNotFound), false, false},
		{"schema changed", kuduError(kudu.ClassFatal, "MISMATCHED_SCHEMA", kudu.ErrSchemaChanged), false, false},
		{"snapshot too old", kuduError(kudu.ClassFatal, "INVALID_SNAPSHOT", kudu.ErrSnapshotTooOld), false, false},
		{"Kudu busy", kuduError(kudu.ClassRetry, "THROTTLED", text), false, false},
		{"Kudu away", kuduError(kudu.ClassReconnect, "", text), false, false},
		{"stopped", kuduError(kudu.ClassFatal, "", context.Canceled), false, false},
		{"out of time", kuduError(kudu.ClassFatal, "", context.DeadlineExceeded), false, false},
	} {
		if got := fatal(c.err); got != c.fatal {
			t.Errorf("%s: fatal %v", c.name, got)
		}
		if got := refused(c.err); got != c.refused {
			t.Errorf("%s: refused %v", c.name, got)
		}
	}
}
