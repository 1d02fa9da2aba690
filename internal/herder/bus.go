package herder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// bus is a worker's end of the config and the status topic: it writes to them and
// reads both from their begin. One client does all of it.
type bus struct {
	client *kgo.Client
	cut    context.CancelFunc // ends what the client waits for
	admin  *kadm.Client
	logger hclog.Logger

	mu    sync.Mutex
	next  map[place]int64 // the offset behind the last record that was applied
	moved chan struct{}   // closed when next has grown, and made anew
}

type place struct {
	topic     string
	partition int32
}

// deliveryTimeout is how long a record may take to Kafka before the write fails.
const deliveryTimeout = 20 * time.Second

func newBus(opts kafka.Options, logger hclog.Logger) (*bus, error) {
	life, cut := context.WithCancel(context.Background())
	client, err := kgo.NewClient(append(opts.Within(life),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Idempotent, with acks=all: the client's defaults.
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		// Else signs of life would pile up while Kafka is away. A record that is
		// stored twice means the same.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerLinger(0),
		kgo.FetchMaxWait(500*time.Millisecond),
	)...)
	if err != nil {
		cut()
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	return &bus{
		client: client, cut: cut, admin: kadm.NewClient(client), logger: logger,
		next: make(map[place]int64), moved: make(chan struct{}),
	}, nil
}

func (b *bus) close() {
	b.cut()
	b.client.Close()
}

// subscribe begins to read topics, which are there.
func (b *bus) subscribe(topics ...string) { b.client.AddConsumeTopics(topics...) }

// follow passes each record to apply, in the order of its partition, until ctx
// ends.
func (b *bus) follow(ctx context.Context, apply func(*kgo.Record)) {
	for {
		fetches := b.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		for _, e := range fetches.Errors() {
			b.logger.Warn("reading a topic of the group", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			apply(r)
			b.mu.Lock()
			b.next[place{r.Topic, r.Partition}] = r.Offset + 1
			b.mu.Unlock()
		})
		b.mu.Lock()
		close(b.moved)
		b.moved = make(chan struct{})
		b.mu.Unlock()
	}
}

// write stores records in their order, and returns once this worker has applied
// all of them.
func (b *bus) write(ctx context.Context, records ...*kgo.Record) error {
	if err := b.send(ctx, records...); err != nil {
		return err
	}
	for _, r := range records {
		if err := b.await(ctx, place{r.Topic, r.Partition}, r.Offset); err != nil {
			return err
		}
	}
	return nil
}

// send stores records in their order. When it fails, of ctx too, they may still
// come to be stored: what is on its way can't be taken back, only be given up.
func (b *bus) send(ctx context.Context, records ...*kgo.Record) error {
	done := make(chan error, len(records))
	// A record whose context ends fails those of others that wait with it, while
	// the client gets its id or in a batch; deliveryTimeout is for all the same.
	life := context.WithoutCancel(ctx)
	for _, r := range records {
		b.client.Produce(life, r, func(_ *kgo.Record, err error) { done <- err })
	}
	for range records {
		var err error
		select {
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return kafka.Classify(fmt.Errorf("writing to topic %q: %w", records[0].Topic, err))
		}
	}
	return nil
}

// await returns once the record of that offset has been applied.
func (b *bus) await(ctx context.Context, p place, offset int64) error {
	for {
		b.mu.Lock()
		next, moved := b.next[p], b.moved
		b.mu.Unlock()
		if next > offset {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for offset %d of %s-%d to come back: %w", offset, p.topic, p.partition, ctx.Err())
		case <-moved:
		}
	}
}

// reached reports whether everything that a topic's partition 0 has now was
// applied. The end of a compacted topic may be a gap, in which nothing ever comes;
// then it isn't, until something is written.
func (b *bus) reached(ctx context.Context, topic string) (bool, error) {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return false, err
	}
	end, ok := ends.Lookup(topic, 0)
	if !ok {
		return false, errors.New("the topic has no partition 0")
	}
	if end.Err != nil {
		return false, end.Err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next[place{topic, 0}] >= end.Offset, nil
}
