package connector

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Observer is told what a worker does, for metrics; see internal/metrics. This
// package knows no metrics library. The methods of all three observers are safe
// for concurrent use, quick, and don't block: they are called for a batch or for a
// transaction, never for a row.
type Observer interface {
	// Connector is called when a connector is made; look tells what it does on this
	// worker whenever it is asked, until Close.
	Connector(name string, look func() Status) ConnectorObserver
}

// ConnectorObserver is told what one connector does on this worker.
type ConnectorObserver interface {
	// KafkaHooks are those of the connector's Kafka clients.
	KafkaHooks() []kgo.Hook
	// KuduHook is that of the connector's Kudu client.
	KuduHook() kudu.Hook
	// Rebalanced: the connector's group has shared the tasks out anew, and this worker
	// knows which are its own. It took so long since the worker's wish to take part.
	Rebalanced(took time.Duration)
	// Task is called when a task is assigned to this worker; look tells where its
	// tablets stand whenever it is asked, until Close.
	Task(task int32, look func(now time.Time, each func(TabletProgress))) TaskObserver
	// Close: the connector is no longer on this worker. Its clients and its tasks
	// have been closed before.
	Close()
}

// TaskObserver is told what one task does while it is assigned to this worker,
// over all of its runs.
type TaskObserver interface {
	// State: the task is in another state than before.
	State(state State)
	// Restart: a run has ended with an error, and another one will follow.
	Restart(cause RestartCause)
	// Read: Kudu has sent so many rows, for which the task has waited so long.
	// Those of scans that only look for something count too.
	Read(rows int, waited time.Duration)
	// Filtered: so many of the rows read didn't meet the part of where that Kudu
	// can't evaluate.
	Filtered(rows int)
	// Transaction has ended.
	Transaction(t TransactionEnd)
	// Swept: so many published rows are done with, in mode sweep.
	Swept(c SweepCounts)
	// Journal: so many rows are published and not yet swept now.
	Journal(rows int)
	// Close: the task is no longer assigned to this worker.
	Close()
}

// TransactionEnd tells how a transaction went.
type TransactionEnd struct {
	Outcome Outcome
	// Rows and Bytes are what was produced in it: bytes of keys and values before
	// compression. Late are those of the rows that came below the high-water mark.
	Rows, Late, Bytes int64
	// Took is the time from its begin to the answer to its end.
	Took time.Duration
}

// Outcome is how a transaction ended, as far as this worker knows.
type Outcome string

// The outcomes. An unknown one is settled when the task's next run fences.
const (
	OutcomeCommitted Outcome = "committed"
	OutcomeAborted   Outcome = "aborted"
	OutcomeUnknown   Outcome = "unknown"
)

// Outcomes lists all outcomes of transactions.
func Outcomes() []Outcome { return []Outcome{OutcomeCommitted, OutcomeAborted, OutcomeUnknown} }

// RestartCause is the kind of failure that ended a task's run.
type RestartCause string

// The causes of restarts.
const (
	// RestartStalled: it stood still.
	RestartStalled RestartCause = "stalled"
	// RestartTable: the table's columns or tablets are others than before. This is
	// no failure.
	RestartTable RestartCause = "table_changed"
	// RestartFenced: another producer has the task's transactional id.
	RestartFenced RestartCause = "fenced"
	// RestartTransaction: a transaction didn't commit, or whether it did is unknown.
	RestartTransaction RestartCause = "transaction"
	// RestartKudu: Kudu's client gave up.
	RestartKudu RestartCause = "kudu"
	// RestartKafka: everything else, which is Kafka as a rule: positions that can't
	// be read, a producer that can't be opened.
	RestartKafka RestartCause = "kafka"
)

// RestartCauses lists all causes of restarts.
func RestartCauses() []RestartCause {
	return []RestartCause{RestartStalled, RestartTable, RestartFenced, RestartTransaction, RestartKudu, RestartKafka}
}

// causeOf is the kind of a failure that ended a run.
func causeOf(err error) RestartCause {
	var stalled *stalledError
	var reload *errReload
	var fromKudu *kudu.Error
	switch {
	case errors.As(err, &stalled):
		return RestartStalled
	case errors.Is(err, errChanged):
		return RestartTable
	case errors.Is(err, kafka.ErrFenced):
		return RestartFenced
	case errors.As(err, &reload):
		return RestartTransaction
	case errors.As(err, &fromKudu):
		return RestartKudu
	}
	return RestartKafka
}

// States lists all states of connectors and tasks.
func States() []State {
	return []State{Unassigned, Restoring, Running, Restarting, Failed, Completed, Paused, Stopped}
}

// observed is who is told of what a task does; the zero value tells nobody.
type observed struct {
	to       TaskObserver
	progress *progress
}

func (o observed) task() TaskObserver {
	if o.to == nil {
		return nobodyTask{}
	}
	return o.to
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Connector(string, func() Status) ConnectorObserver { return nobodyThere{} }

type nobodyThere struct{}

func (nobodyThere) KafkaHooks() []kgo.Hook   { return nil }
func (nobodyThere) KuduHook() kudu.Hook      { return nil }
func (nobodyThere) Rebalanced(time.Duration) {}
func (nobodyThere) Task(int32, func(time.Time, func(TabletProgress))) TaskObserver {
	return nobodyTask{}
}
func (nobodyThere) Close() {}

type nobodyTask struct{}

func (nobodyTask) State(State)                {}
func (nobodyTask) Restart(RestartCause)       {}
func (nobodyTask) Read(int, time.Duration)    {}
func (nobodyTask) Filtered(int)               {}
func (nobodyTask) Transaction(TransactionEnd) {}
func (nobodyTask) Swept(SweepCounts)          {}
func (nobodyTask) Journal(int)                {}
func (nobodyTask) Close()                     {}
