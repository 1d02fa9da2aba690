package offsets

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// TestLoadAgreesWithARealBroker: the gaps that compaction leaves, aborted data
// at the end, a fenced producer's open transaction.
func TestLoadAgreesWithARealBroker(t *testing.T) {
	t.Parallel()
	kafka := testenv.NewKafka(t, testenv.KafkaConfig{Properties: map[string]string{"log.cleaner.backoff.ms": "100"}})
	opts := []kgo.Opt{kgo.SeedBrokers(kafka.BootstrapServers())}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	for range 2 { // it takes our configuration, and finds it right
		if _, err := EnsureTopic(t.Context(), adm, testTopic, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	// Quicker than anybody would want it.
	var alter []kadm.AlterConfig
	for key, value := range map[string]string{
		"segment.ms": "100", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0", "max.compaction.lag.ms": "100",
	} {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
	}
	if _, err := adm.AlterTopicConfigs(t.Context(), alter, testTopic); err != nil {
		t.Fatal(err)
	}

	x := beginTxn(t, opts, "task")
	want := make(map[int]uint64)
	written := 0
	write := func(commit bool, snapshot uint64, tablets ...int) {
		t.Helper()
		for _, tablet := range tablets {
			x.produce(record(t, tablet, snapshot))
			if written++; commit {
				want[tablet] = snapshot
			}
		}
		x.end(commit)
		x.begin()
	}
	for i := range uint64(50) {
		write(i%5 != 4, i+1, 1, 2, 3)
	}
	x.produce(tombstone(t, 3)).end(true)
	delete(want, 3)
	x.begin()
	wantPositions(t, opts, want)

	// A record later than segment.ms rolls the segment, which frees what is
	// before it for compaction. The last ones are aborted.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for n := uint64(100); countRecords(t, opts) >= written/2; n++ {
		write(true, n, 1)
		write(false, n, 1, 2)
		wantPositions(t, opts, want)
		select {
		case <-ctx.Done():
			t.Fatal("the broker did not compact")
		case <-time.After(200 * time.Millisecond):
		}
	}
	wantPositions(t, opts, want)

	// The predecessor dies with a transaction open.
	x.produce(record(t, 1, 999), record(t, 2, 999))
	next, err := kgo.NewClient(append(slices.Clone(opts), kgo.TransactionalID("task"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if _, _, err := next.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPositions(t, opts, want)
}

// countRecords counts what is in the partition, whatever became of it.
func countRecords(t *testing.T, opts []kgo.Opt) int {
	t.Helper()
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumeTopics(testTopic), kgo.KeepControlRecords())...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), testTopic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(testTopic, 0)
	n := 0
	for last := int64(-1); last < end.Offset-1; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if last = r.Offset; !r.Attrs.IsControl() {
				n++
			}
		})
	}
	return n
}
