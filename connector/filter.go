package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// setFilter reads where.
func (p *readPlan) setFilter(where string, schema *kudu.Schema) error {
	if where == "" {
		return nil
	}
	expr, err := predicate.Parse(where)
	if err != nil {
		return err
	}
	if p.filter, err = predicate.Compile(expr, schema); err != nil {
		return err
	}
	p.diffFilter = p.filter.PushOnly(func(c *kudu.Column) bool { return c.Key })
	return nil
}

// setOutputs reads columns: what the value holds.
func (p *readPlan) setOutputs(columns []string, schema *kudu.Schema) (err error) {
	if len(columns) == 0 {
		columns = []string{"*"}
	}
	p.outputs, err = predicate.Columns(schema, columns...)
	return err
}

// project lists what the scans have to bring, each column once: the value's
// columns, and those that keys, positions, timestamps and the filter are made
// of.
func (p *readPlan) project(repair bool, others ...string) {
	add := func(name string) {
		if indexOf(p.columns, name) < 0 {
			p.columns = append(p.columns, name)
		}
	}
	for _, o := range p.outputs {
		add(o.Column)
	}
	if p.filter != nil {
		for _, name := range p.filter.Columns() {
			add(name)
		}
		if repair {
			for _, name := range p.diffFilter.Columns() {
				add(name)
			}
		}
	}
	for _, name := range others {
		if name != "" {
			add(name)
		}
	}
}

// pass is where for one pass over a tablet; nil without where. now() is the
// cluster's time, not this machine's.
func (rd *reading) pass(ctx context.Context, tablet string) (*predicate.Bound, error) {
	return rd.passOf(ctx, tablet, rd.plan.filter)
}

func (rd *reading) passOf(ctx context.Context, tablet string, f *predicate.Filter) (*predicate.Bound, error) {
	if f == nil {
		return nil, nil
	}
	var now time.Time
	if f.UsesNow() {
		var err error
		if now, err = rd.serverTime(ctx, tablet); err != nil {
			return nil, fmt.Errorf("asking for the cluster's time: %w", err)
		}
	}
	b := f.At(now)
	if b.Never() {
		return b, errNothingPasses
	}
	return b, nil
}

// errNothingPasses says that where can't be met by any row, whatever the table
// holds.
var errNothingPasses = errors.New("no row can meet where")

// foundNothing turns a poll that can find nothing into one that found nothing. With
// offset.stop, whole, there is no need to look again, unless it is now() that
// nothing meets: later something may.
func (rd *reading) foundNothing(r *tabletReader, whole bool, err error) error {
	if !errors.Is(err, errNothingPasses) {
		return err
	}
	r.complete = whole && !rd.plan.filter.UsesNow()
	return nil
}

// ignoreNothing is foundNothing for those who don't poll.
func ignoreNothing(err error) error {
	if errors.Is(err, errNothingPasses) {
		return nil
	}
	return err
}

// pushed are the predicates of a pass that Kudu evaluates.
func pushed(b *predicate.Bound) []kudu.Predicate {
	if b == nil {
		return nil
	}
	return b.ScanPredicates()
}

// keep gives the rows of the batch that meet what Kudu didn't evaluate, in the
// memory of sel; nil means all.
func (rd *reading) keep(b *predicate.Bound, rows *kudu.RowBatch, sel []int32) []int32 {
	if b == nil || !b.Residual() {
		return nil
	}
	if sel == nil {
		sel = make([]int32, 0, rows.NumRows())
	}
	sel = b.Select(rows, sel)
	if n := rows.NumRows() - len(sel); n > 0 {
		rd.seen.task().Filtered(n)
	}
	return sel
}
