package connector

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Reasons why a task's run is cut short by an operator, as the cause of its
// context. What is open is finished first.
var (
	errPaused    = errors.New("the connector is paused")
	errRestarted = errors.New("the task is restarted by an operator")
)

// steering is what an operator wants of a connector's tasks on this worker. The
// nil *steering wants nothing. Safe for concurrent use.
type steering struct {
	mu       sync.Mutex
	paused   bool
	restarts map[int32]int
	changed  chan struct{} // closed at each change, and made anew
}

func newSteering() *steering {
	return &steering{restarts: make(map[int32]int), changed: make(chan struct{})}
}

func (s *steering) pause(paused bool) {
	s.change(func() bool {
		was := s.paused
		s.paused = paused
		return was != paused
	})
}

func (s *steering) restart(task int32) {
	s.change(func() bool {
		s.restarts[task]++
		return true
	})
}

func (s *steering) change(f func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f() {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

func (s *steering) look(task int32) (paused bool, restarts int, changed <-chan struct{}) {
	if s == nil {
		return false, 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused, s.restarts[task], s.changed
}

// admit blocks while the connector is paused. It gives how often the task was asked
// to restart until now; the error is that of ctx. The first time that it has to
// wait it calls waiting.
func (s *steering) admit(ctx context.Context, task int32, waiting func()) (seen int, err error) {
	for told := false; ; told = true {
		paused, restarts, changed := s.look(task)
		if !paused || ctx.Err() != nil {
			return restarts, ctx.Err()
		}
		if !told {
			waiting()
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// hold blocks until the task is asked to restart, more often than seen. With a
// limit, it also ends after that time, or when the connector is paused.
func (s *steering) hold(ctx context.Context, task int32, seen int, limit time.Duration) error {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	for {
		paused, restarts, changed := s.look(task)
		if restarts != seen || limit > 0 && paused {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-changed:
		}
	}
}

// steered returns a context that also ends, with the cause, when the connector is
// paused or the task is asked to restart more often than seen. release says what
// ended it, nil if that wasn't an operator, and must be called.
func (s *steering) steered(ctx context.Context, task int32, seen int) (run context.Context, release func() error) {
	run, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	if s != nil {
		watching.Go(func() { s.watch(run, task, seen, cancel) })
	}
	return run, func() error {
		cancel(nil)
		watching.Wait()
		cause := context.Cause(run)
		if errors.Is(cause, errPaused) || errors.Is(cause, errRestarted) {
			return cause
		}
		return nil
	}
}

func (s *steering) watch(ctx context.Context, task int32, seen int, end context.CancelCauseFunc) {
	for {
		paused, restarts, changed := s.look(task)
		switch {
		case restarts != seen:
			end(errRestarted)
			return
		case paused:
			end(errPaused)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
