package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
	"github.com/kudu2kafka/kudu2kafka/internal/logs"
	"github.com/kudu2kafka/kudu2kafka/internal/status"
)

// hardStop is how long the worker may take to stop after a signal. Service
// managers commonly kill after 10 seconds; a kill would be harmless, but would
// leave no word about what hung.
const hardStop = 9500 * time.Millisecond

// worker is what this command needs of a connector.Worker.
type worker interface {
	// Check looks, before anything is written, whether the configuration fits
	// what is there. A *connector.ConfigError tells that it does not.
	Check(ctx context.Context) error
	// Run blocks until ctx ends or the worker fails. nil: it stopped in order.
	Run(ctx context.Context) error
}

// workerFactory makes a worker of a setup; ctx bounds the making only.
type workerFactory func(ctx context.Context, p setup) (worker, error)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run WORKER.yaml [CONNECTOR.yaml ...]",
		Short: "Run a worker with its connectors until it is stopped",
		Long: `Run a worker with its connectors until SIGINT or SIGTERM. It then ends its
transactions, leaves its groups and exits within 10 seconds; a second signal
ends it at once.

A folder in place of a CONNECTOR.yaml stands for all its files that end in .yaml
or .yml.

Exit codes: 0 stopped in order, 1 failed while running, 2 wrong arguments or
configuration (nothing was written).`,
		Args: workerArgs,
		RunE: func(_ *cobra.Command, args []string) error { return a.run(args[0], config.ConnectorFiles(args[1:])) },
	}
}

// run owns the worker's goroutine: it returns when that has ended, save in the
// two cases in which the process must end without it.
func (a *app) run(workerFile string, connectorFiles []string) error {
	a.collectSooner()
	files, err := config.LoadFiles(workerFile, connectorFiles, a.env)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	// Before the first line of the log: whoever has seen that line can stop the
	// worker in order.
	signals, ignore := a.notify()
	defer ignore()
	cfg, connectors := files.Worker, files.Connectors
	out, bar := a.progressBar(cfg)
	if bar != nil {
		defer bar.Close() // the worker may not have ended when this does
	}
	levels, logger := newLogger(out, cfg)
	logger.Info("starting", "version", currentVersion().Version, "group.id", cfg.GroupID, "connectors", len(connectors))
	if listeners, _ := cfg.RESTListeners(); len(connectors) == 0 && len(listeners) == 0 {
		logger.Warn("no connector was given, and there is no REST interface: connectors can only come through other workers of the group")
	}

	for _, f := range cfg.Exposed() {
		logger.Warn("secrets can be read on the network", "key", f.Key, "what", f.What, "remedy", f.Remedy)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- a.work(ctx, setup{config: cfg, connectors: connectors, sources: files.Sources, env: a.env, levels: levels, logger: logger, bar: bar})
	}()

	var stopping bool
	var tooLate <-chan time.Time
	for {
		select {
		case err := <-done:
			return finish(logger, err)
		case s := <-signals:
			if stopping {
				logger.Error("second signal: ending at once", "signal", s.String())
				return &exitError{code: exitFailed}
			}
			logger.Info("stopping", "signal", s.String())
			stopping = true
			timer := time.NewTimer(hardStop)
			defer timer.Stop()
			tooLate = timer.C
			cancel()
		case <-tooLate:
			logger.Error("did not stop in time: ending without it", "waited", hardStop.String())
			return &exitError{code: exitFailed}
		}
	}
}

// progressBar gives what logs are written to, with a bar below them if that is a
// terminal that can show one and the log isn't so long that nobody would see it.
func (a *app) progressBar(cfg connector.WorkerConfig) (io.Writer, *status.Bar) {
	_, tty := a.terminal(a.stderr)
	if !tty || a.dumb() || cfg.LogFormat == "json" || hclog.LevelFromString(cfg.LogLevel) < hclog.Info {
		return a.stderr, nil
	}
	bar := status.NewBar(a.stderr, func() int {
		width, _ := a.terminal(a.stderr)
		return width
	})
	return bar, bar
}

// work makes, checks and runs the worker.
func (a *app) work(ctx context.Context, p setup) error {
	w, err := a.newWorker(ctx, p)
	if err != nil {
		if ctx.Err() != nil {
			return nil // the name of a listener was being looked up
		}
		return fmt.Errorf("making the worker: %w", err)
	}
	if err := w.Check(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before anything was begun
		}
		return fmt.Errorf("checking the configuration: %w", err)
	}
	if err := w.Run(ctx); err != nil {
		return fmt.Errorf("running the worker: %w", err)
	}
	return nil
}

// finish tells how the worker ended and chooses the exit code.
func finish(logger hclog.Logger, err error) error {
	var faulty *connector.ConfigError
	switch {
	case err == nil:
		logger.Info("stopped")
		return nil
	case errors.As(err, &faulty):
		for _, f := range faulty.Faults {
			logger.Error(f.String())
		}
		return &exitError{code: exitUsage}
	}
	logger.Error("failed", "error", err)
	return &exitError{code: exitFailed}
}

// newLogger writes lines of text or JSON objects, as the worker's file says, and
// heeds levels that may change.
func newLogger(out io.Writer, cfg connector.WorkerConfig) (*logs.Levels, hclog.Logger) {
	return logs.New(hclog.New(&hclog.LoggerOptions{
		Name:       "kudu2kafka",
		Level:      hclog.LevelFromString(cfg.LogLevel),
		Output:     out,
		JSONFormat: cfg.LogFormat == "json",
		Color:      hclog.ColorOff,
	}))
}
