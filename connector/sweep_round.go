package connector

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// round is one pass over all tablets. More says that there may be more at once.
func (s *sweepTask) round(ctx context.Context) (rows int, more bool, err error) {
	ahead := s.pickAhead(ctx)
	defer ahead.close()
	for {
		select {
		case err := <-s.sweeper.failed:
			return rows, false, s.sweepFailed(ctx, err)
		default:
		}
		p := ahead.next()
		if p == nil {
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
		n := p.batch.published()
		rows += n
		more = more || n == p.limit
		if err := s.publishPicked(ctx, p.batch, nil); err != nil {
			return rows, false, s.keepWhole(ctx, err)
		}
		s.picker.recycle(p.batch)
		s.passed(p.group, n == p.limit)
	}
	if ctx.Err() != nil {
		return rows, false, context.Cause(ctx)
	}
	s.done = append(s.done, s.sweeper.take()...)
	if s.tx.open || len(s.done) > 0 || s.stillOurs() {
		err = s.commitDone(ctx)
	}
	s.releaseAll()
	s.sweeper.publishing(more && !s.full())
	return rows, more, err
}

// stillOurs has a task that has nothing to do commit its positions now and then.
// If another worker had fenced it and gone again, it wouldn't notice otherwise, and
// the journal that the other one left would stay.
func (s *sweepTask) stillOurs() bool {
	if s.plan.action == sweepNone || len(s.groups) == 0 || time.Since(s.committedAt) < s.idleCommit {
		return false
	}
	for _, group := range s.groups {
		for _, r := range group {
			if r.shown != 0 {
				s.snapshots[r.id] = r.shown
			}
		}
	}
	return len(s.snapshots) > 0
}

// pickAhead runs the passes of a round, some of them at the same time, and
// before it is their turn to be published. It belongs to the task's goroutine.
type pickAhead struct {
	s       *sweepTask
	pass    func(tablets []*tabletReader, limit int) (*batch, error)
	cancel  context.CancelFunc
	left    [][]*tabletReader
	running []*pickedRows // in the order of their turn
	wg      sync.WaitGroup
}

// pickedRows is the outcome of a pass, once done is closed.
type pickedRows struct {
	group []*tabletReader
	limit int
	done  chan struct{}
	batch *batch // nil: no rows
	err   error
}

// pickAhead begins a round. Each begins with other tablets, so that none starves
// while the journal is full.
func (s *sweepTask) pickAhead(ctx context.Context) *pickAhead {
	ctx, cancel := context.WithCancel(ctx)
	a := &pickAhead{s: s, cancel: cancel, pass: func(tablets []*tabletReader, limit int) (*batch, error) {
		return s.picker.pass(ctx, tablets, limit)
	}}
	if n := len(s.groups); n > 0 {
		at := s.turn % n
		a.left = slices.Concat(s.groups[at:], s.groups[:at])
		s.turn++
	}
	return a
}

// next gives the next pass that has ended; nil when there is none, or no room
// in the journal.
func (a *pickAhead) next() *pickedRows {
	for len(a.running) < scansAtOnce && len(a.left) > 0 {
		limit := min(a.s.plan.batchRows, a.room())
		if limit < a.s.leastRoom() {
			break
		}
		p := &pickedRows{group: a.left[0], limit: limit, done: make(chan struct{})}
		a.left = a.left[1:]
		a.running = append(a.running, p)
		a.wg.Go(func() {
			defer close(p.done)
			p.batch, p.err = a.pass(p.group, limit)
		})
	}
	if len(a.running) == 0 {
		return nil
	}
	p := a.running[0]
	a.running = a.running[1:]
	<-p.done
	return p
}

// leastRoom is the room in the journal that a pass is worth: it may look at all
// that is due.
func (s *sweepTask) leastRoom() int { return min(s.plan.batchRows, max(1, s.plan.journalRows/4)) }

// full reports whether rows have to be swept before more can be published.
func (s *sweepTask) full() bool {
	return s.plan.action != sweepNone && s.plan.journalRows-s.liveRows < s.leastRoom()
}

// room is how many more rows may be picked.
func (a *pickAhead) room() int {
	if a.s.plan.action == sweepNone {
		return a.s.plan.batchRows
	}
	room := a.s.plan.journalRows - a.s.liveRows - a.s.unswept()
	for _, p := range a.running {
		room -= p.limit
	}
	return room
}

// close ends the passes that nobody waits for.
func (a *pickAhead) close() {
	a.cancel()
	a.wg.Wait()
}

// unswept is the number of rows of the open transaction.
func (s *sweepTask) unswept() int {
	n := 0
	for _, rows := range s.rows {
		n += len(rows)
	}
	return n
}

// publishPicked produces the rows, ending transactions on the way when they are
// full.
func (s *sweepTask) publishPicked(ctx context.Context, b *batch, mark []kgo.RecordHeader) error {
	now := time.Now()
	headers := s.headersFor(b, mark)
	for row := range b.published() {
		if row%stopCheck == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.ensureOpen(ctx); err != nil {
			return err
		}
		tablet := b.tablet(row).id
		size, err := s.produce(ctx, b, row, now, headers.of(b, row))
		if err != nil {
			return err
		}
		s.tx.rows++
		s.tx.bytes += int64(size)
		if mark != nil {
			continue // close is at work
		}
		s.snapshots[tablet] = b.snapshot
		if s.plan.action != sweepNone {
			s.rows[tablet] = append(s.rows[tablet], entryRow{key: string(s.reading.plan.order.appendKey(nil, b.rows, row)), digest: s.digest.of(b.rows, row)})
		}
		if s.tx.rows >= s.limits.rows || s.tx.bytes >= s.limits.bytes {
			if err := s.close(ctx); err != nil {
				return err
			}
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
			b, err := s.picker.pass(ctx, group, s.plan.batchRows)
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
