package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// What mode sweep has to reach.
const (
	sweepMemoryBar  = 200 // MiB
	sweepPublishBar = 0.6
	sweepSweepBar   = 0.8
	sweepLatencyBar = 300 * time.Millisecond

	sweepDueRate = 500 // rows per second
	queueRounds  = 5
	// sweepJavaBatch is as many rows as the sweeper's writes to four tablets have.
	sweepJavaBatch = 8000
)

// sweepKuduFlags have rows written to disk soon, as those of a queue are that wait
// for longer than minutes: deletes are much slower then.
var sweepKuduFlags = []string{"--flush_threshold_secs=3"}

// sweepFlushed is how long it takes until they are.
const sweepFlushed = 15 * time.Second

// measureSweep measures mode sweep, or the parts of it that are named; each figure
// stands next to its bar, and one that misses it is an error in the end.
func (b *bench) measureSweep(ctx context.Context) error {
	var err error
	for _, part := range []struct {
		name string
		fn   func(context.Context) error
	}{{"sweep-publish", b.publishQueue}, {"sweep-delete", b.sweepQueues}, {"sweep-latency", b.dueLatency}} {
		if b.names("sweep", part.name) {
			err = errors.Join(err, part.fn(ctx))
		}
	}
	return err
}

// withTool runs fn with the Java tool, whose heap and threads must not be around
// while we measure.
func (b *bench) withTool(ctx context.Context, fn func() error) (err error) {
	if b.tool, err = testenv.StartKuduTool(ctx, b.kudu.Masters()); err != nil {
		return err
	}
	return errors.Join(fn(), b.tool.Close())
}

func (b *bench) fillQueue(ctx context.Context, table, kind string, rows int64) error {
	_, err := b.tool.Generate(ctx, testenv.GenerateOptions{Table: table, Kind: kind, Create: true, Rows: rows}, nil)
	if err != nil {
		return fmt.Errorf("filling table %s: %w", table, err)
	}
	return nil
}

// sweepQueues compares sweeping with a bare loop of Java's, by a compound key and
// by a single integer.
func (b *bench) sweepQueues(ctx context.Context) error {
	queues := []struct {
		name, kind, due string
		rows            int64
		java            float64
	}{{"compound", "narrow", "event_time", b.queue / 3, 0}, {"single", "queue", "dequeue_time", b.intQueue, 0}}
	err := b.withTool(ctx, func() error {
		for _, q := range queues {
			if err := errors.Join(b.fillQueue(ctx, q.name, q.kind, q.rows), b.fillQueue(ctx, q.name+"-java", q.kind, q.rows)); err != nil {
				return err
			}
		}
		time.Sleep(sweepFlushed)
		for i := range queues {
			q := &queues[i]
			var err error
			if q.java, err = b.javaDeletes(ctx, testenv.GenerateOptions{Kind: q.kind, Rows: q.rows}, q.name+"-java"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, q := range queues {
		err = errors.Join(err, b.sweepAgainst(ctx, q.name, q.due, q.rows, q.java))
	}
	return err
}

// verdict prints a figure with its bar.
func verdict(met bool, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if met {
		fmt.Printf("  ok      %s\n", text)
		return nil
	}
	fmt.Printf("  MISSED  %s\n", text)
	return fmt.Errorf("missed: %s", text)
}

// javaDeletes is the bare loop: batches of DELETE_IGNORE, one after the other, each
// a request to every tablet. It gives rows per second.
func (b *bench) javaDeletes(ctx context.Context, o testenv.GenerateOptions, table string) (float64, error) {
	o.Table, o.Create, o.Op, o.Ordered, o.Batch = table, false, "delete_ignore", true, sweepJavaBatch
	began := time.Now()
	done, err := b.tool.Generate(ctx, o, nil)
	if err == nil && done.Rows != o.Rows {
		err = fmt.Errorf("%d rows were deleted, not %d: %v", done.Rows, o.Rows, done.Errors)
	}
	if err != nil {
		return 0, fmt.Errorf("deleting from table %s: %w", table, err)
	}
	return float64(o.Rows) / time.Since(began).Seconds(), nil
}

// publishQueue compares how quickly one table is published in both modes: in the
// order of its primary key, and in one that no index helps with, so that both have
// to sort. Rounds alternate, and the median counts.
func (b *bench) publishQueue(ctx context.Context) error {
	const (
		due       = "mode: sweep\nwhere: event_time <= now()\n"
		inOrder   = due + "sweep.order.by: event_time\n"
		unindexed = due + "sweep.order.by: amount, event_time DESC\n"
	)
	rate := func(table, lines string) (rows, memory float64, err error) {
		w, drop, err := b.startQueue(ctx, "of-"+table, table, lines)
		if err != nil {
			return 0, 0, err
		}
		defer drop()
		took, err := w.timeOf(ctx, ": task runs:", ": transaction committed:", "rows", b.queue)
		if err != nil {
			return 0, 0, err
		}
		if strings.Contains(lines, "mode: sweep") {
			if _, err := w.timeOf(ctx, ": sweep begins:", ": sweep written:", "rows", b.queue); err != nil {
				return 0, 0, err
			}
		}
		if _, memory, err = usage(w.Pid()); err != nil {
			return 0, 0, err
		}
		return float64(b.queue) / took.Seconds(), memory, w.finish(ctx)
	}
	var offsetRate, orderedRate, offsetSorted, sortedRate []float64
	for round := range queueRounds {
		ordered, sorted := fmt.Sprintf("ordered-%d", round), fmt.Sprintf("sorted-%d", round)
		err := b.withTool(ctx, func() error {
			return errors.Join(b.fillQueue(ctx, ordered, "narrow", b.queue), b.fillQueue(ctx, sorted, "narrow", b.queue))
		})
		if err != nil {
			return err
		}
		time.Sleep(sweepFlushed)
		unbounded := fmt.Sprintf("sweep.journal.max.rows: %d\n", b.queue)
		for _, m := range []struct {
			table, lines string
			rates        *[]float64
		}{
			{ordered, "mode: offset\n", &offsetRate}, {ordered, inOrder + unbounded, &orderedRate},
			{sorted, "mode: offset\nstreaming.key: amount, event_time\n", &offsetSorted}, {sorted, unindexed + unbounded, &sortedRate},
		} {
			rows, memory, err := rate(m.table, m.lines)
			if err != nil {
				return err
			}
			*m.rates = append(*m.rates, rows)
			fmt.Printf("  round %d: %.0f rows/s, %.0f MiB: %s\n", round+1, rows, memory, strings.ReplaceAll(m.lines, "\n", "; "))
		}
	}
	// With the journal's default, which holds publishing back.
	if err := b.withTool(ctx, func() error { return b.fillQueue(ctx, "remembered", "narrow", b.queue) }); err != nil {
		return err
	}
	time.Sleep(sweepFlushed)
	_, most, err := rate("remembered", unindexed)
	if err != nil {
		return err
	}
	compare := func(order string, offsets, rates []float64) error {
		offset, sweep := median(offsets), median(rates)
		return verdict(sweep >= sweepPublishBar*offset, "publishing %d rows %s: %.0f rows/s, %.2f of offset mode's %.0f (bar %.1f)", b.queue, order, sweep, sweep/offset, offset, sweepPublishBar)
	}
	return errors.Join(
		compare("in the order of the primary key", offsetRate, orderedRate),
		compare("in an order that no index helps with", offsetSorted, sortedRate),
		verdict(most < sweepMemoryBar, "peak memory with %d due rows out of order: %.0f MiB (bar %d)", b.queue, most, sweepMemoryBar),
	)
}

// sweepAgainst has all rows of a table published, and then swept at once.
func (b *bench) sweepAgainst(ctx context.Context, table, due string, rows int64, java float64) error {
	w, drop, err := b.startQueue(ctx, "sweep-"+table, table, fmt.Sprintf("mode: sweep\nwhere: %s <= now()\nsweep.interval.ms: 12000\nsweep.journal.max.rows: %d\n", due, 2*rows))
	if err != nil {
		return err
	}
	defer drop()
	took, err := w.timeOf(ctx, ": sweep begins:", ": sweep written:", "rows", rows)
	if err != nil {
		return err
	}
	rate := float64(rows) / took.Seconds()
	return errors.Join(
		verdict(rate >= sweepSweepBar*java, "sweeping %d rows of the %s key: %.0f rows/s, %.2f of a bare Java loop's %.0f (bar %.1f)", rows, table, rate, rate/java, java, sweepSweepBar),
		w.finish(ctx),
	)
}

// startQueue starts a worker that logs its steps.
func (b *bench) startQueue(ctx context.Context, name, table, lines string) (*worker, func(), error) {
	drop, err := b.makeTopic(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	w, err := b.startWorker(name, table, name, "log.level: trace\n", fmt.Sprintf("tasks.max: %d\nkey.columns: id\n%s", b.tasks, lines))
	if err != nil {
		drop()
		return nil, nil, err
	}
	return w, func() {
		w.drop()
		b.dropTopics(name, name+"-c-offsets")
	}, nil
}

// timeOf gives the time from the first line with one text until the numbers in the
// lines with another add up.
func (w *worker) timeOf(ctx context.Context, first, each, number string, total int64) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	value := regexp.MustCompile(` ` + number + `=([0-9]+)`)
	var began time.Time
	var sum, from int64
	for {
		line, next, err := w.WaitLineFrom(ctx, from, func(line string) bool {
			return began.IsZero() && strings.Contains(line, first) || strings.Contains(line, each)
		})
		if err != nil {
			return 0, fmt.Errorf("%d of %d %s in lines with %q: %w; end of the log:\n%s", sum, total, number, each, err, w.tail())
		}
		from = next
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse("2006-01-02T15:04:05.000Z0700", stamp)
		if err != nil {
			return 0, err
		}
		if began.IsZero() {
			began = at
		}
		m := value.FindStringSubmatch(line)
		if m == nil || !strings.Contains(line, each) {
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return 0, err
		}
		if sum += n; sum >= total {
			return at.Sub(began), nil
		}
	}
}

// dueLatency inserts rows that become due one after the other, and measures from
// then to their records. The connector is that of configs/retry-queue.yaml, with an
// order that no index helps with.
func (b *bench) dueLatency(ctx context.Context) error {
	const name = "due"
	c, err := kudu.New(kudu.Config{Masters: b.kudu.Masters()})
	if err != nil {
		return err
	}
	defer c.Close()
	table, err := c.CreateTable(ctx, kudu.TableSpec{Name: name, Replicas: 1, Columns: []kudu.Column{
		{Name: "due", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true},
		{Name: "priority", Type: kudu.Int32}, {Name: "payload", Type: kudu.String},
	}, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}}})
	if err != nil {
		return err
	}
	w, drop, err := b.startQueue(ctx, name, name, "mode: sweep\nwhere: due <= now()\nsweep.order.by: priority DESC, due\npoll.interval.ms: 50\npoll.interval.max.ms: 100\n")
	if err != nil {
		return err
	}
	defer drop()
	if _, err := w.awaitLine(ctx, ": task runs:", 30*time.Second); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &arrivals{acked: make(map[int64]time.Time), read: make(map[int64]time.Time)}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.consumeIDs(groupCtx, name, a) })
	group.Go(func() error {
		defer cancel()
		if err := b.insertDue(groupCtx, table, a); err != nil {
			return err
		}
		giveUp := time.Now().Add(20 * time.Second)
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
	p99 := a.quantile(0.99)
	return errors.Join(
		verdict(p99 < sweepLatencyBar, "from due to visible, %d rows/s due for %v: p50 %d ms, p99 %d ms, greatest %d ms (bar %v; load average %s)",
			sweepDueRate, b.steady, a.quantile(0.5).Milliseconds(), p99.Milliseconds(), a.quantile(1).Milliseconds(), sweepLatencyBar, loadAverage()),
		w.finish(context.WithoutCancel(ctx)),
	)
}

// insertDue inserts rows two seconds before they are due. Those of the first
// seconds don't count.
func (b *bench) insertDue(ctx context.Context, table *kudu.Table, a *arrivals) error {
	s := table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	const ahead, step = 2 * time.Second, 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	began := time.Now()
	id := int64(0)
	for due := began.Add(ahead); due.Sub(began) < latencyWarmUp+b.steady; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		for ; due.Before(time.Now().Add(ahead)); due = due.Add(time.Second / sweepDueRate) {
			row := table.NewRow()
			row.Set("due", due)
			row.Set("id", id)
			row.Set("priority", int32(id*7%10))
			row.Set("payload", "a job that failed and is tried again")
			if err := s.Apply(ctx, kudu.OpInsert, row); err != nil {
				return err
			}
			a.ack(id, id+1, due, due.Sub(began) > latencyWarmUp)
			id++
		}
		if _, err := s.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}
