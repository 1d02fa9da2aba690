package predicate

import (
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// allTypes has a column of each type, named like it, nullable but for id; and
// columns with awkward names.
func allTypes(t testing.TB) *kudu.Schema {
	t.Helper()
	s, err := kudu.NewSchema([]kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true},
		{Name: "flag", Type: kudu.Bool, Nullable: true},
		{Name: "tiny", Type: kudu.Int8, Nullable: true},
		{Name: "small", Type: kudu.Int16, Nullable: true},
		{Name: "qty", Type: kudu.Int32, Nullable: true},
		{Name: "big", Type: kudu.Int64, Nullable: true},
		{Name: "ratio", Type: kudu.Float, Nullable: true},
		{Name: "score", Type: kudu.Double, Nullable: true},
		{Name: "status", Type: kudu.String, Nullable: true},
		{Name: "code", Type: kudu.Varchar, Length: 4, Nullable: true},
		{Name: "raw", Type: kudu.Binary, Nullable: true},
		{Name: "due", Type: kudu.UnixtimeMicros, Nullable: true},
		{Name: "born", Type: kudu.Date, Nullable: true},
		{Name: "d9", Type: kudu.Decimal32, Precision: 9, Scale: 2, Nullable: true},
		{Name: "d18", Type: kudu.Decimal64, Precision: 18, Scale: 4, Nullable: true},
		{Name: "d38", Type: kudu.Decimal128, Precision: 38, Scale: 6, Nullable: true},
		{Name: "order", Type: kudu.Int32, Nullable: true},
		{Name: "In", Type: kudu.Int32, Nullable: true},
		{Name: "a \"b\"", Type: kudu.Int32, Nullable: true},
		{Name: "gr\u00f6\u00dfe", Type: kudu.Int32, Nullable: true},
		{Name: "odd", Type: kudu.Uint32, Nullable: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// noon is the instant that stands for now().
var noon = time.Date(2026, 1, 2, 12, 0, 0, 6000, time.UTC)

func compiled(t testing.TB, text string, schema *kudu.Schema) *Filter {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	f, err := Compile(e, schema)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return f
}

func compileErr(text string, schema *kudu.Schema) error {
	e, err := Parse(text)
	if err == nil {
		_, err = Compile(e, schema)
	}
	return err
}
