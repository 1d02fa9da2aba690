package metrics

import (
	"context"
	"errors"
	"net"
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
// producers, of its membership in the group, and of short questions.
type kafkaHook struct{ c *connectorMetrics }

var (
	_ kgo.HookBrokerE2E        = kafkaHook{}
	_ kgo.HookBrokerConnect    = kafkaHook{}
	_ kgo.HookBrokerDisconnect = kafkaHook{}
	_ kgo.HookBrokerThrottle   = kafkaHook{}
)

// OnBrokerE2E counts a request.
func (h kafkaHook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	c, err, took := h.c, e2e.Err(), e2e.DurationE2E()
	request := kmsg.NameForKey(key)
	c.live(func() {
		i := c.instruments
		i.kafkaRequests.WithLabelValues(c.name, request, outcomeOf(err)).Inc()
		i.kafkaTime.WithLabelValues(c.name, request).Observe(took.Seconds())
		i.kafkaWritten.WithLabelValues(c.name).Add(float64(e2e.BytesWritten))
		i.kafkaRead.WithLabelValues(c.name).Add(float64(e2e.BytesRead))
	})
}

// OnBrokerConnect counts a connection.
func (h kafkaHook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	c := h.c
	c.live(func() { c.instruments.kafkaConnects.WithLabelValues(c.name, outcomeOf(err)).Inc() })
}

// OnBrokerDisconnect counts the end of one.
func (h kafkaHook) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) {
	c := h.c
	c.live(func() { c.instruments.kafkaDrops.WithLabelValues(c.name).Inc() })
}

// OnBrokerThrottle counts the time of a quota.
func (h kafkaHook) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, _ bool) {
	c := h.c
	c.live(func() { c.instruments.kafkaThrottled.WithLabelValues(c.name).Add(d.Seconds()) })
}
