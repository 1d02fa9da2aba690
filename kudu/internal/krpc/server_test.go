package krpc

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// serveBytes lets a server read input and then end of file, and drops what it
// answers.
func serveBytes(srv *Server, input []byte) error {
	client, server := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- srv.ServeConn(server) }()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, client)
	}()
	_, _ = client.Write(input)
	client.Close()
	<-drained
	return <-served
}

func TestServerRefusesBadPreambles(t *testing.T) {
	srv := NewServer(ServerOptions{}, echo)
	for _, preamble := range []string{"hrpc\x08\x00\x00", "GET / H", "\x16\x03\x01\x00\x00\x00\x00"} {
		if err := serveBytes(srv, []byte(preamble)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v", preamble, err)
		}
	}
	addr, _ := listen(t, ServerOptions{}, echo)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("hrpc\x07\x00\x00")); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("connection was not reset: %v", err)
	}
}

func TestServerGivesUpStalledClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		start := time.Now()
		if err := NewServer(ServerOptions{}, echo).ServeConn(server); !errors.Is(err, ErrNegotiationTimeout) {
			t.Errorf("got %v", err)
		}
		if time.Since(start) != 3*time.Second {
			t.Errorf("after %v", time.Since(start))
		}
	})
}

func TestServerEndsConnectionsWithBrokenRequests(t *testing.T) {
	v := vectors(t)
	start := append([]byte{}, v["preamble"]...)
	for _, name := range []string{"negotiate", "sasl-initiate", "connection-context"} {
		start = append(start, v[name]...)
	}
	srv := NewServer(ServerOptions{MaxFrameBytes: 1000}, func(context.Context, *ServerCall) { t.Error("a call came") })
	for name, tail := range map[string]string{
		"oversized":    "\x00\x10\x00\x00",
		"garbage":      "\x00\x00\x00\x04\x09\x09\x09\x09",
		"header":       "\x00\x00\x00\x03\x01\xff\x00",
		"side outside": "\x00\x00\x00\x07\x05\x18\x01\x80\x01\x09\x00",
	} {
		if err := serveBytes(srv, append(start[:len(start):len(start)], tail...)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := serveBytes(srv, start); err != nil {
		t.Errorf("a client that leaves: %v", err)
	}
}

func TestServerCallIsAnsweredOnce(t *testing.T) {
	errs := make(chan error, 1)
	srv := NewServer(ServerOptions{}, func(_ context.Context, call *ServerCall) {
		switch call.Method {
		case "Cut":
			call.CloseConn()
		default:
			_ = call.Reply(nil)
		}
		errs <- call.Fail(pb.ErrorStatusPB_ERROR_APPLICATION, "again")
	})
	c := connect(t, "pipe", overPipe(t, srv))
	if _, err := c.Call(testContext(t), request("Twice", ""), nil); err != nil {
		t.Error(err)
	}
	if <-errs == nil {
		t.Error("the second answer was sent")
	}
	_, err := c.Call(testContext(t), request("Cut", ""), nil)
	var te *TransportError
	if !errors.As(err, &te) || !te.Sent {
		t.Errorf("got %v", err)
	}
	<-errs
}

func TestServerBoundsTheCallsOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running := make(chan struct{}, 10)
		release := make(chan struct{})
		srv := NewServer(ServerOptions{MaxCalls: 2}, func(_ context.Context, call *ServerCall) {
			running <- struct{}{}
			<-release
			_ = call.Reply(nil)
		})
		c := connect(t, "pipe", overPipe(t, srv))
		done := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := c.Call(context.Background(), request("Wait", ""), nil)
				done <- err
			}()
		}
		synctest.Wait()
		if len(running) != 2 {
			t.Errorf("%d calls run at a time", len(running))
		}
		close(release)
		for range 5 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestServeAfterCloseReturnsAtOnce(t *testing.T) {
	srv := NewServer(ServerOptions{}, echo)
	srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	client, server := net.Pipe()
	defer client.Close()
	if err := srv.ServeConn(server); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}
