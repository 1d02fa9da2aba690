package serde

import (
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// allTypes is one column per type that tables can have, named after the type.
func allTypes(nullable bool) []kudu.Column {
	cols := []kudu.Column{
		{Name: "bool", Type: kudu.Bool},
		{Name: "int8", Type: kudu.Int8},
		{Name: "int16", Type: kudu.Int16},
		{Name: "int32", Type: kudu.Int32},
		{Name: "int64", Type: kudu.Int64},
		{Name: "float", Type: kudu.Float},
		{Name: "double", Type: kudu.Double},
		{Name: "string", Type: kudu.String},
		{Name: "varchar", Type: kudu.Varchar, Length: 65535},
		{Name: "binary", Type: kudu.Binary},
		{Name: "time", Type: kudu.UnixtimeMicros},
		{Name: "date", Type: kudu.Date},
		{Name: "dec32", Type: kudu.Decimal32, Precision: 9, Scale: 2},
		{Name: "dec64", Type: kudu.Decimal64, Precision: 18, Scale: 4},
		{Name: "dec128", Type: kudu.Decimal128, Precision: 38, Scale: 6},
	}
	for i := range cols {
		cols[i].Nullable = nullable
	}
	return cols
}

// wireTypes are the types that occur on the wire only.
func wireTypes() []kudu.Column {
	return []kudu.Column{
		{Name: "uint8", Type: kudu.Uint8},
		{Name: "uint16", Type: kudu.Uint16},
		{Name: "uint32", Type: kudu.Uint32},
		{Name: "uint64", Type: kudu.Uint64},
		{Name: "int128", Type: kudu.Int128Type},
		{Name: "deleted", Type: kudu.IsDeleted},
	}
}

func mustSchema(tb testing.TB, cols ...kudu.Column) *kudu.Schema {
	tb.Helper()
	s, err := kudu.NewSchema(cols)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func columnNames(s *kudu.Schema) []string {
	var names []string
	for _, c := range s.Columns() {
		names = append(names, c.Name)
	}
	return names
}

func mustEncoder(tb testing.TB, s *kudu.Schema, key, value []string, o Options) Encoder {
	tb.Helper()
	enc, err := NewEncoder(s, key, value, o)
	if err != nil {
		tb.Fatal(err)
	}
	return enc
}

// oneCell makes a batch of one column and one row.
func oneCell(tb testing.TB, col kudu.Column, v any) *kudu.RowBatch {
	tb.Helper()
	bb := kudu.NewBatchBuilder(mustSchema(tb, col))
	if err := bb.Append(v); err != nil {
		tb.Fatal(err)
	}
	return bb.Build()
}

func longText(piece string, size int) []byte {
	var s []byte
	for len(s)+len(piece) <= size {
		s = append(s, piece...)
	}
	for len(s) < size {
		s = append(s, '.')
	}
	return s
}
