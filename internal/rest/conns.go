package rest

import (
	"context"
	"net"
	"sync"
	"time"
)

// maxConnections bounds the connections of all listeners together. Each costs
// about 20 KiB.
const maxConnections = 256

// connections bounds how many there are. When one more comes, the one that has
// waited longest for its caller is closed: slow callers can't keep others out, and
// a request that the herder works on is never cut off.
type connections struct {
	limit int

	mu  sync.Mutex
	all map[*conn]struct{}
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, all: make(map[*conn]struct{})}
}

// conn is a connection of the pool.
type conn struct {
	net.Conn
	pool *connections

	// Guarded by the pool's lock.
	busy  bool      // the herder works for it
	since time.Time // when it last began to wait for its caller
}

// add takes a connection in, and reports false if all others are busy.
func (p *connections) add(c *conn) bool {
	p.mu.Lock()
	var oldest *conn
	if len(p.all) >= p.limit {
		for other := range p.all {
			if !other.busy && (oldest == nil || other.since.Before(oldest.since)) {
				oldest = other
			}
		}
		if oldest == nil {
			p.mu.Unlock()
			return false
		}
		delete(p.all, oldest)
	}
	c.since = time.Now()
	p.all[c] = struct{}{}
	p.mu.Unlock()
	if oldest != nil {
		_ = oldest.Conn.Close()
	}
	return true
}

// closeWaiting closes the connections that nobody works for.
func (p *connections) closeWaiting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.all {
		if !c.busy {
			_ = c.Conn.Close()
			delete(p.all, c)
		}
	}
}

func (c *conn) setBusy(busy bool) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.busy, c.since = busy, time.Now()
}

// Close also makes room in the pool.
func (c *conn) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.all, c)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets net/http end an answer to a caller who is still sending.
func (c *conn) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// poolListener accepts for the pool.
type poolListener struct {
	net.Listener
	pool *connections
}

func (l *poolListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, pool: l.pool}
		if l.pool.add(c) {
			return c, nil
		}
		_ = accepted.Close()
	}
}

type connKey struct{}

// withConn keeps the connection for its requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// busy marks the connection of a request as one that is worked for, or not.
func busy(ctx context.Context, is bool) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.setBusy(is)
	}
}
