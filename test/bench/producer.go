package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topicPartitions = 4
	// transactionRows is what the connector puts into a transaction by default.
	transactionRows = 100_000
)

// makeTopic gives a measurement a topic of its own, and drops it afterwards so
// that the disk doesn't fill up.
func (b *bench) makeTopic(ctx context.Context, name string) (drop func(), err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.BootstrapServers()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, topicPartitions, 1, nil, name); err != nil {
		return nil, fmt.Errorf("creating topic %s: %w", name, err)
	}
	return func() { b.dropTopics(name) }, nil
}

func (b *bench) dropTopics(names ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.BootstrapServers()))
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = kadm.NewClient(client).DeleteTopics(ctx, names...)
}

// bareProducer sends the same keys and values as the connector would, in
// transactions of the same size, by one franz-go client at its defaults but for
// a larger buffer. It is the yardstick: nobody who uses franz-go as it is meant
// to be used gets these bytes into Kafka much quicker.
func (b *bench) bareProducer(ctx context.Context, ref *reference, round int) (figures, error) {
	topic := fmt.Sprintf("bare-%s-%d", ref.table, round)
	drop, err := b.makeTopic(ctx, topic)
	if err != nil {
		return figures{}, err
	}
	defer drop()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.kafka.BootstrapServers()),
		kgo.TransactionalID(topic),
		kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(100_000),
	)
	if err != nil {
		return figures{}, err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	began := time.Now()
	for i := 0; i < int(ref.rows); {
		if err := client.BeginTransaction(); err != nil {
			return figures{}, err
		}
		end := min(i+transactionRows, int(ref.rows))
		for ; i < end; i++ {
			key, value := ref.record(i)
			client.Produce(ctx, &kgo.Record{Key: key, Value: value}, promise)
		}
		if err := client.Flush(ctx); err != nil {
			return figures{}, err
		}
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return figures{}, err
		}
	}
	took := time.Since(began)
	if err := failed.Load(); err != nil {
		return figures{}, errors.Join(errors.New("producing"), *err)
	}
	return figures{seconds: took.Seconds()}, nil
}
