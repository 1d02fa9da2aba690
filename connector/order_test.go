package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// orderable are columns of every type that a streaming key can have. Kudu allows
// no BOOL, FLOAT or DOUBLE in a primary key.
var orderable = []kudu.Column{
	{Type: kudu.Int8}, {Type: kudu.Int16}, {Type: kudu.Int32}, {Type: kudu.Int64}, {Type: kudu.UnixtimeMicros},
	{Type: kudu.Date}, {Type: kudu.String}, {Type: kudu.Varchar, Length: 20}, {Type: kudu.Binary},
	{Type: kudu.Decimal32, Precision: 9, Scale: 2}, {Type: kudu.Decimal64, Precision: 18, Scale: 0}, {Type: kudu.Decimal128, Precision: 38, Scale: 10},
	{Type: kudu.Bool}, {Type: kudu.Float}, {Type: kudu.Double},
}

const keyTypes = 12 // of orderable, from the first on

// drawInt favours the ends of the range and its middle.
func drawInt(t *rapid.T, lo, hi int64) int64 {
	return rapid.OneOf(
		rapid.Int64Range(lo, hi), rapid.SampledFrom([]int64{lo, lo + 1, hi - 1, hi, 0}), rapid.Int64Range(-2, 2),
	).Filter(func(v int64) bool { return v >= lo && v <= hi }).Draw(t, "int")
}

func drawText(t *rapid.T) string {
	return rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 'b', 0xff, 0x20ac}), 0, 4, -1).Draw(t, "text")
}

func drawFloat(t *rapid.T) float64 {
	return rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1, -1, math.SmallestNonzeroFloat64, -math.MaxFloat64,
	})).Draw(t, "float")
}

func drawValue(t *rapid.T, c *kudu.Column) any {
	switch c.Type {
	case kudu.Bool:
		return rapid.Bool().Draw(t, "bool")
	case kudu.Float:
		return float32(drawFloat(t))
	case kudu.Double:
		return drawFloat(t)
	case kudu.Int8:
		return drawInt(t, math.MinInt8, math.MaxInt8)
	case kudu.Int16:
		return drawInt(t, math.MinInt16, math.MaxInt16)
	case kudu.Int32:
		return drawInt(t, math.MinInt32, math.MaxInt32)
	case kudu.Int64, kudu.UnixtimeMicros:
		return drawInt(t, math.MinInt64, math.MaxInt64)
	case kudu.Date:
		return drawInt(t, -719162, 2932896)
	case kudu.Decimal32:
		return kudu.Int128FromInt64(drawInt(t, -999999999, 999999999))
	case kudu.Decimal64, kudu.Decimal128:
		return kudu.Int128FromInt64(drawInt(t, -999999999999999999, 999999999999999999))
	case kudu.Binary:
		return []byte(drawText(t))
	default:
		return drawText(t)
	}
}

func compareTuples(a, b []any) int {
	for i := range a {
		if c := compareValues(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// drawOrder draws a table of one to three key columns and up to two others, and
// a streaming key.
func drawOrder(t *rapid.T) *order {
	var cols []kudu.Column
	add := func(n int, key bool, types []kudu.Column) {
		for range n {
			c := rapid.SampledFrom(types).Draw(t, "column")
			c.Name, c.Key = fmt.Sprint("c", len(cols)), key
			cols = append(cols, c)
		}
	}
	add(rapid.IntRange(1, 3).Draw(t, "keys"), true, orderable[:keyTypes])
	add(rapid.IntRange(0, 2).Draw(t, "others"), false, orderable)
	schema, err := kudu.NewSchema(cols)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cols {
		names = append(names, c.Name)
	}
	n := rapid.IntRange(1, len(cols)).Draw(t, "streaming")
	streaming := names[:n]
	if rapid.Bool().Draw(t, "shuffled") {
		streaming = rapid.Permutation(names).Draw(t, "order")[:n]
	}
	o, err := newOrder(streaming, schema, names)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// drawKey draws the values of the order's columns; a column that is both in the
// streaming and in the primary key has one value.
func drawKey(t *rapid.T, o *order) []any {
	byName := make(map[string]any)
	values := make([]any, len(o.columns))
	for i := range o.columns {
		c := &o.columns[i]
		if _, has := byName[c.Name]; !has {
			byName[c.Name] = drawValue(t, c)
		}
		values[i] = byName[c.Name]
	}
	return values
}

func mustEncode(t *rapid.T, o *order, values []any) []byte {
	key, err := kudu.EncodeKey(o.columns, values)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signOf(n int) int { return max(-1, min(1, n)) }

func TestOrderKeysCompareAsTheirRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		a, b := drawKey(t, o), drawKey(t, o)
		if got, want := bytes.Compare(mustEncode(t, o, a), mustEncode(t, o, b)), signOf(compareTuples(a, b)); got != want {
			t.Fatalf("keys of %v and %v compare as %d, the rows as %d", a, b, got, want)
		}
	})
}

func TestStoredOrderKeysAreRestoredExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		key := mustEncode(t, o, drawKey(t, o))
		pos := offsets.Position{Mode: modeOffset, Phase: phaseStreaming}
		if err := o.store(&pos, key); err != nil {
			t.Fatal(err)
		}
		stored, err := pos.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if pos, err = offsets.ParsePosition(stored); err != nil {
			t.Fatal(err)
		}
		restored, err := o.restore(pos)
		if err != nil {
			t.Fatalf("restoring %s: %v", stored, err)
		}
		if !bytes.Equal(key, restored) {
			t.Fatalf("%s is restored as %x, was %x", stored, restored, key)
		}
	})
}

func TestBoundSplitsRowsByTheFirstColumnsOfTheStreamingKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		row, values := drawKey(t, o), drawKey(t, o)
		prefix := values[:rapid.IntRange(1, len(o.streaming)).Draw(t, "prefix")]
		bound, err := o.bound(prefix)
		if err != nil {
			t.Fatal(err)
		}
		below := compareTuples(row[:len(prefix)], prefix) < 0
		if got := bytes.Compare(mustEncode(t, o, row), bound) < 0; got != below {
			t.Fatalf("row %v below the bound %v: %v, want %v", row, prefix, got, below)
		}
	})
}

func TestPositionsOutliveRenamedKeyColumns(t *testing.T) {
	cols := []kudu.Column{{Name: "day", Type: kudu.Int64}, {Name: "id", Type: kudu.Int64}}
	for _, c := range []struct{ stored, want string }{
		{`{"day":1,"id":2}`, `{"day":1,"id":2}`},
		{`{"date":1,"id":2}`, `{"day":1,"id":2}`},
		{`{"date":1,"number":{"a":[1,2]}}`, `{"day":1,"id":{"a":[1,2]}}`},
		{`{"day":1,"number":"2"}`, `{"day":1,"id":"2"}`},
		// What doesn't fit is left for the decoder to refuse.
		{`{"date":1}`, `{"date":1}`},
		{`{"date":1,"number":2,"more":3}`, `{"date":1,"number":2,"more":3}`},
		{`[1,2]`, `[1,2]`},
		{`{"date":1,"number"`, `{"date":1,"number"`},
		{``, ``},
	} {
		if got, moved := renamed(json.RawMessage(c.stored), cols, false); string(got) != c.want || moved != "" {
			t.Errorf("%s becomes %s, want %s; moved %q", c.stored, got, c.want, moved)
		}
	}
}

func TestPositionsOfColumnsThatExchangedTheirNamesAreRefused(t *testing.T) {
	schema := func(names ...string) *kudu.Schema {
		s, err := kudu.NewSchema([]kudu.Column{
			{Name: names[0], Type: kudu.Int64, Key: true}, {Name: names[1], Type: kudu.Int64, Key: true}, {Name: names[2], Type: kudu.Int64},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all := []string{"a", "b", "c"}
	for _, streaming := range [][]string{{"a"}, {"a", "b"}, {"c", "a"}} {
		before, err := newOrder(streaming, schema("a", "b", "c"), all)
		if err != nil {
			t.Fatal(err)
		}
		pos := offsets.Position{Mode: modeOffset, Phase: phaseStreaming}
		key, err := kudu.EncodeKey(before.columns, []any{int64(1), int64(2), int64(1), int64(2)}[:len(before.columns)])
		if err != nil {
			t.Fatal(err)
		}
		if err := before.store(&pos, key); err != nil {
			t.Fatal(err)
		}
		for _, now := range [][]string{{"b", "a", "c"}, {"b", "x", "c"}} {
			after, err := newOrder([]string{"b"}, schema(now...), now)
			if err != nil {
				t.Fatal(err)
			}
			var fault *FatalError
			if key, err := after.restore(pos); !errors.As(err, &fault) || !strings.Contains(err.Error(), "is in another place than the column of its name") {
				t.Errorf("streaming key %v, columns %v: restored %x, %v", streaming, now, key, err)
			}
			journal := offsets.Journal{Former: []offsets.FormerRow{{PrimaryKey: pos.PrimaryKey, Digest: "d"}}}
			if _, err := newEntry(offsets.JournalKey{}, journal, after); !errors.As(err, &fault) {
				t.Errorf("a journal under columns %v: %v", now, err)
			}
		}
	}
	// The streaming key in another order is another order of rows.
	o, err := newOrder([]string{"c", "b"}, schema("a", "b", "c"), all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.restore(offsets.Position{Key: json.RawMessage(`{"b":2,"c":3}`), PrimaryKey: json.RawMessage(`{"a":1,"b":2}`)}); err == nil {
		t.Error("a position of streaming key b, c is taken for one of c, b")
	}
}

func TestStreamingKeyMustHaveAnOrder(t *testing.T) {
	schema, err := kudu.NewSchema([]kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "at", Type: kudu.UnixtimeMicros, Nullable: true}, {Name: "n", Type: kudu.Int32},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"id", "at", "n"}
	for _, c := range []struct{ streaming, says string }{
		{"at", `column "at" can be NULL`}, {"x", `no column "x"`}, {"n,n", `"n" is named twice`},
	} {
		if _, err := newOrder(strings.Split(c.streaming, ","), schema, all); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("streaming key %s: %v", c.streaming, err)
		}
	}
	o, err := newOrder([]string{"n", "id"}, schema, all)
	if err != nil || o.prefix || !slices.Equal(o.places, []int{2, 0, 0}) {
		t.Errorf("got %+v, %v", o, err)
	}
}
