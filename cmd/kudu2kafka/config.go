package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Validate and print configurations, and list all keys",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("which of its commands?")
		},
	}
	command.AddCommand(a.configValidateCommand(), a.configPrintCommand(), a.configReferenceCommand())
	return command
}

// configFault is a fault as JSON.
type configFault struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Key    string `json:"key,omitempty"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

func (a *app) configValidateCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "validate WORKER.yaml [CONNECTOR.yaml ...]",
		Short: "Look for faults in configuration files, without connecting to anything",
		Long: `Read the files as run does and print every fault, with file, line and remedy.
Nothing is connected to; check also looks at Kudu and Kafka.

Exit codes: 0 no fault, 1 failed, 2 wrong arguments, or there are faults.`,
		Example: `  kudu2kafka config validate configs/worker.yaml configs/orders.yaml`,
		Args:    workerArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			_, _, err := config.Load(args[0], config.ConnectorFiles(args[1:]), a.env)
			if !asJSON {
				if err != nil {
					return &exitError{code: exitUsage, err: err}
				}
				return nil
			}
			return a.printFaults(err)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of faults, empty if there are none")
	return command
}

func (a *app) printFaults(err error) error {
	list := []configFault{}
	var faulty *connector.ConfigError
	if errors.As(err, &faulty) {
		for _, f := range faulty.Faults {
			list = append(list, configFault{File: f.File, Line: f.Line, Key: f.Key, What: f.What, Remedy: f.Remedy})
		}
	}
	if printing := a.printJSON(list); printing != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("printing faults: %w", printing)}
	}
	if err != nil {
		return &exitError{code: exitUsage}
	}
	return nil
}

func (a *app) configPrintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "print WORKER.yaml [CONNECTOR.yaml ...]",
		Short: "Print configurations with all defaults, as run would use them",
		Long: `Print the configurations as run would use them: a YAML document for each file,
with dotted keys, references resolved and defaults put in and marked. Secrets
are masked.

What ${env:...} and ${file:...} refer to is shown where the key isn't one of a
secret.

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.`,
		Example: `  kudu2kafka config print configs/worker.yaml configs/orders.yaml`,
		Args:    workerArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			args = withFolders(args)
			worker, connectors, err := config.Load(args[0], args[1:], a.env)
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			if err := a.printConfigs(args, worker, connectors); err != nil {
				return &exitError{code: exitFailed, err: fmt.Errorf("printing the configuration: %w", err)}
			}
			return nil
		},
	}
}

func (a *app) printConfigs(files []string, worker connector.WorkerConfig, connectors []connector.Config) error {
	if _, err := fmt.Fprintf(a.stdout, "# %s\n", files[0]); err != nil {
		return err
	}
	if err := config.Print(a.stdout, worker.Settings()); err != nil {
		return err
	}
	for n, c := range connectors {
		if _, err := fmt.Fprintf(a.stdout, "---\n# %s\n", files[n+1]); err != nil {
			return err
		}
		if err := config.Print(a.stdout, c.Settings()); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) configReferenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print all configuration keys, as Markdown (docs/configuration.md)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := a.stdout.Write(config.Reference()); err != nil {
				return &exitError{code: exitFailed, err: fmt.Errorf("printing the reference: %w", err)}
			}
			return nil
		},
	}
}
