package metrics

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// connectorMetrics is one connector on this worker.
type connectorMetrics struct {
	registry    *Registry
	instruments *instruments
	name        string
	look        func() connector.Status

	transactionTime, transactionRows, transactionBytes prometheus.Observer

	mu    sync.Mutex
	tasks map[int32]*taskMetrics

	// closed is held for reading while a series is looked up or made, so that none
	// is made once all are deleted.
	closing sync.RWMutex
	closed  bool
}

// begin makes the series that are there from the start, unless the connector has
// been replaced already.
func (c *connectorMetrics) begin() {
	none := prometheus.ObserverFunc(func(float64) {})
	c.transactionTime, c.transactionRows, c.transactionBytes = none, none, none
	c.live(c.makeSeries)
}

func (c *connectorMetrics) makeSeries() {
	c.transactionTime = c.instruments.transactionTime.WithLabelValues(c.name)
	c.transactionRows = c.instruments.transactionRows.WithLabelValues(c.name)
	c.transactionBytes = c.instruments.transaction.WithLabelValues(c.name)
	// Series that are there from the start show their first event as an increase.
	c.instruments.rebalances.WithLabelValues(c.name)
	for _, class := range []kudu.Class{kudu.ClassRetry, kudu.ClassReconnect, kudu.ClassRelocate, kudu.ClassReauth} {
		c.instruments.kuduRetries.WithLabelValues(c.name, class.String())
	}
	for _, s := range connector.States() {
		if s != connector.Unassigned { // no task is told to come into it
			c.instruments.stateChanges.WithLabelValues(c.name, string(s))
		}
	}
}

// live runs f unless the connector is closed.
func (c *connectorMetrics) live(f func()) {
	c.closing.RLock()
	defer c.closing.RUnlock()
	if !c.closed {
		f()
	}
}

// KafkaHooks are those of the connector's Kafka clients.
func (c *connectorMetrics) KafkaHooks() []kgo.Hook { return []kgo.Hook{kafkaHook{c}} }

// KuduHook is that of its Kudu client.
func (c *connectorMetrics) KuduHook() kudu.Hook { return kuduHook{c} }

// Rebalanced counts a round of the connector's group.
func (c *connectorMetrics) Rebalanced(took time.Duration) {
	c.live(func() {
		c.instruments.rebalances.WithLabelValues(c.name).Inc()
		c.instruments.rebalanceTime.WithLabelValues(c.name).Observe(took.Seconds())
	})
}

// Task begins to show a task.
func (c *connectorMetrics) Task(id int32, look func(time.Time, func(connector.TabletProgress))) connector.TaskObserver {
	t := &taskMetrics{connector: c, id: id, label: taskLabel(id), look: look}
	c.mu.Lock()
	old := c.tasks[id]
	c.tasks[id] = t
	c.mu.Unlock()
	if old != nil {
		old.close()
	}
	t.begin()
	return t
}

func (c *connectorMetrics) forget(t *taskMetrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tasks[t.id] == t {
		delete(c.tasks, t.id)
	}
}

func (c *connectorMetrics) shown() []*taskMetrics {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*taskMetrics, 0, len(c.tasks))
	for _, t := range c.tasks {
		all = append(all, t)
	}
	return all
}

// Close ends the connector's series.
func (c *connectorMetrics) Close() {
	c.registry.forget(c)
	c.close()
}

func (c *connectorMetrics) close() {
	for _, t := range c.shown() {
		t.Close()
	}
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	for _, v := range c.instruments.collectors {
		if v, ok := v.(interface {
			DeletePartialMatch(prometheus.Labels) int
		}); ok {
			v.DeletePartialMatch(prometheus.Labels{labelConnector: c.name})
		}
	}
}

// shownTablet is a tablet on its way to have series of its own.
type shownTablet struct {
	connector.TabletProgress
	task string
}

// collect gives what is the case now.
func (c *connectorMetrics) collect(out chan<- prometheus.Metric) {
	i := c.instruments
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	status := c.look()
	gauge(i.connectorState, 1, c.name, string(status.State))
	if status.TableRows > 0 {
		gauge(i.tableRows, float64(status.TableRows), c.name)
	}
	counts := make(map[connector.State]int)
	for _, s := range connector.States() {
		counts[s] = 0
	}
	for _, t := range status.Tasks {
		counts[t.State]++
		gauge(i.taskState, 1, c.name, taskLabel(t.Task), string(t.State))
	}
	for s, n := range counts {
		gauge(i.connectorTasks, float64(n), c.name, string(s))
	}
	now := time.Now()
	var tablets []shownTablet
	for _, t := range c.shown() {
		tablets = t.collect(now, gauge, tablets)
	}
	for _, t := range furthestBehind(tablets, c.registry.opts.TabletsMax) {
		labels := []string{c.name, t.task, t.Tablet}
		behind := 0.0
		if t.Behind {
			behind = 1
		}
		gauge(i.tabletBehind, behind, labels...)
		gauge(i.tabletLag, t.Lag.Seconds(), labels...)
		gauge(i.tabletMargin, t.Headroom.Seconds(), labels...)
		if t.HasKey {
			gauge(i.tabletKeyLag, t.KeyLag.Seconds(), labels...)
		}
	}
}

// furthestBehind picks n tablets; of those that are level, always the same ones.
func furthestBehind(tablets []shownTablet, n int) []shownTablet {
	if len(tablets) <= n {
		return tablets
	}
	slices.SortFunc(tablets, func(a, b shownTablet) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(b.KeyLag, a.KeyLag), cmp.Compare(a.Headroom, b.Headroom), cmp.Compare(a.Tablet, b.Tablet))
	})
	return tablets[:n]
}
