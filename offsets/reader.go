package offsets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

const (
	// fetchBytes bounds one answer. A broker still sends a batch that is
	// larger when it is the first, so a fetch always gets on.
	fetchBytes = 1 << 20
	// fetchWait is how long the broker holds a fetch that finds nothing. What
	// is asked for is there already, unless a transaction is open or
	// compaction left nothing at the end, so the wait is short.
	fetchWait = 100 * time.Millisecond
	// maxFailures in a row end the attempt; the task's restart policy decides
	// about another.
	maxFailures = 10
	// openPatience is how long a transaction of somebody else may hold a reader
	// up. Those that belong here end within moments of their last record.
	openPatience = 10 * time.Second
)

// ErrOpenTransaction says that a transaction that is open in the partition holds
// the reader up, since its producer is slow or has died. Fencing that producer ends
// it; else it ends by its timeout.
var ErrOpenTransaction = errors.New("a transaction is open")

// reader reads one partition up to the end that it had at the start.
//
// It sends fetch requests itself instead of consuming. A consumer says what
// records there are, and not how far it has read, while the end of an offsets
// partition mostly has no records to say it with: it is a commit marker, or
// aborted data, or an empty batch, or a gap that compaction left. Keeping
// control records helps with the first only. Parsing the answer to a fetch
// gives the offset to ask for next in all these cases but the last, which is
// an empty answer though the last stable offset is beyond the end.
type reader struct {
	client    *kgo.Client
	admin     *kadm.Client
	topic     string
	partition int32
	inflate   kgo.Decompressor

	leader  *kgo.Broker // nil: to be looked up
	topicID kadm.TopicID

	next, end, stable int64
	patience          time.Duration // openPatience

	// noWait ends the reading where the first open transaction begins.
	noWait bool
}

func newReader(client *kgo.Client, topic string, partition int32) *reader {
	return &reader{
		client: client, admin: kadm.NewClient(client), topic: topic, partition: partition,
		inflate: kgo.DefaultDecompressor(), stable: -1, patience: openPatience,
	}
}

// readToEnd passes each committed record to apply, in order.
func (r *reader) readToEnd(ctx context.Context, apply func(*kgo.Record) error) error {
	return kafka.Denied(r.readAll(ctx, apply), kafka.TopicRights(r.topic, "READ")...)
}

func (r *reader) readAll(ctx context.Context, apply func(*kgo.Record) error) error {
	var err error
	// Kafka's end offset for a read_uncommitted reader is the high watermark:
	// all that has been acknowledged to anybody. Markers of transactions that
	// ended before the caller's producer got its epoch are below it.
	list := r.admin.ListEndOffsets
	if r.noWait {
		list = r.admin.ListCommittedOffsets
	}
	if r.end, err = r.listOffset(ctx, list); err != nil {
		return fmt.Errorf("listing the end offset: %w", err)
	}
	if r.next, err = r.listOffset(ctx, r.admin.ListStartOffsets); err != nil {
		return fmt.Errorf("listing the start offset: %w", err)
	}
	failures := 0
	at, since := r.next, time.Now()
	for r.next < r.end {
		if r.next != at || r.stable < 0 {
			at, since = r.next, time.Now()
		}
		if r.stable >= 0 && r.stable < r.end && time.Since(since) > r.patience {
			return fmt.Errorf("%w since offset %d, waited at offset %d of %d for it to end", ErrOpenTransaction, r.stable, r.next, r.end)
		}
		done, err := r.step(ctx, apply)
		if ctx.Err() != nil {
			return r.interrupted(ctx.Err())
		}
		if done {
			return nil
		}
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures >= maxFailures || !retriable(err) {
			return fmt.Errorf("fetching from offset %d of %d: %w", r.next, r.end, err)
		}
		r.leader = nil
		select {
		case <-ctx.Done():
			return r.interrupted(ctx.Err())
		case <-time.After(min(time.Duration(failures)*100*time.Millisecond, time.Second)):
		}
	}
	return nil
}

// interrupted says what was being waited for, since an open transaction is a
// thing an operator can look for.
func (r *reader) interrupted(err error) error {
	if r.stable >= 0 && r.stable < r.end {
		return fmt.Errorf("waiting at offset %d of %d for the transaction open since offset %d to end: %w", r.next, r.end, r.stable, err)
	}
	return fmt.Errorf("at offset %d of %d: %w", r.next, r.end, err)
}

// step does one fetch. Done means that nothing is left below the end.
func (r *reader) step(ctx context.Context, apply func(*kgo.Record) error) (done bool, err error) {
	part, err := r.fetch(ctx)
	if err != nil {
		return false, err
	}
	if err := kerr.ErrorForCode(part.ErrorCode); errors.Is(err, kerr.OffsetOutOfRange) {
		return false, r.skipDeleted(ctx, err)
	} else if err != nil {
		return false, err
	}
	// Of the parser's answer the records are used and not the error of the
	// response, which is dealt with above.
	batch, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: r.next, IsolationLevel: kgo.ReadCommitted(), Topic: r.topic, Partition: r.partition,
	}, part, r.inflate, nil)
	for _, rec := range batch.Records {
		if rec.Offset >= r.end {
			return true, nil
		}
		if err := apply(rec); err != nil {
			return false, err
		}
	}
	r.stable = part.LastStableOffset
	switch {
	case batch.Err != nil:
		return false, fmt.Errorf("parsing the fetched batches: %w", batch.Err)
	case next > r.next:
		r.next = next
		return false, nil
	case len(part.RecordBatches) > 0:
		return false, fmt.Errorf("parsing the fetched batches: %d bytes hold no whole batch", len(part.RecordBatches))
	}
	// The broker read the last stable offset before it looked for data, and
	// sends at least one batch if there is any below it. So nothing is left,
	// or a transaction is open and its end is to be awaited.
	return r.stable >= r.end, nil
}

// skipDeleted moves up to the start of a log whose head was deleted under us.
func (r *reader) skipDeleted(ctx context.Context, cause error) error {
	start, err := r.listOffset(ctx, r.admin.ListStartOffsets)
	if err != nil {
		return fmt.Errorf("listing the start offset: %w", err)
	}
	if start <= r.next {
		// Beyond the end, then: the partition lost its tail, or was made anew.
		return fmt.Errorf("the partition was truncated or recreated: %w", cause)
	}
	r.next = start
	return nil
}

// listOffset runs one of the admin client's listings for the partition.
func (r *reader) listOffset(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (int64, error) {
	for failures := 1; ; failures++ {
		offsets, err := list(ctx, r.topic)
		if err == nil {
			offset, ok := offsets.Lookup(r.topic, r.partition)
			switch {
			case !ok:
				if missing, found := offsets.Lookup(r.topic, -1); found && missing.Err != nil {
					err = missing.Err
				} else {
					err = kerr.UnknownTopicOrPartition
				}
			case offset.Err != nil:
				err = offset.Err
			default:
				return offset.Offset, nil
			}
		}
		if failures >= maxFailures || !retriable(err) {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(min(time.Duration(failures)*100*time.Millisecond, time.Second)):
		}
	}
}

// errNoAnswer is a throttled broker's empty response (KIP-219).
var errNoAnswer = errors.New("the broker's answer leaves the partition out")

// retriable tells what a moving leader or a restarting broker looks like. The
// client has retried broken connections by itself.
func retriable(err error) bool {
	return kerr.IsRetriable(err) || errors.Is(err, errNoAnswer)
}

// fetch asks the partition's leader for what follows r.next.
func (r *reader) fetch(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	if r.leader == nil {
		if err := r.findLeader(ctx); err != nil {
			return nil, err
		}
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(fetchWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = fetchBytes
	req.IsolationLevel = 1 // read_committed
	req.SessionID, req.SessionEpoch = 0, -1
	topic := kmsg.NewFetchRequestTopic()
	// Up to version 12 a fetch names the topic, from 13 on its id (KIP-516);
	// the version is agreed upon when the request is written.
	topic.Topic, topic.TopicID = r.topic, r.topicID
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition = r.partition
	part.FetchOffset = r.next
	part.PartitionMaxBytes = fetchBytes
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)

	answer, err := r.leader.RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if p := &resp.Topics[i].Partitions[j]; p.Partition == r.partition {
				return p, nil
			}
		}
	}
	return nil, errNoAnswer
}

func (r *reader) findLeader(ctx context.Context) error {
	details, err := listTopics(ctx, r.admin, r.topic)
	if err != nil {
		return fmt.Errorf("looking up the leader: %w", err)
	}
	detail, ok := details[r.topic]
	if !ok {
		return fmt.Errorf("looking up the leader: %w", kerr.UnknownTopicOrPartition)
	}
	if detail.Err != nil {
		return fmt.Errorf("looking up the leader: %w", detail.Err)
	}
	part, ok := detail.Partitions[r.partition]
	switch {
	case !ok:
		return fmt.Errorf("looking up the leader: %w", kerr.UnknownTopicOrPartition)
	case part.Leader < 0:
		return fmt.Errorf("looking up the leader: %w", kerr.LeaderNotAvailable)
	}
	r.leader, r.topicID = r.client.Broker(int(part.Leader)), detail.ID
	return nil
}

// listTopics asks a broker. Plainly, the admin client would answer from a cache
// of up to five seconds, in which a new topic is missing and a leader that has
// moved is not; asking for authorized operations as well goes past it.
func listTopics(ctx context.Context, adm *kadm.Client, topic string) (kadm.TopicDetails, error) {
	return adm.ListTopics(kadm.WithAuthorizedOps(ctx), topic)
}
