package kudu

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/overlay"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// authority signs certificates of servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // in PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// server makes the TLS configuration of a server, whose certificate ends then;
// asKudu adds the extension of a server with Kerberos.
func (a *authority) server(t *testing.T, ends time.Time, asKudu bool) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, NotBefore: time.Unix(0, 0), NotAfter: ends,
	}
	var der []byte
	if asKudu {
		der, err = overlay.Certificate(template, a.cert, key.Public(), a.key, "kudu/server@REALM", false)
	} else {
		der, err = x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// master serves as a master that leads and knows no tables.
func master(t *testing.T, opts krpc.ServerOptions) (addr string, connections *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = &atomic.Int64{}
	opts.NegotiationTimeout = time.Minute
	srv := krpc.NewServer(opts, func(_ context.Context, call *krpc.ServerCall) {
		if call.Method == "ConnectToMaster" {
			_ = call.Reply(&pb.ConnectToMasterResponsePB{Role: new(int32(roleLeader))})
			return
		}
		_ = call.Reply(&pb.GetTableSchemaResponsePB{Error: &pb.MasterErrorPB{
			Code: new(int32(masterTableNotFound)), Status: &pb.AppStatusPB{Code: new(int32(statusNotFound)), Message: new("as " + call.User)},
		}})
	})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(countingListener{listener, connections}) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return listener.Addr().String(), connections
}

type countingListener struct {
	net.Listener
	count *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.count.Add(1)
	}
	return c, err
}

// hidden is what must be in no log and no error.
const hidden = "eyJhbGciOiJSUzI1NiJ9.geheim.4711"

// retryCounter is a Hook that counts retries.
type retryCounter struct{ atomic.Int64 }

func (*retryCounter) Call(CallInfo) {}
func (n *retryCounter) Retry(Class) { n.Add(1) }

// open tries to open a table; who is let in is told that there is none.
func open(t *testing.T, addr string, security Security) error {
	t.Helper()
	var log bytes.Buffer
	retries := &retryCounter{}
	c, err := New(Config{
		Masters: []string{addr}, Security: security, OperationTimeout: time.Minute, Hook: retries,
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log}),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.OpenTable(t.Context(), "table")
	if closeErr := c.Close(); closeErr != nil {
		t.Error(closeErr)
	}
	if text := err.Error() + log.String(); strings.Contains(text, hidden) || strings.Contains(text, "geheim") {
		t.Errorf("the token is in an error or the log: %s", text)
	}
	if n := retries.Load(); n > 0 {
		t.Errorf("%d retries, though trying again changes nothing: %v", n, err)
	}
	return err
}

func TestJSONWebTokensGoToServersOfTheAuthorityOnly(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	verify := func(token string) (string, error) {
		if token != hidden {
			return "", errors.New("JWT verification failed: token expired")
		}
		return "alice", nil
	}
	good := krpc.ServerOptions{TLS: ca.server(t, time.Now().Add(time.Hour), false), NoPlain: true, VerifyJWT: verify}
	seen := func(string) (string, error) {
		t.Error("the token was sent")
		return "", errors.New("no")
	}
	expired, other, bare, plain := good, good, good, good
	expired.TLS, expired.VerifyJWT = ca.server(t, time.Now().Add(-time.Minute), false), seen
	other.TLS, other.VerifyJWT = stranger.server(t, time.Now().Add(time.Hour), false), seen
	bare.TLS, bare.VerifyJWT, bare.NoPlain = nil, nil, false
	plain.VerifyJWT, plain.NoPlain = nil, false

	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(hidden+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fixed := func(text string) func() (string, error) { return func() (string, error) { return text, nil } }
	for name, tc := range map[string]struct {
		server krpc.ServerOptions
		jwt    func() (string, error)
		ca     string
		says   string
	}{
		"let in":              {good, TokenFile(token), ca.file, "as alice"},
		"refused token":       {good, fixed("geheim"), ca.file, "JWT verification failed: token expired"},
		"expired certificate": {expired, fixed(hidden), ca.file, "certificate has expired or is not yet valid"},
		"unknown authority":   {other, fixed(hidden), ca.file, "certificate signed by unknown authority"},
		"no TLS":              {bare, fixed(hidden), ca.file, "client is not authenticated by any means that the server takes"},
		"PLAIN only":          {plain, fixed(hidden), ca.file, "client is not authenticated by any means that the server takes"},
		"no token":            {good, fixed(""), ca.file, "no credentials to authenticate with: there are none"},
		"no file":             {good, TokenFile(dir + "/absent"), ca.file, "reading the JSON Web Token: open " + dir + "/absent"},
		"no authority":        {good, fixed(hidden), dir + "/absent", "reading the certificate authorities: open " + dir + "/absent"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, connections := master(t, tc.server)
			began := time.Now()
			err := open(t, addr, Security{JWT: tc.jwt, CAFile: tc.ca})
			if !strings.Contains(err.Error(), tc.says) || errors.Is(err, ErrTableNotFound) != (name == "let in") {
				t.Fatalf("got %v, want %q", err, tc.says)
			}
			if name != "let in" && (!errors.Is(err, ErrNotAuthenticated) || Retriable(err)) {
				t.Errorf("class %s: %v", ClassOf(err), err)
			}
			if n := connections.Load(); n > 1 || time.Since(began) > 2*time.Second {
				t.Errorf("%d connections in %s", n, time.Since(began))
			}
		})
	}
}

func TestSecurityThatContradictsItselfIsRefused(t *testing.T) {
	jwt := func() (string, error) { return hidden, nil }
	for _, security := range []Security{
		{JWT: jwt},
		{JWT: jwt, CAFile: "ca.pem", Kerberos: &Kerberos{}},
		{Kerberos: &Kerberos{Keytab: "k"}},
		{Kerberos: &Kerberos{Principal: "alice", Keytab: "k", Password: secret.New(hidden)}},
	} {
		if c, err := New(Config{Masters: []string{"a"}, Security: security}); err == nil {
			c.Close()
			t.Errorf("taken: %+v", security)
		} else if strings.Contains(err.Error(), hidden) {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

func TestTLSIsUsedWhereServersOfferIt(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	withTLS := krpc.ServerOptions{TLS: ca.server(t, time.Now().Add(time.Hour), false), RequireTLS: true}
	addr, _ := master(t, withTLS)
	if err := open(t, addr, Security{}); !errors.Is(err, ErrTableNotFound) {
		t.Errorf("encryption required: %v", err)
	}
	if err := open(t, addr, Security{CAFile: ca.file}); !errors.Is(err, ErrTableNotFound) {
		t.Errorf("authority known: %v", err)
	}
	if err := open(t, addr, Security{CAFile: stranger.file}); !errors.Is(err, ErrNotAuthenticated) {
		t.Errorf("another authority: %v", err)
	}
	addr, _ = master(t, krpc.ServerOptions{})
	if err := open(t, addr, Security{}); !errors.Is(err, ErrTableNotFound) {
		t.Errorf("no TLS: %v", err)
	}
	if err := open(t, addr, Security{CAFile: ca.file}); !errors.Is(err, ErrNotAuthenticated) || !strings.Contains(err.Error(), "server does not offer TLS") {
		t.Errorf("an authority, and a server without TLS: %v", err)
	}
}

// TestCertificateOfAKuduWithKerberosIsReadOrTheBuildIsNamed shows a client the
// certificate that Go's own reader refuses.
func TestCertificateOfAKuduWithKerberosIsReadOrTheBuildIsNamed(t *testing.T) {
	active, err := overlay.Active()
	if err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t)
	addr, _ := master(t, krpc.ServerOptions{TLS: ca.server(t, time.Now().Add(time.Hour), true), RequireTLS: true})
	err = open(t, addr, Security{CAFile: ca.file})
	switch {
	case active && !errors.Is(err, ErrTableNotFound):
		t.Errorf("with the overlay: %v", err)
	case !active && (!errors.Is(err, ErrNotAuthenticated) || Retriable(err) ||
		!strings.Contains(err.Error(), "this program was built without what it takes to read the certificates that a Kudu server with Kerberos makes for itself: build it by make build")):
		t.Errorf("without the overlay: %v", err)
	}
}
