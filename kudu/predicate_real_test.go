package kudu_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// compareValues orders two cells of one type.
func compareValues(a, b any) int {
	switch x := a.(type) {
	case int64:
		return cmp.Compare(x, b.(int64))
	case bool:
		y := b.(bool)
		switch {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	case float32:
		return cmp.Compare(x, b.(float32))
	case float64:
		return cmp.Compare(x, b.(float64))
	case string:
		return strings.Compare(x, b.(string))
	case []byte:
		return bytes.Compare(x, b.([]byte))
	case kudu.Int128:
		return x.Cmp(b.(kudu.Int128))
	}
	panic(fmt.Sprintf("%T", a))
}

// condition is a predicate and the test's own idea of it.
type condition struct {
	pred kudu.Predicate
	met  func(cell any) bool
}

func conditionsOn(column string, values []any) []condition {
	out := []condition{
		{kudu.IsNull(column), func(c any) bool { return c == nil }},
		{kudu.IsNotNull(column), func(c any) bool { return c != nil }},
		{kudu.In(column), func(any) bool { return false }},
		{kudu.In(column, values...), func(c any) bool {
			for _, v := range values {
				if c != nil && compareValues(c, v) == 0 {
					return true
				}
			}
			return false
		}},
	}
	for _, v := range values {
		is := func(p kudu.Predicate, ok func(int) bool) {
			out = append(out, condition{p, func(c any) bool { return c != nil && ok(compareValues(c, v)) }})
		}
		is(kudu.Equal(column, v), func(c int) bool { return c == 0 })
		is(kudu.Less(column, v), func(c int) bool { return c < 0 })
		is(kudu.LessEqual(column, v), func(c int) bool { return c <= 0 })
		is(kudu.Greater(column, v), func(c int) bool { return c > 0 })
		is(kudu.GreaterEqual(column, v), func(c int) bool { return c >= 0 })
	}
	return out
}

func TestPredicatesOfAllTypesSelectWhatTheyShouldInBothLayouts(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	c := newClient(t, cluster)
	table := createTable(t, c, allTypes(uniqueName("predicates")))
	rnd := rand.New(rand.NewPCG(5, 6))
	rows := edgeRows()
	for i := range 60 {
		rows = append(rows, randomRow(rnd, i))
	}
	done := write(t, table, kudu.OpInsert, rows...)
	check := func(conds []condition, columns []int, opts kudu.ScanOptions) {
		t.Helper()
		want := [][]any{}
		for _, r := range rows {
			all := true
			for k, cond := range conds {
				all = all && cond.met(r[columns[k]])
			}
			if all {
				want = append(want, r)
			}
		}
		var text []string
		for _, cond := range conds {
			opts.Predicates = append(opts.Predicates, cond.pred)
			text = append(text, cond.pred.String())
		}
		opts.Snapshot = done.Timestamp + 1
		t.Run(strings.Join(text, " and "), func(t *testing.T) {
			wantRows(t, readAll(t, table, opts), 2, want...)
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	var all []condition
	var places []int
	for i := range table.Schema().NumColumns() {
		name := table.Schema().Column(i).Name
		values := []any{rows[0][i], rows[1][i], rows[3][i], rows[4][i]}
		for k := range 2 {
			if v := rows[10+k][i]; v != nil {
				values = append(values, v)
			}
		}
		for n, cond := range conditionsOn(name, values) {
			check([]condition{cond}, []int{i}, kudu.ScanOptions{RowWise: n%2 == 0, Ordered: n%3 == 0})
			all, places = append(all, cond), append(places, i)
		}
	}
	for n := range 100 {
		var conds []condition
		var columns []int
		for range 2 + rnd.IntN(3) {
			k := rnd.IntN(len(all))
			conds, columns = append(conds, all[k]), append(columns, places[k])
			if rnd.IntN(2) == 0 { // one more on the same column
				for m := range all {
					if places[m] == places[k] && rnd.IntN(4) == 0 {
						conds, columns = append(conds, all[m]), append(columns, places[m])
						break
					}
				}
			}
		}
		check(conds, columns, kudu.ScanOptions{RowWise: n%2 == 0})
	}
}

func TestCountingScansWithPredicatesDontCrashTheServer(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	c := newClient(t, cluster)
	table := createTable(t, c, allTypes(uniqueName("count")))
	write(t, table, kudu.OpInsert, edgeRows()...)
	for _, rowWise := range []bool{false, true} {
		rows := 0
		opts := kudu.ScanOptions{Columns: []string{}, RowWise: rowWise, Predicates: []kudu.Predicate{
			kudu.GreaterEqual("ki", -1), kudu.IsNotNull("i8"), kudu.Less("req", 5),
		}}
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, tablet := range tablets {
			rows += countRows(t, table, tablet.ID, opts)
		}
		if rows != 2 {
			t.Errorf("row-wise %v: %d rows, want 2", rowWise, rows)
		}
	}
}

func TestPruningNeverLosesARowAndAsksFewTablets(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	c := newClient(t, cluster)
	spec := kudu.TableSpec{
		Name: uniqueName("prune"),
		Columns: []kudu.Column{
			{Name: "a", Type: kudu.Int8, Key: true}, {Name: "b", Type: kudu.String, Key: true}, {Name: "v", Type: kudu.Int32},
		},
		Hash:  []kudu.HashDimension{{Columns: []string{"b"}, Buckets: 2}},
		Range: []string{"a", "b"},
		Ranges: []kudu.RangePartition{
			{Upper: []any{0, "g"}, Hash: []kudu.HashDimension{{Columns: []string{"b"}, Buckets: 3, Seed: 5}}},
			{Lower: []any{0, "g"}, Upper: []any{5, ""}},
			{Lower: []any{5, ""}, Upper: []any{127, "x"}, UpperInclusive: true},
		},
	}
	table := createTable(t, c, spec)
	rnd := rand.New(rand.NewPCG(7, 8))
	seen := map[string]bool{}
	var rows [][]any
	for len(rows) < 400 {
		r := []any{int64(int8(rnd.Uint32())), string([]byte{byte('a' + rnd.IntN(23)), byte(rnd.IntN(2))})[:1+rnd.IntN(2)], int64(rnd.IntN(100))}
		if rnd.IntN(2) == 0 {
			r[0] = int64(rnd.IntN(12) - 3)
		}
		if k := fmt.Sprint(r[:2]); !seen[k] {
			seen[k] = true
			rows = append(rows, r)
		}
	}
	done := write(t, table, kudu.OpInsert, rows...)
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	const searches = 150
	for range searches {
		var conds []condition
		var columns []int
		opts := kudu.ScanOptions{Snapshot: done.Timestamp + 1}
		for i, name := range []string{"a", "b"} {
			if rnd.IntN(4) == 0 {
				continue
			}
			cs := conditionsOn(name, []any{rows[rnd.IntN(400)][i], rows[rnd.IntN(400)][i]})
			for range 1 + rnd.IntN(2) {
				cond := cs[3+rnd.IntN(len(cs)-3)]
				conds, columns = append(conds, cond), append(columns, i)
				opts.Predicates = append(opts.Predicates, cond.pred)
			}
		}
		low, high := []any{int64(-128), ""}, []any{int64(127), "~"}
		if rnd.IntN(3) == 0 {
			low = rows[rnd.IntN(400)][:2]
			opts.From, _ = table.Schema().EncodePrimaryKey(low...)
		}
		if rnd.IntN(3) == 0 {
			high = rows[rnd.IntN(400)][:2]
			opts.To, _ = table.Schema().EncodePrimaryKey(high...)
		}
		less := func(x, y []any) bool {
			if c := compareValues(x[0], y[0]); c != 0 {
				return c < 0
			}
			return compareValues(x[1], y[1]) < 0
		}
		want := [][]any{}
		for _, r := range rows {
			all := !less(r[:2], low) && less(r[:2], high)
			for k, cond := range conds {
				all = all && cond.met(r[columns[k]])
			}
			if all {
				want = append(want, r)
			}
		}
		wantRows(t, readAll(t, table, opts), 2, want...)
		if t.Failed() {
			t.Fatalf("%v from %v to %v", opts.Predicates, low, high)
		}
		pruned, err := table.Prune(tablets, opts)
		if err != nil {
			t.Fatal(err)
		}
		asked += len(pruned)
	}
	if asked > searches*len(tablets)/2 {
		t.Errorf("%d searches asked %d tablets of %d each", searches, asked, len(tablets))
	}
}
