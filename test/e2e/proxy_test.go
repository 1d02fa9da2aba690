package e2e

import (
	"net"
	"sync"
	"testing"
	"time"
)

// proxy is a way to a server that can be cut, held up and made lossy.
type proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]struct{}
	made    int // links so far
	weather weather
	changed chan struct{} // closed and replaced when the weather changes
}

// weather is what happens to all bytes on the way.
type weather struct {
	refuse bool          // new connections are cut at once
	stall  bool          // nothing gets through, connections stay
	mute   bool          // requests get through, answers are lost
	delay  time.Duration // before each piece, in both directions
}

// link is a connection through the proxy.
type link struct {
	client, server net.Conn
	once           sync.Once
	gone           chan struct{} // closed when the link is cut
	inOrder        bool          // how it is cut
	lossy          bool          // an answer was lost; guarded by proxy.mu
}

// startProxy listens on a port of its own until the test ends.
func startProxy(t *testing.T, target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, links: make(map[*link]struct{}), changed: make(chan struct{})}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.set(weather{refuse: true})
		p.cut()
		p.running.Wait()
	})
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(client) })
	}
}

// connect makes a link and moves its bytes until one side ends.
func (p *proxy) connect(client net.Conn) {
	l := &link{client: client, gone: make(chan struct{})}
	server, err := net.DialTimeout("tcp", p.target, 10*time.Second)
	if err != nil {
		reset(client)
		return
	}
	l.server = server
	p.mu.Lock()
	refused := p.weather.refuse
	p.made++
	l.inOrder = p.made%2 == 0
	if !refused {
		p.links[l] = struct{}{}
	}
	p.mu.Unlock()
	if refused {
		l.cut()
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() { p.pump(l, l.client, l.server, true) })
	p.pump(l, l.server, l.client, false)
	answers.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (p *proxy) pump(l *link, to, from net.Conn, answers bool) {
	defer l.cut()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && p.passes(l, answers) {
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// passes waits as the weather says, and reports whether the piece goes on.
func (p *proxy) passes(l *link, answer bool) bool {
	for {
		p.mu.Lock()
		w, changed := p.weather, p.changed
		// What comes behind a lost piece is no answer to anything.
		l.lossy = l.lossy || answer && w.mute
		lost := answer && l.lossy
		p.mu.Unlock()
		switch {
		case lost:
			return false
		case w.stall:
			select {
			case <-changed:
			case <-l.gone:
				return false
			}
		default:
			if w.delay > 0 {
				select {
				case <-time.After(w.delay):
				case <-l.gone:
					return false
				}
			}
			return true
		}
	}
}

// set changes the weather. Links that have lost bytes end with it.
func (p *proxy) set(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		if l.lossy && !w.mute {
			l.cut()
		}
	}
}

// cut ends all connections and tells how many there were.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
	return len(p.links)
}

// cut ends every other link with FIN, as if the other process had ended, and the rest
// with RST, as if the other machine were gone.
func (l *link) cut() {
	l.once.Do(func() {
		close(l.gone)
		if l.inOrder {
			_ = l.client.Close()
			_ = l.server.Close()
			return
		}
		reset(l.client)
		reset(l.server)
	})
}

// reset closes with RST, as if the other machine were gone.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
