package connector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Late rows by a key that Kudu can't order by. What differs from repair.go is
// that a row can move: an update of a column of the streaming key gives it
// another place in the order. So nothing can be said of places, only of rows.
//
// A stretch of the coverage, from place a to place b at snapshot c, is a claim
// here:
//
//	(*) each row that lay within (a, b] at c has been published.
//
// A row is known if there is a claim that holds for it, whichever it is. A
// repair takes a snapshot T, not before any c, and publishes the rows that lie
// up to the high-water mark at T and are not known, in the order of their places
// at T. How far it has come, to place x, is a claim beside the stretches: the
// rows that lay up to x at T. At its end one claim takes the place of all: the
// rows that lay up to the mark at T.
//
// Nothing is lost: by (*) only what has been published is known. What lies
// above the mark at T is left to the main scan, which publishes all it finds
// there.
//
// Nothing comes twice that has stayed at or below the mark: a row is known as
// soon as it is published, by the stretch that the main scan has made or by the
// repair's claim. Claims end only with a whole repair, and by its end all rows
// that lie up to the mark at T are known by the new one. This is why a repair is
// of the whole tablet at one T, and goes on at that T after a crash: were a
// stretch raised to T alone, as in repair.go, a row that had moved from there to
// another stretch would be known no more.
//
// A row that is moved above the mark is new: the main scan publishes it again,
// as it does without repair. If it comes back before that, a repair does, unless
// none has seen it above.
//
// To find the rows that aren't known, a diff scan from the oldest c to T is
// enough. A row that it doesn't show lay at its present place all the time, so
// also at the snapshot of the stretch that its place is in.

const (
	// mostStretches is where a coverage has enough stretches for a repair in any
	// case; with more than maxStretches there is one if repairs then take no more
	// than one part in repairShare of the time. Each is of the whole tablet.
	mostStretches = 32
	repairShare   = 20
)

// repairPoint says how far a repair has come that isn't at its end: rows that lay
// up to a place at its snapshot are published.
type repairPoint struct {
	upTo []byte // order key; nil: none yet
	at   kudu.Timestamp
}

func (p *sortedPoller) tidy(ctx context.Context, r *tabletReader, emit func(*batch) bool) error {
	rest := time.Since(r.repaired) >= repairShare*r.repairTook
	if n := len(r.covered); n > mostStretches || n > maxStretches && rest {
		return p.repair(ctx, r, emit)
	}
	return nil
}

// repair publishes the late rows of a tablet. One that didn't come to its end is
// taken up where it was.
func (p *sortedPoller) repair(ctx context.Context, r *tabletReader, emit func(*batch) bool) error {
	began := time.Now()
	v, err := p.view(ctx, r.id)
	if err != nil {
		return err
	}
	done := repairPoint{at: v.at}
	if r.repairing != nil {
		done = *r.repairing
	}
	oldest, latest := r.covered.span()
	if done.at < latest || done.at == oldest {
		return nil // it would be an earlier state than what is covered, or the same
	}
	if err := p.repairTo(ctx, r, v, done, oldest, emit); err != nil {
		if errors.Is(err, kudu.ErrSnapshotTooOld) {
			return tooLate(r, oldest, err)
		}
		return err
	}
	begun := r.repairing != nil
	r.covered, r.repairing = coverage(nil).extend(r.hwm, done.at), nil
	r.repaired, r.repairTook = time.Now(), time.Since(began)
	if begun {
		// The transaction of its last rows takes its end with it.
		return p.saveCovered(ctx, r, emit)
	}
	return nil
}

// repairTo publishes the late rows as of a snapshot, behind what is done.
func (p *sortedPoller) repairTo(ctx context.Context, r *tabletReader, v view, done repairPoint, oldest kudu.Timestamp, emit func(*batch) bool) error {
	sorter := extsort.NewSorter(p.budget, p.directory)
	defer func() { _ = sorter.Close() }() // files have no names: nothing is left of them
	if err := p.collectLate(ctx, sorter, r, v, done, oldest); err != nil {
		return ignoreNothing(err)
	}
	if sorter.Len() == 0 {
		return nil
	}
	if err := sorter.Sort(ctx); err != nil {
		return err
	}
	p.logger.Debug("late rows sorted", "tablet", r.id, "rows", sorter.Len(), "spilled_bytes", sorter.Spilled())
	b := &batch{order: p.plan.order, tablets: []*tabletReader{r}, snapshot: done.at, late: true, taken: make(chan struct{})}
	return p.drain(ctx, sorter, b, emit, func() {
		r.repairing = &repairPoint{upTo: p.plan.order.appendKey(nil, b.rows, b.rows.NumRows()-1), at: done.at}
		r.unsaved = time.Time{}
	})
}

// collectLate puts the rows that are to be published into the sorter.
func (p *sortedPoller) collectLate(ctx context.Context, sorter *extsort.Sorter, r *tabletReader, v view, done repairPoint, oldest kudu.Timestamp) error {
	where, err := p.passOf(ctx, r.id, p.plan.diffFilter)
	if err != nil {
		return err
	}
	sc, err := p.table.Scan(r.id, v.as(done.at).in(kudu.ScanOptions{
		Predicates: pushed(where), Columns: p.plan.columns, Since: oldest, BatchBytes: p.batchBytes,
	}))
	if err != nil {
		return err
	}
	defer sc.Close()
	known, err := p.claims(r, v)
	if err != nil {
		return err
	}
	defer known.close()
	bounds := keyBounds{after: done.upTo, from: r.floor, upto: r.hwm}
	add := adder(ctx, sorter, 0)
	var place []byte
	var sel []int32
	for {
		rows, err := p.next(ctx, sc, r.id)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sel = p.keep(where, rows, sel)
		b := batch{rows: rows, keep: sel}
		for n := range b.published() {
			i := b.row(n)
			if place = p.plan.order.appendKey(place[:0], rows, i); rows.Deleted(i) || !bounds.hold(place) {
				continue
			}
			hold, err := known.hold(ctx, place, p.plan.order.primaryKey(rows, i))
			if err != nil {
				return err
			}
			if hold {
				continue
			}
			if err := add(place, rows, i); err != nil {
				return err
			}
		}
	}
}

// claims are those of a tablet's coverage, in the order of their places.
type claims []*claim

// claim is that the rows within bounds, at the snapshot that past shows, have
// been published.
type claim struct {
	bounds keyBounds
	past   *pastKeys
	places []int // of the order's columns in what past shows
	key    []byte
}

// claims are to be closed.
func (p *sortedPoller) claims(r *tabletReader, v view) (claims, error) {
	o := p.plan.order
	columns := columnsOf(o)
	places := o.placesIn(columns)
	var all claims
	for _, s := range r.covered.parts() {
		bounds := keyBounds{after: s.after, from: r.floor, upto: s.upTo}
		preds, err := o.pushed(bounds)
		if err != nil {
			return nil, err
		}
		all = append(all, &claim{bounds: bounds, places: places, past: &pastKeys{
			rd: &p.reading, tablet: r.id, primary: places[len(o.streaming):],
			opts: v.as(s.at).in(kudu.ScanOptions{Columns: columns, Predicates: preds}),
		}})
	}
	return all, nil
}

func (c claims) close() {
	for _, one := range c {
		one.past.close()
	}
}

// hold reports whether a row is known, given its present place. It is asked in
// the order of the primary key.
func (c claims) hold(ctx context.Context, place, primary []byte) (bool, error) {
	// Most rows have stayed where they were, or else are from where rows come.
	own, _ := slices.BinarySearchFunc(c, place, func(c *claim, place []byte) int { return bytes.Compare(c.bounds.upto, place) })
	if own < len(c) {
		if hold, err := c[own].holds(ctx, primary); hold || err != nil {
			return hold, err
		}
	}
	for i := len(c) - 1; i >= 0; i-- {
		if i == own {
			continue
		}
		if hold, err := c[i].holds(ctx, primary); hold || err != nil {
			return hold, err
		}
	}
	return false, nil
}

func (c *claim) holds(ctx context.Context, primary []byte) (bool, error) {
	there, err := c.past.has(ctx, primary)
	if err != nil || !there {
		return false, err
	}
	// Kudu knows the bounds on the first column only.
	c.key = kudu.AppendKey(c.key[:0], c.past.rows, c.places, c.past.row)
	return c.bounds.hold(c.key), nil
}
