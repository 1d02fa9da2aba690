package kudutest

import (
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Predicates on a column; cells are given as for rowOps.
func eq(c *pb.ColumnSchemaPB, v any) *pb.ColumnPredicatePB {
	return &pb.ColumnPredicatePB{Column: c.Name, Predicate: &pb.ColumnPredicatePB_Equality_{Equality: &pb.ColumnPredicatePB_Equality{Value: cellOf(c, v)}}}
}

// between is lower <= cell < upper; nil is open.
func between(c *pb.ColumnSchemaPB, lower, upper any) *pb.ColumnPredicatePB {
	r := &pb.ColumnPredicatePB_Range{}
	if lower != nil {
		r.Lower = cellOf(c, lower)
	}
	if upper != nil {
		r.Upper = cellOf(c, upper)
	}
	return &pb.ColumnPredicatePB{Column: c.Name, Predicate: &pb.ColumnPredicatePB_Range_{Range: r}}
}

func in(c *pb.ColumnSchemaPB, values ...any) *pb.ColumnPredicatePB {
	l := &pb.ColumnPredicatePB_InList{}
	for _, v := range values {
		l.Values = append(l.Values, cellOf(c, v))
	}
	return &pb.ColumnPredicatePB{Column: c.Name, Predicate: &pb.ColumnPredicatePB_InList_{InList: l}}
}

func isNull(c *pb.ColumnSchemaPB) *pb.ColumnPredicatePB {
	return &pb.ColumnPredicatePB{Column: c.Name, Predicate: &pb.ColumnPredicatePB_IsNull_{IsNull: &pb.ColumnPredicatePB_IsNull{}}}
}

func isNotNull(c *pb.ColumnSchemaPB) *pb.ColumnPredicatePB {
	return &pb.ColumnPredicatePB{Column: c.Name, Predicate: &pb.ColumnPredicatePB_IsNotNull_{IsNotNull: &pb.ColumnPredicatePB_IsNotNull{}}}
}

// where reads the keys of the rows that match.
func (t *tableHandle) where(ps ...*pb.ColumnPredicatePB) []string {
	t.s.Helper()
	return t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
		atSnapshot(n, 0)
		n.ProjectedColumns, n.ColumnPredicates = t.project(t.cols[0].GetName()), ps
	})
}

// typeValues are, for each type, three values in order.
var typeValues = []struct {
	typ    kudu.DataType
	attr   func(*pb.ColumnSchemaPB)
	values [3]any
}{
	{typ: kudu.Int8, values: [3]any{-128, -1, 127}},
	{typ: kudu.Int16, values: [3]any{-32768, 0, 300}},
	{typ: kudu.Int32, values: [3]any{-1 << 31, 256, 1 << 30}},
	{typ: kudu.Int64, values: [3]any{int64(-1 << 63), -256, int64(1<<63 - 1)}},
	{typ: kudu.UnixtimeMicros, values: [3]any{-1, 0, int64(1700000000000000)}},
	{typ: kudu.Date, values: [3]any{-719162, 0, 2932896}},
	{typ: kudu.String, values: [3]any{"", "a", "a\x00"}},
	{typ: kudu.Binary, values: [3]any{"\x00", "\x7f", "\xff"}},
	{typ: kudu.Varchar, attr: varcharOf(10), values: [3]any{"A", "B", "ä"}},
	{typ: kudu.Float, values: [3]any{-1.5, 0.0, 2.25}},
	{typ: kudu.Double, values: [3]any{-1e300, 0.5, 1e300}},
	{typ: kudu.Decimal32, attr: decimal(9, 2), values: [3]any{-999999999, 0, 5}},
	{typ: kudu.Decimal64, attr: decimal(18, 3), values: [3]any{-3, 0, int64(1 << 40)}},
	{typ: kudu.Decimal128, attr: decimal(38, 4), values: [3]any{-1, 0, int64(1 << 62)}},
}

var predicateCases = []namedCase{
	{"EachPredicateOnEachType", func(s *suite) {
		cols := []*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey)}
		for i, tv := range typeValues {
			c := col(fmt.Sprint("c", i), tv.typ, nullable)
			if tv.attr != nil {
				tv.attr(c)
			}
			cols = append(cols, c)
		}
		t := s.create(cols, nil)
		ops := newOps(cols)
		for row := range 3 {
			values := []any{row}
			for _, tv := range typeValues {
				values = append(values, tv.values[row])
			}
			ops.add(insertOp, values...)
		}
		t.write(ops.add(insertOp, 3)) // all NULL
		for i, tv := range typeValues {
			c, v := cols[i+1], tv.values
			for _, test := range []struct {
				p    *pb.ColumnPredicatePB
				want []string
			}{
				{eq(c, v[1]), []string{"1"}},
				{between(c, v[1], nil), []string{"1", "2"}},
				{between(c, nil, v[1]), []string{"0"}},
				{between(c, v[0], v[2]), []string{"0", "1"}},
				{in(c, v[2], v[0], v[0]), []string{"0", "2"}},
				{isNull(c), []string{"3"}},
				{isNotNull(c), []string{"0", "1", "2"}},
			} {
				s.equal(fmt.Sprintf("%s %v", tv.typ, test.p), t.where(test.p), test.want)
			}
		}
	}},
	{"Booleans", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey), col("b", kudu.Bool, nullable)}, nil)
		t.write(newOps(t.cols).add(insertOp, 0, false).add(insertOp, 1, true).add(insertOp, 2))
		b := t.cols[1]
		s.equal("true", t.where(eq(b, true)), []string{"1"})
		s.equal("below true", t.where(between(b, nil, true)), []string{"0"})
		s.equal("both", t.where(in(b, true, false)), []string{"0", "1"})
		s.equal("null", t.where(isNull(b)), []string{"2"})
	}},
	{"PredicatesAreAnded", func(s *suite) {
		t, _ := s.kv(20)
		k, n := t.cols[0], t.cols[2]
		s.equal("two columns", t.where(between(k, 5, 10), between(n, 70, nil)), []string{"7", "8", "9"})
		s.equal("one column", t.where(between(k, 5, nil), between(k, nil, 7)), []string{"5", "6"})
		s.equal("list in a range", t.where(in(k, 1, 5, 9), between(k, 4, nil)), []string{"5", "9"})
		s.equal("column not in the projection", t.where(eq(n, 30)), []string{"3"})
	}},
	{"KeyPredicatesOfACompositeKey", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{col("id", kudu.Int32, isKey), col("a", kudu.String, isKey), col("b", kudu.Int64, isKey)}, nil)
		ops, id := newOps(t.cols), 0
		for _, a := range []string{"", "a", "a\x00", "b"} {
			for b := -1; b <= 1; b++ {
				ops.add(insertOp, id, a, b)
				id++
			}
		}
		t.write(ops)
		a, b := t.cols[1], t.cols[2]
		s.equal("a = 'a'", t.where(eq(a, "a")), []string{"3", "4", "5"})
		s.equal("a < 'b' and b = 0", t.where(between(a, nil, "b"), eq(b, 0)), []string{"1", "4", "7"})
		s.equal("id in and b >= 0", t.where(in(t.cols[0], 0, 1, 2, 11), between(b, 0, nil)), []string{"1", "2", "11"})
	}},
	{"ContradictionsEndAtOnce", func(s *suite) {
		t, _ := s.kv(5)
		k, n := t.cols[0], t.cols[2]
		for _, ps := range [][]*pb.ColumnPredicatePB{
			{between(k, 5, 5)}, {eq(n, 1), eq(n, 2)}, {in(n)}, {isNull(k)}, {isNull(n), isNotNull(n)}, {between(n, 7, nil), eq(n, 3)},
			{between(k, nil, -1<<31)},
		} {
			b := t.must(func(_ *pb.ScanRequestPB, r *pb.NewScanRequestPB) {
				// A snapshot that would be refused is not looked at.
				atSnapshot(r, 1)
				r.ColumnPredicates = ps
			})
			s.equal(fmt.Sprint(ps), []any{b.resp.Error, len(b.rows), b.resp.SnapTimestamp != nil, b.resp.GetHasMoreResults(), b.resp.Data != nil},
				[]any{b.resp.Error, 0, false, false, true})
			if b.resp.Error != nil {
				s.Errorf("%v: %v", ps, b.resp.Error)
			}
		}
	}},
	{"Refusals", func(s *suite) {
		t, _ := s.kv(1)
		k := t.cols[0]
		short := eq(k, 1)
		short.GetEquality().Value = []byte{1, 2}
		missing := eq(col("nosuch", kudu.Int32), 1)
		for _, p := range []*pb.ColumnPredicatePB{
			short, missing, between(k, nil, nil), {Column: k.Name}, {Column: k.Name, Predicate: &pb.ColumnPredicatePB_Equality_{Equality: &pb.ColumnPredicatePB_Equality{}}},
		} {
			t.refused(invalidScanSpec, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				n.ColumnPredicates = []*pb.ColumnPredicatePB{p}
			})
		}
	}},
	{"FilteredScansGoOnOverEmptyBatches", func(s *suite) {
		t, _ := s.kv(1000)
		b := t.must(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			r.BatchSizeBytes = new(uint32(1))
			n.ColumnPredicates = []*pb.ColumnPredicatePB{between(t.cols[2], 9000, nil)}
		})
		rows, id := b.rows, b.resp.GetScannerId()
		for seq := uint32(1); b.resp.GetHasMoreResults(); seq++ {
			b = t.next(id, seq, 1, t.all())
			rows = append(rows, b.rows...)
		}
		s.equal("rows", rows, kvRows(900, 1000))
	}},
}
