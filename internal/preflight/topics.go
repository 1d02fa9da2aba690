package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topic is what Kafka tells of a topic.
type topic struct {
	name       string
	exists     bool
	hidden     bool // it may not be described
	partitions []kmsg.MetadataResponseTopicPartition
	told       bool                // Kafka tells what this user may do
	operations []kadm.ACLOperation // that
	settings   map[string]string   // nil: may not be read
}

// describe looks a topic up, and doesn't make it.
func (l *look) describe(ctx context.Context, name string) (topic, error) {
	t := topic{name: name}
	req := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &name
	req.Topics = append(req.Topics, one)
	req.IncludeTopicAuthorizedOperations = true
	resp, err := req.RequestWith(ctx, l.client)
	if err != nil {
		return t, fmt.Errorf("looking up topic %q: %w", name, err)
	}
	if len(resp.Topics) != 1 {
		return t, fmt.Errorf("looking up topic %q: the broker names %d topics", name, len(resp.Topics))
	}
	told := resp.Topics[0]
	t.told, t.operations = told.AuthorizedOperations != untold, kadm.DecodeACLOperations(told.AuthorizedOperations)
	switch err := kerr.ErrorForCode(told.ErrorCode); {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return t, nil
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		t.hidden = true
		return t, nil
	case err != nil:
		return t, fmt.Errorf("looking up topic %q: %w", name, err)
	}
	t.exists, t.partitions = true, told.Partitions
	t.settings, err = l.topicSettings(ctx, name)
	return t, err
}

// topicSettings gives nil when they may not be read.
func (l *look) topicSettings(ctx context.Context, name string) (map[string]string, error) {
	configs, err := l.adm.DescribeTopicConfigs(ctx, name)
	var config kadm.ResourceConfig
	if err == nil {
		config, err = configs.On(name, nil)
	}
	if err == nil {
		err = config.Err
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the settings of topic %q: %w", name, err)
	}
	settings := make(map[string]string)
	for _, c := range config.Configs {
		settings[c.Key] = c.MaybeValue()
	}
	return settings, nil
}

// number is a setting that is a number.
func (t *topic) number(key string) (int64, bool) {
	n, err := strconv.ParseInt(t.settings[key], 10, 64)
	return n, err == nil
}

// checkTopic looks at the topic that the rows go to.
func checkTopic(ctx context.Context, s *subject) ([]Finding, error) {
	name, key := s.cfg.TopicName(), "topic"
	if s.cfg.Topic == "" {
		key = "topic.prefix"
	}
	var err error
	if s.rows, err = s.describe(ctx, name); err != nil {
		return nil, err
	}
	switch {
	case s.rows.hidden:
		return nil, nil // kafka.rights tells
	case !s.rows.exists && !s.worker.TopicCreationEnable:
		return found(Error, key, fmt.Sprintf("there is no topic %q, and topic.creation.enable is false", name), "create the topic, or let it be created"), nil
	case !s.rows.exists:
		return s.creation("topic.creation.default.replication.factor", int64(s.cfg.TopicReplicationFactor), s.cfg.TopicConfigs), nil
	}
	out := s.replicas(&s.rows)
	out = append(out, s.topicSize(&s.rows)...)
	out = append(out, s.topicCleaning(&s.rows)...)
	out = append(out, s.topicTimes(&s.rows)...)
	return append(out, s.topicOrder(&s.rows)...), nil
}

// creation looks whether the brokers are enough for a topic to be made.
func (l *look) creation(key string, factor int64, configs map[string]string) []Finding {
	var out []Finding
	if factor < 1 {
		factor, _ = strconv.ParseInt(l.defaults["default.replication.factor"], 10, 64)
	}
	if factor > int64(len(l.brokers)) && len(l.brokers) > 0 {
		out = append(out, Finding{
			Severity: Error, Key: key, Problem: fmt.Sprintf("the topic is to be made with %d replicas, but there are %s", factor, plural(len(l.brokers), "broker", "brokers")),
			Remedy: "lower it, or start more brokers",
		})
	}
	inSync, err := strconv.ParseInt(configs["min.insync.replicas"], 10, 64)
	if err != nil {
		inSync, err = strconv.ParseInt(l.defaults["min.insync.replicas"], 10, 64)
	}
	if err == nil && factor > 0 && inSync > factor {
		out = append(out, Finding{
			Severity: Error, Key: key, Problem: fmt.Sprintf("the topic is to be made with %s, but min.insync.replicas is %d: nothing could be written", plural(int(factor), "replica", "replicas"), inSync),
			Remedy: "raise the replication factor, or lower min.insync.replicas",
		})
	}
	return out
}

// replicas looks whether the topic can be written.
func (l *look) replicas(t *topic) []Finding {
	var leaderless, behind, few []string
	single := len(t.partitions) > 0
	inSync, known := t.number("min.insync.replicas")
	for _, p := range t.partitions {
		id := strconv.Itoa(int(p.Partition))
		single = single && len(p.Replicas) == 1
		switch {
		case p.Leader < 0:
			leaderless = append(leaderless, id)
		case known && int64(len(p.ISR)) < inSync:
			few = append(few, id)
		case len(p.ISR) < len(p.Replicas):
			behind = append(behind, id)
		}
	}
	var out []Finding
	if len(leaderless) > 0 {
		out = append(out, Finding{Severity: Error, Problem: fmt.Sprintf("topic %q has no leader for partition %s: it can't be written", t.name, some(leaderless)), Remedy: "start the brokers that have its replicas"})
	}
	if len(few) > 0 {
		out = append(out, Finding{
			Severity: Error, Problem: fmt.Sprintf("topic %q has fewer replicas in sync than min.insync.replicas (%d) in partition %s: it can't be written", t.name, inSync, some(few)),
			Remedy: "start the brokers that have its replicas, or lower min.insync.replicas",
		})
	}
	if len(behind) > 0 {
		out = append(out, Finding{Severity: Warning, Problem: fmt.Sprintf("topic %q is under-replicated in partition %s", t.name, some(behind)), Remedy: "look at the brokers that have its replicas"})
	}
	if single && len(l.brokers) > 2 {
		out = append(out, Finding{
			Severity: Warning, Problem: fmt.Sprintf("topic %q has one replica in a cluster of %d brokers: when that broker is away nothing can be written, and with its disk all is lost", t.name, len(l.brokers)),
			Remedy: "raise its replication factor",
		})
	}
	return out
}

// topicSize compares the size of batches with what the topic takes.
func (s *subject) topicSize(t *topic) []Finding {
	most, known := t.number("max.message.bytes")
	if !known || s.cfg.ProducerBatchBytes <= most {
		return nil
	}
	severity, may := Error, "a full batch"
	if s.cfg.ProducerCompression != "none" {
		severity, may = Warning, "a batch that compresses badly"
	}
	return []Finding{{
		Severity: severity, Key: "producer.override.batch.size",
		Problem: fmt.Sprintf("%d is more than topic %q takes (max.message.bytes is %d): %s is refused, and the task fails", s.cfg.ProducerBatchBytes, t.name, most, may),
		Remedy:  fmt.Sprintf("write at most %d, or raise the topic's max.message.bytes", most),
	}}
}

// topicCleaning compares how the topic loses records with what they are.
func (s *subject) topicCleaning(t *topic) []Finding {
	policies := strings.Split(t.settings["cleanup.policy"], ",")
	var out []Finding
	if slices.Contains(policies, "compact") && s.outlook != nil {
		keys := s.outlook.KeyColumns()
		var missing []string
		for _, c := range s.outlook.Table().Schema().KeyNames() {
			if !slices.Contains(keys, c) {
				missing = append(missing, c)
			}
		}
		if len(missing) > 0 {
			out = append(out, Finding{
				Severity: Warning, Key: "key.columns",
				Problem: fmt.Sprintf("topic %q is compacted, and the record's key (%s) isn't the row's: of rows that differ only in %s Kafka keeps one", t.name, strings.Join(keys, ", "), strings.Join(missing, ", ")),
				Remedy:  "name all columns of the primary key in key.columns, or set the topic's cleanup.policy to delete",
			})
		}
	}
	retention, known := t.number("retention.ms")
	if slices.Contains(policies, "delete") && known && retention >= 0 && s.cfg.TimestampColumn != "" {
		out = append(out, Finding{
			Severity: Warning, Key: "timestamp.column",
			Problem: fmt.Sprintf("topic %q deletes records that are older than retention.ms (%d) by their timestamp, which is the row's %s: older rows vanish soon after they are published", t.name, retention, s.cfg.TimestampColumn),
			Remedy:  "raise retention.ms to the age of the oldest row, or leave timestamp.column out",
		})
	}
	return out
}

// topicTimes compares timestamps of records with what the topic takes.
func (s *subject) topicTimes(t *topic) []Finding {
	if s.cfg.TimestampColumn == "" {
		return nil
	}
	var out []Finding
	if t.settings["message.timestamp.type"] == "LogAppendTime" {
		out = append(out, Finding{
			Severity: Warning, Key: "timestamp.column", Problem: fmt.Sprintf("topic %q has message.timestamp.type=LogAppendTime: Kafka replaces the timestamps of records by its own", t.name),
			Remedy: "set it to CreateTime, or leave timestamp.column out",
		})
	}
	const day = 24 * 60 * 60 * 1000
	for _, limit := range []struct{ key, which string }{{"message.timestamp.before.max.ms", "older"}, {"message.timestamp.after.max.ms", "further in the future"}} {
		if most, known := t.number(limit.key); known && most < 365*day {
			out = append(out, Finding{
				Severity: Warning, Key: "timestamp.column",
				Problem: fmt.Sprintf("topic %q refuses records whose timestamp is %s than %s (%d ms): a row with such a %s makes its task fail", t.name, limit.which, limit.key, most, s.cfg.TimestampColumn),
				Remedy:  "raise " + limit.key + " of the topic, or leave timestamp.column out",
			})
		}
	}
	return out
}

func (s *subject) topicOrder(t *topic) []Finding {
	if s.cfg.OrderScope != "table" || len(t.partitions) < 2 {
		return nil
	}
	return found(Note, "order.scope", fmt.Sprintf("rows are published in the table's order, but topic %q has %d partitions: each of them is in order, all of them together aren't", t.name, len(t.partitions)),
		"use a topic of one partition where the order of the whole table matters")
}

// checkGroupTopics looks at the topics that the workers of a group steer their
// connectors by.
func checkGroupTopics(ctx context.Context, l *look) ([]Finding, error) {
	var out []Finding
	for _, g := range []struct {
		topic   *topic
		name    string
		key     string
		factor  int16
		factors string
	}{
		{&l.configs, l.worker.ConfigTopic(), "config.storage.topic", l.worker.ConfigReplicationFactor, "config.storage.replication.factor"},
		{&l.status, l.worker.StatusTopic(), "status.storage.topic", l.worker.StatusReplicationFactor, "status.storage.replication.factor"},
	} {
		var err error
		if *g.topic, err = l.describe(ctx, g.name); err != nil {
			return out, err
		}
		switch t := g.topic; {
		case t.hidden:
			continue // kafka.group-rights tells
		case !t.exists:
			out = append(out, l.creation(g.factors, int64(g.factor), nil)...)
			continue
		case len(t.partitions) != 1:
			out = append(out, Finding{
				Severity: Error, Key: g.key, Problem: fmt.Sprintf("topic %q has %d partitions and must have one, for the order of its records counts", t.name, len(t.partitions)), Remedy: "name another topic",
			})
		case t.settings != nil && t.settings["cleanup.policy"] != "compact":
			out = append(out, Finding{
				Severity: Error, Key: g.key, Problem: fmt.Sprintf("topic %q has cleanup.policy=%s, by which Kafka would delete what is stored there", t.name, t.settings["cleanup.policy"]), Remedy: "set it to compact",
			})
		}
		out = append(out, l.replicas(g.topic)...)
	}
	return out, nil
}

// checkOffsetsTopic looks at the topic that positions are stored in.
func checkOffsetsTopic(ctx context.Context, s *subject) ([]Finding, error) {
	const key = "offsets.storage.topic"
	name := s.cfg.OffsetsTopic(s.worker.GroupID)
	var err error
	if s.positions, err = s.describe(ctx, name); err != nil {
		return nil, err
	}
	t := &s.positions
	switch {
	case t.hidden:
		return nil, nil // kafka.rights tells
	case !t.exists:
		return s.creation("offsets.storage.replication.factor", int64(s.worker.OffsetsReplicationFactor), nil), nil
	}
	out := s.replicas(t)
	// Of settings that may not be read, kafka.rights tells.
	if policy := t.settings["cleanup.policy"]; t.settings != nil && policy != "compact" {
		out = append(out, Finding{
			Severity: Error, Key: key, Problem: fmt.Sprintf("offsets topic %q has cleanup.policy=%s, by which Kafka would delete positions", name, policy), Remedy: "set it to compact",
		})
	}
	if n := len(t.partitions); n < s.cfg.TasksMax {
		out = append(out, Finding{
			Severity: Note, Key: "tasks.max", Problem: fmt.Sprintf("offsets topic %q has %s, and tasks.max is %d: the first worker that starts adds the rest", name, plural(n, "partition", "partitions"), s.cfg.TasksMax),
			Remedy: "grant ALTER on it where Kafka has access control",
		})
	}
	const large = 100 << 20
	if segment, known := t.number("segment.bytes"); known && segment > large {
		out = append(out, Finding{
			Severity: Note, Key: key, Problem: fmt.Sprintf("offsets topic %q has segment.bytes=%d: Kafka compacts no segment that is being written, so tasks may read as much when they start", name, segment),
			Remedy: "set segment.bytes to 8388608 and min.cleanable.dirty.ratio to 0.01, as it is made by default",
		})
	}
	return out, nil
}
