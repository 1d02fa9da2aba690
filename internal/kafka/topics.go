package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Topic is what EnsureTopic found or made.
type Topic struct {
	Name       string
	Partitions int32
	// CleanupPolicy is "delete", "compact" or both with a comma; empty when
	// the principal may not read the topic's configuration.
	CleanupPolicy string
	// Created is true when EnsureTopic made it.
	Created bool
}

// topicVisible is how long a topic just made may take to show up in the
// metadata of the broker that is asked: the controller answers first.
const topicVisible = 15 * time.Second

// EnsureTopic returns the topic called name, which it creates when it is
// missing. Partitions and replicationFactor below 1 mean the broker's
// defaults. An existing topic is returned as it is: the caller judges whether
// it fits. Needs are the rights that the caller has use for, any of which has Kafka
// show it the topic.
func EnsureTopic(ctx context.Context, adm *kadm.Client, name string, partitions int32, replicationFactor int16, configs map[string]string, needs ...Right) (Topic, error) {
	topic, err := describeTopic(ctx, adm, name)
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		if len(needs) == 0 {
			needs = TopicRights(name, "DESCRIBE")
		}
		return topic, Denied(err, needs...)
	}
	if partitions < 1 {
		partitions = -1
	}
	if replicationFactor < 1 {
		replicationFactor = -1
	}
	values := make(map[string]*string, len(configs))
	for key, value := range configs {
		values[key] = &value
	}
	resp, err := adm.CreateTopic(ctx, partitions, replicationFactor, values, name)
	// Another worker may have been quicker, with the same settings.
	created := err == nil
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return Topic{}, createError(name, partitions, replicationFactor, resp.ErrMessage, err)
	}
	topic, err = awaitTopic(ctx, adm, name)
	topic.Created = created
	return topic, err
}

// createError says what to do about a topic that cannot be made.
func createError(name string, partitions int32, replicationFactor int16, detail string, err error) error {
	remedy := "create it by hand or change the settings it is created with"
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		remedy = "grant CREATE on the topic or the cluster, or create it by hand"
	case errors.Is(err, kerr.InvalidReplicationFactor):
		remedy = "lower the replication factor to the number of brokers, or start more brokers"
	case errors.Is(err, kerr.InvalidTopicException):
		remedy = "choose a name of at most 249 letters, digits, dots, dashes and underscores"
	}
	if detail != "" {
		detail = " (" + detail + ")"
	}
	return Classify(Denied(fmt.Errorf("creating topic %q with %d partitions and replication factor %d: %w%s: %s",
		name, partitions, replicationFactor, err, detail, remedy), TopicRights(name, "CREATE")...))
}

// awaitTopic describes a topic that exists for the controller already.
func awaitTopic(ctx context.Context, adm *kadm.Client, name string) (Topic, error) {
	deadline := time.Now().Add(topicVisible)
	for {
		topic, err := describeTopic(ctx, adm, name)
		if err == nil || !errors.Is(err, kerr.UnknownTopicOrPartition) || time.Now().After(deadline) {
			return topic, err
		}
		select {
		case <-ctx.Done():
			return Topic{}, fmt.Errorf("waiting for topic %q to appear: %w", name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// describeTopic returns kerr.UnknownTopicOrPartition for a topic that is not
// there.
func describeTopic(ctx context.Context, adm *kadm.Client, name string) (Topic, error) {
	topic := Topic{Name: name}
	// Plainly, the admin client would answer from a cache of up to five
	// seconds, in which a new topic is missing; asking for authorized
	// operations as well goes past it.
	details, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), name)
	if err != nil {
		return topic, Classify(fmt.Errorf("looking up topic %q: %w", name, err))
	}
	detail, ok := details[name]
	if !ok {
		return topic, fmt.Errorf("looking up topic %q: %w", name, kerr.UnknownTopicOrPartition)
	}
	if detail.Err != nil {
		// Not classified: a missing topic is news here, not a failure.
		return topic, fmt.Errorf("looking up topic %q: %w", name, detail.Err)
	}
	topic.Partitions = int32(len(detail.Partitions))
	configs, err := adm.DescribeTopicConfigs(ctx, name)
	var config kadm.ResourceConfig
	if err == nil {
		config, err = configs.On(name, nil)
	}
	if err == nil {
		err = config.Err
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		// DESCRIBE_CONFIGS is a permission of its own; producing needs none of
		// what it would tell.
		return topic, nil
	case err != nil:
		return topic, Classify(fmt.Errorf("reading the configuration of topic %q: %w", name, err))
	}
	for _, c := range config.Configs {
		if c.Key == "cleanup.policy" {
			topic.CleanupPolicy = c.MaybeValue()
		}
	}
	return topic, nil
}
