package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

func (a *app) rightsCommand() *cobra.Command {
	var asJSON, verbose bool
	var principal string
	command := &cobra.Command{
		Use:   "rights WORKER.yaml [CONNECTOR.yaml ...]",
		Short: "Print the rights that a worker and its connectors need",
		Long: `Print the least rights that a worker with these connectors needs: in Kafka as
commands of kafka-acls.sh, in Kudu as policies of Apache Ranger. The list comes
from the configuration. Kafka isn't asked for anything; Kudu is asked for the
tables' columns, and without an answer within 5 seconds all are named.

The output is a shell script. Which of the rights are missing, "kudu2kafka
check" tells.

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.`,
		Example: `  kudu2kafka rights configs/worker.yaml configs/orders.yaml
  kudu2kafka rights --principal User:connect worker.yaml orders.yaml | sh
  kudu2kafka rights --json worker.yaml orders.yaml | jq '.kafka[] | select(.optional | not)'`,
		Args: workerArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := a.options(withFolders(args), verbose)
			if err != nil {
				return err
			}
			return a.rights(o, principal, asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	command.Flags().StringVar(&principal, "principal", "", "whom to grant the rights in Kafka, such as User:connect (default: the worker's user, where its file names one)")
	command.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what the clients of Kudu and Kafka do")
	return command
}

func (a *app) rights(o preflight.Options, principal string, asJSON bool) error {
	ctx, done := a.untilSignal()
	defer done()
	list, err := a.look.rights(ctx, o, principal)
	if err != nil {
		return lookFailure(err)
	}
	if asJSON {
		err = a.printJSON(list)
	} else {
		err = list.WriteText(a.stdout)
	}
	if err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("printing the rights: %w", err)}
	}
	return nil
}
