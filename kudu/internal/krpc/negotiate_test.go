package krpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

type tlsPair struct {
	server *tls.Config
	roots  *x509.CertPool
}

// testTLS makes an authority and a server certificate signed by it, for a name
// that nobody dials, as Kudu's are.
func testTLS(t testing.TB) tlsPair {
	t.Helper()
	sign := func(tmpl, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, parentKey = tmpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	ca, caKey := sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(100 * time.Hour),
	}, nil, nil)
	leaf, leafKey := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"some-other-host"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(100 * time.Hour),
	}, ca, caKey)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return tlsPair{
		server: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw, ca.Raw}, PrivateKey: leafKey}}},
		roots:  roots,
	}
}

func TestTLSRunsThroughTheNegotiation(t *testing.T) {
	pair := testTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, authOnly := range []bool{false, true} {
			for _, pipe := range []bool{false, true} {
				name := fmt.Sprintf("%s authOnly=%t pipe=%t", tls.VersionName(version), authOnly, pipe)
				t.Run(name, func(t *testing.T) {
					serverOpts := ServerOptions{TLS: pair.server, RequireTLS: true, TLSAuthOnly: authOnly}
					opts := Options{}
					addr := "pipe"
					if pipe {
						opts = overPipe(t, NewServer(serverOpts, echo))
					} else {
						addr, _ = listen(t, serverOpts, echo)
					}
					opts.TLS, opts.TLSAuthOnly = TLSRequired, authOnly
					// What isn't a loopback stays encrypted, whatever the server
					// offers.
					leavesTLS := authOnly && !pipe
					opts.TLSConfig = &tls.Config{MaxVersion: version}
					c := connect(t, addr, opts)
					n := c.Negotiated()
					if n.TLS == nil || n.TLS.Version != version || n.Encrypted == leavesTLS || len(n.TLS.PeerCertificates) != 2 {
						t.Fatalf("negotiated %+v", n)
					}
					for _, size := range []int{0, 10, 300_000} {
						var m pb.JwtRawPB
						text := strings.Repeat("x", size)
						if _, err := c.Call(testContext(t), request("Echo", text), &m); err != nil {
							t.Fatal(err)
						}
						contents(t, &m, text)
					}
				})
			}
		}
	}
}

func TestServerThatRequiresTLSRefusesPlainClients(t *testing.T) {
	addr, _ := listen(t, ServerOptions{TLS: testTLS(t).server, RequireTLS: true}, echo)
	_, err := Dial(testContext(t), addr, Options{})
	var ce *CallError
	if !errors.As(err, &ce) || ce.Code != pb.ErrorStatusPB_FATAL_UNAUTHORIZED || ce.Method != "negotiation" || ce.Addr != addr {
		t.Errorf("got %v", err)
	}
}

func TestClientThatRequiresTLSRefusesPlainServers(t *testing.T) {
	addr, _ := listen(t, ServerOptions{VerifyPlain: func(string, string) error {
		t.Error("the client authenticated in the clear")
		return nil
	}}, echo)
	if _, err := Dial(testContext(t), addr, Options{TLS: TLSRequired}); !errors.Is(err, ErrTLSUnavailable) {
		t.Errorf("got %v", err)
	}
	c := connect(t, addr2(t), Options{TLS: TLSOptional})
	if c.Negotiated().TLS != nil {
		t.Error("TLS ran with a server that has none")
	}
}

func addr2(t *testing.T) string {
	addr, _ := listen(t, ServerOptions{}, echo)
	return addr
}

func TestTokensGoOnlyToVerifiedServers(t *testing.T) {
	pair := testTLS(t)
	verifyToken := func(tok *pb.SignedTokenPB) (string, error) {
		if string(tok.GetTokenData()) != "good" {
			return "", errors.New("bad token")
		}
		return "token user", nil
	}
	verifyJWT := func(tok string) (string, error) {
		if tok != "good" {
			return "", errors.New("bad JWT")
		}
		return "jwt user", nil
	}
	whoami := func(_ context.Context, call *ServerCall) { _ = call.Reply(message([]byte(call.User))) }
	tokenAddr, _ := listen(t, ServerOptions{TLS: pair.server, VerifyToken: verifyToken, NoPlain: true}, whoami)
	jwtAddr, _ := listen(t, ServerOptions{TLS: pair.server, VerifyJWT: verifyJWT, NoPlain: true}, whoami)
	token := func(s string) Authenticator {
		return Token(func(context.Context) (*pb.SignedTokenPB, error) {
			return &pb.SignedTokenPB{TokenData: []byte(s)}, nil
		})
	}
	jwt := func(s string) Authenticator { return JWT(func() (string, error) { return s, nil }) }
	noToken := Token(func(context.Context) (*pb.SignedTokenPB, error) { return nil, nil })
	failing := Token(func(context.Context) (*pb.SignedTokenPB, error) { return nil, errors.New("no token") })
	roots := func() *x509.CertPool { return pair.roots }
	others := func() *x509.CertPool { return testTLS(t).roots }

	for _, tc := range []struct {
		name, addr string
		opts       Options
		user       string
		authn      AuthnType
		code       pb.ErrorStatusPB_RpcErrorCodePB
	}{
		{"token", tokenAddr, Options{TLS: TLSRequired, RootCAs: roots, Authenticators: []Authenticator{Plain("x", ""), token("good")}}, "token user", AuthnToken, 0},
		{"jwt", jwtAddr, Options{TLS: TLSOptional, RootCAs: roots, Authenticators: []Authenticator{jwt("good")}}, "jwt user", AuthnJWT, 0},
		{"bad token", tokenAddr, Options{TLS: TLSRequired, RootCAs: roots, Authenticators: []Authenticator{token("bad")}}, "", 0, pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN},
		{"bad jwt", jwtAddr, Options{TLS: TLSRequired, RootCAs: roots, Authenticators: []Authenticator{jwt("bad")}}, "", 0, pb.ErrorStatusPB_FATAL_INVALID_JWT},
		{"unknown authority", tokenAddr, Options{TLS: TLSRequired, RootCAs: others, Authenticators: []Authenticator{token("good")}}, "", 0, 0},
		{"no authority", tokenAddr, Options{TLS: TLSRequired, Authenticators: []Authenticator{token("good")}}, "", 0, 0},
		{"no TLS", tokenAddr, Options{Authenticators: []Authenticator{token("good")}}, "", 0, 0},
		{"no token now", tokenAddr, Options{TLS: TLSRequired, Authenticators: []Authenticator{noToken}}, "", 0, 0},
		{"token failed", tokenAddr, Options{TLS: TLSRequired, Authenticators: []Authenticator{failing}}, "", 0, 0},
		{"plain refused", tokenAddr, Options{}, "", 0, pb.ErrorStatusPB_FATAL_UNAUTHORIZED},
		{"hook refuses", tokenAddr, Options{TLS: TLSRequired, Authenticators: []Authenticator{token("good")},
			VerifyServer: func(AuthnType, tls.ConnectionState) error { return errors.New("no") }}, "", 0, 0},
		{"hook accepts", tokenAddr, Options{TLS: TLSRequired, Authenticators: []Authenticator{token("good")},
			VerifyServer: func(AuthnType, tls.ConnectionState) error { return nil }}, "token user", AuthnToken, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Dial(testContext(t), tc.addr, tc.opts)
			if tc.user == "" {
				var ce *CallError
				if err == nil || errors.As(err, &ce) != (tc.code != 0) || (ce != nil && ce.Code != tc.code) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var m pb.JwtRawPB
			if _, err := c.Call(testContext(t), request("WhoAmI", ""), &m); err != nil {
				t.Fatal(err)
			}
			contents(t, &m, tc.user)
			if c.Negotiated().Authn != tc.authn {
				t.Errorf("negotiated %+v", c.Negotiated())
			}
		})
	}
}

// rounds is a SASL mechanism with challenges and a nonce, as GSSAPI has.
type rounds struct{ begun *int }

func (rounds) Type() AuthnType   { return AuthnSASL }
func (rounds) Mechanism() string { return "ROUNDS" }
func (r rounds) Begin(_ context.Context, addr string) (Exchange, error) {
	*r.begun++
	return r, nil
}

func (rounds) Next(in *pb.NegotiatePB) (*pb.NegotiatePB, error) {
	if in == nil {
		return &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_INITIATE.Enum(), Token: []byte("0"),
			SaslMechanisms: []*pb.NegotiatePB_SaslMechanism{{Mechanism: new("ROUNDS")}}}, nil
	}
	return &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_RESPONSE.Enum(), Token: append(in.GetToken(), '!')}, nil
}

func (rounds) Finish(in *pb.NegotiatePB, state *tls.ConnectionState) ([]byte, error) {
	return append([]byte("encoded "), in.GetNonce()...), nil
}

func TestSASLMechanismsMayTakeRoundsAndEncodeTheNonce(t *testing.T) {
	endless := false
	serve := func(nc net.Conn) {
		n := &serverNegotiation{conn: &serverConn{raw: nc, stream: nc}, frames: frameReader{r: nc, max: maxNegotiationFrame}}
		if _, err := io.ReadFull(nc, make([]byte, len(preamble))); err != nil {
			t.Error(err)
		}
		reply := func(want string, msg *pb.NegotiatePB) error {
			got, err := n.receive()
			if err != nil {
				return err
			}
			if want != "" && string(got.GetToken()) != want {
				t.Errorf("client sent %q, want %q", got.GetToken(), want)
			}
			return n.send(msg)
		}
		challenge := func(token string) *pb.NegotiatePB {
			return &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_CHALLENGE.Enum(), Token: []byte(token)}
		}
		_ = reply("", &pb.NegotiatePB{
			Step: pb.NegotiatePB_NEGOTIATE.Enum(),
			SaslMechanisms: []*pb.NegotiatePB_SaslMechanism{
				{Mechanism: new("OTHER")}, {Mechanism: new("ROUNDS")}},
		})
		for endless {
			if reply("", challenge("x")) != nil {
				return
			}
		}
		_ = reply("0", challenge("a"))
		_ = reply("a!", challenge(""))
		_ = reply("!", &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum(), Nonce: []byte("nonce")})
		var got pb.ConnectionContextPB
		if err := n.read(contextCallID, &got); err != nil || string(got.GetEncodedNonce()) != "encoded nonce" {
			t.Errorf("context %v, %v", &got, err)
		}
	}
	begun := 0
	opts := script(t, serve)
	opts.Authenticators = []Authenticator{Plain("x", ""), rounds{&begun}}
	c := connect(t, "rounds", opts)
	if c.Negotiated().Mechanism != "ROUNDS" || begun != 1 {
		t.Errorf("negotiated %+v, begun %d", c.Negotiated(), begun)
	}
	endless = true
	if _, err := Dial(testContext(t), "endless", opts); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestNegotiationWithGarbageFails(t *testing.T) {
	msg := func(m *pb.NegotiatePB) []byte {
		b, err := EncodeResponse(negotiateCallID, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hello := pb.NegotiatePB_NEGOTIATE.Enum()
	for name, answer := range map[string][]byte{
		"http":            []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"wrong step":      msg(&pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum()}),
		"two authn types": msg(&pb.NegotiatePB{Step: hello, AuthnTypes: []*pb.AuthenticationTypePB{AuthnSASL.message(), AuthnJWT.message()}}),
		"unknown authn":   msg(&pb.NegotiatePB{Step: hello, AuthnTypes: []*pb.AuthenticationTypePB{{}}}),
		"not listed":      msg(&pb.NegotiatePB{Step: hello, AuthnTypes: []*pb.AuthenticationTypePB{AuthnCertificate.message()}}),
		"no mechanism":    msg(&pb.NegotiatePB{Step: hello}),
		"eof":             {},
		"oversized":       {0, 0x20, 0, 0, 0},
	} {
		opts := script(t, func(nc net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, nc) }()
			_, _ = nc.Write(answer)
		})
		var te *TransportError
		if _, err := Dial(testContext(t), name, opts); !errors.As(err, &te) || te.Sent {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestStalledServerIsGivenUpAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := script(t, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
		start := time.Now()
		_, err := Dial(context.Background(), "stalled", opts)
		if !errors.Is(err, ErrNegotiationTimeout) || errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := Dial(ctx, "stalled", opts); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFailingAuthenticatorIsLeftOut(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, echo)
	broken := failing{errors.New("no ticket")}
	c := connect(t, addr, Options{Authenticators: []Authenticator{broken, Plain("x", "")}})
	if c.Negotiated().Mechanism != "PLAIN" {
		t.Errorf("negotiated %+v", c.Negotiated())
	}
	_, err := Dial(testContext(t), addr, Options{Authenticators: []Authenticator{broken}})
	if !errors.Is(err, broken.err) || !errors.Is(err, ErrNoCredentials) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (failing) Type() AuthnType                                   { return AuthnSASL }
func (failing) Mechanism() string                                 { return "GSSAPI" }
func (f failing) Begin(context.Context, string) (Exchange, error) { return nil, f.err }

func TestRefusedConnectionIsATransportError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = Dial(testContext(t), l.Addr().String(), Options{})
	var te *TransportError
	var op *net.OpError
	if !errors.As(err, &te) || te.Sent || te.Method != "connect" || !errors.As(err, &op) {
		t.Errorf("got %v", err)
	}
}
