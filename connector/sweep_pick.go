package connector

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// picker finds the rows that a pass publishes: of those that meet where at one
// snapshot, and aren't in the journal, the first ones in the order of
// sweep.order.by. Rows that are equal in it are in the order of the primary key.
type picker struct {
	reading
	sorting
	sweep   *sweepPlan
	compare *predicate.Comparer // nil: the primary key alone
	schema  *kudu.Schema        // of the projection
	tablets map[string]*queueTablet
	spare   sync.Pool                              // of selections
	life    func(took time.Duration) time.Duration // of a backlog
}

// queueTablet is what passes over a tablet have to know of it.
type queueTablet struct {
	held    *heldRows
	sweptAt kudu.Timestamp // newest sweep
}

// queueGroup are tablets that a pass reads together.
type queueGroup struct {
	tablets []*tabletReader
	idle    bool           // the last pass has found nothing
	reading time.Duration  // what reading the tablets last took, up to the first rows
	swept   kudu.Timestamp // newest sweep before the pass
	backlog *backlog       // what is left of the last pass; nil: nothing
}

// live reports whether something is left that is still to be published; what is
// too old is dropped.
func (g *queueGroup) live() bool {
	if g.backlog != nil && g.backlog.expired() {
		g.drop()
	}
	return g.backlog != nil
}

// drop forgets what is left of a pass.
func (g *queueGroup) drop() {
	if g.backlog != nil {
		g.backlog.close()
		g.backlog = nil
	}
}

func newPicker(rd reading, sorts sorting, sweep *sweepPlan, tablets []*kudu.Tablet) (*picker, error) {
	p := &picker{reading: rd, sorting: sorts, sweep: sweep, tablets: make(map[string]*queueTablet), life: lifeOf}
	for _, t := range tablets {
		p.tablets[t.ID] = &queueTablet{held: newHeldRows()}
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

// pin prepares for reading a group's tablets. It belongs to the task, and what was
// picked of them must be in the journal.
func (p *picker) pin(g *queueGroup) {
	for _, r := range g.tablets {
		t := p.tablets[r.id]
		t.held.pin()
		g.swept = max(g.swept, t.sweptAt)
	}
}

// pass picks from the group's tablets, at most limit rows. It goes on with what an
// earlier pass has left, or reads the tablets. The batch's rows are in order, and
// belong to the caller until recycle; nil when there are none. Passes over other
// groups may run at the same time.
//
// A former leader that doesn't know yet that there is another would show rows
// that were swept, and they would be published again. So the tablets are read
// behind a barrier (guard.go), unless snapshot.guard says none. To spare idle
// tablets that write, those where nothing was found are first looked at without.
func (p *picker) pass(ctx context.Context, g *queueGroup, limit int) (*batch, error) {
	began := time.Now()
	fresh := g.backlog == nil
	if fresh {
		err := p.open(ctx, g)
		g.reading = time.Since(began)
		if err != nil {
			return nil, err
		}
		if g.backlog == nil {
			g.idle = true
			return nil, nil
		}
	}
	snapshot := g.backlog.snapshot
	s := p.selection(limit)
	if err := p.piece(ctx, g, s); err != nil {
		return nil, err
	}
	if fresh {
		g.reading = time.Since(began)
	}
	if g.backlog != nil && fresh {
		g.backlog.born, g.backlog.life = time.Now(), p.life(g.reading)
	}
	n := s.best.NumRows()
	if fresh {
		g.idle = n == 0
	}
	if n == 0 {
		p.spare.Put(s)
		return nil, nil
	}
	b := &batch{rows: s.best.Batch(), snapshot: snapshot, tablets: g.tablets, order: p.plan.order, picked: s}
	if len(g.tablets) > 1 {
		b.from = s.best.from
	}
	return b, nil
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
		s = newSelection(p.schema)
	}
	most := pieceBytes
	if p.sweep.action == sweepNone || p.sweep.dry {
		most = 0 // there is one piece only
	}
	s.reset(limit, most)
	return s
}

// some reports whether there is anything to publish.
func (p *picker) some(ctx context.Context, g *queueGroup) (bool, error) {
	b := &backlog{views: make([]view, len(g.tablets))}
	if err := p.snapshot(ctx, g, b); err != nil || b.where.Never() {
		return false, err
	}
	for n, r := range g.tablets {
		err := p.eachRow(ctx, r.id, p.scanOf(b, n), b.where, func(int) {}, func(*kudu.RowBatch, int) error { return errFound })
		if err != nil {
			return errors.Is(err, errFound), ignoreFound(err)
		}
	}
	return false, nil
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
