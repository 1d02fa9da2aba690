package kafka

import (
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options says how to reach the Kafka cluster. It is the one source of client
// options: producers, group members and admin clients all start from
// ClientOpts, so that security settings need to be known here only.
type Options struct {
	// BootstrapServers is a comma-separated list of host:port addresses.
	BootstrapServers string
	// ClientID names the client in the broker's logs, metrics and quotas.
	// Empty means "kudu2kafka".
	ClientID string
	// Logger receives the client's log; nil discards it.
	Logger hclog.Logger
}

// ClientOpts returns the options every client is made with.
func (o Options) ClientOpts() []kgo.Opt {
	id := o.ClientID
	if id == "" {
		id = "kudu2kafka"
	}
	opts := []kgo.Opt{
		kgo.ClientID(id),
		// Client telemetry (KIP-714) would add a connection and periodic
		// pushes that nothing here asks for.
		kgo.DisableClientMetrics(),
	}
	// Without an address the client falls back to localhost, which hides a
	// missing setting, so no address is passed on as an empty one.
	opts = append(opts, kgo.SeedBrokers(splitServers(o.BootstrapServers)...))
	if o.Logger != nil {
		opts = append(opts, kgo.WithLogger(NewLogger(o.Logger)))
	}
	return opts
}

// splitServers takes a list apart as the Java client does: blanks around an
// address and empty entries do not count.
func splitServers(list string) []string {
	var servers []string
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			servers = append(servers, s)
		}
	}
	return servers
}
