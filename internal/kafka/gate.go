package kafka

import (
	"context"
	"sync"
	"time"
)

// Pauses after a connection was refused: until one is over the same error is given
// without asking the broker. They double from the first to the most.
const (
	firstPause = 500 * time.Millisecond
	mostPause  = time.Minute
	turnWait   = 5 * time.Second
)

// ofCredentials is the pause that holds for all brokers.
const ofCredentials = ""

// gate keeps clients, however many there are, from asking again and again what was
// refused: accounts are locked for that. Until credentials have been accepted once
// they are shown by one connection at a time.
type gate struct {
	turn chan struct{} // holds one: who has it shows credentials that nobody knows to be good

	mu     sync.Mutex
	proven bool              // the credentials were accepted, and not refused since
	away   map[string]bool   // brokers that could not be reached, and may know other credentials when they are back
	passed time.Time         // when one last went on without its turn
	known  bool              // some broker was reached, so that the security protocol is right
	pauses map[string]*pause // by broker, or ofCredentials
}

type pause struct {
	err   *RefusedError
	until time.Time
	next  time.Duration
}

func newGate() *gate {
	return &gate{turn: make(chan struct{}, 1), away: make(map[string]bool), pauses: make(map[string]*pause)}
}

// closed gives the error of the last attempt while its pause lasts, else nil.
func (g *gate) closed(broker string) *RefusedError {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for _, about := range []string{ofCredentials, broker} {
		if p := g.pauses[about]; p != nil && now.Before(p.until) {
			return p.err
		}
	}
	return nil
}

// enter waits until the credentials are known to be good at the broker, or it is the
// caller's turn to show them, which ends with leave. When the one whose turn it is gets no
// answer, another one goes on every turnWait.
func (g *gate) enter(ctx context.Context, broker string) (leave func(), err error) {
	refused := g.closed(broker)
	if refused != nil {
		return nil, refused.dialed()
	}
	if g.good(broker) {
		return func() {}, nil
	}
	patience := time.NewTimer(turnWait)
	defer patience.Stop()
	for mine := false; !mine; {
		select {
		case g.turn <- struct{}{}:
			mine = true
		case <-patience.C:
			wait := g.pass()
			if wait == 0 {
				return func() {}, nil
			}
			patience.Reset(wait)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if refused = g.closed(broker); refused != nil && !mine {
			return nil, refused.dialed()
		}
	}
	leave = sync.OnceFunc(func() { <-g.turn })
	if g.good(broker) { // by now: the next one need not wait for this one
		leave()
	}
	if refused = g.closed(broker); refused != nil {
		leave()
		return nil, refused.dialed()
	}
	return leave, nil
}

// good tells whether the broker is known to take the credentials.
func (g *gate) good(broker string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proven && !g.away[broker]
}

// lost notes that a broker can't be reached. When it is back, all that wait for it
// would else show it their credentials at once, and be refused together if those were
// changed meanwhile.
func (g *gate) lost(broker string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away[broker] = true
}

// pass lets one go on without its turn every turnWait; to others it tells how long
// to wait.
func (g *gate) pass() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if wait := g.passed.Add(turnWait).Sub(now); wait > 0 {
		return wait
	}
	g.passed = now
	return 0
}

// refuse notes how an attempt ended. It reports whether that is news. Those that
// were under way together count once.
func (g *gate) refuse(about string, err *RefusedError) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if about == ofCredentials {
		g.proven = false
	}
	p := g.pauses[about]
	news := p == nil || p.err.What != err.What
	if p == nil {
		p = &pause{next: firstPause}
		g.pauses[about] = p
	}
	now := time.Now()
	p.err = err
	if now.After(p.until) {
		p.until = now.Add(p.next)
		p.next = min(2*p.next, mostPause)
	}
	return news
}

// accept notes that a broker was reached. It reports whether it, or another one for
// the credentials, had been refused before.
func (g *gate) accept(broker string) (before bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before = g.pauses[broker] != nil || g.pauses[ofCredentials] != nil
	delete(g.pauses, broker)
	delete(g.pauses, ofCredentials)
	delete(g.away, broker)
	g.proven, g.known = true, true
	return before
}

// reached tells whether a connection was ever accepted.
func (g *gate) reached() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known
}

// paused tells whether something was refused, and not accepted since.
func (g *gate) paused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pauses) > 0
}

// reset lets everybody try again: credentials or files are others than before.
func (g *gate) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.pauses)
	g.proven = false
}
