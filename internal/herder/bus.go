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
	opts   kafka.Options
	client *kgo.Client
	cut    context.CancelFunc // ends what the client waits for
	admin  *kadm.Client
	logger hclog.Logger

	mu    sync.Mutex
	next  map[place]int64 // the offset behind the last record that was applied
	moved chan struct{}   // closed when next has grown, or what is denied has, and made anew
	// denied is what Kafka's access control has refused, by what was being done, until
	// it is seen to be allowed.
	denied map[string]refused
}

// refused is a refusal and when it last came.
type refused struct {
	err error
	at  time.Time
}

// refusedAgain is the longest time between two refusals of what is denied still.
const refusedAgain = 10 * time.Second

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
		opts: opts, denied: make(map[string]refused),
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
	for failures := 0; ; {
		fetches := b.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		failed := fetches.Errors()
		for _, e := range failed {
			err := b.opts.As(kafka.Denied(fmt.Errorf("reading topic %q of the group: %w", e.Topic, e.Err), kafka.TopicRights(e.Topic, "READ")...))
			if !b.judge("reading "+e.Topic, err) {
				b.logger.Warn("reading a topic of the group", "topic", e.Topic, "partition", e.Partition, "error", err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			apply(r)
			b.mu.Lock()
			b.next[place{r.Topic, r.Partition}] = r.Offset + 1
			b.mu.Unlock()
			b.judge("reading "+r.Topic, nil)
		})
		b.mu.Lock()
		b.wake()
		b.mu.Unlock()
		// The client asks again at once what a broker has refused at once.
		if failures = min(failures+1, 5); len(failed) == 0 {
			failures = 0
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond << failures):
		}
	}
}

// wake has those who wait look again. The caller holds the lock.
func (b *bus) wake() {
	close(b.moved)
	b.moved = make(chan struct{})
}

// judge notes whether what is being done is denied, and tells of it when that is
// new; it reports whether it is denied.
func (b *bus) judge(doing string, err error) bool {
	var denied *kafka.DeniedError
	is := errors.As(err, &denied)
	b.mu.Lock()
	before := b.denied[doing].err
	if is {
		b.denied[doing] = refused{err, time.Now()}
		b.wake()
	} else if err == nil {
		delete(b.denied, doing)
	}
	b.mu.Unlock()
	switch {
	case is && (before == nil || before.Error() != err.Error()):
		b.logger.Error("Kafka denies what this worker needs to follow its group; it tries again from time to time", "error", err)
	case err == nil && before != nil:
		b.logger.Info("Kafka allows again what it had denied", "what", doing)
	}
	return is
}

// denial is what Kafka's access control refuses now of these doings, nil if nothing
// is.
func (b *bus) denial(doings ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, doing := range doings {
		if r := b.denied[doing]; time.Since(r.at) < refusedAgain {
			return r.err
		}
	}
	return nil
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
// come to be stored: what is on its way can't be taken back, only be given up. Once ctx
// is over nothing is sent.
func (b *bus) send(ctx context.Context, records ...*kgo.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("writing to topic %q: %w", records[0].Topic, err)
	}
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
			topic := records[0].Topic
			err = kafka.Classify(b.opts.As(kafka.DeniedWrite(fmt.Errorf("writing to topic %q: %w", topic, err), topic)))
			b.judge("writing "+topic, err)
			return err
		}
	}
	for _, r := range records {
		b.judge("writing "+r.Topic, nil)
	}
	return nil
}

// post stores a record behind those sent before, and tells nobody whether it was.
func (b *bus) post(r *kgo.Record) {
	b.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			b.logger.Debug("posting a record", "topic", r.Topic, "key", string(r.Key), "error", err)
		}
	})
}

// movement is closed when something more has been applied.
func (b *bus) movement() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.moved
}

// await returns once the record of that offset has been applied, or can't be.
func (b *bus) await(ctx context.Context, p place, offset int64) error {
	for began := time.Now(); ; {
		b.mu.Lock()
		next, moved, denied := b.next[p], b.moved, b.denied["reading "+p.topic]
		b.mu.Unlock()
		switch {
		case next > offset:
			return nil
		case denied.at.After(began):
			return denied.err
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
	ends, err := kafka.Heed(ctx, func() (kadm.ListedOffsets, error) { return b.admin.ListEndOffsets(ctx, topic) })
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
