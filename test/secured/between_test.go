package secured

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// between is somebody who sits between a client and a server with a certificate
// of his own: he ends the TLS of either, and passes on what he reads.
type between struct {
	addr   string
	server string
	own    *tls.Config

	mu      sync.Mutex
	chain   []*x509.Certificate // the server's
	overran int                 // bytes that clients said through his TLS
}

func newBetween(t *testing.T, server string, own tls.Certificate) *between {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &between{addr: listener.Addr().String(), server: server, own: &tls.Config{
		Certificates: []tls.Certificate{own}, MaxVersion: tls.VersionTLS12, SessionTicketsDisabled: true, MinVersion: tls.VersionTLS12,
	}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer near.Close()
				if err := b.serve(near); err != nil {
					t.Logf("between: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return b
}

// heard is how many bytes clients have said through TLS, and the server's
// certificates.
func (b *between) heard() (int, []*x509.Certificate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.overran, b.chain
}

func (b *between) serve(near net.Conn) error {
	far, err := net.Dial("tcp", b.server)
	if err != nil {
		return err
	}
	defer far.Close()
	client := &side{Conn: near, from: bufio.NewReader(near)}
	server := &side{Conn: far, from: bufio.NewReader(far)}
	preamble := make([]byte, 7)
	if _, err := io.ReadFull(client.from, preamble); err != nil {
		return err
	}
	if _, err := far.Write(preamble); err != nil {
		return err
	}
	// What the two can do, and the headers of such messages.
	for _, way := range [][2]*side{{client, server}, {server, client}} {
		frame, err := way[0].frame()
		if err != nil {
			return err
		}
		if way[1].header, _, err = split(frame); err != nil {
			return err
		}
		if err := way[1].send(frame); err != nil {
			return err
		}
	}
	toServer := tls.Client(server, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS12})
	toClient := tls.Server(client, b.own)
	if err := errors.Join(toServer.Handshake(), server.finish()); err != nil {
		return fmt.Errorf("handshake with the server: %w", err)
	}
	b.mu.Lock()
	b.chain = toServer.ConnectionState().PeerCertificates
	b.mu.Unlock()
	if err := errors.Join(toClient.Handshake(), client.finish()); err != nil {
		return fmt.Errorf("handshake with the client: %w", err)
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(toClient, toServer)
		near.Close()
	})
	defer back.Wait()
	defer far.Close()
	_, err = io.Copy(io.MultiWriter(toServer, writer(func(p []byte) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.overran += len(p)
	})), toClient)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("listening to the client: %w", err)
	}
	return nil
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// side is one peer's connection, which carries TLS in the negotiation's messages
// until finish.
type side struct {
	net.Conn
	from    *bufio.Reader
	header  []byte // of messages to this peer
	in, out []byte
	direct  bool
}

// frame reads a message: its length, and what follows.
func (s *side) frame() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.from, length[:]); err != nil {
		return nil, err
	}
	n := wire.BigEndian.Uint32(length[:])
	if n > 1<<20 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(s.from, frame)
	return frame, err
}

func (s *side) send(frame []byte) error {
	_, err := s.Conn.Write(append(wire.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

// split gives a message's header and body, which have their lengths before them.
func split(frame []byte) (header, body []byte, err error) {
	header, n := protowire.ConsumeBytes(frame)
	if n < 0 {
		return nil, nil, protowire.ParseError(n)
	}
	body, n = protowire.ConsumeBytes(frame[n:])
	if n < 0 {
		return nil, nil, protowire.ParseError(n)
	}
	return header, body, nil
}

// Fields of NegotiatePB, and its step (kudu-1.18.1 src/kudu/rpc/rpc_header.proto).
const (
	fieldStep      protowire.Number = 2
	fieldHandshake protowire.Number = 5
	stepHandshake                   = 5
)

func (s *side) Read(p []byte) (int, error) {
	if s.direct && len(s.in) == 0 {
		return s.from.Read(p)
	}
	if len(s.in) == 0 {
		if err := s.flush(); err != nil {
			return 0, err
		}
		frame, err := s.frame()
		if err != nil {
			return 0, err
		}
		_, body, err := split(frame)
		if err != nil {
			return 0, err
		}
		for len(body) > 0 {
			number, kind, n := protowire.ConsumeTag(body)
			if n < 0 {
				return 0, protowire.ParseError(n)
			}
			size := protowire.ConsumeFieldValue(number, kind, body[n:])
			if size < 0 {
				return 0, protowire.ParseError(size)
			}
			if number == fieldHandshake {
				s.in, _ = protowire.ConsumeBytes(body[n:])
			}
			body = body[n+size:]
		}
		if len(s.in) == 0 {
			return 0, errors.New("a message without a part of the handshake")
		}
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *side) Write(p []byte) (int, error) {
	if s.direct {
		return s.Conn.Write(p)
	}
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *side) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	var body []byte
	body = protowire.AppendVarint(protowire.AppendTag(body, fieldStep, protowire.VarintType), stepHandshake)
	body = protowire.AppendBytes(protowire.AppendTag(body, fieldHandshake, protowire.BytesType), bytes.Clone(s.out))
	s.out = nil
	return s.send(protowire.AppendBytes(protowire.AppendBytes(nil, s.header), body))
}

func (s *side) finish() error {
	err := s.flush()
	s.direct = true
	return err
}
