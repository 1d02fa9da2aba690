package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// brokerPatience bounds the wait for one broker's answer.
const brokerPatience = 5 * time.Second

// checkBrokers asks every address and every broker for a sign of life.
func checkBrokers(ctx context.Context, l *look) ([]Finding, error) {
	if faults := connector.CheckBrokers(ctx, l.client, l.worker); len(faults) > 0 {
		return faultFindings("", faults), nil
	}
	l.kafka = true
	var out []Finding
	for _, addr := range l.worker.BootstrapServers {
		if err := l.pingSeed(ctx, addr); err != nil {
			out = append(out, Finding{
				Severity: Warning, Key: "bootstrap.servers", Problem: fmt.Sprintf("%s doesn't answer: %v", addr, err),
				Remedy: "start that broker, or leave the address out",
			})
		}
	}
	var err error
	if l.brokers, err = l.adm.ListBrokers(ctx); err != nil {
		return out, fmt.Errorf("listing the brokers: %w", err)
	}
	for _, b := range l.brokers {
		if err := ping(ctx, l.client.Broker(int(b.NodeID))); err != nil {
			addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
			out = append(out, Finding{
				Severity: Warning, Key: "bootstrap.servers",
				Problem: fmt.Sprintf("broker %d doesn't answer at %s, where the cluster says it is: %v", b.NodeID, addr, err),
				Remedy:  "start it, or make that address (advertised.listeners) reachable from here",
			})
		}
	}
	version, err := kafka.TransactionVersion(ctx, l.client)
	switch {
	case err != nil:
		return out, err
	case version < kafka.EpochPerTransaction:
		out = append(out, Finding{
			Severity: Warning,
			Problem:  fmt.Sprintf("transaction.version is %d: these brokers keep the producer's epoch from transaction to transaction, so that a repeated EndTxn which arrives late can commit part of the next one", version),
			Remedy:   "use Kafka 4 with the feature transaction.version at 2 or above",
		})
	}
	return out, nil
}

// pingSeed asks one of the configured addresses, by a client that knows no other.
func (l *look) pingSeed(ctx context.Context, addr string) error {
	client, err := kgo.NewClient(append(connector.KafkaClientOpts(ctx, l.worker, l.logger), kgo.SeedBrokers(addr))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return ping(ctx, client.SeedBrokers()[0])
}

func ping(ctx context.Context, b *kgo.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kudu2kafka", "1"
	_, err := b.Request(ctx, req)
	return err
}

// checkLimits reads the brokers' settings, and compares the worker's times with
// them.
func checkLimits(ctx context.Context, l *look) ([]Finding, error) {
	var err error
	l.limits, err = connector.ReadBrokerLimits(ctx, l.client)
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return found(Note, "session.timeout.ms", "the brokers' settings may not be read, so that timeouts and defaults of new topics aren't compared with them",
			"grant DESCRIBE_CONFIGS on the cluster"), nil
	case err != nil:
		return nil, err
	}
	if len(l.brokers) > 0 {
		if l.defaults, err = l.brokerSettings(ctx, l.brokers[0].NodeID); err != nil {
			return nil, err
		}
	}
	return faultFindings("", l.limits.CheckWorker(l.worker)), nil
}

func (l *look) brokerSettings(ctx context.Context, node int32) (map[string]string, error) {
	configs, err := l.adm.DescribeBrokerConfigs(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of broker %d: %w", node, err)
	}
	all := make(map[string]string)
	for _, c := range configs {
		if c.Err != nil {
			return nil, fmt.Errorf("reading the settings of broker %d: %w", node, c.Err)
		}
		for _, kv := range c.Configs {
			all[kv.Key] = kv.MaybeValue()
		}
	}
	return all, nil
}

func checkTimeouts(_ context.Context, s *subject) ([]Finding, error) {
	return faultFindings(s.cfg.Name, s.limits.CheckConnector(s.cfg)), nil
}

// checkGroup looks at the connector's consumer group.
func checkGroup(ctx context.Context, s *subject) ([]Finding, error) {
	group := s.cfg.GroupID(s.worker.GroupID)
	var groups kadm.DescribedGroups
	err := s.withCoordinator(ctx, func() (err error) {
		if groups, err = s.adm.DescribeGroups(ctx, group); err == nil {
			err = groups[group].Err
		}
		return err
	})
	switch {
	case errors.Is(err, kerr.CoordinatorNotAvailable):
		return found(Warning, "", fmt.Sprintf("Kafka has no coordinator for group %q: its topic __consumer_offsets isn't there, or has no leader", group),
			"wait a moment if the cluster is new; else compare the brokers' offsets.topic.replication.factor with the number of brokers"), nil
	case errors.Is(err, kerr.GroupIDNotFound), errors.Is(err, kerr.GroupAuthorizationFailed): // kafka.rights tells the latter
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking at group %q: %w", group, err)
	}
	g := groups[group]
	switch {
	case len(g.Members) == 0:
		return nil, nil
	case g.ProtocolType != "consumer" || g.Protocol != "" && g.Protocol != "cooperative-sticky":
		return found(Error, "group.id", fmt.Sprintf("group %q has %s of another program (protocol %s %s)", group, plural(len(g.Members), "member", "members"), g.ProtocolType, g.Protocol),
			"choose another group.id, or another name for the connector"), nil
	}
	return found(Note, "", fmt.Sprintf("the connector runs now, on %s of group %q", plural(len(g.Members), "worker", "workers"), group), ""), nil
}

// coordinatorPatience is how long a coordinator may take to come: a new cluster
// makes its topic when it is asked for one.
const coordinatorPatience = 10 * time.Second

// withCoordinator asks again while there is no coordinator, for some seconds.
func (l *look) withCoordinator(ctx context.Context, ask func() error) error {
	deadline := time.Now().Add(l.patience)
	for {
		err := ask()
		if !errors.Is(err, kerr.CoordinatorNotAvailable) && !errors.Is(err, kerr.CoordinatorLoadInProgress) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// unreadable is what there is to say of a stored record that can't be read; other
// failures stay what they are.
func unreadable(err error) ([]Finding, error) {
	if errors.As(err, new(*offsets.UnreadableError)) {
		return found(Error, "offsets.storage.topic", err.Error(), "write the right value, or reset that tablet's position"), nil
	}
	return nil, err
}

// checkPositions compares what is stored with what the configuration asks for.
func checkPositions(ctx context.Context, s *subject) ([]Finding, error) {
	if !s.positions.exists {
		return nil, nil
	}
	name := s.cfg.OffsetsTopic(s.worker.GroupID)
	plan, err := offsets.LoadPlan(ctx, connector.KafkaClientOpts(ctx, s.worker, s.logger), name, 0, s.cfg.Name)
	if errors.As(err, new(*kafka.DeniedError)) {
		return nil, nil // kafka.rights tells
	}
	if err != nil {
		return unreadable(err)
	}
	var out []Finding
	same, err := s.outlook.ComparePlan(plan)
	switch {
	case err != nil:
		return found(Error, "kudu.table", err.Error(), "reset the connector's offsets, or give it another name"), nil
	case plan != nil && !same:
		want := s.outlook.StoredPlan()
		out = append(out, Finding{
			Severity: Note, Key: "tasks.max",
			Problem: fmt.Sprintf("positions are stored for table %q with tasks.max %d and order.scope %s; the first worker that starts with %q, %d and %s moves them", plan.Table, plan.Tasks, plan.OrderScope, want.Table, want.Tasks, want.OrderScope),
			Remedy:  "start all workers of the group with the same configuration",
		})
	}
	if err := s.loadStored(ctx); err != nil {
		more, err := unreadable(err)
		return append(out, more...), err
	}
	faults := map[string][]string{}
	for tablet, pos := range s.stored {
		if err := s.outlook.Check(pos); err != nil {
			faults[err.Error()] = append(faults[err.Error()], tablet)
		}
	}
	for why, tablets := range faults {
		slices.Sort(tablets)
		out = append(out, Finding{
			Severity: Error, Key: "mode", Problem: fmt.Sprintf("the stored position of %s: %s", some(tablets), why), Remedy: "reset the connector's offsets, or correct the configuration",
		})
	}
	slices.SortFunc(out, func(a, b Finding) int { return cmpText(a.Problem, b.Problem) })
	return out, nil
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// loadStored reads the stored positions as they are committed now, without waiting
// for transactions that are open.
func (s *subject) loadStored(ctx context.Context) error {
	s.stored = make(map[string]offsets.Position)
	if !s.positions.exists {
		return nil
	}
	for p := range int32(len(s.positions.partitions)) {
		loaded, err := offsets.Peek(ctx, connector.KafkaClientOpts(ctx, s.worker, s.logger), s.cfg.OffsetsTopic(s.worker.GroupID), p, s.cfg.Name)
		if err != nil {
			return err
		}
		for key, pos := range loaded.Positions {
			if key.Table == s.cfg.KuduTable {
				s.stored[key.Tablet] = pos
			}
		}
	}
	return nil
}
