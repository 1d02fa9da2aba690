package connector

import (
	"fmt"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// BenchmarkJournalledRow is what mode sweep does for a row beyond what mode offset
// does: its key, its digest, and its part of a journal's record. An operation is
// one row.
func BenchmarkJournalledRow(b *testing.B) {
	schema, err := kudu.NewSchema([]kudu.Column{
		{Name: "event_time", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true},
		{Name: "user", Type: kudu.String, Nullable: true}, {Name: "amount", Type: kudu.Double, Nullable: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	const rowsOfTransaction = 100_000
	builder := kudu.NewBatchBuilder(schema)
	for i := range rowsOfTransaction {
		if err := builder.Append(1767323045000006+int64(i)*1234567, int64(100000+i*7919), fmt.Sprintf("user-%08d", i*31), float64(i)/100); err != nil {
			b.Fatal(err)
		}
	}
	rows := builder.Build()
	order, err := newOrder([]string{"event_time"}, schema, digestColumns(schema))
	if err != nil {
		b.Fatal(err)
	}
	digest, err := newDigester(offsets.HashXX64, digestColumns(schema), schema)
	if err != nil {
		b.Fatal(err)
	}
	primary := &readPlan{order: order}
	s := &sweepTask{
		task: &task{name: "c", table: "t"}, rows: make(map[string]*openRows), plan: &sweepPlan{action: sweepDelete}, digest: digest, chunkRows: journalChunkRows,
		reading: reading{plan: primary, table: &kudu.Table{}},
	}
	open := s.rowsOf("a")
	journals := func(step int, record bool) int {
		bytes := 0
		open.reset()
		for n := range rows.NumRows() {
			row := n * step % rows.NumRows()
			s.key = order.appendKey(s.key[:0], rows, row)
			open.add(s.key, digest.of(rows, row))
		}
		if !record {
			return 0
		}
		for _, e := range s.entries(open.tablet, &open.publishedRows, offsets.Journal{Columns: digest.columns, Hash: digest.hash}) {
			r, err := offsets.JournalRecord("offsets", 0, e.key, e.journal)
			if err != nil {
				b.Fatal(err)
			}
			bytes += len(r.Value)
		}
		return bytes
	}
	for _, c := range []struct {
		name   string
		step   int // through the rows; all are met
		record bool
	}{
		{"key and digest", 1, false}, {"with the journal's record", 1, true}, {"published in another order", 7919, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			bytes := 0
			for n := 0; n < b.N; n += rows.NumRows() {
				bytes = journals(c.step, c.record)
			}
			b.ReportMetric(float64(bytes)/float64(rows.NumRows()), "journal-B/op")
		})
	}
}
