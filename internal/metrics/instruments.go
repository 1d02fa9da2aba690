package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

const namespace = "kudu2kafka_"

// The labels that tell where something is.
const (
	labelConnector = "connector"
	labelTask      = "task"
	labelTablet    = "tablet"
)

// definition is what the documentation says of a metric.
type definition struct {
	name   string
	kind   string // counter, gauge or histogram
	labels []string
	help   string
}

// instruments are all the metrics of this package.
type instruments struct {
	definitions []definition
	collectors  []prometheus.Collector
	asked       []*prometheus.Desc // of what is asked for when metrics are read

	buildInfo *prometheus.GaugeVec

	connectorState, connectorTasks, taskState *prometheus.Desc
	tableRows                                 *prometheus.Desc
	stateChanges                              *prometheus.CounterVec
	restarts                                  *prometheus.CounterVec

	rows, bytes, late            *prometheus.CounterVec
	transactions                 *prometheus.CounterVec
	transactionTime              *prometheus.HistogramVec
	transactionRows, transaction *prometheus.HistogramVec
	read, filtered, readWait     *prometheus.CounterVec

	taskTablets, taskBehind                             *prometheus.Desc
	taskLag, taskKeyLag, taskHeadroom, history          *prometheus.Desc
	tabletBehind, tabletLag, tabletKeyLag, tabletMargin *prometheus.Desc

	certificateEnd, certificateFaulty, certificateFailures *prometheus.Desc

	swept   *prometheus.CounterVec
	journal *prometheus.GaugeVec

	kuduCalls, kuduRetries *prometheus.CounterVec
	kuduTime               *prometheus.HistogramVec

	kafkaRequests             *prometheus.CounterVec
	kafkaTime                 *prometheus.HistogramVec
	kafkaWritten, kafkaRead   *prometheus.CounterVec
	kafkaConnects, kafkaDrops *prometheus.CounterVec
	kafkaThrottled            *prometheus.CounterVec
	rebalances                *prometheus.CounterVec
	rebalanceTime             *prometheus.HistogramVec
}

// Bounds of histograms.
var (
	transactionSeconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	callSeconds        = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	rebalanceSeconds   = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	rowCounts          = []float64{1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 1_000_000}
	byteCounts         = []float64{1 << 10, 8 << 10, 64 << 10, 512 << 10, 4 << 20, 32 << 20, 256 << 20}
)

func newInstruments() *instruments {
	i := &instruments{}
	task := []string{labelConnector, labelTask}
	tablet := []string{labelConnector, labelTask, labelTablet}
	of := func(more ...string) []string { return append([]string{labelConnector}, more...) }

	i.buildInfo = i.gauge("build_info", "1; the labels say which build of kudu2kafka this is.", "version", "commit", "goversion")

	i.certificateEnd = i.ask("certificate_not_after_timestamp_seconds",
		"When the certificate in use ends, or the first of its issuers' in the file, in seconds since 1970. listener: that of https listeners. kafka: the one that brokers are shown.", "kind")
	i.certificateFaulty = i.ask("certificate_files_faulty", "1 while what is in the files of the certificate, its key or authorities can't be used, so that what was read before stays in use; else 0.", "kind")
	i.certificateFailures = i.askCounter("certificate_reload_failures_total", "How often what was new in these files couldn't be used. Half of a file that is being written is counted as well.", "kind")

	i.connectorState = i.ask("connector_state", "1 for the state that the connector is in on this worker.", of("state")...)
	i.connectorTasks = i.ask("connector_tasks", "Tasks of the connector that are assigned to this worker, by state.", of("state")...)
	i.tableRows = i.ask("connector_table_rows", "About how many rows the connector's table has, as Kudu's masters know it. Not where other rows than these are published: in mode sweep, with where, or when reading begins elsewhere than at the table's start.", labelConnector)
	i.taskState = i.ask("task_state", "1 for the state that the task is in.", append(slices.Clone(task), "state")...)
	i.stateChanges = i.counter("task_state_changes_total", "How often a task of the connector on this worker has come into a state.", of("state")...)
	i.restarts = i.counter("task_restarts_total",
		"Runs of the task that have ended with an error, by cause. table_changed is no failure: columns or tablets are others than before. stalled: it stood still.",
		append(slices.Clone(task), "cause")...)

	i.rows = i.counter("rows_total", "Rows committed in Kafka.", task...)
	i.bytes = i.counter("bytes_total", "Bytes of keys and values of the rows committed in Kafka, before compression.", task...)
	i.late = i.counter("late_rows_total", "Of the rows committed, those that had come below the high-water mark (late.rows: repair).", task...)
	i.transactions = i.counter("transactions_total", "Transactions that have ended, by outcome. What became of an unknown one is settled by the task's next run.", append(slices.Clone(task), "outcome")...)
	i.transactionTime = i.histogram("transaction_duration_seconds", "Time from a transaction's begin to the answer to its end.", transactionSeconds, labelConnector)
	i.transactionRows = i.histogram("transaction_rows", "Rows of a committed transaction.", rowCounts, labelConnector)
	i.transaction = i.histogram("transaction_size_bytes", "Bytes of keys and values of a committed transaction, before compression.", byteCounts, labelConnector)

	i.read = i.counter("rows_read_total", "Rows that Kudu has sent. More than are published, where rows are only looked at or are read again.", task...)
	i.filtered = i.counter("rows_filtered_total", "Rows read that didn't meet the part of where that Kudu can't evaluate.", task...)
	i.readWait = i.counter("read_wait_seconds_total", "Time that the task's readers have waited for rows of Kudu; there are up to two of them.", task...)

	i.taskTablets = i.ask("task_tablets", "Tablets that the task reads.", task...)
	i.taskBehind = i.ask("task_tablets_behind", "Tablets of the task that are behind: they have rows that aren't committed yet, or nobody has looked for some seconds.", task...)
	i.taskLag = i.ask("task_lag_seconds", "Age of the time up to which everything is committed in Kafka, of the task's tablet that is furthest behind; 0 when none is.", task...)
	i.taskKeyLag = i.ask("task_key_lag_seconds", "Age of the time in the streaming key of the last row committed, of the task's tablet that is furthest behind; 0 when none is. Only when the streaming key begins with a time.", task...)
	i.taskHeadroom = i.ask("task_history_headroom_seconds", "How long what is still to be read of the past remains in Kudu's history, of the task's tablet for which that is shortest. All of the history when nothing is.", task...)
	i.history = i.ask("task_history_seconds", "How long Kudu keeps the history of the task's table: by the table's setting, else 7 days.", task...)

	i.tabletBehind = i.ask("tablet_behind", "1 when the tablet is behind, else 0. Tablets have series of their own as metrics.tablets.max allows: those furthest behind.", tablet...)
	i.tabletLag = i.ask("tablet_lag_seconds", "Like kudu2kafka_task_lag_seconds, of one tablet.", tablet...)
	i.tabletKeyLag = i.ask("tablet_key_lag_seconds", "Like kudu2kafka_task_key_lag_seconds, of one tablet.", tablet...)
	i.tabletMargin = i.ask("tablet_history_headroom_seconds", "Like kudu2kafka_task_history_headroom_seconds, of one tablet.", tablet...)

	i.swept = i.counter("sweep_rows_total",
		"Published rows that are done with, in mode sweep. swept: deleted or updated. gone: somebody else had done so. changed: changed before their sweep, and left. republished: changed in the moment of their sweep. failed: refused by Kudu.",
		append(slices.Clone(task), "outcome")...)
	i.journal = i.gauge("sweep_journal_rows", "Rows published and not yet swept, in mode sweep.", task...)

	i.kuduCalls = i.counter("kudu_calls_total", "Calls to Kudu's servers, by method. error: no answer of the method has come.", of("method", "outcome")...)
	i.kuduTime = i.histogram("kudu_call_duration_seconds", "Time of calls to Kudu's servers, by method.", callSeconds, of("method")...)
	i.kuduRetries = i.counter("kudu_retries_total", "Operations on Kudu that were tried again, by what the failure asked for.", of("class")...)

	i.kafkaRequests = i.counter("kafka_requests_total", "Requests to Kafka's brokers, by kind. error: no answer has come; the client tries again.", of("request", "outcome")...)
	i.kafkaTime = i.histogram("kafka_request_duration_seconds", "Time from writing a request to having read its answer, by kind.", callSeconds, of("request")...)
	i.kafkaWritten = i.counter("kafka_written_bytes_total", "Bytes written to Kafka's brokers.", labelConnector)
	i.kafkaRead = i.counter("kafka_read_bytes_total", "Bytes read from Kafka's brokers.", labelConnector)
	i.kafkaConnects = i.counter("kafka_connects_total", "Connections to Kafka's brokers that were begun.", of("outcome")...)
	i.kafkaDrops = i.counter("kafka_disconnects_total", "Connections to Kafka's brokers that have ended.", labelConnector)
	i.kafkaThrottled = i.counter("kafka_throttled_seconds_total", "Time that brokers have told this worker to hold back, by their quotas.", labelConnector)
	i.rebalances = i.counter("rebalances_total", "Rounds in which this worker was told anew which of the connector's tasks are its own.", labelConnector)
	i.rebalanceTime = i.histogram("rebalance_duration_seconds", "Time of such a round, from this worker's wish to take part to its share.", rebalanceSeconds, labelConnector)
	return i
}

func (i *instruments) define(kind, name, help string, labels []string) string {
	name = namespace + name
	i.definitions = append(i.definitions, definition{name: name, kind: kind, labels: labels, help: help})
	return name
}

func (i *instruments) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: i.define("counter", name, help, labels), Help: help}, labels)
	i.collectors = append(i.collectors, v)
	return v
}

func (i *instruments) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: i.define("gauge", name, help, labels), Help: help}, labels)
	i.collectors = append(i.collectors, v)
	return v
}

func (i *instruments) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: i.define("histogram", name, help, labels), Help: help, Buckets: buckets,
	}, labels)
	i.collectors = append(i.collectors, v)
	return v
}

// askCounter defines a counter whose value is asked for when metrics are read.
func (i *instruments) askCounter(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(i.define("counter", name, help, labels), help, labels, nil)
	i.asked = append(i.asked, d)
	return d
}

func (i *instruments) collectCertificate(out chan<- prometheus.Metric, c connector.CertificateFiles) {
	if !c.NotAfter.IsZero() {
		out <- prometheus.MustNewConstMetric(i.certificateEnd, prometheus.GaugeValue, float64(c.NotAfter.Unix()), c.Kind)
	}
	faulty := 0.0
	if c.Faulty {
		faulty = 1
	}
	out <- prometheus.MustNewConstMetric(i.certificateFaulty, prometheus.GaugeValue, faulty, c.Kind)
	out <- prometheus.MustNewConstMetric(i.certificateFailures, prometheus.CounterValue, float64(c.Failures), c.Kind)
}

// ask defines a gauge whose value is asked for when metrics are read.
func (i *instruments) ask(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(i.define("gauge", name, help, labels), help, labels, nil)
	i.asked = append(i.asked, d)
	return d
}
