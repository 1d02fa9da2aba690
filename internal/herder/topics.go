package herder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// groupTopicConfigs keep both topics short: each worker reads them whole when it
// starts. Nearly all of the status topic is signs of life, which are obsolete with
// the next one.
var groupTopicConfigs = map[string]string{
	"cleanup.policy":        "compact",
	"segment.bytes":         "8388608",
	"segment.ms":            "3600000",
	"max.compaction.lag.ms": "3600000",
}

// ensureTopics makes both topics, of one partition each: the order of records
// counts, and there are few. It waits for Kafka; what waiting can't mend is an
// error.
func (h *Herder) ensureTopics(ctx context.Context) error {
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0),
	)
	step := "it waits for Kafka at " + strings.Join(h.config.BootstrapServers, ", ")
	h.begins(step)
	for {
		err := ensureTopic(ctx, h.bus.admin, h.config.ConfigTopic(), "config.storage.topic", h.config.ConfigReplicationFactor)
		if err == nil {
			err = ensureTopic(ctx, h.bus.admin, h.config.StatusTopic(), "status.storage.topic", h.config.StatusReplicationFactor)
		}
		err = h.kafka.As(err)
		if err == nil || ctx.Err() != nil || errors.Is(err, kafka.ErrPermanent) || errors.As(err, new(*unfitTopicError)) {
			return err
		}
		h.begins(step + ": " + err.Error())
		wait := pace.NextBackOff()
		h.logger.Warn("preparing the topics of the group", "again_in", wait.Round(time.Millisecond), "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func ensureTopic(ctx context.Context, admin *kadm.Client, name, key string, replicas int16) error {
	topic, err := kafka.EnsureTopic(ctx, admin, name, 1, replicas, groupTopicConfigs, kafka.TopicRights(name, "READ", "WRITE")...)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", key, err)
	case topic.Partitions != 1:
		return &unfitTopicError{fmt.Sprintf("%s: topic %q has %d partitions and must have one, for the order of its records counts: name another topic", key, name, topic.Partitions)}
	case topic.CleanupPolicy != "" && topic.CleanupPolicy != "compact":
		return &unfitTopicError{fmt.Sprintf("%s: topic %q has cleanup.policy=%s, by which Kafka would delete what is stored there: set it to compact", key, name, topic.CleanupPolicy)}
	}
	return nil
}

// unfitTopicError is a topic that can't serve until somebody changes it.
type unfitTopicError struct{ text string }

func (e *unfitTopicError) Error() string { return e.text }
