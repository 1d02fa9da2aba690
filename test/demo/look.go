package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

func (d *demo) clientOpts() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(d.kafka.BootstrapServers())}
}

// consume reads the topic with read_committed, as any consumer would, and
// counts what it finds.
func (d *demo) consume(ctx context.Context) error {
	client, err := kgo.NewClient(append(d.clientOpts(),
		kgo.ConsumeTopics(d.conn.TopicName()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("making a consumer: %w", err)
	}
	defer client.Close()
	var count topicCount
	var seen bitset
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("consuming topic %s: %w", d.conn.TopicName(), err)
		}
		var last *kgo.Record
		records := fetches.Records()
		for _, r := range records {
			var key struct{ ID *int64 }
			if err := json.Unmarshal(r.Key, &key); err != nil || key.ID == nil || *key.ID < 0 || *key.ID > maxID {
				return fmt.Errorf("the record at offset %d of partition %d has the key %.200q", r.Offset, r.Partition, r.Key)
			}
			count.rows++
			if !seen.add(*key.ID) {
				count.twice++
			}
			last = r
		}
		if last != nil {
			d.view.consumed(count, string(last.Key), string(last.Value))
			if d.scene.queue() {
				d.view.jobs(records[max(0, len(records)-shownJobs):])
			}
		}
	}
}

// maxID is far above what the writer comes to, and bounds the memory for ids.
const maxID = 1 << 33

// bitset is a set of small numbers, such as ids that count up from 0.
type bitset struct{ words []uint64 }

// add reports whether n was not in the set.
func (s *bitset) add(n int64) bool {
	word, bit := int(n/64), uint64(1)<<(n%64)
	if word >= len(s.words) {
		s.words = append(s.words, make([]uint64, word+1-len(s.words))...)
	}
	if s.words[word]&bit != 0 {
		return false
	}
	s.words[word] |= bit
	return true
}

// lookInterval is the time between two looks at positions and group.
const lookInterval = time.Second

// lookAtPositions reads each task's positions from the offsets topic, and what
// the group says about the connector, again and again.
func (d *demo) lookAtPositions(ctx context.Context) error {
	client, err := kgo.NewClient(d.clientOpts()...)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	again := time.NewTicker(lookInterval)
	defer again.Stop()
	for {
		state, err := d.groupState(ctx, admin)
		if err != nil {
			return err
		}
		d.view.connector(state)
		var marks []mark
		journal := 0
		for task := range int32(d.conn.TasksMax) {
			stored, err := offsets.Load(ctx, d.clientOpts(), d.conn.OffsetsTopic(d.worker.GroupID), task, d.conn.Name)
			if err != nil {
				return err
			}
			for _, j := range stored.Journals {
				journal += j.NumRows()
			}
			for key, pos := range stored.Positions {
				if d.scene.queue() {
					continue // it is the journal that counts
				}
				marks = append(marks, mark{tablet: key.Tablet, task: task, key: string(pos.Key)})
			}
		}
		d.view.positions(marks)
		d.view.journal(journal)
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// groupState is the connector's state as its consumer group shows it: RUNNING
// when all tasks have an owner.
func (d *demo) groupState(ctx context.Context, admin *kadm.Client) (string, error) {
	name := d.conn.GroupID(d.worker.GroupID)
	described, err := admin.DescribeGroups(ctx, name)
	if err == nil {
		err = described.Error()
	}
	if kerr.IsRetriable(err) || errors.Is(err, kerr.GroupIDNotFound) {
		return d.conn.Name + " is STARTING", nil // its worker hasn't joined yet
	} else if err != nil {
		return "", fmt.Errorf("describing group %s: %w", name, err)
	}
	group := described[name]
	owned := 0
	for _, member := range group.Members {
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				owned += len(topic.Partitions)
			}
		}
	}
	state := "STARTING"
	if group.State == "Stable" && owned == d.conn.TasksMax {
		state = "RUNNING"
	}
	return fmt.Sprintf("%s is %s: %d of %d tasks on %d worker", d.conn.Name, state, owned, d.conn.TasksMax, len(group.Members)), nil
}

// lookAtWarnings shows what the connector warns of.
func (d *demo) lookAtWarnings(ctx context.Context) error {
	var from int64
	for {
		line, next, err := d.run2k.WaitLineFrom(ctx, from, func(line string) bool {
			return strings.Contains(line, "[WARN]") || strings.Contains(line, "[ERROR]")
		})
		if ctx.Err() != nil || errors.Is(err, testenv.ErrExited) {
			return nil // told by those who watch the process
		}
		if err != nil {
			return fmt.Errorf("reading the log of kudu2kafka: %w", err)
		}
		from = next
		d.view.warn(line)
	}
}
