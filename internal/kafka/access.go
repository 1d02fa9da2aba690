package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// dialTimeout is how long a connection may take to be accepted, and as long again
// for its TLS handshake.
const dialTimeout = 10 * time.Second

// access is the way to the brokers of one cluster: all clients of the process
// that go by the same Security share one, so that what one of them learns, of
// certificates, tokens and refusals, holds for all.
type access struct {
	security  Security
	gate      *gate
	files     *tlsFiles // nil without TLS
	mechanism mechanism // nil without SASL
	logger    hclog.Logger
}

// accesses are those of this process, which has one configuration, and so one.
var accesses struct {
	sync.Mutex
	by map[accessKey]*access
}

type accessKey struct {
	brokers  string
	security Security
}

// accessOf gives the access that clients with these options share.
func accessOf(o Options) *access {
	key := accessKey{strings.Join(o.BootstrapServers, ","), o.Security}
	accesses.Lock()
	defer accesses.Unlock()
	if a := accesses.by[key]; a != nil {
		return a
	}
	if accesses.by == nil {
		accesses.by = make(map[accessKey]*access)
	}
	a := newAccess(o.Security, o.Logger)
	accesses.by[key] = a
	return a
}

func newAccess(s Security, logger hclog.Logger) *access {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	a := &access{security: s, gate: newGate(), logger: logger}
	if s.encrypted() {
		a.files = newTLSFiles(s.TLS, logger, a.gate.reset)
	}
	if s.sasl() {
		a.mechanism = newMechanism(s, a.refuse, a.roots, logger)
	}
	return a
}

// roots are the authorities that a token endpoint is checked against: the system's,
// and those for brokers. Nil: the system's alone.
func (a *access) roots() *x509.CertPool {
	if a.files == nil {
		return nil
	}
	m, refused := a.files.newest(time.Now())
	if refused != nil || len(m.trusted) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, cert := range m.trusted {
		pool.AddCert(cert)
	}
	return pool
}

// opts are the options of a client whose connections end with life.
func (a *access) opts(life context.Context) []kgo.Opt {
	opts := []kgo.Opt{kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return a.dial(ctx, life, network, addr)
	})}
	if a.mechanism != nil {
		opts = append(opts, kgo.SASL(a.mechanism))
	}
	return opts
}

// dial opens a connection, with TLS if need be. A request's own context isn't
// enough to end it, since the client doesn't look at that while it opens one, so
// that a broker which accepts and then is silent would hold the caller up.
func (a *access) dial(ctx, life context.Context, network, addr string) (net.Conn, error) {
	var config *tls.Config
	if a.files != nil { // first, for new files let everybody try again
		var fault *RefusedError
		if config, fault = a.files.config(addr); fault != nil {
			return nil, fault
		}
	}
	a.followFiles()
	leave := func() {}
	if a.mechanism == nil {
		if refused := a.gate.closed(addr); refused != nil {
			return nil, refused.dialed()
		}
	} else {
		// The wait for others ends with either context.
		waiting, cancel := context.WithCancel(ctx)
		defer context.AfterFunc(life, cancel)()
		defer cancel()
		var err error
		if leave, err = a.gate.enter(waiting, addr); err != nil {
			return nil, err
		}
		// Before the broker is troubled, which gives an authentication some seconds only.
		if err := a.mechanism.ready(waiting, addr); err != nil {
			leave()
			return nil, err
		}
	}
	conn, err := a.connect(ctx, life, network, addr, config)
	if err != nil {
		leave()
		return nil, err
	}
	return &opening{Conn: conn, access: a, broker: addr, leave: leave}, nil
}

// connect opens the connection; config is nil for one without TLS.
func (a *access) connect(ctx, life context.Context, network, addr string, config *tls.Config) (net.Conn, error) {
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
	if err != nil {
		if ctx.Err() == nil {
			a.gate.lost(addr)
		}
		return nil, err
	}
	// Closed with life in the middle of a handshake too.
	bound := &boundConn{Conn: raw, unbind: context.AfterFunc(life, func() { _ = raw.Close() })}
	if config == nil {
		return bound, nil
	}
	encrypted := tls.Client(bound, config)
	shaking, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := encrypted.HandshakeContext(shaking); err != nil {
		_ = bound.Close()
		switch {
		case life.Err() != nil:
			return nil, life.Err()
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if refused := a.explainHandshake(addr, err); refused != nil {
			return nil, a.refuse(addr, refused).dialed()
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: raw.RemoteAddr(), Err: err}
	}
	return encrypted, nil
}

// boundConn is a connection that ends with a context.
type boundConn struct {
	net.Conn
	unbind func() bool
}

func (c *boundConn) Close() error {
	c.unbind()
	return c.Conn.Close()
}

// refuse notes a refusal by one broker.
func (a *access) refuse(broker string, refused *RefusedError) *RefusedError {
	return a.note(broker, broker, refused)
}

// refuseCredentials notes a refusal that any broker would repeat.
func (a *access) refuseCredentials(broker string, refused *RefusedError) *RefusedError {
	return a.note(ofCredentials, broker, refused)
}

func (a *access) note(about, broker string, refused *RefusedError) *RefusedError {
	if refused.Broker == "" && about != ofCredentials {
		refused.Broker = broker
	}
	if refused.Verdict == Unclear {
		return refused // as good as not reached: paces are those of the callers
	}
	if a.gate.refuse(about, refused) {
		a.logger.Warn("a connection to Kafka is refused; it is tried again after pauses that grow to a minute", "broker", broker, "error", refused)
	}
	return refused
}

func (a *access) accept(broker string) {
	if a.gate.accept(broker) {
		a.logger.Info("connections to Kafka are accepted again", "broker", broker)
	}
}
