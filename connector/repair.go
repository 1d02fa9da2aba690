package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Late rows are those that are inserted below a tablet's high-water mark after
// the scan that covered their place. With late.rows=repair they are found by
// diff scans, and published with a header that says so.
//
// The argument why none is missed and none is there twice. Let c(p) be the
// snapshot at which the place p of the tablet's order was covered, as coverage
// records it. What holds at any time is
//
//	(*) a row has been published for each place p up to the high-water mark that
//	    was taken at c(p); and since c(p), nothing was published for p.
//
// The main scan keeps it: it publishes the rows that it finds behind the mark at
// a snapshot S, in order, and covers the places up to each of them at S. A repair
// keeps it: for the places of one stretch, all covered at c, it takes a snapshot T
// above c. A diff scan of [c, T) shows each row that an operation in between has
// touched; the rows it doesn't show are as they were. Of those shown that are
// there at T, the ones that were there at c as well were updated, and their place
// is published by (*); the others are published now. From then on the place, and
// all before it in the stretch, are covered at T. No transaction has anything but
// rows and the coverage that they lead to (I1), so what is read back after a
// crash at any instant fulfils (*) again (I6).
//
// (*) needs that a scan at a snapshot shows all that was there, see guard.go. And
// it needs that a row stays in its place, which is so for keys that are a prefix
// of the primary key; repair_sorted.go has the others.
//
// Not published: a row that was deleted again before a repair came by; an update;
// and a row deleted and inserted again between two repairs, which nobody can tell
// from an update.

const (
	// maxStretches is how many stretches a tablet's coverage has, about, before
	// those behind the first are repaired to make them one, without waiting for
	// the interval: they are stored with each transaction. They hold what was read
	// since the last whole repair, so this costs little.
	maxStretches = 8
	// saveAfter is how long the progress of repairs that found nothing stays
	// unsaved, when no row gives cause for a transaction. A repair after a crash
	// begins where the last saved one ended, and that must be within the history
	// that Kudu keeps.
	saveAfter = 5 * time.Minute
)

// repairer is a way of repairing a tablet.
type repairer interface {
	// repair publishes the late rows up to the high-water mark that are there at
	// a new view.
	repair(ctx context.Context, r *tabletReader, emit func(*batch) bool) error
	// tidy makes few stretches of a tablet's coverage that has become many.
	tidy(ctx context.Context, r *tabletReader, emit func(*batch) bool) error
}

// repairDue repairs what it is time for.
func (rd *reading) repairDue(ctx context.Context, r *tabletReader, how repairer, emit func(*batch) bool) error {
	if !rd.late.repair {
		return nil
	}
	if r.hwm == nil {
		if time.Now().Before(r.repairAt) {
			return nil
		}
		// Nothing to repair; but a former leader that shows no row might be taken
		// for the leader for ever. A view finds out who leads.
		_, err := rd.view(ctx, r.id)
		r.repairAt = time.Now().Add(rd.late.interval)
		return err
	}
	if r.covered == nil {
		// Late rows weren't looked after when the position was stored: begin now.
		v, err := rd.view(ctx, r.id)
		if err != nil {
			return err
		}
		r.covered = r.covered.extend(r.hwm, v.at)
		return rd.saveCovered(ctx, r, emit)
	}
	if time.Now().Before(r.repairAt) && r.repairing == nil {
		return how.tidy(ctx, r, emit)
	}
	return rd.repairAll(ctx, r, how, emit)
}

// repairAll repairs the whole tablet, up to the high-water mark.
func (rd *reading) repairAll(ctx context.Context, r *tabletReader, how repairer, emit func(*batch) bool) error {
	began := time.Now()
	if err := how.repair(ctx, r, emit); err != nil {
		return err
	}
	r.repairAt = time.Now().Add(rd.late.interval)
	rd.logger.Trace("late rows repaired", "tablet", r.id, "took", time.Since(began))
	if r.unsaved.IsZero() {
		r.unsaved = began
	}
	if time.Since(r.unsaved) < saveAfter {
		return nil
	}
	return rd.saveCovered(ctx, r, emit)
}

// saveCovered stores the coverage by itself.
func (rd *reading) saveCovered(ctx context.Context, r *tabletReader, emit func(*batch) bool) error {
	p := r.covered.point()
	b := &batch{order: rd.plan.order, tablets: []*tabletReader{r}, end: &p, taken: make(chan struct{})}
	if !emit(b) {
		return ctx.Err()
	}
	r.unsaved = time.Time{}
	return nil
}

// placeRepairer repairs by keys that are a prefix of the primary key: stretch by
// stretch.
type placeRepairer struct{ *reading }

func (rd placeRepairer) repair(ctx context.Context, r *tabletReader, emit func(*batch) bool) error {
	return rd.repairBehind(ctx, r, nil, emit)
}

func (rd placeRepairer) tidy(ctx context.Context, r *tabletReader, emit func(*batch) bool) error {
	if len(r.covered) <= maxStretches {
		return nil
	}
	return rd.repairBehind(ctx, r, r.covered[0].upTo, emit)
}

// repairBehind publishes the late rows behind a key, up to the high-water mark,
// that are there at a new view.
func (rd placeRepairer) repairBehind(ctx context.Context, r *tabletReader, after []byte, emit func(*batch) bool) error {
	v, err := rd.view(ctx, r.id)
	if err != nil {
		return err
	}
	for _, p := range r.covered.older(after, v.at) {
		if err := rd.repairPart(ctx, r, p, v, emit); err != nil {
			if errors.Is(err, kudu.ErrSnapshotTooOld) {
				return tooLate(r, p.at, err)
			}
			return err
		}
	}
	return nil
}

// tooLate is the failure of a repair that comes after the history it needs is
// gone.
func tooLate(r *tabletReader, at kudu.Timestamp, err error) error {
	return &FatalError{fmt.Errorf("late rows of tablet %s can't be told any more: they are published up to %s, and Kudu keeps less history (kudu.table.history_max_age_sec of the table); start the connector once with late.rows: ignore, which gives up those that came since, then with repair again: %w",
		r.id, at, err)}
}

// repairPart repairs one stretch. A failure leaves it repaired up to the last
// batch handed out.
func (rd placeRepairer) repairPart(ctx context.Context, r *tabletReader, p part, v view, emit func(*batch) bool) error {
	where, err := rd.passOf(ctx, r.id, rd.plan.diffFilter)
	if errors.Is(err, errNothingPasses) {
		r.covered = r.covered.raise(p.after, p.upTo, v.at)
		return nil
	}
	if err != nil {
		return err
	}
	opts := v.in(kudu.ScanOptions{
		Predicates: pushed(where),
		Columns:    rd.plan.columns, Since: p.at, From: r.floor, After: p.after, To: rd.plan.order.behind(p.upTo), BatchBytes: rd.batchBytes,
	})
	sc, err := rd.table.Scan(r.id, opts)
	if err != nil {
		return err
	}
	defer sc.Close()
	past := &pastKeys{
		rd: rd.reading, tablet: r.id,
		opts:    v.as(p.at).in(kudu.ScanOptions{Columns: names(rd.plan.order.primary), To: opts.To}),
		primary: rd.plan.order.primaryPlaces,
	}
	defer past.close()
	b := &batch{order: rd.plan.order, tablets: []*tabletReader{r}, snapshot: v.at, late: true, taken: make(chan struct{})}
	var key []byte
	late := make([]int32, 0, 64)
	for {
		rows, err := rd.next(ctx, sc, r.id)
		if errors.Is(err, io.EOF) {
			r.covered = r.covered.raise(p.after, p.upTo, v.at)
			return nil
		}
		if err != nil {
			return err
		}
		b.rows, b.lateAfter, b.lateUpTo = rows, p.after, p.upTo
		b.keep = rd.keep(where, rows, b.keep)
		late = late[:0]
		for i := range b.published() {
			row := b.row(i)
			if key = rd.plan.order.appendKey(key[:0], rows, row); bytes.Compare(key, p.upTo) > 0 {
				break
			}
			if rows.Deleted(row) {
				continue
			}
			there, err := past.has(ctx, key)
			if err != nil {
				return err
			}
			if !there {
				late = append(late, int32(row))
			}
		}
		b.keep, late = late, b.keep
		if len(b.keep) > 0 {
			if !emit(b) {
				return ctx.Err()
			}
			r.unsaved = time.Time{}
		}
		// The rows are in the order of their places: Kudu's own.
		reached := rd.plan.order.appendKey(nil, rows, rows.NumRows()-1)
		if bytes.Compare(reached, p.upTo) >= 0 {
			reached = p.upTo
		}
		r.covered = r.covered.raise(p.after, reached, v.at)
	}
}
