package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// FatalError is a failure that trying again can't mend: the task stays FAILED
// until somebody acts on what it says.
type FatalError struct{ Err error }

func (e *FatalError) Error() string { return e.Err.Error() }

// Unwrap gives the failure itself.
func (e *FatalError) Unwrap() error { return e.Err }

// Reasons why a task's run is cut short from outside, as the cause of its
// context.
var (
	// errRevoked: the partition is asked for by the group, or the worker stops.
	// What is open is finished first.
	errRevoked = errors.New("the task is given up")
	// errLost: the group doesn't count this worker as the owner any more. Another
	// one may have the task, or the group can't be reached.
	errLost = errors.New("the task's ownership was lost: another worker has it, or the group's coordinator can't be reached")
)

// errReload ends a task's run without blame: the next one reads the positions
// anew.
type errReload struct {
	outcome outcome
	err     error
}

func (e *errReload) Error() string {
	return fmt.Sprintf("transaction %s: %v", e.outcome, e.err)
}

func (e *errReload) Unwrap() error { return e.err }

// fatal reports whether a failure of a task is worth another try.
func fatal(err error) bool {
	var f *FatalError
	var unreadable *offsets.UnreadableError
	var unfit *offsets.UnfitTopicError
	switch {
	case errors.As(err, &f), errors.As(err, &unreadable), errors.As(err, &unfit):
		return true
	case errors.Is(err, kafka.ErrFenced):
		return false // whether this worker still owns the task is looked at first
	case errors.Is(err, kafka.ErrPermanent), errors.Is(err, kudu.ErrTableNotFound):
		return true
	}
	var e *kudu.Error
	if errors.As(err, &e) && e.Class == kudu.ClassFatal {
		// These don't depend on which server is asked, or when. FATAL_UNAUTHORIZED may:
		// tablet servers say it of a column that was dropped, too.
		return e.Code == "NOT_AUTHORIZED" || e.Code == "INVALID_SCAN_SPEC" ||
			errors.Is(err, kudu.ErrNotAuthorized) && e.Code != "FATAL_UNAUTHORIZED"
	}
	return false
}

// passing are failures that Kudu's client can't mend within one scan, and that
// a new run does: it looks at the table anew, and at a new snapshot.
var passing = []error{
	kudu.ErrTabletNotFound, kudu.ErrSchemaChanged, kudu.ErrSnapshotTooOld, kudu.ErrNotResumable,
	kudu.ErrScannerExpired, kudu.ErrClosed, kudu.ErrOutcomeUnknown, context.Canceled, context.DeadlineExceeded,
}

// refused reports whether Kudu's client sees no use in trying again, or Kafka
// refuses this worker's configuration. A damaged disk or a garbled answer looks like
// that too, and so does a broker that hasn't read its users yet, so another run gets
// its chance, but not for ever.
func refused(err error) bool {
	if errors.Is(err, kafka.ErrRefused) {
		return true
	}
	var e *kudu.Error
	if !errors.As(err, &e) || e.Class != kudu.ClassFatal {
		return false
	}
	return !slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) })
}
