package kafka

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options says how to reach the Kafka cluster. It is the one source of client
// options: producers, group members and admin clients all start from
// Within, so that security settings need to be known here only.
type Options struct {
	// BootstrapServers are host:port addresses, at least one.
	BootstrapServers []string
	// Security is how brokers and clients prove to each other who they are.
	Security Security
	// ClientID names the client in the broker's logs, metrics and quotas.
	// Empty means "kudu2kafka".
	ClientID string
	// Logger receives the client's log; nil discards it.
	Logger hclog.Logger
	// Hooks are told of what the client does, for metrics.
	Hooks []kgo.Hook
}

// Principal is the user as Kafka's access control lists have it; empty when it isn't
// known here: who shows a certificate is whom the brokers make of its name.
func (o Options) Principal() string {
	if !o.Security.sasl() || o.Security.Username == "" {
		return ""
	}
	return "User:" + o.Security.Username
}

// Within returns the options that every client is made with. Its connections and requests
// end with ctx, also those that are being opened. Close must be called all the same.
func (o Options) Within(ctx context.Context) []kgo.Opt {
	return append(o.common(), append(accessOf(o).opts(ctx), kgo.WithContext(ctx))...)
}

func (o Options) common() []kgo.Opt {
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
