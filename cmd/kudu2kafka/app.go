package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// app is the command with all it touches of the world outside, so that tests
// can stand in for it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(name string) (value string, set bool)
	newWorker      workerFactory
	newOffsets     offsetsFactory
	look           looker
	// terminal tells whether something written to is a terminal, and its width in
	// columns.
	terminal func(w io.Writer) (width int, is bool)
	// notify begins to deliver the signals that stop the process, until the
	// function it returns is called.
	notify func() (signals <-chan os.Signal, stop func())
}

// exitError is how a command ends if not with success.
type exitError struct {
	code int
	err  error // nil when the user has been told already
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// execute runs one command line and returns the exit code.
func (a *app) execute(args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	command, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.err != nil {
			fmt.Fprintln(a.stderr, exit.err)
		}
		return exit.code
	}
	// Whatever else cobra returns is about the arguments.
	fmt.Fprintf(a.stderr, "%s: %v\n\n%s", command.CommandPath(), err, command.UsageString())
	return exitUsage
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kudu2kafka",
		Short: "Streams Apache Kudu tables into Kafka topics, each row exactly once",
		Long: `Streams Apache Kudu tables into Kafka topics, each row exactly once.

To begin: write a worker's file and a connector's ("kudu2kafka help files"),
look at them with check and plan, and start run.`,
		SilenceErrors: true, // told by execute
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("which command?")
		},
	}
	root.Version = currentVersion().String()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(a.runCommand(), a.checkCommand(), a.planCommand(), a.rightsCommand(), a.configCommand(), a.offsetsCommand(), a.statusCommand(), a.healthCommand(), a.versionCommand())
	root.AddCommand(helpTopics()...)
	completeFiles(root)
	return root
}

// completeFiles has shells complete the arguments of each command with the files that
// it takes: the YAML files, and folders, of those that take a worker's file.
func completeFiles(c *cobra.Command) {
	for _, sub := range c.Commands() {
		completeFiles(sub)
	}
	if !c.Runnable() {
		return
	}
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		words := strings.Fields(c.Use)[1:]
		switch {
		case len(words) == 0:
			return nil, cobra.ShellCompDirectiveNoFileComp
		case strings.Contains(words[min(len(args), len(words)-1)], "FILE"):
			return nil, cobra.ShellCompDirectiveDefault
		}
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
}
