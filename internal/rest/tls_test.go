package rest

import (
	"bytes"
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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// authority issues certificates for a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

var serial int64

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.pem, _ = a.issue(t, template)
	block, _ := pem.Decode(a.pem)
	var err error
	if a.certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a certificate and its key in PEM.
func (a *authority) issue(t testing.TB, template *x509.Certificate) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(serial), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	issuer, signer := a.certificate, a.key
	if issuer == nil {
		issuer, signer, a.key = template, private, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *authority) server(t *testing.T, name string) (certificate, key []byte) {
	return a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (a *authority) client(t *testing.T) tls.Certificate {
	t.Helper()
	certificate, key := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// alike is the time that all files of certificates have.
var alike = time.Now().Add(-time.Minute).Truncate(time.Second)

// save writes a file anew, with the time and the size that it has had before, as one
// that is written within one tick of the file system's clock may have.
func save(t *testing.T, path string, data []byte) {
	t.Helper()
	const size = 4 << 10
	data = append(bytes.Clone(data), bytes.Repeat([]byte("\n"), size-len(data))...)
	// Under another name first: who looks meanwhile must not find what no test has
	// written.
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path+".new", alike, alike); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// secured configures an https listener with a certificate of the authority.
func secured(t *testing.T, a *authority, clientAuth string) func(*connector.WorkerConfig, *Options) {
	t.Helper()
	dir := t.TempDir()
	certificate, key := a.server(t, "first")
	return func(c *connector.WorkerConfig, _ *Options) {
		c.Listeners = []string{"https://127.0.0.1:0"}
		c.ListenerCertificate, c.ListenerKey, c.ListenerCA = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
		c.ListenerClientAuth = clientAuth
		save(t, c.ListenerCertificate, certificate)
		save(t, c.ListenerKey, key)
		save(t, c.ListenerCA, a.pem)
	}
}

// trust has the site's client call over TLS.
func (s *site) trust(t *testing.T, config *tls.Config) {
	t.Helper()
	s.client.CloseIdleConnections()
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	s.client.Transport = transport
}

func TestHTTPSServesTheInterface(t *testing.T) {
	a := newAuthority(t)
	s := serve(t, newFake(), secured(t, a, "none"))
	s.trust(t, &tls.Config{RootCAs: a.pool()})
	got := s.call(t, "PUT", "/connectors/a/config", "{}")
	if got.status != 201 || got.header.Get("Location") != s.url+"/connectors/a" || !strings.HasPrefix(s.url, "https://127.0.0.1:") {
		t.Errorf("creating gives %+v", got)
	}
	s.trust(t, &tls.Config{RootCAs: newAuthority(t).pool()})
	if _, err := s.try(t.Context(), "GET", "/", nil); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("another authority is trusted: %v", err)
	}
	s.trust(t, &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS11})
	if _, err := s.try(t.Context(), "GET", "/", nil); err == nil {
		t.Error("TLS 1.1 is served")
	}
	// Plain HTTP gets a sentence from net/http, and no connection.
	s.url = strings.Replace(s.url, "https", "http", 1)
	if got := s.call(t, "GET", "/connectors", ""); got.status != 400 {
		t.Errorf("plain HTTP gives %+v", got)
	}
}

func TestClientCertificatesAreRequiredRequestedOrNot(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	for _, test := range []struct {
		auth                string
		none, ours, strange bool // who is admitted
	}{{"none", true, true, true}, {"requested", true, true, false}, {"required", false, true, false}} {
		s := serve(t, newFake(), secured(t, a, test.auth))
		for who, shown := range map[string][]tls.Certificate{"none": nil, "ours": {a.client(t)}, "strange": {stranger.client(t)}} {
			want := map[string]bool{"none": test.none, "ours": test.ours, "strange": test.strange}[who]
			// A client of Go's would keep a certificate back that the server can't like.
			config := &tls.Config{RootCAs: a.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(shown) == 0 {
					return &tls.Certificate{}, nil
				}
				return &shown[0], nil
			}}
			s.trust(t, config)
			got, err := s.try(t.Context(), "GET", "/", nil)
			if admitted := err == nil && got.status == 200; admitted != want {
				t.Errorf("with client.auth %s and the certificate %s: %v, %v", test.auth, who, got, err)
			}
		}
	}
}

func TestFilesThatCannotBeUsedAreFaultsOfTheConfiguration(t *testing.T) {
	a := newAuthority(t)
	other, _ := a.server(t, "other")
	for want, spoil := range map[string]func(*connector.WorkerConfig){
		"listeners.https.ssl.certificate.location: the file cannot be read":                  func(c *connector.WorkerConfig) { c.ListenerCertificate += "x" },
		"listeners.https.ssl.key.location: the file cannot be read":                          func(c *connector.WorkerConfig) { c.ListenerKey += "x" },
		"listeners.https.ssl.ca.location: the file cannot be read":                           func(c *connector.WorkerConfig) { c.ListenerCA += "x" },
		"listeners.https.ssl.ca.location: has no certificate":                                func(c *connector.WorkerConfig) { save(t, c.ListenerCA, []byte("x")) },
		"listeners.https.ssl.certificate.location: is no certificate that goes with the key": func(c *connector.WorkerConfig) { save(t, c.ListenerCertificate, other) },
	} {
		var config connector.WorkerConfig
		secured(t, a, "required")(&config, nil)
		spoil(&config)
		listeners, err := Listen(t.Context(), config, hclog.NewNullLogger())
		var faults *connector.ConfigError
		if !errors.As(err, &faults) || !strings.HasPrefix(err.Error(), want) || listeners != nil {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func TestAddressThatIsTakenIsAFault(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := connector.DefaultWorkerConfig()
	for address, want := range map[string]string{
		"http://" + taken.Addr().String(): "listeners: http://" + taken.Addr().String() + " is taken by another process: choose another port, or 0 for any free one",
		"http://192.0.2.1:0":              "listeners: http://192.0.2.1:0 is no address of this host: choose one that is",
	} {
		config.Listeners = []string{"http://127.0.0.1:0", address}
		if _, err := Listen(t.Context(), config, hclog.NewNullLogger()); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func TestWorkersOnOneHostGetAlongWithoutNamingListeners(t *testing.T) {
	config := connector.DefaultWorkerConfig()
	seen := map[string]bool{}
	for range 3 {
		l, err := Listen(t.Context(), config, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if got := l.Advertised(); seen[got] || !strings.HasPrefix(got, "127.0.0.1:") || l.Addresses()[0] != "http://"+got {
			t.Errorf("a worker is advertised as %s, listens at %v", got, l.Addresses())
		}
		seen[l.Advertised()] = true
	}
	config.RESTAdvertisedHost, config.RESTAdvertisedPort = "k.example.org", 99
	l, err := Listen(t.Context(), config, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Advertised(); got != "k.example.org:99" {
		t.Errorf("the worker is advertised as %s", got)
	}
}
