package krpc

import (
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// ServerCall is one call as a handler sees it. It is answered once: by Reply,
// Fail, FailUnsupported, ReplyRaw, Drop or CloseConn; what comes after the
// first answer does nothing and returns an error.
type ServerCall struct {
	Service, Method string
	Features        []uint32
	RequestID       *pb.RequestIdPB
	// Timeout is the time that the client has left; 0 if it gave none.
	Timeout time.Duration
	// User is who the client said to be, Authn how.
	User  string
	Authn AuthnType
	// CallID is needed for frames made by hand, see ReplyRaw.
	CallID int32
	// Body is the encoded request. It is valid until the handler returns.
	Body []byte

	conn     *serverConn
	answered atomic.Bool
}

// RemoteAddr returns the client's address.
func (c *ServerCall) RemoteAddr() net.Addr { return c.conn.raw.RemoteAddr() }

// Unmarshal decodes the request; m shares no memory with Body.
func (c *ServerCall) Unmarshal(m proto.Message) error { return proto.Unmarshal(c.Body, m) }

// Reply answers with a message (nil means an empty one) and sidecars.
func (c *ServerCall) Reply(msg proto.Message, sidecars ...[]byte) error {
	buf, err := buildResponse(c.CallID, false, msg, sidecars)
	if err != nil {
		return fmt.Errorf("encoding the response to %s: %w", c.Method, err)
	}
	defer buf.release()
	return c.answer(buf.b)
}

// Fail answers with an error frame. Unlike a real server's, the connection
// stays open after fatal codes: CloseConn ends it.
func (c *ServerCall) Fail(code pb.ErrorStatusPB_RpcErrorCodePB, message string) error {
	b, err := EncodeError(c.CallID, code, message, nil)
	if err != nil {
		return err
	}
	return c.answer(b)
}

// FailUnsupported refuses the call because of feature flags that the server
// does not know.
func (c *ServerCall) FailUnsupported(features ...uint32) error {
	b, err := EncodeError(c.CallID, pb.ErrorStatusPB_ERROR_INVALID_REQUEST, "unsupported feature flags", features)
	if err != nil {
		return err
	}
	return c.answer(b)
}

// ReplyRaw sends b as it is, length prefix included: for malformed answers.
// EncodeResponse and EncodeError make well-formed ones to start from.
func (c *ServerCall) ReplyRaw(b []byte) error { return c.answer(b) }

// Drop leaves the call without an answer for ever.
func (c *ServerCall) Drop() { c.answered.Store(true) }

// CloseConn cuts the connection.
func (c *ServerCall) CloseConn() {
	c.answered.Store(true)
	c.conn.shut()
}

func (c *ServerCall) answer(b []byte) error {
	if c.answered.Swap(true) {
		return fmt.Errorf("answering %s: it was answered before", c.Method)
	}
	return c.conn.write(b)
}

// EncodeResponse returns the whole frame of a response.
func EncodeResponse(callID int32, msg proto.Message, sidecars ...[]byte) ([]byte, error) {
	buf, err := buildResponse(callID, false, msg, sidecars)
	if err != nil {
		return nil, err
	}
	defer buf.release()
	return slices.Clone(buf.b), nil
}

// EncodeError returns the whole frame of an error response.
func EncodeError(callID int32, code pb.ErrorStatusPB_RpcErrorCodePB, message string, unsupported []uint32) ([]byte, error) {
	buf, err := buildResponse(callID, true, &pb.ErrorStatusPB{
		Message:                 &message,
		Code:                    &code,
		UnsupportedFeatureFlags: unsupported,
	}, nil)
	if err != nil {
		return nil, err
	}
	defer buf.release()
	return slices.Clone(buf.b), nil
}

// maxResponseBytes is the format's own limit; servers have no lower one.
const maxResponseBytes = 1<<31 - 1 - lengthBytes

func buildResponse(callID int32, isError bool, msg proto.Message, sidecars [][]byte) (*buffer, error) {
	mainBytes := 0
	if msg != nil {
		mainBytes = proto.Size(msg)
	}
	var scratch [256]byte
	header := appendResponseHeader(scratch[:0], callID, isError, mainBytes, sidecars)
	return buildFrame(header, msg, sidecars, maxResponseBytes)
}
