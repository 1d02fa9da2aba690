package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

// listedTablets is how many tablets of a task are printed for people.
const listedTablets = 20

func (a *app) planCommand() *cobra.Command {
	var asJSON, verbose, all bool
	command := &cobra.Command{
		Use:   "plan WORKER.yaml CONNECTOR.yaml [CONNECTOR.yaml ...]",
		Short: "Show what a connector would do",
		Long: `Show what a connector would do if it were started now: which task reads which
tablets, with their partitions; the first scan of each tablet with its bounds
and predicates, from the stored position if there is one; the topics, as they
are or as they would be made; the group and the transactional ids; the rights
that are needed; and as an example the first row that would be published, read
from the table.

Nothing is written, neither to Kudu nor to Kafka. A connector may be running
meanwhile.

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, or Kudu,
Kafka or the table isn't as the configuration says.`,
		Example: `  kudu2kafka plan configs/worker.yaml configs/orders.yaml
  kudu2kafka plan --json worker.yaml orders.yaml | jq '.[0].tasks[].tablets | length'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("the worker's file and a connector's are needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := a.options(withFolders(args), verbose)
			if err != nil {
				return err
			}
			text := preflight.TextOptions{Tablets: listedTablets, Now: time.Now()}
			if all {
				text.Tablets = 0
			}
			return a.plan(o, asJSON, text)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, with an element for each connector")
	command.Flags().BoolVar(&all, "all", false, fmt.Sprintf("list all tablets of a task, not only %d", listedTablets))
	command.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what the clients of Kudu and Kafka do")
	return command
}

func (a *app) plan(o preflight.Options, asJSON bool, text preflight.TextOptions) error {
	ctx, done := a.untilSignal()
	defer done()
	plans, err := a.look.plan(ctx, o)
	if err != nil {
		return lookFailure(err)
	}
	if asJSON {
		err = a.printJSON(plans)
	}
	for n := 0; n < len(plans) && !asJSON && err == nil; n++ {
		if n > 0 {
			_, err = fmt.Fprintln(a.stdout)
		}
		if err == nil {
			err = plans[n].WriteText(a.stdout, text)
		}
	}
	if err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("printing the plan: %w", err)}
	}
	return nil
}
