package connector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// sortedPoller reads by a streaming key that Kudu can't order by: one scan at a
// snapshot, with the bound on the first column of the key pushed down; what
// lies within the whole bound is sorted, on disk when it is more than
// sort.memory.bytes, and handed out in order. The sort stays open until
// everything is published, so a backlog is read and sorted once. After a crash
// the next poll reads what is above the stored position anew, at a snapshot of
// its own: rows that had been sorted and not published are above it.
type sortedPoller struct {
	reading
	sorting
	// readers are all tablets with order.scope table, whose rows are sorted
	// together; nil: the polled tablet alone.
	readers []*tabletReader
}

// sorting is where sorts get their memory and disk.
type sorting struct {
	budget    *extsort.Budget
	directory string
}

func (p *sortedPoller) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	readers := p.readers
	if readers == nil {
		readers = []*tabletReader{r}
	}
	upper, whole, err := p.upperBound(ctx, readers[0].id)
	if err != nil {
		return false, err
	}
	sorter := extsort.NewSorter(p.budget, p.directory)
	defer func() { _ = sorter.Close() }() // files have no names: nothing is left of them
	var snapshot kudu.Timestamp
	for i, reader := range readers {
		if snapshot, err = p.collect(ctx, sorter, reader, i, upper, snapshot); err != nil {
			return false, ignoreNothing(err)
		}
	}
	if sorter.Len() > 0 {
		if err := sorter.Sort(ctx); err != nil {
			return false, err
		}
		p.logger.Debug("rows sorted", "tablet", r.id, "rows", sorter.Len(), "spilled_bytes", sorter.Spilled())
		if err := p.drain(ctx, sorter, readers, snapshot, emit); err != nil {
			return false, err
		}
	}
	r.shown = snapshot
	r.complete = whole && p.stopPassed(snapshot)
	return false, nil
}

// collect puts a tablet's rows within the bounds into the sorter, each as the
// number of its reader and the packed row. Without a snapshot the server
// chooses it.
func (p *sortedPoller) collect(ctx context.Context, sorter *extsort.Sorter, r *tabletReader, n int, upper []byte, snapshot kudu.Timestamp) (kudu.Timestamp, error) {
	where, err := p.pass(ctx, r.id)
	if err != nil {
		return 0, err
	}
	bounds := keyBounds{after: r.hwm, from: r.from, before: upper}
	preds, err := p.plan.order.pushed(bounds)
	if err != nil {
		return 0, err
	}
	sc, err := p.table.Scan(r.id, kudu.ScanOptions{
		// In order only because such a scan goes on at another replica.
		Columns: p.plan.columns, Ordered: true, Predicates: append(preds, pushed(where)...), Snapshot: snapshot, BatchBytes: p.batchBytes,
	})
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	var key []byte
	var sel []int32
	row := binary.AppendUvarint(nil, uint64(n))
	head := len(row)
	for {
		rows, err := p.next(ctx, sc, r.id)
		if errors.Is(err, io.EOF) {
			return max(snapshot, sc.Snapshot()), nil
		}
		if err != nil {
			return 0, err
		}
		sel = p.keep(where, rows, sel)
		b := batch{rows: rows, keep: sel}
		for n := range b.published() {
			i := b.row(n)
			if key = p.plan.order.appendKey(key[:0], rows, i); !bounds.hold(key) {
				continue
			}
			row = rows.AppendPacked(row[:head], i)
			if err := sorter.Add(ctx, key, row); err != nil {
				return 0, err
			}
		}
	}
}

// drain emits the sorted rows.
func (p *sortedPoller) drain(ctx context.Context, sorter *extsort.Sorter, readers []*tabletReader, snapshot kudu.Timestamp, emit func(*batch) bool) error {
	schema, err := p.table.Schema().Project(p.plan.columns...)
	if err != nil {
		return err
	}
	builder := kudu.NewBatchBuilder(schema)
	b := &batch{order: p.plan.order, tablets: readers, snapshot: snapshot, taken: make(chan struct{})}
	flush := func() error {
		if builder.NumRows() == 0 {
			return nil
		}
		b.rows = builder.Batch()
		if !emit(b) {
			return context.Cause(ctx)
		}
		// I4: the next poll begins behind what was handed out.
		b.last(b.rows.NumRows()-1, func(r *tabletReader, row int) {
			r.hwm = p.plan.order.appendKey(nil, b.rows, row)
		})
		builder.Reset()
		b.from = b.from[:0]
		return nil
	}
	for {
		_, row, err := sorter.Next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return err
		}
		n, size := binary.Uvarint(row)
		if size <= 0 || n >= uint64(len(readers)) {
			return fmt.Errorf("a sorted row names reader %d of %d", n, len(readers))
		}
		if err := builder.AppendPacked(row[size:]); err != nil {
			return fmt.Errorf("taking a sorted row: %w", err)
		}
		if len(readers) > 1 {
			b.from = append(b.from, uint16(n))
		}
		if builder.NumRows() >= mergeRows || builder.Bytes() >= mergeBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// keyBounds is a range of order keys; nil is no bound.
type keyBounds struct {
	after  []byte // exclusive; it takes the place of from
	from   []byte // inclusive
	before []byte // exclusive
	upto   []byte // inclusive
}

// hold reports whether a row's order key lies within.
func (b *keyBounds) hold(key []byte) bool {
	if b.after != nil {
		if bytes.Compare(key, b.after) <= 0 {
			return false
		}
	} else if bytes.Compare(key, b.from) < 0 {
		return false
	}
	return (b.before == nil || bytes.Compare(key, b.before) < 0) && (b.upto == nil || bytes.Compare(key, b.upto) <= 0)
}

// pushed gives predicates on the first column of the order that every row
// within the bounds meets. Others may meet them too, above all rows that share
// the first column's value with a bound.
func (o *order) pushed(b keyBounds) ([]kudu.Predicate, error) {
	first := o.columns[0]
	var preds []kudu.Predicate
	lower := b.from
	if b.after != nil {
		lower = b.after
	}
	if lower != nil {
		v, err := o.first(lower)
		switch {
		case err != nil:
			return nil, err
		case isNaN(v):
			// Kudu takes no NaN in a predicate. In its order, as in ours, NaNs
			// aren't below infinity.
			preds = append(preds, kudu.GreaterEqual(first.Name, math.Inf(1)))
		case first.AutoIncrementing && b.after != nil:
			preds = append(preds, kudu.Greater(first.Name, v)) // no two rows of a tablet share it
		default:
			preds = append(preds, kudu.GreaterEqual(first.Name, v))
		}
	}
	for _, bound := range [][]byte{b.before, b.upto} {
		if bound == nil {
			continue
		}
		v, err := o.first(bound)
		if err != nil {
			return nil, err
		}
		if isNaN(v) {
			continue // what is above all numbers bounds none of them
		}
		least, err := o.bound([]any{v})
		if err != nil {
			return nil, err
		}
		if bytes.Equal(least, b.before) {
			preds = append(preds, kudu.Less(first.Name, v))
		} else {
			preds = append(preds, kudu.LessEqual(first.Name, v))
		}
	}
	return preds, nil
}

// first is the value of an order key's first column.
func (o *order) first(key []byte) (any, error) {
	values, err := kudu.DecodeKey(o.columns, key)
	if err != nil {
		return nil, fmt.Errorf("reading an order key: %w", err)
	}
	return values[0], nil
}

func isNaN(v any) bool {
	switch f := v.(type) {
	case float32:
		return f != f
	case float64:
		return f != f
	}
	return false
}
