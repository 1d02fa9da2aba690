package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// picker finds the rows that a pass publishes: of those that meet where at one
// snapshot, and aren't in the journal, the first ones in the order of
// sweep.order.by. Rows that are equal in it are in the order of the primary key.
type picker struct {
	reading
	sweep    *sweepPlan
	compare  *predicate.Comparer // nil: the primary key alone
	schema   *kudu.Schema        // of the projection
	journal  journalled
	passedAt map[string]kudu.Timestamp // newest sweep of each tablet
}

// journalled are the encoded primary keys of the rows in the journal, by tablet.
type journalled map[string]map[string]struct{}

func (j journalled) has(tablet string, key []byte) bool {
	_, is := j[tablet][string(key)]
	return is
}

func newPicker(rd reading, sweep *sweepPlan) (*picker, error) {
	p := &picker{reading: rd, sweep: sweep, journal: make(journalled), passedAt: make(map[string]kudu.Timestamp)}
	var err error
	if p.schema, err = rd.table.Schema().Project(rd.plan.columns...); err != nil {
		return nil, err
	}
	if sweep.order != nil {
		if p.compare, err = sweep.order.Comparer(p.schema); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// pass picks from the tablets, at most limit rows. The batch's rows are in
// order, and belong to the caller; nil when there are none.
func (p *picker) pass(ctx context.Context, tablets []*tabletReader, limit int) (*batch, error) {
	snapshot, err := p.present(ctx, tablets[0].id)
	if err != nil {
		return nil, err
	}
	where := p.plan.filter.At(snapshot.Time())
	if where.Never() {
		return nil, nil
	}
	for _, r := range tablets {
		r.shown = snapshot
	}
	s := &selection{picker: p, limit: limit, best: kudu.NewBatchBuilder(p.schema), spare: kudu.NewBatchBuilder(p.schema)}
	for n, r := range tablets {
		if swept := p.passedAt[r.id]; snapshot <= swept {
			return nil, fmt.Errorf("tablet %s: the snapshot %s doesn't show the sweep at %s", r.id, snapshot, swept)
		}
		if err := p.scan(ctx, r.id, uint16(n), snapshot, where, s); err != nil {
			return nil, fmt.Errorf("picking rows of tablet %s: %w", r.id, err)
		}
	}
	rows, from := s.result()
	if rows == nil {
		return nil, nil
	}
	b := &batch{rows: rows, snapshot: snapshot, tablets: tablets, order: p.plan.order}
	if len(tablets) > 1 {
		b.from = from
	}
	return b, nil
}

// present is the tablet's leader's present time, which is the pass's snapshot
// and its now().
func (rd *reading) present(ctx context.Context, tablet string) (kudu.Timestamp, error) {
	sc, err := rd.table.Scan(tablet, kudu.ScanOptions{Columns: columnsOf(rd.plan.order), Mode: kudu.ReadAtSnapshot, Limit: 1})
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	if _, err := rd.next(ctx, sc, tablet); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return sc.Snapshot(), nil
}

func (p *picker) scan(ctx context.Context, tablet string, n uint16, snapshot kudu.Timestamp, where *predicate.Bound, s *selection) error {
	sc, err := p.table.Scan(tablet, kudu.ScanOptions{
		Columns: p.plan.columns, Ordered: p.sweep.streams, Mode: kudu.ReadAtSnapshot, Snapshot: snapshot,
		Predicates: where.ScanPredicates(), BatchBytes: p.batchBytes,
	})
	if err != nil {
		return err
	}
	defer sc.Close()
	var sel []int32
	taken := 0
	for {
		rows, err := p.next(ctx, sc, tablet)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sel = where.Select(rows, sel)
		p.seen.task().Filtered(rows.NumRows() - len(sel))
		for _, i := range sel {
			s.key = p.plan.order.appendKey(s.key[:0], rows, int(i))
			if p.journal.has(tablet, s.key) {
				continue
			}
			s.offer(rows, int(i), n)
			// In this order no later row of the tablet can come before.
			if taken++; p.sweep.streams && taken == s.limit {
				return nil
			}
		}
	}
}

// selection keeps the first rows in order of all that are offered, in the memory
// of twice as many.
type selection struct {
	*picker
	limit       int
	best, spare *kudu.BatchBuilder
	from        []uint16
	idx         []int
	key         []byte
	a, b        []byte
	// edge holds the last row that is kept once there are as many as may be; rows
	// behind it need not be kept.
	edge *kudu.RowBatch
}

func (s *selection) compareRows(x *kudu.RowBatch, i int, y *kudu.RowBatch, j int) int {
	if s.compare != nil {
		if c := s.compare.Compare(x, i, y, j); c != 0 {
			return c
		}
	}
	s.a = s.plan.order.appendKey(s.a[:0], x, i)
	s.b = s.plan.order.appendKey(s.b[:0], y, j)
	return bytes.Compare(s.a, s.b)
}

func (s *selection) offer(rows *kudu.RowBatch, row int, tablet uint16) {
	if s.edge != nil && s.compareRows(rows, row, s.edge, 0) >= 0 {
		return
	}
	s.best.AppendFrom(rows, row)
	s.from = append(s.from, tablet)
	if s.best.NumRows() >= 2*s.limit {
		s.settle()
		edge := kudu.NewBatchBuilder(s.schema)
		edge.AppendFrom(s.best.Batch(), s.limit-1)
		s.edge = edge.Build()
	}
}

// settle sorts what is there and lets go of what is beyond the limit.
func (s *selection) settle() {
	n := s.best.NumRows()
	s.idx = s.idx[:0]
	for i := range n {
		s.idx = append(s.idx, i)
	}
	all := s.best.Batch()
	slices.SortFunc(s.idx, func(i, j int) int { return s.compareRows(all, i, all, j) })
	s.spare.Reset()
	keep := s.idx[:min(n, s.limit)]
	from := make([]uint16, 0, len(s.from))
	for _, i := range keep {
		s.spare.AppendFrom(all, i)
		from = append(from, s.from[i])
	}
	s.best, s.spare = s.spare, s.best
	s.from = from
}

func (s *selection) result() (*kudu.RowBatch, []uint16) {
	if s.best.NumRows() == 0 {
		return nil, nil
	}
	s.settle()
	return s.best.Batch(), s.from
}
