package kudufake

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBytes is how much one direction of a connection in memory holds before
// its writer waits: about what a kernel's socket buffers hold.
const pipeBytes = 1 << 20

// stream is one direction of a connection in memory. Unlike net.Pipe's it
// buffers, as a socket does: a writer gets rid of its bytes although the other
// side does not read.
type stream struct {
	mu     sync.Mutex
	buf    []byte
	eof    bool          // the writer closed: what is buffered can still be read
	broken bool          // the reader closed: nothing more can be written
	moved  chan struct{} // closed and replaced at each change
}

func newStream() *stream { return &stream{moved: make(chan struct{})} }

// change wakes all who wait; the caller holds mu.
func (s *stream) change() {
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *stream) close(asWriter bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asWriter {
		s.eof = true
	} else {
		s.broken, s.buf = true, nil
	}
	s.change()
}

// deadline is a net.Conn's deadline for one direction.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed when the time has come
	changed chan struct{} // closed and replaced by set
}

func newDeadline() *deadline {
	return &deadline{expired: make(chan struct{}), changed: make(chan struct{})}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	expired := make(chan struct{})
	d.expired = expired
	close(d.changed)
	d.changed = make(chan struct{})
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(expired)
	default:
		d.timer = time.AfterFunc(left, func() { close(expired) })
	}
}

func (d *deadline) channels() (expired, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired, d.changed
}

// memConn is one end of a connection in memory.
type memConn struct {
	in, out       *stream
	local, remote net.Addr
	readBy        *deadline
	writeBy       *deadline
	once          sync.Once
	closed        chan struct{}
}

type memAddr string

func (memAddr) Network() string  { return "tcp" }
func (a memAddr) String() string { return string(a) }

// newPipe makes a connection from client to server.
func newPipe(clientAddr, serverAddr string) (client, server *memConn) {
	up, down := newStream(), newStream()
	end := func(in, out *stream, local, remote string) *memConn {
		return &memConn{in: in, out: out, local: memAddr(local), remote: memAddr(remote),
			readBy: newDeadline(), writeBy: newDeadline(), closed: make(chan struct{})}
	}
	return end(down, up, clientAddr, serverAddr), end(up, down, serverAddr, clientAddr)
}

// wait blocks until the stream moves, the time is up or this end is closed.
func (c *memConn) wait(moved <-chan struct{}, by *deadline) error {
	expired, changed := by.channels()
	select {
	case <-moved:
	case <-changed:
	case <-c.closed:
		return net.ErrClosed
	case <-expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *memConn) ready(by *deadline) error {
	expired, _ := by.channels()
	select {
	case <-c.closed:
		return net.ErrClosed
	case <-expired:
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

func (c *memConn) Read(p []byte) (int, error) {
	for {
		if err := c.ready(c.readBy); err != nil {
			return 0, err
		}
		c.in.mu.Lock()
		if len(c.in.buf) > 0 || len(p) == 0 {
			n := copy(p, c.in.buf)
			if c.in.buf = c.in.buf[n:]; len(c.in.buf) == 0 {
				c.in.buf = nil
			}
			c.in.change()
			c.in.mu.Unlock()
			return n, nil
		}
		eof, moved := c.in.eof, c.in.moved
		c.in.mu.Unlock()
		if eof {
			return 0, io.EOF
		}
		if err := c.wait(moved, c.readBy); err != nil {
			return 0, err
		}
	}
}

func (c *memConn) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := c.ready(c.writeBy); err != nil {
			return n, err
		}
		c.out.mu.Lock()
		if c.out.broken {
			c.out.mu.Unlock()
			return n, io.ErrClosedPipe
		}
		if room := pipeBytes - len(c.out.buf); room > 0 {
			part := p[:min(room, len(p))]
			c.out.buf = append(c.out.buf, part...)
			p, n = p[len(part):], n+len(part)
			c.out.change()
			c.out.mu.Unlock()
			continue
		}
		moved := c.out.moved
		c.out.mu.Unlock()
		if err := c.wait(moved, c.writeBy); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *memConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.in.close(false)
		c.out.close(true)
		c.readBy.set(time.Time{}) // stops the timers
		c.writeBy.set(time.Time{})
	})
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return nil
}
