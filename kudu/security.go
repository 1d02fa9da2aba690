package kudu

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/kerberos"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// Security says how client and servers prove who they are. The zero value is
// for clusters without authentication: the client says its name, and TLS is
// used where servers offer it.
//
// With Kerberos or JWT set, servers that offer less than that are refused, and
// TLS is required; on a connection within one machine Kudu leaves the socket in
// the clear after TLS has proved who is there. At most one of them is set.
type Security struct {
	// Kerberos, if set, is how to authenticate by tickets.
	Kerberos *Kerberos
	// JWT, if set, gives a JSON Web Token in its compact form; it is asked at
	// each connection. It needs CAFile.
	JWT func() (string, error)
	// CAFile is a file of certificates (PEM) of authorities that servers'
	// certificates are checked against, read at each connection. With Kerberos
	// it is needed only where the servers' certificates aren't Kudu's own:
	// the master hands out the authority of those. Names in certificates aren't
	// checked, as in Kudu's own clients.
	CAFile string
}

// Kerberos says whose tickets to use. At most one of Keytab, Password and Cache
// is set; with none the process's own ticket cache is used. All files are read
// again when tickets are renewed.
type Kerberos struct {
	// Principal is name or name@REALM. It may be empty with a ticket cache.
	Principal string
	Keytab    string // file
	Password  secret.Text
	// Cache is the file of a ticket cache that others keep filled. Default:
	// KRB5CCNAME, or the user's own in /tmp.
	Cache string
	// Service is the first part of the servers' principals. Default: kudu.
	Service string
	// Conf is the path of krb5.conf. Default: KRB5_CONFIG, or /etc/krb5.conf.
	Conf string
}

func (s Security) check() error {
	switch {
	case s.Kerberos != nil && s.JWT != nil:
		return errors.New("both Kerberos and JWT are set")
	case s.JWT != nil && s.CAFile == "":
		return errors.New("JWT needs the file of the cluster's certificate authority, or the token would be sent to anybody")
	}
	return nil
}

// ErrNotAuthenticated tells that client and server could not prove to each other
// who they are, and that trying again gives the same. The error that wraps it
// says why.
var ErrNotAuthenticated = errors.New("not authenticated")

// ErrNoKDC tells that no Kerberos KDC answers, and that the tickets that the
// client has don't serve any more. It passes.
var ErrNoKDC = kerberos.ErrUnreachable

// errUnreadableCertificate explains what crypto/x509 says of the certificates
// of a Kudu server that has a keytab.
var errUnreadableCertificate = errors.New("this program was built without what it takes to read the certificates that a Kudu server with Kerberos makes for itself: build it by make build, or with the overlay that internal/overlay makes")

// errAuthorities: Security.CAFile doesn't serve.
var errAuthorities = errors.New("reading the certificate authorities")

// unreadable is how crypto/x509 refuses them (golang/go#58821).
const unreadable = "x509: malformed extension OID field"

// guardian has what a client authenticates with, and what it was given by the
// masters for it.
type guardian struct {
	c     *Client
	login *kerberos.Login // nil without Kerberos
	stop  context.CancelFunc
	done  sync.WaitGroup // the login's renewals
	turn  chan struct{}  // holds one: who has it asks for a token

	mu   sync.Mutex
	held *handedOut // nil before the first answer
}

// handedOut is what the leader of the masters gives to a client that it has
// authenticated: a token for tablet servers, and who signs their certificates.
type handedOut struct {
	token *pb.SignedTokenPB
	cas   []*x509.Certificate
	got   time.Time
	ends  time.Time // of the token
}

// due tells whether to get a successor.
func (h *handedOut) due(now time.Time) bool {
	return now.After(h.ends.Add(-h.ends.Sub(h.got) / 3))
}

func newGuardian(c *Client) (*guardian, error) {
	g := &guardian{c: c, stop: func() {}, turn: make(chan struct{}, 1)}
	k := c.cfg.Security.Kerberos
	if k == nil {
		return g, nil
	}
	var err error
	g.login, err = kerberos.NewLogin(kerberos.Config{
		Principal: k.Principal, Keytab: k.Keytab, Password: k.Password, Cache: k.Cache, Service: k.Service, Conf: k.Conf,
	}, c.cfg.Dial, c.cfg.Logger)
	if err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	g.done.Go(func() { g.login.Run(ctx) })
	return g, nil
}

// who names the user that the client is, for errors.
func (g *guardian) who() string {
	switch {
	case g.login != nil:
		return g.login.Name()
	case g.c.cfg.Security.JWT != nil:
		return "the user of the JSON Web Token"
	case g.c.cfg.User != "":
		return g.c.cfg.User
	}
	return krpc.DefaultUser()
}

// close waits for the renewals to end.
func (g *guardian) close() {
	g.stop()
	g.done.Wait()
}

// secure gives the options of connections to masters, or to tablet servers.
func (g *guardian) secure(opts krpc.Options, tabletServers bool) krpc.Options {
	s := g.c.cfg.Security
	opts.TLS, opts.TLSAuthOnly = krpc.TLSRequired, true
	opts.VerifyServer = g.verify
	switch {
	case g.login != nil && tabletServers:
		opts.Authenticators = []krpc.Authenticator{
			krpc.Token(g.token),
			// A tablet server that has just started takes no tokens yet.
			g.login.Authenticator(func() bool { return g.hasToken() }),
		}
	case g.login != nil:
		// A master gives tokens only to those who didn't come by one.
		opts.Authenticators = []krpc.Authenticator{g.login.Authenticator(nil)}
	case s.JWT != nil:
		opts.Authenticators = []krpc.Authenticator{krpc.JWT(s.JWT)}
	case s.CAFile == "":
		opts.TLS = krpc.TLSOptional
	}
	return opts
}

// verify decides about a server's certificate. One that authenticates by
// Kerberos proves itself by that, and by the channel bindings; its certificate
// need not be signed yet.
func (g *guardian) verify(authn krpc.AuthnType, state tls.ConnectionState) error {
	if authn == krpc.AuthnSASL && g.login != nil {
		return nil
	}
	cas := x509.NewCertPool()
	if file := g.c.cfg.Security.CAFile; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%w: %w", errAuthorities, err)
		}
		if !cas.AppendCertsFromPEM(text) {
			return fmt.Errorf("%w: %s has no certificate in PEM form", errAuthorities, file)
		}
	} else if authn == krpc.AuthnSASL {
		return nil
	}
	g.mu.Lock()
	if g.held != nil {
		for _, ca := range g.held.cas {
			cas.AddCert(ca)
		}
	}
	g.mu.Unlock()
	return krpc.VerifyChain(cas, state)
}

// take keeps what a master has handed out on an authenticated connection.
func (g *guardian) take(resp *pb.ConnectToMasterResponsePB) error {
	if g.login == nil || resp.GetAuthnToken() == nil {
		return nil
	}
	var inner pb.TokenPB
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(resp.GetAuthnToken().GetTokenData(), &inner); err != nil {
		return errors.Join(ErrMalformed, err)
	}
	held := &handedOut{token: resp.GetAuthnToken(), got: time.Now(), ends: time.Unix(inner.GetExpireUnixEpochSeconds(), 0)}
	for _, der := range resp.GetCaCertDer() {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%w: the certificate of the cluster's authority: %w", ErrMalformed, err)
		}
		held.cas = append(held.cas, ca)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = held
	return nil
}

// hasToken tells whether there is a token to offer.
func (g *guardian) hasToken() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held != nil && time.Now().Before(g.held.ends)
}

// current is what was handed out, unless it is due, and whether it can be used
// still.
func (g *guardian) current() (token *pb.SignedTokenPB, good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		return nil, false
	}
	now := time.Now()
	if !now.Before(g.held.ends) {
		return nil, false
	}
	return g.held.token, !g.held.due(now)
}

// token gives the token for a connection to a tablet server, a new one if the
// last is about to expire.
func (g *guardian) token(ctx context.Context) (*pb.SignedTokenPB, error) {
	if token, good := g.current(); good {
		return token, nil
	}
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	token, good := g.current()
	if good {
		return token, nil
	}
	// To find the leader is to get a token.
	_, _, err := g.c.masters.find(ctx)
	if fresh, _ := g.current(); fresh != nil {
		token = fresh
	}
	if token == nil {
		return nil, err
	}
	if err != nil {
		g.c.cfg.Logger.Warn("renewing the authentication token fails, it can be used until it expires", "error", err)
	}
	return token, nil
}

// settled is how long an answer of a master is taken for up to date when a
// server contradicts it.
const settled = 5 * time.Second

// distrust drops what was handed out, so that it is asked for anew: a tablet
// server refuses the token, or has a certificate of another authority. It tells
// whether that can mend anything.
func (g *guardian) distrust() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil || time.Since(g.held.got) < settled {
		return false
	}
	g.held = nil
	return true
}

// explain gives a failure to connect its class, and names what has to be done.
func (g *guardian) explain(e *Error, err error) *Error {
	e.Sent = false
	var refused *krpc.CallError
	var unsigned x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	wrong := false
	switch {
	case errors.As(err, &refused):
		switch refused.Code {
		case pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN:
			// The token may be younger than the server's knowledge of keys.
			g.distrust()
		case pb.ErrorStatusPB_FATAL_UNAUTHORIZED:
			// It may not have the key any more that the ticket is for.
			g.forget(e.Addr)
			wrong = true
		case pb.ErrorStatusPB_FATAL_INVALID_JWT:
			wrong = true
		}
	case strings.Contains(err.Error(), unreadable):
		e.Class, e.Err = ClassFatal, fmt.Errorf("%w: %w: %w", ErrNotAuthenticated, errUnreadableCertificate, e.Err)
	case errors.Is(err, kerberos.ErrUnreachable):
		e.Class = ClassRetry
	case errors.Is(err, kerberos.ErrCredentials), errors.Is(err, errAuthorities), errors.Is(err, krpc.ErrNoCredentials),
		errors.Is(err, krpc.ErrNoCommonAuthentication), errors.Is(err, krpc.ErrTLSUnavailable):
		e.Class, wrong = ClassFatal, true
	case errors.Is(err, kerberos.ErrServer):
		g.forget(e.Addr)
		e.Class, wrong = ClassFatal, true
	case errors.As(err, &unsigned), errors.As(err, &invalid):
		e.Class = ClassReconnect
		if !g.distrust() {
			e.Class, wrong = ClassFatal, true
		}
	default:
		e.Class = ClassReconnect
		if trouble := g.trouble(); trouble != nil && (gaveUpItself(err) || errors.Is(err, krpc.ErrNegotiationTimeout)) {
			e.Class, e.Err = ClassRetry, fmt.Errorf("%w: %w", e.Err, trouble)
		}
	}
	if wrong {
		e.Err = fmt.Errorf("%w: %w", ErrNotAuthenticated, e.Err)
	}
	return e
}

// trouble is why there is no ticket, if that is because no KDC answers: who
// waits for a server meanwhile waits for that.
func (g *guardian) trouble() error {
	if g.login == nil {
		return nil
	}
	return g.login.Trouble()
}

// AskAgain has the client ask for tickets when they are needed next, though the
// KDC has refused them a short while ago: somebody may have mended that.
func (c *Client) AskAgain() {
	if c.guardian.login != nil {
		c.guardian.login.AskAgain()
	}
}

// forget drops the ticket for a server.
func (g *guardian) forget(addr string) {
	if g.login == nil {
		return
	}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		g.login.Forget(host)
	}
}

// TokenFile gives the JSON Web Token that a file holds, as it is at each
// connection, for Security.JWT.
func TokenFile(path string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading the JSON Web Token: %w", err)
		}
		token := bytes.TrimSpace(text)
		if len(token) == 0 {
			return "", fmt.Errorf("reading the JSON Web Token: %s is empty", path)
		}
		return string(token), nil
	}
}
