package predicate

import (
	"bytes"
	"cmp"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestKeysOfAnOrderCompareAsItsRows(t *testing.T) {
	cols := []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "s", Type: kudu.String, Nullable: true}, {Name: "f", Type: kudu.Double, Nullable: true},
		{Name: "n", Type: kudu.Int32, Nullable: true}, {Name: "d", Type: kudu.Decimal128, Precision: 38, Scale: 2, Nullable: true}, {Name: "b", Type: kudu.Bool},
	}
	schema, err := kudu.NewSchema(cols)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		null := func(v any) any {
			if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				return nil
			}
			return v
		}
		b := kudu.NewBatchBuilder(schema)
		for range 2 {
			decimal := kudu.Int128{Hi: rapid.Int64Range(-2, 2).Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
			if err := b.Append(rapid.Int64().Draw(t, "id"),
				null(rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 0xff}), 0, 3, -1).Draw(t, "s")),
				null(rapid.SampledFrom([]float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, 1e-9, 2, math.Inf(1), math.NaN()}).Draw(t, "f")),
				null(rapid.Int32Range(-2, 2).Draw(t, "n")), null(decimal), rapid.Bool().Draw(t, "b")); err != nil {
				t.Fatal(err)
			}
		}
		var terms []string
		for _, c := range rapid.Permutation([]string{"s", "f", "n", "d", "b"}).Draw(t, "columns")[:rapid.IntRange(1, 5).Draw(t, "length")] {
			if rapid.Bool().Draw(t, "desc") {
				c += " DESC"
			}
			terms = append(terms, c)
		}
		order, err := OrderBy(schema, terms...)
		if err != nil {
			t.Fatal(err)
		}
		c, err := order.Comparer(schema)
		if err != nil {
			t.Fatal(err)
		}
		rows := b.Batch()
		want := cmp.Compare(c.Compare(rows, 0, rows, 1), 0)
		if got := bytes.Compare(c.AppendKey(nil, rows, 0), c.AppendKey(nil, rows, 1)); got != want {
			t.Fatalf("by %v rows %v and %v compare as %d, their keys as %d", terms, rows.Values(0), rows.Values(1), want, got)
		}
	})
}
