package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// picker finds the rows that a pass publishes: of those that meet where at one
// snapshot, and aren't in the journal, the first ones in the order of
// sweep.order.by. Rows that are equal in it are in the order of the primary key.
type picker struct {
	reading
	sweep   *sweepPlan
	compare *predicate.Comparer // nil: the primary key alone
	schema  *kudu.Schema        // of the projection
	tablets map[string]*queueTablet
	spare   sync.Pool // of selections
}

// queueTablet is what passes over a tablet have to know of it. It isn't changed
// while one is under way.
type queueTablet struct {
	journal map[string]struct{} // encoded primary keys of the rows in the journal
	sweptAt kudu.Timestamp      // newest sweep
	idle    bool                // the last pass has found nothing
	sample  *sample             // of the last full pass; nil without
}

func newPicker(rd reading, sweep *sweepPlan, tablets []*kudu.Tablet) (*picker, error) {
	p := &picker{reading: rd, sweep: sweep, tablets: make(map[string]*queueTablet)}
	for _, t := range tablets {
		p.tablets[t.ID] = &queueTablet{journal: make(map[string]struct{})}
	}
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
// order, and belong to the caller until recycle; nil when there are none. Passes over other
// tablets may run at the same time.
//
// A former leader that doesn't know yet that there is another would show rows
// that were swept, and they would be published again. So the passes read behind a
// barrier (guard.go), unless snapshot.guard says none. To spare idle tablets
// that write, a tablet where nothing was found is first looked at without.
func (p *picker) pass(ctx context.Context, tablets []*tabletReader, limit int) (*batch, error) {
	guarded := p.late.guard == guardBarrier
	if guarded && p.idle(tablets) {
		s, _, err := p.pick(ctx, tablets, make([]view, len(tablets)), 1, scanning{first: true})
		if err != nil {
			return nil, err
		}
		none := s.best.NumRows() == 0
		p.spare.Put(s)
		if none {
			return nil, nil
		}
	}
	views := make([]view, len(tablets))
	if guarded {
		if err := p.guard(ctx, tablets, views); err != nil {
			return nil, err
		}
	}
	s, snapshot, err := p.pickFirst(ctx, tablets, views, limit)
	if err != nil {
		return nil, err
	}
	rows, from := s.result()
	for _, r := range tablets {
		p.tablets[r.id].idle = rows == nil
	}
	if rows == nil {
		p.spare.Put(s)
		return nil, nil
	}
	b := &batch{rows: rows, snapshot: snapshot, tablets: tablets, order: p.plan.order, picked: s}
	if len(tablets) > 1 {
		b.from = from
	}
	return b, nil
}

// pickFirst picks the first rows in order. Of a large backlog only its head is
// asked for, as far as a sample of it tells.
func (p *picker) pickFirst(ctx context.Context, tablets []*tabletReader, views []view, limit int) (*selection, kudu.Timestamp, error) {
	key, place, can := sampled(p.sweep.order, p.schema)
	if !can || p.sweep.streams || len(tablets) > 1 {
		return p.pick(ctx, tablets, views, limit, scanning{})
	}
	t := p.tablets[tablets[0].id]
	if bound := t.sample.bound(key, limit); bound != nil {
		s, snapshot, err := p.pick(ctx, tablets, views, limit, scanning{bound: bound})
		if err != nil {
			return nil, 0, err
		}
		if s.best.NumRows() >= limit {
			t.sample.served += limit
			return s, snapshot, nil
		}
		p.spare.Put(s)
	}
	t.sample = nil
	all := &sampler{}
	s, snapshot, err := p.pick(ctx, tablets, views, limit, scanning{sampler: all, place: place})
	if err != nil {
		return nil, 0, err
	}
	if all.seen > 2*limit {
		t.sample = all.finish(len(t.journal))
		t.sample.served += min(limit, s.best.NumRows())
	}
	return s, snapshot, nil
}

// scanning is how a pass looks at a tablet.
type scanning struct {
	first   bool             // the first row that is found will do
	bound   []kudu.Predicate // besides where
	sampler *sampler         // is offered all rows; nil: none
	place   int              // of what it samples, in the projection
}

// recycle takes the memory of a batch that is published.
func (p *picker) recycle(b *batch) {
	b.rows, b.from = nil, nil
	p.spare.Put(b.picked)
}

// selection gives an empty one.
func (p *picker) selection(limit int) *selection {
	s, used := p.spare.Get().(*selection)
	if !used {
		return newSelection(p.schema, limit)
	}
	s.limit, s.edge = limit, nil
	s.best.reset()
	s.spare.reset()
	return s
}

func (p *picker) idle(tablets []*tabletReader) bool {
	return !slices.ContainsFunc(tablets, func(r *tabletReader) bool { return !p.tablets[r.id].idle })
}

// barriersAtOnce is how many barriers a pass over several tablets sets at a time.
const barriersAtOnce = 8

// guard takes views of the tablets, all at one snapshot: what is final at the
// least of their barriers is so at all.
func (p *picker) guard(ctx context.Context, tablets []*tabletReader, views []view) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(barriersAtOnce)
	for n, r := range tablets {
		g.Go(func() (err error) {
			views[n], err = p.view(ctx, r.id)
			return forGood(err)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	least := slices.MinFunc(views, func(a, b view) int { return cmp.Compare(a.at, b.at) }).at
	for n := range views {
		views[n].at = least
	}
	return nil
}

// pick scans the tablets in their views. If the first one has no time, all are
// read at the present of the first tablet's leader.
func (p *picker) pick(ctx context.Context, tablets []*tabletReader, views []view, limit int, how scanning) (*selection, kudu.Timestamp, error) {
	snapshot := views[0].at
	if snapshot == 0 {
		var err error
		if snapshot, err = p.present(ctx, tablets[0].id); err != nil {
			return nil, 0, err
		}
	}
	s := p.selection(limit)
	where := p.plan.filter.At(snapshot.Time())
	if where.Never() {
		return s, snapshot, nil
	}
	for n, r := range tablets {
		r.shown = snapshot
		if swept := p.tablets[r.id].sweptAt; snapshot <= swept {
			return nil, 0, fmt.Errorf("tablet %s: the snapshot %s doesn't show the sweep at %s", r.id, snapshot, swept)
		}
		v := views[n]
		v.at = snapshot
		if err := p.scan(ctx, r.id, uint16(n), v, where, s, how); err != nil {
			return nil, 0, fmt.Errorf("picking rows of tablet %s: %w", r.id, err)
		}
		if how.first && s.best.NumRows() > 0 {
			break
		}
	}
	return s, snapshot, nil
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

func (p *picker) scan(ctx context.Context, tablet string, n uint16, v view, where *predicate.Bound, s *selection, how scanning) error {
	sc, err := p.table.Scan(tablet, v.in(kudu.ScanOptions{
		Columns: p.plan.columns, Ordered: p.sweep.streams, Mode: kudu.ReadAtSnapshot,
		Predicates: slices.Concat(where.ScanPredicates(), how.bound), BatchBytes: p.batchBytes,
	}))
	if err != nil {
		return err
	}
	defer sc.Close()
	journal := p.tablets[tablet].journal
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
		if !how.first {
			p.seen.task().Filtered(rows.NumRows() - len(sel))
		}
		for _, i := range sel {
			s.sort = s.sort[:0]
			if p.compare != nil {
				// Most rows of a large backlog are known by this to be too late.
				s.sort = p.compare.AppendKey(s.sort, rows, int(i))
				if how.sampler != nil {
					how.sampler.offer(s.sort, rows, how.place, int(i))
				}
				if s.beyond() {
					continue
				}
			}
			s.key = p.plan.order.appendKey(s.key[:0], rows, int(i))
			if _, held := journal[string(s.key)]; held {
				continue
			}
			s.sort = append(s.sort, s.key...)
			s.offer(rows, int(i), n)
			// In this order no later row of the tablet can come before.
			if taken++; how.first || p.sweep.streams && taken == s.limit {
				return nil
			}
		}
	}
}
