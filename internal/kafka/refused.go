package kafka

import (
	"errors"
	"fmt"
	"net"
)

// Verdict says what would mend a connection that was refused.
type Verdict int

const (
	// Unclear: it may be that the broker is about to stop. Worth another try.
	Unclear Verdict = iota
	// Passing: files that this program reads anew, the broker's certificate, a
	// clock or another server must change, and then it works by itself.
	Passing
	// Lasting: only another configuration of the worker or of the user's account
	// mends it.
	Lasting
)

// ErrRefused is the class of a *RefusedError of the verdict Lasting.
var ErrRefused = errors.New("the connection is refused")

// RefusedError is a connection that the broker, or this side, doesn't go on with,
// for what one of them shows or doesn't show of itself.
type RefusedError struct {
	Broker  string // host:port; empty when it doesn't matter which
	Key     string // of the worker's configuration
	What    string
	Remedy  string
	Verdict Verdict
	Err     error // the cause, may be nil; not part of the text
}

func (e *RefusedError) Error() string { return e.Problem() + "; " + e.Remedy }

// Problem is the text without the remedy.
func (e *RefusedError) Problem() string {
	if e.Broker == "" {
		return "connecting to Kafka: " + e.What
	}
	return fmt.Sprintf("connecting to Kafka broker %s: %s", e.Broker, e.What)
}

// Is finds the class.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused && e.Verdict == Lasting }

// dialed is the error as the client gets it: what may pass by another try, or at
// another broker, it takes for a broker that can't be reached.
func (e *RefusedError) dialed() error {
	if e.Verdict == Unclear {
		return &net.OpError{Op: "dial", Net: "tcp", Err: e}
	}
	return e
}

// Refused gives the *RefusedError in err's chain, or nil.
func Refused(err error) *RefusedError {
	refused, _ := errors.AsType[*RefusedError](err)
	return refused
}
