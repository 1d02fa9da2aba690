package predicate

import (
	"bytes"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// env is what the tests of one Bound share while a batch is evaluated.
type env struct {
	batch *kudu.RowBatch
	cols  []int   // place in the batch of each column of the table
	keys  []int64 // scratch
}

// test narrows a selection, in place, to the rows for which it is true. Rows
// ascend. It works through a column at a time and allocates nothing but scratch
// that stays.
type test interface {
	narrow(e *env, sel []int32) []int32
}

func newTest(n node, now int64) test {
	if j, ok := n.(*junction); ok {
		kids := make([]test, len(j.kids))
		for i, k := range j.kids {
			kids[i] = newTest(k, now)
		}
		if j.and {
			return allTest(kids)
		}
		return &anyTest{kids: kids}
	}
	a := n.(*atom)
	switch {
	case a.op == opIsNull || a.op == opIsNotNull:
		return &nullTest{col: a.index, null: a.op == opIsNull}
	case a.op == opLike || a.op == opNotLike:
		return &likeTest{col: a.index, like: a.like, not: a.op == opNotLike}
	case a.dom == domWide:
		return newWideTest(a, now)
	case a.dom == domBytes:
		return newBytesTest(a, now)
	}
	return newIntTest(a, now)
}

// allTest is AND.
type allTest []test

func (t allTest) narrow(e *env, sel []int32) []int32 {
	for _, kid := range t {
		if len(sel) == 0 {
			break
		}
		sel = kid.narrow(e, sel)
	}
	return sel
}

// anyTest is OR: each operand looks only at the rows that none before it took.
type anyTest struct {
	kids      []test
	rest, hit []int32
	taken     []bool // by row; all false between calls
}

func (t *anyTest) narrow(e *env, sel []int32) []int32 {
	if n := e.batch.NumRows(); len(t.taken) < n {
		t.taken = make([]bool, n)
	}
	t.rest = append(t.rest[:0], sel...)
	for _, kid := range t.kids {
		t.hit = append(t.hit[:0], t.rest...)
		for _, r := range kid.narrow(e, t.hit) {
			t.taken[r] = true
		}
		left := t.rest[:0]
		for _, r := range t.rest {
			if !t.taken[r] {
				left = append(left, r)
			}
		}
		if t.rest = left; len(left) == 0 {
			break
		}
	}
	out := sel[:0]
	for _, r := range sel {
		if t.taken[r] {
			t.taken[r] = false
			out = append(out, r)
		}
	}
	return out
}

type nullTest struct {
	col  int
	null bool
}

func (t *nullTest) narrow(e *env, sel []int32) []int32 {
	v := e.batch.Column(e.cols[t.col])
	if !v.Nullable() {
		if t.null {
			return sel[:0]
		}
		return sel
	}
	out := sel[:0]
	for _, r := range sel {
		if v.IsNull(int(r)) == t.null {
			out = append(out, r)
		}
	}
	return out
}

// notNull narrows to the rows where the column has a value.
func notNull(v *kudu.ColumnView, sel []int32) []int32 {
	if !v.Nullable() {
		return sel
	}
	out := sel[:0]
	for _, r := range sel {
		if !v.IsNull(int(r)) {
			out = append(out, r)
		}
	}
	return out
}

// linearSet is how many values are tried one after the other rather than
// looked up.
const linearSet = 8

// intTest compares columns of the domain of 64-bit integers with a span or,
// when set is there, with a set.
type intTest struct {
	col    int
	lo, hi int64 // both inclusive
	set    []int64
	lookup map[int64]struct{}
	not    bool
}

func newIntTest(a *atom, now int64) *intTest {
	t := &intTest{col: a.index, not: a.op.negative(), lo: minInt64, hi: maxInt64}
	if a.op == opIn || a.op == opNotIn {
		for _, d := range a.set(now) {
			t.set = append(t.set, d.i)
		}
		if len(t.set) > linearSet {
			t.lookup = make(map[int64]struct{}, len(t.set))
			for _, k := range t.set {
				t.lookup[k] = struct{}{}
			}
		}
		return t
	}
	s := a.spanOf(now)
	if s.hasLo {
		t.lo = s.lo.i
	}
	if s.hasHi {
		t.hi = s.hi.i - 1
	}
	// hi-1 of the least value wraps to the greatest: such a span is empty.
	if s.empty || s.hasHi && s.hi.i == minInt64 {
		t.lo, t.hi = 1, 0
	}
	return t
}

const (
	minInt64 = -1 << 63
	maxInt64 = 1<<63 - 1
)

// holds reports whether the test is true of a value.
func (t *intTest) holds(k int64) bool {
	switch {
	case t.lookup != nil:
		_, in := t.lookup[k]
		return in != t.not
	case t.set != nil:
		return slices.Contains(t.set, k) != t.not
	}
	return (k >= t.lo && k <= t.hi) != t.not
}

func (t *intTest) narrow(e *env, sel []int32) []int32 {
	v := e.batch.Column(e.cols[t.col])
	sel = notNull(v, sel)
	e.keys = gather(v, sel, e.keys)
	keys, out := e.keys, sel[:0]
	if t.set != nil {
		for i, r := range sel {
			if t.holds(keys[i]) {
				out = append(out, r)
			}
		}
		return out
	}
	lo, hi, not := t.lo, t.hi, t.not
	for i, r := range sel {
		if k := keys[i]; (k >= lo && k <= hi) != not {
			out = append(out, r)
		}
	}
	return out
}

// gather reads the cells of the selected rows as ordered integers.
func gather(v *kudu.ColumnView, sel []int32, keys []int64) []int64 {
	keys = slices.Grow(keys[:0], len(sel))[:len(sel)]
	switch v.Type() {
	case kudu.Bool:
		for i, r := range sel {
			keys[i] = 0
			if v.Bool(int(r)) {
				keys[i] = 1
			}
		}
	case kudu.Int8:
		for i, r := range sel {
			keys[i] = int64(v.Int8(int(r)))
		}
	case kudu.Int16:
		for i, r := range sel {
			keys[i] = int64(v.Int16(int(r)))
		}
	case kudu.Int32, kudu.Date, kudu.Decimal32:
		for i, r := range sel {
			keys[i] = int64(v.Int32(int(r)))
		}
	case kudu.Float:
		for i, r := range sel {
			keys[i] = floatKey(float64(v.Float32(int(r))))
		}
	case kudu.Double:
		for i, r := range sel {
			keys[i] = floatKey(v.Float64(int(r)))
		}
	default:
		for i, r := range sel {
			keys[i] = v.Int64(int(r))
		}
	}
	return keys
}

// wideTest compares DECIMAL columns of 128 bits.
type wideTest struct {
	col  int
	span span
	set  map[kudu.Int128]struct{}
	not  bool
}

func newWideTest(a *atom, now int64) *wideTest {
	t := &wideTest{col: a.index, not: a.op.negative()}
	if a.op != opIn && a.op != opNotIn {
		t.span = a.spanOf(now)
		return t
	}
	t.set = make(map[kudu.Int128]struct{}, len(a.args))
	for _, d := range a.set(now) {
		t.set[d.w] = struct{}{}
	}
	return t
}

func (t *wideTest) narrow(e *env, sel []int32) []int32 {
	v := e.batch.Column(e.cols[t.col])
	sel = notNull(v, sel)
	out, s := sel[:0], &t.span
	for _, r := range sel {
		k, in := v.Int128(int(r)), false
		if t.set != nil {
			_, in = t.set[k]
		} else {
			in = !s.empty && (!s.hasLo || k.Cmp(s.lo.w) >= 0) && (!s.hasHi || k.Cmp(s.hi.w) < 0)
		}
		if in != t.not {
			out = append(out, r)
		}
	}
	return out
}

// bytesTest compares STRING, VARCHAR and BINARY columns.
type bytesTest struct {
	col    int
	span   span
	lo, hi []byte
	set    map[string]struct{}
	equal  []byte // when the span is one value; nil otherwise
	not    bool
}

func newBytesTest(a *atom, now int64) *bytesTest {
	t := &bytesTest{col: a.index, not: a.op.negative()}
	if a.op == opIn || a.op == opNotIn {
		t.set = make(map[string]struct{}, len(a.args))
		for _, d := range a.set(now) {
			t.set[d.s] = struct{}{}
		}
		return t
	}
	t.span = a.spanOf(now)
	t.lo, t.hi = []byte(t.span.lo.s), []byte(t.span.hi.s)
	if a.op == opEqual || a.op == opNotEqual {
		t.equal = append([]byte{}, t.lo...)
	}
	return t
}

func (t *bytesTest) narrow(e *env, sel []int32) []int32 {
	v := e.batch.Column(e.cols[t.col])
	sel = notNull(v, sel)
	out, s := sel[:0], &t.span
	for _, r := range sel {
		k, in := v.Bytes(int(r)), false
		switch {
		case t.set != nil:
			_, in = t.set[string(k)] // looked up without a copy
		case t.equal != nil:
			in = bytes.Equal(k, t.equal)
		default:
			in = !s.empty && (!s.hasLo || bytes.Compare(k, t.lo) >= 0) && (!s.hasHi || bytes.Compare(k, t.hi) < 0)
		}
		if in != t.not {
			out = append(out, r)
		}
	}
	return out
}

type likeTest struct {
	col  int
	like *pattern
	not  bool
}

func (t *likeTest) narrow(e *env, sel []int32) []int32 {
	v := e.batch.Column(e.cols[t.col])
	sel = notNull(v, sel)
	out := sel[:0]
	for _, r := range sel {
		if t.like.match(v.Bytes(int(r))) != t.not {
			out = append(out, r)
		}
	}
	return out
}
