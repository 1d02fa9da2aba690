package krpc

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Preamble of a connection: magic, version 9, service class, authentication
// protocol. Servers ignore the last two (src/kudu/rpc/constants.cc).
const preamble = "hrpc\x09\x00\x00"

// Call ids that are not calls (src/kudu/rpc/constants.h).
const (
	negotiateCallID = -33 // frames of the negotiation
	contextCallID   = -3  // the connection context
)

const (
	// DefaultMaxFrameBytes bounds what a client accepts in one frame. Servers
	// limit requests to 50 MiB, but send larger responses.
	DefaultMaxFrameBytes = 256 << 20
	// ServerMaxFrameBytes is the size of the largest request that a server
	// takes by default (--rpc_max_message_size); a larger one makes it reset
	// the connection.
	ServerMaxFrameBytes = 50 << 20
	// MaxSidecars is the protocol's limit per message
	// (TransferLimits::kMaxSidecars).
	MaxSidecars = 10_000

	// maxHeaderBytes is enough for MaxSidecars offsets with their tags.
	maxHeaderBytes = 128 << 10
	// maxNegotiationFrame is generous for a TLS flight with long chains.
	maxNegotiationFrame = 1 << 20
	// eagerBytes is allocated on the word of a peer that has sent nothing yet.
	eagerBytes = 64 << 10

	lengthBytes = 4
)

// frame is one message as it came. header and body are views into buf.
type frame struct {
	buf          *buffer
	header, body []byte
}

// frameReader reads frames of at most max bytes. It does not read ahead: after
// next returns, no byte beyond the frame has been taken from r.
type frameReader struct {
	r       io.Reader
	max     int
	largest int // length of the longest frame that arrived whole
	length  [lengthBytes]byte
}

// next reads one frame; the caller owns frame.buf. io.EOF means that the
// stream ended between two frames; io.ErrUnexpectedEOF, inside one.
func (fr *frameReader) next() (frame, error) {
	if _, err := io.ReadFull(fr.r, fr.length[:]); err != nil {
		return frame{}, err
	}
	n := int64(binary.BigEndian.Uint32(fr.length[:]))
	if n > int64(fr.max) {
		return frame{}, fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrFrameTooLarge, n, fr.max)
	}
	buf, err := fr.fill(int(n))
	if err != nil {
		return frame{}, err
	}
	f := frame{buf: buf}
	if f.header, f.body, err = splitFrame(buf.b); err != nil {
		buf.release()
		return frame{}, err
	}
	fr.largest = max(fr.largest, int(n))
	return f, nil
}

// fill reads n bytes. Memory is set aside for as many bytes as the peer has
// proved to send: the largest frame so far, or what has arrived of this one,
// doubled. A peer that claims 256 MiB and sends nothing costs 64 KiB.
func (fr *frameReader) fill(n int) (*buffer, error) {
	buf := getBuffer(min(n, max(eagerBytes, fr.largest)))
	for got := 0; ; {
		m, err := io.ReadFull(fr.r, buf.b[got:])
		if err != nil {
			buf.release()
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if got += m; got == n {
			return buf, nil
		}
		larger := getBuffer(min(n, 2*got))
		copy(larger.b, buf.b)
		buf.release()
		buf = larger
	}
}

// splitFrame takes apart what follows the length: header and body, each with
// its own varint length. The two must fill the frame exactly.
func splitFrame(b []byte) (header, body []byte, err error) {
	header, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return nil, nil, malformed("header length: %v", protowire.ParseError(n))
	}
	if len(header) > maxHeaderBytes {
		return nil, nil, malformed("header of %d bytes", len(header))
	}
	body, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		return nil, nil, malformed("body length: %v", protowire.ParseError(m))
	}
	if rest := len(b) - n - m; rest != 0 {
		return nil, nil, malformed("%d bytes behind the body", rest)
	}
	return header, body, nil
}

// buildFrame puts a frame together: header, message (nil means empty) and
// sidecars. The caller owns the buffer.
func buildFrame(header []byte, msg proto.Message, sidecars [][]byte, limit int) (*buffer, error) {
	msgBytes := 0
	if msg != nil {
		msgBytes = proto.Size(msg)
	}
	bodyBytes := msgBytes
	for _, s := range sidecars {
		bodyBytes += len(s)
	}
	n := protowire.SizeBytes(len(header)) + protowire.SizeBytes(bodyBytes)
	if n > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d may be sent", ErrFrameTooLarge, n, limit)
	}
	buf := getBuffer(lengthBytes + n)
	b := binary.BigEndian.AppendUint32(buf.b[:0], uint32(n))
	b = protowire.AppendBytes(b, header)
	b = protowire.AppendVarint(b, uint64(bodyBytes))
	if msg != nil {
		var err error
		if b, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(b, msg); err != nil {
			buf.release()
			return nil, err
		}
	}
	for _, s := range sidecars {
		b = append(b, s...)
	}
	if len(b) != lengthBytes+n {
		// Only a message that is changed while it is being sent gets here.
		buf.release()
		return nil, fmt.Errorf("message %T changed while it was encoded", msg)
	}
	buf.b = b
	return buf, nil
}

// Field numbers of RequestHeader and ResponseHeader
// (src/kudu/rpc/rpc_header.proto).
const (
	requestCallID       protowire.Number = 3
	requestMethod       protowire.Number = 6
	methodService       protowire.Number = 1
	methodName          protowire.Number = 2
	requestTimeout      protowire.Number = 10
	requestFeatureFlags protowire.Number = 11
	requestRequestID    protowire.Number = 15

	responseCallID         protowire.Number = 1
	responseIsError        protowire.Number = 2
	responseSidecarOffsets protowire.Number = 3
)

// appendRequestHeader encodes the header by hand: it is written for each call,
// and the generated message would cost half a dozen allocations. req is nil
// for frames of the negotiation; timeoutMillis 0 leaves the timeout out.
func appendRequestHeader(b []byte, id int32, req *Request, timeoutMillis uint32) ([]byte, error) {
	b = protowire.AppendTag(b, requestCallID, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(id)))
	if req == nil {
		return b, nil
	}
	b = protowire.AppendTag(b, requestMethod, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(methodService)+protowire.SizeBytes(len(req.Service))+
		protowire.SizeTag(methodName)+protowire.SizeBytes(len(req.Method))))
	b = protowire.AppendTag(b, methodService, protowire.BytesType)
	b = protowire.AppendString(b, req.Service)
	b = protowire.AppendTag(b, methodName, protowire.BytesType)
	b = protowire.AppendString(b, req.Method)
	if timeoutMillis > 0 {
		b = protowire.AppendTag(b, requestTimeout, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(timeoutMillis))
	}
	for _, f := range req.Features {
		b = protowire.AppendTag(b, requestFeatureFlags, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(f))
	}
	if req.RequestID != nil {
		id, err := proto.Marshal(req.RequestID)
		if err != nil {
			return nil, fmt.Errorf("encoding request id: %w", err)
		}
		b = protowire.AppendTag(b, requestRequestID, protowire.BytesType)
		b = protowire.AppendBytes(b, id)
	}
	return b, nil
}

// responseHeader is a decoded ResponseHeader.
type responseHeader struct {
	callID  int32
	isError bool
	offsets []uint32 // of the sidecars, from the first byte of the body
}

// parseResponseHeader decodes b. Offsets are appended to scratch[:0].
func parseResponseHeader(b []byte, scratch []uint32) (responseHeader, error) {
	h := responseHeader{offsets: scratch[:0]}
	hasID := false
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return h, malformed("response header: %v", protowire.ParseError(n))
		}
		b = b[n:]
		switch {
		case num == responseCallID && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			h.callID, hasID = int32(v), true
			if int64(h.callID) != int64(v) {
				return h, malformed("call id %d", int64(v))
			}
		case num == responseIsError && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			h.isError = v != 0
		case num == responseSidecarOffsets && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			if err := h.addOffset(v); err != nil {
				return h, err
			}
		case num == responseSidecarOffsets && typ == protowire.BytesType: // packed
			var packed []byte
			packed, n = protowire.ConsumeBytes(b)
			for len(packed) > 0 {
				v, m := protowire.ConsumeVarint(packed)
				if m < 0 {
					return h, malformed("sidecar offsets: %v", protowire.ParseError(m))
				}
				if err := h.addOffset(v); err != nil {
					return h, err
				}
				packed = packed[m:]
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return h, malformed("response header field %d: %v", num, protowire.ParseError(n))
		}
		b = b[n:]
	}
	if !hasID {
		return h, malformed("response header without call id")
	}
	return h, nil
}

// addOffset appends v if it continues the list in order.
func (h *responseHeader) addOffset(v uint64) error {
	if len(h.offsets) == MaxSidecars {
		return malformed("more than %d sidecars", MaxSidecars)
	}
	if v > 1<<31 {
		return malformed("sidecar offset %d", v)
	}
	if k := len(h.offsets); k > 0 && v < uint64(h.offsets[k-1]) {
		return malformed("sidecar offset %d behind %d", v, h.offsets[k-1])
	}
	h.offsets = append(h.offsets, uint32(v))
	return nil
}

// check tells whether the sidecars lie inside the body.
func (h *responseHeader) check(body []byte) error {
	if k := len(h.offsets); k > 0 && int64(h.offsets[k-1]) > int64(len(body)) {
		return malformed("sidecar offset %d in a body of %d bytes", h.offsets[k-1], len(body))
	}
	return nil
}

// mainMessage returns the part of the body in front of the sidecars.
func mainMessage(body []byte, offsets []uint32) []byte {
	if len(offsets) == 0 {
		return body
	}
	return body[:offsets[0]:offsets[0]]
}

// appendResponseHeader is the server's counterpart of parseResponseHeader.
// mainBytes is the size of the main message.
func appendResponseHeader(b []byte, id int32, isError bool, mainBytes int, sidecars [][]byte) []byte {
	b = protowire.AppendTag(b, responseCallID, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(id)))
	if isError {
		b = protowire.AppendTag(b, responseIsError, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	offset := mainBytes
	for _, s := range sidecars {
		b = protowire.AppendTag(b, responseSidecarOffsets, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(offset))
		offset += len(s)
	}
	return b
}
