package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// checkColumns looks for columns that lose something on their way into a record.
func checkColumns(_ context.Context, s *subject) ([]Finding, error) {
	schema := s.outlook.Table().Schema()
	column := func(name string) *kudu.Column { return schema.Column(schema.Index(name)) }
	var out []Finding
	if s.cfg.DecimalHandlingMode == "double" {
		const exact = 15 // decimal digits that every float64 keeps
		var wide []string
		for _, o := range s.outlook.Outputs() {
			if c := column(o.Column); c.Type.Decimal() && c.Precision > exact {
				wide = append(wide, fmt.Sprintf("%s %s", c.Name, c.TypeString()))
			}
		}
		if len(wide) > 0 {
			out = append(out, Finding{
				Severity: Warning, Key: "decimal.handling.mode", Problem: fmt.Sprintf("double keeps %d digits, and these columns have more: %s", exact, strings.Join(wide, ", ")), Remedy: "write string or precise",
			})
		}
	}
	if s.cfg.TimePrecisionMode == "connect" {
		var times, keys []string
		for _, o := range s.outlook.Outputs() {
			if column(o.Column).Type == kudu.UnixtimeMicros {
				times = append(times, o.Column)
			}
		}
		for _, k := range s.outlook.KeyColumns() {
			if column(k).Type == kudu.UnixtimeMicros {
				keys = append(keys, k)
			}
		}
		if len(keys) > 0 {
			out = append(out, Finding{
				Severity: Warning, Key: "time.precision.mode", Problem: fmt.Sprintf("connect has milliseconds, and the key holds %s: a row with a finer time makes its task fail", strings.Join(keys, ", ")), Remedy: "write isostring or microseconds, or choose other key.columns",
			})
		}
		if len(times) > 0 {
			out = append(out, Finding{
				Severity: Note, Key: "time.precision.mode", Problem: fmt.Sprintf("connect has milliseconds: microseconds are cut off in %s", strings.Join(times, ", ")), Remedy: "write isostring or microseconds where they matter",
			})
		}
	}
	if c := s.cfg.TimestampColumn; c != "" && column(c).Nullable {
		out = append(out, Finding{Severity: Note, Key: "timestamp.column", Problem: fmt.Sprintf("%s can be NULL: such rows get the time of producing", c)})
	}
	return out, nil
}

// How many rows are read to see whether rows can be published.
const (
	sampleRows   = 200
	sampleLooked = 100_000
)

// checkRows encodes the first rows that would be published.
func checkRows(ctx context.Context, s *subject) ([]Finding, error) {
	examples, err := s.outlook.Examples(ctx, connector.ExampleOptions{Client: s.client, Tablets: s.tablets, Stored: s.stored, Rows: sampleRows, Looked: sampleLooked})
	if err != nil {
		return nil, err
	}
	var refused, large []string
	var why string
	limit := int(s.cfg.ProducerBatchBytes)
	for _, e := range examples {
		switch {
		case e.Err != nil:
			refused, why = append(refused, e.Row), e.Err.Error()
		case connector.RecordBytes(e.Record) > limit:
			large = append(large, e.Row)
		}
	}
	var out []Finding
	if len(refused) > 0 {
		slices.Sort(refused)
		out = append(out, Finding{
			Severity: Error, Key: "columns", Problem: fmt.Sprintf("of the first %d rows %d can't be written as records: %s (%s)", len(examples), len(refused), some(refused), why), Remedy: "leave the column out of columns, choose another converter, or mend the rows",
		})
	}
	if len(large) > 0 {
		out = append(out, Finding{
			Severity: Error, Key: "producer.override.batch.size", Problem: fmt.Sprintf("of the first %d rows %d are larger than %d bytes: %s", len(examples), len(large), limit, some(large)), Remedy: "raise it and the topic's max.message.bytes, or leave columns out",
		})
	}
	return out, nil
}
