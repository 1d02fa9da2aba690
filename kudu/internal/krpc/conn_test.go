package krpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func TestServerSeesTheWholeRequest(t *testing.T) {
	type seen struct {
		service, method, user string
		features              []uint32
		id                    *pb.RequestIdPB
		timeout               time.Duration
		body                  string
	}
	got := make(chan seen, 1)
	addr, _ := listen(t, ServerOptions{}, func(_ context.Context, call *ServerCall) {
		var m pb.JwtRawPB
		if err := call.Unmarshal(&m); err != nil {
			t.Error(err)
		}
		got <- seen{call.Service, call.Method, call.User, call.Features, call.RequestID, call.Timeout, string(m.JwtData)}
		_ = call.Reply(nil)
	})
	c := connect(t, addr, Options{User: "bob"})
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := c.Call(ctx, &Request{
		Service: TabletServerService, Method: "Write", Features: []uint32{1, 300},
		RequestID: &pb.RequestIdPB{ClientId: new("abc"), SeqNo: new(int64(7)), FirstIncompleteSeqNo: new(int64(5)), AttemptNo: new(int64(1))},
		Body:      message([]byte("hello")),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Release()
	s := <-got
	end, _ := ctx.Deadline()
	left := time.Until(end) // less than when the call was sent
	if s.service != TabletServerService || s.method != "Write" || s.user != "bob" || s.body != "hello" ||
		len(s.features) != 2 || s.features[1] != 300 || s.id.GetSeqNo() != 7 || s.id.GetClientId() != "abc" ||
		s.timeout < left.Truncate(time.Millisecond) || s.timeout > patience {
		t.Errorf("server saw %+v, %v were left", s, left)
	}
}

func TestManyCallsShareOneConnection(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, echo)
	c := connect(t, addr, Options{})
	ctx := testContext(t)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 50 {
				text := fmt.Sprintf("%d/%d", g, i)
				var m pb.JwtRawPB
				p, err := c.Call(ctx, request("Echo", text), &m)
				if err != nil {
					t.Error(err)
					return
				}
				p.Release()
				contents(t, &m, text)
			}
		})
	}
	wg.Wait()
}

func TestResponsesComeInAnyOrder(t *testing.T) {
	const n = 8
	var mu sync.Mutex
	var waiting []chan struct{}
	addr, _ := listen(t, ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		turn := make(chan struct{})
		mu.Lock()
		waiting = append(waiting, turn)
		if len(waiting) == n {
			close(waiting[n-1]) // the last call is answered first
		}
		mine := len(waiting) - 1
		mu.Unlock()
		<-turn
		echo(ctx, call)
		if mine > 0 {
			close(waiting[mine-1])
		}
	})
	c := connect(t, addr, Options{})
	ctx := testContext(t)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var m pb.JwtRawPB
			if _, err := c.Call(ctx, request("Echo", fmt.Sprint(i)), &m); err != nil {
				t.Error(err)
			}
			contents(t, &m, fmt.Sprint(i))
		})
	}
	wg.Wait()
}

func TestSidecarsAreViewsUntilReleased(t *testing.T) {
	want := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("x"), 100_000), {}}
	addr, _ := listen(t, ServerOptions{}, func(_ context.Context, call *ServerCall) {
		_ = call.Reply(message([]byte("main")), want...)
	})
	c := connect(t, addr, Options{})
	var m pb.JwtRawPB
	p, err := c.Call(testContext(t), request("Scan", ""), &m)
	if err != nil {
		t.Fatal(err)
	}
	contents(t, &m, "main")
	if p.NumSidecars() != len(want) {
		t.Fatalf("got %d sidecars", p.NumSidecars())
	}
	for i, w := range want {
		if got, err := p.Sidecar(i); err != nil || !bytes.Equal(got, w) || cap(got) != len(got) {
			t.Errorf("sidecar %d: %d bytes, %v", i, len(got), err)
		}
	}
	for _, i := range []int{-1, len(want), math.MaxInt} {
		if _, err := p.Sidecar(i); err == nil {
			t.Errorf("sidecar %d exists", i)
		}
	}
	p.Release()
	p.Release()
	if _, err := p.Sidecar(0); err == nil {
		t.Error("a released payload gave out a sidecar")
	}
	var none *Payload
	none.Release()
	if _, err := none.Sidecar(0); err == nil || none.NumSidecars() != 0 {
		t.Error("a nil payload has sidecars")
	}
}

func TestErrorFramesBecomeCallErrors(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		switch call.Method {
		case "Features":
			_ = call.FailUnsupported(4, 99)
		case "Silent":
		case "Fatal":
			_ = call.Fail(pb.ErrorStatusPB_FATAL_UNAUTHORIZED, "go away")
		case "Wait":
			<-ctx.Done()
		default:
			_ = call.Fail(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY, "later")
		}
	})
	c := connect(t, addr, Options{})
	ctx := testContext(t)
	expect := func(method string, code pb.ErrorStatusPB_RpcErrorCodePB) *CallError {
		t.Helper()
		_, err := c.Call(ctx, request(method, ""), nil)
		var ce *CallError
		if !errors.As(err, &ce) || ce.Code != code || ce.Addr != addr || ce.Method != method {
			t.Fatalf("%s: got %v", method, err)
		}
		return ce
	}
	expect("Any", pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY)
	expect("Silent", pb.ErrorStatusPB_ERROR_APPLICATION)
	if ce := expect("Features", pb.ErrorStatusPB_ERROR_INVALID_REQUEST); len(ce.UnsupportedFeatures) != 2 {
		t.Errorf("got %v", ce.UnsupportedFeatures)
	}
	if c.Err() != nil {
		t.Fatalf("connection ended: %v", c.Err())
	}
	other := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, request("Wait", ""), nil)
		other <- err
	}()
	waitFor(t, func() bool { return inFlight(c) == 1 })
	expect("Fatal", pb.ErrorStatusPB_FATAL_UNAUTHORIZED)
	<-c.Done()
	err := <-other
	var te *TransportError
	var ce *CallError
	if !errors.As(err, &te) || errors.As(err, &ce) {
		t.Errorf("the other call got %v", err)
	}
}

// inFlight counts the calls that the writer has taken.
func inFlight(c *Conn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, cl := range c.calls {
		if cl.sent {
			n++
		}
	}
	return n
}

// waitFor polls for a state that no signal announces.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	testenv.Await(t, time.Minute, "the condition is met", cond)
}

func TestLateResponseToACancelledCallIsDropped(t *testing.T) {
	cancelled, answered := make(chan struct{}), make(chan struct{})
	addr, _ := listen(t, ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		if call.Method == "Slow" {
			close(cancelled)
			<-answered
			_ = call.Reply(message([]byte("late")), []byte("sidecar"))
			return
		}
		echo(ctx, call)
	})
	c := connect(t, addr, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-cancelled
		cancel()
	}()
	_, err := c.Call(ctx, request("Slow", ""), nil)
	var te *TransportError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &te) || !te.Sent {
		t.Fatalf("got %v", err)
	}
	close(answered)
	for range 3 {
		var m pb.JwtRawPB
		if _, err := c.Call(testContext(t), request("Echo", "next"), &m); err != nil {
			t.Fatal(err)
		}
		contents(t, &m, "next")
	}
	waitFor(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.abandoned) == 0
	})
}

func TestCallThatNeverLeftIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Nobody reads the pipe: the first call blocks in the socket, the
		// second behind it.
		stop := make(chan struct{})
		opts := negotiated(t, func(net.Conn, *frameReader) { <-stop })
		c := connect(t, "stuck", opts)
		defer close(stop)
		results := make(chan error, 2)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for range 2 {
			go func() {
				_, err := c.Call(ctx, request("Write", ""), nil)
				results <- err
			}()
			synctest.Wait()
		}
		sent := 0
		for range 2 {
			var te *TransportError
			err := <-results
			if !errors.As(err, &te) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
			if te.Sent {
				sent++
			}
		}
		c.mu.Lock()
		queued, lost := len(c.queue), c.err
		c.mu.Unlock()
		if sent != 1 || queued != 0 || lost != nil {
			t.Errorf("%d calls sent, %d queued, connection: %v", sent, queued, lost)
		}
		// The server takes no byte for WriteTimeout: the connection is lost.
		<-c.Done()
		if err := c.Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection ended with %v", err)
		}
		if _, err := c.Call(context.Background(), request("Write", ""), nil); err == nil || err.(*TransportError).Sent {
			t.Errorf("got %v", err)
		}
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, func(_ context.Context, call *ServerCall) { t.Error("a call came") })
	c := connect(t, addr, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Call(ctx, request("Echo", ""), nil)
	var te *TransportError
	if !errors.As(err, &te) || te.Sent || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBrokenAnswersEndTheConnection(t *testing.T) {
	response := func(id int32, sidecars ...[]byte) []byte {
		b, err := EncodeResponse(id, message([]byte("m")), sidecars...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tc := range []struct {
		name   string
		answer func(id int32) []byte
		want   error
	}{
		{"cut in the frame", func(id int32) []byte { return response(id)[:6] }, io.ErrUnexpectedEOF},
		{"cut before the frame", func(id int32) []byte { return nil }, ErrClosedByServer},
		{"unknown call id", func(id int32) []byte { return response(id + 1) }, ErrMalformed},
		{"negative call id", func(id int32) []byte { return response(negotiateCallID) }, ErrMalformed},
		{"too large", func(int32) []byte { return []byte{0x7f, 0, 0, 0} }, ErrFrameTooLarge},
		{"garbage", func(int32) []byte { return []byte("\x00\x00\x00\x0bHTTP/1.1 400") }, ErrMalformed},
		{"error frame with garbage", func(id int32) []byte {
			buf, err := buildFrame(appendResponseHeader(nil, id, true, 0, nil), nil, [][]byte{{0xff}}, 99)
			if err != nil {
				t.Fatal(err)
			}
			return buf.b
		}, ErrMalformed},
		{"sidecar outside", func(id int32) []byte {
			buf, err := buildFrame(appendResponseHeader(nil, id, false, 50, [][]byte{{}}), nil, [][]byte{{1}}, 99)
			if err != nil {
				t.Fatal(err)
			}
			return buf.b
		}, ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := negotiated(t, func(nc net.Conn, frames *frameReader) {
				_, _ = nc.Write(tc.answer(nextCall(t, frames).GetCallId()))
			})
			c := connect(t, "broken", opts)
			_, err := c.Call(testContext(t), request("Scan", ""), &pb.JwtRawPB{})
			var te *TransportError
			if !errors.As(err, &te) || !errors.Is(err, tc.want) || !te.Sent {
				t.Errorf("got %v", err)
			}
			<-c.Done()
			if !errors.Is(c.Err(), tc.want) {
				t.Errorf("connection ended with %v", c.Err())
			}
		})
	}
}

func TestUndecodableMessageFailsOneCallOnly(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		if call.Method != "Garbage" {
			echo(ctx, call)
			return
		}
		bad, err := buildFrame(appendResponseHeader(nil, call.CallID, false, 0, nil), nil, [][]byte{{0xff, 0xff}}, 99)
		if err != nil {
			t.Error(err)
		}
		_ = call.ReplyRaw(bad.b)
	})
	c := connect(t, addr, Options{})
	_, err := c.Call(testContext(t), request("Garbage", ""), &pb.JwtRawPB{})
	var te *TransportError
	if !errors.As(err, &te) || !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Call(testContext(t), request("Echo", ""), nil); err != nil {
		t.Error(err)
	}
}

func TestOversizedRequestStaysHere(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, echo)
	c := connect(t, addr, Options{MaxRequestBytes: 1000})
	if _, err := c.Call(testContext(t), request("Echo", string(make([]byte, 1000))), nil); !errors.Is(err, ErrFrameTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Call(testContext(t), request("Echo", string(make([]byte, 500))), nil); err != nil {
		t.Error(err)
	}
}

func TestMissingRequiredFieldFailsBeforeSending(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, echo)
	c := connect(t, addr, Options{})
	if _, err := c.Call(testContext(t), &Request{Service: MasterService, Method: "X", Body: &pb.ErrorStatusPB{}}, nil); err == nil {
		t.Error("a message without its required field was sent")
	}
	if _, err := c.Call(testContext(t), request("Echo", ""), nil); err != nil {
		t.Error(err)
	}
}

func TestCallIDsWrapAndSkipThoseInUse(t *testing.T) {
	hold := make(chan struct{})
	held := make(chan int32, 1)
	addr, _ := listen(t, ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		if call.Method == "Hold" {
			held <- call.CallID
			<-hold
		}
		_ = call.Reply(message(fmt.Append(nil, call.CallID)))
	})
	c := connect(t, addr, Options{})
	ctx := testContext(t)
	done := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, request("Hold", ""), nil)
		done <- err
	}()
	if id := <-held; id != 0 {
		t.Fatalf("first id is %d", id)
	}
	c.mu.Lock()
	c.nextID = math.MaxInt32
	c.abandoned[1] = struct{}{}
	c.mu.Unlock()
	for _, want := range []string{"2147483647", "2", "3"} {
		var m pb.JwtRawPB
		if _, err := c.Call(ctx, request("ID", ""), &m); err != nil {
			t.Fatal(err)
		}
		contents(t, &m, want)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCloseEndsCallsInFlight(t *testing.T) {
	started := make(chan struct{})
	srv := NewServer(ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		close(started)
		<-ctx.Done()
	})
	c := connect(t, "pipe", overPipe(t, srv))
	done := make(chan error, 1)
	go func() {
		_, err := c.Call(context.Background(), request("Wait", ""), nil)
		done <- err
	}()
	<-started
	c.Close()
	c.Close()
	if err := <-done; !errors.Is(err, ErrClosed) || !err.(*TransportError).Sent {
		t.Errorf("got %v", err)
	}
}

func TestCallWithoutAnswerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(ServerOptions{}, func(_ context.Context, call *ServerCall) { call.Drop() })
		c := connect(t, "pipe", overPipe(t, srv))
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Call(ctx, request("Write", ""), nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if c.Err() != nil {
			t.Errorf("connection ended: %v", c.Err())
		}
	})
}

// shortWriter takes so many bytes, then fails.
type shortWriter struct {
	net.Conn
	left int
}

func (w *shortWriter) Write(b []byte) (int, error) {
	n := min(len(b), w.left)
	w.left -= n
	if n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestFailedWriteTellsWhichCallsWereBegun(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	c := &Conn{
		nc: &shortWriter{Conn: client, left: 25}, raw: client, opts: Options{}.withDefaults(),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		calls: make(map[int32]*call), abandoned: make(map[int32]struct{}),
	}
	var calls []*call
	for range 4 {
		cl := &call{done: make(chan outcome, 1)}
		if err := c.register(cl); err != nil {
			t.Fatal(err)
		}
		c.enqueue(cl, getBuffer(10)) // all in one write
		calls = append(calls, cl)
	}
	c.writeLoop()
	for i, want := range []bool{true, true, true, false} {
		var te *TransportError
		if err := (<-calls[i].done).err; !errors.As(err, &te) || te.Sent != want || !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("call %d: got %v", i, err)
		}
	}
}
