package kafka

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options says how to reach the Kafka cluster. It is the one source of client
// options: producers, group members and admin clients all start from
// ClientOpts, so that security settings need to be known here only.
type Options struct {
	// BootstrapServers are host:port addresses, at least one.
	BootstrapServers []string
	// ClientID names the client in the broker's logs, metrics and quotas.
	// Empty means "kudu2kafka".
	ClientID string
	// User is who Kafka takes the client for; empty when that isn't known here.
	User string
	// Logger receives the client's log; nil discards it.
	Logger hclog.Logger
	// Hooks are told of what the client does, for metrics.
	Hooks []kgo.Hook
}

// Principal is the user as Kafka's access control lists have it; empty when it isn't
// known here.
func (o Options) Principal() string {
	if o.User == "" {
		return ""
	}
	return "User:" + o.User
}

// Within returns ClientOpts for a client whose connections and requests end with
// ctx. A request's own context is not enough: the client doesn't look at it while
// it opens a connection, so that a broker which accepts and then is silent holds
// the caller up for 10 s. Close must be called all the same.
func (o Options) Within(ctx context.Context) []kgo.Opt {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return append(o.ClientOpts(), kgo.WithContext(ctx), kgo.Dialer(func(dialCtx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(dialCtx, network, addr)
		if err != nil {
			return nil, err
		}
		return &boundConn{Conn: conn, unbind: context.AfterFunc(ctx, func() { _ = conn.Close() })}, nil
	}))
}

// dialTimeout is how long a connection may take to be accepted.
const dialTimeout = 10 * time.Second

// boundConn is a connection that ends with a context.
type boundConn struct {
	net.Conn
	unbind func() bool
}

func (c *boundConn) Close() error {
	c.unbind()
	return c.Conn.Close()
}

// ClientOpts returns the options every client is made with.
func (o Options) ClientOpts() []kgo.Opt {
	id := o.ClientID
	if id == "" {
		id = "kudu2kafka"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.BootstrapServers...),
		kgo.ClientID(id),
		// Client telemetry (KIP-714) would add a connection and periodic
		// pushes that nothing here asks for.
		kgo.DisableClientMetrics(),
		// What a client sees of a leader that has moved, it sees this late. The
		// default of 5 s would hold a task up for as long at each move.
		kgo.MetadataMinAge(500 * time.Millisecond),
	}
	if o.Logger != nil {
		opts = append(opts, kgo.WithLogger(NewLogger(o.Logger)))
	}
	if len(o.Hooks) > 0 {
		opts = append(opts, kgo.WithHooks(o.Hooks...))
	}
	return opts
}
