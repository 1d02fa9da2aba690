package rest

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/pemfile"
)

const (
	// reloadInterval is the least time between two looks at the files.
	reloadInterval = time.Second
	// watchInterval is the time between two looks that no connection asks for.
	watchInterval = 10 * time.Second
	// maxPEM bounds a file of certificates or keys.
	maxPEM = 8 << 20
)

// certificates follows the files that https listeners need. What was read last stays
// in use as long as what is there now can't be used, such as a pair of which one half
// is yet to be written. Safe for concurrent use.
type certificates struct {
	files      [3]pemFile // certificate, key and authorities; the last may have no path
	clientAuth tls.ClientAuthType
	logger     hclog.Logger

	mu      sync.Mutex
	current *tls.Config
	ends    time.Time         // of the certificate in use, or of an issuer behind it
	stamp   [sha256.Size]byte // of the files that were read last, or tried
	looked  time.Time
	faulty  bool  // they can't be used as they are
	failed  int64 // how often they couldn't
}

// pemFile is a file that a key of the configuration names.
type pemFile struct{ key, path string }

func newCertificates(config connector.WorkerConfig, logger hclog.Logger) (*certificates, error) {
	c := &certificates{
		files: [3]pemFile{
			{"certificate.location", config.ListenerCertificate}, {"key.location", config.ListenerKey}, {"ca.location", config.ListenerCA},
		},
		logger: logger, looked: time.Now(),
	}
	switch config.ListenerClientAuth {
	case "requested":
		c.clientAuth = tls.VerifyClientCertIfGiven
	case "required":
		c.clientAuth = tls.RequireAndVerifyClientCert
	}
	contents, stamp, err := c.read()
	if err == nil {
		c.stamp = stamp
		c.current, c.ends, err = c.parse(contents)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// config is what the listener is made with: it asks for the newest at each
// handshake.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.newest(time.Now()), nil },
	}
}

// watch looks at the files until ctx ends, so that those that can't be used are told
// of before the next connection, which may be days away.
func (c *certificates) watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			c.newest(now)
		}
	}
}

// newest takes the files anew if they have changed.
func (c *certificates) newest(now time.Time) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < reloadInterval {
		return c.current
	}
	c.looked = now
	contents, stamp, err := c.read()
	if stamp == c.stamp {
		return c.current
	}
	c.stamp = stamp
	var parsed *tls.Config
	var ends time.Time
	if err == nil {
		parsed, ends, err = c.parse(contents)
	}
	c.faulty = err != nil
	if err != nil {
		c.failed++
		c.logger.Warn("certificates of the REST interface have changed but cannot be used; the ones before stay", "error", err)
		return c.current
	}
	c.current, c.ends = parsed, ends
	c.logger.Info("certificates of the REST interface were read again")
	return c.current
}

// trusts tells whether the client of a connection would be let in now: authorities
// may be others than at its handshake, and its certificate may have expired since.
func (c *certificates) trusts(state *tls.ConnectionState, now time.Time) bool {
	if c == nil || c.clientAuth == tls.NoClientCert || len(state.PeerCertificates) == 0 {
		return true
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.newest(time.Now()).ClientCAs, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// read gives what is in the files, and a stamp that is another one when that is: times
// of files are too coarse for two that are written at once. An error is part of the
// stamp, so that it is told of once.
func (c *certificates) read() (contents [3][]byte, stamp [sha256.Size]byte, err error) {
	sum := sha256.New()
	for i, file := range c.files {
		if file.path == "" {
			continue
		}
		data, fault := readPEM(file)
		contents[i] = data
		fmt.Fprintf(sum, "%d %d %v;", i, len(data), fault)
		sum.Write(data)
		if err == nil {
			err = fault
		}
	}
	return contents, [sha256.Size]byte(sum.Sum(nil)), err
}

func readPEM(file pemFile) ([]byte, error) {
	opened, err := os.Open(file.path)
	if err != nil {
		return nil, fileFault(file.key, err)
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxPEM+1))
	switch {
	case err != nil:
		return nil, fileFault(file.key, err)
	case len(data) > maxPEM:
		return nil, tlsFault(file.key, fmt.Sprintf("is larger than %d bytes", maxPEM), "name a PEM file of certificates or keys")
	}
	return data, nil
}

// parse makes of the files what a handshake needs, and tells when the certificate ends,
// or the first of its issuers'.
func (c *certificates) parse(contents [3][]byte) (config *tls.Config, ends time.Time, err error) {
	chain, key, authorities := contents[0], contents[1], contents[2]
	config = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: c.clientAuth, SessionTicketsDisabled: true}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, ends, tlsFault("certificate.location", fmt.Sprintf("is no certificate that goes with the key (%v)", err), "name PEM files of one certificate and its key, which must not be encrypted")
	}
	// The pair is taken by its first certificate; the issuers' behind it may be cut off.
	shown, fault := pemfile.Certificates(chain)
	if fault != nil {
		return nil, ends, tlsFault(c.files[0].key, fault.What, fault.Remedy)
	}
	ends = shown[0].NotAfter
	for _, cert := range shown {
		if cert.NotAfter.Before(ends) {
			ends = cert.NotAfter
		}
	}
	config.Certificates = []tls.Certificate{pair}
	if c.files[2].path != "" {
		issuers, fault := pemfile.Certificates(authorities)
		if fault != nil {
			return nil, ends, tlsFault(c.files[2].key, fault.What, fault.Remedy)
		}
		config.ClientCAs = x509.NewCertPool()
		for _, issuer := range issuers {
			config.ClientCAs.AddCert(issuer)
		}
	}
	return config, ends, nil
}

// Certificate tells of the files of the https listeners; false if there are none.
func (l *Listeners) Certificate() (connector.CertificateFiles, bool) {
	c := l.certificates
	if c == nil {
		return connector.CertificateFiles{}, false
	}
	c.newest(time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	return connector.CertificateFiles{Kind: connector.CertificateOfListener, NotAfter: c.ends, Failures: c.failed, Faulty: c.faulty}, true
}

// refuseDistrusted answers a request by a certificate that isn't taken any more, and
// ends its connection.
func (s *Server) refuseDistrusted(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	s.refuse(w, r, &httpError{http.StatusForbidden, "The client's certificate has expired, or its issuer is not trusted any more"})
}

func fileFault(key string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return tlsFault(key, fmt.Sprintf("the file cannot be read (%v)", err), "check the path")
}

func tlsFault(key, what, remedy string) error {
	return &connector.ConfigError{Faults: []connector.Fault{{Key: "listeners.https.ssl." + key, What: what, Remedy: remedy}}}
}
