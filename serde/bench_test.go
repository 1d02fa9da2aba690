package serde

import (
	"fmt"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

const benchRows = 1024

// narrowBatch is the usual event table: when, which, who, how much.
func narrowBatch(tb testing.TB) *kudu.RowBatch {
	tb.Helper()
	s := mustSchema(tb,
		kudu.Column{Name: "event_time", Type: kudu.UnixtimeMicros, Key: true},
		kudu.Column{Name: "id", Type: kudu.Int64, Key: true},
		kudu.Column{Name: "user", Type: kudu.String, Nullable: true},
		kudu.Column{Name: "amount", Type: kudu.Double, Nullable: true},
	)
	bb := kudu.NewBatchBuilder(s)
	for i := range benchRows {
		row := []any{1767323045000006 + int64(i)*1234567, int64(100000 + i*7919), fmt.Sprintf("user-%08d", i*31), float64(i*737%100000) / 100}
		if err := bb.Append(row...); err != nil {
			tb.Fatal(err)
		}
	}
	return bb.Build()
}

// wideBatch has twenty columns and every type that tables can have.
func wideBatch(tb testing.TB) *kudu.RowBatch {
	tb.Helper()
	cols := allTypes(true)
	cols = append(cols,
		kudu.Column{Name: "note", Type: kudu.String, Nullable: true},
		kudu.Column{Name: "city", Type: kudu.String, Nullable: true},
		kudu.Column{Name: "ratio", Type: kudu.Double, Nullable: true},
		kudu.Column{Name: "updated", Type: kudu.UnixtimeMicros, Nullable: true},
		kudu.Column{Name: "count", Type: kudu.Int64, Nullable: true},
	)
	if len(cols) != 20 {
		tb.Fatalf("%d columns", len(cols))
	}
	bb := kudu.NewBatchBuilder(mustSchema(tb, cols...))
	for i := range benchRows {
		row := []any{
			i%2 == 0, i % 128, i * 3, i * 100003, int64(i) * 10000000019, float32(i) / 8, float64(i) / 3,
			fmt.Sprintf("text of row %d", i), "varchar ü", []byte("some bytes"),
			1767323045000006 + int64(i)*999, 20000 + i,
			"1234567.89", "123456789012.3456", "-12345678901234567890123456.789012",
			"a note of some forty characters in ASCII", "Zürich", float64(i) * 1.5, int64(1767323045000006), nil,
		}
		if err := bb.Append(row...); err != nil {
			tb.Fatal(err)
		}
	}
	return bb.Build()
}

func benchEncoder(b *testing.B, batch *kudu.RowBatch, key []string, withKey, withValue bool) {
	enc := mustEncoder(b, batch.Schema(), key, columnNames(batch.Schema()), Default())
	var buf []byte
	total, row := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		buf = buf[:0]
		var err error
		if withKey {
			if buf, err = enc.AppendKey(buf, batch, row); err != nil {
				b.Fatal(err)
			}
		}
		if withValue {
			if buf, err = enc.AppendValue(buf, batch, row); err != nil {
				b.Fatal(err)
			}
		}
		total += len(buf)
		if row++; row == batch.NumRows() {
			row = 0
		}
	}
	b.SetBytes(int64(total / b.N))
}

func BenchmarkNarrowValue(b *testing.B) {
	benchEncoder(b, narrowBatch(b), []string{"event_time", "id"}, false, true)
}

func BenchmarkNarrowKeyAndValue(b *testing.B) {
	benchEncoder(b, narrowBatch(b), []string{"event_time", "id"}, true, true)
}

func BenchmarkWideValue(b *testing.B) {
	benchEncoder(b, wideBatch(b), []string{"int64"}, false, true)
}

func BenchmarkString(b *testing.B) {
	for name, s := range map[string][]byte{
		"ascii5000": longText("The quick brown fox. ", 5000),
		"umlauts":   longText("Grüße aus Zürich, schöne Füße. ", 5000),
		"cjk":       longText("東京都渋谷区", 5000),
		"short":     []byte("user-00001234"),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			var buf []byte
			for b.Loop() {
				buf, _ = appendJSONString(buf[:0], s)
			}
		})
	}
}

func BenchmarkISOMicros(b *testing.B) {
	var buf []byte
	at := int64(1767323045000006)
	for b.Loop() {
		buf = appendISOMicros(buf[:0], at)
		at += 12345678
	}
}

func BenchmarkDouble(b *testing.B) {
	for name, f := range map[string]float64{"amount": 1234.56, "third": 1.0 / 3} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			for b.Loop() {
				buf = appendJSONFloat64(buf[:0], f)
			}
		})
	}
}
