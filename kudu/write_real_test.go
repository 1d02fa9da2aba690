package kudu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// allTypes is a table with a column of each type, and two key columns of which
// the first needs escaping.
func allTypes(name string) kudu.TableSpec {
	return kudu.TableSpec{
		Name: name,
		Columns: []kudu.Column{
			{Name: "ks", Type: kudu.String, Key: true},
			{Name: "ki", Type: kudu.Int32, Key: true},
			{Name: "i8", Type: kudu.Int8, Nullable: true},
			{Name: "i16", Type: kudu.Int16, Nullable: true},
			{Name: "i32", Type: kudu.Int32, Nullable: true},
			{Name: "i64", Type: kudu.Int64, Nullable: true},
			{Name: "b", Type: kudu.Bool, Nullable: true},
			{Name: "f", Type: kudu.Float, Nullable: true},
			{Name: "d", Type: kudu.Double, Nullable: true},
			{Name: "s", Type: kudu.String, Nullable: true},
			{Name: "vc", Type: kudu.Varchar, Length: 10, Nullable: true},
			{Name: "bin", Type: kudu.Binary, Nullable: true},
			{Name: "ts", Type: kudu.UnixtimeMicros, Nullable: true},
			{Name: "dt", Type: kudu.Date, Nullable: true},
			{Name: "d32", Type: kudu.Decimal32, Precision: 9, Scale: 2, Nullable: true},
			{Name: "d64", Type: kudu.Decimal64, Precision: 18, Scale: 6, Nullable: true},
			{Name: "d128", Type: kudu.Decimal128, Precision: 38, Scale: 10, Nullable: true},
			{Name: "req", Type: kudu.Int64},
		},
		Hash: []kudu.HashDimension{{Columns: []string{"ks", "ki"}, Buckets: 3, Seed: 7}},
	}
}

// edgeRows are the values at the ends of each type, NULLs, and strings with
// bytes that key encoding treats specially.
func edgeRows() [][]any {
	max38, _ := kudu.ParseDecimal(strings.Repeat("9", 28)+"."+strings.Repeat("9", 10), 38, 10)
	min38, _ := kudu.ParseDecimal("-"+strings.Repeat("9", 28)+"."+strings.Repeat("9", 10), 38, 10)
	return [][]any{
		{"max", int64(math.MaxInt32), int64(math.MaxInt8), int64(math.MaxInt16), int64(math.MaxInt32), int64(math.MaxInt64), true,
			float32(math.MaxFloat32), math.MaxFloat64, "z", "zzzzzzzzzz", []byte{0xff, 0}, int64(253402300799999999), int64(2932896),
			kudu.Int128FromInt64(999999999), kudu.Int128FromInt64(999999999999999999), max38, int64(math.MaxInt64)},
		{"min", int64(math.MinInt32), int64(math.MinInt8), int64(math.MinInt16), int64(math.MinInt32), int64(math.MinInt64), false,
			float32(-math.MaxFloat32), -math.MaxFloat64, "", "", []byte{}, int64(-62135596800000000), int64(-719162),
			kudu.Int128FromInt64(-999999999), kudu.Int128FromInt64(-999999999999999999), min38, int64(math.MinInt64)},
		{"null", int64(0), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, int64(0)},
		{"", int64(-1), int64(0), int64(0), int64(0), int64(0), false, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat64,
			"nul\x00in", "\u00e4\u00f6\u00fc\u00df\U0001F600", []byte("\x00\x01\x00"), int64(-1), int64(-1),
			kudu.Int128FromInt64(-1), kudu.Int128FromInt64(0), kudu.Int128FromInt64(1), int64(1)},
		{"a\x00", int64(1), int64(-1), int64(-1), int64(-1), int64(-1), true, float32(math.Inf(1)), math.Inf(-1),
			strings.Repeat("long ", 5000), "x", []byte(strings.Repeat("\x00", 300)), int64(1700000000123456), int64(0),
			kudu.Int128FromInt64(1), kudu.Int128FromInt64(-1), kudu.Int128{Hi: -1, Lo: 5}, int64(2)},
	}
}

func createTable(t *testing.T, c *kudu.Client, spec kudu.TableSpec) *kudu.Table {
	t.Helper()
	if spec.Replicas == 0 {
		spec.Replicas = 1
	}
	table, err := c.CreateTable(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Delete(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, kudu.ErrTableNotFound) {
			t.Error(err)
		}
	})
	return table
}

// uniqueName names a table of this run.
func uniqueName(kind string) string { return fmt.Sprintf("%s_%d_%d", kind, time.Now().UnixNano(), rand.Uint32()) }

func applyAll(t *testing.T, s *kudu.Session, kind kudu.OpKind, rows ...[]any) {
	t.Helper()
	row := s.Table().NewRow()
	for _, values := range rows {
		row.Reset()
		row.SetAll(values...)
		if err := s.Apply(t.Context(), kind, row); err != nil {
			t.Fatal(err)
		}
	}
}

// write writes rows in a session of their own and fails the test unless all
// were written.
func write(t *testing.T, table *kudu.Table, kind kudu.OpKind, rows ...[]any) kudu.Flushed {
	t.Helper()
	s := table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	applyAll(t, s, kind, rows...)
	done, err := s.Flush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// readAll gives all rows by their rendered primary keys.
func readAll(t *testing.T, table *kudu.Table, opts kudu.ScanOptions) map[string][]any {
	t.Helper()
	tablets, err := table.PruneTablets(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]any)
	for _, tablet := range tablets {
		s, err := table.Scan(tablet.ID, opts)
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, err := s.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.NumRows() {
				values := b.Values(i)
				key := fmt.Sprintf("%q", values[:table.Schema().NumKeys()])
				if _, twice := out[key]; twice {
					t.Fatalf("row %s comes twice", key)
				}
				out[key] = values
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// sameValue compares cells by bits, so that -0 and NaN count.
func sameValue(a, b any) bool {
	switch x := a.(type) {
	case float32:
		y, ok := b.(float32)
		return ok && math.Float32bits(x) == math.Float32bits(y)
	case float64:
		y, ok := b.(float64)
		return ok && math.Float64bits(x) == math.Float64bits(y)
	}
	return fmt.Sprintf("%T%v", a, a) == fmt.Sprintf("%T%v", b, b)
}

func wantRows(t *testing.T, got map[string][]any, keys int, want ...[]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for _, w := range want {
		g, found := got[fmt.Sprintf("%q", w[:keys])]
		if !found {
			t.Errorf("row %q is missing", w[:keys])
			continue
		}
		for i := range w {
			if !sameValue(g[i], w[i]) {
				t.Errorf("row %q, column %d: %T %v, want %T %v", w[:keys], i, g[i], g[i], w[i], w[i])
			}
		}
	}
}

func TestRowsOfAllTypesComeBackAsWritten(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	c := newClient(t, cluster)
	table := createTable(t, c, allTypes(uniqueName("types")))
	rows := edgeRows()
	done := write(t, table, kudu.OpInsert, rows...)
	if done.Rows != len(rows) || done.Timestamp == 0 {
		t.Fatalf("flushed %+v", done)
	}
	wantRows(t, readAll(t, table, kudu.ScanOptions{Ordered: true, Snapshot: done.Timestamp + 1}), 2, rows...)
}
