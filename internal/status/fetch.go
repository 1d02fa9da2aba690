package status

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrAccess says that what was given won't do, however often it is tried: the
// address, the password, or the file with certificates.
var ErrAccess = errors.New("it can't be asked this way")

// fetchTimeout bounds one question; maxDocument is the longest answer that is read.
const (
	fetchTimeout = 15 * time.Second
	maxDocument  = 256 << 20
)

// Access is how a worker is reached.
type Access struct {
	URL string // such as http://127.0.0.1:8083
	// User is name:password; empty: none.
	User string
	// CAFile has certificates, as PEM, that sign the worker's; empty: those of the
	// system.
	CAFile string
}

// Client asks one worker. Close it.
type Client struct {
	http           *http.Client
	transport      *http.Transport
	address        string
	name, password string
}

// NewClient makes a client; nothing is connected yet.
func NewClient(a Access) (*Client, error) {
	u, err := url.Parse(a.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%w: %q is no address such as http://127.0.0.1:8083", ErrAccess, a.URL)
	}
	c := &Client{transport: &http.Transport{Proxy: http.ProxyFromEnvironment}, address: strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/") + Path}
	c.http = &http.Client{Transport: c.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if a.User != "" {
		var given bool
		if c.name, c.password, given = strings.Cut(a.User, ":"); !given {
			return nil, fmt.Errorf("%w: the user is given as name:password", ErrAccess)
		}
	}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: reading certificates: %w", ErrAccess, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s has no certificates as PEM", ErrAccess, a.CAFile)
		}
		c.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return c, nil
}

// Close gives up the connection.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Fetch asks for the document, with up to tablets tablets of each connector. raw is
// the document as it came.
func (c *Client) Fetch(ctx context.Context, tablets int) (s *Snapshot, raw []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+"?tablets="+strconv.Itoa(tablets), http.NoBody)
	if err != nil {
		return nil, nil, fmt.Errorf("asking %s: %w", c.address, err)
	}
	request.Header.Set("Accept", "application/json")
	if c.name != "" {
		request.SetBasicAuth(c.name, c.password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the worker: %w", err)
	}
	defer response.Body.Close()
	raw, err = io.ReadAll(io.LimitReader(response.Body, maxDocument))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", c.address, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, refused(c.address, response.StatusCode, raw)
	}
	s = &Snapshot{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, nil, fmt.Errorf("%w: %s is answered by something else than a worker: %w", ErrAccess, c.address, err)
	}
	return s, raw, nil
}

func refused(address string, status int, body []byte) error {
	var r refusal
	_ = json.Unmarshal(body, &r) // without a sentence the status must do
	switch {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s asks for a name and a password, or for others", ErrAccess, address)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: %s has no such page; is it a worker of kudu2kafka?", ErrAccess, address)
	case r.Message != "":
		return fmt.Errorf("%s answers %d: %s", address, status, clean(r.Message))
	}
	return fmt.Errorf("%s answers %d", address, status)
}
