package connector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// checkTimeout bounds the look at Kafka and at each Kudu cluster before the
// start.
const checkTimeout = 15 * time.Second

// Check looks, before anything is written, whether Kafka and the tables are
// there and fit the configuration. What doesn't is in a *ConfigError.
func (w *Worker) Check(ctx context.Context) error {
	var mu sync.Mutex
	var faults []Fault
	add := func(f ...Fault) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, f...)
	}
	var checks sync.WaitGroup
	checks.Go(func() { add(w.checkKafka(ctx)...) })
	for _, cfg := range w.configs() {
		checks.Go(func() { add(w.checkConnector(ctx, cfg)...) })
	}
	checks.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(faults) > 0 {
		return &ConfigError{Faults: faults}
	}
	return nil
}

func (w *Worker) checkKafka(ctx context.Context) []Fault {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	client, err := kgo.NewClient(kafkaOptions(w.cfg, w.logger).ClientOpts()...)
	if err == nil {
		defer client.Close()
		err = awaitKafka(ctx, kadm.NewClient(client))
	}
	if err != nil {
		return []Fault{{
			Key: "bootstrap.servers", What: fmt.Sprintf("no Kafka broker answers at %s: %v", strings.Join(w.cfg.BootstrapServers, ", "), err),
			Remedy: "start Kafka, or correct the addresses",
		}}
	}
	version, err := kafka.TransactionVersion(ctx, client)
	switch {
	case err != nil:
		w.logger.Debug("not known whether a late EndTxn can do harm", "error", err)
	case version < kafka.EpochPerTransaction:
		w.logger.Warn("these brokers keep the producer's epoch from transaction to transaction, so that a repeated EndTxn which arrives late can commit part of the next one: use Kafka 4 with the feature transaction.version at 2 or above",
			"transaction.version", version)
	}
	return nil
}

// brokerPatience is how long a worker that starts waits for a broker that can't
// be reached: one that restarts is away for some seconds, and isn't a mistake in
// the configuration.
const brokerPatience = 8 * time.Second

// awaitKafka asks for the cluster's brokers until an answer comes.
func awaitKafka(ctx context.Context, adm *kadm.Client) error {
	deadline := time.Now().Add(brokerPatience)
	for {
		_, err := adm.BrokerMetadata(ctx)
		if err == nil || errors.Is(kafka.Classify(err), kafka.ErrPermanent) || time.Now().After(deadline) || pause(ctx, 250*time.Millisecond) != nil {
			return err
		}
	}
}

// checkConnector looks at one connector's table.
func (w *Worker) checkConnector(ctx context.Context, cfg Config) []Fault {
	i, err := newInstance(cfg, w.cfg, w.logger, nobody{})
	if err != nil {
		return faultsOf(cfg.Name, err)
	}
	defer i.close()
	return i.check(ctx)
}

// check opens the table and compares it with the configuration.
func (i *instance) check(ctx context.Context) []Fault {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	about := func(key string, err error, remedy string) Fault {
		return Fault{Key: key, What: fmt.Sprintf("connector %q: %v", i.cfg.Name, err), Remedy: remedy}
	}
	table, err := i.kudu.OpenTable(ctx, i.cfg.KuduTable)
	switch {
	case errors.Is(err, kudu.ErrTableNotFound):
		return []Fault{about("kudu.table", err, "create the table, or correct its name")}
	case err != nil && refused(err):
		// It answers, so the addresses are right.
		return []Fault{about("kudu.table", err, "have the worker's user granted the right to read it, or see what Kudu says")}
	case err != nil:
		return []Fault{about("kudu.masters", err, "start Kudu, or correct the addresses")}
	}
	plan, err := planRead(i.cfg, table.Schema())
	if err == nil && i.cfg.Mode == modeSweep {
		_, err = planSweep(i.cfg, table.Schema(), plan)
	}
	if err != nil {
		return faultsOf(i.cfg.Name, err)
	}
	return nil
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
