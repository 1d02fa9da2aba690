package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// This file looks, before anything is written, for what keeps a configuration
// from ever running: a worker that starts refuses it, and so does the command
// that only checks.

// checkTimeout bounds the look at Kafka and at each Kudu cluster before the
// start.
const checkTimeout = 15 * time.Second

// firstLook bounds the first look of a worker that starts without Kafka and Kudu if
// they aren't there: it only is to find mistakes early, and to tell what is missing.
const firstLook = 3 * time.Second

// Check looks, before anything is written, whether Kafka and the tables are
// there and fit the configuration. What doesn't is in a *ConfigError. What isn't
// there yet is none if the worker may start without it.
func (w *Worker) Check(ctx context.Context) error {
	var mu sync.Mutex
	var faults []Fault
	add := func(f ...Fault) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, f...)
	}
	configs := w.configs()
	var checks sync.WaitGroup
	checks.Go(func() { add(w.checkKafka(ctx, configs)...) })
	for _, cfg := range configs {
		checks.Go(func() { add(w.checkConnector(ctx, cfg)...) })
	}
	checks.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.cfg.StartsAlone() {
		faults = slices.DeleteFunc(faults, func(f Fault) bool {
			if f.absent {
				w.logger.Warn("starting without what is not there yet", "key", f.Key, "what", f.What)
			}
			return f.absent
		})
	}
	if len(faults) > 0 {
		return &ConfigError{Faults: faults}
	}
	return nil
}

func (w *Worker) checkKafka(ctx context.Context, connectors []Config) []Fault {
	client, err := kgo.NewClient(KafkaClientOpts(ctx, w.cfg, w.logger)...)
	if err != nil {
		return []Fault{{Key: "bootstrap.servers", What: err.Error(), Remedy: "correct the worker's file"}}
	}
	defer client.Close()
	if faults := CheckBrokers(ctx, client, w.cfg); len(faults) > 0 {
		return faults
	}
	limits, err := ReadBrokerLimits(ctx, client)
	if err != nil {
		// Brokers refuse what is beyond their limits by themselves, only later.
		w.logger.Debug("the brokers' limits are not known", "error", err)
	}
	faults := limits.CheckWorker(w.cfg)
	for _, c := range connectors {
		faults = append(faults, limits.CheckConnector(c)...)
	}
	version, err := kafka.TransactionVersion(ctx, client)
	switch {
	case err != nil:
		w.logger.Debug("not known whether a late EndTxn can do harm", "error", err)
	case version < kafka.EpochPerTransaction:
		w.logger.Warn("these brokers keep the producer's epoch from transaction to transaction, so that a repeated EndTxn which arrives late can commit part of the next one: use Kafka 4 with the feature transaction.version at 2 or above",
			"transaction.version", version)
	}
	return faults
}

// checkConnector looks at one connector's table.
func (w *Worker) checkConnector(ctx context.Context, cfg Config) []Fault {
	client, err := kudu.New(KuduConfig(cfg, w.logger.With("connector", cfg.Name)))
	if err != nil {
		return faultsOf(cfg.Name, err)
	}
	defer func() { _ = client.Close() }()
	if w.cfg.StartsAlone() {
		ctx, cancel := context.WithTimeout(ctx, firstLook)
		defer cancel()
		_, faults := CheckTable(ctx, client, cfg)
		return faults
	}
	for deadline := time.Now().Add(w.cfg.StartupWait); ; {
		_, faults := CheckTable(ctx, client, cfg)
		if !slices.ContainsFunc(faults, func(f Fault) bool { return f.absent && f.Key != "kudu.table" }) ||
			time.Now().After(deadline) || pause(ctx, 250*time.Millisecond) != nil {
			return faults
		}
	}
}

// KafkaClientOpts are the options of a Kafka client of a worker, which ends with ctx.
func KafkaClientOpts(ctx context.Context, worker WorkerConfig, logger hclog.Logger) []kgo.Opt {
	return KafkaOptions(worker, logger).Within(ctx)
}

// KuduConfig is how a connector reaches its Kudu cluster.
func KuduConfig(cfg Config, logger hclog.Logger) kudu.Config {
	return kudu.Config{
		Masters: cfg.KuduMasters, OperationTimeout: cfg.KuduOperationTimeout, Security: cfg.kuduSecurity(), Logger: logger.Named("kudu"),
	}
}

// CheckBrokers looks whether a broker answers, for some seconds.
func CheckBrokers(ctx context.Context, client *kgo.Client, worker WorkerConfig) []Fault {
	ctx, cancel := context.WithTimeout(ctx, max(checkTimeout, worker.StartupWait+checkTimeout/2))
	defer cancel()
	if worker.StartsAlone() {
		ctx, cancel = context.WithTimeout(ctx, firstLook)
		defer cancel()
	}
	if err := awaitKafka(ctx, kadm.NewClient(client), worker.StartupWait); err != nil {
		if refused := kafka.Refused(err); refused != nil {
			// A worker that starts alone waits for what the brokers have yet to learn too,
			// such as its user.
			return []Fault{{absent: true, Key: refused.Key, What: refused.Problem(), Remedy: refused.Remedy}}
		}
		return []Fault{{
			absent: !errors.Is(kafka.Classify(err), kafka.ErrPermanent),
			Key:    "bootstrap.servers", What: fmt.Sprintf("no Kafka broker answers at %s: %v", strings.Join(worker.BootstrapServers, ", "), err),
			Remedy: "start Kafka, or correct the addresses",
		}}
	}
	return nil
}

// awaitKafka asks for the cluster's brokers until an answer comes: a broker that
// restarts is away for some seconds, and isn't a mistake in the configuration. One
// that refuses this program isn't asked again: accounts are locked for that.
func awaitKafka(ctx context.Context, adm *kadm.Client, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		_, err := adm.BrokerMetadata(ctx)
		refused := kafka.Refused(err)
		if err == nil || refused != nil && refused.Verdict != kafka.Unclear || errors.Is(kafka.Classify(err), kafka.ErrPermanent) || time.Now().After(deadline) || pause(ctx, 250*time.Millisecond) != nil {
			return err
		}
	}
}

// The brokers' settings that bound ours.
const (
	transactionMax  = "transaction.max.timeout.ms"
	sessionLeast    = "group.min.session.timeout.ms"
	sessionGreatest = "group.max.session.timeout.ms"
)

// BrokerLimits are the brokers' settings that bound ours, each as the narrowest
// broker has it, by Kafka's name. What couldn't be read is missing.
type BrokerLimits map[string]time.Duration

// ReadBrokerLimits asks all brokers, which need the right DESCRIBE_CONFIGS on the
// cluster for it.
func ReadBrokerLimits(ctx context.Context, client *kgo.Client) (BrokerLimits, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	adm := kadm.NewClient(client)
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the brokers: %w", err)
	}
	configs, err := adm.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return nil, fmt.Errorf("reading the brokers' settings: %w", err)
	}
	limits := make(BrokerLimits)
	for _, broker := range configs {
		if broker.Err != nil {
			return nil, fmt.Errorf("reading the settings of broker %s: %w", broker.Name, broker.Err)
		}
		for _, c := range broker.Configs {
			limits.note(c.Key, c.MaybeValue())
		}
	}
	return limits, nil
}

// note takes a broker's setting, if it is a limit and narrower than others'.
func (l BrokerLimits) note(key, value string) {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil || key != transactionMax && key != sessionLeast && key != sessionGreatest {
		return
	}
	limit := time.Duration(ms) * time.Millisecond
	if had, seen := l[key]; !seen || (key == sessionLeast) == (limit > had) {
		l[key] = limit
	}
}

// CheckWorker compares the worker's times with the limits.
func (l BrokerLimits) CheckWorker(w WorkerConfig) []Fault {
	const key = "session.timeout.ms"
	got := w.SessionTimeout
	if least, known := l[sessionLeast]; known && got < least {
		return []Fault{{
			Key: key, What: fmt.Sprintf("%d is less than the brokers take (%s is %d)", got.Milliseconds(), sessionLeast, least.Milliseconds()),
			Remedy: fmt.Sprintf("write at least %d", least.Milliseconds()),
		}}
	}
	if greatest, known := l[sessionGreatest]; known && got > greatest {
		return []Fault{{
			Key: key, What: fmt.Sprintf("%d is more than the brokers take (%s is %d)", got.Milliseconds(), sessionGreatest, greatest.Milliseconds()),
			Remedy: fmt.Sprintf("write at most %d", greatest.Milliseconds()),
		}}
	}
	return nil
}

// CheckConnector compares the connector's times with the limits.
func (l BrokerLimits) CheckConnector(c Config) []Fault {
	greatest, known := l[transactionMax]
	if !known || c.TransactionTimeout <= greatest {
		return nil
	}
	return []Fault{{
		Key:    "transaction.timeout.ms",
		What:   fmt.Sprintf("connector %q: %d is more than the brokers take (%s is %d)", c.Name, c.TransactionTimeout.Milliseconds(), transactionMax, greatest.Milliseconds()),
		Remedy: fmt.Sprintf("write at most %d, or raise the brokers' %s", greatest.Milliseconds(), transactionMax),
	}}
}

// CheckTable opens the connector's table and compares it with the configuration.
// Without a fault it gives what the connector would do.
func CheckTable(ctx context.Context, client *kudu.Client, cfg Config) (*Outlook, []Fault) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	about := func(key string, err error, remedy string) []Fault {
		return []Fault{{Key: key, What: fmt.Sprintf("connector %q: %v", cfg.Name, err), Remedy: remedy}}
	}
	table, err := client.OpenTable(ctx, cfg.KuduTable)
	if key, remedy, is := notAuthenticated(cfg, err); is {
		faults := about(key, err, remedy)
		faults[0].absent = errors.Is(err, kudu.ErrNoKDC)
		return nil, faults
	}
	switch {
	case errors.Is(err, kudu.ErrTableNotFound):
		faults := about("kudu.table", err, "create the table, or correct its name")
		faults[0].absent = true
		return nil, faults
	case err != nil && refused(err):
		// It answers, so the addresses are right.
		return nil, about("kudu.table", err, "have the worker's user granted the right to read it, or see what Kudu says")
	case err != nil:
		faults := about("kudu.masters", err, "start Kudu, or correct the addresses")
		faults[0].absent = true
		return nil, faults
	}
	o, err := newOutlook(cfg, table)
	if err != nil {
		return nil, faultsOf(cfg.Name, err)
	}
	return o, nil
}

// faultsOf takes the joined error of planRead apart again, whose parts begin
// with their key.
func faultsOf(connector string, err error) []Fault {
	parts := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts = joined.Unwrap()
	}
	faults := make([]Fault, len(parts))
	for n, part := range parts {
		key, what, found := strings.Cut(part.Error(), ": ")
		if !found {
			key, what = "", part.Error()
		}
		faults[n] = Fault{Key: key, What: fmt.Sprintf("connector %q: %s", connector, what), Remedy: "correct the configuration, or the table"}
	}
	return faults
}
