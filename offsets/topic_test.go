package offsets

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
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
		if err := EnsureTopic(t.Context(), adm, "offsets", 4, 1); err != nil {
			t.Fatal(err)
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
			if err := EnsureTopic(context.Background(), adm, "offsets", 2, -1); err != nil {
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
		err := EnsureTopic(t.Context(), adm, name, 4, 1)
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
		if err := EnsureTopic(t.Context(), adm, "grows", step.tasks, 1); err != nil {
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
	err := EnsureTopic(t.Context(), adm, "offsets", 4, 3)
	if err == nil || !strings.Contains(err.Error(), `"offsets" with 4 partitions and replication factor 3`) {
		t.Errorf("got %v", err)
	}
}
