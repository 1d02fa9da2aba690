package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// Worker is one process's share of the work of its connectors.
type Worker struct {
	cfg       WorkerConfig
	instances []*instance
	logger    hclog.Logger
	observer  Observer
}

// WorkerOption is a choice that a worker can do without.
type WorkerOption func(*Worker)

// WithObserver has an observer told of what the worker does.
func WithObserver(o Observer) WorkerOption { return func(w *Worker) { w.observer = o } }

// NewWorker checks the configurations together and makes the clients; nothing
// is connected yet. Run must be called, which also frees them.
func NewWorker(cfg WorkerConfig, connectors []Config, logger hclog.Logger, opts ...WorkerOption) (*Worker, error) {
	w := &Worker{cfg: cfg, logger: logger, observer: nobody{}}
	for _, o := range opts {
		o(w)
	}
	for _, c := range connectors {
		i, err := newInstance(c, cfg, logger, w.observer)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("connector %q: %w", c.Name, err)
		}
		w.instances = append(w.instances, i)
	}
	return w, nil
}

func (w *Worker) close() {
	for _, i := range w.instances {
		i.close()
	}
}

// Run works until ctx ends and everything has been finished or given up in
// order. A connector that can't start is logged and shown in its status; the
// others go on. The error is not nil when no connector could start.
func (w *Worker) Run(ctx context.Context) error {
	defer w.close()
	errs := make([]error, len(w.instances))
	var running sync.WaitGroup
	for n, i := range w.instances {
		running.Go(func() {
			if err := i.run(ctx); err != nil && ctx.Err() == nil {
				i.board.set(Failed, err)
				i.logger.Error("connector failed", "error", err)
				errs[n] = fmt.Errorf("connector %q: %w", i.cfg.Name, err)
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// Status is what the connectors do on this worker.
func (w *Worker) Status() []Status {
	all := make([]Status, len(w.instances))
	for n, i := range w.instances {
		all[n] = i.board.snapshot(i.cfg.Name)
	}
	return all
}

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
	for _, i := range w.instances {
		checks.Go(func() { add(i.check(ctx)...) })
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
	client, err := kgo.NewClient(kafkaOptions(w.cfg, w.logger).ClientOpts()...)
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
	for _, i := range w.instances {
		faults = append(faults, limits.CheckConnector(i.cfg)...)
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

// check opens the table and compares it with the configuration.
func (i *instance) check(ctx context.Context) []Fault {
	_, faults := CheckTable(ctx, i.kudu, i.cfg)
	return faults
}
