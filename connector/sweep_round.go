package connector

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// round publishes what passes over all groups of tablets find, piece by piece. More
// says that it has left some of that.
func (s *sweepTask) round(ctx context.Context) (rows int, more bool, err error) {
	ahead := s.pickAhead(ctx)
	defer ahead.close()
	backlog := false
	for {
		select {
		case err := <-s.sweeper.failed:
			return rows, false, s.sweepFailed(ctx, err)
		default:
		}
		p, err := ahead.next(ctx)
		if err != nil {
			return rows, false, err
		}
		if p == nil {
			more = ahead.denied()
			break
		}
		if p.err != nil {
			return rows, false, p.err
		}
		if p.batch == nil {
			s.passed(p.group, false)
			continue
		}
		s.picked(p.group, p.batch)
		rows += p.batch.published()
		backlog = backlog || p.more
		s.allowSweeps(backlog)
		if err := s.publishPicked(ctx, p.batch, nil); err != nil {
			return rows, false, s.keepWhole(ctx, err)
		}
		s.picker.recycle(p.batch)
		s.passed(p.group, p.more)
		if s.tx.open && time.Since(s.tx.began) >= s.limits.age {
			if err := s.closeOld(ctx); err != nil {
				return rows, false, err
			}
		}
	}
	if ctx.Err() != nil {
		return rows, false, context.Cause(ctx)
	}
	s.done = append(s.done, s.sweeper.take()...)
	if s.tx.open || len(s.done) > 0 || s.stillOurs() {
		err = s.commitDone(ctx)
	}
	s.releaseAll()
	s.allowSweeps(more && !s.full())
	return rows, more, err
}

// closeOld ends a transaction that has been open for as long as it may be.
func (s *sweepTask) closeOld(ctx context.Context) error {
	if !s.tx.open {
		return nil
	}
	s.done = append(s.done, s.sweeper.take()...)
	return s.close(ctx)
}

// allowSweeps has sweeping come behind publishing, as long as there is room in the
// journal for what is published.
func (s *sweepTask) allowSweeps(backlog bool) {
	switch {
	case !backlog:
		s.sweeper.allow(sweepsAtOnce)
	case 2*(s.liveRows+s.unswept()) < s.plan.journalRows:
		s.sweeper.allow(0)
	default:
		s.sweeper.allow(sweepsBehind)
	}
}

// stillOurs has a task that has nothing to do commit its positions now and then.
// If another worker had fenced it and gone again, it wouldn't notice otherwise, and
// the journal that the other one left would stay.
func (s *sweepTask) stillOurs() bool {
	if s.plan.action == sweepNone || len(s.groups) == 0 || time.Since(s.committedAt) < s.idleCommit {
		return false
	}
	for _, group := range s.groups {
		for _, r := range group.tablets {
			if r.shown != 0 {
				s.snapshots[r.id] = r.shown
			}
		}
	}
	return len(s.snapshots) > 0
}

// pickAhead runs the passes of a round, some of them at the same time, and while
// what they have found before is published. It belongs to the task's goroutine.
type pickAhead struct {
	s      *sweepTask
	pass   func(g *queueGroup, limit int) (*batch, error)
	cancel context.CancelFunc
	// left are read when their turn has come, which is once in a round: what was
	// picked of them before must be in the journal. goOn have been, and have rows
	// left.
	left, goOn []*queueGroup
	expired    bool // what one of them had left
	running    []*pickedRows
	pending    int // rows that were given and aren't produced yet
	done       chan *pickedRows
	wg         sync.WaitGroup
}

// pickedRows is the outcome of a pass.
type pickedRows struct {
	group *queueGroup
	limit int
	// goesOn says that it goes on with what the group has left.
	goesOn bool
	batch  *batch // nil: no rows
	more   bool   // there are more
	err    error
}

// pickAhead begins a round. Each begins with other tablets, so that none starves
// while the journal is full.
func (s *sweepTask) pickAhead(ctx context.Context) *pickAhead {
	ctx, cancel := context.WithCancel(ctx)
	a := &pickAhead{
		s: s, cancel: cancel, done: make(chan *pickedRows, scansAtOnce),
		pass: func(g *queueGroup, limit int) (*batch, error) { return s.picker.pass(ctx, g, limit) },
	}
	if n := len(s.groups); n > 0 {
		for i := range n {
			if g := s.groups[(s.turn+i)%n]; g.live() {
				a.goOn = append(a.goOn, g)
			} else {
				a.left = append(a.left, g)
			}
		}
	}
	return a
}

// next gives a pass that has ended; nil when there is none, or no room in the
// journal. What the pass has left is picked meanwhile. The rows that were given
// before are produced by now. While it waits the open transaction doesn't grow older
// than it may.
func (a *pickAhead) next(ctx context.Context) (*pickedRows, error) {
	a.pending = 0
	a.start()
	if len(a.running) == 0 {
		return nil, nil
	}
	if !slices.ContainsFunc(a.running, func(p *pickedRows) bool { return p.goesOn }) {
		a.s.sweeper.allow(sweepsAtOnce) // there is nothing to publish for now
	}
	var p *pickedRows
	for p == nil {
		select {
		case p = <-a.done:
		case <-a.s.tx.timer.C:
			if err := a.s.closeOld(ctx); err != nil {
				return nil, err
			}
		}
	}
	a.running = slices.DeleteFunc(a.running, func(r *pickedRows) bool { return r == p })
	if p.batch != nil {
		a.pending = p.batch.published()
	}
	if p.more {
		a.goOn = append(a.goOn, p.group)
		a.start()
	}
	return p, nil
}

// denied reports whether there was no room, or no time, for what is left.
func (a *pickAhead) denied() bool { return len(a.goOn) > 0 || len(a.left) > 0 || a.expired }

// start begins passes. Tablets are read and sorted one after the other, and not while
// something sorted is left: a sort may wait for memory, and this task must hold none
// then that it gives back only after it.
func (a *pickAhead) start() {
	for len(a.running) < scansAtOnce {
		limit := min(a.s.plan.batchRows, a.room())
		if limit < a.s.leastRoom() {
			return
		}
		p := &pickedRows{limit: limit}
		switch {
		case len(a.goOn) > 0:
			p.group, p.goesOn, a.goOn = a.goOn[0], true, a.goOn[1:]
			if !p.group.live() {
				a.expired = true // it is read anew in the next round
				continue
			}
		case len(a.left) > 0 && (a.s.plan.streams || len(a.running) == 0):
			p.group, a.left = a.left[0], a.left[1:]
			a.s.turn = slices.Index(a.s.groups, p.group) + 1
			a.s.picker.pin(p.group)
		default:
			return
		}
		a.running = append(a.running, p)
		a.wg.Go(func() {
			p.batch, p.err = a.pass(p.group, p.limit)
			p.more = p.group.backlog != nil
			a.done <- p
		})
	}
}

// room is how many more rows may be picked.
func (a *pickAhead) room() int {
	if a.s.plan.action == sweepNone {
		return a.s.plan.batchRows
	}
	room := a.s.plan.journalRows - a.s.liveRows - a.s.unswept() - a.pending
	for _, p := range a.running {
		room -= p.limit
	}
	return room
}

// close ends the passes that nobody waits for.
func (a *pickAhead) close() {
	a.cancel()
	a.wg.Wait()
	for _, p := range a.running {
		p.group.drop() // what it has picked is not published
	}
}

// leastRoom is the room in the journal that a pass is worth: it may look at all
// that is due.
func (s *sweepTask) leastRoom() int { return min(s.plan.batchRows, max(1, s.plan.journalRows/4)) }

// full reports whether rows have to be swept before more can be published.
func (s *sweepTask) full() bool {
	return s.plan.action != sweepNone && s.plan.journalRows-s.liveRows < s.leastRoom()
}

// unswept is the number of rows of the open transaction.
func (s *sweepTask) unswept() int {
	n := 0
	for _, open := range s.rows {
		n += open.n
	}
	for _, e := range s.fresh {
		n += e.len()
	}
	return n
}

// publishPicked produces the rows, ending transactions on the way when they are
// full.
func (s *sweepTask) publishPicked(ctx context.Context, b *batch, mark []kgo.RecordHeader) error {
	now := time.Now()
	headers := s.headersFor(b, mark)
	journalled := mark == nil && s.plan.action != sweepNone
	var open *openRows // of the tablet of the row before
	for row := range b.published() {
		if row%stopCheck == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.ensureOpen(ctx); err != nil {
			return err
		}
		size, err := s.produce(ctx, b, row, now, headers.of(b, row))
		if err != nil {
			return err
		}
		s.tx.rows++
		s.tx.bytes += int64(size)
		if mark != nil {
			continue // close is at work
		}
		if tablet := b.tablet(row).id; open == nil || open.tablet != tablet {
			open = s.rowsOf(tablet)
			s.snapshots[tablet] = b.snapshot
		}
		if journalled {
			s.key = s.reading.plan.order.appendKey(s.key[:0], b.rows, row)
			open.add(s.key, s.digest.of(b.rows, row))
			if s.plan.streams && open.n >= s.journalAfter {
				if err := s.journal(ctx, open); err != nil {
					return err
				}
			}
		}
		if s.tx.rows >= s.limits.rows || s.tx.bytes >= s.limits.bytes {
			if err := s.close(ctx); err != nil {
				return err
			}
			open = nil
		}
	}
	return nil
}

// keepWhole commits the rows before one that was refused.
func (s *sweepTask) keepWhole(ctx context.Context, cause error) error {
	var refused *FatalError
	if !errors.As(cause, &refused) || !s.tx.open || s.tx.rows == 0 {
		return cause
	}
	if err := s.close(ctx); err != nil {
		return err
	}
	return cause
}

// headersFor are the headers of a batch's records.
func (s *sweepTask) headersFor(b *batch, mark []kgo.RecordHeader) batchHeaders {
	all := make(batchHeaders, len(b.tablets))
	for n, tablet := range b.tablets {
		if s.headers {
			all[n] = rowHeaders(s.table, tablet.id, b.snapshot, modeSweep)
		}
		all[n] = append(all[n], mark...)
	}
	return all
}

// rehearse counts what passes would publish and sweep.
func (s *sweepTask) rehearse(ctx context.Context) error {
	if s.liveRows > 0 {
		s.logger.Warn("dry run: rows that were published before have yet to be swept; they stay in the journal", "rows", s.liveRows)
	}
	last := -1
	for {
		n := 0
		for _, group := range s.groups {
			s.picker.pin(group)
			b, err := s.picker.pass(ctx, group, s.plan.batchRows)
			group.drop()
			if err != nil {
				return s.stopped(ctx, err)
			}
			if b != nil {
				n += b.published()
				s.picker.recycle(b)
			}
		}
		if n != last {
			s.logger.Info("dry run: a pass would publish and sweep these rows", "rows", n, "action", s.plan.action)
			last = n
		}
		select {
		case <-time.After(max(s.pace.max, s.plan.interval)):
		case <-s.changed:
			return errChanged
		case <-ctx.Done():
			return nil
		}
	}
}
