package krpc

import (
	"errors"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

var (
	// ErrClosed is the cause of failure of a connection, pool or server that
	// was closed on this side.
	ErrClosed = errors.New("connection closed")
	// ErrClosedByServer is the cause of failure of a connection that ended between two
	// frames. It is not io.EOF, which says of what is read that it has come to its end,
	// while calls in flight have failed.
	ErrClosedByServer = errors.New("the server closed the connection")
	// ErrMalformed marks bytes that do not follow the protocol.
	ErrMalformed = errors.New("malformed frame")
	// ErrFrameTooLarge marks a frame beyond the limit of its direction.
	ErrFrameTooLarge = errors.New("frame too large")
	// ErrNegotiationTimeout tells that a server took longer than
	// Options.NegotiationTimeout to connect and negotiate. It is not a
	// context error: the caller's context may have time left.
	ErrNegotiationTimeout = errors.New("negotiation timed out")
	// ErrNoCommonAuthentication tells that the server asks for a way of
	// authentication that the client was not given.
	ErrNoCommonAuthentication = errors.New("no common way of authentication")
	// ErrNoCredentials tells that no authenticator could take part.
	ErrNoCredentials = errors.New("no credentials to authenticate with")
	// ErrTLSUnavailable tells that TLS is required here, and the server does
	// not offer it.
	ErrTLSUnavailable = errors.New("server does not offer TLS")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// CallError is an error frame: the server answered, and the call failed on the
// level of RPC. Errors that concern tables come inside response messages.
type CallError struct {
	Addr string
	// Method is the method's name, or "negotiation".
	Method  string
	Code    pb.ErrorStatusPB_RpcErrorCodePB
	Message string
	// UnsupportedFeatures are the required feature flags that the server does
	// not know (with ERROR_INVALID_REQUEST).
	UnsupportedFeatures []uint32
}

func (e *CallError) Error() string {
	s := fmt.Sprintf("%s on %s: %s: %s", e.Method, e.Addr, e.Code, e.Message)
	if len(e.UnsupportedFeatures) > 0 {
		s += fmt.Sprintf(" (unsupported features %v)", e.UnsupportedFeatures)
	}
	return s
}

// Fatal tells whether the connection is closed after such an error.
func (e *CallError) Fatal() bool {
	switch e.Code {
	case pb.ErrorStatusPB_FATAL_UNKNOWN,
		pb.ErrorStatusPB_FATAL_SERVER_SHUTTING_DOWN,
		pb.ErrorStatusPB_FATAL_INVALID_RPC_HEADER,
		pb.ErrorStatusPB_FATAL_DESERIALIZING_REQUEST,
		pb.ErrorStatusPB_FATAL_VERSION_MISMATCH,
		pb.ErrorStatusPB_FATAL_UNAUTHORIZED,
		pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN,
		pb.ErrorStatusPB_FATAL_INVALID_JWT:
		return true
	}
	return false
}

// TransportError tells that a call, or a dial, ended without an answer: the
// connection failed, its context ended (then it wraps the context's error), or
// the answer made no sense (then it wraps ErrMalformed).
type TransportError struct {
	Addr string
	// Method is the method's name; "connect" or "negotiation" for a dial.
	Method string
	// Sent tells whether any byte of the call may have reached the server. If
	// not, the call can be repeated whatever it does.
	Sent bool
	Err  error
}

func (e *TransportError) Error() string {
	sent := ""
	if e.Sent {
		sent = " (sent, outcome unknown)"
	}
	return fmt.Sprintf("%s on %s: %v%s", e.Method, e.Addr, e.Err, sent)
}

func (e *TransportError) Unwrap() error { return e.Err }
