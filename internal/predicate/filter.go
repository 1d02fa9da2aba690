package predicate

import (
	"fmt"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Filter is a condition bound to the schema of a table. It is immutable and
// safe for concurrent use.
type Filter struct {
	schema    *kudu.Schema
	conjuncts []conjunct
	usesNow   bool
}

type conjunct struct {
	node node
	push pushing
	why  string // why it isn't pushed wholly
}

// Compile binds a condition to the schema of a table. An error is an *Error, or
// several joined: unknown columns, and values that don't fit their column. The
// filter holds for this schema; make a new one after the table was altered.
func Compile(e *Expr, schema *kudu.Schema) (*Filter, error) {
	b := &binder{text: e.text, schema: schema}
	root := b.or(e.root, false)
	if len(b.faults) > 0 {
		return nil, joined(b.faults)
	}
	f := &Filter{schema: schema}
	nodes := []node{root}
	if j, ok := root.(*junction); ok && j.and {
		nodes = j.kids
	}
	for _, n := range nodes {
		c := conjunct{node: n}
		c.push, c.why = plan(n)
		f.conjuncts = append(f.conjuncts, c)
		eachAtom(n, func(a *atom) { f.usesNow = f.usesNow || a.usesNow() })
	}
	return f, nil
}

func eachAtom(n node, do func(*atom)) {
	if a, ok := n.(*atom); ok {
		do(a)
		return
	}
	for _, k := range n.(*junction).kids {
		eachAtom(k, do)
	}
}

// PushOnly is the filter that pushes only conjuncts on columns that may allows,
// and evaluates the others. Diff scans need it, where Kudu tests deleted rows
// by cells that mean nothing.
func (f *Filter) PushOnly(may func(*kudu.Column) bool) *Filter {
	out := &Filter{schema: f.schema, usesNow: f.usesNow, conjuncts: slices.Clone(f.conjuncts)}
	for i := range out.conjuncts {
		c := &out.conjuncts[i]
		if a, ok := c.node.(*atom); ok && c.push != pushNone && !may(a.col) {
			c.push, c.why = pushNone, "the scan allows no predicate on "+quoteName(a.col.Name)
		}
	}
	return out
}

// UsesNow reports whether the condition names now(), so that each pass needs a
// Bound of its own.
func (f *Filter) UsesNow() bool { return f.usesNow }

// Mentions reports whether the condition looks at the column.
func (f *Filter) Mentions(column string) bool {
	found := false
	for _, c := range f.conjuncts {
		eachAtom(c.node, func(a *atom) { found = found || a.col.Name == column })
	}
	return found
}

// String is the condition as it was understood, with NOT moved inward.
func (f *Filter) String() string {
	nodes := make([]node, len(f.conjuncts))
	for i := range f.conjuncts {
		nodes[i] = f.conjuncts[i].node
	}
	return join(true, nodes).String()
}

// Columns are the columns that Select reads, in the order of the table: the
// projection of a scan has to have them.
func (f *Filter) Columns() []string {
	need := f.needed()
	var names []string
	for i := range f.schema.NumColumns() {
		if need[i] {
			names = append(names, f.schema.Column(i).Name)
		}
	}
	return names
}

// needed marks the columns, by their place in the table's schema, that are
// evaluated.
func (f *Filter) needed() []bool {
	need := make([]bool, f.schema.NumColumns())
	for _, c := range f.conjuncts {
		if c.push != pushAll {
			eachAtom(c.node, func(a *atom) { need[a.index] = true })
		}
	}
	return need
}

// Conjunct tells how one part of a condition is done.
type Conjunct struct {
	Text string
	// Pushed says that Kudu tests it during the scan, Evaluated that it is
	// tested on the batch. Both: Kudu narrows the rows, and the rest is tested.
	Pushed, Evaluated bool
	// Why is the reason for evaluating it; empty if it isn't.
	Why string
}

func (c Conjunct) String() string {
	switch {
	case !c.Evaluated:
		return "pushed: " + c.Text
	case c.Pushed:
		return fmt.Sprintf("pushed in part, and evaluated: %s (%s)", c.Text, c.Why)
	}
	return fmt.Sprintf("evaluated: %s (%s)", c.Text, c.Why)
}

// Explain says for each conjunct whether Kudu does it.
func (f *Filter) Explain() []Conjunct {
	out := make([]Conjunct, len(f.conjuncts))
	for i, c := range f.conjuncts {
		out[i] = Conjunct{Text: c.node.String(), Pushed: c.push != pushNone, Evaluated: c.push != pushAll, Why: c.why}
	}
	return out
}

// Bound is a filter at one instant. It belongs to one goroutine at a time.
type Bound struct {
	filter *Filter
	pushed []Predicate
	never  bool
	tests  []test
	env    env
	proj   *kudu.Schema // what env.cols is made for
}

// At fixes now() for one pass.
func (f *Filter) At(now time.Time) *Bound {
	b := &Bound{filter: f}
	micros := microsOf(now)
	for _, c := range f.conjuncts {
		if c.push != pushNone {
			preds, never := c.node.(*atom).push(micros)
			b.pushed = append(b.pushed, preds...)
			b.never = b.never || never
		}
		if c.push != pushAll {
			b.tests = append(b.tests, newTest(c.node, micros))
		}
	}
	b.never = b.never || contradict(f.schema, b.pushed)
	return b
}

// Pushed are the predicates for the scan, all of which a row has to pass; they
// are shared and to be read only.
func (b *Bound) Pushed() []Predicate { return b.pushed }

// Never reports that no row can pass, whatever the table holds. A scan is
// pointless then; Kudu would answer it without a snapshot timestamp.
func (b *Bound) Never() bool { return b.never }

// Residual reports whether Select has anything to test. If not, it selects all
// rows of a batch that was scanned with Pushed.
func (b *Bound) Residual() bool { return len(b.tests) > 0 || b.never }

// Bind prepares for batches of a projection. It fails if the projection lacks a
// column of Columns, or has it with another type. Select calls it by itself
// when the projection of a batch is new.
func (b *Bound) Bind(projection *kudu.Schema) error {
	table := b.filter.schema
	cols := make([]int, table.NumColumns())
	for i, need := range b.filter.needed() {
		if cols[i] = -1; !need {
			continue
		}
		want := table.Column(i)
		j := projection.Index(want.Name)
		if j < 0 {
			return fmt.Errorf("binding a condition: the projection has no column %q", want.Name)
		}
		if got := projection.Column(j); got.TypeString() != want.TypeString() {
			return fmt.Errorf("binding a condition: column %q is %s in the projection, %s in the condition", want.Name, got.TypeString(), want.TypeString())
		}
		cols[i] = j
	}
	b.env.cols, b.proj = cols, projection
	return nil
}

// Select gives the numbers of the rows that pass what is not pushed, ascending,
// in the memory of sel, which grows if need be. It panics if Bind would fail
// for the batch's projection; callers that can't foresee it call Bind first.
func (b *Bound) Select(batch *kudu.RowBatch, sel []int32) []int32 {
	if b.never {
		return sel[:0]
	}
	if batch.Schema() != b.proj {
		if err := b.Bind(batch.Schema()); err != nil {
			panic(err)
		}
	}
	n := batch.NumRows()
	sel = slices.Grow(sel[:0], n)[:n]
	for i := range sel {
		sel[i] = int32(i)
	}
	b.env.batch = batch
	for _, t := range b.tests {
		if len(sel) == 0 {
			break
		}
		sel = t.narrow(&b.env, sel)
	}
	b.env.batch = nil
	return sel
}
