package connector

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// The values of order.scope.
const (
	scopeTablet = "tablet"
	scopeTable  = "table"
)

const (
	// mergeRows and mergeBytes end a merged batch.
	mergeRows  = 8192
	mergeBytes = 1 << 20
	// mergeBudget is what the open scans of a merge may hold together.
	mergeBudget     = 32 << 20
	leastMergeBatch = 16 << 10
)

// mergePoller reads all tablets at one snapshot, each by an ordered scan, and
// merges them: the rows come in the order of the table. It streams; in memory
// are two batches per tablet, the smaller the more tablets there are.
//
// Each tablet keeps a position of its own. A row that is inserted between two
// polls above its tablet's position, but below another's, is published by the
// next poll, behind its betters, rather than left out.
type mergePoller struct {
	reading
	readers []*tabletReader // one for each tablet; the polled one stands for all
}

// stream is one tablet's part in a merge.
type stream struct {
	reader *tabletReader
	index  uint16 // of the reader
	sc     *kudu.Scanner
	where  *predicate.Bound
	read   *reading
	rows   *kudu.RowBatch
	keep   []int32 // the rows to publish; nil means all
	next   int     // place in keep, or in rows without
	row    int     // the present one
	key    []byte  // its order key

	last    []byte // order key of the last row that was read
	leftOut int    // rows behind the last one to publish
}

// advance goes to the next row; it reports whether there is one.
func (s *stream) advance(ctx context.Context, o *order) (bool, error) {
	for s.rows == nil || s.next == s.left() {
		rows, err := s.read.next(ctx, s.sc, s.reader.id)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		s.take(rows)
	}
	s.row = s.next
	if s.keep != nil {
		s.row = int(s.keep[s.next])
	}
	s.next++
	s.key = o.appendKey(s.key[:0], s.rows, s.row)
	return true, nil
}

// take begins another batch.
func (s *stream) take(rows *kudu.RowBatch) {
	s.rows, s.next = rows, 0
	s.keep = s.read.keep(s.where, rows, s.keep)
	s.last = s.read.plan.order.appendKey(s.last[:0], rows, rows.NumRows()-1)
	switch {
	case s.keep == nil:
		s.leftOut = 0
	case len(s.keep) == 0:
		s.leftOut += rows.NumRows()
	default:
		s.leftOut = rows.NumRows() - 1 - int(s.keep[len(s.keep)-1])
	}
}

// left is how many rows of the batch are to be published.
func (s *stream) left() int {
	if s.keep != nil {
		return len(s.keep)
	}
	return s.rows.NumRows()
}

type streamHeap []*stream

func (h streamHeap) Len() int           { return len(h) }
func (h streamHeap) Less(i, j int) bool { return string(h[i].key) < string(h[j].key) }
func (h streamHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *streamHeap) Push(x any)        { *h = append(*h, x.(*stream)) }
func (h *streamHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	*h = old[:len(old)-1]
	return s
}

func (p *mergePoller) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	if more, err = p.round(ctx, r, emit); p.again(r, err) {
		return true, nil
	}
	return more, err
}

func (p *mergePoller) round(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	how := placeRepairer{&p.reading}
	for _, reader := range p.readers {
		if err := p.repairDue(ctx, reader, how, emit); err != nil {
			return false, err
		}
	}
	upper, whole, err := p.upperBound(ctx, p.readers[0].id)
	if err != nil {
		return false, err
	}
	var views []view
	if p.late.guarded() {
		if p.late.guard == guardBarrier {
			// A barrier is a write: only when there is something to read, or to
			// be sure of.
			m, err := p.open(ctx, upper, nil, true)
			m.close()
			r.shown = m.snapshot
			if err != nil || len(m.heap) == 0 && !(whole && p.stopPassed(m.snapshot)) {
				return false, p.foundNothing(r, whole, err)
			}
		}
		if views, err = p.views(ctx, p.readers); err != nil {
			return false, err
		}
	}
	m, err := p.open(ctx, upper, views, false)
	defer m.close()
	if err != nil {
		return false, p.foundNothing(r, whole, err)
	}
	if err := m.run(ctx, emit); err != nil {
		return false, err
	}
	if err := m.leaveOut(ctx, emit); err != nil {
		return false, err
	}
	r.shown = m.snapshot
	if !whole || !p.stopPassed(m.snapshot) {
		return false, nil
	}
	for _, reader := range p.readers {
		if p.late.repair && reader.hwm != nil {
			if err := p.repairAll(ctx, reader, how, emit); err != nil {
				return false, err
			}
		}
	}
	r.complete = true
	return false, nil
}

// open starts a scan of each tablet: at the views, or without them all at the
// snapshot that the first one's server chooses. A probe reads no more than it
// takes to know whether there are rows. What is returned is to be closed, also
// with an error.
func (p *mergePoller) open(ctx context.Context, upper []byte, views []view, probe bool) (*merge, error) {
	size := max(leastMergeBatch, min(p.batchBytes, mergeBudget/(2*len(p.readers))))
	m := &merge{reading: &p.reading, readers: p.readers}
	if views != nil {
		m.snapshot = views[0].at
	}
	for i, r := range p.readers {
		where, err := p.pass(ctx, r.id)
		if err != nil {
			return m, err
		}
		opts := kudu.ScanOptions{
			Predicates: pushed(where),
			Columns:    p.plan.columns, Ordered: true, From: r.from, After: r.hwm, To: upper, BatchBytes: size, Snapshot: m.snapshot,
		}
		if views != nil {
			opts = views[i].in(opts)
		}
		if probe {
			// Whatever where says of it: that row may be left out, and others be behind.
			opts.Limit, where = 1, nil
		}
		sc, err := p.table.Scan(r.id, opts)
		if err != nil {
			return m, err
		}
		s := &stream{reader: r, index: uint16(i), sc: sc, where: where, read: &p.reading}
		m.streams = append(m.streams, s)
		if m.snapshot != 0 {
			continue
		}
		rows, err := p.next(ctx, sc, r.id)
		if err != nil && !errors.Is(err, io.EOF) {
			return m, err
		}
		if err == nil {
			s.take(rows)
		}
		m.snapshot = sc.Snapshot()
	}
	for _, s := range m.streams {
		some, err := s.advance(ctx, p.plan.order)
		if err != nil {
			return m, err
		}
		if some {
			m.heap = append(m.heap, s)
		}
	}
	heap.Init(&m.heap)
	return m, nil
}

// merge is one poll under way.
type merge struct {
	reading  *reading
	readers  []*tabletReader
	streams  []*stream
	heap     streamHeap // the streams that have rows left
	snapshot kudu.Timestamp
}

// close ends the scans.
func (m *merge) close() {
	for _, s := range m.streams {
		_ = s.sc.Close()
	}
}

// leaveOut puts the readers behind the rows that where has left out, once all
// others have been handed out.
func (m *merge) leaveOut(ctx context.Context, emit func(*batch) bool) error {
	for _, s := range m.streams {
		if s.leftOut == 0 {
			continue
		}
		m.reading.advance(s.reader, bytes.Clone(s.last), m.snapshot)
		if err := m.reading.leaveOut(ctx, s.reader, s.leftOut, 0, m.snapshot, emit); err != nil {
			return err
		}
	}
	return nil
}

// run emits all rows in order.
func (m *merge) run(ctx context.Context, emit func(*batch) bool) error {
	if len(m.heap) == 0 {
		return nil
	}
	builder := kudu.NewBatchBuilder(m.heap[0].rows.Schema())
	order := m.reading.plan.order
	b := &batch{order: order, tablets: m.readers, snapshot: m.snapshot, taken: make(chan struct{})}
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
			m.reading.advance(r, order.appendKey(nil, b.rows, row), m.snapshot)
			r.publishes()
		})
		builder.Reset()
		b.from = b.from[:0]
		return nil
	}
	for len(m.heap) > 0 {
		s := m.heap[0]
		builder.AppendFrom(s.rows, s.row)
		b.from = append(b.from, s.index)
		if builder.NumRows() >= mergeRows || builder.Bytes() >= mergeBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		some, err := s.advance(ctx, order)
		if err != nil {
			return err
		}
		if some {
			heap.Fix(&m.heap, 0)
		} else {
			heap.Pop(&m.heap)
		}
	}
	return flush()
}
