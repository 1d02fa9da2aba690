// Command kudu2kafka streams Apache Kudu tables into Kafka topics, each row
// exactly once.
//
//	kudu2kafka run WORKER.yaml [CONNECTOR.yaml ...]
//	kudu2kafka check WORKER.yaml [CONNECTOR.yaml ...] [--json]
//	kudu2kafka plan WORKER.yaml CONNECTOR.yaml [CONNECTOR.yaml ...] [--json]
//	kudu2kafka config validate|print|reference
//	kudu2kafka offsets list|export|import|reset WORKER.yaml CONNECTOR.yaml [--connector NAME]
//	kudu2kafka health [WORKER.yaml] [--url URL]
//	kudu2kafka status [--url URL] [--json] [--watch]
//	kudu2kafka completion bash|zsh|fish|powershell
//	kudu2kafka version [--json]
//
// This package only wires: it reads the configuration, starts the worker, and
// turns signals and errors into exit codes. Logs and messages go to standard
// error, what a command was asked for to standard output.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

// The exit codes. Scripts and service managers rely on them: 2 will not get
// better by starting again, 1 may.
//
// A bug that panics ends the process as Go does: a stack trace, and status 2.
const (
	exitOK     = 0 // done, or stopped by a signal with everything in order
	exitFailed = 1 // failed while running, or not stopped in time
	exitUsage  = 2 // wrong arguments or configuration, or check found an error; nothing was written
	exitBroken = 3 // status: a connector or a task has failed
)

func main() {
	a := app{
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		env:       os.LookupEnv,
		newWorker: newProcess,
		newOffsets: func(cfg connector.Config, worker connector.WorkerConfig, logger hclog.Logger) (offsetsAdmin, error) {
			return connector.NewOffsetsAdmin(cfg, worker, logger)
		},
		look:     looker{check: preflight.Check, plan: preflight.MakePlans, rights: preflight.ListRights},
		terminal: terminalOf,
		notify: func() (<-chan os.Signal, func()) {
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
			return signals, func() { signal.Stop(signals) }
		},
	}
	os.Exit(a.execute(os.Args[1:]))
}
