package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// reloadInterval is the least time between two looks at the files.
const reloadInterval = time.Second

// certificates follows the files that https listeners need. Safe for concurrent use.
type certificates struct {
	certificate, key, ca string // paths; ca may be empty
	clientAuth           tls.ClientAuthType
	logger               hclog.Logger

	mu      sync.Mutex
	current *tls.Config
	stamp   string // of the files that were read last, or tried
	looked  time.Time
}

func newCertificates(config connector.WorkerConfig, logger hclog.Logger) (*certificates, error) {
	c := &certificates{
		certificate: config.ListenerCertificate, key: config.ListenerKey, ca: config.ListenerCA,
		logger: logger, looked: time.Now(),
	}
	switch config.ListenerClientAuth {
	case "requested":
		c.clientAuth = tls.VerifyClientCertIfGiven
	case "required":
		c.clientAuth = tls.RequireAndVerifyClientCert
	}
	c.stamp = c.look()
	var err error
	if c.current, err = c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// config is what the listener is made with: it asks for the newest at each
// handshake.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.newest(), nil },
	}
}

// newest reads the files again if they have changed. Files that can't be used, such
// as a pair of which one half is written yet, leave things as they are.
func (c *certificates) newest() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < reloadInterval {
		return c.current
	}
	c.looked = now
	stamp := c.look()
	if stamp == c.stamp {
		return c.current
	}
	c.stamp = stamp
	read, err := c.read()
	if err != nil {
		c.logger.Warn("certificates of the REST interface have changed but cannot be used; the ones before stay", "error", err)
		return c.current
	}
	c.current = read
	c.logger.Info("certificates of the REST interface were read again")
	return c.current
}

// look tells whether the files are others than before, without reading them.
func (c *certificates) look() string {
	var stamp string
	for _, path := range []string{c.certificate, c.key, c.ca} {
		if info, err := os.Stat(path); err == nil {
			stamp += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
		} else {
			stamp += "-;"
		}
	}
	return stamp
}

func (c *certificates) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: c.clientAuth, SessionTicketsDisabled: true}
	chain, err := os.ReadFile(c.certificate)
	if err != nil {
		return nil, fileFault("certificate.location", err)
	}
	key, err := os.ReadFile(c.key)
	if err != nil {
		return nil, fileFault("key.location", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, tlsFault("certificate.location", fmt.Sprintf("is no certificate that goes with the key (%v)", err), "name PEM files of one certificate and its key, which must not be encrypted")
	}
	config.Certificates = []tls.Certificate{pair}
	if c.ca != "" {
		issuers, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fileFault("ca.location", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(issuers) {
			return nil, tlsFault("ca.location", "has no certificate", "name a PEM file of certificates")
		}
	}
	return config, nil
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
