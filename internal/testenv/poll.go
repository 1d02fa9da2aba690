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

// dial checks that someone accepts connections at the address.
func dial(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Eventually reports whether f gave true within the time, asking it often.
func Eventually(ctx context.Context, within time.Duration, f func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return poll(ctx, 10*time.Millisecond, func(context.Context) error {
		if f() {
			return nil
		}
		return errNotYet
	}) == nil
}

var errNotYet = errors.New("not yet")
