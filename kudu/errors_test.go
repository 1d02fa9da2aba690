package kudu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func statusPB(code int32, message string) *pb.AppStatusPB {
	return &pb.AppStatusPB{Code: &code, Message: &message}
}

func TestTabletServersErrorsAreClassified(t *testing.T) {
	const other = 999
	for _, c := range []struct {
		code, status int32
		message      string
		class        Class
		is           error
		name         string
	}{
		{tsTabletNotFound, statusNotFound, "", ClassRelocate, nil, "TABLET_NOT_FOUND"},
		{tsTabletNotRunning, statusIllegalState, "", ClassRelocate, nil, "TABLET_NOT_RUNNING"},
		{tsNotTheLeader, statusIllegalState, "", ClassRelocate, nil, "NOT_THE_LEADER"},
		{tsWrongServerUUID, other, "", ClassRelocate, nil, "WRONG_SERVER_UUID"},
		{tsTabletFailed, other, "", ClassRelocate, nil, "TABLET_FAILED"},
		{tsScannerExpired, statusNotFound, "", ClassRetry, ErrScannerExpired, "SCANNER_EXPIRED"},
		{tsInvalidScanSeq, other, "", ClassRetry, ErrScannerExpired, "INVALID_SCAN_CALL_SEQ_ID"},
		{tsMismatchedSchema, other, "", ClassFatal, ErrSchemaChanged, "MISMATCHED_SCHEMA"},
		{tsInvalidSchema, other, "", ClassFatal, ErrSchemaChanged, "INVALID_SCHEMA"},
		{tsNewerSchema, other, "", ClassFatal, ErrSchemaChanged, "TABLET_HAS_A_NEWER_SCHEMA"},
		{tsInvalidSnapshot, other, "older than the ancient history mark", ClassFatal, ErrSnapshotTooOld, "INVALID_SNAPSHOT"},
		{tsInvalidSnapshot, other, "in the future", ClassFatal, nil, "INVALID_SNAPSHOT"},
		{tsThrottled, other, "", ClassRetry, nil, "THROTTLED"},
		{tsUnknown, statusServiceUnavailable, "", ClassRetry, nil, "UNKNOWN_ERROR"},
		{tsUnknown, statusTimedOut, "", ClassRetry, nil, "UNKNOWN_ERROR"},
		// A follower refuses writes this way, not with NOT_THE_LEADER.
		{tsUnknown, statusIllegalState, "", ClassRelocate, nil, "UNKNOWN_ERROR"},
		{tsUnknown, statusAborted, "", ClassRelocate, nil, "UNKNOWN_ERROR"},
		{tsUnknown, statusNotAuthorized, "", ClassFatal, nil, "UNKNOWN_ERROR"},
		{tsInvalidScanSpec, 4, "", ClassFatal, nil, "INVALID_SCAN_SPEC"},
		{77, other, "", ClassFatal, nil, "code 77"},
	} {
		code := c.code
		e := tserverError("scanning", "a:1", &pb.TabletServerErrorPB{Code: &code, Status: statusPB(c.status, c.message+" (text)")})
		if e.Class != c.class || e.Code != c.name || !e.Sent || e.Addr != "a:1" || e.Op != "scanning" {
			t.Errorf("%s, status %d: %+v", c.name, c.status, e)
		}
		if !strings.Contains(e.Error(), "(text)") {
			t.Errorf("%s: %v lacks the server's text", c.name, e)
		}
		for _, condition := range []error{ErrScannerExpired, ErrSchemaChanged, ErrSnapshotTooOld, ErrTableNotFound} {
			if errors.Is(e, condition) != (condition == c.is) {
				t.Errorf("%s: errors.Is %q is %v", c.name, condition, errors.Is(e, condition))
			}
		}
	}
}

func TestMastersErrorsAreClassified(t *testing.T) {
	for _, c := range []struct {
		code, status int32
		class        Class
		is           error
	}{
		{masterTableNotFound, statusNotFound, ClassFatal, ErrTableNotFound},
		{masterSoftDeleted, statusNotFound, ClassFatal, ErrTableNotFound},
		{masterNotTheLeader, statusIllegalState, ClassRelocate, nil},
		{masterNotInitialized, statusServiceUnavailable, ClassRelocate, nil},
		{masterNotRunning, statusServiceUnavailable, ClassRetry, nil},
		{1, statusServiceUnavailable, ClassRetry, nil},
		{1, statusTimedOut, ClassRetry, nil},
		{14, statusNotAuthorized, ClassFatal, nil},
		{2, 4, ClassFatal, nil},
	} {
		e := masterError("opening", "m:1", &pb.MasterErrorPB{Code: &c.code, Status: statusPB(c.status, "text")})
		if e.Class != c.class || errors.Is(e, ErrTableNotFound) != (c.is != nil) || e.Code != masterCodeNames[c.code] {
			t.Errorf("code %d, status %d: %+v", c.code, c.status, e)
		}
	}
}

func TestFailedCallsAreClassified(t *testing.T) {
	refused := func(code pb.ErrorStatusPB_RpcErrorCodePB) error {
		return fmt.Errorf("wrapped: %w", &krpc.CallError{Code: code, Message: "text"})
	}
	for _, c := range []struct {
		err   error
		class Class
		sent  bool
		code  string
	}{
		{refused(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY), ClassRetry, true, "ERROR_SERVER_TOO_BUSY"},
		{refused(pb.ErrorStatusPB_ERROR_UNAVAILABLE), ClassRetry, true, "ERROR_UNAVAILABLE"},
		{refused(pb.ErrorStatusPB_FATAL_SERVER_SHUTTING_DOWN), ClassRelocate, true, "FATAL_SERVER_SHUTTING_DOWN"},
		{refused(pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN), ClassReauth, true, "ERROR_INVALID_AUTHORIZATION_TOKEN"},
		{refused(pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN), ClassReauth, true, "FATAL_INVALID_AUTHENTICATION_TOKEN"},
		{refused(pb.ErrorStatusPB_FATAL_UNAUTHORIZED), ClassFatal, true, "FATAL_UNAUTHORIZED"},
		{refused(pb.ErrorStatusPB_ERROR_NO_SUCH_METHOD), ClassFatal, true, "ERROR_NO_SUCH_METHOD"},
		{refused(pb.ErrorStatusPB_ERROR_INVALID_REQUEST), ClassFatal, true, "ERROR_INVALID_REQUEST"},
		{&krpc.TransportError{Err: io.EOF}, ClassReconnect, false, ""},
		{&krpc.TransportError{Err: io.EOF, Sent: true}, ClassReconnect, true, ""},
		{&krpc.TransportError{Err: context.DeadlineExceeded, Sent: true}, ClassReconnect, true, "TIMED_OUT"},
		{context.DeadlineExceeded, ClassReconnect, true, "TIMED_OUT"},
		{errors.New("our own bug"), ClassFatal, true, ""},
	} {
		e := callError("scanning", "a:1", c.err)
		if e.Class != c.class || e.Sent != c.sent || e.Code != c.code {
			t.Errorf("%v: %+v", c.err, e)
		}
		if ClassOf(fmt.Errorf("outside: %w", e)) != c.class || Retriable(e) != (c.class != ClassFatal) {
			t.Errorf("%v: class of the wrapped error is %v", c.err, ClassOf(e))
		}
		if errors.Is(e, io.EOF) {
			t.Errorf("%v: a scan's reader would take it for the end", c.err)
		}
		if e.SafeToRetry() != (c.class != ClassFatal && !c.sent) {
			t.Errorf("%v: safe to retry is %v", c.err, e.SafeToRetry())
		}
	}
	if ClassOf(context.Canceled) != ClassFatal || ClassOf(nil) != ClassFatal {
		t.Error("errors from elsewhere are not fatal")
	}
}

func TestErrorsTellTheirFacts(t *testing.T) {
	e := &Error{Op: "scanning", Table: "orders", Tablet: "ab12", Addr: "h:7050", Code: "TABLET_FAILED", Err: errors.New("disk")}
	if got, want := e.Error(), `scanning table "orders" tablet ab12 at h:7050: TABLET_FAILED: disk`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e = &Error{Op: "opening", Err: ErrTableNotFound}
	if got, want := e.Error(), "opening: table not found"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	named := withTable(fmt.Errorf("x: %w", &Error{Op: "calling", Class: ClassRetry, Err: ErrClosed}), "opening", "orders")
	if ClassOf(named) != ClassRetry || !errors.Is(named, ErrClosed) || !strings.Contains(named.Error(), `opening table "orders"`) {
		t.Errorf("%v", named)
	}
	for c, want := range map[Class]string{ClassFatal: "fatal", ClassRetry: "retry", ClassReconnect: "reconnect", ClassRelocate: "relocate", ClassReauth: "reauthenticate"} {
		if c.String() != want {
			t.Errorf("class %d is called %s, want %s", c, c, want)
		}
	}
}

func TestRefusalsForWantOfARightNameTheUser(t *testing.T) {
	c, err := New(Config{Masters: []string{"a"}, User: "mallory"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	status := func(code int32) *pb.AppStatusPB {
		return &pb.AppStatusPB{Code: new(code), Message: new("unauthorized action")}
	}
	refused := func(code pb.ErrorStatusPB_RpcErrorCodePB, text string) *Error {
		return callError("scanning", "a:1", &krpc.CallError{Code: code, Message: text})
	}
	for _, e := range []*Error{
		refused(pb.ErrorStatusPB_ERROR_APPLICATION, "Not authorized: unauthorized access to method: Ping"),
		refused(pb.ErrorStatusPB_FATAL_UNAUTHORIZED, "Not authorized: not authorized to Scan"),
		masterError("opening", "a:1", &pb.MasterErrorPB{Code: new(int32(14)), Status: status(statusNotAuthorized)}),
		masterError("opening", "a:1", &pb.MasterErrorPB{Code: new(int32(1)), Status: status(statusNotAuthorized)}),
		tserverError("scanning", "a:1", &pb.TabletServerErrorPB{Code: new(int32(tsNotAuthorized)), Status: status(statusNotAuthorized)}),
	} {
		class := e.Class
		if got := c.told(e); !errors.Is(got, ErrNotAuthorized) || got.Class != class || !strings.Contains(got.Error(), "mallory lacks the right: ") {
			t.Errorf("got %v", got)
		}
	}
	for _, e := range []*Error{
		refused(pb.ErrorStatusPB_ERROR_APPLICATION, "Illegal state: no"),
		refused(pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN, "Not authorized: authz token verification failure: token expired"),
		tserverError("scanning", "a:1", &pb.TabletServerErrorPB{Code: new(int32(tsThrottled)), Status: status(statusServiceUnavailable)}),
	} {
		if got := c.told(e); errors.Is(got, ErrNotAuthorized) || strings.Contains(got.Error(), "mallory") {
			t.Errorf("got %v", got)
		}
	}
}
