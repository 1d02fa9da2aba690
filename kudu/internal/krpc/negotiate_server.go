package krpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// refusal is an error that the client is told in an error frame.
type refusal struct {
	code    pb.ErrorStatusPB_RpcErrorCodePB
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with %s: %s", r.code, r.message) }

func unauthorized(format string, args ...any) *refusal {
	return &refusal{pb.ErrorStatusPB_FATAL_UNAUTHORIZED, fmt.Sprintf(format, args...)}
}

// serverNegotiation is the server's side of one negotiation.
type serverNegotiation struct {
	conn   *serverConn
	opts   *ServerOptions
	frames frameReader

	tls      *tls.ConnectionState // nil without TLS
	acceptor Acceptor             // nil without GSSAPI
}

// negotiate runs the negotiation; afterwards stream, user and authn are set.
// Refusals are sent to the client before they are returned.
func (c *serverConn) negotiate(ctx context.Context) error {
	n := &serverNegotiation{
		conn:   c,
		opts:   &c.server.opts,
		frames: frameReader{r: c.raw, max: maxNegotiationFrame},
	}
	err := n.run(ctx)
	if r, ok := err.(*refusal); ok {
		if frame, encErr := EncodeError(negotiateCallID, r.code, r.message, nil); encErr == nil {
			_, _ = c.stream.Write(frame)
		}
	}
	return err
}

func (n *serverNegotiation) run(ctx context.Context) error {
	var got [len(preamble)]byte
	if _, err := io.ReadFull(n.conn.raw, got[:]); err != nil {
		return fmt.Errorf("reading the preamble: %w", err)
	}
	// Magic and version count, the rest is ignored.
	if string(got[:5]) != preamble[:5] {
		if tcp, ok := n.conn.raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // real servers reset the connection
		}
		return malformed("preamble % x", got)
	}
	hello, err := n.expect(pb.NegotiatePB_NEGOTIATE)
	if err != nil {
		return err
	}
	useTLS := n.opts.TLS != nil && slices.Contains(hello.SupportedFeatures, pb.RpcFeatureFlag_TLS)
	if n.opts.RequireTLS && !useTLS {
		return unauthorized("client does not support required TLS encryption")
	}
	if n.conn.authn, err = n.chooseAuthn(hello, useTLS); err != nil {
		return err
	}
	answer := &pb.NegotiatePB{
		Step:              pb.NegotiatePB_NEGOTIATE.Enum(),
		SupportedFeatures: []pb.RpcFeatureFlag{pb.RpcFeatureFlag_APPLICATION_FEATURE_FLAGS},
		AuthnTypes:        []*pb.AuthenticationTypePB{n.conn.authn.message()},
	}
	if n.opts.TLS != nil {
		answer.SupportedFeatures = append(answer.SupportedFeatures, pb.RpcFeatureFlag_TLS)
		if n.opts.TLSAuthOnly {
			answer.SupportedFeatures = append(answer.SupportedFeatures, pb.RpcFeatureFlag_TLS_AUTHENTICATION_ONLY)
		}
	}
	if n.conn.authn == AuthnSASL {
		if n.opts.GSSAPI != nil {
			answer.SaslMechanisms = append(answer.SaslMechanisms, &pb.NegotiatePB_SaslMechanism{Mechanism: new("GSSAPI")})
		}
		if !n.opts.NoPlain {
			answer.SaslMechanisms = append(answer.SaslMechanisms, &pb.NegotiatePB_SaslMechanism{Mechanism: new("PLAIN")})
		}
	}
	if err := n.send(answer); err != nil {
		return err
	}
	if useTLS {
		authOnly := n.opts.TLSAuthOnly && slices.Contains(hello.SupportedFeatures, pb.RpcFeatureFlag_TLS_AUTHENTICATION_ONLY)
		if err := n.handshake(ctx, authOnly); err != nil {
			return err
		}
	}
	if err := n.authenticate(); err != nil {
		return err
	}
	return n.readContext()
}

// chooseAuthn picks among what the client listed, in Kudu's order: token, JWT,
// SASL.
func (n *serverNegotiation) chooseAuthn(hello *pb.NegotiatePB, useTLS bool) (AuthnType, error) {
	listed := func(t AuthnType) bool {
		return slices.ContainsFunc(hello.GetAuthnTypes(), func(m *pb.AuthenticationTypePB) bool { return authnTypeOf(m) == t })
	}
	switch {
	case useTLS && n.opts.VerifyToken != nil && listed(AuthnToken):
		return AuthnToken, nil
	case useTLS && n.opts.VerifyJWT != nil && listed(AuthnJWT):
		return AuthnJWT, nil
	case (!n.opts.NoPlain || n.opts.GSSAPI != nil) && (listed(AuthnSASL) || len(hello.GetAuthnTypes()) == 0):
		return AuthnSASL, nil
	}
	return 0, unauthorized("client is not authenticated by any means that the server takes")
}

// handshake is the mirror image of the client's.
func (n *serverNegotiation) handshake(ctx context.Context, authOnly bool) error {
	cfg := n.opts.TLS.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	// Tickets would follow the handshake, and a client that leaves TLS after
	// it would take them for frames.
	cfg.SessionTicketsDisabled = true
	shim := &tunnel{Conn: n.conn.raw, messages: n}
	conn := tls.Server(shim, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := conn.ConnectionState()
	n.tls = &state
	if err := shim.finish(); err != nil {
		return err
	}
	if !authOnly {
		n.conn.stream = conn
		n.frames.r = conn
	}
	return nil
}

func (n *serverNegotiation) authenticate() error {
	switch n.conn.authn {
	case AuthnToken:
		msg, err := n.expect(pb.NegotiatePB_TOKEN_EXCHANGE)
		if err != nil {
			return err
		}
		if n.conn.user, err = n.opts.VerifyToken(msg.GetAuthnToken()); err != nil {
			return &refusal{pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN, err.Error()}
		}
		return n.send(&pb.NegotiatePB{Step: pb.NegotiatePB_TOKEN_EXCHANGE.Enum()})
	case AuthnJWT:
		msg, err := n.expect(pb.NegotiatePB_JWT_EXCHANGE)
		if err != nil {
			return err
		}
		if n.conn.user, err = n.opts.VerifyJWT(string(msg.GetJwtRaw().GetJwtData())); err != nil {
			return &refusal{pb.ErrorStatusPB_FATAL_INVALID_JWT, err.Error()}
		}
		return n.send(&pb.NegotiatePB{Step: pb.NegotiatePB_JWT_EXCHANGE.Enum()})
	}
	msg, err := n.expect(pb.NegotiatePB_SASL_INITIATE)
	if err != nil {
		return err
	}
	switch m := msg.GetSaslMechanisms(); {
	case len(m) == 1 && m[0].GetMechanism() == "GSSAPI" && n.opts.GSSAPI != nil:
		return n.gssapi(msg)
	case len(m) == 1 && m[0].GetMechanism() == "PLAIN" && !n.opts.NoPlain:
		return n.plain(msg)
	default:
		return unauthorized("couldn't find the SASL mechanism %v", m)
	}
}

// gssapi lets the acceptor answer until it has success.
func (n *serverNegotiation) gssapi(msg *pb.NegotiatePB) error {
	n.acceptor = n.opts.GSSAPI(n.tls)
	for {
		answer, err := n.acceptor.Next(msg)
		if err != nil {
			return unauthorized("%v", err)
		}
		if err := n.send(answer); err != nil {
			return err
		}
		if answer.GetStep() == pb.NegotiatePB_SASL_SUCCESS {
			return nil
		}
		if msg, err = n.expect(pb.NegotiatePB_SASL_RESPONSE); err != nil {
			return err
		}
	}
}

// plain takes SASL PLAIN: authorization identity, user and password, each
// ended by a zero byte but the last (RFC 4616).
func (n *serverNegotiation) plain(msg *pb.NegotiatePB) error {
	parts := bytes.Split(msg.GetToken(), []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 {
		return unauthorized("malformed PLAIN token")
	}
	user, password := string(parts[1]), string(parts[2])
	if n.opts.VerifyPlain != nil {
		if err := n.opts.VerifyPlain(user, password); err != nil {
			return unauthorized("%v", err)
		}
	}
	n.conn.user = user
	return n.send(&pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum()})
}

// readContext takes the connection context, which nothing answers.
func (n *serverNegotiation) readContext() error {
	var msg pb.ConnectionContextPB
	err := n.read(contextCallID, &msg)
	if err == nil && n.acceptor != nil {
		n.conn.user, err = n.acceptor.Finish(msg.GetEncodedNonce())
	}
	return err
}

func (n *serverNegotiation) send(msg *pb.NegotiatePB) error {
	frame, err := EncodeResponse(negotiateCallID, msg)
	if err != nil {
		return err
	}
	_, err = n.conn.stream.Write(frame)
	return err
}

func (n *serverNegotiation) receive() (*pb.NegotiatePB, error) {
	var msg pb.NegotiatePB
	if err := n.read(negotiateCallID, &msg); err != nil {
		return nil, err
	}
	return &msg, nil
}

func (n *serverNegotiation) expect(step pb.NegotiatePB_NegotiateStep) (*pb.NegotiatePB, error) {
	msg, err := n.receive()
	if err != nil {
		return nil, err
	}
	if msg.GetStep() != step {
		return nil, unauthorized("expected %s, got %s", step, msg.GetStep())
	}
	return msg, nil
}

// read takes one frame with the given call id.
func (n *serverNegotiation) read(callID int32, msg proto.Message) error {
	f, err := n.frames.next()
	if err != nil {
		return err
	}
	defer f.buf.release()
	var header pb.RequestHeader
	if err := proto.Unmarshal(f.header, &header); err != nil {
		return malformed("header in the negotiation: %v", err)
	}
	if header.GetCallId() != callID {
		return malformed("call id %d in the negotiation", header.GetCallId())
	}
	if err := proto.Unmarshal(f.body, msg); err != nil {
		return malformed("decoding the negotiation: %v", err)
	}
	return nil
}
