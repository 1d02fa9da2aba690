package offsets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// topicConfigs keeps an offsets partition short, since a task reads all of it
// before it starts. Each transaction adds a record per tablet and a commit
// marker, of which only the last per tablet is worth anything. A topic that is
// there already keeps its own.
//
// Measured with Kafka 4.1.1: 4.3 million transactions, a day of 50 per second,
// played within 260 s, thus 300 times as quickly, while the cleaner ran at its
// defaults. They wrote 1.7 GiB; what was there to read, looked at ten times
// during the play, was 79 to 192 MiB and 72 MiB in the end. A Load, which reads
// about 200 MiB/s when it has a core, took 0.4 to 1.1 s, and 2.1 s at most, with
// 20 programs waiting for the two cores.
var topicConfigs = map[string]string{
	"cleanup.policy": "compact",
	// Compaction leaves the active segment alone, so its size bounds what is
	// read at least: 8 MiB, 20,000 small transactions, are read in 40 ms. (Kafka 4
	// takes no less than 1 MiB.)
	"segment.bytes": "8388608",
	// A partition that writes little rolls its segment by time.
	"segment.ms": "3600000",
	// Nearly all of a rolled segment is obsolete. The default of 0.5 would let
	// as much again pile up; the cleaned part is tiny, so cleaning it often is
	// cheap.
	"min.cleanable.dirty.ratio": "0.01",
	// Even a partition below that ratio is cleaned within the hour.
	"max.compaction.lag.ms": "3600000",
	// The cleaner keeps tombstones and the markers of transactions this long
	// after the pass that first finds them without their records; a marker is 78
	// bytes. At 50 transactions a second the default of a day would keep four
	// million of them. At ten minutes, those that are played within ten minutes
	// all stay. It must exceed the time one Load takes, or a reader could miss a
	// tombstone.
	"delete.retention.ms": "60000",
}

// TopicSettings are the settings that an offsets topic is made with.
func TopicSettings() map[string]string { return maps.Clone(topicConfigs) }

// topicVisible is how long a topic just made may take to show up in the
// metadata of the broker that is asked.
const topicVisible = 15 * time.Second

// EnsureTopic creates the offsets topic, of one partition per task, or sees to it
// that the one that is there can serve: it is compacted and nothing else, if not
// the error is an UnfitTopicError; and it has a partition for each task. Missing
// partitions are added. More than there are tasks do no harm: Kafka can't take
// partitions away, so they stay when tasks.max is lowered. A replicationFactor
// below 1 means the broker's default.
//
// Which partition a tablet's position is in depends on the number of tasks, not
// on that of partitions; see Plan.
//
// Sure is false when Kafka doesn't let the caller see the settings of a topic that was
// there already, so that nobody knows whether it is compacted.
func EnsureTopic(ctx context.Context, adm *kadm.Client, name string, tasks int32, replicationFactor int16) (sure bool, err error) {
	sure, err = verifyTopic(ctx, adm, name, tasks)
	var few *tooFewPartitions
	if errors.As(err, &few) {
		return sure, addPartitions(ctx, adm, name, tasks)
	}
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return sure, err
	}
	if replicationFactor < 1 {
		replicationFactor = -1
	}
	configs := make(map[string]*string, len(topicConfigs))
	for key, value := range topicConfigs {
		configs[key] = &value
	}
	resp, err := adm.CreateTopic(ctx, tasks, replicationFactor, configs, name)
	// Another worker may have been quicker.
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		detail := ""
		if resp.ErrMessage != "" {
			detail = " (" + resp.ErrMessage + ")"
		}
		return false, kafka.Denied(fmt.Errorf("creating offsets topic %q with %d partitions and replication factor %d: %w%s: check the permission to create it and offsets.storage.replication.factor, or create it by hand with cleanup.policy=compact",
			name, tasks, replicationFactor, err, detail), kafka.TopicRights(name, "CREATE")...)
	}
	return err == nil, awaitTopic(ctx, adm, name, tasks)
}

// addPartitions makes room for more tasks.
func addPartitions(ctx context.Context, adm *kadm.Client, name string, tasks int32) error {
	resp, err := adm.UpdatePartitions(ctx, int(tasks), name)
	if err == nil {
		err = resp.Error()
	}
	// Another worker may have been quicker.
	if err != nil && !errors.Is(err, kerr.InvalidPartitions) {
		return kafka.Denied(fmt.Errorf("raising offsets topic %q to %d partitions: %w", name, tasks, err), kafka.TopicRights(name, "ALTER")...)
	}
	return awaitTopic(ctx, adm, name, tasks)
}

// awaitTopic waits until the topic shows as it was ordered.
func awaitTopic(ctx context.Context, adm *kadm.Client, name string, tasks int32) error {
	deadline := time.Now().Add(topicVisible)
	var few *tooFewPartitions
	for {
		_, err := verifyTopic(ctx, adm, name, tasks)
		pending := errors.Is(err, kerr.UnknownTopicOrPartition) || errors.As(err, &few)
		if !pending || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for offsets topic %q to appear: %w", name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// UnfitTopicError is an existing topic that cannot hold a connector's
// positions until somebody changes it or the connector's configuration.
type UnfitTopicError struct {
	Topic string
	// Why says what is wrong and what to do, as the end of a sentence that
	// begins with the topic.
	Why string
}

func (e *UnfitTopicError) Error() string { return fmt.Sprintf("offsets topic %q %s", e.Topic, e.Why) }

// verifyTopic returns kerr.UnknownTopicOrPartition for a topic that is not
// there. Sure is as that of EnsureTopic.
func verifyTopic(ctx context.Context, adm *kadm.Client, name string, tasks int32) (sure bool, err error) {
	// Kafka shows a topic to who may do anything with it, and this takes two rights.
	used := kafka.TopicRights(name, "READ", "WRITE")
	details, err := listTopics(ctx, adm, name)
	if err != nil {
		return false, kafka.Denied(fmt.Errorf("looking up offsets topic %q: %w", name, err), used...)
	}
	detail, ok := details[name]
	if !ok {
		return false, fmt.Errorf("looking up offsets topic %q: %w", name, kerr.UnknownTopicOrPartition)
	}
	if detail.Err != nil {
		return false, kafka.Denied(fmt.Errorf("looking up offsets topic %q: %w", name, detail.Err), used...)
	}
	configs, err := adm.DescribeTopicConfigs(ctx, name)
	var config kadm.ResourceConfig
	if err == nil {
		config, err = configs.On(name, nil)
	}
	if err == nil {
		err = config.Err
	}
	// That right is one of its own, which nothing else takes.
	if sure = !errors.Is(err, kerr.TopicAuthorizationFailed); err != nil && sure {
		return false, fmt.Errorf("reading the configuration of offsets topic %q: %w", name, err)
	}
	for _, c := range config.Configs {
		if c.Key == "cleanup.policy" && c.MaybeValue() != "compact" {
			return true, &UnfitTopicError{name, fmt.Sprintf("has cleanup.policy=%s, by which Kafka would delete positions: set it to compact", c.MaybeValue())}
		}
	}
	if n := len(detail.Partitions); n < int(tasks) {
		return sure, &tooFewPartitions{name, n, tasks}
	}
	return sure, nil
}

// tooFewPartitions is a topic that has to grow.
type tooFewPartitions struct {
	topic      string
	partitions int
	tasks      int32
}

func (e *tooFewPartitions) Error() string {
	return fmt.Sprintf("offsets topic %q has %d partitions, %d tasks need as many", e.topic, e.partitions, e.tasks)
}
