package krpc

import (
	"context"
	"sync"
)

// Pool keeps one live connection per address. Servers close idle connections
// after 65 s; the pool dials anew when somebody asks.
type Pool struct {
	opts Options
	wg   sync.WaitGroup // dials

	mu     sync.Mutex
	slots  map[string]*slot
	closed bool
}

// slot is the connection to one address. Pool.mu guards it.
type slot struct {
	conn *Conn // may be dead; nil before the first success
	dial *dial // under way; nil otherwise
}

// dial is shared by all who wait for the same connection.
type dial struct {
	cancel context.CancelFunc // for Pool.Close
	done   chan struct{}      // closed when conn and err are set
	conn   *Conn
	err    error
}

// NewPool returns an empty pool. The caller closes it.
func NewPool(opts Options) *Pool {
	return &Pool{opts: opts.withDefaults(), slots: make(map[string]*slot)}
}

// Get returns a live connection to addr, which it shares with other callers
// and which the pool closes. Callers that come while one is being made wait
// for the same dial and get the same error. A dial is bounded by
// Options.NegotiationTimeout; ctx bounds the wait alone, so that one caller's
// haste does not cost the others their connection.
func (p *Pool) Get(ctx context.Context, addr string) (*Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, &TransportError{Addr: addr, Method: "connect", Err: ErrClosed}
	}
	s := p.slots[addr]
	if s == nil {
		s = &slot{}
		p.slots[addr] = s
	}
	if conn := s.conn; conn != nil && conn.Err() == nil {
		p.mu.Unlock()
		return conn, nil
	}
	d := s.dial
	if d == nil {
		var dialCtx context.Context
		d = &dial{done: make(chan struct{})}
		dialCtx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
		dead := s.conn
		s.conn, s.dial = nil, d
		p.wg.Go(func() { p.run(dialCtx, addr, s, d, dead) })
	}
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, &TransportError{Addr: addr, Method: "connect", Err: ctx.Err()}
	}
}

// run makes the connection for slot s.
func (p *Pool) run(ctx context.Context, addr string, s *slot, d *dial, dead *Conn) {
	defer d.cancel()
	if dead != nil {
		dead.Close() // waits for its goroutines
	}
	conn, err := Dial(ctx, addr, p.opts)
	p.mu.Lock()
	closed := p.closed
	if !closed {
		s.conn = conn
	}
	s.dial = nil
	p.mu.Unlock()
	if closed {
		// Even if the dial was cancelled: that context was the pool's, and
		// none of the waiting callers'.
		err = &TransportError{Addr: addr, Method: "connect", Err: ErrClosed}
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	d.conn, d.err = conn, err
	close(d.done)
}

// Close ends all connections and dials, and waits for their goroutines. Calls
// in flight fail with ErrClosed. It may be called more than once.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var conns []*Conn
	for _, s := range p.slots {
		if s.dial != nil {
			s.dial.cancel()
		}
		if s.conn != nil {
			conns = append(conns, s.conn)
		}
	}
	p.mu.Unlock()
	for _, c := range conns {
		c.fail(ErrClosed) // all at once, before waiting for any
	}
	for _, c := range conns {
		c.Close()
	}
	p.wg.Wait()
	return nil
}
