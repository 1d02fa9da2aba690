package predicate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// PredicateOp is a test that Kudu makes during a scan.
type PredicateOp int

// The tests. They are those of Kudu's protocol: a range is the pair of
// GreaterEqual and Less, and other bounds are turned into these exactly.
const (
	Equal PredicateOp = iota
	GreaterEqual
	Less
	InList
	IsNull
	IsNotNull
)

var predicateSigns = [...]string{"=", ">=", "<", "IN", "IS NULL", "IS NOT NULL"}

// Predicate is a test of one column, for a scan. All tests but IsNull drop the
// rows where the column is NULL.
type Predicate struct {
	Column string
	Op     PredicateOp
	// Values holds one value for Equal, GreaterEqual and Less, two or more for
	// InList, ascending and without doubles, and none for the tests of NULL. A
	// value is bool, int64 (integers, UNIXTIME_MICROS, DATE in days),
	// kudu.Int128 (DECIMAL, unscaled), string (STRING, VARCHAR; bounds needn't
	// be UTF-8) or []byte (BINARY), and is within the range of its type.
	Values []any
}

// String is for logs and tests.
func (p Predicate) String() string {
	s := quoteName(p.Column) + " " + predicateSigns[p.Op]
	parts := make([]string, len(p.Values))
	for i, v := range p.Values {
		switch v := v.(type) {
		case string:
			parts[i] = fmt.Sprintf("%q", v)
		case []byte:
			parts[i] = fmt.Sprintf("X'%X'", v)
		default:
			parts[i] = fmt.Sprint(v)
		}
	}
	switch {
	case p.Op == InList:
		return s + " (" + strings.Join(parts, ", ") + ")"
	case len(parts) > 0:
		return s + " " + parts[0]
	}
	return s
}

// pushing says what of a conjunct Kudu does.
type pushing int

const (
	pushNone pushing = iota
	pushPart         // it narrows the rows; what is left is evaluated also
	pushAll
)

// plan decides on a conjunct, with the reason where it isn't pushed wholly.
func plan(n node) (pushing, string) {
	a, ok := n.(*atom)
	if !ok {
		return pushNone, "OR of different tests"
	}
	switch {
	case a.op == opIsNull || a.op == opIsNotNull:
		return pushAll, ""
	case isFloat(a.col.Type):
		return pushNone, "Kudu compares NaN in another way"
	case a.col.Type == kudu.Bool:
		return pushAll, ""
	case a.op == opLike && (a.like.exact || a.like.open):
		return pushAll, ""
	case a.op == opLike && a.like.prefix != "":
		return pushPart, "LIKE with more than a prefix"
	case a.op == opLike:
		return pushNone, "LIKE without a prefix"
	case a.op.negative():
		return pushNone, "Kudu has no " + opNames[a.op]
	}
	return pushAll, ""
}

// span is a run of values, from lo on and below hi; an absent bound is none.
type span struct {
	lo, hi       datum
	hasLo, hasHi bool
	empty        bool
}

// spanOf is what a test by order spans in a pass at now; for negative tests
// what lies outside passes.
func (a *atom) spanOf(now int64) span {
	var s span
	above := func(d datum) { s.lo, s.hasLo = d, true }
	below := func(d datum) { s.hi, s.hasHi = d, true }
	upTo := func(d datum) {
		if next, ok := successor(a.dom, d); ok {
			below(next)
		}
	}
	v := a.args[0].at(a.col, now)
	switch a.op {
	case opEqual, opNotEqual:
		above(v)
		upTo(v)
	case opLess:
		below(v)
	case opLessEqual:
		upTo(v)
	case opGreaterEqual:
		above(v)
	case opGreater:
		next, ok := successor(a.dom, v)
		if above(next); !ok {
			s.empty = true
		}
	case opBetween, opNotBetween:
		above(v)
		upTo(a.args[1].at(a.col, now))
	}
	s.check(a.dom)
	return s
}

func (s *span) check(dom domain) {
	if s.hasLo && s.hasHi && compareDatum(dom, s.lo, s.hi) >= 0 {
		s.empty = true
	}
}

// clip drops the bounds that the column's type has anyway, and finds spans that
// lie outside of it.
func (s *span) clip(col *kudu.Column, dom domain) {
	if dom == domBytes {
		s.hasLo = s.hasLo && s.lo.s != ""
		s.empty = s.empty || s.hasHi && s.hi.s == ""
		return
	}
	least, most, ok := typeRange(col)
	if !ok {
		return
	}
	if s.hasLo {
		s.empty = s.empty || compareDatum(dom, s.lo, most) > 0
		s.hasLo = compareDatum(dom, s.lo, least) > 0
	}
	if s.hasHi {
		s.empty = s.empty || compareDatum(dom, s.hi, least) <= 0
		s.hasHi = compareDatum(dom, s.hi, most) <= 0
	}
}

// set is the values of an IN in a pass at now, ascending, without doubles.
func (a *atom) set(now int64) []datum {
	out := make([]datum, len(a.args))
	for i := range a.args {
		out[i] = a.args[i].at(a.col, now)
	}
	slices.SortFunc(out, func(x, y datum) int { return compareDatum(a.dom, x, y) })
	return slices.CompactFunc(out, func(x, y datum) bool { return compareDatum(a.dom, x, y) == 0 })
}

// push makes the predicates of an atom that plan lets Kudu do. never says that
// no row can pass.
func (a *atom) push(now int64) (out []Predicate, never bool) {
	one := func(o PredicateOp, values ...datum) {
		p := Predicate{Column: a.col.Name, Op: o}
		for _, v := range values {
			p.Values = append(p.Values, a.goValue(v))
		}
		out = append(out, p)
	}
	notNull := func() {
		if a.col.Nullable {
			one(IsNotNull)
		}
	}
	var s span
	switch {
	case a.op == opIsNotNull:
		notNull()
		return out, false
	case a.op == opIsNull:
		if !a.col.Nullable {
			return nil, true
		}
		one(IsNull)
		return out, false
	case a.col.Type == kudu.Bool:
		test := newIntTest(a, now)
		switch f, t := test.holds(0), test.holds(1); {
		case f && t:
			notNull()
		case f:
			one(Equal, datum{i: 0})
		case t:
			one(Equal, datum{i: 1})
		default:
			return nil, true
		}
		return out, false
	case a.op == opIn:
		set := a.set(now)
		if len(set) == 1 {
			one(Equal, set...)
		} else {
			one(InList, set...)
		}
		return out, false
	case a.op == opLike && a.like.exact:
		one(Equal, datum{s: a.like.prefix})
		return out, false
	case a.op == opLike:
		s.lo, s.hasLo = datum{s: a.like.prefix}, true
		s.hi.s, s.hasHi = prefixEnd(a.like.prefix)
	default:
		s = a.spanOf(now)
	}
	s.clip(a.col, a.dom)
	if s.empty {
		return nil, true
	}
	if next, ok := successor(a.dom, s.lo); ok && s.hasLo && s.hasHi && compareDatum(a.dom, next, s.hi) == 0 {
		one(Equal, s.lo)
		return out, false
	}
	// The equality with the greatest value of the type has lost its upper
	// bound, and would be pruned worse as a range.
	if a.op == opEqual {
		one(Equal, a.args[0].at(a.col, now))
		return out, false
	}
	if s.hasLo {
		one(GreaterEqual, s.lo)
	}
	if s.hasHi {
		one(Less, s.hi)
	}
	if !s.hasLo && !s.hasHi {
		notNull()
	}
	return out, false
}

// goValue is the value as kudu/value.go documents it.
func (a *atom) goValue(d datum) any {
	switch {
	case a.col.Type == kudu.Bool:
		return d.i != 0
	case a.col.Type == kudu.Binary:
		return []byte(d.s)
	case a.dom == domBytes:
		return d.s
	case a.dom == domWide:
		return d.w
	case a.col.Type.Decimal():
		return kudu.Int128FromInt64(d.i)
	}
	return d.i
}
