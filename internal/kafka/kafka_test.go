package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newAdmin(t *testing.T) (*kfake.Cluster, *kadm.Client) {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(Options{BootstrapServers: c.ListenAddrs()}.Within(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return c, kadm.NewClient(client)
}

func TestClientsIntroduceThemselves(t *testing.T) {
	c := kfake.MustCluster(kfake.NumBrokers(1))
	defer c.Close()
	for given, want := range map[string]string{"": "kudu2kafka", "orders": "orders"} {
		client, err := kgo.NewClient(Options{BootstrapServers: c.ListenAddrs(), ClientID: given}.Within(t.Context())...)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if id := client.OptValue(kgo.ClientID); id != want {
			t.Errorf("client id is %v, want %s", id, want)
		}
		client.Close()
	}
}

func TestClientLogsAreOneLevelQuieter(t *testing.T) {
	for _, test := range []struct {
		level hclog.Level
		want  kgo.LogLevel
		lines string
	}{
		{hclog.Trace, kgo.LogLevelDebug, "[ERROR] e: n=1\n[WARN]  w: n=1\n[DEBUG] i: n=1\n[TRACE] d: n=1\n"},
		{hclog.Debug, kgo.LogLevelInfo, "[ERROR] e: n=1\n[WARN]  w: n=1\n[DEBUG] i: n=1\n"},
		{hclog.Info, kgo.LogLevelWarn, "[ERROR] e: n=1\n[WARN]  w: n=1\n"},
		{hclog.Warn, kgo.LogLevelWarn, "[ERROR] e: n=1\n[WARN]  w: n=1\n"},
		{hclog.Error, kgo.LogLevelError, "[ERROR] e: n=1\n"},
		{hclog.Off, kgo.LogLevelNone, ""},
	} {
		var out bytes.Buffer
		l := NewLogger(hclog.New(&hclog.LoggerOptions{Level: test.level, Output: &out, DisableTime: true}))
		if got := l.Level(); got != test.want {
			t.Errorf("level at %v is %v, want %v", test.level, got, test.want)
		}
		l.Log(kgo.LogLevelError, "e", "n", 1)
		l.Log(kgo.LogLevelWarn, "w", "n", 1)
		l.Log(kgo.LogLevelInfo, "i", "n", 1)
		l.Log(kgo.LogLevelDebug, "d", "n", 1)
		if out.String() != test.lines {
			t.Errorf("at %v: %q, want %q", test.level, out.String(), test.lines)
		}
	}
}

// The hashes are those that Kafka's own tests expect of Utils.murmur2.
func TestKeyedRowsGoWhereTheJavaClientPutsThem(t *testing.T) {
	p := TaskPartitioner("offsets").ForTopic("rows")
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		r := &kgo.Record{Key: []byte(key), Partition: 1}
		if !p.RequiresConsistency(r) {
			t.Error("a keyed row's partition depends on which partitions have a leader")
		}
		// Utils.toPositive(hash) % partitions
		for _, n := range []int{1, 3, 12, 1000, math.MaxInt32} {
			if got, want := p.Partition(r, n), int(hash&math.MaxInt32)%n; got != want {
				t.Errorf("key %q of %d partitions goes to %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestPositionsGoToThePartitionTheyName(t *testing.T) {
	p := TaskPartitioner("offsets").ForTopic("offsets")
	for partition := range int32(5) {
		r := &kgo.Record{Key: []byte("foobar"), Partition: partition}
		if got := p.Partition(r, 5); got != int(partition) || !p.RequiresConsistency(r) {
			t.Errorf("partition %d became %d", partition, got)
		}
	}
}

func TestErrorsHaveAClassAndKeepTheirText(t *testing.T) {
	for _, test := range []struct {
		err               error
		fenced, permanent bool
	}{
		{kerr.ProducerFenced, true, false},
		{kerr.InvalidProducerEpoch, true, false},
		{kerr.TopicAuthorizationFailed, false, true},
		{kerr.MessageTooLarge, false, true},
		{kerr.UnknownTopicOrPartition, false, true},
		{kerr.NotLeaderForPartition, false, false},
		{errors.New("connection refused"), false, false},
	} {
		wrapped := fmt.Errorf("producing: %w", test.err)
		err := Classify(wrapped)
		if errors.Is(err, ErrFenced) != test.fenced || errors.Is(err, ErrPermanent) != test.permanent {
			t.Errorf("%v: fenced %v, permanent %v", err, errors.Is(err, ErrFenced), errors.Is(err, ErrPermanent))
		}
		if err.Error() != wrapped.Error() || !errors.Is(err, test.err) {
			t.Errorf("%v became %v", wrapped, err)
		}
		var k *kerr.Error
		if errors.As(wrapped, &k) != errors.As(err, &k) {
			t.Errorf("%v lost its code", err)
		}
		if again := Classify(fmt.Errorf("more: %w", err)); errors.Is(again, ErrFenced) != test.fenced {
			t.Errorf("%v lost its class", again)
		}
	}
	if Classify(nil) != nil {
		t.Error("no error became one")
	}
}

func TestMissingTopicIsCreatedOnceAndThenFound(t *testing.T) {
	_, adm := newAdmin(t)
	configs := map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"}
	created, err := EnsureTopic(t.Context(), adm, "rows", 6, 1, configs)
	if want := (Topic{"rows", 6, "compact", true}); err != nil || created != want {
		t.Errorf("got %+v, %v", created, err)
	}
	found, err := EnsureTopic(t.Context(), adm, "rows", 3, 1, nil)
	if want := (Topic{"rows", 6, "compact", false}); err != nil || found != want {
		t.Errorf("got %+v, %v", found, err)
	}
	defaults, err := EnsureTopic(t.Context(), adm, "defaults", 0, 0, nil)
	if err != nil || defaults.Partitions < 1 || defaults.CleanupPolicy != "delete" {
		t.Errorf("got %+v, %v", defaults, err)
	}
}

func TestTopicMayBeCreatedByTwoWorkersAtOnce(t *testing.T) {
	_, adm := newAdmin(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if topic, err := EnsureTopic(t.Context(), adm, "rows", 2, 1, nil); err != nil || topic.Partitions != 2 {
				t.Errorf("got %+v, %v", topic, err)
			}
		})
	}
	wg.Wait()
}

func TestTopicErrorsNameTopicAndRemedy(t *testing.T) {
	c, adm := newAdmin(t)
	for _, test := range []struct {
		key    kmsg.Key
		code   *kerr.Error
		remedy string
	}{
		{kmsg.CreateTopics, kerr.TopicAuthorizationFailed, "grant CREATE"},
		{kmsg.CreateTopics, kerr.InvalidReplicationFactor, "lower the replication factor"},
		{kmsg.CreateTopics, kerr.InvalidTopicException, "choose a name"},
		{kmsg.CreateTopics, kerr.PolicyViolation, "by hand"},
		{kmsg.Metadata, kerr.TopicAuthorizationFailed, "this needs the right DESCRIBE on TOPIC rows"},
	} {
		h := c.Fault(kfake.Fault{Keys: []kmsg.Key{test.key}, Topic: "rows", Err: test.code})
		_, err := EnsureTopic(t.Context(), adm, "rows", 2, 1, nil)
		if !errors.Is(err, test.code) || !errors.Is(err, ErrPermanent) {
			t.Errorf("%v: got %v", test.code, err)
			continue
		}
		for _, part := range []string{`"rows"`, test.remedy} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
		h.Remove()
	}
}

func TestTopicWhoseConfigurationIsHiddenIsFound(t *testing.T) {
	c, adm := newAdmin(t)
	if err := c.CreateTopic("rows", 2, nil); err != nil {
		t.Fatal(err)
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed})
	topic, err := EnsureTopic(t.Context(), adm, "rows", 2, 1, nil)
	if want := (Topic{"rows", 2, "", false}); err != nil || topic != want {
		t.Errorf("got %+v, %v", topic, err)
	}
}
