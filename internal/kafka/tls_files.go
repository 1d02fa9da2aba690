package kafka

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// lookInterval is the least time between two looks at the files.
const lookInterval = time.Second

// tlsFiles follows the files of keys and certificates. What was read last stays in
// use as long as what is there now can't be used, such as a certificate whose key
// is yet to be written. Safe for concurrent use.
type tlsFiles struct {
	from    TLS
	logger  hclog.Logger
	changed func() // called when other material was read

	mu      sync.Mutex
	current *material
	fault   *RefusedError // of the files as they are
	failed  int64         // how often they couldn't be used
	stamp   string        // of the files that were read last, or tried
	looked  time.Time
}

// material is what the files hold.
type material struct {
	trusted []*x509.Certificate
	roots   *x509.CertPool // of trusted; nil: the system's
	own     *tls.Certificate
}

func newTLSFiles(from TLS, logger hclog.Logger, changed func()) *tlsFiles {
	return &tlsFiles{from: from, logger: logger, changed: changed}
}

// config is for one connection.
func (f *tlsFiles) config(addr string) (*tls.Config, *RefusedError) {
	m, refused := f.newest(time.Now())
	if refused != nil {
		return nil, refused
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &RefusedError{Broker: addr, Key: "bootstrap.servers", What: "its address has no port", Remedy: "write it as host:port"}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: m.roots, ServerName: host}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if m.own == nil {
			return new(tls.Certificate), nil // none; whether that will do the broker says
		}
		// Shown also when the broker doesn't name its issuer, as Java does: why it isn't
		// taken the broker knows best.
		return m.own, nil
	}
	if f.from.AnyName {
		config.InsecureSkipVerify = true // the chain is looked at below
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, m.roots) }
	}
	return config, nil
}

// verifyChain checks a certificate but for its names.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("it shows no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// newest reads the files if they have changed. Without any that could ever be used
// it gives what is wrong with them.
func (f *tlsFiles) newest(now time.Time) (*material, *RefusedError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.looked) < lookInterval && f.current != nil {
		return f.current, nil
	}
	f.looked = now
	stamp := f.look()
	if stamp == f.stamp {
		return f.lastRead()
	}
	f.stamp = stamp
	read, fault := f.from.read()
	f.fault = fault
	if fault != nil {
		f.failed++
	}
	switch {
	case fault != nil && f.current != nil:
		f.logger.Warn("certificates or keys for Kafka have changed but cannot be used; the ones before stay", "error", fault)
	case fault == nil:
		if f.current != nil {
			f.logger.Info("certificates and keys for Kafka were read again")
		}
		f.current = read
		f.changed()
	}
	return f.lastRead()
}

// CertificateState is how the files of keys and certificates stand.
type CertificateState struct {
	NotAfter time.Time // of the certificate in use, or of its issuers if that is sooner; zero: there is none
	Failures int64     // how often what was new couldn't be used
	Faulty   bool      // what is there now can't be used
}

// Certificate tells of the files that clients with these options use; false without
// TLS.
func (o Options) Certificate() (state CertificateState, encrypted bool) {
	files := accessOf(o).files
	if files == nil {
		return CertificateState{}, false
	}
	return files.state(time.Now()), true
}

func (f *tlsFiles) state(now time.Time) CertificateState {
	m, _ := f.newest(now)
	f.mu.Lock()
	defer f.mu.Unlock()
	s := CertificateState{Failures: f.failed, Faulty: f.fault != nil}
	if m == nil || m.own == nil {
		return s
	}
	for _, der := range m.own.Certificate {
		if cert, err := x509.ParseCertificate(der); err == nil && (s.NotAfter.IsZero() || cert.NotAfter.Before(s.NotAfter)) {
			s.NotAfter = cert.NotAfter
		}
	}
	return s
}

func (f *tlsFiles) lastRead() (*material, *RefusedError) {
	if f.current == nil {
		again := *f.fault
		return nil, &again
	}
	return f.current, nil
}

// look tells by their contents whether the files are others than before: times of
// files are too coarse for two that are written at once.
func (f *tlsFiles) look() string {
	sum := sha256.New()
	for _, path := range []string{f.from.Truststore, f.from.Keystore} {
		if path == "" {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			fmt.Fprintf(sum, "%v;", err)
			continue
		}
		n, err := io.Copy(sum, io.LimitReader(file, maxStore))
		fmt.Fprintf(sum, "%d %v;", n, err)
		_ = file.Close()
	}
	return string(sum.Sum(nil))
}
