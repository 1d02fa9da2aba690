package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

const (
	latencyRate   = 1000                  // rows per second
	latencyStep   = 10 * time.Millisecond // between two inserts of some rows
	latencyWarmUp = 5 * time.Second
	latencyPoll   = 20 // ms
)

// arrivals matches rows acknowledged by Kudu with records that a read_committed
// consumer got.
type arrivals struct {
	mu      sync.Mutex
	acked   map[int64]time.Time // by id
	read    map[int64]time.Time // those that came before their acknowledgement
	delays  []time.Duration     // of rows that count
	counted int                 // rows acknowledged that count
}

// ack notes rows that were acknowledged; those that count are measured.
func (a *arrivals) ack(from, to int64, at time.Time, counts bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := from; id < to; id++ {
		if !counts {
			delete(a.read, id)
			continue
		}
		a.counted++
		if read, ok := a.read[id]; ok {
			delete(a.read, id)
			a.delays = append(a.delays, read.Sub(at))
			continue
		}
		a.acked[id] = at
	}
}

func (a *arrivals) arrive(id int64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if acked, ok := a.acked[id]; ok {
		delete(a.acked, id)
		a.delays = append(a.delays, at.Sub(acked))
		return
	}
	a.read[id] = at
}

func (a *arrivals) complete() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.delays) == a.counted
}

// quantile gives the delay that the share of the rows doesn't exceed.
func (a *arrivals) quantile(share float64) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.delays) == 0 {
		return 0
	}
	slices.Sort(a.delays)
	return a.delays[min(int(share*float64(len(a.delays))), len(a.delays)-1)]
}

// latency inserts rows at a steady rate and measures, from the acknowledgement
// of each insert to its record in the hands of a read_committed consumer.
func (b *bench) latency(ctx context.Context) error {
	const name = "latency"
	if err := b.tool.CreateTable(ctx, testenv.TableSpec{
		Name: name,
		Columns: []testenv.ColumnSpec{
			{Name: "event_time", Type: "UNIXTIME_MICROS", Key: true}, {Name: "id", Type: "INT64", Key: true},
			{Name: "user", Type: "STRING"}, {Name: "amount", Type: "INT64"},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 4}},
	}); err != nil {
		return err
	}
	for _, tasks := range []int{1, 4} {
		if err := b.latencyWith(ctx, name, tasks); err != nil {
			return fmt.Errorf("latency with %d tasks: %w", tasks, err)
		}
	}
	return nil
}

func (b *bench) latencyWith(ctx context.Context, table string, tasks int) error {
	topic := fmt.Sprintf("%s-%d", table, tasks)
	drop, err := b.makeTopic(ctx, topic)
	if err != nil {
		return err
	}
	defer drop()
	w, err := b.startWorker(topic, table, topic, "",
		fmt.Sprintf("tasks.max: %d\npoll.interval.ms: %d\noffset.start: latest\n", tasks, latencyPoll))
	if err != nil {
		return err
	}
	defer w.drop()
	if _, err := w.awaitLine(ctx, ": task runs:", 30*time.Second); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &arrivals{acked: make(map[int64]time.Time), read: make(map[int64]time.Time)}
	var share float64
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.consumeIDs(groupCtx, topic, a) })
	group.Go(func() error {
		defer cancel()
		var err error
		if share, err = b.insertSteadily(groupCtx, table, a, w); err != nil {
			return err
		}
		giveUp := time.Now().Add(10 * time.Second)
		for !a.complete() {
			if time.Now().After(giveUp) {
				return fmt.Errorf("of %d rows %d have arrived; end of the log:\n%s", a.counted, len(a.delays), w.tail())
			}
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Printf("  latency, %d rows/s for %v, tasks.max %d, poll.interval.ms %d: p50 %d ms, p99 %d ms, greatest %d ms; %.1f %% of a core (load average %s)\n",
		latencyRate, b.steady, tasks, latencyPoll, a.quantile(0.5).Milliseconds(), a.quantile(0.99).Milliseconds(),
		a.quantile(1).Milliseconds(), 100*share, loadAverage())
	return w.finish(context.WithoutCancel(ctx))
}

// insertSteadily writes rows and gives the worker's share of a core meanwhile,
// once it has warmed up.
func (b *bench) insertSteadily(ctx context.Context, table string, a *arrivals, w *worker) (share float64, err error) {
	c, err := kudu.New(kudu.Config{Masters: b.kudu.Masters()})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	t, err := c.OpenTable(ctx, table)
	if err != nil {
		return 0, err
	}
	s := t.NewSession(kudu.SessionOptions{})
	defer s.Close()
	tick := time.NewTicker(latencyStep)
	defer tick.Stop()
	began := time.Now()
	id := began.UnixNano() // new in each run
	var counting time.Time
	var before float64
	for time.Since(began) < latencyWarmUp+b.steady {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if counting.IsZero() && time.Since(began) > latencyWarmUp {
			counting = time.Now()
			if before, _, err = usage(w.Pid()); err != nil {
				return 0, err
			}
		}
		from := id
		for range latencyRate * int(latencyStep) / int(time.Second) {
			row := t.NewRow()
			row.Set("event_time", time.Now())
			row.Set("id", id)
			row.Set("user", "somebody")
			row.Set("amount", id%1000)
			if err := s.Apply(ctx, kudu.OpInsert, row); err != nil {
				return 0, err
			}
			id++
		}
		if _, err := s.Flush(ctx); err != nil {
			return 0, err
		}
		a.ack(from, id, time.Now(), !counting.IsZero())
	}
	after, _, err := usage(w.Pid())
	return (after - before) / time.Since(counting).Seconds(), err
}

// consumeIDs reads the topic until ctx ends.
func (b *bench) consumeIDs(ctx context.Context, topic string, a *arrivals) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.kafka.BootstrapServers()), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			var key struct{ ID int64 }
			if err := json.Unmarshal(r.Key, &key); err != nil {
				bad = err
				return
			}
			a.arrive(key.ID, now)
		})
		if bad = errors.Join(bad, fetches.Err()); bad != nil {
			return bad
		}
	}
}
