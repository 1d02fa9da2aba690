package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Listeners are the bound addresses of the REST interface. They accept nothing
// until a Server runs on them.
type Listeners struct {
	open         []net.Listener
	addresses    []string // as URLs
	advertised   string
	pool         *connections
	certificates *certificates // nil without an https listener
}

// Listen binds what the configuration names, which may be nothing at all. Names and
// passwords don't matter yet. An error is a *connector.ConfigError: an address that
// can't be had, or certificates that can't be read.
func Listen(ctx context.Context, config connector.WorkerConfig, logger hclog.Logger) (*Listeners, error) {
	l := &Listeners{pool: newConnections(maxConnections)}
	wanted, byDefault := config.RESTListeners()
	for _, w := range wanted {
		if err := l.bind(ctx, w, byDefault, config, logger); err != nil {
			l.Close()
			return nil, err
		}
	}
	l.advertised = l.advertise(config, wanted)
	return l, nil
}

func (l *Listeners) bind(ctx context.Context, w connector.Listener, byDefault bool, config connector.WorkerConfig, logger hclog.Logger) error {
	var network net.ListenConfig
	inner, err := network.Listen(ctx, "tcp", w.Addr())
	if byDefault && errors.Is(err, syscall.EADDRINUSE) {
		taken := w
		w.Port = 0
		if inner, err = network.Listen(ctx, "tcp", w.Addr()); err == nil {
			logger.Warn("the default address of the REST interface is taken, another port is used; name one with listeners", "taken", taken.String())
		}
	}
	if err != nil {
		return bindFault(w, err)
	}
	l.open = append(l.open, &poolListener{inner, l.pool})
	if tcp, ok := inner.Addr().(*net.TCPAddr); ok {
		w.Port = tcp.Port
	}
	l.addresses = append(l.addresses, w.String())
	if !w.TLS {
		return nil
	}
	if l.certificates == nil {
		if l.certificates, err = newCertificates(config, logger); err != nil {
			return err
		}
	}
	last := len(l.open) - 1
	l.open[last] = tls.NewListener(l.open[last], l.certificates.config())
	return nil
}

// bindFault says in one sentence why an address can't be had.
func bindFault(w connector.Listener, err error) error {
	f := connector.Fault{Key: "listeners", What: fmt.Sprintf("%s cannot be bound (%v)", w, err), Remedy: "choose an address of this host and a free port"}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		f.What, f.Remedy = w.String()+" is taken by another process", "choose another port, or 0 for any free one"
	case errors.Is(err, syscall.EACCES):
		f.What, f.Remedy = w.String()+" may not be bound by this user", "choose a port from 1024 on"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		f.What, f.Remedy = w.String()+" is no address of this host", "choose one that is"
	}
	return &connector.ConfigError{Faults: []connector.Fault{f}}
}

// advertise gives host:port by which the worker is called in statuses.
func (l *Listeners) advertise(config connector.WorkerConfig, wanted []connector.Listener) string {
	host, port := config.RESTAdvertisedHost, config.RESTAdvertisedPort
	if len(l.open) > 0 {
		if host == "" {
			host = wanted[0].Host
		}
		if tcp, ok := l.open[0].Addr().(*net.TCPAddr); ok && port == 0 {
			port = tcp.Port
		}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = hostname()
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Advertised is host:port by which the worker is called in statuses. Without a
// listener it is the name of the host, with the port 0.
func (l *Listeners) Advertised() string { return l.advertised }

// Addresses are the URLs of the listeners, empty if there are none.
func (l *Listeners) Addresses() []string { return l.addresses }

// Close gives the addresses back, if no Server has done so.
func (l *Listeners) Close() {
	for _, open := range l.open {
		_ = open.Close()
	}
}
