package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const (
	// dueWithin is how far ahead of their time the jobs are written.
	dueWithin = 4 * time.Second
	// writeStep is the time between two batches of jobs.
	writeStep = 50 * time.Millisecond
	// shownJobs is how many of the latest records are shown.
	shownJobs = 6
)

// queueView is what is shown of a queue.
type queueView struct {
	waiting int64 // rows of the table
	journal int   // published and not yet swept
	latest  []string
}

func (v *view) queued(waiting int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.queue == nil {
		v.queue = &queueView{}
	}
	v.queue.waiting = waiting
}

func (v *view) journal(rows int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.queue != nil {
		v.queue.journal = rows
	}
}

// jobs takes the latest records.
func (v *view) jobs(records []*kgo.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.queue == nil {
		v.queue = &queueView{}
	}
	for _, r := range records {
		v.queue.latest = append(v.queue.latest, string(r.Value))
	}
	v.queue.latest = v.queue.latest[max(0, len(v.queue.latest)-shownJobs):]
}

// lines are none without a queue.
func (q *queueView) lines(written int64) []string {
	if q == nil {
		return nil
	}
	lines := []string{fmt.Sprintf("  table    %d jobs wait in it, %d are swept; journal %d", q.waiting, max(0, written-q.waiting), q.journal)}
	for _, job := range q.latest {
		lines = append(lines, "  job      "+job)
	}
	return lines
}

// createQueue makes the table that configs/retry-queue.yaml describes.
func (d *demo) createQueue(ctx context.Context) error {
	return d.tool.CreateTable(ctx, testenv.TableSpec{
		Name: d.conn.KuduTable,
		Columns: []testenv.ColumnSpec{
			{Name: "due", Type: "UNIXTIME_MICROS", Key: true},
			{Name: "id", Type: "INT64", Key: true},
			{Name: "priority", Type: "INT32"},
			{Name: "payload", Type: "STRING"},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 4}},
	})
}

// writeJobs writes jobs that are due within some seconds, each second as many as
// the rate says, until ctx ends. A batch that was begun is written whole.
func (d *demo) writeJobs(ctx context.Context) error {
	w := d.tool.NewWriter(d.conn.KuduTable)
	tick := time.NewTicker(writeStep)
	defer tick.Stop()
	began, id := time.Now(), int64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for target := int64(time.Since(began).Seconds() * float64(d.rate)); id < target; id++ {
			w.Write("insert", testenv.Row{
				"due": time.Now().Add(rand.N(dueWithin)).Truncate(time.Microsecond), "id": id,
				"priority": id * 7 % 10, "payload": fmt.Sprintf("try job %d again", id),
			})
		}
		if w.Pending() == 0 {
			continue
		}
		done, err := w.Flush(context.WithoutCancel(ctx))
		if err == nil && len(done.Errors) > 0 {
			err = errors.New(done.Errors[0].Message)
		}
		if err != nil {
			return err
		}
		d.view.wrote(id)
	}
}

// lookAtQueue counts the table's rows, again and again.
func (d *demo) lookAtQueue(ctx context.Context) error {
	again := time.NewTicker(lookInterval)
	defer again.Stop()
	for {
		left, err := d.countRows(ctx)
		if err != nil {
			return err
		}
		d.view.queued(left)
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *demo) countRows(ctx context.Context) (int64, error) {
	end, err := d.tool.Read(ctx, testenv.ReadOptions{Table: d.conn.KuduTable, Columns: []string{"id"}}, func(testenv.ReadRow) error { return nil })
	if err != nil {
		return 0, fmt.Errorf("counting the table's rows: %w", err)
	}
	return end.Rows, nil
}

// compareQueue waits until the table is empty, and says whether each job came
// once.
func (d *demo) compareQueue(ctx context.Context, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, dueWithin+settleLimit)
	defer cancel()
	written := d.view.jobsWritten()
	again := time.NewTicker(lookInterval / 4)
	defer again.Stop()
	for {
		left, err := d.countRows(ctx)
		if err != nil {
			return err
		}
		d.view.queued(left)
		count, _ := d.view.topicRows()
		if err := d.screen.draw(d.view.lines(time.Now())); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		switch {
		case count.twice > 0:
			return fmt.Errorf("the topic has %d jobs twice", count.twice)
		case count.rows > written:
			return fmt.Errorf("the topic has %d jobs, of %d that were written", count.rows, written)
		case count.rows == written && left == 0:
			d.screen.say("%d jobs were written, the topic has %d, each once; the table is empty", written, count.rows)
			return nil
		}
		select {
		case <-again.C:
		case err := <-failed:
			return err
		case <-d.run2k.Done():
			return fmt.Errorf("kudu2kafka ended by itself with exit code %d:\n%s", d.run2k.ExitCode(), testenv.Tail(d.run2k.Log(), 20))
		case <-ctx.Done():
			return fmt.Errorf("of %d jobs that were written the topic has %d, and the table %d; end of the log:\n%s", written, count.rows, left, strings.TrimSpace(testenv.Tail(d.run2k.Log(), 20)))
		}
	}
}

func (v *view) jobsWritten() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.written
}
