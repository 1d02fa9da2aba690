package kudufake

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Call is a call that a server received, as the functions of Control see it.
type Call struct {
	Server *Server
	// Method is the bare name: "Scan", "Write", "GetTableLocations".
	Method string
	// User is who the client said to be.
	User string
	// Timeout is the time that the client gave; 0 if none.
	Timeout time.Duration
	// N counts the calls of this method at all servers, from 0.
	N int

	request   proto.Message
	requestID *pb.RequestIdPB
	refuseRow func(row int) bool
	features  []uint32
}

// Tablet is the tablet that the call names; "" if it names none.
func (c *Call) Tablet() string {
	switch r := c.request.(type) {
	case *pb.WriteRequestPB:
		return string(r.GetTabletId())
	case *pb.ScanRequestPB:
		return string(r.GetNewScanRequest().GetTabletId())
	}
	return ""
}

// Opens tells whether the call is a Scan that opens a scanner.
func (c *Call) Opens() bool {
	r, ok := c.request.(*pb.ScanRequestPB)
	return ok && r.NewScanRequest != nil
}

// Barrier tells whether the call is a Write without rows.
func (c *Call) Barrier() bool {
	r, ok := c.request.(*pb.WriteRequestPB)
	return ok && len(r.GetRowOperations().GetRows()) == 0
}

// Continues tells whether the call is a Scan that asks an open scanner for
// more.
func (c *Call) Continues() bool {
	r, ok := c.request.(*pb.ScanRequestPB)
	return ok && r.NewScanRequest == nil && !r.GetCloseScanner()
}

// Decision says what becomes of a call. The zero value: what a sound server
// does.
type Decision struct {
	// Delay holds the call back before it is handled, DelayAnswer its answer.
	Delay, DelayAnswer time.Duration
	// Wait holds the call back before it is handled until it is closed.
	Wait <-chan struct{}

	// RPCError answers with an error frame of this code, without handling.
	RPCError int32
	// AppError answers with this code in the response's error field, and
	// AppStatus as its status, without handling. A status alone goes with the
	// code UNKNOWN_ERROR (1).
	AppError, AppStatus int32
	// Text is the message of either error.
	Text string

	// Drop handles the call, and never answers it.
	Drop bool
	// CutBefore cuts the connection instead of handling, CutAfter instead of
	// answering.
	CutBefore, CutAfter bool

	// RefuseRow says which rows of a Write are refused, by their numbers, while
	// the others are written.
	RefuseRow func(row int) bool

	// Edit may change the answer: a *pb message, to those who can name it.
	Edit func(answer proto.Message)
	// EditSidecars may change what comes with the answer.
	EditSidecars func(sidecars [][]byte) [][]byte
	// EditFrame gives the bytes that are sent instead of the answer's frame,
	// whatever they are.
	EditFrame func(frame []byte) []byte
	// Truncate sends so many bytes of the frame, and cuts the connection.
	Truncate int
}

// NameTable is an Edit of GetTableSchema: the master calls the table so.
func NameTable(name string) func(answer proto.Message) {
	return func(answer proto.Message) {
		if r, ok := answer.(*pb.GetTableSchemaResponsePB); ok && r.Error == nil {
			r.TableName = &name
		}
	}
}

func (d Decision) zero() bool { return reflect.ValueOf(d).IsZero() }

// Codes for Decision.RPCError: ErrorStatusPB.RpcErrorCodePB in kudu-1.18.1
// src/kudu/rpc/rpc_header.proto.
const (
	RPCApplication       = int32(pb.ErrorStatusPB_ERROR_APPLICATION)
	RPCServerTooBusy     = int32(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY)
	RPCInvalidRequest    = int32(pb.ErrorStatusPB_ERROR_INVALID_REQUEST)
	RPCRequestStale      = int32(pb.ErrorStatusPB_ERROR_REQUEST_STALE)
	RPCUnavailable       = int32(pb.ErrorStatusPB_ERROR_UNAVAILABLE)
	RPCShuttingDown      = int32(pb.ErrorStatusPB_FATAL_SERVER_SHUTTING_DOWN)
	RPCUnauthorized      = int32(pb.ErrorStatusPB_FATAL_UNAUTHORIZED)
	RPCInvalidAuthnToken = int32(pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN)
	RPCInvalidAuthzToken = int32(pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN)
)

// Codes for Decision.AppError, of tablet servers and of masters.
const (
	TabletNotFound        = int32(tsTabletNotFound)
	TabletNotRunning      = int32(tsTabletNotRunning)
	ScannerExpired        = int32(tsScannerExpired)
	TabletMismatchSchema  = int32(tsMismatchedSchema)
	TabletInvalidSnapshot = int32(tsInvalidSnapshot)
	MasterTabletNotReady  = int32(mTabletNotRunning)
	MasterNotTheLeader    = int32(mNotTheLeader)
	MasterTableNotFound   = int32(mTableNotFound)
)

// Statuses for Decision.AppStatus.
const (
	StatusNotFound        = int32(stNotFound)
	StatusInvalidArgument = int32(stInvalidArgument)
	StatusIllegalState    = int32(stIllegalState)
	StatusUnavailable     = int32(stServiceUnavailable)
	StatusTimedOut        = int32(stTimedOut)
)

// controls are the functions that Control installed.
type controls struct {
	mu    sync.Mutex
	calls map[string]int
	fns   []*controlFn
}

type controlFn struct {
	method string
	fn     func(*Call) Decision
}

// Control has fn see each call of a method ("" for all) before it is handled,
// and decide about it. fn may block; calls do not wait for each other. Of
// several functions the newest is asked first, until one decides something.
// remove takes fn away.
func (c *Cluster) Control(method string, fn func(*Call) Decision) (remove func()) {
	f := &controlFn{method, fn}
	c.control.mu.Lock()
	defer c.control.mu.Unlock()
	c.control.fns = append(c.control.fns, f)
	return func() {
		c.control.mu.Lock()
		defer c.control.mu.Unlock()
		c.control.fns = slices.DeleteFunc(slices.Clone(c.control.fns), func(o *controlFn) bool { return o == f })
	}
}

// Calls is the number of calls of a method so far.
func (c *Cluster) Calls(method string) int {
	c.control.mu.Lock()
	defer c.control.mu.Unlock()
	return c.control.calls[method]
}

func (c *controls) decide(call *Call) Decision {
	c.mu.Lock()
	if c.calls == nil {
		c.calls = make(map[string]int)
	}
	call.N = c.calls[call.Method]
	c.calls[call.Method]++
	fns := c.fns
	c.mu.Unlock()
	for _, f := range slices.Backward(fns) {
		if f.method != "" && f.method != call.Method {
			continue
		}
		if d := f.fn(call); !d.zero() {
			return d
		}
	}
	return Decision{}
}

// pause waits; it reports false if the connection ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answer handles a call and answers it, or whatever was decided instead.
// Errors of sending are the client's business: its connection has ended.
func (s *Server) answer(ctx context.Context, rpc *krpc.ServerCall, m method, call *Call, d Decision) {
	if d.Wait != nil {
		select {
		case <-d.Wait:
		case <-ctx.Done():
			rpc.Drop()
			return
		}
	}
	if !pause(ctx, d.Delay) {
		rpc.Drop()
		return
	}
	if d.CutBefore {
		rpc.CloseConn()
		return
	}
	if d.RPCError != 0 {
		_ = rpc.Fail(pb.ErrorStatusPB_RpcErrorCodePB(d.RPCError), d.Text)
		return
	}
	var resp proto.Message
	var sidecars [][]byte
	var f *failure
	if d.AppError != 0 || d.AppStatus != 0 {
		f = appFailure(max(d.AppError, 1), d.AppStatus, "%s", d.Text)
	} else {
		call.refuseRow = d.RefuseRow
		resp, sidecars, f = m.handle(ctx, s, call)
	}
	if f != nil && f.rpc == 0 && (f.code == tsUnknownError || f.code == tsThrottled) && f.status == stServiceUnavailable && !s.master {
		// kudu-1.18.1 src/kudu/tserver/tablet_service.cc, SetupErrorAndRespond
		f = rpcFailure(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY, "%s", f.text)
	}
	if !pause(ctx, d.DelayAnswer) || d.Drop || f == abandoned {
		rpc.Drop()
		return
	}
	if d.CutAfter {
		rpc.CloseConn()
		return
	}
	if f != nil && f.rpc != 0 {
		_ = rpc.Fail(f.rpc, f.text)
		return
	}
	if f != nil {
		resp, sidecars = m.refuse(f), nil
	}
	if d.Edit != nil {
		d.Edit(resp)
	}
	if d.EditSidecars != nil {
		sidecars = d.EditSidecars(sidecars)
	}
	if d.EditFrame == nil && d.Truncate == 0 {
		_ = rpc.Reply(resp, sidecars...)
		return
	}
	frame, err := krpc.EncodeResponse(rpc.CallID, resp, sidecars...)
	if err != nil {
		_ = rpc.Fail(pb.ErrorStatusPB_ERROR_APPLICATION, err.Error())
		return
	}
	if d.EditFrame != nil {
		frame = d.EditFrame(frame)
	}
	if d.Truncate > 0 && d.Truncate < len(frame) {
		_ = rpc.ReplyRaw(frame[:d.Truncate])
		rpc.CloseConn()
		return
	}
	_ = rpc.ReplyRaw(frame)
}

// abandoned is the failure of a call whose connection ended while it waited:
// nobody reads an answer.
var abandoned = &failure{text: "abandoned"}

// method is how one RPC is served.
type method struct {
	newRequest func() proto.Message
	handle     func(context.Context, *Server, *Call) (proto.Message, [][]byte, *failure)
	refuse     func(*failure) proto.Message
}

// serves makes a method of a handler; Q is the request message.
func serves[Q any, PQ interface {
	*Q
	proto.Message
}](handle func(context.Context, *Server, *Call, PQ) (proto.Message, [][]byte, *failure), refuse func(*failure) proto.Message) method {
	return method{
		newRequest: func() proto.Message { return PQ(new(Q)) },
		handle: func(ctx context.Context, s *Server, call *Call) (proto.Message, [][]byte, *failure) {
			return handle(ctx, s, call, call.request.(PQ))
		},
		refuse: refuse,
	}
}
