package krpc

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// AuthnType is how the two sides of a connection authenticate.
type AuthnType int

const (
	// AuthnSASL is a SASL mechanism: PLAIN, GSSAPI.
	AuthnSASL AuthnType = iota + 1
	// AuthnToken is an authentication token that a master issued.
	AuthnToken
	// AuthnCertificate is the TLS client certificate; nothing follows it.
	AuthnCertificate
	// AuthnJWT is a JSON Web Token.
	AuthnJWT
)

func (t AuthnType) String() string {
	switch t {
	case AuthnSASL:
		return "sasl"
	case AuthnToken:
		return "token"
	case AuthnCertificate:
		return "certificate"
	case AuthnJWT:
		return "jwt"
	}
	return "none"
}

func (t AuthnType) message() *pb.AuthenticationTypePB {
	switch t {
	case AuthnToken:
		return &pb.AuthenticationTypePB{Type: &pb.AuthenticationTypePB_Token_{Token: &pb.AuthenticationTypePB_Token{}}}
	case AuthnCertificate:
		return &pb.AuthenticationTypePB{Type: &pb.AuthenticationTypePB_Certificate_{Certificate: &pb.AuthenticationTypePB_Certificate{}}}
	case AuthnJWT:
		return &pb.AuthenticationTypePB{Type: &pb.AuthenticationTypePB_Jwt_{Jwt: &pb.AuthenticationTypePB_Jwt{}}}
	}
	return &pb.AuthenticationTypePB{Type: &pb.AuthenticationTypePB_Sasl_{Sasl: &pb.AuthenticationTypePB_Sasl{}}}
}

// authnTypeOf returns 0 for a type that this version does not know.
func authnTypeOf(m *pb.AuthenticationTypePB) AuthnType {
	switch m.GetType().(type) {
	case *pb.AuthenticationTypePB_Sasl_:
		return AuthnSASL
	case *pb.AuthenticationTypePB_Token_:
		return AuthnToken
	case *pb.AuthenticationTypePB_Certificate_:
		return AuthnCertificate
	case *pb.AuthenticationTypePB_Jwt_:
		return AuthnJWT
	}
	return 0
}

// ErrSkipAuthenticator is what Authenticator.Begin returns when it has nothing
// to offer at the moment, for example no token yet.
var ErrSkipAuthenticator = errors.New("authenticator has no credentials now")

// Authenticator is one way for a client to say who it is. It is shared by all
// connections and must be safe for concurrent use.
type Authenticator interface {
	// Type is what the client lists for it in NEGOTIATE.
	Type() AuthnType
	// Mechanism is the SASL mechanism's name; empty for other types.
	Mechanism() string
	// Begin prepares for one connection to addr ("host:port" as it was
	// dialled). It runs before the first byte goes out, since the server
	// allows 3 s for all the rest: what is slow, such as fetching a service
	// ticket, belongs here.
	Begin(ctx context.Context, addr string) (Exchange, error)
}

// Exchange is the authentication of one connection.
type Exchange interface {
	// Next returns the client's next message; in is the server's last one,
	// nil at the start.
	Next(in *pb.NegotiatePB) (*pb.NegotiatePB, error)
	// Finish checks the message by which the server ends the exchange, which
	// for GSSAPI carries a nonce and channel bindings; state is that of the
	// TLS handshake, nil without one. The result goes into the connection
	// context as encoded_nonce; nil for none.
	Finish(in *pb.NegotiatePB, state *tls.ConnectionState) (encodedNonce []byte, err error)
}

// Plain authenticates by SASL PLAIN. Kudu takes any password: the user name is
// an assertion, which servers accept from trusted networks.
func Plain(user, password string) Authenticator {
	return plainAuthn{token: []byte("\x00" + user + "\x00" + password)}
}

type plainAuthn struct{ token []byte }

func (plainAuthn) Type() AuthnType   { return AuthnSASL }
func (plainAuthn) Mechanism() string { return "PLAIN" }

func (a plainAuthn) Begin(context.Context, string) (Exchange, error) {
	return singleMessage{&pb.NegotiatePB{
		Step:           pb.NegotiatePB_SASL_INITIATE.Enum(),
		Token:          a.token,
		SaslMechanisms: []*pb.NegotiatePB_SaslMechanism{{Mechanism: new("PLAIN")}},
	}}, nil
}

// Token authenticates by a token that a master issued. source is asked at each
// connection; nil means there is none now.
func Token(source func(context.Context) (*pb.SignedTokenPB, error)) Authenticator {
	return tokenAuthn{source}
}

type tokenAuthn struct {
	source func(context.Context) (*pb.SignedTokenPB, error)
}

func (tokenAuthn) Type() AuthnType   { return AuthnToken }
func (tokenAuthn) Mechanism() string { return "" }

func (a tokenAuthn) Begin(ctx context.Context, _ string) (Exchange, error) {
	token, err := a.source(ctx)
	if err != nil {
		return nil, err
	}
	if token == nil {
		return nil, ErrSkipAuthenticator
	}
	return singleMessage{&pb.NegotiatePB{Step: pb.NegotiatePB_TOKEN_EXCHANGE.Enum(), AuthnToken: token}}, nil
}

// JWT authenticates by a JSON Web Token in its compact form. source is asked
// at each connection; empty means there is none now.
func JWT(source func() (string, error)) Authenticator { return jwtAuthn{source} }

type jwtAuthn struct{ source func() (string, error) }

func (jwtAuthn) Type() AuthnType   { return AuthnJWT }
func (jwtAuthn) Mechanism() string { return "" }

func (a jwtAuthn) Begin(context.Context, string) (Exchange, error) {
	token, err := a.source()
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, ErrSkipAuthenticator
	}
	return singleMessage{&pb.NegotiatePB{
		Step:   pb.NegotiatePB_JWT_EXCHANGE.Enum(),
		JwtRaw: &pb.JwtRawPB{JwtData: []byte(token)},
	}}, nil
}

// singleMessage is an exchange in which the client speaks once.
type singleMessage struct{ first *pb.NegotiatePB }

func (e singleMessage) Next(in *pb.NegotiatePB) (*pb.NegotiatePB, error) {
	if in != nil {
		return nil, malformed("unexpected %s", in.GetStep())
	}
	return e.first, nil
}

func (singleMessage) Finish(*pb.NegotiatePB, *tls.ConnectionState) ([]byte, error) { return nil, nil }
