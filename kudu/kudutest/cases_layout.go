package kudutest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// allTypes has a column of each type, nullable ones behind the key.
func allTypes() []*pb.ColumnSchemaPB {
	return []*pb.ColumnSchemaPB{
		col("k", kudu.Int64, isKey),
		col("i8", kudu.Int8, nullable), col("i16", kudu.Int16, nullable), col("i32", kudu.Int32, nullable), col("i64", kudu.Int64, nullable),
		col("s", kudu.String, nullable), col("bin", kudu.Binary, nullable), col("vc", kudu.Varchar, nullable, varcharOf(20)),
		col("b", kudu.Bool, nullable), col("f", kudu.Float, nullable), col("d", kudu.Double, nullable),
		col("t", kudu.UnixtimeMicros, nullable), col("date", kudu.Date, nullable),
		col("d32", kudu.Decimal32, nullable, decimal(9, 2)), col("d64", kudu.Decimal64, nullable, decimal(18, 3)),
		col("d128", kudu.Decimal128, nullable, decimal(38, 4)), col("req", kudu.String),
	}
}

// allTypesRows writes edges of each type, and gives the rows in text.
func allTypesRows(t *tableHandle) []string {
	t.s.Helper()
	t.write(newOps(t.cols).
		add(insertOp, 1, -128, -32768, -1<<31, int64(-1<<63), "", "\x00\xff", "ä", true, 1.5, -2.25, -1, 0, -999999999, -1, -2, "x").
		add(insertOp, 2, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, "").
		add(insertOp, 3, 127, 32767, 1<<31-1, int64(1<<63-1), "str", "bin", "vc", false, 0.0, 1e300, int64(1700000000000000), -719162, 1, 2, 3, "y"))
	return []string{
		"1|-128|-32768|-2147483648|-9223372036854775808||\x00\xff|ä|1|1.5|-2.25|-1|0|-999999999|-1|feffffffffffffffffffffffffffffff|x",
		"2|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|",
		"3|127|32767|2147483647|9223372036854775807|str|bin|vc|0|0|1e+300|1700000000000000|-719162|1|2|03000000000000000000000000000000|y",
	}
}

var layoutCases = []namedCase{
	{"AllTypesInAllLayouts", func(s *suite) {
		t := s.create(allTypes(), nil)
		want := allTypesRows(t)
		for _, flags := range []uint64{0, padUnixtime, columnar} {
			for _, order := range []int32{unordered, ordered} {
				got := t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
					atSnapshot(n, 0)
					n.OrderMode, n.RowFormatFlags = &order, &flags
				})
				s.equal(fmt.Sprintf("flags %d, order %d", flags, order), got, want)
			}
		}
	}},
	{"ManyRowsInAllLayouts", func(s *suite) {
		t := s.create(kvColumns(), nil)
		ops, want := newOps(t.cols), []string(nil)
		for i := range 1000 {
			v, n := any(fmt.Sprint("value ", i)), any(i)
			if i%3 == 0 {
				v = nil
			}
			if i%7 == 0 {
				n = nil
			}
			ops.add(insertOp, i, v, n)
			row := fmt.Sprintf("%d|%v|%v", i, v, n)
			want = append(want, strings.ReplaceAll(row, "<nil>", "NULL"))
		}
		t.write(ops)
		for _, flags := range []uint64{0, columnar} {
			for _, size := range []uint32{1, 10_000, 1 << 20} {
				got := t.rows(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) { r.BatchSizeBytes, n.RowFormatFlags = &size, &flags })
				slices.SortFunc(got, compareByNumber)
				s.equal("rows", got, want)
			}
		}
	}},
	{"PaddingDoesNotMixWithColumns", func(s *suite) {
		t, _ := s.kv(1)
		t.refused(invalidScanSpec, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			n.RowFormatFlags = new(uint64(padUnixtime | columnar))
		})
	}},
	{"EmptyAnswersInAllLayouts", func(s *suite) {
		t, _ := s.kv(0)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.RowFormatFlags = new(uint64(columnar)) })
		if data := b.resp.GetColumnarData(); data == nil || data.NumRows == nil || len(data.Columns) != 3 {
			s.Errorf("columnar: %v", b.resp)
		}
		b = t.must(nil)
		if data := b.resp.GetData(); data == nil || data.RowsSidecar == nil || data.IndirectDataSidecar != nil {
			s.Errorf("row-wise: %v", b.resp)
		}
	}},
	{"WithoutStringsThereIsNoIndirectData", func(s *suite) {
		t, _ := s.kv(3)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.ProjectedColumns = t.project("k", "n") })
		s.equal("indirect", b.resp.GetData().IndirectDataSidecar != nil, false)
	}},
}

// compareByNumber orders rows by the number that they begin with.
func compareByNumber(a, b string) int {
	var x, y int
	_, _ = fmt.Sscan(a, &x) // rows begin with a number, and an error leaves 0
	_, _ = fmt.Sscan(b, &y)
	return x - y
}
