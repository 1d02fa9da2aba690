package krpc

import (
	"context"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Names of Kudu's services.
const (
	MasterService       = "kudu.master.MasterService"
	TabletServerService = "kudu.tserver.TabletServerService"
)

// maxAbandoned bounds the ids of calls that were given up and never answered.
// A connection with more is of no use to anyone.
const maxAbandoned = 1 << 16

// Request is one call. It must not change until Call returns.
type Request struct {
	// Service and Method name what is called, for example MasterService and
	// "ConnectToMaster".
	Service, Method string
	// Features are required application feature flags: the server refuses the
	// call if it does not know one.
	Features []uint32
	// RequestID identifies a write over its retries; nil otherwise.
	RequestID *pb.RequestIdPB
	// Body is the request message; nil sends an empty one.
	Body proto.Message
}

// Conn is a connection to one server that any number of goroutines share.
// Calls overlap: responses come in the server's order.
type Conn struct {
	addr       string
	nc         net.Conn // the socket, or TLS on it
	raw        net.Conn // the socket
	opts       Options
	negotiated Negotiated

	wake chan struct{} // capacity 1: the queue has something
	done chan struct{} // closed by fail
	wg   sync.WaitGroup

	mu        sync.Mutex
	err       error // why the connection ended; nil while it is up
	nextID    int32
	calls     map[int32]*call    // waiting for a response
	abandoned map[int32]struct{} // sent and given up: a response may still come
	queue     []*call            // with a frame that the writer has not taken
}

// call is one call in flight. Conn.mu guards its fields.
type call struct {
	id     int32
	method string
	frame  *buffer // encoded, until the writer takes it
	sent   bool    // the writer took it
	done   chan outcome
}

// outcome ends a call; the reader, or fail, sends exactly one for each call
// that it removes from Conn.calls.
type outcome struct {
	frame   frame
	offsets []uint32
	err     error
}

// startConn takes over a negotiated stream.
func startConn(addr string, nc, raw net.Conn, opts Options, negotiated Negotiated) *Conn {
	c := &Conn{
		addr:       addr,
		nc:         nc,
		raw:        raw,
		opts:       opts,
		negotiated: negotiated,
		wake:       make(chan struct{}, 1),
		done:       make(chan struct{}),
		calls:      make(map[int32]*call),
		abandoned:  make(map[int32]struct{}),
	}
	c.wg.Add(2)
	go func() {
		defer c.wg.Done()
		c.fail(c.readLoop())
	}()
	go func() {
		defer c.wg.Done()
		c.writeLoop()
	}()
	return c
}

// Addr returns the address that was dialled.
func (c *Conn) Addr() string { return c.addr }

// RemoteAddr returns the address of the socket's other end.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// Negotiated tells what the two sides agreed on.
func (c *Conn) Negotiated() Negotiated { return c.negotiated }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells why the connection has ended, and nil while it is up. Servers close what
// was idle for 65 seconds (ErrClosedByServer).
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits for its goroutines. Calls in flight end
// with an error that wraps ErrClosed. It may be called more than once.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.wg.Wait()
	return nil
}

// Call sends req, waits for the response and decodes it into resp (nil drops
// it). The server is told the time that ctx has left. On success the caller
// must release the payload; on error it is nil. Errors are a CallError or a
// TransportError; a request that cannot be encoded, or is larger than
// Options.MaxRequestBytes, fails with neither and is not sent.
//
// When ctx ends first, the call is given up: the error wraps ctx.Err(), the
// server may still carry the call out, and a late response is dropped.
func (c *Conn) Call(ctx context.Context, req *Request, resp proto.Message) (*Payload, error) {
	if err := ctx.Err(); err != nil {
		return nil, &TransportError{Addr: c.addr, Method: req.Method, Err: err}
	}
	cl := &call{method: req.Method, done: make(chan outcome, 1)}
	if err := c.register(cl); err != nil {
		return nil, &TransportError{Addr: c.addr, Method: req.Method, Err: err}
	}
	buf, err := c.encode(ctx, cl.id, req)
	if err != nil {
		c.giveUp(cl)
		return nil, fmt.Errorf("encoding %s for %s: %w", req.Method, c.addr, err)
	}
	c.enqueue(cl, buf)
	select {
	case out := <-cl.done:
		return c.finish(cl, out, resp)
	case <-ctx.Done():
	}
	sent, answered := c.giveUp(cl)
	if answered {
		return c.finish(cl, <-cl.done, resp)
	}
	return nil, &TransportError{Addr: c.addr, Method: req.Method, Sent: sent, Err: ctx.Err()}
}

// register gives the call an id that no call in flight has, nor one that was
// given up and may still be answered. Ids wrap at 2^31.
func (c *Conn) register(cl *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	for {
		id := c.nextID
		if c.nextID == math.MaxInt32 {
			c.nextID = 0
		} else {
			c.nextID++
		}
		_, inFlight := c.calls[id]
		_, abandoned := c.abandoned[id]
		if !inFlight && !abandoned {
			cl.id = id
			c.calls[id] = cl
			return nil
		}
	}
}

func (c *Conn) encode(ctx context.Context, id int32, req *Request) (*buffer, error) {
	var timeoutMillis uint32
	if deadline, ok := ctx.Deadline(); ok {
		ms := (time.Until(deadline) + time.Millisecond - 1).Milliseconds()
		timeoutMillis = uint32(min(max(ms, 1), math.MaxInt32))
	}
	var scratch [256]byte
	header, err := appendRequestHeader(scratch[:0], id, req, timeoutMillis)
	if err != nil {
		return nil, err
	}
	return buildFrame(header, req.Body, nil, c.opts.MaxRequestBytes)
}

func (c *Conn) enqueue(cl *call, buf *buffer) {
	c.mu.Lock()
	if c.err != nil { // fail has ended the call already
		c.mu.Unlock()
		buf.release()
		return
	}
	cl.frame = buf
	c.queue = append(c.queue, cl)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// giveUp forgets a call. answered means that its outcome is in cl.done, or
// about to be: it came first.
func (c *Conn) giveUp(cl *call) (sent, answered bool) {
	c.mu.Lock()
	if c.calls[cl.id] != cl {
		c.mu.Unlock()
		return true, true
	}
	delete(c.calls, cl.id)
	if cl.sent {
		c.abandoned[cl.id] = struct{}{}
	} else if cl.frame != nil {
		cl.frame.release()
		cl.frame = nil
		if i := slices.Index(c.queue, cl); i >= 0 {
			c.queue = slices.Delete(c.queue, i, i+1)
		}
	}
	sent = cl.sent
	tooMany := len(c.abandoned) > maxAbandoned
	c.mu.Unlock()
	if tooMany {
		c.fail(fmt.Errorf("%d calls were never answered", maxAbandoned))
	}
	return sent, false
}

// finish turns an outcome into what Call returns.
func (c *Conn) finish(cl *call, out outcome, resp proto.Message) (*Payload, error) {
	if out.err != nil {
		return nil, out.err
	}
	if resp != nil {
		if err := proto.Unmarshal(mainMessage(out.frame.body, out.offsets), resp); err != nil {
			out.frame.buf.release()
			return nil, &TransportError{Addr: c.addr, Method: cl.method, Sent: true,
				Err: malformed("decoding the response: %v", err)}
		}
	}
	if len(out.offsets) == 0 {
		out.frame.buf.release()
		return noSidecars, nil
	}
	p := &Payload{body: out.frame.body, offsets: out.offsets}
	p.buf.Store(out.frame.buf)
	return p, nil
}

// fail ends the connection once: the first cause stays. Every call in flight
// gets an error of its own.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = cause
	calls := c.calls
	c.calls, c.queue, c.abandoned = nil, nil, nil
	close(c.done)
	for _, cl := range calls {
		cl.frame.release()
		cl.frame = nil
		cl.done <- outcome{err: &TransportError{Addr: c.addr, Method: cl.method, Sent: cl.sent, Err: cause}}
	}
	c.mu.Unlock()
	// The socket is closed under TLS's feet: its close notification could
	// block, and the length of each frame guards against truncation.
	c.raw.Close()
	c.opts.Logger.Debug("connection ended", "addr", c.addr, "calls", len(calls), "cause", cause)
}
