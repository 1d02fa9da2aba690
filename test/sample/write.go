package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// flushes is how many times per second rows are sent.
const flushes = 10

var users = []string{"ann", "bob", "cem", "dora", "eva", "finn", "gwen", "hugo"}

// writer gives each row a time and an id above all it gave before, so that rows
// come in the order of the primary key and no id comes twice.
type writer struct {
	session *kudu.Session
	row     *kudu.Row
	last    int64 // event_time of the last row, in microseconds
	id      int64
	written int64
}

// write inserts rows until there are enough or ctx ends. What was applied is then
// written still.
func write(ctx context.Context, client *kudu.Client, s settings, out io.Writer) error {
	var table *kudu.Table
	err := again(ctx, s, out, "write", func(ctx context.Context) (err error) {
		table, err = client.OpenTable(ctx, s.table)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	w := &writer{session: table.NewSession(kudu.SessionOptions{}), row: table.NewRow(), id: time.Now().UnixMicro()}
	defer func() { _ = w.session.Close() }()

	fmt.Fprintf(out, "writing %d rows per second to table %s\n", s.rate, s.table)
	began := time.Now()
	tick := time.NewTicker(time.Second / flushes)
	defer tick.Stop()
	report := began.Add(10 * time.Second)
	for s.rows == 0 || w.written < s.rows {
		select {
		case <-ctx.Done():
			fmt.Fprintf(out, "stopped: %d rows are written\n", w.written)
			return nil
		case <-tick.C:
		}
		due := int64(time.Since(began).Seconds()*float64(s.rate)) - w.written
		if s.rows > 0 {
			due = min(due, s.rows-w.written)
		}
		// After a stop of the machine: catch up without one huge batch.
		if err := w.insert(context.WithoutCancel(ctx), min(due, int64(s.rate))); err != nil {
			return err
		}
		if now := time.Now(); now.After(report) {
			fmt.Fprintf(out, "%d rows are written\n", w.written)
			report = now.Add(10 * time.Second)
		}
	}
	fmt.Fprintf(out, "done: %d rows are written\n", w.written)
	return nil
}

// insert writes n rows and waits until they are stored.
func (w *writer) insert(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range n {
		w.id++
		w.last = max(w.last+1, time.Now().UnixMicro())
		w.row.Reset()
		w.row.SetInt(0, w.last)
		w.row.SetInt(1, w.id)
		w.row.SetString(2, users[w.id%int64(len(users))])
		w.row.SetFloat(3, float64(100+w.id*7919%9900)/100)
		if err := w.session.Apply(ctx, kudu.OpInsert, w.row); err != nil {
			return fmt.Errorf("writing a row: %w", err)
		}
	}
	done, err := w.session.Flush(ctx)
	w.written += int64(done.Rows)
	if err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	return nil
}
