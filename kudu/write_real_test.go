package kudu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
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
func uniqueName(kind string) string {
	return fmt.Sprintf("%s_%d_%d", kind, time.Now().UnixNano(), rand.Uint32())
}

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
				key := fmt.Sprintf("%#v", values[:table.Schema().NumKeys()])
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
		g, found := got[fmt.Sprintf("%#v", w[:keys])]
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

// oracleRow renders a row for the official client.
func oracleRow(table *kudu.Table, values []any) testenv.Row {
	row := testenv.Row{}
	for i, v := range values {
		c := table.Schema().Column(i)
		switch x := v.(type) {
		case kudu.Int128:
			row[c.Name] = string(x.AppendDecimal(nil, c.Scale))
		case int64:
			row[c.Name] = x
			if c.Type == kudu.Date {
				row[c.Name] = time.Unix(x*86400, 0).UTC().Format("2006-01-02")
			}
		default:
			row[c.Name] = v
		}
	}
	return row
}

func oracleRead(t *testing.T, tool *testenv.KuduTool, table string, at kudu.Timestamp) []string {
	t.Helper()
	var rows []string
	_, err := tool.Read(t.Context(), testenv.ReadOptions{Table: table, Snapshot: int64(at)}, func(r testenv.ReadRow) error {
		rows = append(rows, string(r.Row))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}

func TestTheOfficialClientReadsWhatThisOneWritesAndTheOtherWayRound(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	tool := testenv.SharedKuduTool(t)
	c := newClient(t, cluster)
	ours := createTable(t, c, allTypes(uniqueName("ours")))
	theirs := createTable(t, c, allTypes(uniqueName("theirs")))
	rows := edgeRows()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		rows = append(rows, randomRow(rnd, i))
	}
	done := write(t, ours, kudu.OpInsert, rows...)
	their := make([]testenv.Row, len(rows))
	for i, r := range rows {
		their[i] = oracleRow(theirs, r)
	}
	written, err := tool.Write(t.Context(), theirs.Name(), "insert", their...)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(kudu.Timestamp(written.Timestamp))
	wantRows(t, readAll(t, theirs, kudu.ScanOptions{Mode: kudu.ReadYourWrites}), 2, rows...)
	wantRows(t, readAll(t, theirs, kudu.ScanOptions{Ordered: true, RowWise: true}), 2, rows...)
	a, b := oracleRead(t, tool, ours.Name(), done.Timestamp+1), oracleRead(t, tool, theirs.Name(), kudu.Timestamp(written.Timestamp+1))
	if !slices.Equal(a, b) {
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("the official client reads %d rows of ours, %d of its own; row %d:\n%s\n%s", len(a), len(b), i, a[i], b[i])
			}
		}
		t.Fatalf("the official client reads %d rows of ours, %d of its own", len(a), len(b))
	}
}

// randomRow is a row of allTypes with the number in its key.
func randomRow(rnd *rand.Rand, n int) []any {
	text := func(most int) string {
		b := make([]rune, rnd.IntN(most+1))
		for i := range b {
			b[i] = []rune{0, 1, 'a', 'z', 0x7f, 0xe4, 0x20ac, 0x1f600}[rnd.IntN(8)]
		}
		return string(b)
	}
	row := []any{
		fmt.Sprintf("%s%d", text(5), n), int64(int32(rnd.Uint32())), int64(int8(rnd.Uint32())), int64(int16(rnd.Uint32())),
		int64(int32(rnd.Uint32())), int64(rnd.Uint64()), rnd.IntN(2) == 0, float32(rnd.NormFloat64()), rnd.NormFloat64() * 1e30,
		// The official client counts a VARCHAR's characters as UTF-16 does, and
		// cuts off the rest in silence.
		text(40), text(5), []byte(text(20)), rnd.Int64N(4e15) - 2e15, rnd.Int64N(40000) - 20000,
		kudu.Int128FromInt64(rnd.Int64N(2e9-1) - (1e9 - 1)), kudu.Int128FromInt64(rnd.Int64N(2e18-1) - (1e18 - 1)),
		kudu.Int128{Hi: rnd.Int64N(1<<61) - 1<<60, Lo: rnd.Uint64()}, rnd.Int64(),
	}
	for i := 2; i < len(row)-1; i++ {
		if rnd.IntN(8) == 0 {
			row[i] = nil
		}
	}
	return row
}

func TestRowsGoWhereTheOfficialClientPutsThem(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	tool := testenv.SharedKuduTool(t)
	c := newClient(t, cluster)
	cols := []kudu.Column{
		{Name: "a", Type: kudu.Int32, Key: true},
		{Name: "b", Type: kudu.String, Key: true},
		{Name: "c", Type: kudu.UnixtimeMicros, Key: true},
		{Name: "d", Type: kudu.Decimal64, Precision: 12, Scale: 3, Key: true},
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	compared, covered := 0, 0
	for _, spec := range []kudu.TableSpec{
		{Hash: []kudu.HashDimension{{Columns: []string{"b", "a"}, Buckets: 4, Seed: 9}, {Columns: []string{"d"}, Buckets: 3}},
			Range: []string{"a", "b"}, Ranges: []kudu.RangePartition{
				{Upper: []any{-1000, "m"}},
				{Lower: []any{-1000, "m"}, Upper: []any{500, ""}, UpperInclusive: true},
				{Lower: []any{600, "\x00"}, LowerExclusive: true},
			}},
		{Hash: []kudu.HashDimension{{Columns: []string{"b"}, Buckets: 2}}, Range: []string{"c"}, Ranges: []kudu.RangePartition{
			{Upper: []any{int64(-1e14)}},
			{Lower: []any{int64(-1e14)}, Upper: []any{0}, Hash: []kudu.HashDimension{{Columns: []string{"a", "d"}, Buckets: 5, Seed: 3}}},
			{Lower: []any{0}, Hash: []kudu.HashDimension{{Columns: []string{"b"}, Buckets: 3, Seed: 1}}},
		}},
	} {
		spec.Name, spec.Columns = uniqueName("route"), cols
		table := createTable(t, c, spec)
		var rows [][]any
		var their []testenv.Row
		for range 5500 {
			r := []any{rnd.IntN(2400) - 1200, []string{"", "m", "l\xc3\xbf", "m\x00", "\x00", "\x00\x01", "zz", "a"}[rnd.IntN(8)] + strings.Repeat("x", rnd.IntN(3)),
				rnd.Int64N(4e14) - 2e14, kudu.Int128FromInt64(rnd.Int64N(1e12) - 5e11)}
			rows = append(rows, r)
			o := oracleRow(table, r)
			their = append(their, o)
		}
		want, err := tool.Which(t.Context(), spec.Name, their...)
		if err != nil {
			t.Fatal(err)
		}
		row := table.NewRow()
		for i, r := range rows {
			row.Reset()
			row.SetAll(r...)
			got, err := table.TabletOf(t.Context(), row)
			if errors.Is(err, kudu.ErrNoPartition) {
				got, err = &kudu.Tablet{}, nil
			}
			if err != nil {
				t.Fatal(err)
			}
			if compared++; got.ID != "" {
				covered++
			}
			if got.ID != want[i].Tablet {
				t.Fatalf("row %v: tablet %q, the official client says %q", r, got.ID, want[i].Tablet)
			}
		}
		// The tablet of each row is among those that a search for it asks.
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rows {
			var preds []kudu.Predicate
			for k, v := range r {
				preds = append(preds, kudu.Equal(cols[k].Name, v))
			}
			found, err := table.Prune(tablets, kudu.ScanOptions{Predicates: preds})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case want[i].Tablet == "" && len(found) == 0:
			case len(found) == 1 && found[0].ID == want[i].Tablet:
			default:
				t.Fatalf("row %v of tablet %q: a search for it asks %d tablets", r, want[i].Tablet, len(found))
			}
		}
	}
	t.Logf("%d keys compared, %d of them have a tablet", compared, covered)
	if covered < 10_000 {
		t.Errorf("%d keys have a tablet, want 10000", covered)
	}
}
