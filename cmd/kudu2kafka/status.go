package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/kudu2kafka/kudu2kafka/internal/status"
)

const (
	// watchPause is the time between two questions of status --watch.
	watchPause = 2 * time.Second
	// userVariable has name:password for status.
	userVariable = "KUDU2KAFKA_USER"
	// clearScreen goes to the first line and clears everything from there.
	clearScreen = "\x1b[H\x1b[2J"
)

// statusFlags are what status was asked for.
type statusFlags struct {
	access       status.Access
	json, watch  bool
	tablets      int
	shownTablets bool // also those that are drained
}

func (a *app) statusCommand() *cobra.Command {
	var f statusFlags
	command := &cobra.Command{
		Use:   "status",
		Short: "Show what a running group does",
		Long: `Ask a running worker what its group does, and show connectors, tasks, tablets
that are behind, rates, and what went wrong with what to do about it: what the
page at the worker's address shows. Any worker of the group will do.

A password is better given by the environment variable ` + userVariable + `
(name:password) than by --user, which others on the machine can see.

Exit codes: 0 nothing has failed, 1 the worker can't be asked or isn't healthy,
2 wrong arguments or password, 3 a connector or a task has FAILED.`,
		Example: `  kudu2kafka status
  kudu2kafka status --watch
  kudu2kafka status --url https://worker-1:8443 --ca ca.crt --json | jq .totals`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			f.shownTablets = command.Flags().Changed("tablets")
			if f.tablets < 0 || f.tablets > 1000 {
				return errors.New("--tablets is a number from 0 to 1000")
			}
			if user, set := a.env(userVariable); set && f.access.User == "" {
				f.access.User = user
			}
			return a.status(f)
		},
	}
	flags := command.Flags()
	flags.StringVar(&f.access.URL, "url", "http://127.0.0.1:8083", "address of a worker's REST interface")
	flags.StringVar(&f.access.User, "user", "", "name:password; or the environment variable "+userVariable)
	flags.StringVar(&f.access.CAFile, "ca", "", "file of certificates (PEM) that sign the worker's; by default the system's")
	flags.BoolVar(&f.json, "json", false, "print the document of GET "+status.Path)
	flags.BoolVarP(&f.watch, "watch", "w", false, "show it again every 2 seconds, until interrupted")
	flags.IntVar(&f.tablets, "tablets", 20, "list so many tablets of each connector, also those that are drained; by default only those behind")
	return command
}

func (a *app) status(f statusFlags) error {
	client, err := status.NewClient(f.access)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	defer client.Close()
	ctx, done := a.untilSignal()
	defer done()
	_, tty := a.terminal(a.stdout)
	tty = tty && !a.dumb()
	for {
		outcome, err := a.showStatus(ctx, client, f, tty)
		if !f.watch {
			return outcome
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(a.stderr, err)
		}
		var exit *exitError
		if errors.As(outcome, &exit) && exit.code == exitUsage {
			return outcome
		}
		select {
		case <-ctx.Done():
			return nil // it was watched for as long as was wanted
		case <-time.After(watchPause):
		}
	}
}

// showStatus shows it once. The outcome is how the command would end with this; the
// error is what kept it from being shown.
func (a *app) showStatus(ctx context.Context, client *status.Client, f statusFlags, tty bool) (outcome, err error) {
	s, raw, err := client.Fetch(ctx, f.tablets)
	switch {
	case errors.Is(err, status.ErrAccess):
		return &exitError{code: exitUsage, err: err}, err
	case err != nil:
		return &exitError{code: exitFailed, err: err}, err
	}
	var text bytes.Buffer
	switch {
	case f.json:
		text.Write(append(bytes.TrimSpace(raw), '\n'))
	default:
		if f.watch && tty {
			text.WriteString(clearScreen)
		}
		_, plain := a.env("NO_COLOR")
		if err := status.Write(&text, s, status.TextOptions{Color: tty && !plain, Tablets: f.shownTablets}); err != nil {
			return &exitError{code: exitFailed, err: err}, err
		}
		if f.watch && !tty {
			text.WriteByte('\n')
		}
	}
	if _, err := text.WriteTo(a.stdout); err != nil {
		err = fmt.Errorf("printing the status: %w", err)
		return &exitError{code: exitFailed, err: err}, err
	}
	switch {
	case s.Totals.ConnectorsFailed > 0:
		return &exitError{code: exitBroken}, nil
	case s.Health.Status != "healthy":
		return &exitError{code: exitFailed}, nil
	}
	return nil, nil
}

// dumb tells whether the terminal knows no more than lines, as some editors' do.
func (a *app) dumb() bool {
	kind, _ := a.env("TERM")
	return kind == "dumb"
}

// terminalOf tells whether something written to is a terminal, and how wide it is.
func terminalOf(w io.Writer) (width int, is bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}
