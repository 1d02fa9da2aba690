package krpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// maxAuthnRounds bounds an authentication; GSSAPI takes three.
const maxAuthnRounds = 16

// Negotiated is what the two sides of a connection agreed on.
type Negotiated struct {
	// Features are the RPC features that the server listed.
	Features []pb.RpcFeatureFlag
	// Authn is how the client authenticated, Mechanism the SASL mechanism.
	Authn     AuthnType
	Mechanism string
	// TLS is the state of the handshake, with the server's certificates; nil
	// when there was none.
	TLS *tls.ConnectionState
	// Encrypted tells whether calls travel through TLS; with TLS and without
	// encryption, the handshake served authentication only.
	Encrypted bool
}

// Dial connects to a server ("host:port") and negotiates, within ctx and
// Options.NegotiationTimeout. A refusal by the server is a CallError (found by
// errors.As); all else is a TransportError with Sent false, which wraps
// ctx.Err() if ctx ended.
func Dial(ctx context.Context, addr string, opts Options) (*Conn, error) {
	opts = opts.withDefaults()
	dialCtx, cancel := context.WithTimeoutCause(ctx, opts.NegotiationTimeout, ErrNegotiationTimeout)
	defer cancel()
	fail := func(stage string, err error) error {
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case dialCtx.Err() != nil:
			err = fmt.Errorf("%w after %s", ErrNegotiationTimeout, opts.NegotiationTimeout)
		}
		return &TransportError{Addr: addr, Method: stage, Err: err}
	}
	raw, err := opts.Dial(dialCtx, "tcp", addr)
	if err != nil {
		return nil, fail("connect", err)
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		if err := tcp.SetNoDelay(true); err != nil {
			raw.Close()
			return nil, fail("connect", err)
		}
	}
	// Closing the socket is what ends a stalled negotiation.
	stop := context.AfterFunc(dialCtx, func() { raw.Close() })
	n := &negotiation{
		addr:   addr,
		stream: raw,
		frames: frameReader{r: raw, max: min(maxNegotiationFrame, opts.MaxFrameBytes)},
		opts:   opts,
	}
	negotiated, err := n.run(dialCtx, raw)
	if stopped := stop(); err == nil && !stopped {
		err = dialCtx.Err()
	}
	if err != nil {
		raw.Close()
		if callErr := (*CallError)(nil); errors.As(err, &callErr) {
			return nil, fmt.Errorf("negotiating: %w", err)
		}
		return nil, fail("negotiation", err)
	}
	opts.Logger.Debug("connected", "addr", addr, "authn", negotiated.Authn, "mechanism", negotiated.Mechanism,
		"encrypted", negotiated.Encrypted)
	return startConn(addr, n.stream, raw, opts, *negotiated), nil
}

// negotiation is the client's side of one.
type negotiation struct {
	addr   string
	stream net.Conn // the socket, later TLS on it
	frames frameReader
	opts   Options
}

// started is an authenticator that is ready for this connection.
type started struct {
	Authenticator
	exchange Exchange
}

func (n *negotiation) run(ctx context.Context, raw net.Conn) (*Negotiated, error) {
	candidates, err := n.begin(ctx)
	if err != nil {
		return nil, err
	}
	hello := n.hello(candidates)
	header, err := appendRequestHeader(nil, negotiateCallID, nil, 0)
	if err != nil {
		return nil, err
	}
	if err := n.write([]byte(preamble), header, hello); err != nil {
		return nil, err
	}
	answer, err := n.receive()
	if err != nil {
		return nil, err
	}
	if answer.GetStep() != pb.NegotiatePB_NEGOTIATE {
		return nil, malformed("%s instead of NEGOTIATE", answer.GetStep())
	}
	result := &Negotiated{Features: answer.GetSupportedFeatures()}
	chosen, err := choose(candidates, answer)
	if err != nil {
		return nil, err
	}
	result.Authn, result.Mechanism = chosen.Type(), chosen.Mechanism()

	common := func(f pb.RpcFeatureFlag) bool {
		return slices.Contains(hello.SupportedFeatures, f) && slices.Contains(answer.SupportedFeatures, f)
	}
	switch {
	case common(pb.RpcFeatureFlag_TLS):
		authOnly := common(pb.RpcFeatureFlag_TLS_AUTHENTICATION_ONLY)
		if result.TLS, err = n.handshake(ctx, raw, chosen.Type(), authOnly); err != nil {
			return nil, err
		}
		result.Encrypted = !authOnly
	case n.opts.TLS == TLSRequired:
		return nil, ErrTLSUnavailable
	case chosen.Type() != AuthnSASL:
		return nil, fmt.Errorf("%w: it asks for a %s", ErrTLSUnavailable, chosen.Type())
	}

	nonce, err := n.authenticate(chosen, result.TLS)
	if err != nil {
		return nil, err
	}
	header, err = appendRequestHeader(nil, contextCallID, nil, 0)
	if err != nil {
		return nil, err
	}
	return result, n.write(nil, header, &pb.ConnectionContextPB{EncodedNonce: nonce})
}

// begin asks each authenticator whether it can take part. Errors only count
// when nothing else is left.
func (n *negotiation) begin(ctx context.Context) ([]started, error) {
	var ready []started
	var errs []error
	for _, a := range n.opts.Authenticators {
		// Tokens are for servers that proved who they are, which takes TLS.
		if a.Type() != AuthnSASL && n.opts.TLS == TLSOff {
			continue
		}
		exchange, err := a.Begin(ctx, n.addr)
		switch {
		case err == nil:
			ready = append(ready, started{a, exchange})
		case !errors.Is(err, ErrSkipAuthenticator):
			errs = append(errs, fmt.Errorf("preparing %s %s: %w", a.Type(), a.Mechanism(), err))
		}
	}
	switch {
	case len(ready) > 0:
	case len(errs) > 0:
		return nil, fmt.Errorf("%w: %w", ErrNoCredentials, errors.Join(errs...))
	default:
		return nil, fmt.Errorf("%w: there are none", ErrNoCredentials)
	}
	for _, err := range errs {
		n.opts.Logger.Warn("leaving out a way of authentication", "addr", n.addr, "error", err)
	}
	return ready, nil
}

// hello is the client's NEGOTIATE.
func (n *negotiation) hello(candidates []started) *pb.NegotiatePB {
	msg := &pb.NegotiatePB{
		Step:              pb.NegotiatePB_NEGOTIATE.Enum(),
		SupportedFeatures: []pb.RpcFeatureFlag{pb.RpcFeatureFlag_APPLICATION_FEATURE_FLAGS},
	}
	if n.opts.TLS != TLSOff {
		msg.SupportedFeatures = append(msg.SupportedFeatures, pb.RpcFeatureFlag_TLS)
		if n.opts.TLSAuthOnly && loopback(n.stream) {
			msg.SupportedFeatures = append(msg.SupportedFeatures, pb.RpcFeatureFlag_TLS_AUTHENTICATION_ONLY)
		}
	}
	var listed []AuthnType
	for _, c := range candidates {
		if !slices.Contains(listed, c.Type()) {
			listed = append(listed, c.Type())
			msg.AuthnTypes = append(msg.AuthnTypes, c.Type().message())
		}
	}
	return msg
}

// loopback tells whether both ends of the socket have one address, as Kudu does
// (kudu-1.18.1 src/kudu/util/net/socket.cc, IsLoopbackConnection).
func loopback(nc net.Conn) bool {
	local, ok := nc.LocalAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	remote, ok := nc.RemoteAddr().(*net.TCPAddr)
	return ok && local.IP.Equal(remote.IP)
}

// choose finds the authenticator that the server asked for: exactly one type,
// none meaning SASL, and the mechanisms it takes for SASL.
func choose(candidates []started, answer *pb.NegotiatePB) (started, error) {
	authn := AuthnSASL
	switch types := answer.GetAuthnTypes(); len(types) {
	case 0:
	case 1:
		authn = authnTypeOf(types[0])
	default:
		return started{}, malformed("server chose %d ways of authentication", len(types))
	}
	var mechanisms []string
	for _, m := range answer.GetSaslMechanisms() {
		mechanisms = append(mechanisms, m.GetMechanism())
	}
	for _, c := range candidates {
		if c.Type() == authn && (authn != AuthnSASL || slices.Contains(mechanisms, c.Mechanism())) {
			return c, nil
		}
	}
	var offered []string
	for _, c := range candidates {
		offered = append(offered, strings.TrimSpace(c.Type().String()+" "+c.Mechanism()))
	}
	return started{}, fmt.Errorf("%w: this client is to authenticate by %s, and the server takes %s only",
		ErrNoCommonAuthentication, strings.Join(offered, " or "), strings.TrimSpace(authn.String()+" "+strings.Join(mechanisms, " ")))
}

// handshake runs TLS through the negotiation's messages. Afterwards the stream
// is TLS on the socket, unless authOnly.
func (n *negotiation) handshake(ctx context.Context, raw net.Conn, authn AuthnType, authOnly bool) (*tls.ConnectionState, error) {
	shim := &tunnel{Conn: raw, messages: n}
	conn := tls.Client(shim, n.tlsConfig(authn))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if err := shim.finish(); err != nil {
		return nil, err
	}
	if !authOnly {
		n.stream = conn
		n.frames.r = conn
	}
	state := conn.ConnectionState()
	return &state, nil
}

func (n *negotiation) tlsConfig(authn AuthnType) *tls.Config {
	cfg := n.opts.TLSConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	// Certificates carry the host's own name, and clusters are addressed by
	// others: like Kudu's clients, check the chain alone.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if n.opts.VerifyServer != nil {
			return n.opts.VerifyServer(authn, state)
		}
		if authn == AuthnSASL {
			return nil
		}
		var roots *x509.CertPool
		if n.opts.RootCAs != nil {
			roots = n.opts.RootCAs()
		}
		return VerifyChain(roots, state)
	}
	return cfg
}

// VerifyChain checks that the server's certificate was issued, maybe by way of
// others that the server showed, by one of the roots. Names and key usages are
// not looked at. Nil roots verify nothing and are an error.
func VerifyChain(roots *x509.CertPool, state tls.ConnectionState) error {
	if roots == nil {
		return errors.New("verifying the server's certificate: no certificate authority is known")
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("verifying the server's certificate: it showed none")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("verifying the server's certificate: %w", err)
	}
	return nil
}

// authenticate runs the chosen exchange to its end.
func (n *negotiation) authenticate(chosen started, state *tls.ConnectionState) (encodedNonce []byte, err error) {
	last := pb.NegotiatePB_SASL_SUCCESS
	switch chosen.Type() {
	case AuthnCertificate:
		return nil, nil
	case AuthnToken:
		last = pb.NegotiatePB_TOKEN_EXCHANGE
	case AuthnJWT:
		last = pb.NegotiatePB_JWT_EXCHANGE
	}
	var in *pb.NegotiatePB
	for range maxAuthnRounds {
		out, err := chosen.exchange.Next(in)
		if err != nil {
			return nil, fmt.Errorf("authenticating by %s %s: %w", chosen.Type(), chosen.Mechanism(), err)
		}
		if err := n.send(out); err != nil {
			return nil, err
		}
		if in, err = n.receive(); err != nil {
			return nil, err
		}
		switch in.GetStep() {
		case last:
			nonce, err := chosen.exchange.Finish(in, state)
			if err != nil {
				return nil, fmt.Errorf("authenticating by %s %s: %w", chosen.Type(), chosen.Mechanism(), err)
			}
			return nonce, nil
		case pb.NegotiatePB_SASL_CHALLENGE:
			if chosen.Type() == AuthnSASL {
				continue
			}
		}
		return nil, malformed("%s during authentication by %s", in.GetStep(), chosen.Type())
	}
	return nil, malformed("authentication did not end in %d rounds", maxAuthnRounds)
}

// send and receive carry the messages of the negotiation.
func (n *negotiation) send(msg *pb.NegotiatePB) error {
	header, err := appendRequestHeader(nil, negotiateCallID, nil, 0)
	if err != nil {
		return err
	}
	return n.write(nil, header, msg)
}

func (n *negotiation) write(prefix, header []byte, msg proto.Message) error {
	buf, err := buildFrame(header, msg, nil, maxNegotiationFrame)
	if err != nil {
		return fmt.Errorf("encoding the negotiation: %w", err)
	}
	defer buf.release()
	_, err = n.stream.Write(append(prefix, buf.b...))
	return err
}

func (n *negotiation) receive() (*pb.NegotiatePB, error) {
	f, err := n.frames.next()
	if err != nil {
		if err == io.EOF {
			err = fmt.Errorf("server closed the connection: %w", io.ErrUnexpectedEOF)
		}
		return nil, err
	}
	defer f.buf.release()
	header, err := parseResponseHeader(f.header, nil)
	if err != nil {
		return nil, err
	}
	if err := header.check(f.body); err != nil {
		return nil, err
	}
	body := mainMessage(f.body, header.offsets)
	if header.isError {
		callErr, err := parseCallError(n.addr, body)
		if err != nil {
			return nil, err
		}
		callErr.Method = "negotiation"
		return nil, callErr
	}
	if header.callID != negotiateCallID {
		return nil, malformed("call id %d during the negotiation", header.callID)
	}
	var msg pb.NegotiatePB
	if err := proto.Unmarshal(body, &msg); err != nil {
		return nil, malformed("decoding the negotiation: %v", err)
	}
	return &msg, nil
}
