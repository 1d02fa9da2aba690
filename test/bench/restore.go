package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// restoreParts is how often a restart is measured during the play.
const restoreParts = 5

// restore plays a day's worth of transactions into a task's partition, and
// measures how long the task needs from its assignment until it runs. That takes
// a broker of its own, which doesn't verify transactions.
func (b *bench) restore(ctx context.Context) (err error) {
	const name = "restore"
	kafka, err := testenv.StartKafka(ctx, testenv.KafkaConfig{Properties: testenv.PlayKafkaProperties()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Close()) }()
	own := *b
	own.kafka = kafka
	return own.playAndRestart(ctx, name)
}

func (b *bench) playAndRestart(ctx context.Context, name string) error {
	if err := b.fill(ctx, name, "narrow", 1000); err != nil {
		return err
	}
	drop, err := b.makeTopic(ctx, name)
	if err != nil {
		return err
	}
	defer drop()
	topic := name + "-c-offsets"
	if _, _, err := b.restart(ctx, name, ": transaction committed:"); err != nil {
		return err
	}
	positions, err := b.lastRecords(ctx, topic)
	if err != nil {
		return err
	}
	if len(positions) == 0 {
		return errors.New("no position is stored")
	}
	began := time.Now()
	for part := range restoreParts {
		err := testenv.Play(ctx, testenv.Playing{
			Addr: b.kafka.BootstrapServers(), Topic: topic, Transactions: b.transactions / restoreParts, Epoch: int16(part),
			Record: func(n int) (key, value []byte) {
				r := positions[n%len(positions)]
				return r.Key, r.Value
			},
		})
		if err != nil {
			return err
		}
		played, size := time.Since(began), b.logSize(topic)
		assigned, all, err := b.restart(ctx, name, ": task runs:")
		if err != nil {
			return err
		}
		fmt.Printf("  restore after %d transactions in %.0f s, %.0f MiB to read: task runs %.2f s after its assignment, %.2f s after the start of the process (load average %s)\n",
			(part+1)*b.transactions/restoreParts, played.Seconds(), float64(size)/(1<<20), assigned.Seconds(), all.Seconds(), loadAverage())
	}
	return nil
}

// restart runs the worker until it logs a line with the text, and stops it.
func (b *bench) restart(ctx context.Context, name, until string) (assigned, all time.Duration, err error) {
	began := time.Now()
	w, err := b.startWorker(name, name, name, "log.level: trace\n", "")
	if err != nil {
		return 0, 0, err
	}
	defer w.drop()
	begins, err := w.awaitLine(ctx, ": task begins:", time.Minute)
	if err != nil {
		return 0, 0, err
	}
	runs, err := w.awaitLine(ctx, ": task runs:", time.Minute)
	if err == nil {
		_, err = w.awaitLine(ctx, until, time.Minute)
	}
	if err != nil {
		return 0, 0, err
	}
	return runs.Sub(begins), runs.Sub(began), w.finish(ctx)
}

// lastRecords gives the last record of each tablet in the offsets topic.
func (b *bench) lastRecords(ctx context.Context, topic string) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.kafka.BootstrapServers()), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, _ := listed.Lookup(topic, 0)
	last := make(map[string]*kgo.Record)
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() && bytes.Contains(r.Key, []byte(`"tablet"`)) {
				last[string(r.Key)] = r
			}
		})
	}
	var records []*kgo.Record
	for _, r := range last {
		records = append(records, r)
	}
	return records, nil
}

// logSize is what the broker has on disk of the topic's first partition.
func (b *bench) logSize(topic string) (size int64) {
	// Segments come and go while the cleaner works.
	_ = filepath.WalkDir(filepath.Join(b.kafka.Dir(), "kafka", topic+"-0"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".log" {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
