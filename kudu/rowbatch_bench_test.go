package kudu

import (
	"fmt"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

type benchShape struct {
	name  string
	proj  *Schema
	block *pb.ColumnarRowBlockPB
	runs  sidecars
}

const benchRows = 8192

// The benchmarks count to b.N: with b.Loop in this package, which also
// instantiates the generators of rapid, the compiler of Go 1.26.8 crashes.

// benchShapes are answers of a narrow table, and of one with 20 columns of
// many types, each with nulls.
func benchShapes(tb testing.TB) []benchShape {
	narrow := []Column{
		{Name: "event_time", Type: UnixtimeMicros, Key: true}, {Name: "id", Type: Int64, Key: true},
		{Name: "user", Type: String, Nullable: true}, {Name: "amount", Type: Decimal64, Precision: 18, Scale: 2, Nullable: true},
	}
	types := []DataType{Int64, String, Double, Bool, Int32, UnixtimeMicros, Binary, Date, Decimal128, Float}
	var wide []Column
	for i := range 20 {
		c := Column{Name: fmt.Sprint("c", i), Type: types[i%len(types)], Nullable: i > 1}
		if c.Type.Decimal() {
			c.Precision, c.Scale = 38, 4
		}
		wide = append(wide, c)
	}
	var shapes []benchShape
	for _, s := range []struct {
		name string
		cols []Column
	}{{"narrow", narrow}, {"columns20", wide}} {
		proj := mustSchema(tb, s.cols...)
		bb := NewBatchBuilder(proj)
		row := make([]any, len(s.cols))
		for n := range benchRows {
			for i := range s.cols {
				row[i] = benchCell(&s.cols[i], n)
			}
			if err := bb.Append(row...); err != nil {
				tb.Fatal(err)
			}
		}
		block, runs := columnarOf(bb.Build())
		shapes = append(shapes, benchShape{s.name, proj, block, runs})
	}
	return shapes
}

func benchCell(c *Column, n int) any {
	switch {
	case c.Nullable && n%10 == 0:
		return nil
	case c.Type.VarLen():
		return fmt.Sprintf("user-%08d", n)
	case c.Type.Decimal():
		return Int128FromInt64(int64(n))
	case c.Type == Bool:
		return n%2 == 0
	case c.Type == Float, c.Type == Double:
		return float64(n) / 4
	}
	return n
}

// BenchmarkDecodeColumnar is the cost of taking an answer: the checks of all
// lengths and offsets. Allocations are per batch.
func BenchmarkDecodeColumnar(b *testing.B) {
	for _, s := range benchShapes(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			var batch RowBatch
			for range b.N {
				if err := decodeColumnar(&batch, s.proj, s.block, s.runs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkReadCells adds a look at every cell through the typed accessors.
func BenchmarkReadCells(b *testing.B) {
	for _, s := range benchShapes(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			var batch RowBatch
			sum := 0
			for range b.N {
				if err := decodeColumnar(&batch, s.proj, s.block, s.runs); err != nil {
					b.Fatal(err)
				}
				for i := range s.proj.NumColumns() {
					v := batch.Column(i)
					for row := range batch.NumRows() {
						switch {
						case v.IsNull(row):
						case v.Type().VarLen():
							sum += len(v.Bytes(row))
						case v.Type() == Bool:
							if v.Bool(row) {
								sum++
							}
						case v.Type() == Double:
							sum += int(v.Float64(row))
						case v.Type() == Float:
							sum += int(v.Float32(row))
						case v.Type() == Decimal128:
							sum += int(v.Int128(row).Lo)
						default:
							sum += int(v.Int(row))
						}
					}
				}
			}
			b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
			_ = sum
		})
	}
}

// BenchmarkAppendKey is the cost of a position: the encoded primary key.
func BenchmarkAppendKey(b *testing.B) {
	s := benchShapes(b)[0]
	var batch RowBatch
	if err := decodeColumnar(&batch, s.proj, s.block, s.runs); err != nil {
		b.Fatal(err)
	}
	places := []int{0, 1}
	var key []byte
	b.ReportAllocs()
	b.ResetTimer()
	row := 0
	for range b.N {
		key = AppendKey(key[:0], &batch, places, row)
		row = (row + 1) % benchRows
	}
}

func TestABatchIsDecodedWithoutAllocatingForRowsOrCells(t *testing.T) {
	for _, s := range benchShapes(t) {
		var batch RowBatch
		if n := testing.AllocsPerRun(20, func() {
			if err := decodeColumnar(&batch, s.proj, s.block, s.runs); err != nil {
				t.Fatal(err)
			}
		}); n > 2 {
			t.Errorf("%s: %v allocations for a batch of %d rows", s.name, n, benchRows)
		}
	}
}
