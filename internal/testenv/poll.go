package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// permanentError ends poll at once.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// permanent marks an error that trying again will not mend.
func permanent(err error) error { return permanentError{err} }

// poll calls try until it succeeds, returns a permanent error, or ctx ends;
// then the error holds the last attempt's.
func poll(ctx context.Context, interval time.Duration, try func(context.Context) error) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		err := try(ctx)
		var final permanentError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.error
		}
		timer.Reset(interval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// Await looks until ok reports true, more and more seldom; the test fails when it
// doesn't within that time. It is for what no signal announces. The last look begins
// when the time is over: a process that wasn't run for that long has seen nothing.
func Await(tb TB, within time.Duration, what string, ok func() bool) {
	tb.Helper()
	const most = 100 * time.Millisecond
	deadline := time.Now().Add(within)
	for wait := time.Millisecond; ; wait = min(2*wait, most) {
		late := time.Now().After(deadline)
		if ok() {
			return
		}
		if late {
			tb.Fatalf("not within %v: %s", within, what)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-tb.Context().Done():
			timer.Stop()
			tb.Fatalf("the test ended before: %s", what)
		}
	}
}

// dial checks that someone accepts connections at the address.
func dial(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Eventually reports whether f gave true within the time, asking it often, and once
// more when the time is over.
func Eventually(ctx context.Context, within time.Duration, f func() bool) bool {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if poll(limited, 10*time.Millisecond, func(context.Context) error {
		if f() {
			return nil
		}
		return errNotYet
	}) == nil {
		return true
	}
	return ctx.Err() == nil && f()
}

var errNotYet = errors.New("not yet")
