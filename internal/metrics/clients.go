package metrics

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// outcomeOf is the label of a call: one that was given up since it wasn't wanted
// any more has not failed.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed), errors.Is(err, net.ErrClosed):
		return "cancelled"
	}
	return "error"
}

// kuduHook counts the calls of a connector's Kudu client.
type kuduHook struct{ c *connectorMetrics }

func (h kuduHook) Call(call kudu.CallInfo) {
	c := h.c
	c.live(func() {
		c.instruments.kuduCalls.WithLabelValues(c.name, call.Method, outcomeOf(call.Err)).Inc()
		c.instruments.kuduTime.WithLabelValues(c.name, call.Method).Observe(call.Took.Seconds())
	})
}

func (h kuduHook) Retry(class kudu.Class) {
	c := h.c
	c.live(func() { c.instruments.kuduRetries.WithLabelValues(c.name, class.String()).Inc() })
}

// kafkaHook counts what a connector's Kafka clients do: those of its tasks'
// producers, of its membership in the group, and of short questions. There is one
// membership, so the rounds of its group can be told from the requests.
type kafkaHook struct {
	c *connectorMetrics

	mu sync.Mutex
	// joining is when this member began to take part in the round under way.
	joining time.Time
}

var (
	_ kgo.HookBrokerE2E        = (*kafkaHook)(nil)
	_ kgo.HookBrokerConnect    = (*kafkaHook)(nil)
	_ kgo.HookBrokerDisconnect = (*kafkaHook)(nil)
	_ kgo.HookBrokerThrottle   = (*kafkaHook)(nil)
)

// OnBrokerE2E counts a request.
func (h *kafkaHook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	c, err, took := h.c, e2e.Err(), e2e.DurationE2E()
	request := kmsg.NameForKey(key)
	c.live(func() {
		i := c.instruments
		i.kafkaRequests.WithLabelValues(c.name, request, outcomeOf(err)).Inc()
		i.kafkaTime.WithLabelValues(c.name, request).Observe(took.Seconds())
		i.kafkaWritten.WithLabelValues(c.name).Add(float64(e2e.BytesWritten))
		i.kafkaRead.WithLabelValues(c.name).Add(float64(e2e.BytesRead))
		if round, over := h.round(kmsg.Key(key), err, took); over {
			i.rebalances.WithLabelValues(c.name).Inc()
			i.rebalanceTime.WithLabelValues(c.name).Observe(round.Seconds())
		}
	})
}

// round follows the group: a member joins, perhaps more than once until the
// coordinator lets it, and syncs, which brings its share.
func (h *kafkaHook) round(key kmsg.Key, err error, took time.Duration) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case key == kmsg.JoinGroup && h.joining.IsZero():
		h.joining = time.Now().Add(-took)
	case key == kmsg.SyncGroup && err == nil && !h.joining.IsZero():
		round := time.Since(h.joining)
		h.joining = time.Time{}
		return round, true
	}
	return 0, false
}

// OnBrokerConnect counts a connection.
func (h *kafkaHook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	c := h.c
	c.live(func() { c.instruments.kafkaConnects.WithLabelValues(c.name, outcomeOf(err)).Inc() })
}

// OnBrokerDisconnect counts the end of one.
func (h *kafkaHook) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) {
	c := h.c
	c.live(func() { c.instruments.kafkaDrops.WithLabelValues(c.name).Inc() })
}

// OnBrokerThrottle counts the time of a quota.
func (h *kafkaHook) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, _ bool) {
	c := h.c
	c.live(func() { c.instruments.kafkaThrottled.WithLabelValues(c.name).Add(d.Seconds()) })
}
