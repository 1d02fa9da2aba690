package predicate

import (
	"fmt"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// benchBatch has rows of an ordinary table.
func benchBatch(b testing.TB, rows int) (*kudu.Schema, *kudu.RowBatch) {
	schema, err := kudu.NewSchema([]kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true},
		{Name: "qty", Type: kudu.Int32, Nullable: true},
		{Name: "score", Type: kudu.Double},
		{Name: "status", Type: kudu.String},
		{Name: "due", Type: kudu.UnixtimeMicros},
		{Name: "price", Type: kudu.Decimal128, Precision: 38, Scale: 2},
	})
	if err != nil {
		b.Fatal(err)
	}
	bb := kudu.NewBatchBuilder(schema)
	for i := range rows {
		var qty any = i % 100
		if i%10 == 0 {
			qty = nil
		}
		status := [...]string{"NEW", "DONE", "RETRY", "FAILED"}[i*7%4]
		if err := bb.Append(i, qty, float64(i)/3, fmt.Sprintf("%s-%d", status, i%1000), noon.Add(time.Duration(i)*time.Millisecond), kudu.Int128FromInt64(int64(i))); err != nil {
			b.Fatal(err)
		}
	}
	return schema, bb.Build()
}

var benchConditions = []struct{ name, text string }{
	{"Int", "qty <> 7"},
	{"IntSet", "qty NOT IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)"},
	{"Float", "score < 1000"},
	{"Like", "status LIKE '%-99%'"},
	{"LikeOne", "status LIKE '%-9_9'"},
	{"StringSet", "status NOT IN ('NEW-1', 'DONE-2')"},
	{"Decimal", "price <> 5.00"},
	{"Or", "qty < 10 OR score < 1000 AND status LIKE 'N%' OR due > now() + INTERVAL 10 MINUTE"},
}

// BenchmarkSelect evaluates a million rows an operation.
func BenchmarkSelect(b *testing.B) {
	const rows = 1_000_000
	schema, batch := benchBatch(b, rows)
	for _, c := range benchConditions {
		b.Run(c.name, func(b *testing.B) {
			bound := compiled(b, c.text, schema).At(noon)
			sel := bound.Select(batch, nil)
			b.ReportAllocs()
			for b.Loop() {
				sel = bound.Select(batch, sel)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

func TestSelectDoesNotAllocateOnceItHasItsMemory(t *testing.T) {
	schema, batch := benchBatch(t, 1000)
	for _, c := range benchConditions {
		bound := compiled(t, c.text, schema).At(noon)
		sel := bound.Select(batch, nil)
		if n := testing.AllocsPerRun(10, func() { sel = bound.Select(batch, sel) }); n != 0 {
			t.Errorf("%s allocates %v times a batch", c.text, n)
		}
	}
}
