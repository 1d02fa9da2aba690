package connector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

const (
	// backlogLife is for how long, at least, a backlog is published from before its
	// tablets are read anew, and backlogShare how many times as long as it took to
	// read it: reading takes a small part of the time, however much there is.
	backlogLife  = 2 * time.Second
	backlogShare = 4
	// backlogOld is the most of that, unless reading took longer itself. See also
	// ends.
	backlogOld = time.Minute
	// pieceBytes ends a piece of large rows.
	pieceBytes = 8 << 20
)

// backlog is what a pass has found in the tablets of a group at one snapshot, and
// hands out in pieces, in order. It is read once: a pass over many rows that took
// some and read all of them again for the next ones would never come to an end.
type backlog struct {
	snapshot kudu.Timestamp
	views    []view
	where    *predicate.Bound
	born     time.Time     // when its first piece was taken
	life     time.Duration // for which pieces are taken; see ends

	// The order of the primary key needs no sorting: pieces are taken from the
	// scan of one tablet, or from scans of several behind what was taken.
	stream *tabletStream
	after  []byte
	// Any other order.
	sorted      *extsort.Sorter
	total, left int64 // rows in it
}

// tabletStream is a scan that is read in pieces.
type tabletStream struct {
	sc   *kudu.Scanner
	rows *kudu.RowBatch
	sel  []int32 // of rows
	at   int     // in sel
}

func (b *backlog) close() {
	if b.stream != nil {
		b.stream.sc.Close()
	}
	if b.sorted != nil {
		_ = b.sorted.Close() // files have no names: nothing is left of them
	}
}

// ends is when the tablets are to be read anew, for what has become due since, or
// has changed. A smaller half of what was sorted may take as long again: it is
// published soon, and would have to be read and sorted once more.
func (b *backlog) ends() time.Time {
	if 2*b.left < b.total {
		return b.born.Add(2 * b.life)
	}
	return b.born.Add(b.life)
}

func (b *backlog) expired() bool { return time.Now().After(b.ends()) }

// lifeOf is how long to publish from a backlog whose first piece took so long.
func lifeOf(took time.Duration) time.Duration {
	return min(max(backlogLife, backlogShare*took), max(backlogOld, took))
}

// open reads what there is. The group has no backlog if that is nothing.
func (p *picker) open(ctx context.Context, g *queueGroup) (err error) {
	guarded := p.late.guard == guardBarrier
	if guarded && g.idle {
		some, err := p.some(ctx, g)
		if err != nil || !some {
			return err
		}
	}
	b := &backlog{views: make([]view, len(g.tablets))}
	if guarded {
		if err := p.guard(ctx, g.tablets, b.views); err != nil {
			return err
		}
	}
	if err := p.snapshot(ctx, g, b); err != nil {
		return err
	}
	if b.where.Never() {
		return nil
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	switch {
	case !p.sweep.streams:
		if err := p.sort(ctx, g, b); err != nil {
			return err
		}
		if b.left == 0 {
			b.close()
			return nil
		}
	case len(g.tablets) == 1:
		sc, err := p.table.Scan(g.tablets[0].id, p.scanOf(b, 0))
		if err != nil {
			return err
		}
		b.stream = &tabletStream{sc: sc}
	}
	g.backlog = b
	return nil
}

// snapshot sets the snapshot of a backlog and its criteria. If the first view has no
// time, all are read at the present of the first tablet's leader.
func (p *picker) snapshot(ctx context.Context, g *queueGroup, b *backlog) error {
	b.snapshot = b.views[0].at
	if b.snapshot == 0 {
		var err error
		if b.snapshot, err = p.present(ctx, g.tablets[0].id); err != nil {
			return err
		}
	}
	b.where = p.plan.filter.At(b.snapshot.Time())
	for n, r := range g.tablets {
		r.shown = b.snapshot
		if b.snapshot <= g.swept {
			return fmt.Errorf("tablet %s: the snapshot %s doesn't show the sweep at %s", r.id, b.snapshot, g.swept)
		}
		b.views[n].at = b.snapshot
	}
	return nil
}

// scanOf is the scan of a group's n-th tablet.
func (p *picker) scanOf(b *backlog, n int) kudu.ScanOptions {
	return b.views[n].in(kudu.ScanOptions{
		Columns: p.plan.columns, Ordered: p.sweep.streams, Mode: kudu.ReadAtSnapshot, After: b.after,
		Predicates: b.where.ScanPredicates(), BatchBytes: p.batchBytes,
	})
}

// sort reads all rows of a group and sorts them.
func (p *picker) sort(ctx context.Context, g *queueGroup, b *backlog) error {
	b.sorted = extsort.NewSorter(p.sorting.budget, p.sorting.directory)
	var key []byte
	for n, r := range g.tablets {
		add := adder(ctx, b.sorted, n)
		err := p.eachRow(ctx, r.id, p.scanOf(b, n), b.where, p.seen.task().Filtered, func(rows *kudu.RowBatch, row int) error {
			key = p.compare.AppendKey(key[:0], rows, row)
			key = p.plan.order.appendKey(key, rows, row)
			return add(key, rows, row)
		})
		if err != nil {
			return err
		}
	}
	b.total = b.sorted.Len()
	b.left = b.total
	return b.sorted.Sort(ctx)
}

// piece takes the next rows of a group's backlog, and closes it when they are the
// last ones.
func (p *picker) piece(ctx context.Context, g *queueGroup, s *selection) (err error) {
	b := g.backlog
	full := false
	switch {
	case b.sorted != nil:
		full, err = b.takeSorted(s)
	case b.stream != nil:
		full, err = p.takeStream(ctx, g, s)
	default:
		full, err = p.takeMerged(ctx, g, s)
	}
	if errors.Is(err, kudu.ErrSnapshotTooOld) {
		err, full = nil, false // it is read anew
	}
	if err != nil || !full || p.sweep.action == sweepNone {
		g.drop()
	}
	return err
}

// takeSorted reports whether there is more.
func (b *backlog) takeSorted(s *selection) (more bool, err error) {
	for b.left > 0 {
		if s.whole() {
			return true, nil
		}
		_, row, err := b.sorted.Next()
		if err != nil {
			return false, err
		}
		n, size := binary.Uvarint(row)
		if size <= 0 || n >= uint64(len(b.views)) {
			return false, fmt.Errorf("a sorted row names tablet %d of %d", n, len(b.views))
		}
		if err := s.best.AppendPacked(row[size:]); err != nil {
			return false, fmt.Errorf("taking a sorted row: %w", err)
		}
		s.best.from = append(s.best.from, uint16(n))
		b.left--
	}
	return false, nil
}

// takeStream takes rows as they come. It may report that there is more when there
// isn't.
func (p *picker) takeStream(ctx context.Context, g *queueGroup, s *selection) (more bool, err error) {
	t, tablet := g.backlog.stream, g.tablets[0].id
	held := p.tablets[tablet].held
	for {
		for t.at < len(t.sel) {
			if s.whole() {
				return true, nil
			}
			row := int(t.sel[t.at])
			t.at++
			if held.hides() {
				if s.key = p.plan.order.appendKey(s.key[:0], t.rows, row); held.hidden(s.key) {
					continue
				}
			}
			s.best.AppendFrom(t.rows, row)
		}
		if t.rows, err = p.next(ctx, t.sc, tablet); err != nil {
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, err
		}
		t.sel, t.at = g.backlog.where.Select(t.rows, t.sel), 0
		p.seen.task().Filtered(t.rows.NumRows() - len(t.sel))
	}
}

// takeMerged takes the first rows of several tablets.
func (p *picker) takeMerged(ctx context.Context, g *queueGroup, s *selection) (more bool, err error) {
	b := g.backlog
	for n, r := range g.tablets {
		taken := 0
		err := p.eachRow(ctx, r.id, p.scanOf(b, n), b.where, p.seen.task().Filtered, func(rows *kudu.RowBatch, row int) error {
			s.key = p.plan.order.appendKey(s.key[:0], rows, row)
			if !s.offer(rows, row, uint16(n)) {
				return errFound // the tablet's next ones come later still
			}
			if taken++; taken >= s.limit {
				return errFound
			}
			return nil
		})
		if ignoreFound(err) != nil {
			return false, err
		}
	}
	s.settle()
	n := s.best.NumRows()
	if n > 0 {
		b.after = append([]byte(nil), s.best.keys.key(n-1)...)
	}
	return n == s.limit, nil
}

// eachRow calls fn with each row of a scan that meets where and isn't in the
// journal, and filtered with the number of those that don't meet it.
func (p *picker) eachRow(ctx context.Context, tablet string, how kudu.ScanOptions, where *predicate.Bound, filtered func(int), fn func(rows *kudu.RowBatch, row int) error) error {
	sc, err := p.table.Scan(tablet, how)
	if err != nil {
		return fmt.Errorf("picking rows of tablet %s: %w", tablet, err)
	}
	defer sc.Close()
	held := p.tablets[tablet].held
	var sel []int32
	var key []byte
	for {
		rows, err := p.next(ctx, sc, tablet)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("picking rows of tablet %s: %w", tablet, err)
		}
		sel = where.Select(rows, sel)
		filtered(rows.NumRows() - len(sel))
		for _, i := range sel {
			if held.hides() {
				if key = p.plan.order.appendKey(key[:0], rows, int(i)); held.hidden(key) {
					continue
				}
			}
			if err := fn(rows, int(i)); err != nil {
				return err
			}
		}
	}
}
