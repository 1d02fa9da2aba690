package kudufake

import (
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Status codes: AppStatusPB.ErrorCode in kudu-1.18.1
// src/kudu/common/wire_protocol.proto.
const (
	stNotFound           = 1
	stCorruption         = 2
	stNotSupported       = 3
	stInvalidArgument    = 4
	stAlreadyPresent     = 6
	stIllegalState       = 9
	stAborted            = 11
	stServiceUnavailable = 13
	stTimedOut           = 14
	stImmutable          = 20
)

// Codes of tablet servers: TabletServerErrorPB.Code in kudu-1.18.1
// src/kudu/tserver/tserver.proto.
const (
	tsUnknownError     = 1
	tsInvalidSchema    = 2
	tsMismatchedSchema = 5
	tsTabletNotFound   = 6
	tsScannerExpired   = 7
	tsInvalidScanSpec  = 8
	tsTabletNotRunning = 12
	tsInvalidSnapshot  = 13
	tsInvalidScanSeqID = 14
	tsThrottled        = 19
)

// Codes of masters: MasterErrorPB.Code in src/kudu/master/master.proto.
const (
	mUnknownError        = 1
	mInvalidSchema       = 2
	mTableNotFound       = 3
	mTableAlreadyPresent = 4
	mNotTheLeader        = 7
	mReplicationTooHigh  = 8
	mTabletNotRunning    = 9
	mEvenReplication     = 10
	mIllegalReplication  = 11
)

// Roles of replicas and masters: RaftPeerPB.Role in
// src/kudu/consensus/metadata.proto.
const (
	replicaFollower int32 = 0
	replicaLeader   int32 = 1
)

// failure is how a call is refused: by an error frame, or by the error field
// of its response.
type failure struct {
	rpc    pb.ErrorStatusPB_RpcErrorCodePB // of the frame; UNKNOWN for an application error
	code   int32                           // of the error field
	status int32
	text   string
}

func (f *failure) Error() string {
	return fmt.Sprintf("rpc %s, code %d, status %d: %s", f.rpc, f.code, f.status, f.text)
}

// appFailure refuses in the response's error field.
func appFailure(code, status int32, format string, args ...any) *failure {
	return &failure{code: code, status: status, text: fmt.Sprintf(format, args...)}
}

// rpcFailure refuses in an error frame.
func rpcFailure(code pb.ErrorStatusPB_RpcErrorCodePB, format string, args ...any) *failure {
	return &failure{rpc: code, text: fmt.Sprintf(format, args...)}
}

// withCode is a failure of a lower layer, which knows the status alone, with
// the code that its caller gives it.
func (f *failure) withCode(code int32) *failure {
	if f == nil {
		return nil
	}
	out := *f
	out.code = code
	return &out
}

func (f *failure) statusPB() *pb.AppStatusPB {
	return &pb.AppStatusPB{Code: &f.status, Message: &f.text}
}

// badArgument is what most layers complain about; the caller adds a code.
func badArgument(format string, args ...any) *failure {
	return appFailure(0, stInvalidArgument, format, args...)
}
