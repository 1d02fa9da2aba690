package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// taskMetrics is one task while it is assigned to this worker.
type taskMetrics struct {
	connector *connectorMetrics
	id        int32
	label     string
	look      func(time.Time, func(connector.TabletProgress))

	rows, bytes, late        prometheus.Counter
	read, filtered, readWait prometheus.Counter
	transactions             map[connector.Outcome]prometheus.Counter
	restarts                 map[connector.RestartCause]prometheus.Counter
	sweep                    func() *sweepMetrics

	mu     sync.Mutex
	undo   []func() // deletes the series
	closed bool
}

// sweepMetrics are there in mode sweep only.
type sweepMetrics struct {
	swept, gone, changed, republished, failed prometheus.Counter
	journal                                   prometheus.Gauge
}

func (t *taskMetrics) begin() {
	i := t.connector.instruments
	t.rows, t.bytes, t.late = t.counter(i.rows), t.counter(i.bytes), t.counter(i.late)
	t.read, t.filtered, t.readWait = t.counter(i.read), t.counter(i.filtered), t.counter(i.readWait)
	t.transactions = make(map[connector.Outcome]prometheus.Counter)
	for _, o := range connector.Outcomes() {
		t.transactions[o] = t.counter(i.transactions, string(o))
	}
	t.restarts = make(map[connector.RestartCause]prometheus.Counter)
	for _, c := range connector.RestartCauses() {
		t.restarts[c] = t.counter(i.restarts, string(c))
	}
	t.sweep = sync.OnceValue(func() *sweepMetrics {
		return &sweepMetrics{
			swept: t.counter(i.swept, "swept"), gone: t.counter(i.swept, "gone"), changed: t.counter(i.swept, "changed"),
			republished: t.counter(i.swept, "republished"), failed: t.counter(i.swept, "failed"), journal: t.gauge(i.journal),
		}
	})
}

// keep notes how a series is deleted, or does it at once if that has happened to
// the others.
func (t *taskMetrics) keep(undo func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		undo()
		return
	}
	t.undo = append(t.undo, undo)
}

func (t *taskMetrics) labels(more []string) []string {
	return append([]string{t.connector.name, t.label}, more...)
}

func (t *taskMetrics) counter(v *prometheus.CounterVec, more ...string) prometheus.Counter {
	labels := t.labels(more)
	c := v.WithLabelValues(labels...)
	t.keep(func() { v.DeleteLabelValues(labels...) })
	return c
}

func (t *taskMetrics) gauge(v *prometheus.GaugeVec, more ...string) prometheus.Gauge {
	labels := t.labels(more)
	g := v.WithLabelValues(labels...)
	t.keep(func() { v.DeleteLabelValues(labels...) })
	return g
}

// State counts that the task has come into a state.
func (t *taskMetrics) State(s connector.State) {
	c := t.connector
	c.live(func() { c.instruments.stateChanges.WithLabelValues(c.name, string(s)).Inc() })
}

// Restart counts a run that has ended with an error.
func (t *taskMetrics) Restart(cause connector.RestartCause) { t.restarts[cause].Inc() }

// Read counts rows that Kudu has sent.
func (t *taskMetrics) Read(rows int, waited time.Duration) {
	t.read.Add(float64(rows))
	t.readWait.Add(waited.Seconds())
}

// Filtered counts rows that didn't meet where.
func (t *taskMetrics) Filtered(rows int) { t.filtered.Add(float64(rows)) }

// Transaction counts a transaction, and its rows if they are committed.
func (t *taskMetrics) Transaction(e connector.TransactionEnd) {
	t.transactions[e.Outcome].Inc()
	t.connector.transactionTime.Observe(e.Took.Seconds())
	if e.Outcome != connector.OutcomeCommitted {
		return
	}
	t.rows.Add(float64(e.Rows))
	t.late.Add(float64(e.Late))
	t.bytes.Add(float64(e.Bytes))
	t.connector.transactionRows.Observe(float64(e.Rows))
	t.connector.transactionBytes.Observe(float64(e.Bytes))
}

// Swept counts what became of published rows.
func (t *taskMetrics) Swept(c connector.SweepCounts) {
	s := t.sweep()
	s.swept.Add(float64(c.Swept))
	s.gone.Add(float64(c.Gone))
	s.changed.Add(float64(c.Changed))
	s.republished.Add(float64(c.Again))
	s.failed.Add(float64(c.Failed))
}

// Journal shows how many rows wait for their sweep.
func (t *taskMetrics) Journal(rows int) { t.sweep().journal.Set(float64(rows)) }

// Close ends the task's series.
func (t *taskMetrics) Close() {
	t.connector.forget(t)
	t.close()
}

func (t *taskMetrics) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, f := range t.undo {
		f()
	}
	t.undo = nil
}

// collect gives where the task stands, and adds its tablets to those that may be
// shown.
func (t *taskMetrics) collect(now time.Time, gauge func(d *prometheus.Desc, value float64, labels ...string), tablets []shownTablet) []shownTablet {
	var n, behind int
	var lag, keyLag, headroom, history time.Duration
	hasKey := false
	t.look(now, func(p connector.TabletProgress) {
		if n++; n == 1 || p.Headroom < headroom {
			headroom, history = p.Headroom, p.History
		}
		if p.Behind {
			behind++
		}
		hasKey = hasKey || p.HasKey
		lag, keyLag = max(lag, p.Lag), max(keyLag, p.KeyLag)
		tablets = append(tablets, shownTablet{p, t.label})
	})
	i, name := t.connector.instruments, t.connector.name
	gauge(i.taskTablets, float64(n), name, t.label)
	gauge(i.taskBehind, float64(behind), name, t.label)
	if n == 0 {
		return tablets
	}
	gauge(i.taskLag, lag.Seconds(), name, t.label)
	gauge(i.taskHeadroom, headroom.Seconds(), name, t.label)
	gauge(i.history, history.Seconds(), name, t.label)
	if hasKey {
		gauge(i.taskKeyLag, keyLag.Seconds(), name, t.label)
	}
	return tablets
}
