package kerberos

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

const (
	mechanismName = "GSSAPI"
	// layerIntegrity is the security layer that Kudu asks for (kudu-1.18.1
	// src/kudu/rpc/server_negotiation.cc); what is sent after the negotiation
	// isn't wrapped, TLS protects it.
	layerIntegrity = 2
	// maxWrapped is the size of wrapped messages that the client would take.
	maxWrapped = 0xffff
)

// Authenticator authenticates connections by tickets of this login. If another
// authenticator is likely to be chosen, as other says, the ticket is got only
// once the server asks for it.
func (l *Login) Authenticator(other func() bool) krpc.Authenticator {
	return &authenticator{login: l, other: other}
}

type authenticator struct {
	login *Login
	other func() bool
}

func (*authenticator) Type() krpc.AuthnType { return krpc.AuthnSASL }
func (*authenticator) Mechanism() string    { return mechanismName }

// Begin implements krpc.Authenticator. The server's principal is of the host
// as it is addressed: names aren't looked up.
func (a *authenticator) Begin(ctx context.Context, addr string) (krpc.Exchange, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: of a server at %q: %w", ErrCredentials, addr, err)
	}
	host = strings.ToLower(host)
	e := &exchange{prepare: func() (*ticket, *identity, error) { return a.login.ticketFor(ctx, host) }}
	if a.other != nil && a.other() {
		return e, nil
	}
	t, id, err := e.prepare()
	e.prepare = func() (*ticket, *identity, error) { return t, id, err }
	return e, err
}

// exchange is one authentication: the client's ticket, the server's answer to
// it, and an agreement on protection (RFC 4752 3.1).
type exchange struct {
	prepare func() (*ticket, *identity, error)
	round   int
	context *initiator
}

// Next implements krpc.Exchange.
func (e *exchange) Next(in *pb.NegotiatePB) (*pb.NegotiatePB, error) {
	e.round++
	switch e.round {
	case 1:
		t, id, err := e.prepare()
		if err != nil {
			return nil, err
		}
		context, token, err := newInitiator(t, id)
		if err != nil {
			return nil, err
		}
		e.context = context
		return &pb.NegotiatePB{
			Step: pb.NegotiatePB_SASL_INITIATE.Enum(), Token: token,
			SaslMechanisms: []*pb.NegotiatePB_SaslMechanism{{Mechanism: new(mechanismName)}},
		}, nil
	case 2:
		if err := e.context.establish(in.GetToken()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrServer, err)
		}
		return response([]byte{}), nil
	case 3:
		offer, err := e.context.unwrap(in.GetToken())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrServer, err)
		}
		if len(offer) != 4 || offer[0]&layerIntegrity == 0 {
			return nil, fmt.Errorf("%w: it offers no protection of integrity (% x)", ErrServer, offer)
		}
		// No further name: the server takes the ticket's.
		choice := binary.BigEndian.AppendUint32(nil, maxWrapped)
		choice[0] = layerIntegrity
		token, err := e.context.wrap(choice)
		if err != nil {
			return nil, err
		}
		return response(token), nil
	}
	return nil, fmt.Errorf("%w: it asks for a further round", ErrServer)
}

func response(token []byte) *pb.NegotiatePB {
	return &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_RESPONSE.Enum(), Token: token}
}

// Finish implements krpc.Exchange: it checks that the TLS channel ends at the
// server that the ticket is for, and answers the server's nonce.
func (e *exchange) Finish(in *pb.NegotiatePB, state *tls.ConnectionState) ([]byte, error) {
	if e.round != 3 {
		return nil, fmt.Errorf("%w: it ends the authentication after %d of 3 rounds", ErrServer, e.round)
	}
	if state != nil {
		if err := e.checkBindings(in.GetChannelBindings(), state); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrServer, err)
		}
	}
	if in.Nonce == nil {
		return nil, nil
	}
	token, err := e.context.wrap(in.GetNonce())
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...), nil
}

// checkBindings compares what the server says of its certificate with what TLS
// has shown (RFC 5929 4, tls-server-end-point).
func (e *exchange) checkBindings(wrapped []byte, state *tls.ConnectionState) error {
	if len(wrapped) < 4 {
		return errors.New("it sends no channel bindings")
	}
	if n := binary.BigEndian.Uint32(wrapped); uint64(n) != uint64(len(wrapped)-4) {
		return fmt.Errorf("channel bindings of %d bytes in %d", n, len(wrapped)-4)
	}
	said, err := e.context.unwrap(wrapped[4:])
	if err != nil {
		return err
	}
	shown, err := endPoint(state)
	if err != nil {
		return err
	}
	if !bytes.Equal(said, shown) {
		return errors.New("its channel bindings aren't those of the TLS connection: somebody is in between")
	}
	return nil
}

// endPoint is the hash of the server's certificate by the algorithm of its
// signature; SHA-256 instead of older ones.
func endPoint(state *tls.ConnectionState) ([]byte, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("it has shown no certificate")
	}
	cert := state.PeerCertificates[0]
	switch hashOf(cert.SignatureAlgorithm) {
	case crypto.SHA256:
		sum := sha256.Sum256(cert.Raw)
		return sum[:], nil
	case crypto.SHA384:
		sum := sha512.Sum384(cert.Raw)
		return sum[:], nil
	case crypto.SHA512:
		sum := sha512.Sum512(cert.Raw)
		return sum[:], nil
	}
	return nil, fmt.Errorf("no channel bindings are known for certificates signed by %s", cert.SignatureAlgorithm)
}

func hashOf(algorithm x509.SignatureAlgorithm) crypto.Hash {
	switch algorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return 0
}
