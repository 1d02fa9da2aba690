package main

import "github.com/spf13/cobra"

// helpTopics are pages of the help that belong to no command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{
			Use:   "exit-codes",
			Short: "What the exit codes mean",
			Long: `Every command exits with one of

  0  done; for run: stopped by a signal, with everything in order
  1  failed: for run, while running or because it did not stop in time; for
     other commands because something couldn't be looked at, done or printed.
     Starting again may help.
  2  wrong arguments or configuration, or what is configured isn't there:
     starting again gives the same until something is changed. run has written
     nothing then.
  3  status: a connector or a task has FAILED.

For check: 0 no finding of severity error, though there may be warnings; 1 no
error, but a check couldn't be run; 2 at least one finding of severity error.

A bug that panics ends the process as Go does, with a stack trace and status 2.
A second signal, or one that kills, ends run without its farewell: nothing is
lost or repeated by it.`,
		},
		{
			Use:   "files",
			Short: "How configuration files are written",
			Long: `WORKER.yaml says what one process needs to know: Kafka's addresses and the name
of the group. CONNECTOR.yaml is one table read into one topic; a worker takes
any number of them, and their names must differ. A folder stands for the files in
it that end in .yaml or .yml.

  - Dotted and nested keys mean the same: transaction.max.rows: 1000 is
    transaction: {max: {rows: 1000}}.
  - Lists are YAML lists or text with commas.
  - ${env:NAME}, ${env:NAME:-default}, ${file:PATH}, ${file:PATH:KEY} and
    ${dir:PATH:NAME} are replaced by a variable, a file, one key of a properties
    or YAML file, or one file of a folder; $${ writes ${ itself.
  - Times are whole milliseconds, sizes whole bytes.
  - An unknown key is a fault that names the nearest right one.

"kudu2kafka config reference" lists all keys, "kudu2kafka config print" shows
what a file comes to, and "kudu2kafka config validate" finds its faults.`,
		},
	}
}
