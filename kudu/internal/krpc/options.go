package krpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/user"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TLSMode says whether a client takes part in TLS. Default clusters work
// without it from trusted networks; rpc_encryption=required needs it.
type TLSMode int

const (
	// TLSOff does not list TLS: everything goes in the clear.
	TLSOff TLSMode = iota
	// TLSOptional uses TLS with servers that offer it.
	TLSOptional
	// TLSRequired refuses servers that do not offer TLS.
	TLSRequired
)

// Options says how connections are made. The zero value connects in the clear
// as the operating system's user. Options is copied and may be shared.
type Options struct {
	// Dial opens the byte stream. Default: TCP with keep-alive, and a bound
	// on how long the kernel retransmits to a dead host.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// User is the name given with SASL PLAIN. Default: the process's user.
	User string
	// Authenticators are the ways to authenticate, best liked first among
	// those of one type; the server picks the type. Default: Plain(User).
	Authenticators []Authenticator

	// TLS says whether TLS is listed.
	TLS TLSMode
	// TLSAuthOnly also lists TLS_AUTHENTICATION_ONLY on connections whose two
	// ends have one address: the server then leaves the socket in the clear
	// after the handshake. On others it is never listed, since who sits in
	// between could ask for it and read what follows, tokens first.
	TLSAuthOnly bool
	// TLSConfig is the base of the handshake's configuration (versions, own
	// certificates); verification is up to RootCAs and VerifyServer. May be
	// nil.
	TLSConfig *tls.Config
	// RootCAs are the authorities that server certificates are checked
	// against, asked for at each connection; nil results mean none is known.
	RootCAs func() *x509.CertPool
	// VerifyServer decides about the server's certificate, once the handshake
	// shows it. Default: with a token or JWT, its chain must lead to RootCAs,
	// or nothing secret is sent; with SASL nothing is checked, since a server
	// may not have a signed certificate yet. Kudu's clients never check host
	// names.
	VerifyServer func(authn AuthnType, state tls.ConnectionState) error

	// NegotiationTimeout bounds connecting and negotiating. Default 10 s.
	NegotiationTimeout time.Duration
	// WriteTimeout bounds one write to the socket; a server that takes no
	// bytes for so long has lost the connection. Default 30 s.
	WriteTimeout time.Duration
	// MaxFrameBytes bounds responses. Default DefaultMaxFrameBytes.
	MaxFrameBytes int
	// MaxRequestBytes bounds requests, since a server answers a larger one
	// with a reset that hits all calls. Default ServerMaxFrameBytes.
	MaxRequestBytes int

	// Logger gets a line per state change of a connection. Default: none.
	Logger hclog.Logger
}

func (o Options) withDefaults() Options {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Control: setSocketOptions}).DialContext
	}
	if o.User == "" {
		o.User = DefaultUser()
	}
	if len(o.Authenticators) == 0 {
		o.Authenticators = []Authenticator{Plain(o.User, "")}
	}
	if o.NegotiationTimeout <= 0 {
		o.NegotiationTimeout = 10 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.MaxFrameBytes <= 0 {
		o.MaxFrameBytes = DefaultMaxFrameBytes
	}
	if o.MaxRequestBytes <= 0 {
		o.MaxRequestBytes = ServerMaxFrameBytes
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return o
}

// DefaultUser names the process's user; containers may run with an id that has no
// name.
func DefaultUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "unknown"
}
