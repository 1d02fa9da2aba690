package offsets

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

func newAdmin(t *testing.T) (*kfake.Cluster, *kadm.Client) {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return c, kadm.NewClient(client)
}

func TestOffsetsTopicIsCreatedCompactedWithAPartitionPerTask(t *testing.T) {
	c, adm := newAdmin(t)
	for range 2 { // the second time it is there
		if sure, err := EnsureTopic(t.Context(), adm, "offsets", 4, 1); err != nil || !sure {
			t.Fatalf("sure of its settings: %v, %v", sure, err)
		}
	}
	if n := len(c.PartitionInfos("offsets")); n != 4 {
		t.Errorf("%d partitions", n)
	}
	configs, err := adm.DescribeTopicConfigs(t.Context(), "offsets")
	if err != nil {
		t.Fatal(err)
	}
	config, err := configs.On("offsets", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, c := range config.Configs {
		got[c.Key] = c.MaybeValue()
	}
	for key, value := range topicConfigs {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

func TestWorkersMayCreateTheOffsetsTopicAtTheSameTime(t *testing.T) {
	_, adm := newAdmin(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := EnsureTopic(context.Background(), adm, "offsets", 2, -1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOffsetsTopicThatCannotServeIsRefused(t *testing.T) {
	c, adm := newAdmin(t)
	for name, topic := range map[string]struct {
		partitions int32
		policy     string
		parts      []string
	}{
		"deleted": {4, "delete", []string{"cleanup.policy=delete", "set it to compact"}},
		"both":    {4, "compact,delete", []string{"cleanup.policy=compact,delete"}},
	} {
		if err := c.CreateTopic(name, topic.partitions, map[string]string{"cleanup.policy": topic.policy}); err != nil {
			t.Fatal(err)
		}
		_, err := EnsureTopic(t.Context(), adm, name, 4, 1)
		var unfit *UnfitTopicError
		if !errors.As(err, &unfit) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, part := range append(topic.parts, `"`+name+`"`) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in: %v", name, part, err)
			}
		}
	}
}

func TestOffsetsTopicGrowsWithTheTasksAndKeepsWhatItHas(t *testing.T) {
	c, adm := newAdmin(t)
	if err := c.CreateTopic("grows", 2, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ tasks, want int32 }{{4, 4}, {3, 4}, {5, 5}} {
		if _, err := EnsureTopic(t.Context(), adm, "grows", step.tasks, 1); err != nil {
			t.Fatal(err)
		}
		details, err := listTopics(t.Context(), adm, "grows")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(details["grows"].Partitions); n != int(step.want) {
			t.Errorf("for %d tasks the topic has %d partitions, want %d", step.tasks, n, step.want)
		}
	}
}

func TestOffsetsTopicThatCannotBeCreatedIsNamed(t *testing.T) {
	_, adm := newAdmin(t)
	_, err := EnsureTopic(t.Context(), adm, "offsets", 4, 3)
	if err == nil || !strings.Contains(err.Error(), `"offsets" with 4 partitions and replication factor 3`) {
		t.Errorf("got %v", err)
	}
}

func TestOffsetsTopicWhoseSettingsAreHiddenServesUnsurely(t *testing.T) {
	c, adm := newAdmin(t)
	if err := c.CreateTopic("offsets", 4, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Count: -1, Err: kerr.TopicAuthorizationFailed})
	if sure, err := EnsureTopic(t.Context(), adm, "offsets", 4, 1); err != nil || sure {
		t.Errorf("sure of its settings: %v, %v", sure, err)
	}
}

func TestDenialOfTheOffsetsTopicNamesTheRight(t *testing.T) {
	for _, tc := range []struct {
		key     kmsg.Key
		there   bool
		tasks   int32
		missing string
	}{
		{kmsg.Metadata, true, 2, "READ on TOPIC offsets and WRITE on TOPIC offsets"},
		{kmsg.CreateTopics, false, 2, "CREATE on TOPIC offsets"},
		{kmsg.CreatePartitions, true, 4, "ALTER on TOPIC offsets"},
	} {
		c, adm := newAdmin(t)
		if tc.there {
			if err := c.CreateTopic("offsets", 2, map[string]string{"cleanup.policy": "compact"}); err != nil {
				t.Fatal(err)
			}
		}
		c.Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, Count: -1, Err: kerr.TopicAuthorizationFailed})
		_, err := EnsureTopic(t.Context(), adm, "offsets", tc.tasks, 1)
		if err == nil || !strings.HasSuffix(err.Error(), "this needs the right "+tc.missing) || !errors.Is(err, kafka.ErrPermanent) {
			t.Errorf("%v: %v", tc.key, err)
		}
	}
}
