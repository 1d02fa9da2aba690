package secured

import (
	"bufio"
	wire "encoding/binary"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// point is where in a negotiation a gate holds up the server.
type point int

const (
	nowhere     point = iota
	atAccept          // nobody hears or says anything
	atNegotiate       // the server's first message is held back
	atTLS             // the one after it, the server's part of the handshake
	atSASL            // what follows the handshake
	inUse             // what isn't held up by any of those
)

var points = map[point]string{atAccept: "connection", atNegotiate: "NEGOTIATE", atTLS: "TLS handshake", atSASL: "SASL"}

// gate is the way to one server. It counts connections, can be cut, and can hold
// up connections, those that are there as well.
type gate struct {
	addr, server string
	// before is the point that comes before a message of the server, of which this is
	// the first byte, and so many were there on the connection.
	before func(first byte, messages int) point

	mu       sync.Mutex
	changed  sync.Cond
	closed   point
	accepted []time.Time
	passages []*passage
}

// passage is one connection. The gate's lock guards it.
type passage struct {
	near, far net.Conn
	over      bool
}

// newGate opens a gate that is removed with the test.
func newGate(t *testing.T, server string) *gate {
	t.Helper()
	g, stop, err := openGate(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return g
}

// gates makes gates in front of tablet servers, for testenv.KuduConfig.
func gates(t *testing.T) (proxy func(string) (string, error), all func() []*gate) {
	var made []*gate
	return func(server string) (string, error) {
		g, stop, err := openGate(server)
		if err != nil {
			return "", err
		}
		t.Cleanup(stop)
		made = append(made, g)
		return g.addr, nil
	}, func() []*gate { return made }
}

func openGate(server string) (*gate, func(), error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	g := &gate{addr: listener.Addr().String(), server: server, before: beforeKudu}
	g.changed.L = &g.mu
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.accepted = append(g.accepted, time.Now())
			server := g.server
			g.mu.Unlock()
			far, err := net.Dial("tcp", server)
			if err != nil {
				near.Close()
				continue
			}
			p := &passage{near: near, far: far}
			g.mu.Lock()
			g.passages = append(g.passages, p)
			g.mu.Unlock()
			running.Go(func() { g.up(p) })
			running.Go(func() { g.down(p) })
		}
	})
	return g, func() {
		listener.Close()
		g.cut()
		running.Wait()
	}, nil
}

// up brings the server what the client says.
func (g *gate) up(p *passage) {
	defer g.end(p)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.near.Read(buf)
		if err != nil || !g.pass(p, atAccept) {
			return
		}
		if _, err := p.far.Write(buf[:n]); err != nil {
			return
		}
	}
}

// down brings the client what the server says, message by message: those of a
// negotiation begin with their length, and records of TLS with their kind.
func (g *gate) down(p *passage) {
	defer g.end(p)
	from := bufio.NewReaderSize(p.far, 64<<10)
	for messages := 0; ; messages++ {
		head, err := from.Peek(5)
		if err != nil {
			return
		}
		length := 5 + int64(wire.BigEndian.Uint16(head[3:]))
		if head[0] == 0 {
			length = 4 + int64(wire.BigEndian.Uint32(head))
		}
		if !g.pass(p, g.before(head[0], messages)) {
			return
		}
		if _, err := io.CopyN(p.near, from, length); err != nil {
			return
		}
	}
}

func beforeKudu(first byte, messages int) point {
	switch {
	case first != 0:
		return atSASL
	case messages == 0:
		return atNegotiate
	}
	return atTLS
}

// beforeKafka knows the handshake of TLS by its first record; what is within TLS it
// can't tell apart. Without TLS the answer to ApiVersions is first, those of the
// authentication follow.
func beforeKafka(first byte, messages int) point {
	const greetings = 4 // ApiVersions, SaslHandshake and two of SCRAM
	switch {
	case first != 0 && messages == 0:
		return atTLS
	case first != 0 || messages >= greetings:
		return inUse
	case messages == 0:
		return atNegotiate
	}
	return atSASL
}

// pass waits until the gate is open at this point; false: the connection is over.
func (g *gate) pass(p *passage, at point) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !p.over && (g.closed == atAccept || g.closed == at) {
		g.changed.Wait()
	}
	return !p.over
}

func (g *gate) end(p *passage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.over = true
	p.near.Close()
	p.far.Close()
	g.changed.Broadcast()
}

// hold closes the gate at a point, or opens it.
func (g *gate) hold(at point) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = at
	g.changed.Broadcast()
}

// cut breaks all connections; new ones can be made.
func (g *gate) cut() {
	g.mu.Lock()
	passages := slices.Clone(g.passages)
	g.passages = nil
	g.mu.Unlock()
	for _, p := range passages {
		g.end(p)
	}
}

// lead has connections that are made from then on lead to another server.
func (g *gate) lead(server string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = server
}

// since counts the connections that were made from then on.
func (g *gate) since(then time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, at := range g.accepted {
		if at.After(then) {
			n++
		}
	}
	return n
}

// confBehind is the realm's krb5.conf with the gate for the KDC.
func confBehind(t *testing.T, kdc *testenv.KDC, g *gate) (path string) {
	t.Helper()
	text, err := os.ReadFile(kdc.ClientConf())
	if err != nil {
		t.Fatal(err)
	}
	path = t.TempDir() + "/krb5.conf"
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), kdc.Addr(), g.addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
