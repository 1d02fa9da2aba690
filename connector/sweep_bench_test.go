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
	builder := kudu.NewBatchBuilder(schema)
	for i := range 10_000 {
		if err := builder.Append(1767323045000006+int64(i)*1234567, int64(100000+i*7919), fmt.Sprintf("user-%08d", i*31), float64(i)/100); err != nil {
			b.Fatal(err)
		}
	}
	rows := builder.Build()
	order, err := newOrder([]string{"event_time"}, schema, digestColumns(schema))
	if err != nil {
		b.Fatal(err)
	}
	digest, err := newDigester(digestColumns(schema), schema)
	if err != nil {
		b.Fatal(err)
	}
	s := &sweepTask{task: &task{}, digest: digest, reading: reading{plan: &readPlan{order: order}}}
	batch := &batch{rows: rows}
	of := make([]entryRow, 0, rows.NumRows())
	journals := func(record bool) int {
		keys, from, bytes := s.keysOf(batch), 0, 0
		of = of[:0]
		for row := range rows.NumRows() {
			of = append(of, entryRow{key: keys[from:s.ends[row]], digest: digest.of(rows, row)})
			from = s.ends[row]
		}
		for rest := of; record && len(rest) > 0; rest = rest[min(journalChunkRows, len(rest)):] {
			j := offsets.Journal{Columns: digest.columns, Action: sweepDelete}
			for _, r := range rest[:min(journalChunkRows, len(rest))] {
				j.Rows.Add(r.key, r.digest)
			}
			r, err := offsets.JournalRecord("offsets", 0, offsets.JournalKey{Connector: "c", Table: "t", Tablet: "a", ID: "1"}, j)
			if err != nil {
				b.Fatal(err)
			}
			bytes += len(r.Value)
		}
		return bytes
	}
	for _, record := range []bool{false, true} {
		b.Run(map[bool]string{false: "key and digest", true: "with the journal's record"}[record], func(b *testing.B) {
			b.ReportAllocs()
			bytes := 0
			for n := 0; n < b.N; n += rows.NumRows() {
				bytes = journals(record)
			}
			b.ReportMetric(float64(bytes)/float64(rows.NumRows()), "journal-B/op")
		})
	}
}
