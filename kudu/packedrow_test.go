package kudu

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestPackedRowsComeBackAsTheyWere(t *testing.T) {
	schema := mustSchema(t, everyNullable()...)
	rapid.Check(t, func(t *rapid.T) {
		from, to := NewBatchBuilder(schema), NewBatchBuilder(schema)
		for r := range rapid.IntRange(0, 20).Draw(t, "rows") {
			vals := make([]any, schema.NumColumns())
			for i := range vals {
				c := schema.Column(i)
				if c.Nullable && rapid.Bool().Draw(t, "null") {
					continue
				}
				vals[i] = drawCell(t, c, fmt.Sprint(r, c.Name))
			}
			if err := from.Append(vals...); err != nil {
				t.Fatal(err)
			}
		}
		batch := from.Batch()
		var packed []byte
		for r := range batch.NumRows() {
			packed = batch.AppendPacked(packed[:0], r)
			if err := to.AppendPacked(packed); err != nil {
				t.Fatal(err)
			}
		}
		back := to.Batch()
		if back.NumRows() != batch.NumRows() {
			t.Fatalf("%d rows of %d", back.NumRows(), batch.NumRows())
		}
		for r := range batch.NumRows() {
			got, want := back.Values(r), batch.Values(r)
			for i := range want {
				if !sameCell(got[i], want[i]) {
					t.Fatalf("row %d column %s: %v became %v", r, schema.Column(i).Name, want[i], got[i])
				}
			}
		}
	})
}

func TestBytesThatAreNoPackedRowAreAnError(t *testing.T) {
	schema := mustSchema(t, Column{Name: "id", Type: Int64, Key: true}, Column{Name: "s", Type: String, Nullable: true})
	b := NewBatchBuilder(schema)
	if err := b.Append(int64(7), "some text"); err != nil {
		t.Fatal(err)
	}
	packed := b.Batch().AppendPacked(nil, 0)
	for n := range packed {
		if err := NewBatchBuilder(schema).AppendPacked(packed[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a row", n, len(packed))
		}
	}
	if err := NewBatchBuilder(schema).AppendPacked(append(packed, 0)); err == nil {
		t.Error("a byte too many was taken for a part of the row")
	}
}

func FuzzPackedRow(f *testing.F) {
	schema := mustSchema(f, everyNullable()...)
	b := NewBatchBuilder(schema)
	vals := make([]any, schema.NumColumns())
	for i := range vals {
		if c := schema.Column(i); !c.Nullable {
			vals[i] = MinValue(*c)
		}
	}
	if err := b.Append(vals...); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Batch().AppendPacked(nil, 0))
	f.Fuzz(func(t *testing.T, packed []byte) {
		b := NewBatchBuilder(schema)
		if err := b.AppendPacked(packed); err != nil {
			return
		}
		batch := b.Batch()
		again := NewBatchBuilder(schema)
		if err := again.AppendPacked(batch.AppendPacked(nil, 0)); err != nil {
			t.Fatal(err)
		}
		got, want := again.Batch().Values(0), batch.Values(0)
		for i := range want {
			if !sameCell(got[i], want[i]) {
				t.Fatalf("%v became %v", want[i], got[i])
			}
		}
	})
}

func BenchmarkPackedRow(b *testing.B) {
	schema := mustSchema(b, Column{Name: "t", Type: UnixtimeMicros, Key: true}, Column{Name: "id", Type: Int64, Key: true},
		Column{Name: "user", Type: String}, Column{Name: "amount", Type: Double, Nullable: true})
	from, to := NewBatchBuilder(schema), NewBatchBuilder(schema)
	for i := range 1000 {
		if err := from.Append(i, i, "somebody", math.Pi); err != nil {
			b.Fatal(err)
		}
	}
	batch := from.Batch()
	var packed []byte
	for b.Loop() {
		to.Reset()
		for r := range 1000 {
			packed = batch.AppendPacked(packed[:0], r)
			if err := to.AppendPacked(packed); err != nil {
				b.Fatal(err)
			}
		}
	}
}
