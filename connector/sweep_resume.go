package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// How a sweeper finishes what another run of the task has begun.

// resume finishes a journal that another run has stored. The request id of its
// write is used up first, so that this run learns of the write, and a process
// that wakes up can't send it later: servers answer an id that they know with
// the first W.
//
// Is that W from before the look, the write was carried out then, and its rows
// are audited at it. Else it was not carried out, or its server has forgotten
// it. As long as servers can be trusted to remember, a row of the journal that is
// there and unchanged settles that: the write would have swept it. Otherwise the
// time at which rows went is searched for in their history.
func (s *sweeper) resume(ctx context.Context, out *sweptEntry, p *presence) error {
	e := out.sweepEntry
	trusted := p.view.at.Time().Sub(kudu.Timestamp(e.journal.Snapshot).Time()) < s.trust
	var first []int
	if trusted {
		first = p.unchanged
	}
	w, err := s.write(ctx, e, e.journal.Request, first, p.deadline)
	if err != nil {
		return err
	}
	switch {
	case w.Timestamp < p.view.at:
		if err := s.explain(ctx, out, p, w); err != nil {
			return err
		}
	case trusted && len(p.unchanged) > 0:
		out.counts.Changed += int64(len(p.changed))
		out.counts.Gone += int64(len(p.gone))
		return s.settle(ctx, out, p.unchanged, w)
	default:
		if err := s.reconstruct(ctx, out, p, kudu.Timestamp(e.journal.Snapshot)); err != nil {
			return err
		}
	}
	out.counts.Changed += int64(len(p.changed))
	return s.writeAndAudit(ctx, out, newRequest(), p.unchanged, p.deadline)
}

// auditAt audits the rows that went at a write of another run, whichever they
// are, and takes them from what is to be done: one that is there again is a new
// row. It gives all rows as they were after the write.
func (s *sweeper) auditAt(ctx context.Context, out *sweptEntry, p *presence, at view) (after []rowState, err error) {
	next := at
	next.at++
	if after, _, err = s.keys.read(ctx, out.sweepEntry, out.all(), next, nil); err != nil {
		return nil, err
	}
	before, err := s.before(ctx, out, out.all(), at, func(i int) bool { return after[i].gone(s.action) })
	if err != nil {
		return nil, err
	}
	went := func(i int) bool { return !before[i].gone(s.action) && after[i].gone(s.action) }
	for _, rows := range []*[]int{&p.unchanged, &p.changed, &p.gone} {
		for _, i := range *rows {
			if went(i) {
				out.count(i, before[i], s.action)
			}
		}
		*rows = slices.DeleteFunc(*rows, went)
	}
	out.written = max(out.written, at.at)
	return after, nil
}

// explain finds out what a write did that another run has sent. Rows that were
// there after it and are gone may have been swept later, by a write whose id is
// not known.
func (s *sweeper) explain(ctx context.Context, out *sweptEntry, p *presence, w kudu.Written) error {
	after, err := s.auditAt(ctx, out, p, viewOf(w))
	if err != nil {
		return err
	}
	p.gone = slices.DeleteFunc(p.gone, func(i int) bool {
		gone := after[i].gone(s.action)
		if gone {
			out.counts.Gone++ // before the write
		}
		return gone
	})
	return s.reconstruct(ctx, out, p, w.Timestamp)
}

// historyEdge is how near the end of the history that Kudu keeps is looked for. It
// moves on meanwhile.
const historyEdge = time.Second

// reconstruct finds out when rows went since then that a write may have swept
// which nobody remembers, and what they were just before. Rows that go at one
// timestamp were in one write. Whose write it was can't be told: the last values
// of a row that somebody else changed and deleted meanwhile are published too.
func (s *sweeper) reconstruct(ctx context.Context, out *sweptEntry, p *presence, since kudu.Timestamp) error {
	forgotten := false // whether since is before the history
	lost := 0
	for len(p.gone) > 0 {
		row := p.gone[0]
		lo, hi := since, p.view.at
		// The row was there at lo, unless that can't be read.
		unreadable := func() bool { return forgotten && lo == since }
		for hi-lo > 1 && (!unreadable() || hi > lo.Add(historyEdge)) {
			mid := lo + (hi-lo)/2
			states, _, err := s.keys.read(ctx, out.sweepEntry, p.gone[:1], p.view.as(mid), nil)
			switch {
			case errors.Is(err, kudu.ErrSnapshotTooOld):
				lo, since, forgotten = mid, mid, true // for the other rows too
			case err != nil:
				return err
			case states[row].gone(s.action):
				hi = mid
			default:
				lo = mid
			}
		}
		if unreadable() {
			there, err := s.stillThere(ctx, out, p, hi)
			forgotten = errors.Is(err, kudu.ErrSnapshotTooOld) // it has moved on
			if err != nil && !forgotten {
				return err
			}
			if since = hi; !forgotten {
				lost += len(p.gone) - len(there)
				p.gone = there
			}
			continue
		}
		if _, err := s.auditAt(ctx, out, p, p.view.as(lo)); err != nil {
			return err
		}
		if len(p.gone) > 0 && p.gone[0] == row { // it has been gone all the time
			out.counts.Gone++
			p.gone = p.gone[1:]
		}
	}
	if lost > 0 {
		s.keys.logger.Warn("published rows went before the history that Kudu keeps: they can't be audited", "tablet", out.key.Tablet, "rows", lost)
		out.counts.Gone += int64(lost)
	}
	return nil
}

// stillThere gives those of the rows that are gone by now which were there then.
func (s *sweeper) stillThere(ctx context.Context, out *sweptEntry, p *presence, then kudu.Timestamp) ([]int, error) {
	if then == p.view.at {
		return nil, nil
	}
	states, _, err := s.keys.read(ctx, out.sweepEntry, p.gone, p.view.as(then), nil)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(p.gone), func(i int) bool { return states[i].gone(s.action) }), nil
}

// refresh makes the digests anew, from the rows as they were published, when the
// table's columns are no longer those that they were made of: what was dropped
// can't be compared, and changes of what was added must not be missed.
func (s *sweeper) refresh(ctx context.Context, e *sweepEntry) error {
	columns := digestColumns(s.keys.table.Schema())
	if !e.restored || slices.Equal(columns, e.journal.Columns) {
		return nil
	}
	// A replica that doesn't know that it was deposed may lack some of the rows.
	now, err := s.keys.look(ctx, e)
	if err != nil {
		return err
	}
	e.journal.Columns = columns
	then, _, err := s.keys.read(ctx, e, e.all(), now.as(kudu.Timestamp(e.journal.Snapshot)), nil)
	if err != nil {
		err = fmt.Errorf("reading %d journalled rows of tablet %s as they were published, since the table's columns have changed: %w", e.rows.len(), e.key.Tablet, err)
		if errors.Is(err, kudu.ErrSnapshotTooOld) {
			return &FatalError{fmt.Errorf("%w: whether they were changed since can't be told any more; once you have decided about them, delete the journal %s from the offsets topic", err, e.key.ID)}
		}
		return err
	}
	lacks := 0
	for i := range e.rows.digests {
		if !then[i].there {
			lacks++
		}
		e.rows.digests[i] = then[i].digest
	}
	if lacks > 0 { // another replica may have them
		return fmt.Errorf("reading %d journalled rows of tablet %s as they were published, since the table's columns have changed: the replica that was read lacks %d of them", e.rows.len(), e.key.Tablet, lacks)
	}
	return nil
}
