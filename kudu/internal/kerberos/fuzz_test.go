package kerberos

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// FuzzNegotiation has the fuzzer play the server: it writes what bytes it likes.
// A client must end, without a panic, and never be satisfied, since nobody has
// proved anything to it.
func FuzzNegotiation(f *testing.F) {
	keys := serviceKeys(f, aes256)
	frame := func(msgs ...*pb.NegotiatePB) []byte {
		var all []byte
		for _, m := range msgs {
			b, err := krpc.EncodeResponse(-33, m)
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	}
	hello := &pb.NegotiatePB{Step: pb.NegotiatePB_NEGOTIATE.Enum(), SaslMechanisms: []*pb.NegotiatePB_SaslMechanism{{Mechanism: new("GSSAPI")}}}
	success := &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum(), Nonce: []byte("n"), ChannelBindings: make([]byte, 64)}
	// An answer of an honest server to another client.
	l := holding(f, keys, aes256)
	_, token, err := newInitiator(l.services[testHost], l.identity)
	if err != nil {
		f.Fatal(err)
	}
	a := &acceptor{keys: keys}
	answer, err := a.accept(token)
	if err != nil {
		f.Fatal(err)
	}
	wrapped, err := a.wrap([]byte{2, 0, 4, 0})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame(hello, challenge(answer), challenge(wrapped), success))
	f.Add(frame(hello, challenge(wrapped), challenge(answer), success))
	f.Add(frame(hello, success))
	f.Add(frame(hello, challenge(token)))
	f.Add(frame(&pb.NegotiatePB{Step: pb.NegotiatePB_NEGOTIATE.Enum(), SaslMechanisms: []*pb.NegotiatePB_SaslMechanism{{Mechanism: new("PLAIN")}}}, success))
	f.Fuzz(func(t *testing.T, in []byte) {
		conn, err := krpc.Dial(t.Context(), testHost+":7051", krpc.Options{
			NegotiationTimeout: 5 * time.Second, Authenticators: []krpc.Authenticator{l.Authenticator(nil)},
			Dial: func(context.Context, string, string) (net.Conn, error) { return &memory{r: bytes.NewReader(in)}, nil },
		})
		if err == nil {
			conn.Close()
			t.Fatal("the client believes a server that can't read its ticket")
		}
	})
}

// memory is a connection that reads from memory; writes are dropped.
type memory struct {
	net.Conn
	r *bytes.Reader
}

func (m *memory) Read(b []byte) (int, error)       { return m.r.Read(b) }
func (m *memory) Write(b []byte) (int, error)      { return len(b), nil }
func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// FuzzServerWithTheKey has the fuzzer play a server that can read the ticket,
// and so protect whatever it says: the client is satisfied by the right layer
// and the right channel bindings alone.
func FuzzServerWithTheKey(f *testing.F) {
	keys := serviceKeys(f, aes256)
	_, hash := certificate(f)
	cert := &x509.Certificate{Raw: []byte("a certificate"), SignatureAlgorithm: x509.ECDSAWithSHA256}
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	right, err := endPoint(state)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{2, 0, 4, 0}, right, byte(0), 0, 0, []byte{})
	f.Add([]byte{7, 0, 4, 0}, right, byte(0), 5, 0, []byte("nonce"))
	f.Add([]byte{2, 0, 4, 0}, hash, byte(2), 70000, 4, []byte("nonce"))
	f.Fuzz(func(t *testing.T, offer, bindings []byte, flags byte, rotate, prefix int, nonce []byte) {
		l := holding(t, keys, aes256)
		a := &acceptor{keys: keys, hash: right, lies: lies{offer: offer, bindings: bindings, flags: flags, rotate: int(uint16(rotate)), prefix: int(int8(prefix))}}
		if offer == nil || bindings == nil {
			return // the acceptor takes these for no lies
		}
		e, err := l.Authenticator(nil).Begin(t.Context(), testHost+":7051")
		if err != nil {
			t.Fatal(err)
		}
		var in *pb.NegotiatePB
		for {
			out, err := e.Next(in)
			if err != nil {
				return
			}
			// Through the wire's form, as it goes in life.
			b, err := proto.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			var sent pb.NegotiatePB
			if err := proto.Unmarshal(b, &sent); err != nil {
				t.Fatal(err)
			}
			if in, err = a.Next(&sent); err != nil {
				t.Fatalf("the acceptor is not content: %v", err)
			}
			if in.GetStep() == pb.NegotiatePB_SASL_SUCCESS {
				break
			}
		}
		in.Nonce = nonce
		answer, err := e.Finish(in, state)
		if err != nil {
			return
		}
		if !bytes.Equal(bindings, right) || len(offer) != 4 || offer[0]&layerIntegrity == 0 || flags != 0 || int8(prefix) != 0 {
			t.Fatalf("content with layers % x, bindings % x, flags %#x, length %+d", offer, bindings, flags, prefix)
		}
		if len(answer) > 0 && int(binary.BigEndian.Uint32(answer)) != len(answer)-4 {
			t.Fatalf("a nonce of odd length: % x", answer)
		}
	})
}

// FuzzSession has the fuzzer play a server that isn't Kudu's: with its own bytes, or,
// where it is honest, by the ticket's key. A session ends well only if the server has
// read the ticket, and takes what follows without a layer.
func FuzzSession(f *testing.F) {
	keys := serviceKeys(f, aes256)
	other := holding(f, keys, aes256)
	_, token, err := other.Begin(f.Context(), testHost)
	if err != nil {
		f.Fatal(err)
	}
	a := &acceptor{keys: keys}
	answer, err := a.accept(token) // to another client
	if err != nil {
		f.Fatal(err)
	}
	offer, err := a.wrap([]byte{1, 0, 0, 0})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, true, []byte{}, []byte{1, 0, 0, 0})
	f.Add(true, true, []byte{}, []byte{7, 0, 4, 0})
	f.Add(true, true, []byte{}, []byte{2, 0, 4, 0})
	f.Add(true, true, []byte{}, []byte{1, 0, 0})
	f.Add(true, false, []byte{}, offer)
	f.Add(true, false, []byte{}, []byte{})
	f.Add(false, false, answer, offer)
	f.Add(false, false, token, offer)
	f.Add(false, false, []byte{}, []byte{})
	f.Add(false, true, []byte{0x60, 0x83, 0xff, 0xff, 0xff}, []byte{1})
	f.Fuzz(func(t *testing.T, reads, wraps bool, first, second []byte) {
		session, token, err := holding(t, keys, aes256).Begin(t.Context(), testHost)
		if err != nil {
			t.Fatal(err)
		}
		a := &acceptor{keys: keys}
		if reads {
			if first, err = a.accept(token); err != nil {
				t.Fatal(err)
			}
		}
		out, last, err := session.Next(first)
		if last || err == nil != reads || len(out) > 0 {
			t.Fatalf("to % x it says % x, %v, %v", first, out, last, err)
		}
		if err != nil {
			return
		}
		offer := second
		if wraps {
			if second, err = a.wrap(offer); err != nil {
				t.Fatal(err)
			}
		}
		out, last, err = session.Next(second)
		if good := wraps && len(offer) == 4 && offer[0]&layerNone != 0; last != good || (err == nil) != good {
			t.Fatalf("to the offer % x it says %v, %v", offer, last, err)
		} else if good {
			if choice, err := a.unwrap(out); err != nil || !bytes.Equal(choice, []byte{layerNone, 0, 0, 0}) {
				t.Fatalf("it chooses % x, %v", choice, err)
			}
		}
		if _, last, err = session.Next(second); last || err == nil {
			t.Fatal("it goes on for a third round")
		}
	})
}

// FuzzFiles reads keytabs and ticket caches that anything may be in.
func FuzzFiles(f *testing.F) {
	kt, err := serviceKeys(f, aes256).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kt)
	f.Add([]byte{5, 4, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Add([]byte{})
	path := f.TempDir() + "/file"
	f.Fuzz(func(t *testing.T, in []byte) {
		write(t, path, in)
		_, _ = loadKeytab(path, serviceName("kudu", testHost), testRealm)
		_, _ = loadCache(path)
		_, _ = loadConf(path)
	})
}
