package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

// offsetsAdmin is what these commands need of a connector.OffsetsAdmin.
type offsetsAdmin interface {
	List(ctx context.Context) ([]connector.StoredOffset, error)
	// Alter and Reset do nothing with dry but say what they would do.
	Alter(ctx context.Context, changes []connector.StoredOffset, dry bool) ([]connector.OffsetChange, error)
	Reset(ctx context.Context, dry bool) ([]connector.OffsetChange, error)
	Close()
}

type offsetsFactory func(connector.Config, connector.WorkerConfig, hclog.Logger) (offsetsAdmin, error)

func (a *app) offsetsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "offsets",
		Short: "List, export, import and reset the stored positions of a connector",
		Long: `List, export, import and reset the positions up to which a connector's tablets
have been published.

list and export only read, and may be used while the connector runs. import and
reset change what is published next: they first say what they would do, and do it
only with --execute, and only while no worker runs the connector. A position that
is set back has rows published again, one that is set forward has rows skipped.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("which of its commands?")
		},
	}
	command.AddCommand(a.offsetsListCommand(), a.offsetsExportCommand(), a.offsetsImportCommand(), a.offsetsResetCommand())
	return command
}

// connectorArgs wants the worker's file and those of connectors.
func connectorArgs(_ *cobra.Command, args []string) error {
	if len(args) < 2 {
		return errors.New("the worker's file and a connector's are needed")
	}
	return nil
}

// connectorFlag is the flag that chooses among the connectors of the files.
func connectorFlag(command *cobra.Command, name *string) {
	command.Flags().StringVarP(name, "connector", "c", "", "name of the connector, of several in the files")
}

// choose loads the files and leaves just the connector of that name; all of them if
// name is empty.
func (a *app) choose(files []string, name string) (preflight.Options, error) {
	o, err := a.options(withFolders(files), false)
	if err != nil {
		return o, err
	}
	if len(o.Connectors) == 0 {
		return o, &exitError{code: exitUsage, err: errors.New("there is no connector in " + strings.Join(files[1:], " "))}
	}
	if name == "" {
		return o, nil
	}
	var names []string
	for _, c := range o.Connectors {
		if names = append(names, c.Name); c.Name == name {
			o.Connectors = []connector.Config{c}
			return o, nil
		}
	}
	return o, &exitError{code: exitUsage, err: fmt.Errorf("there is no connector %q in the files, but %s", name, strings.Join(names, ", "))}
}

// withOffsets makes the admin of the connector of that name, or of the only one, for
// the time of do.
func (a *app) withOffsets(files []string, name string, do func(context.Context, offsetsAdmin) error) error {
	o, err := a.choose(files, name)
	if err != nil {
		return err
	}
	if len(o.Connectors) > 1 {
		var names []string
		for _, c := range o.Connectors {
			names = append(names, c.Name)
		}
		return &exitError{code: exitUsage, err: fmt.Errorf("there are %d connectors in the files: name one by --connector: %s", len(names), strings.Join(names, ", "))}
	}
	return a.withAdmin(o, o.Connectors[0], do)
}

// withAdmin makes the admin of a connector for the time of do.
func (a *app) withAdmin(o preflight.Options, c connector.Config, do func(context.Context, offsetsAdmin) error) error {
	admin, err := a.newOffsets(c, o.Worker, o.Logger)
	if err != nil {
		return lookFailure(err)
	}
	defer admin.Close()
	ctx, done := a.untilSignal()
	defer done()
	err = do(ctx, admin)
	var invalid *connector.OffsetsInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return &exitError{code: exitUsage, err: err}
	}
	return lookFailure(err)
}

// offsetLine is a position as a line of JSON, in the shape that Kafka Connect's
// REST interface has for one.
type offsetLine struct {
	Partition offsetPartition `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

type offsetPartition struct {
	Table  string `json:"table"`
	Tablet string `json:"tablet"`
}

func (a *app) offsetsListCommand() *cobra.Command {
	var name string
	command := &cobra.Command{
		Use:   "list WORKER.yaml CONNECTOR.yaml [CONNECTOR.yaml ...]",
		Short: "List the stored positions",
		Long: `List the positions that are committed now: the primary key of the last row
published of each tablet, and how long ago it was read. Of several connectors
all are listed, or the one that --connector names.

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.`,
		Example: `  kudu2kafka offsets list worker.yaml orders.yaml
  kudu2kafka offsets list worker.yaml connectors/ --connector orders`,
		Args: connectorArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := a.choose(args, name)
			if err != nil {
				return err
			}
			for n, c := range o.Connectors {
				if err := a.listOffsets(o, c, n, len(o.Connectors)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	connectorFlag(command, &name)
	return command
}

// listOffsets prints the positions of the nth of so many connectors.
func (a *app) listOffsets(o preflight.Options, c connector.Config, nth, of int) error {
	return a.withAdmin(o, c, func(ctx context.Context, admin offsetsAdmin) error {
		stored, err := admin.List(ctx)
		if err != nil {
			return err
		}
		if of > 1 {
			title := "connector " + c.Name + "\n"
			if nth > 0 {
				title = "\n" + title
			}
			if _, err := io.WriteString(a.stdout, title); err != nil {
				return err
			}
		}
		return preflight.WritePositions(a.stdout, stored, time.Now())
	})
}

func (a *app) offsetsExportCommand() *cobra.Command {
	var name string
	command := &cobra.Command{
		Use:   "export WORKER.yaml CONNECTOR.yaml [CONNECTOR.yaml ...]",
		Short: "Print the stored positions as lines of JSON",
		Long: `Print the positions that are committed now, as a line of JSON for each, which
import reads: {"partition":{"table":...,"tablet":...},"offset":{...}}. Of several
connectors --connector names the one.

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.`,
		Example: `  kudu2kafka offsets export worker.yaml orders.yaml > orders.offsets
  kudu2kafka offsets export worker.yaml connectors/ --connector orders > orders.offsets`,
		Args: connectorArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.withOffsets(args, name, func(ctx context.Context, admin offsetsAdmin) error {
				stored, err := admin.List(ctx)
				if err != nil {
					return err
				}
				encoder := json.NewEncoder(a.stdout)
				encoder.SetEscapeHTML(false)
				for _, o := range stored {
					if err := encoder.Encode(offsetLine{offsetPartition{o.Table, o.Tablet}, o.Position}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	connectorFlag(command, &name)
	return command
}

func (a *app) offsetsImportCommand() *cobra.Command {
	var execute bool
	var name string
	command := &cobra.Command{
		Use:   "import WORKER.yaml CONNECTOR.yaml [FILE]",
		Short: "Store positions that export has printed",
		Long: `Store the positions of a file as export prints it, or of standard input. Tablets
that it doesn't name keep theirs; "offset": null deletes one, so that its tablet is
read from the start. All of them are stored, or none. Of the connectors in a
folder, --connector names the one.

Without --execute nothing is changed: what would be is printed. No worker may run
the connector.

Exit codes: 0 done, 1 failed, or a worker runs the connector, 2 wrong arguments,
configuration or positions.`,
		Example: `  kudu2kafka offsets import worker.yaml orders.yaml orders.offsets
  kudu2kafka offsets import worker.yaml orders.yaml orders.offsets --execute`,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) > 3 {
				return fmt.Errorf("%d arguments are too many: of several connectors give the folder", len(args))
			}
			return connectorArgs(command, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			changes, err := a.readOffsets(args[2:])
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			return a.withOffsets(args[:2], name, func(ctx context.Context, admin offsetsAdmin) error {
				made, err := admin.Alter(ctx, changes, !execute)
				if err != nil {
					return err
				}
				return a.printChanges(made, execute)
			})
		},
	}
	command.Flags().BoolVar(&execute, "execute", false, "change the positions")
	connectorFlag(command, &name)
	return command
}

// readOffsets reads positions from the file, if one is given.
func (a *app) readOffsets(files []string) ([]connector.StoredOffset, error) {
	in, name := a.stdin, "standard input"
	if len(files) > 0 && files[0] != "-" {
		name = files[0]
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading positions: %w", err)
		}
		defer file.Close()
		in = file
	}
	var changes []connector.StoredOffset
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	for {
		var line offsetLine
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return changes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading position %d of %s: %w", len(changes)+1, name, err)
		}
		if line.Offset == nil {
			return nil, fmt.Errorf("reading position %d of %s: it has no member offset; null deletes a position", len(changes)+1, name)
		}
		if bytes.Equal(line.Offset, []byte("null")) {
			line.Offset = nil
		}
		changes = append(changes, connector.StoredOffset{Table: line.Partition.Table, Tablet: line.Partition.Tablet, Position: line.Offset})
	}
}

func (a *app) offsetsResetCommand() *cobra.Command {
	var execute bool
	var tablets []string
	var name string
	command := &cobra.Command{
		Use:   "reset WORKER.yaml CONNECTOR.yaml [CONNECTOR.yaml ...]",
		Short: "Delete stored positions, so that tablets are read from the start",
		Long: `Delete all stored positions of a connector, so that it begins as a new one does,
or with --tablet those of single tablets. Rows that were published will be
published again. Of several connectors --connector names the one.

Without --execute nothing is changed: what would be is printed. No worker may run
the connector.

Exit codes: 0 done, 1 failed, or a worker runs the connector, 2 wrong arguments or
configuration.`,
		Example: `  kudu2kafka offsets reset worker.yaml orders.yaml
  kudu2kafka offsets reset worker.yaml orders.yaml --tablet 9f3c0f6cc0a44b12b2b7c4c5f6a7d8e9 --execute`,
		Args: connectorArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.withOffsets(args, name, func(ctx context.Context, admin offsetsAdmin) error {
				made, err := a.resetOffsets(ctx, admin, tablets, execute)
				if err != nil {
					return err
				}
				return a.printChanges(made, execute)
			})
		},
	}
	command.Flags().BoolVar(&execute, "execute", false, "delete the positions")
	command.Flags().StringSliceVar(&tablets, "tablet", nil, "id of a tablet; all without it")
	connectorFlag(command, &name)
	return command
}

func (a *app) resetOffsets(ctx context.Context, admin offsetsAdmin, tablets []string, execute bool) ([]connector.OffsetChange, error) {
	if len(tablets) == 0 {
		return admin.Reset(ctx, !execute)
	}
	stored, err := admin.List(ctx)
	if err != nil {
		return nil, err
	}
	var changes []connector.StoredOffset
	for _, id := range tablets {
		found := false
		for _, o := range stored {
			if o.Tablet == id {
				found = true
				changes = append(changes, connector.StoredOffset{Table: o.Table, Tablet: o.Tablet})
			}
		}
		if !found {
			return nil, &connector.OffsetsInvalidError{Why: fmt.Sprintf("no position of a tablet %q is stored: offsets list shows those that are", id)}
		}
	}
	return admin.Alter(ctx, changes, !execute)
}

func (a *app) printChanges(changes []connector.OffsetChange, executed bool) error {
	if err := preflight.WriteChanges(a.stdout, changes); err != nil {
		return err
	}
	said := "nothing to change"
	switch n := len(changes); {
	case n > 0 && executed:
		said = fmt.Sprintf("%d changed", n)
	case n > 0:
		said = fmt.Sprintf("%d would be changed; nothing was. With --execute they are", n)
	}
	_, err := fmt.Fprintln(a.stdout, said)
	return err
}
