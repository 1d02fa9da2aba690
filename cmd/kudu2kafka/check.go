package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

// looker looks at Kudu and Kafka without writing.
type looker struct {
	check  func(context.Context, preflight.Options) (*preflight.Report, error)
	plan   func(context.Context, preflight.Options) ([]preflight.Plan, error)
	rights func(ctx context.Context, o preflight.Options, principal string) (*preflight.RightsList, error)
}

func (a *app) checkCommand() *cobra.Command {
	var asJSON, verbose bool
	command := &cobra.Command{
		Use:   "check WORKER.yaml [CONNECTOR.yaml ...]",
		Short: "Look for problems before a worker is started",
		Long: `Look whether a worker with these connectors would run, and run well: that
brokers, masters and tablet servers can be reached; the table, its columns, and
what the streaming key and where will cost; topics, their settings and
replicas; timeouts against the brokers' limits; the rights that are needed; how
long Kudu keeps history; and whether the first rows can be written as records.

Nothing is written, neither to Kudu nor to Kafka. A connector may be running
meanwhile.

Each finding is a problem with its remedy:
  error    the connector can't run, or would lose or repeat what it must not
  warning  worth a change
  note     good to know
A check that could not be run is listed as such: of its subject nothing is known.

Exit codes: 0 no error was found, 1 a check could not be run, 2 an error was
found, or the arguments or the configuration are wrong.`,
		Example: `  kudu2kafka check configs/worker.yaml configs/orders.yaml
  kudu2kafka check --json worker.yaml *.connector.yaml | jq '.findings[] | select(.severity == "error")'`,
		Args: workerArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := a.options(withFolders(args), verbose)
			if err != nil {
				return err
			}
			return a.check(o, asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	command.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what the clients of Kudu and Kafka do")
	return command
}

// workerArgs wants the worker's file, and perhaps connectors'.
func workerArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("the worker's file is missing")
	}
	return nil
}

// withFolders has folders stand for the connectors' files in them.
func withFolders(args []string) []string {
	return append(args[:1:1], config.ConnectorFiles(args[1:])...)
}

// options loads the files; their faults end the command.
func (a *app) options(files []string, verbose bool) (preflight.Options, error) {
	worker, connectors, err := config.Load(files[0], files[1:], a.env)
	if err != nil {
		return preflight.Options{}, &exitError{code: exitUsage, err: err}
	}
	logger := hclog.NewNullLogger()
	if verbose {
		_, logger = newLogger(a.stderr, worker)
	}
	return preflight.Options{Worker: worker, Connectors: connectors, Logger: logger}, nil
}

// untilSignal is a context that ends with the first signal.
func (a *app) untilSignal() (context.Context, func()) {
	signals, ignore := a.notify()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-ended
		ignore()
	}
}

// checkReport is what check --json prints.
type checkReport struct {
	*preflight.Report
	Summary checkSummary `json:"summary"`
}

type checkSummary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Notes    int `json:"notes"`
	Failed   int `json:"failed"` // checks that could not be run
}

func (a *app) check(o preflight.Options, asJSON bool) error {
	ctx, done := a.untilSignal()
	defer done()
	report, err := a.look.check(ctx, o)
	if err != nil {
		return &exitError{code: exitFailed, err: err}
	}
	if asJSON {
		err = a.printJSON(checkReport{report, checkSummary{
			Errors: report.Count(preflight.Error), Warnings: report.Count(preflight.Warning), Notes: report.Count(preflight.Note), Failed: report.Failed(),
		}})
	} else {
		err = report.WriteText(a.stdout)
	}
	switch {
	case err != nil:
		return &exitError{code: exitFailed, err: fmt.Errorf("printing the report: %w", err)}
	case report.Count(preflight.Error) > 0:
		return &exitError{code: exitUsage}
	case report.Failed() > 0:
		return &exitError{code: exitFailed}
	}
	return nil
}

func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// lookFailure chooses the exit code of a failed look: what the configuration is to
// blame for won't get better by trying again.
func lookFailure(err error) error {
	var faulty *connector.ConfigError
	if errors.As(err, &faulty) {
		return &exitError{code: exitUsage, err: err}
	}
	return &exitError{code: exitFailed, err: err}
}
