package connector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

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
	if err = p.round(ctx, r, readers, emit); p.again(r, err) {
		return true, nil
	}
	return false, err
}

// round repairs, if it is time to, and reads what is new.
func (p *sortedPoller) round(ctx context.Context, r *tabletReader, readers []*tabletReader, emit func(*batch) bool) error {
	for _, reader := range readers {
		if err := p.repairDue(ctx, reader, p, emit); err != nil {
			return err
		}
	}
	upper, whole, err := p.upperBound(ctx, readers[0].id)
	if err != nil {
		return err
	}
	views := make([]view, len(readers))
	if p.late.guarded() {
		if p.late.guard == guardBarrier && !r.backlog {
			// A barrier is a write: only when there is something to read, or to
			// be sure of. Rows mostly come after rows, so there is no looking then.
			some, at, err := p.some(ctx, readers, upper)
			r.shown = at
			if err != nil || !some && !(whole && p.stopPassed(at)) {
				return p.foundNothing(r, whole, err)
			}
		}
		if views, err = p.views(ctx, readers); err != nil {
			return err
		}
	}
	snapshot, err := p.sorted(ctx, r, readers, views, upper, emit)
	if err != nil {
		return p.foundNothing(r, whole, err)
	}
	if r.shown = snapshot; !whole || !p.stopPassed(snapshot) {
		return nil
	}
	for _, reader := range readers {
		if p.late.repair && reader.hwm != nil {
			if err := p.repairAll(ctx, reader, p, emit); err != nil {
				return err
			}
		}
	}
	r.complete = true
	return nil
}

// some reports whether there is a row to publish, at the present of the servers,
// which it gives.
func (p *sortedPoller) some(ctx context.Context, readers []*tabletReader, upper []byte) (some bool, at kudu.Timestamp, err error) {
	for i, r := range readers {
		opts := kudu.ScanOptions{BatchBytes: pastBatchBytes}
		snapshot, err := p.within(ctx, r, upper, opts, func([]byte, *kudu.RowBatch, int) error { return errFound })
		if err != nil {
			return errors.Is(err, errFound), 0, ignoreFound(err)
		}
		if i == 0 || snapshot < at {
			at = snapshot
		}
	}
	return false, at, nil
}

// errFound ends a scan that has found what it looked for.
var errFound = errors.New("found")

func ignoreFound(err error) error {
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// sorted hands out what is new, at the views or at what the servers choose.
func (p *sortedPoller) sorted(ctx context.Context, r *tabletReader, readers []*tabletReader, views []view, upper []byte, emit func(*batch) bool) (snapshot kudu.Timestamp, err error) {
	sorter := extsort.NewSorter(p.budget, p.directory)
	defer func() { _ = sorter.Close() }() // files have no names: nothing is left of them
	for i, reader := range readers {
		v := views[i]
		v.at = max(v.at, snapshot) // all at the same
		seen, err := p.within(ctx, reader, upper, v.in(kudu.ScanOptions{BatchBytes: p.batchBytes}), adder(ctx, sorter, i))
		if err != nil {
			return 0, err
		}
		snapshot = max(snapshot, seen)
	}
	r.backlog = sorter.Len() > 0
	if !r.backlog {
		return snapshot, nil
	}
	if err := sorter.Sort(ctx); err != nil {
		return 0, err
	}
	p.logger.Debug("rows sorted", "tablet", r.id, "rows", sorter.Len(), "spilled_bytes", sorter.Spilled())
	b := &batch{order: p.plan.order, tablets: readers, snapshot: snapshot, taken: make(chan struct{})}
	return snapshot, p.drain(ctx, sorter, b, emit, func() {
		// I4: the next poll begins behind what was handed out.
		b.last(b.rows.NumRows()-1, func(r *tabletReader, row int) {
			p.advance(r, p.plan.order.appendKey(nil, b.rows, row), snapshot)
			r.publishes()
		})
	})
}

// adder puts rows into the sorter, each as the number of its reader and the
// packed row.
func adder(ctx context.Context, sorter *extsort.Sorter, n int) func(key []byte, rows *kudu.RowBatch, row int) error {
	packed := binary.AppendUvarint(nil, uint64(n))
	head := len(packed)
	return func(key []byte, rows *kudu.RowBatch, row int) error {
		packed = rows.AppendPacked(packed[:head], row)
		return sorter.Add(ctx, key, packed)
	}
}

// within calls fn with each row of a tablet that is to be published, and its
// order key, in the order of the primary key. Without a snapshot the server
// chooses it; it is returned.
func (p *sortedPoller) within(ctx context.Context, r *tabletReader, upper []byte, opts kudu.ScanOptions, fn func(key []byte, rows *kudu.RowBatch, row int) error) (kudu.Timestamp, error) {
	where, err := p.pass(ctx, r.id)
	if err != nil {
		return 0, err
	}
	bounds := keyBounds{after: r.hwm, from: r.from, before: upper}
	preds, err := p.plan.order.pushed(bounds)
	if err != nil {
		return 0, err
	}
	// In order only because such a scan goes on at another replica.
	opts.Columns, opts.Ordered, opts.Predicates = p.plan.columns, true, slices.Concat(preds, pushed(where))
	sc, err := p.table.Scan(r.id, opts)
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	var key []byte
	var sel []int32
	for {
		rows, err := p.next(ctx, sc, r.id)
		if errors.Is(err, io.EOF) {
			return max(opts.Snapshot, sc.Snapshot()), nil
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
			if err := fn(key, rows, i); err != nil {
				return 0, err
			}
		}
	}
}

// drain emits the sorted rows, in batches made of b, and calls handed when one
// was handed out.
func (p *sortedPoller) drain(ctx context.Context, sorter *extsort.Sorter, b *batch, emit func(*batch) bool, handed func()) error {
	schema, err := p.table.Schema().Project(p.plan.columns...)
	if err != nil {
		return err
	}
	builder := kudu.NewBatchBuilder(schema)
	flush := func() error {
		if builder.NumRows() == 0 {
			return nil
		}
		b.rows = builder.Batch()
		if !emit(b) {
			return context.Cause(ctx)
		}
		handed()
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
		if size <= 0 || n >= uint64(len(b.tablets)) {
			return fmt.Errorf("a sorted row names reader %d of %d", n, len(b.tablets))
		}
		if err := builder.AppendPacked(row[size:]); err != nil {
			return fmt.Errorf("taking a sorted row: %w", err)
		}
		if len(b.tablets) > 1 {
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
