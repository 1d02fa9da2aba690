package connector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// walkPoller reads by a streaming key that Kudu can't order by, and leaves the
// rows in the order of the primary key (order: none). There is no sort. A walk
// reads a tablet at one pinned snapshot and publishes the rows whose streaming
// key is above the base, which is the position that the walk before it came to.
// What is stored on the way is the last primary key walked and the greatest
// order key published, which is the next walk's base.
//
// # Why nothing is lost and nothing comes twice
//
// Let B be the base, S the snapshot, G the greatest order key that the walk
// publishes. A whole walk publishes each row of S above B once: its scan is
// ordered by primary key, and goes on behind the last key that a committed
// transaction covers, at the same S. The next walk has the base G. A row that
// was not in S is published by it if its key is above G; if not, then a row
// with a greater key was there before it, so it is late, as it would be in any
// other order.
//
// If S is older than Kudu's history when a walk is to go on behind primary key
// P, the rest of S can't be read any more. Let G be the greatest order key so
// far. The walk is closed: it goes on behind P at a new snapshot, but only up
// to G, and the next walk has the base G.
//
//   - Rows in (B, G] behind P have not been published, since the walk has not
//     come there: they are now, also those that are new since S.
//   - Rows in (B, G] up to P: those of S have been published. Others are late:
//     G is the key of a row of S.
//   - Rows above G: none has been published, by G's making; all of them, before
//     and behind P, are above the next walk's base.
//
// Had the walk gone on without the bound G, its greatest key could have come
// from a row that is new since S, and rows up to P that are new too and below
// that key, but above all of S, would have been lost without being late.
type walkPoller struct{ reading }

// walk is a walk under way: what must be stored to go on with it.
type walk struct {
	base     []byte // order key that the rows are above; nil: none
	from     []byte // order key to begin at while base is nil
	until    []byte // order key to stop before; nil: none
	snapshot kudu.Timestamp
	after    []byte // encoded primary key of the last row walked; nil at the start
	greatest []byte // order key; nil: nothing published yet
	closed   bool   // rows above greatest are left to the next walk
}

func (w *walk) bounds() keyBounds {
	b := keyBounds{after: w.base, from: w.from, before: w.until}
	if w.closed {
		b.upto = w.greatest
	}
	return b
}

// renew replaces a snapshot that Kudu has no history of any more.
func (w *walk) renew() {
	w.snapshot = 0
	w.closed = w.greatest != nil
	if !w.closed {
		w.after = nil // nothing is published: begin anew
	}
}

func (p *walkPoller) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	if r.walk == nil {
		until, _, err := p.upperBound(ctx, r.id)
		if err != nil {
			return false, err
		}
		r.walk = &walk{base: r.hwm, from: r.from, until: until}
	} else if stop := p.plan.stop.key; stop != nil && (r.walk.until == nil || bytes.Compare(stop, r.walk.until) < 0) {
		r.walk.until = stop // configured since the walk began
	}
	began := time.Now()
	for {
		done, err := p.stretch(ctx, r, began, emit)
		if errors.Is(err, kudu.ErrSnapshotTooOld) && r.walk.snapshot != 0 {
			p.logger.Info("the snapshot of a walk is older than Kudu's history; it ends at a new one", "tablet", r.id)
			r.walk.renew()
			continue
		}
		if errors.Is(err, errNothingPasses) {
			return false, p.nothing(ctx, r, err)
		}
		if err != nil || !done {
			return err == nil, err
		}
		break
	}
	return p.finish(r, emit), ctx.Err()
}

// nothing ends a poll in which no row can meet where. A walk that has come
// somewhere stays there, even without a snapshot, lest the next walk publish its
// rows again; one that hasn't begins anew, with the bounds of then.
func (p *walkPoller) nothing(ctx context.Context, r *tabletReader, cause error) error {
	if r.walk.after == nil {
		r.walk = nil
	}
	_, whole, err := p.upperBound(ctx, r.id)
	if err != nil {
		return err
	}
	return p.foundNothing(r, whole, cause)
}

// stretch walks until the end, or until the task's other tablets want their
// turn.
func (p *walkPoller) stretch(ctx context.Context, r *tabletReader, began time.Time, emit func(*batch) bool) (done bool, err error) {
	w := r.walk
	where, err := p.pass(ctx, r.id)
	if err != nil {
		return false, err
	}
	bounds := w.bounds()
	preds, err := p.plan.order.pushed(bounds)
	if err != nil {
		return false, err
	}
	sc, err := p.table.Scan(r.id, kudu.ScanOptions{
		Columns: p.plan.columns, Ordered: true, After: w.after, Predicates: append(preds, pushed(where)...), Snapshot: w.snapshot,
		BatchBytes: p.batchBytes,
	})
	if err != nil {
		return false, err
	}
	defer sc.Close()
	var key []byte
	var sel []int32
	for {
		rows, err := p.next(ctx, sc, r.id)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		w.snapshot = max(w.snapshot, sc.Snapshot())
		if err != nil {
			return true, nil
		}
		b := &batch{
			order: p.plan.order, tablets: []*tabletReader{r}, rows: rows, snapshot: w.snapshot,
			keep: []int32{}, taken: make(chan struct{}),
		}
		next := *w
		sel = p.keep(where, rows, sel)
		met := batch{rows: rows, keep: sel}
		for n := range met.published() {
			row := met.row(n)
			if key = p.plan.order.appendKey(key[:0], rows, row); !bounds.hold(key) {
				continue
			}
			b.keep = append(b.keep, int32(row))
			if bytes.Compare(key, next.greatest) > 0 {
				next.greatest = bytes.Clone(key)
			}
		}
		next.after = p.plan.order.primaryKey(rows, rows.NumRows()-1)
		if len(b.keep) > 0 {
			b.walk = &walkBatch{start: *w, at: *w, keep: b.keep}
			if !emit(b) {
				return false, ctx.Err()
			}
		}
		// I4: what goes on goes on behind what was handed out.
		*w = next
		if time.Since(began) > scanTurn {
			return false, nil
		}
	}
}

// finish moves the tablet's position to the greatest key of the walk, and has
// that stored.
func (p *walkPoller) finish(r *tabletReader, emit func(*batch) bool) (more bool) {
	w := r.walk
	r.walk, r.shown = nil, w.snapshot
	if w.greatest != nil {
		if bytes.Compare(w.greatest, r.hwm) > 0 {
			r.hwm = w.greatest
		}
		end := &batch{
			tablets: []*tabletReader{r}, taken: make(chan struct{}), snapshot: w.snapshot,
			end: &point{key: r.hwm, snapshot: w.snapshot},
		}
		if !emit(end) {
			return false
		}
	}
	stop := p.plan.stop.key
	r.complete = stop != nil && !w.closed && bytes.Equal(w.until, stop) && p.stopPassed(w.snapshot)
	return w.closed
}

// walkBatch tells where a walk stands after any row of a batch.
type walkBatch struct {
	start, at walk
	keep      []int32
	next      int // of keep: what at doesn't cover yet
}

// pointAt is where the walk stands after a row.
func (wb *walkBatch) pointAt(o *order, rows *kudu.RowBatch, row int) point {
	if wb.next > 0 && int(wb.keep[wb.next-1]) > row {
		wb.at, wb.next = wb.start, 0 // asked for an earlier row than before
	}
	for ; wb.next < len(wb.keep) && int(wb.keep[wb.next]) <= row; wb.next++ {
		if key := o.appendKey(nil, rows, int(wb.keep[wb.next])); bytes.Compare(key, wb.at.greatest) > 0 {
			wb.at.greatest = key
		}
	}
	wb.at.after = o.primaryKey(rows, row)
	w := wb.at
	return point{key: w.base, snapshot: w.snapshot, walk: &w}
}
