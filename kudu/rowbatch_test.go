package kudu

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// byteRuns are sidecars held in memory.
type byteRuns [][]byte

func (r byteRuns) NumSidecars() int { return len(r) }

func (r byteRuns) Sidecar(i int) ([]byte, error) {
	if r[i] == nil {
		return nil, errors.New("released")
	}
	return r[i], nil
}

// columnarOf lays a batch out as an answer of a tablet server does.
func columnarOf(b *RowBatch) (*pb.ColumnarRowBlockPB, byteRuns) {
	block := &pb.ColumnarRowBlockPB{NumRows: ptr(int64(b.rows))}
	var runs byteRuns
	add := func(run []byte) *int32 {
		runs = append(runs, append([]byte{}, run...))
		return ptr(int32(len(runs) - 1))
	}
	for i := range b.cols {
		v, c := &b.cols[i], &pb.ColumnarRowBlockPB_Column{}
		data := v.data
		if b.rows == 0 {
			data = nil // also of strings: no leading zero
		}
		c.DataSidecar = add(data)
		if v.typ.VarLen() {
			c.VarlenDataSidecar = add(v.varlen)
		}
		if v.present != nil {
			c.NonNullBitmapSidecar = add(v.present)
		}
		block.Columns = append(block.Columns, c)
	}
	return block, runs
}

func everyNullable() []Column {
	cols := everyColumn()
	for _, c := range everyColumn() {
		c.Name += "_null"
		c.Nullable = true
		cols = append(cols, c)
	}
	return cols
}

// The bytes are those of an answer of a server of release 1.18.1.
func TestColumnarAnswerOfARealServerIsDecoded(t *testing.T) {
	proj := mustSchema(t,
		Column{Name: "k2", Type: Int64},
		Column{Name: "i8", Type: Int8, Nullable: true},
		Column{Name: "s", Type: String, Nullable: true},
		Column{Name: "bo", Type: Bool, Nullable: true},
		Column{Name: "t", Type: UnixtimeMicros, Nullable: true},
	)
	runs := byteRuns{
		unhex(t, "6e31010000000000 f709020000000000 91c3020000000000"),
		unhex(t, "f6 ef e9"), {7},
		unhex(t, "00000000 00000000 05000000 0a000000"), []byte("str17str23"), {6},
		unhex(t, "01 00 00"), {7},
		unhex(t, "0a401e18240a0600 11401e18240a0600 17401e18240a0600"), {7},
	}
	at := func(i int32) *int32 { return &i }
	block := &pb.ColumnarRowBlockPB{NumRows: ptr(int64(3)), Columns: []*pb.ColumnarRowBlockPB_Column{
		{DataSidecar: at(0)},
		{DataSidecar: at(1), NonNullBitmapSidecar: at(2)},
		{DataSidecar: at(3), VarlenDataSidecar: at(4), NonNullBitmapSidecar: at(5)},
		{DataSidecar: at(6), NonNullBitmapSidecar: at(7)},
		{DataSidecar: at(8), NonNullBitmapSidecar: at(9)},
	}}
	var b RowBatch
	if err := decodeColumnar(&b, proj, block, runs); err != nil {
		t.Fatal(err)
	}
	if b.NumRows() != 3 || b.Schema() != proj {
		t.Fatalf("%d rows of %v", b.NumRows(), b.Schema())
	}
	for row, want := range [][]any{
		{int64(78190), int64(-10), nil, true, int64(1700000000000010)},
		{int64(133623), int64(-17), "str17", false, int64(1700000000000017)},
		{int64(181137), int64(-23), "str23", false, int64(1700000000000023)},
	} {
		if got := b.Values(row); !slices.Equal(got, want) {
			t.Errorf("row %d: %v, want %v", row, got, want)
		}
	}
	if got, want := b.Bytes(), 24+3+1+16+10+1+3+1+24+1; got != want {
		t.Errorf("the batch counts %d bytes, want %d", got, want)
	}
}

func TestBuiltBatchesShowTheirValues(t *testing.T) {
	cols := everyNullable()
	schema := mustSchema(t, cols...)
	rapid.Check(t, func(t *rapid.T) {
		bb := NewBatchBuilder(schema)
		rows := make([][]any, rapid.IntRange(0, 20).Draw(t, "rows"))
		for n := range rows {
			rows[n] = make([]any, len(cols))
			for i := range cols {
				if !cols[i].Nullable || rapid.Bool().Draw(t, "present") {
					rows[n][i] = drawCell(t, &cols[i], fmt.Sprint(cols[i].Name, " ", n))
				}
			}
			if err := bb.Append(rows[n]...); err != nil {
				t.Fatal(err)
			}
		}
		built := bb.Build()
		block, runs := columnarOf(built)
		// A batch that was used before, of another shape.
		decoded := RowBatch{rows: 7, cols: make([]ColumnView, 3, 100)}
		if err := decodeColumnar(&decoded, schema, block, runs); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*RowBatch{built, &decoded} {
			if b.NumRows() != len(rows) || b.Schema() != schema {
				t.Fatalf("%d rows, want %d", b.NumRows(), len(rows))
			}
			for n := range rows {
				got := b.Values(n)
				for i := range cols {
					if !sameCell(got[i], rows[n][i]) {
						t.Fatalf("row %d column %s: %v, want %v", n, cols[i].Name, got[i], rows[n][i])
					}
					if v := b.Column(i); v.IsNull(n) != (rows[n][i] == nil) || v.Nullable() != cols[i].Nullable || v.Type() != cols[i].Type {
						t.Fatalf("row %d column %s: null %v of %v", n, cols[i].Name, v.IsNull(n), v.Type())
					}
				}
			}
		}
	})
}

func TestCellsAreMadeOfManyGoTypes(t *testing.T) {
	at := time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	dec := Column{Type: Decimal64, Precision: 18, Scale: 2}
	for _, c := range []struct {
		col  Column
		in   any
		want any
	}{
		{Column{Type: Int8}, int8(-128), int64(-128)}, {Column{Type: Int16}, int16(-1), int64(-1)},
		{Column{Type: Int32}, int32(7), int64(7)}, {Column{Type: Int64}, uint8(7), int64(7)},
		{Column{Type: Int64}, uint16(7), int64(7)}, {Column{Type: Int64}, uint32(7), int64(7)},
		{Column{Type: Int64}, uint(7), int64(7)}, {Column{Type: Uint64}, uint64(math.MaxUint64), uint64(math.MaxUint64)},
		{Column{Type: UnixtimeMicros}, at, int64(-1)}, {Column{Type: Date}, at, int64(-1)},
		{Column{Type: Date}, at.In(time.FixedZone("", 7200)), int64(-1)},
		{Column{Type: Float}, 0.5, float32(0.5)}, {Column{Type: Float}, float32(0.5), float32(0.5)},
		{Column{Type: Double}, float32(0.5), 0.5}, {Column{Type: String}, []byte("x"), "x"},
		{Column{Type: Binary}, "x", []byte("x")}, {dec, "-1.5", Int128FromInt64(-150)}, {dec, Int128FromInt64(3), Int128FromInt64(3)},
		{Column{Type: Bool}, true, true},
	} {
		c.col.Name = "c"
		bb := NewBatchBuilder(mustSchema(t, c.col))
		if err := bb.Append(c.in); err != nil {
			t.Errorf("%T as %s: %v", c.in, c.col.TypeString(), err)
			continue
		}
		if got := bb.Build().Column(0).Value(0); !sameCell(got, c.want) {
			t.Errorf("%T %v as %s: %v, want %v", c.in, c.in, c.col.TypeString(), got, c.want)
		}
	}
}

func TestBatchBuilderRefusesValuesThatDontFit(t *testing.T) {
	for _, c := range []struct {
		col   Column
		value any
		want  string
	}{
		{Column{Type: Int8}, 128, "out of the range"}, {Column{Type: Int8}, -129, "out of the range"},
		{Column{Type: Uint8}, -1, "out of the range"}, {Column{Type: Uint64}, -1, "out of the range"},
		{Column{Type: Int64}, uint64(1 << 63), "out of the range"}, {Column{Type: Date}, maxDate + 1, "out of the range"},
		{Column{Type: Date}, minDate - 1, "out of the range"}, {Column{Type: Int32}, 1.0, "float64 can't be a INT32"},
		{Column{Type: Int32}, time.Now(), "can't be"}, {Column{Type: String}, 1, "can't be"}, {Column{Type: Bool}, 1, "can't be"},
		{Column{Type: Double}, 1, "can't be"}, {Column{Type: Int32}, nil, "can't be NULL"},
		{Column{Type: Decimal32, Precision: 9, Scale: 2}, Int128FromInt64(1 << 31), "out of the range"},
		{Column{Type: Decimal64, Precision: 18}, Int128{Hi: 1}, "out of the range"},
		{Column{Type: Decimal32, Precision: 9, Scale: 2}, "0.001", "behind the point"},
		{Column{Type: Decimal32, Precision: 9, Scale: 2}, 1, "can't be"},
	} {
		c.col.Name = "c"
		err := NewBatchBuilder(mustSchema(t, c.col)).Append(c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"c"`) {
			t.Errorf("%v as %s: %v, want %q in it", c.value, c.col.TypeString(), err, c.want)
		}
	}
	if err := NewBatchBuilder(mustSchema(t, Column{Name: "c", Type: Int8})).Append(1, 2); err == nil {
		t.Error("a row of two values in a batch of one column is taken")
	}
}

func TestMalformedAnswersAreRefused(t *testing.T) {
	proj := mustSchema(t,
		Column{Name: "n", Type: Int32},
		Column{Name: "s", Type: String, Nullable: true},
	)
	good := func() (*pb.ColumnarRowBlockPB, byteRuns) {
		bb := NewBatchBuilder(proj)
		for i := range 9 {
			if err := bb.Append(i, "text"); err != nil {
				t.Fatal(err)
			}
		}
		return columnarOf(bb.Build())
	}
	// Runs: 0 cells of n, 1 offsets of s, 2 text of s, 3 bitmap of s.
	for _, c := range []struct {
		name  string
		spoil func(*pb.ColumnarRowBlockPB, byteRuns)
		want  string
	}{
		{"negative rows", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.NumRows = ptr(int64(-1)) }, "claims -1 rows"},
		{"too many rows", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.NumRows = ptr(int64(math.MaxInt64)) }, "claims"},
		{"a column less", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns = b.Columns[:1] }, "has 1 columns"},
		{"a row more", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.NumRows = ptr(int64(10)) }, "10 rows need 40"},
		{"a row less", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.NumRows = ptr(int64(8)) }, "8 rows need 32"},
		{"no rows, but cells", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.NumRows = ptr(int64(0)) }, "0 rows need 0"},
		{"no cells", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns[0].DataSidecar = nil }, "names no sidecar"},
		{"sidecar out of range", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns[0].DataSidecar = ptr(int32(4)) }, "sidecar 4 of 4"},
		{"negative sidecar", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns[0].DataSidecar = ptr(int32(-1)) }, "sidecar -1"},
		{"unreadable sidecar", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[0] = nil }, "released"},
		{"no bitmap", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns[1].NonNullBitmapSidecar = nil }, "null bitmap"},
		{"short bitmap", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[3] = r[3][:1] }, "1 bytes for 9 rows"},
		{"an offset less", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[1] = r[1][:36] }, "bytes of offsets"},
		{"offsets fall", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[1][4] = 99 }, "goes back"},
		{"first offset falls", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[1][3] = 0x80 }, "goes back"},
		{"offset beyond the text", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[1][39] = 0xff }, "beyond the 36 bytes"},
		{"short text", func(_ *pb.ColumnarRowBlockPB, r byteRuns) { r[2] = r[2][:35] }, "beyond the 35 bytes"},
		{"no text", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns[1].VarlenDataSidecar = nil }, "beyond the 0 bytes"},
		{"text out of range", func(b *pb.ColumnarRowBlockPB, _ byteRuns) { b.Columns[1].VarlenDataSidecar = ptr(int32(9)) }, "variable-length data"},
	} {
		block, runs := good()
		c.spoil(block, runs)
		var b RowBatch
		err := decodeColumnar(&b, proj, block, runs)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		if b.NumRows() != 0 {
			t.Errorf("%s: the batch shows %d rows", c.name, b.NumRows())
		}
	}
}

func TestClaimedRowsCostNoMemory(t *testing.T) {
	proj := mustSchema(t, everyNullable()...)
	block := &pb.ColumnarRowBlockPB{NumRows: ptr(int64(maxBatchRows))}
	for range proj.NumColumns() {
		block.Columns = append(block.Columns, &pb.ColumnarRowBlockPB_Column{
			DataSidecar: ptr(int32(0)), VarlenDataSidecar: ptr(int32(0)), NonNullBitmapSidecar: ptr(int32(0)),
		})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var b RowBatch
	if err := decodeColumnar(&b, proj, block, byteRuns{{}}); err == nil {
		t.Error("an answer of many rows and no bytes is taken")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("refusing it allocates %d bytes", n)
	}
}

func TestDecodingIntoAUsedBatchAllocatesNothing(t *testing.T) {
	for _, shape := range benchShapes(t) {
		var b RowBatch
		if n := testing.AllocsPerRun(10, func() {
			if err := decodeColumnar(&b, shape.proj, shape.block, shape.runs); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", shape.name, n)
		}
	}
}
