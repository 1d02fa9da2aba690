package kudu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Class tells what an error asks for. It is found with errors.As on *Error, or
// with ClassOf.
type Class int

const (
	// ClassFatal: trying again gives the same answer.
	ClassFatal Class = iota
	// ClassRetry: the server is busy or not ready; back off, ask it again.
	ClassRetry
	// ClassReconnect: the connection broke; the server may be there again.
	ClassReconnect
	// ClassRelocate: this server doesn't serve the tablet (any more), or isn't
	// the leader; find out who does.
	ClassRelocate
	// ClassReauth: a token is missing or expired; get a new one.
	ClassReauth
)

func (c Class) String() string {
	return [...]string{"fatal", "retry", "reconnect", "relocate", "reauthenticate"}[c]
}

// Conditions that callers tell apart with errors.Is.
var (
	// ErrTableNotFound: no table has this name or id; a dropped table that was
	// opened before gives it too.
	ErrTableNotFound = errors.New("table not found")
	// ErrTableReplaced: the table was dropped and another one has its name.
	ErrTableReplaced = errors.New("another table has the name now")
	// ErrTabletNotFound: the tablet is gone, its range partition or table was
	// dropped.
	ErrTabletNotFound = errors.New("tablet not found")
	// ErrSchemaChanged: the projection doesn't fit the tablet's current schema.
	// Open the table again.
	ErrSchemaChanged = errors.New("the table's schema has changed")
	// ErrSnapshotTooOld: the snapshot lies before the ancient history mark.
	ErrSnapshotTooOld = errors.New("snapshot is older than the history that Kudu keeps")
	// ErrScannerExpired: the server no longer has the scanner.
	ErrScannerExpired = errors.New("scanner expired")
	// ErrNotResumable: an unordered scan broke after rows were handed out.
	ErrNotResumable = errors.New("an unordered scan can't go on after a failure")
	// ErrMalformed: a peer's bytes break the protocol.
	ErrMalformed = errors.New("malformed answer")
	// ErrNoPartition: no range partition of the table covers the row.
	ErrNoPartition = errors.New("no range partition covers the row")
	// ErrOutcomeUnknown: a write was sent and no answer tells whether it was
	// carried out. Read the rows to find out.
	ErrOutcomeUnknown = errors.New("outcome of the write is unknown")
	// ErrAlreadyPresent: the row to be inserted, or the table to be created,
	// exists.
	ErrAlreadyPresent = errors.New("already present")
	// ErrRowNotFound: the row to be updated or deleted doesn't exist.
	ErrRowNotFound = errors.New("row not found")
	// ErrNotAuthorized: the server knows who this client is, and that it may not
	// do this. The error that wraps it names the user.
	ErrNotAuthorized = errors.New("not authorized")
	// ErrImmutable: an update would change a column that can't be changed.
	ErrImmutable = errors.New("column is immutable")
	// ErrClosed: the client or the scanner was closed.
	ErrClosed = errors.New("closed")
)

// Error is what every operation of this package fails with. Fields that don't
// apply are empty.
type Error struct {
	Op     string // what was being done, in gerund: "scanning"
	Addr   string // host:port of the server that answered, or didn't
	Table  string // table name
	Tablet string // tablet id
	Code   string // the protocol's name of the code, such as TABLET_NOT_FOUND
	Class  Class  // what to do about it
	// Sent is false when no byte of the request can have reached the server, so
	// that even a write may be sent again.
	Sent bool
	Err  error // the cause: a condition of this package, or a server's text
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Table != "" {
		fmt.Fprintf(&b, " table %q", e.Table)
	}
	if e.Tablet != "" {
		fmt.Fprintf(&b, " tablet %s", e.Tablet)
	}
	if e.Addr != "" {
		fmt.Fprintf(&b, " at %s", e.Addr)
	}
	b.WriteString(": ")
	if e.Code != "" {
		b.WriteString(e.Code)
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%v", e.Err)
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// SafeToRetry reports whether the operation may be done again without a
// doubled effect: reads always, writes when nothing of them was sent.
func (e *Error) SafeToRetry() bool { return e.Class != ClassFatal && !e.Sent }

// ClassOf is the class of the error, wrapped or not. Errors from elsewhere,
// and a done context, are fatal.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassFatal
}

// Retriable reports whether the error may pass with time.
func Retriable(err error) bool { return ClassOf(err) != ClassFatal }

// Status codes (AppStatusPB.ErrorCode in kudu-1.18.1
// src/kudu/common/wire_protocol.proto) that this package looks at.
const (
	statusNotFound           = 1
	statusAlreadyPresent     = 6
	statusNotAuthorized      = 10
	statusIllegalState       = 9
	statusAborted            = 11
	statusServiceUnavailable = 13
	statusTimedOut           = 14
	statusImmutable          = 20
)

var statusNames = map[int32]string{
	0: "OK", 1: "NOT_FOUND", 2: "CORRUPTION", 3: "NOT_SUPPORTED", 4: "INVALID_ARGUMENT", 5: "IO_ERROR",
	6: "ALREADY_PRESENT", 7: "RUNTIME_ERROR", 8: "NETWORK_ERROR", 9: "ILLEGAL_STATE", 10: "NOT_AUTHORIZED",
	11: "ABORTED", 12: "REMOTE_ERROR", 13: "SERVICE_UNAVAILABLE", 14: "TIMED_OUT", 15: "UNINITIALIZED",
	16: "CONFIGURATION_ERROR", 17: "INCOMPLETE", 18: "END_OF_FILE", 19: "CANCELLED", 20: "IMMUTABLE",
	999: "UNKNOWN_ERROR",
}

// Codes of a tablet server (TabletServerErrorPB.Code in kudu-1.18.1
// src/kudu/tserver/tserver.proto).
const (
	tsUnknown          = 1
	tsInvalidSchema    = 2
	tsMismatchedSchema = 5
	tsTabletNotFound   = 6
	tsScannerExpired   = 7
	tsInvalidScanSpec  = 8
	tsNewerSchema      = 11
	tsTabletNotRunning = 12
	tsInvalidSnapshot  = 13
	tsInvalidScanSeq   = 14
	tsNotTheLeader     = 15
	tsWrongServerUUID  = 16
	tsThrottled        = 19
	tsTabletFailed     = 20
	tsNotAuthorized    = 21
)

var tserverCodeNames = map[int32]string{
	1: "UNKNOWN_ERROR", 2: "INVALID_SCHEMA", 3: "INVALID_ROW_BLOCK", 4: "INVALID_MUTATION",
	5: "MISMATCHED_SCHEMA", 6: "TABLET_NOT_FOUND", 7: "SCANNER_EXPIRED", 8: "INVALID_SCAN_SPEC",
	9: "INVALID_CONFIG", 10: "TABLET_ALREADY_EXISTS", 11: "TABLET_HAS_A_NEWER_SCHEMA",
	12: "TABLET_NOT_RUNNING", 13: "INVALID_SNAPSHOT", 14: "INVALID_SCAN_CALL_SEQ_ID", 15: "NOT_THE_LEADER",
	16: "WRONG_SERVER_UUID", 17: "CAS_FAILED", 18: "ALREADY_INPROGRESS", 19: "THROTTLED", 20: "TABLET_FAILED",
	21: "NOT_AUTHORIZED", 22: "TXN_ILLEGAL_STATE", 23: "TXN_OP_ALREADY_APPLIED", 24: "TXN_LOCKED_ABORT",
	25: "TXN_LOCKED_RETRY_OP",
}

// Codes of a master (MasterErrorPB.Code in kudu-1.18.1
// src/kudu/master/master.proto).
const (
	masterTableNotFound  = 3
	masterTablePresent   = 4
	masterNotInitialized = 6
	masterNotTheLeader   = 7
	masterNotRunning     = 9
	masterSoftDeleted    = 16
)

var masterCodeNames = map[int32]string{
	1: "UNKNOWN_ERROR", 2: "INVALID_SCHEMA", 3: "TABLE_NOT_FOUND", 4: "TABLE_ALREADY_PRESENT",
	5: "TOO_MANY_TABLETS", 6: "CATALOG_MANAGER_NOT_INITIALIZED", 7: "NOT_THE_LEADER",
	8: "REPLICATION_FACTOR_TOO_HIGH", 9: "TABLET_NOT_RUNNING", 10: "EVEN_REPLICATION_FACTOR",
	11: "ILLEGAL_REPLICATION_FACTOR", 12: "INCOMPATIBLE_REPLICA_MANAGEMENT", 13: "HIVE_METASTORE_ERROR",
	14: "NOT_AUTHORIZED", 15: "MASTER_ALREADY_PRESENT", 16: "TABLE_SOFT_DELETED",
}

func nameOf(names map[int32]string, code int32) string {
	if n, ok := names[code]; ok {
		return n
	}
	return fmt.Sprintf("code %d", code)
}

// serverText is the status of a server's error as an error value.
func serverText(st *pb.AppStatusPB) error {
	return fmt.Errorf("%s: %s", nameOf(statusNames, st.GetCode()), st.GetMessage())
}

// masterError makes an Error of what a master answered.
func masterError(op, addr string, e *pb.MasterErrorPB) *Error {
	code, st := e.GetCode(), e.GetStatus()
	out := &Error{Op: op, Addr: addr, Code: nameOf(masterCodeNames, code), Sent: true, Err: serverText(st)}
	switch {
	case code == masterTableNotFound || code == masterSoftDeleted:
		out.Err = fmt.Errorf("%w: %s", ErrTableNotFound, st.GetMessage())
	case code == masterTablePresent:
		out.Err = fmt.Errorf("%w: %s", ErrAlreadyPresent, st.GetMessage())
	case code == masterNotTheLeader || code == masterNotInitialized:
		out.Class = ClassRelocate
	case code == masterNotRunning || st.GetCode() == statusServiceUnavailable || st.GetCode() == statusTimedOut:
		out.Class = ClassRetry
	}
	return out
}

// tserverError makes an Error of what a tablet server answered.
func tserverError(op, addr string, e *pb.TabletServerErrorPB) *Error {
	code, st := e.GetCode(), e.GetStatus()
	out := &Error{Op: op, Addr: addr, Code: nameOf(tserverCodeNames, code), Sent: true, Err: serverText(st)}
	switch code {
	case tsTabletNotFound, tsWrongServerUUID, tsTabletFailed, tsTabletNotRunning, tsNotTheLeader:
		out.Class = ClassRelocate
	case tsScannerExpired, tsInvalidScanSeq:
		out.Class, out.Err = ClassRetry, fmt.Errorf("%w: %s", ErrScannerExpired, st.GetMessage())
	case tsMismatchedSchema, tsInvalidSchema, tsNewerSchema:
		out.Err = fmt.Errorf("%w: %s", ErrSchemaChanged, st.GetMessage())
	case tsInvalidSnapshot:
		// One code for three causes; the server's text tells them apart
		// (kudu-1.18.1 src/kudu/tserver/tablet_service.cc).
		if strings.Contains(st.GetMessage(), "ancient history mark") {
			out.Err = fmt.Errorf("%w: %s", ErrSnapshotTooOld, st.GetMessage())
		}
	case tsThrottled:
		out.Class = ClassRetry
	default:
		switch st.GetCode() {
		case statusServiceUnavailable, statusTimedOut:
			out.Class = ClassRetry
		case statusIllegalState, statusAborted:
			// A follower refuses a write this way.
			out.Class = ClassRelocate
		}
	}
	return out
}

// rpcRefusal shows the text of a call error alone: Error has the rest.
type rpcRefusal struct{ *krpc.CallError }

func (r *rpcRefusal) Error() string { return r.Message }
func (r *rpcRefusal) Unwrap() error { return r.CallError }

// callError makes an Error of a call that brought no answer of its method: the
// RPC layer refused it, or the connection broke.
func callError(op, addr string, err error) *Error {
	out := &Error{Op: op, Addr: addr, Err: err, Sent: true}
	var ce *krpc.CallError
	var te *krpc.TransportError
	switch {
	case errors.As(err, &ce):
		out.Code = ce.Code.String()
		out.Err = &rpcRefusal{ce}
		switch ce.Code {
		case pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY, pb.ErrorStatusPB_ERROR_UNAVAILABLE:
			out.Class = ClassRetry
		case pb.ErrorStatusPB_FATAL_SERVER_SHUTTING_DOWN:
			out.Class = ClassRelocate
		case pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN,
			pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN:
			out.Class = ClassReauth
		}
	case errors.As(err, &te):
		out.Class, out.Sent = ClassReconnect, te.Sent
	}
	// Running out of this call's own time says that the server is slow or
	// stands still; the caller's context is looked at by the retry loop.
	if errors.Is(err, context.DeadlineExceeded) {
		out.Class, out.Code = ClassReconnect, "TIMED_OUT"
	}
	// Whoever reads a scan would take it for its end. A caller's dialer may bring it.
	if errors.Is(err, io.EOF) {
		out.Err = errors.New(err.Error())
	}
	return out
}

// denied reports whether a server refuses for want of a right. Servers say it in
// several ways (kudu-1.18.1): for methods by --user_acl, in
// src/kudu/server/server_base.cc; for rows, in src/kudu/tserver/tablet_service.cc;
// for tables, in src/kudu/master/authz_provider.h.
func (e *Error) denied() bool {
	switch e.Code {
	case "NOT_AUTHORIZED", "FATAL_UNAUTHORIZED":
		return true
	case "ERROR_APPLICATION":
		return strings.HasPrefix(e.Err.Error(), "Not authorized: ")
	}
	return strings.HasPrefix(e.Err.Error(), nameOf(statusNames, statusNotAuthorized)+": ")
}
