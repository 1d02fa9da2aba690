package kudu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The waits between attempts: they double from first to most, each drawn at
// random around its value, so that many clients don't come back in step.
const (
	retryFirstWait = 10 * time.Millisecond
	retryMostWait  = 2 * time.Second
)

func newBackOff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryFirstWait),
		backoff.WithMaxInterval(retryMostWait),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0), // the context bounds it
	)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retry runs the attempt until it succeeds, fails for good, or ctx ends; then
// the error names both the end and the last failure. It is this package's one
// retry loop besides the scanner's, which shares its pace.
func (c *Client) retry(ctx context.Context, op string, attempt func(context.Context) error) error {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	pace := newBackOff()
	var last error
	for {
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		if e := (*Error)(nil); ctx.Err() != nil && last != nil && !errors.As(err, &e) {
			// It only says that time was up. The attempt before knows why.
			return gaveUp(op, ctx.Err(), last)
		}
		if !Retriable(err) {
			return err
		}
		last = err
		wait := pace.NextBackOff()
		c.retrying(err)
		c.cfg.Logger.Debug("retrying", "op", op, "wait", wait, "error", err)
		if sleepErr := sleep(ctx, wait); sleepErr != nil {
			return gaveUp(op, sleepErr, err)
		}
	}
}

// retrying tells the hook that an operation goes on after a failure. A fatal one
// says that the server lacks a feature, which the next attempt does without.
func (c *Client) retrying(err error) {
	if class := ClassOf(err); class != ClassFatal {
		c.cfg.Hook.Retry(class)
	}
}

// gaveUp joins the reason for stopping with the last failure, keeping the
// failure's class.
func gaveUp(op string, stop, last error) error {
	var e *Error
	if errors.As(last, &e) {
		out := *e
		out.Err = fmt.Errorf("%w (gave up: %w)", e.Err, stop)
		return &out
	}
	return fmt.Errorf("%s: %w (last failure: %w)", op, stop, last)
}

// bound gives the context the client's time limit for one operation, unless it
// has a deadline of its own.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.OperationTimeout)
}
