package gssapi

import (
	"context"
	"errors"
	"net"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/kerberos"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// What is wrong with an authentication that fails, for errors.Is.
var (
	// ErrCredentials: no ticket is to be had by the credentials, or the
	// configuration of Kerberos doesn't serve. Somebody must act.
	ErrCredentials = kerberos.ErrCredentials
	// ErrUnreachable: no KDC answers. It passes.
	ErrUnreachable = kerberos.ErrUnreachable
	// ErrServer: the server's answers don't prove that it is the one that the
	// ticket is for.
	ErrServer = kerberos.ErrServer
)

// Config says whose credentials to use. At most one of Keytab, Password and Cache
// is set; with none, the cache is that of the process's user.
type Config struct {
	Principal string // name or name@REALM; may be empty with a ticket cache
	Keytab    string // file
	Password  secret.Text
	Cache     string // file that others keep filled
	Service   string // first part of the names of the servers' principals
	Conf      string // krb5.conf; default: KRB5_CONFIG, or /etc/krb5.conf
}

// Client authenticates one principal. It is safe for concurrent use.
type Client struct{ login *kerberos.Login }

// Session is one authentication.
type Session = kerberos.Session

// NewClient checks the configuration; it reads no files and asks nobody.
func NewClient(cfg Config, logger hclog.Logger) (*Client, error) {
	if cfg.Service == "" {
		return nil, errors.New("no service is named")
	}
	login, err := kerberos.NewLogin(kerberos.Config{
		Principal: cfg.Principal, Keytab: cfg.Keytab, Password: cfg.Password, Cache: cfg.Cache, Service: cfg.Service, Conf: cfg.Conf,
	}, nil, logger)
	if err != nil {
		return nil, err
	}
	return &Client{login}, nil
}

// Begin gets a ticket for the service on the host of addr, host:port, if there is
// none yet, and gives the first message to it.
func (c *Client) Begin(ctx context.Context, addr string) (*Session, []byte, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	return c.login.Begin(ctx, host)
}

// Forget drops the ticket for a server that refuses it.
func (c *Client) Forget(addr string) {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		c.login.Forget(host)
	}
}

// AskAgain has the KDC asked when a ticket is needed next, though it has refused one a
// short while ago.
func (c *Client) AskAgain() { c.login.AskAgain() }

// Run renews tickets before they expire, until ctx ends. Without it they are got
// anew when they have expired.
func (c *Client) Run(ctx context.Context) { c.login.Run(ctx) }
