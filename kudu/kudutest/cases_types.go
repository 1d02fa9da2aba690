package kudutest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// typeCase is a column type with values at its edges, in the type's order,
// each once.
type typeCase struct {
	col    kudu.Column
	key    bool // can be a key column
	values []any
}

func int128(s string, precision, scale int) kudu.Int128 {
	v, err := kudu.ParseDecimal(s, precision, scale)
	if err != nil {
		panic(err) // a test's own literal
	}
	return v
}

func small(values ...int64) []any {
	var out []any
	for _, v := range values {
		out = append(out, kudu.Int128FromInt64(v))
	}
	return out
}

func ints(values ...int64) []any {
	var out []any
	for _, v := range values {
		out = append(out, v)
	}
	return out
}

// typeCases are all types that a column can have.
var typeCases = []typeCase{
	{kudu.Column{Type: kudu.Int8}, true, ints(math.MinInt8, -1, 0, 1, math.MaxInt8)},
	{kudu.Column{Type: kudu.Int16}, true, ints(math.MinInt16, -1, 0, 256, math.MaxInt16)},
	{kudu.Column{Type: kudu.Int32}, true, ints(math.MinInt32, -1, 0, 65536, math.MaxInt32)},
	{kudu.Column{Type: kudu.Int64}, true, ints(math.MinInt64, -1, 0, 1<<32, math.MaxInt64)},
	{kudu.Column{Type: kudu.UnixtimeMicros}, true, ints(math.MinInt64, -1, 0, 1700000000123456, math.MaxInt64)},
	{kudu.Column{Type: kudu.Date}, true, ints(-719162, -1, 0, 19000, 2932896)},
	{kudu.Column{Type: kudu.Bool}, false, []any{false, true}},
	{kudu.Column{Type: kudu.Float}, false, []any{
		float32(math.Inf(-1)), float32(-math.MaxFloat32), float32(math.Copysign(0, -1)), float32(math.SmallestNonzeroFloat32), float32(math.Inf(1))}},
	{kudu.Column{Type: kudu.Double}, false, []any{math.Inf(-1), -math.SmallestNonzeroFloat64, 0.0, 1.5, math.MaxFloat64, math.Inf(1)}},
	{kudu.Column{Type: kudu.String}, true, []any{"", "\x00", "a", "a\x00", "a\x00\x01", "\u00e4"}},
	{kudu.Column{Type: kudu.Binary}, true, []any{[]byte{}, []byte{0}, []byte{0, 1}, []byte{0x7f}, []byte{0xff, 0xff}}},
	{kudu.Column{Type: kudu.Varchar, Length: 3}, true, []any{"", "\x00", "abc", "abd", "\u20ac\u20ac\u20ac"}},
	{kudu.Column{Type: kudu.Decimal32, Precision: 9, Scale: 2}, true, small(-999999999, -1, 0, 1, 999999999)},
	{kudu.Column{Type: kudu.Decimal64, Precision: 18, Scale: 18}, true, small(-999999999999999999, -1, 0, 1, 999999999999999999)},
	{kudu.Column{Type: kudu.Decimal128, Precision: 38, Scale: 4}, true, []any{
		int128("-"+strings.Repeat("9", 34)+".9999", 38, 4), kudu.Int128FromInt64(-1), kudu.Int128{},
		kudu.Int128{Hi: 1}, int128(strings.Repeat("9", 34)+".9999", 38, 4)}},
}

// test is a predicate with the rows that it selects: values by their places in
// typeCase.values, of which null stands for NULL.
type test struct {
	pred kudu.Predicate
	met  func(place int) bool
}

const null = -1

// tests are all predicates on a column, with each of its values.
func (tc *typeCase) tests(name string) []test {
	holds := func(ok func(place int) bool) func(int) bool {
		return func(place int) bool { return place != null && ok(place) }
	}
	out := []test{
		{kudu.IsNull(name), func(place int) bool { return place == null }},
		{kudu.IsNotNull(name), holds(func(int) bool { return true })},
		{kudu.In(name), holds(func(int) bool { return false })},
		{kudu.In(name, tc.values...), holds(func(int) bool { return true })},
		{kudu.In(name, tc.values[len(tc.values)-1], tc.values[0], tc.values[0]), holds(func(p int) bool { return p == 0 || p == len(tc.values)-1 })},
	}
	for i, v := range tc.values {
		out = append(out,
			test{kudu.Equal(name, v), holds(func(p int) bool { return p == i })},
			test{kudu.Less(name, v), holds(func(p int) bool { return p < i })},
			test{kudu.LessEqual(name, v), holds(func(p int) bool { return p <= i })},
			test{kudu.Greater(name, v), holds(func(p int) bool { return p > i })},
			test{kudu.GreaterEqual(name, v), holds(func(p int) bool { return p >= i })},
		)
	}
	return out
}

// waysToRead are both layouts, unordered and ordered.
func waysToRead(at kudu.Timestamp) []kudu.ScanOptions {
	var out []kudu.ScanOptions
	for _, rowWise := range []bool{false, true} {
		for _, ordered := range []bool{false, true} {
			out = append(out, kudu.ScanOptions{Snapshot: at, RowWise: rowWise, Ordered: ordered})
		}
	}
	return out
}

// typedTable is a table of one tablet, read through the public client.
type typedTable struct {
	*suite
	table *kudu.Table
}

func (s *suite) newClient() *kudu.Client {
	s.Helper()
	client, err := kudu.New(kudu.Config{Masters: s.c.Masters, Dial: s.c.Dial, User: "suite"})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *suite) typedTable(client *kudu.Client, cols []kudu.Column) *typedTable {
	s.Helper()
	// Without a range partition column there is one tablet.
	spec := kudu.TableSpec{Name: s.tableName(), Columns: cols, Replicas: max(1, s.c.Replicas)}
	table, err := client.CreateTable(s.Context(), spec)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := table.Delete(context.WithoutCancel(s.Context())); err != nil {
			s.Error(err)
		}
	})
	return &typedTable{s, table}
}

// apply writes rows and gives the lowest snapshot that shows them.
func (t *typedTable) apply(kind kudu.OpKind, rows ...[]any) kudu.Timestamp {
	t.Helper()
	session := t.table.NewSession(kudu.SessionOptions{})
	defer session.Close()
	row := t.table.NewRow()
	for _, values := range rows {
		row.Reset()
		row.SetAll(values...)
		if err := session.Apply(t.Context(), kind, row); err != nil {
			t.Fatal(err)
		}
	}
	done, err := session.Flush(t.Context())
	if err != nil || done.Rows != len(rows) {
		t.Fatalf("%d rows written: %v", done.Rows, err)
	}
	return done.Timestamp + 1
}

// each hands the rows of a scan over, as values with the deleted flag.
func (t *typedTable) each(opts kudu.ScanOptions, row func(values []any, deleted bool)) {
	t.Helper()
	tablets, err := t.table.PruneTablets(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, tablet := range tablets {
		scan, err := t.table.Scan(tablet.ID, opts)
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, err := scan.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v: %v", opts.Predicates, err)
			}
			for i := range b.NumRows() {
				row(b.Values(i), b.Deleted(i))
			}
		}
		if err := scan.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers gives the column n of the rows, sorted unless the scan is ordered.
func (t *typedTable) numbers(opts kudu.ScanOptions) []int64 {
	t.Helper()
	at := 0
	if opts.Columns == nil {
		at = t.table.Schema().Index("n")
	}
	out := []int64{}
	t.each(opts, func(values []any, _ bool) { out = append(out, values[at].(int64)) })
	if !opts.Ordered {
		slices.Sort(out)
	}
	return out
}

var typeCasesOfClient = []namedCase{
	{"EachPredicateOnEachTypeInEachLayout", func(s *suite) {
		cols := []kudu.Column{{Name: "n", Type: kudu.Int64, Key: true}}
		most := 0
		for i, tc := range typeCases {
			c := tc.col
			c.Name, c.Nullable = fmt.Sprint("c", i), true
			cols = append(cols, c)
			most = max(most, len(tc.values))
		}
		t := s.typedTable(s.newClient(), cols)
		// Row n holds each type's n-th value, and NULL behind its last.
		place := func(tc *typeCase, n int) int {
			if n < len(tc.values) {
				return n
			}
			return null
		}
		var rows [][]any
		for n := range most + 1 {
			row := []any{n}
			for _, tc := range typeCases {
				var v any
				if p := place(&tc, n); p != null {
					v = tc.values[p]
				}
				row = append(row, v)
			}
			rows = append(rows, row)
		}
		at := t.apply(kudu.OpInsert, rows...)
		scans := 0
		for i := range typeCases {
			tc := &typeCases[i]
			for _, test := range tc.tests(cols[i+1].Name) {
				want := []int64{}
				for n := range rows {
					if test.met(place(tc, n)) {
						want = append(want, int64(n))
					}
				}
				for k, opts := range waysToRead(at) {
					opts.Predicates = []kudu.Predicate{test.pred}
					if k%2 == 1 { // also without the column itself
						opts.Columns = []string{"n"}
					}
					scans++
					if got := t.numbers(opts); !slices.Equal(got, want) {
						s.Errorf("%s, %s, row-wise %v, ordered %v: rows %v, want %v", tc.col.Type, test.pred, opts.RowWise, opts.Ordered, got, want)
					}
				}
			}
		}
		s.Logf("%d types, %d scans", len(typeCases), scans)
	}},
	{"EachKeyTypeBoundedAndConstrained", func(s *suite) {
		client, scans := s.newClient(), 0
		for i := range typeCases {
			tc := &typeCases[i]
			if !tc.key {
				continue
			}
			c := tc.col
			c.Name, c.Key = "k", true
			t := s.typedTable(client, []kudu.Column{c, {Name: "n", Type: kudu.Int64}})
			var rows [][]any
			var keys [][]byte
			for n, v := range tc.values {
				rows = append(rows, []any{v, n})
				key, err := t.table.Schema().EncodePrimaryKey(v)
				if err != nil {
					s.Fatal(err)
				}
				keys = append(keys, key)
			}
			at := t.apply(kudu.OpInsert, rows...)
			check := func(opts kudu.ScanOptions, what string, met func(int) bool) {
				s.Helper()
				want := []int64{}
				for n := range tc.values {
					if met(n) {
						want = append(want, int64(n))
					}
				}
				scans++
				if got := t.numbers(opts); !slices.Equal(got, want) {
					s.Errorf("%s, %s, row-wise %v, ordered %v: rows %v, want %v", tc.col.Type, what, opts.RowWise, opts.Ordered, got, want)
				}
			}
			for _, opts := range waysToRead(at) {
				for low := range keys {
					bounded := opts
					bounded.From = keys[low]
					check(bounded, fmt.Sprint("from ", low), func(n int) bool { return n >= low })
					bounded.To = keys[len(keys)-1]
					check(bounded, fmt.Sprint("from ", low, " to the last"), func(n int) bool { return n >= low && n < len(keys)-1 })
					bounded = opts
					bounded.To = keys[low]
					check(bounded, fmt.Sprint("to ", low), func(n int) bool { return n < low })
					if opts.Ordered {
						bounded = opts
						bounded.After = keys[low]
						check(bounded, fmt.Sprint("after ", low), func(n int) bool { return n > low })
						bounded.From, bounded.Predicates = keys[0], []kudu.Predicate{kudu.LessEqual("k", tc.values[len(keys)-1])}
						check(bounded, fmt.Sprint("after ", low, ", with a predicate"), func(n int) bool { return n > low })
					}
				}
				for _, test := range tc.tests("k") {
					opts.Predicates = []kudu.Predicate{test.pred}
					check(opts, test.pred.String(), test.met)
				}
			}
		}
		s.Logf("%d scans", scans)
	}},
	{"EachHistoryInADiffAgainstBothStates", func(s *suite) {
		t := s.typedTable(s.newClient(), []kudu.Column{{Name: "k", Type: kudu.Int32, Key: true}, {Name: "v", Type: kudu.String, Nullable: true}})
		var before [][]any
		for k, h := range histories {
			if h.existed {
				before = append(before, []any{k, "old"})
			}
		}
		from := t.apply(kudu.OpInsert, before...)
		kinds := map[byte]kudu.OpKind{insertOp: kudu.OpInsert, updateOp: kudu.OpUpdate, upsertOp: kudu.OpUpsert, deleteOp: kudu.OpDelete}
		to, touched := from, make(map[int64]bool)
		for k, h := range histories {
			for i, op := range h.ops {
				row := []any{k}
				if op != deleteOp {
					row = append(row, fmt.Sprint("new", i))
				}
				to = t.apply(kinds[op], row)
				touched[int64(k)] = true
			}
		}
		state := func(at kudu.Timestamp) map[int64]string {
			rows := make(map[int64]string)
			t.each(kudu.ScanOptions{Snapshot: at}, func(v []any, _ bool) { rows[v[0].(int64)] = fmt.Sprint(v[1]) })
			return rows
		}
		old, now := state(from), state(to)
		want := make(map[int64]string)
		for k := range touched {
			if v, lives := now[k]; lives {
				want[k] = v
			} else if _, lived := old[k]; lived {
				want[k] = "deleted"
			}
		}
		for k, h := range histories {
			v, shown := want[int64(k)]
			if h.appears != v || (h.appears != "") != shown {
				s.Errorf("%s: the states tell %q, the case %q", h.name, v, h.appears)
			}
		}
		later := [][]any{}
		for k := range histories {
			later = append(later, []any{k, "later"})
		}
		t.apply(kudu.OpUpsert, later...)
		for _, opts := range []kudu.ScanOptions{{}, {RowWise: true}, {BatchBytes: 1}} {
			opts.Since, opts.Snapshot = from, to
			got, last := make(map[int64]string), int64(-1)
			t.each(opts, func(v []any, deleted bool) {
				k := v[0].(int64)
				if cmp.Compare(k, last) <= 0 {
					s.Errorf("row %d comes behind %d", k, last)
				}
				got[k], last = fmt.Sprint(v[1]), k
				if deleted {
					got[k] = "deleted"
				}
			})
			s.equal(fmt.Sprintf("diff, row-wise %v", opts.RowWise), got, want)
		}
	}},
}
