package kudufake

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func floatCell(t kudu.DataType, cell []byte) float64 {
	if t == kudu.Float {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(cell)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(cell))
}

// predicate is all that a scan asks of one column: its predicates ANDed.
type predicate struct {
	col          *column
	lower, upper []byte   // inclusive, exclusive; nil: open
	values       [][]byte // nil: any
	null         bool     // must be NULL
	notNull      bool     // must not be NULL
	none         bool     // contradictory
}

// predicatesFromPB reads a scan's predicates, one result per column
// (kudu-1.18.1 src/kudu/common/wire_protocol.cc, ColumnPredicateFromPB).
func predicatesFromPB(s *schema, ps []*pb.ColumnPredicatePB) ([]*predicate, *failure) {
	var out []*predicate
	for _, p := range ps {
		at := s.index(p.GetColumn())
		if at < 0 {
			return nil, badArgument("unknown column in predicate: %s", p.GetColumn())
		}
		col := s.cols[at]
		i := slices.IndexFunc(out, func(o *predicate) bool { return o.col == col })
		if i < 0 {
			i = len(out)
			out = append(out, &predicate{col: col})
		}
		if f := out[i].add(p); f != nil {
			return nil, f
		}
	}
	for _, p := range out {
		p.simplify()
	}
	return out, nil
}

func (p *predicate) add(q *pb.ColumnPredicatePB) *failure {
	switch k := q.GetPredicate().(type) {
	case *pb.ColumnPredicatePB_Range_:
		lower, upper := k.Range.Lower, k.Range.Upper
		if lower == nil && upper == nil {
			return badArgument("Invalid range predicate on column: no bounds: %s", p.col.name)
		}
		if f := p.checkSize(lower, upper); f != nil {
			return f
		}
		p.narrow(lower, upper)
	case *pb.ColumnPredicatePB_Equality_:
		if k.Equality.Value == nil {
			return badArgument("Invalid equality predicate on column: no value: %s", p.col.name)
		}
		if f := p.checkSize(k.Equality.Value); f != nil {
			return f
		}
		p.only([][]byte{k.Equality.Value})
	case *pb.ColumnPredicatePB_InList_:
		if f := p.checkSize(k.InList.Values...); f != nil {
			return f
		}
		p.only(k.InList.Values)
	case *pb.ColumnPredicatePB_IsNotNull_:
		p.notNull = true
	case *pb.ColumnPredicatePB_IsNull_:
		p.null = true
	default:
		return badArgument("Unknown predicate type for column: %s", p.col.name)
	}
	return nil
}

// checkSize wants the cell's own width of types of fixed width.
func (p *predicate) checkSize(values ...[]byte) *failure {
	for _, v := range values {
		if v != nil && !p.col.typ.VarLen() && len(v) != p.col.typ.Size() {
			return badArgument("Bad predicate on %s. Expected value size %d, got %d", p.col.name, p.col.typ.Size(), len(v))
		}
	}
	return nil
}

func (p *predicate) narrow(lower, upper []byte) {
	p.notNull = true
	if lower != nil && (p.lower == nil || compareCells(p.col.typ, lower, p.lower) > 0) {
		p.lower = lower
	}
	if upper != nil && (p.upper == nil || compareCells(p.col.typ, upper, p.upper) < 0) {
		p.upper = upper
	}
}

func (p *predicate) only(values [][]byte) {
	p.notNull = true
	if p.values == nil {
		p.values = append([][]byte{}, values...)
		return
	}
	p.values = slices.DeleteFunc(p.values, func(v []byte) bool {
		return !slices.ContainsFunc(values, func(o []byte) bool { return compareCells(p.col.typ, v, o) == 0 })
	})
}

// simplify notices contradictions.
func (p *predicate) simplify() {
	if p.values != nil {
		p.values = slices.DeleteFunc(p.values, func(v []byte) bool { return !p.inRange(v) })
		p.none = len(p.values) == 0
	}
	if p.lower != nil && p.upper != nil && compareCells(p.col.typ, p.lower, p.upper) >= 0 {
		p.none = true
	}
	// Nothing is below the smallest value.
	if p.upper != nil && !floating(p.col.typ) && compareCells(p.col.typ, p.upper, smallest(p.col.typ)) <= 0 {
		p.none = true
	}
	if p.null && (p.notNull || !p.col.nullable) {
		p.none = true
	}
}

func floating(t kudu.DataType) bool { return t == kudu.Float || t == kudu.Double }

func smallest(t kudu.DataType) []byte {
	if t == kudu.Bool {
		return []byte{0}
	}
	return minCell(t)
}

func (p *predicate) inRange(v []byte) bool {
	return (p.lower == nil || compareCells(p.col.typ, v, p.lower) >= 0) && (p.upper == nil || compareCells(p.col.typ, v, p.upper) < 0)
}

// matches decides about a cell; nil is NULL.
func (p *predicate) matches(v []byte) bool {
	switch {
	case p.none:
		return false
	case v == nil:
		return !p.notNull
	case p.null:
		return false
	case !p.inRange(v):
		return false
	case p.values == nil:
		return true
	}
	return slices.ContainsFunc(p.values, func(o []byte) bool { return compareCells(p.col.typ, v, o) == 0 })
}
