package krpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.ClosingShared(m)) }

// vectors reads testdata/vectors.txt.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	name := ""
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "):
			b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
			if err != nil {
				t.Fatal(err)
			}
			out[name] = append(out[name], b...)
		default:
			name = strings.TrimSpace(line)
		}
	}
	return out
}

// testContext ends a test that hangs.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// listen starts a server on a free port of the loopback. It has more patience than
// by default with clients that negotiate: this machine may be slow.
func listen(t testing.TB, opts ServerOptions, h Handler) (addr string, srv *Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts.NegotiationTimeout = max(opts.NegotiationTimeout, time.Minute)
	srv = NewServer(opts, h)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String(), srv
}

// connect dials addr and closes the connection with the test.
func connect(t testing.TB, addr string, opts Options) *Conn {
	t.Helper()
	c, err := Dial(testContext(t), addr, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// overPipe makes options that reach srv through a net.Pipe.
func overPipe(t testing.TB, srv *Server) Options {
	t.Helper()
	t.Cleanup(func() { srv.Close() })
	return Options{User: "alice", Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		srv.wg.Go(func() { srv.serveConn(server) })
		return client, nil
	}}
}

// script is a server made by hand: f gets the server's end of a pipe.
func script(t testing.TB, f func(nc net.Conn)) Options {
	t.Helper()
	return Options{User: "alice", Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			f(server)
		}()
		t.Cleanup(func() {
			client.Close()
			<-done
		})
		return client, nil
	}}
}

// negotiated is a script that begins behind a plain negotiation.
func negotiated(t testing.TB, f func(nc net.Conn, frames *frameReader)) Options {
	t.Helper()
	return script(t, func(nc net.Conn) {
		srv := NewServer(ServerOptions{}, nil)
		c := &serverConn{server: srv, raw: nc, stream: nc, done: make(chan struct{})}
		if err := c.negotiate(context.Background()); err != nil {
			t.Errorf("negotiating: %v", err)
			return
		}
		f(nc, &frameReader{r: nc, max: ServerMaxFrameBytes})
	})
}

// nextCall reads a request and returns its header.
func nextCall(t testing.TB, frames *frameReader) *pb.RequestHeader {
	f, err := frames.next()
	if err != nil {
		t.Errorf("reading a request: %v", err)
		return &pb.RequestHeader{}
	}
	defer f.buf.release()
	var h pb.RequestHeader
	if err := proto.Unmarshal(f.header, &h); err != nil {
		t.Errorf("request header: %v", err)
	}
	return &h
}

// message wraps bytes into some message of the protocol; contents takes them
// out again.
func message(b []byte) *pb.JwtRawPB { return &pb.JwtRawPB{JwtData: b} }
func contents(t testing.TB, m *pb.JwtRawPB, want string) {
	t.Helper()
	if !bytes.Equal(m.GetJwtData(), []byte(want)) {
		t.Errorf("got %q, want %q", m.GetJwtData(), want)
	}
}

func request(method string, body string) *Request {
	return &Request{Service: TabletServerService, Method: method, Body: message([]byte(body))}
}

// echo answers with the request's own message.
func echo(_ context.Context, call *ServerCall) {
	var m pb.JwtRawPB
	if err := call.Unmarshal(&m); err != nil {
		_ = call.Fail(pb.ErrorStatusPB_ERROR_INVALID_REQUEST, err.Error())
		return
	}
	_ = call.Reply(&m)
}
