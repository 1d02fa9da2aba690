package connector

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// source reads the tablets of one task in the order that its mode promises.
// It runs goroutines of its own between start and Close.
type source interface {
	// Initial gives positions to store before the first row is published, by
	// tablet id: a start that must survive a restart, tablets that are gone.
	Initial() ([]storedPosition, error)
	// Batches gives the batches that are ready, those of one tablet in position
	// order (I4). The receiver calls done on each before it waits for another.
	Batches() <-chan *batch
	// Drained is signalled when no tablet is known to have more rows now.
	Drained() <-chan struct{}
	// Completed is closed when everything up to offset.stop has been received.
	Completed() <-chan struct{}
	// Failed gives the error that ended the source.
	Failed() <-chan error
	// Position renders where a tablet stands after a published row.
	Position(p point) (offsets.Position, error)
	// Close ends the goroutines and waits for them.
	Close()
}

// storedPosition is a position on its way to the offsets topic.
type storedPosition struct {
	tablet string
	pos    offsets.Position
	retire bool // a tombstone instead: the tablet is gone
}

// batch is a number of rows of one tablet, or in the order of the table of
// several. The rows are borrowed until done.
type batch struct {
	rows *kudu.RowBatch
	// keep lists the rows to publish; nil means all.
	keep []int32
	// snapshot is the timestamp the rows were read at.
	snapshot kudu.Timestamp
	// tablets are those that the rows are of; from tells which of them each row
	// is of, and is nil when there is only one.
	tablets []*tabletReader
	from    []uint16
	// walk is set when the rows are in the order of the primary key.
	walk *walkBatch
	// end is set in a batch without rows: a position to store with what was
	// published before it.
	end *point
	// late marks rows of a repair, which are below the high-water mark; with a key
	// that is a prefix of the primary key, of the stretch from behind lateAfter up
	// to lateUpTo.
	late                bool
	lateAfter, lateUpTo []byte
	// picked is what a pass of mode sweep has made the batch of.
	picked *selection

	order *order
	taken chan struct{}
}

// done gives the rows back to the source.
func (b *batch) done() { b.taken <- struct{}{} }

// published is the number of rows to publish.
func (b *batch) published() int {
	if b.keep != nil {
		return len(b.keep)
	}
	return b.rows.NumRows()
}

// row is the place of the i-th row to publish.
func (b *batch) row(i int) int {
	if b.keep != nil {
		return int(b.keep[i])
	}
	return i
}

// tablet is the one that the row is of.
func (b *batch) tablet(row int) *tabletReader {
	if b.from == nil {
		return b.tablets[0]
	}
	return b.tablets[b.from[row]]
}

// last gives, for each tablet that has rows up to this one, the last of them.
func (b *batch) last(row int, fn func(r *tabletReader, row int)) {
	if b.from == nil {
		fn(b.tablets[0], row)
		return
	}
	missing := len(b.tablets)
	seen := make([]bool, missing)
	for ; row >= 0 && missing > 0; row-- {
		if n := b.from[row]; !seen[n] {
			seen[n] = true
			missing--
			fn(b.tablets[n], row)
		}
	}
}

// pointAt is the place of a row in the order of its tablet.
func (b *batch) pointAt(row int) point {
	if b.walk != nil {
		return b.walk.pointAt(b.order, b.rows, row)
	}
	key, covered := b.order.appendKey(nil, b.rows, row), b.tablet(row).covered
	if !b.late {
		return point{key: key, snapshot: b.snapshot, covered: covered}
	}
	if !b.order.prefix {
		p := covered.point()
		p.repairing = &repairPoint{upTo: key, at: b.snapshot}
		return p
	}
	if bytes.Compare(key, b.lateUpTo) > 0 {
		key = b.lateUpTo
	}
	return covered.raise(b.lateAfter, key, b.snapshot).point()
}

// point is where a tablet stands: the place of the last row published.
type point struct {
	key      []byte // order key; nil: before the first row
	snapshot kudu.Timestamp
	walk     *walk // set while rows are published in the order of the primary key
	// covered is what was covered before the row, with late.rows=repair.
	covered coverage
	// repairing is set in the middle of a repair by a key that Kudu can't order by.
	repairing *repairPoint
}

// tabletReader is where a source stands in one tablet.
type tabletReader struct {
	id  string
	hwm []byte // order key of the last row handed out; nil at the start
	// from is the order key to begin at while hwm is nil; nil: the first row.
	from []byte
	// walk is the one under way, with order: none.
	walk *walk
	due  time.Time
	// covered is how the rows up to hwm were covered, with late.rows=repair; the
	// task reads it while it holds a batch of this tablet.
	covered coverage
	// repairing is the repair that hasn't come to its end, repaired when the last
	// one did, and repairTook how long that took; with keys that Kudu can't order by.
	repairing  *repairPoint
	repaired   time.Time
	repairTook time.Duration
	// floor is offset.start, below which no row is late; nil: none.
	floor []byte
	// repairAt is when the next repair of the whole tablet is due, and unsaved
	// since when the progress of repairs isn't stored; zero when it is.
	repairAt, unsaved time.Time
	// leftOut is how many rows where has left out since the position that is stored.
	leftOut int
	// failures counts polls that failed, one after the other, and were begun anew.
	failures int
	// backlog says that the last poll left rows for the next.
	backlog bool
	// idle is how long the next pause is, should the next poll find nothing.
	idle time.Duration
	// complete says that the tablet has been read up to offset.stop.
	complete bool
	// shown is the snapshot of the last poll that has come to its end.
	shown kudu.Timestamp
	// marks are where the tablet's progress is noted, or that of all the tablets
	// that the reader stands for.
	marks []*tabletMark
}

// publishes notes that rows of the tablet are on their way, and its position and
// coverage with them.
func (r *tabletReader) publishes() { r.leftOut, r.unsaved = 0, time.Time{} }

// poller reads what a tablet has beyond its high-water mark, once. It hands
// batches to emit, which reports false when the source is being closed. More
// says that there may be more at once.
type poller interface {
	poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error)
}

// pollingSource polls a task's tablets as they fall due, several at a time, and
// less and less often those that have nothing new.
type pollingSource struct {
	poller   poller
	pace     pollPace
	progress *progress
	out      chan *batch

	drained   chan struct{}
	completed chan struct{}
	failed    chan error
	cancel    context.CancelFunc
	readers   sync.WaitGroup
	queue     *dueQueue

	mu      sync.Mutex
	flowing int // polls that have given rows and have not ended
	left    int // tablets that are not complete
}

// pollPace is how often a tablet is polled.
type pollPace struct {
	interval time.Duration // after rows
	max      time.Duration // what the pauses of an idle tablet grow to
}

// forever is when a tablet is due that isn't polled again.
const forever = 100 * 365 * 24 * time.Hour

// scansAtOnce is how many tablets of one task are read at a time. Each open
// scan holds up to two batches.
const scansAtOnce = 2

// startPolling begins to read. A bounded source, one with an offset.stop,
// completes.
func (s *pollingSource) startPolling(readers []*tabletReader, bounded bool) {
	s.out, s.drained, s.failed = make(chan *batch), make(chan struct{}, 1), make(chan error, 1)
	s.completed, s.left = make(chan struct{}), len(readers)
	if bounded && len(readers) == 0 {
		close(s.completed)
	}
	s.queue = newDueQueue(readers)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for range min(scansAtOnce, len(readers)) {
		s.readers.Go(func() { s.read(ctx) })
	}
}

func (s *pollingSource) Batches() <-chan *batch     { return s.out }
func (s *pollingSource) Drained() <-chan struct{}   { return s.drained }
func (s *pollingSource) Completed() <-chan struct{} { return s.completed }
func (s *pollingSource) Failed() <-chan error       { return s.failed }

func (s *pollingSource) Close() {
	s.cancel()
	s.readers.Wait()
}

// read takes tablets as they fall due and polls them, until ctx ends or a poll
// fails.
func (s *pollingSource) read(ctx context.Context) {
	for {
		r := s.queue.take(ctx)
		if r == nil {
			return
		}
		rows, more, err := s.poll(ctx, r)
		if err != nil {
			if ctx.Err() == nil {
				select {
				case s.failed <- err:
				default: // one failure is enough to end the task's run
				}
			}
			return
		}
		r.due = time.Now()
		switch {
		case r.complete:
			s.progress.looked(r, true, r.due.Add(forever))
			s.finish() // it isn't polled again
			continue
		case more:
			r.idle = s.pace.interval
		case rows:
			r.idle = s.pace.interval
			r.due = r.due.Add(r.idle)
		default:
			r.due = r.due.Add(max(r.idle, s.pace.interval))
			r.idle = min(2*max(r.idle, s.pace.interval), max(s.pace.max, s.pace.interval))
		}
		s.progress.looked(r, !more, r.due)
		s.queue.put(r)
	}
}

// poll polls one tablet and keeps count of the tablets that are giving rows.
func (s *pollingSource) poll(ctx context.Context, r *tabletReader) (rows, more bool, err error) {
	more, err = s.poller.poll(ctx, r, func(b *batch) bool {
		if !rows {
			rows = true
			s.flow(1)
			s.progress.found(r.marks, b.snapshot)
		}
		select {
		case s.out <- b:
		case <-ctx.Done():
			return false
		}
		// The task always comes to done: it doesn't wait for anything else while
		// it holds a batch, but for Kafka to take records, which ends with its
		// context.
		<-b.taken
		return true
	})
	if rows {
		s.flow(-1)
	}
	return rows, more, err
}

// finish counts the tablets that have been read up to offset.stop.
func (s *pollingSource) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left--; s.left == 0 {
		close(s.completed)
	}
}

// flow counts the tablets that are giving rows, and signals when none is.
func (s *pollingSource) flow(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flowing += change; s.flowing == 0 {
		select {
		case s.drained <- struct{}{}:
		default:
		}
	}
}
