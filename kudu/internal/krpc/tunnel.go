package krpc

import (
	"net"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// handshakeMessages is what the tunnel needs of a negotiation, on either side.
type handshakeMessages interface {
	send(*pb.NegotiatePB) error
	receive() (*pb.NegotiatePB, error)
}

// tunnel is the net.Conn under crypto/tls. During the handshake it carries TLS
// records inside TLS_HANDSHAKE messages; afterwards it is the socket itself.
//
// What TLS writes is collected until TLS wants to read: a flight makes one
// message, and the peer answers each message with one.
type tunnel struct {
	net.Conn
	messages handshakeMessages
	direct   bool   // the handshake is over
	in, out  []byte // handshake bytes not yet consumed, not yet sent
}

func (t *tunnel) Read(b []byte) (int, error) {
	if t.direct && len(t.in) == 0 {
		return t.Conn.Read(b)
	}
	if len(t.in) == 0 {
		if err := t.flush(); err != nil {
			return 0, err
		}
		msg, err := t.messages.receive()
		if err != nil {
			return 0, err
		}
		if msg.GetStep() != pb.NegotiatePB_TLS_HANDSHAKE || len(msg.GetTlsHandshake()) == 0 {
			return 0, malformed("%s with %d bytes during the TLS handshake", msg.GetStep(), len(msg.GetTlsHandshake()))
		}
		t.in = msg.GetTlsHandshake()
	}
	n := copy(b, t.in)
	t.in = t.in[n:]
	return n, nil
}

func (t *tunnel) Write(b []byte) (int, error) {
	if t.direct {
		return t.Conn.Write(b)
	}
	t.out = append(t.out, b...)
	return len(b), nil
}

func (t *tunnel) flush() error {
	if len(t.out) == 0 {
		return nil
	}
	err := t.messages.send(&pb.NegotiatePB{Step: pb.NegotiatePB_TLS_HANDSHAKE.Enum(), TlsHandshake: t.out})
	t.out = nil
	return err
}

// finish ends the tunnelling, once the handshake has returned. The last flight
// (the client's with TLS 1.3, the server's with TLS 1.2) is still here, since
// nobody waits for an answer to it.
func (t *tunnel) finish() error {
	err := t.flush()
	t.direct = true
	return err
}
