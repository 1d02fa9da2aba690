package predicate

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// sample is a value of a column: as a Go value, and as it is written. Samples
// that can't be written have no text.
type sample struct {
	value any
	texts []string
	rank  int
}

// pool is values of one column, ascending; values that are equal share a rank.
type pool struct {
	column  string
	samples []sample
}

func newPool(column string, samples ...sample) pool {
	for i := range samples {
		if samples[i].rank == 0 {
			samples[i].rank = i + 1
		}
	}
	return pool{column, samples}
}

func val(v any, texts ...string) sample { return sample{value: v, texts: texts} }

func ints(column string, vs ...int64) pool {
	var s []sample
	for _, v := range vs {
		s = append(s, val(v, fmt.Sprint(v)))
	}
	return newPool(column, s...)
}

func decimals(column string, precision, scale int, texts ...string) pool {
	var s []sample
	for _, t := range texts {
		d, err := kudu.ParseDecimal(t, precision, scale)
		if err != nil {
			panic(err)
		}
		s = append(s, val(d, t))
	}
	return newPool(column, s...)
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// pools are values for the columns of allTypes, with the edges of each type.
func pools() []pool {
	zero := func(v any, text string, rank int) sample { return sample{v, []string{text}, rank} }
	str := func(s string) sample { return val(s, quoted(s)) }
	hex := func(s string) sample { return val([]byte(s), fmt.Sprintf("X'%X'", s), fmt.Sprintf("x'%x'", s)) }
	micros := noon.UnixMicro()
	day := micros / microsPerDay
	return []pool{
		ints("id", math.MinInt64, -1, 0, 1, 2, math.MaxInt64),
		newPool("flag", val(false, "FALSE", "false"), val(true, "TRUE", "True")),
		ints("tiny", -128, -127, -1, 0, 1, 126, 127),
		ints("small", math.MinInt16, -129, 0, 1, math.MaxInt16),
		ints("qty", math.MinInt32, -1, 0, 1, 2, math.MaxInt32-1, math.MaxInt32),
		ints("big", math.MinInt64, math.MinInt64+1, -1, 0, 1<<53, 1<<53+1, math.MaxInt64-1, math.MaxInt64),
		newPool("ratio",
			val(float32(math.Inf(-1)), "-Infinity", "'-Infinity'"),
			val(float32(-math.MaxFloat32), "-3.4028234663852886e38"),
			val(float32(-1.5), "-1.5"),
			val(float32(math.Copysign(0, -1)), "-0.0"), zero(float32(0), "0", 4),
			val(float32(math.SmallestNonzeroFloat32), "1e-45"),
			val(float32(0.1), "0.1", ".1", "0.10000000149"),
			val(float32(math.Inf(1)), "Infinity", "+infinity"),
			val(float32(math.NaN()), "NaN", "'NaN'")),
		newPool("score",
			val(math.Inf(-1), "-Infinity"),
			val(-math.MaxFloat64, "-1.7976931348623157e308"),
			val(-0.1, "-0.1"),
			val(math.Copysign(0, -1), "-0"), zero(0.0, "0.0", 4),
			val(0.1, "1E-1"), val(math.Nextafter(0.1, 1), "0.10000000000000002"),
			val(math.Inf(1), "'Infinity'"),
			val(math.NaN(), "nan")),
		newPool("status", str(""), val("\x00"), str("a"), val("a\x00"), str("a'b"), str("ab"), str("abc"),
			str("abd"), str("b"), str("b%c"), str("b_c"), str("\u00e9"), str("\u00e9\u20acx"), val("\u00ff\xe9b"), str("\U0010ffff"), val("\xff")),
		newPool("code", str(""), str("a"), str("ab"), str("abcd"), str("b"), str("\u00e9\u00e9\u00e9\u00e9")),
		newPool("raw", hex(""), hex("\x00"), hex("a"), hex("a\x00"), hex("ab"), hex("b"), hex("\xff"), hex("\xff\x00"), hex("\xff\xff"), hex("\xff\xffa")),
		newPool("due",
			val(int64(math.MinInt64)),
			val(int64(-1), "'1969-12-31T23:59:59.999999Z'"),
			val(int64(0), "'1970-01-01'", "'1970-01-01T02:00+02:00'"),
			val(micros-5_400_000_000, "now() - INTERVAL 90 MINUTE", "'2026-01-02 10:30:00.000006'"),
			val(micros-1, "now() - interval '1' microsecond"),
			val(micros, "now()", "'2026-01-02T12:00:00.000006Z'", "now( ) + INTERVAL 1 DAY - INTERVAL 24 HOURS"),
			val(micros+1, "'2026-01-02T12:00:00.0000070Z'"),
			val(micros+microsPerDay, "now() + INTERVAL 1 DAY"),
			val(int64(math.MaxInt64))),
		newPool("born", val(int64(minDate), "'0001-01-01'"), val(int64(-1), "'1969-12-31'"), val(day-1, "now() - INTERVAL 1 DAY"),
			val(day, "now()", "'2026-01-02'", "now() + INTERVAL 11 HOURS"), val(day+1, "now() + INTERVAL 12 HOURS"), val(int64(maxDate), "'9999-12-31'")),
		decimals("d9", 9, 2, "-9999999.99", "-0.01", "0", "0.01", "12.5", "9999999.98", "9999999.99"),
		decimals("d18", 18, 4, "-99999999999999.9999", "0.0000", "1", "99999999999999.9999"),
		decimals("d38", 38, 6, "-99999999999999999999999999999999.999999", "-1", "0", "1.000001", "18446744073709.551615", "18446744073709.551616", "99999999999999999999999999999999.999999"),
		ints("In", -1, 0, 1),
	}
}

// cell is a row's value of one column: the place in its pool, -1 for NULL.
type testRow map[string]int

// batchOf makes a batch of rows, with the named columns only, in that order.
func batchOf(t testing.TB, schema *kudu.Schema, names []string, ps []pool, rows []testRow) *kudu.RowBatch {
	t.Helper()
	proj, err := schema.Project(names...)
	if err != nil {
		t.Fatal(err)
	}
	b := kudu.NewBatchBuilder(proj)
	for _, r := range rows {
		vals := make([]any, len(names))
		for i, n := range names {
			k, ok := r[n]
			if !ok || k < 0 {
				continue
			}
			vals[i] = poolOf(ps, n).samples[k].value
		}
		if err := b.Append(vals...); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}

func poolOf(ps []pool, column string) *pool {
	i := slices.IndexFunc(ps, func(p pool) bool { return p.column == column })
	return &ps[i]
}

// passes evaluates a pushed predicate as Kudu does: by the order of the type,
// and never true of NULL but for IS NULL.
func (p Predicate) passes(v any) bool {
	if v == nil {
		return p.Op == IsNull
	}
	switch p.Op {
	case IsNull:
		return false
	case IsNotNull:
		return true
	case Equal:
		return compareGo(v, p.Values[0]) == 0
	case GreaterEqual:
		return compareGo(v, p.Values[0]) >= 0
	case Less:
		return compareGo(v, p.Values[0]) < 0
	}
	return slices.ContainsFunc(p.Values, func(w any) bool { return compareGo(v, w) == 0 })
}

func compareGo(a, b any) int {
	switch x := a.(type) {
	case int64:
		y := b.(int64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case string:
		return strings.Compare(x, b.(string))
	case []byte:
		return bytes.Compare(x, b.([]byte))
	case kudu.Int128:
		return x.Cmp(b.(kudu.Int128))
	case bool:
		if x == b.(bool) {
			return 0
		}
		if x {
			return 1
		}
		return -1
	}
	panic(fmt.Sprintf("%T was pushed", a))
}

// selected evaluates a filter on rows as a connector does: what is pushed
// first, the rest on the batch of what is left. It gives the numbers of the
// rows, and checks what the filter says about itself.
func selected(t testing.TB, f *Filter, ps []pool, rows []testRow) []int {
	t.Helper()
	b := f.At(noon)
	var left []testRow
	var places []int
	for i, r := range rows {
		pass := true
		for _, p := range b.Pushed() {
			var v any
			if k := r[p.Column]; k >= 0 {
				v = poolOf(ps, p.Column).samples[k].value
			}
			pass = pass && p.passes(v)
		}
		if pass {
			left, places = append(left, r), append(places, i)
		}
	}
	names := f.Columns()
	slices.Reverse(names) // the order of the projection doesn't matter
	if len(names) == 0 {
		names = []string{"id"}
	}
	batch := batchOf(t, f.schema, names, ps, left)
	if !b.Residual() && len(left) != len(b.Select(batch, nil)) {
		t.Fatalf("%s: nothing is left to test, but rows are dropped", f)
	}
	// In memory that another batch has left marks in.
	slices.Reverse(left)
	sel := b.Select(batchOf(t, f.schema, names, ps, left), nil)
	var out []int
	for _, r := range b.Select(batch, sel) {
		out = append(out, places[r])
	}
	return out
}
