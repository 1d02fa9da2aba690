package connector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// prefixPoller reads by a streaming key that is a prefix of the primary key:
// ordered scans at a snapshot that the tablet server chooses, each from behind
// the last row that was handed out. There is no sort and no buffer; a poll costs
// one seek.
type prefixPoller struct{ reading }

func (p *prefixPoller) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	if more, err = p.round(ctx, r, emit); p.again(r, err) {
		return true, nil
	}
	return more, err
}

// round repairs, if it is time to, and reads what is new.
func (p *prefixPoller) round(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	how := placeRepairer{&p.reading}
	if err := p.repairDue(ctx, r, how, emit); err != nil {
		return false, err
	}
	upper, whole, err := p.upperBound(ctx, r.id)
	if err != nil {
		return false, err
	}
	where, err := p.pass(ctx, r.id)
	if err != nil {
		return false, p.foundNothing(r, whole, err)
	}
	bounds := kudu.ScanOptions{From: r.from, After: r.hwm, To: upper, Predicates: pushed(where)}
	if p.late.guarded() {
		if !r.backlog && p.late.guard == guardBarrier {
			// A barrier is a write: only when there is something to read, or to
			// be sure of.
			some, at, err := p.probe(ctx, r.id, bounds)
			r.shown = at
			if err != nil || !some && !(whole && p.stopPassed(at)) {
				return false, err
			}
		}
		v, err := p.view(ctx, r.id)
		if err != nil {
			return false, err
		}
		bounds = v.in(bounds)
	}
	bounds.Columns, bounds.Ordered, bounds.BatchBytes = p.plan.columns, true, p.batchBytes
	snapshot, more, err := p.scan(ctx, r, bounds, where, emit)
	r.backlog, r.shown = more, snapshot
	if err != nil || more || !whole || !p.stopPassed(snapshot) {
		return more, err
	}
	if p.late.repair && r.hwm != nil {
		if err := p.repairAll(ctx, r, how, emit); err != nil {
			return false, err
		}
	}
	r.complete = true
	return false, nil
}

// scan hands out the rows within the bounds, for as long as the tablet's turn
// is.
func (p *prefixPoller) scan(ctx context.Context, r *tabletReader, opts kudu.ScanOptions, where *predicate.Bound, emit func(*batch) bool) (snapshot kudu.Timestamp, more bool, err error) {
	sc, err := p.table.Scan(r.id, opts)
	if err != nil {
		return 0, false, err
	}
	defer sc.Close()
	began := time.Now()
	b := &batch{order: p.plan.order, tablets: []*tabletReader{r}, taken: make(chan struct{})}
	for {
		rows, err := p.next(ctx, sc, r.id)
		if errors.Is(err, io.EOF) {
			return sc.Snapshot(), false, nil
		}
		if err != nil {
			return 0, false, err
		}
		b.rows, b.snapshot = rows, sc.Snapshot()
		b.keep = p.keep(where, rows, b.keep)
		after := p.plan.order.appendKey(nil, rows, rows.NumRows()-1)
		if !emit(b) {
			return 0, false, ctx.Err()
		}
		// I4: the next scan begins behind what was handed out, whatever becomes
		// of this one.
		p.advance(r, after, b.snapshot)
		if err := p.leaveOut(ctx, r, rows.NumRows(), b.published(), b.snapshot, emit); err != nil {
			return 0, false, err
		}
		if time.Since(began) > scanTurn {
			return sc.Snapshot(), true, nil
		}
	}
}

// advance puts the reader behind what was handed out.
func (rd *reading) advance(r *tabletReader, key []byte, at kudu.Timestamp) {
	r.hwm = key
	if rd.late.repair {
		r.covered = r.covered.extend(key, at)
	}
}

// leftOutRows is how many rows of a tablet where may leave out, one after the
// other, before the position behind them is stored without a row. About so many,
// a scan of a second, are read again after a restart. Whoever is idle has none,
// and opens no transaction.
const leftOutRows = 200_000

// leaveOut notes how many of the rows up to the high-water mark were published,
// and has that mark stored when too many were not.
func (rd *reading) leaveOut(ctx context.Context, r *tabletReader, rows, published int, at kudu.Timestamp, emit func(*batch) bool) error {
	if published > 0 {
		r.publishes()
		return nil
	}
	if r.leftOut += rows; rd.leftOutRows == 0 || r.leftOut < rd.leftOutRows {
		return nil
	}
	r.leftOut = 0
	if rd.late.repair {
		return rd.saveCovered(ctx, r, emit)
	}
	end := &batch{order: rd.plan.order, tablets: []*tabletReader{r}, end: &point{key: r.hwm, snapshot: at}, taken: make(chan struct{})}
	if !emit(end) {
		return ctx.Err()
	}
	return nil
}

// upperBound is the order key that this poll must stay below, nil without; and
// whether it is offset.stop, so that a poll to its end has read everything.
func (rd *reading) upperBound(ctx context.Context, tablet string) (key []byte, whole bool, err error) {
	stop := rd.plan.stop.key
	if rd.settle == 0 {
		return stop, stop != nil, nil
	}
	now, err := rd.serverTime(ctx, tablet)
	if err != nil {
		return nil, false, err
	}
	settled, err := rd.plan.order.bound([]any{timeValue(rd.plan.order.columns[0], now.Add(-rd.settle))})
	if err != nil {
		return nil, false, err
	}
	if stop != nil && bytes.Compare(stop, settled) <= 0 {
		return stop, true, nil
	}
	return settled, false, nil
}

// serverTime is the latest time that the cluster has told. This machine's clock
// may be off by more than settle.delay.ms.
func (rd *reading) serverTime(ctx context.Context, tablet string) (time.Time, error) {
	at, err := rd.observed(ctx, tablet)
	return at.Time(), err
}

// stopPassed reports whether no more rows below offset.stop are to be waited
// for, given that a scan at the snapshot has read all there are. When the key
// begins with a time, rows of that time may come until it has passed.
func (rd *reading) stopPassed(snapshot kudu.Timestamp) bool {
	if rd.plan.stop.time.IsZero() {
		return true
	}
	return snapshot.Time().Add(-rd.settle).After(rd.plan.stop.time)
}

// timeValue is t as a value of a time column.
func timeValue(c kudu.Column, t time.Time) any {
	if c.Type == kudu.Date {
		// The day itself isn't over: only the days before are settled.
		return t.UTC().Truncate(24 * time.Hour)
	}
	return t
}
