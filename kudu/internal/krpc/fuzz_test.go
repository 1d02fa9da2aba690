package krpc

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func FuzzReadFrame(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		frames := frameReader{r: r, max: 1 << 20}
		for {
			before := r.Len()
			fr, err := frames.next()
			if err != nil {
				return
			}
			if n := len(fr.header) + len(fr.body); n >= before {
				t.Fatalf("a frame of %d bytes out of %d", n, before)
			}
			// What was read is written back the same, if its lengths were
			// encoded in the shortest way.
			buf, err := buildFrame(fr.header, nil, [][]byte{fr.body}, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			again := frameReader{r: bytes.NewReader(buf.b), max: 1 << 20}
			fr2, err := again.next()
			if err != nil || !bytes.Equal(fr.header, fr2.header) || !bytes.Equal(fr.body, fr2.body) {
				t.Fatalf("% x came back as % x, %v", in, buf.b, err)
			}
			buf.release()
			fr.buf.release()
			fr2.buf.release()
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	add := func(b []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(EncodeResponse(3, message([]byte("main")), []byte("one"), nil, []byte("three")))
	add(EncodeResponse(3, nil))
	add(EncodeError(3, pb.ErrorStatusPB_ERROR_INVALID_REQUEST, "no", []uint32{1, 2}))
	f.Fuzz(func(t *testing.T, in []byte) {
		frames := frameReader{r: bytes.NewReader(in), max: 1 << 20}
		fr, err := frames.next()
		if err != nil {
			return
		}
		h, err := parseResponseHeader(fr.header, nil)
		if err != nil || h.check(fr.body) != nil {
			return
		}
		main := mainMessage(fr.body, h.offsets)
		if h.isError {
			_, _ = parseCallError("fuzz", main)
		}
		p := &Payload{body: fr.body, offsets: h.offsets}
		p.buf.Store(fr.buf)
		total := len(main)
		for i := range p.NumSidecars() {
			s, err := p.Sidecar(i)
			if err != nil {
				t.Fatal(err)
			}
			total += len(s)
		}
		if total != len(fr.body) {
			t.Fatalf("message and sidecars have %d bytes of %d", total, len(fr.body))
		}
		p.Release()
	})
}

// FuzzNegotiate lets a client negotiate with a server that sends arbitrary
// bytes; then come calls.
func FuzzNegotiate(f *testing.F) {
	v := vectors(f)
	msg := func(m *pb.NegotiatePB) []byte {
		b, err := EncodeResponse(negotiateCallID, m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	success := msg(&pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum()})
	reply, err := EncodeResponse(0, message([]byte("m")), []byte("sidecar"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Join([][]byte{v["negotiate-answer"], success, reply}, nil), false)
	f.Add(append(v["negotiate-answer"], msg(&pb.NegotiatePB{Step: pb.NegotiatePB_TLS_HANDSHAKE.Enum(), TlsHandshake: []byte("\x16\x03\x03\x00\x04\x0e\x00\x00\x00")})...), true)
	f.Add(append(v["negotiate-answer"], msg(&pb.NegotiatePB{Step: pb.NegotiatePB_SASL_CHALLENGE.Enum()})...), false)
	f.Fuzz(func(t *testing.T, in []byte, useTLS bool) {
		opts := Options{
			User:          "alice",
			MaxFrameBytes: 1 << 20,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				return &byteConn{r: bytes.NewReader(in)}, nil
			},
		}
		if useTLS {
			opts.TLS = TLSOptional
			opts.TLSAuthOnly = true
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c, err := Dial(ctx, "fuzz", opts)
		if err != nil {
			return
		}
		defer c.Close()
		for range 3 {
			p, err := c.Call(ctx, request("Scan", "x"), &pb.JwtRawPB{})
			if err != nil {
				if ctx.Err() != nil {
					t.Error("a call outlived the end of the stream")
				}
				continue
			}
			for i := range p.NumSidecars() {
				if _, err := p.Sidecar(i); err != nil {
					t.Error(err)
				}
			}
			p.Release()
		}
	})
}

// FuzzServer lets a server read arbitrary bytes.
func FuzzServer(f *testing.F) {
	v := vectors(f)
	f.Add(bytes.Join([][]byte{v["preamble"], v["negotiate"], v["sasl-initiate"], v["connection-context"], v["connect-to-master"]}, nil))
	f.Add(append(v["preamble"], v["connect-to-master"]...))
	f.Fuzz(func(_ *testing.T, in []byte) {
		srv := NewServer(ServerOptions{MaxFrameBytes: 1 << 20}, echo)
		_ = srv.ServeConn(&byteConn{r: bytes.NewReader(in)})
	})
}

// byteConn is a net.Conn that reads from memory, then end of file; writes are
// dropped.
type byteConn struct {
	net.Conn // nil; answers what a test has no use for
	r        *bytes.Reader
}

func (c *byteConn) Read(b []byte) (int, error)       { return c.r.Read(b) }
func (c *byteConn) Write(b []byte) (int, error)      { return len(b), nil }
func (c *byteConn) Close() error                     { return nil }
func (c *byteConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *byteConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *byteConn) SetDeadline(time.Time) error      { return nil }
func (c *byteConn) SetWriteDeadline(time.Time) error { return nil }
