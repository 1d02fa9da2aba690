package serde

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// drawValue draws a value of the column as kudu.ColumnView.Value gives it.
func drawValue(t *rapid.T, c *kudu.Column, text *rapid.Generator[string]) any {
	if c.Nullable && rapid.IntRange(0, 4).Draw(t, c.Name+" null") == 0 {
		return nil
	}
	switch c.Type {
	case kudu.Bool, kudu.IsDeleted:
		return rapid.Bool().Draw(t, c.Name)
	case kudu.Float:
		// Bits reach NaNs, infinities and subnormals; cents are what tables hold.
		if rapid.Bool().Draw(t, "bits") {
			return math.Float32frombits(rapid.Uint32().Draw(t, c.Name))
		}
		return float32(rapid.IntRange(-1e7, 1e7).Draw(t, c.Name)) / 1000
	case kudu.Double:
		if rapid.Bool().Draw(t, "bits") {
			return math.Float64frombits(rapid.Uint64().Draw(t, c.Name))
		}
		return float64(rapid.Int64Range(-1e16, 1e16).Draw(t, c.Name)) / 1e6
	case kudu.String, kudu.Varchar:
		return text.Draw(t, c.Name)
	case kudu.Binary:
		return append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, c.Name)...)
	case kudu.Decimal32, kudu.Decimal64, kudu.Decimal128:
		digits := rapid.StringMatching(`-?[0-9]{1,38}`).Draw(t, c.Name)
		n, _ := new(big.Int).SetString(digits, 10)
		n.Rem(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Precision)), nil))
		d, err := kudu.ParseDecimal(n.String(), c.Precision, 0)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case kudu.Int128Type:
		return kudu.Int128{Hi: rapid.Int64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
	case kudu.Uint64:
		return rapid.Uint64().Draw(t, c.Name)
	}
	lo, hi, _ := intRange(c.Type)
	return rapid.Int64Range(lo, hi).Draw(t, c.Name)
}

func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "raw") {
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}
		return rapid.String().Draw(t, "text")
	})
}

func everyType() []kudu.Column {
	cols := append(allTypes(true), wireTypes()...)
	for i := range cols {
		cols[i].Nullable = i%2 == 0
	}
	return cols
}

func sameValue(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && (math.Float64bits(x) == math.Float64bits(y) || x != x && y != y)
	case float32:
		y, ok := b.(float32)
		return ok && (math.Float32bits(x) == math.Float32bits(y) || x != x && y != y)
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	}
	return a == b
}

// cellOf turns the member of a record back into the cell's value by means that
// share nothing with the package.
func cellOf(t *rapid.T, c *kudu.Column, o Options, member any) any {
	number := func() string { return string(member.(json.Number)) }
	integer := func() int64 {
		n, err := strconv.ParseInt(number(), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		return n
	}
	float := func(bits int) float64 {
		if s, ok := member.(string); ok {
			return map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[s]
		}
		f, err := strconv.ParseFloat(number(), bits)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		return f
	}
	switch {
	case member == nil:
		return nil
	case c.Type == kudu.Bool, c.Type == kudu.IsDeleted, c.Type == kudu.String, c.Type == kudu.Varchar:
		return member
	case c.Type == kudu.Float:
		return float32(float(32))
	case c.Type == kudu.Double:
		return float(64)
	case c.Type == kudu.Binary:
		b, err := base64.StdEncoding.DecodeString(member.(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	case c.Type == kudu.Uint64:
		u, err := strconv.ParseUint(number(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return u
	case c.Type == kudu.UnixtimeMicros && o.TimePrecision == TimeISOString:
		at, err := time.Parse("2006-01-02T15:04:05.000000Z", member.(string))
		if err != nil {
			t.Fatal(err)
		}
		return at.UnixMicro()
	case c.Type == kudu.UnixtimeMicros && o.TimePrecision == TimeConnect:
		return integer() * 1000
	case c.Type == kudu.Date && o.TimePrecision == TimeISOString:
		at, err := time.Parse(time.DateOnly, member.(string))
		if err != nil {
			t.Fatal(err)
		}
		return at.Unix() / 86400
	case c.Type.Decimal() && o.DecimalHandling == DecimalPrecise:
		b, err := base64.StdEncoding.DecodeString(member.(string))
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).SetBytes(b)
		if b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return n.String()
	case c.Type.Decimal():
		s, isText := member.(string)
		if isText != (o.DecimalHandling == DecimalString) {
			t.Fatalf("%s: %T with decimal.handling.mode %s", c.Name, member, o.DecimalHandling)
		}
		if !isText {
			s = number()
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%s: %s", c.Name, s)
		}
		r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Scale)), nil)))
		return r.RatString()
	case c.Type == kudu.Int128Type:
		return number()
	}
	return integer()
}

func drawOptions(t *rapid.T) Options {
	return Options{
		Converter:       ConverterJSON,
		DecimalHandling: rapid.SampledFrom([]string{DecimalString, DecimalPrecise, DecimalDouble}).Draw(t, "decimal"),
		TimePrecision:   rapid.SampledFrom([]string{TimeISOString, TimeMicroseconds, TimeConnect}).Draw(t, "time"),
	}
}

func TestRecordsDecodeToTheCellsOfTheRow(t *testing.T) {
	cols := everyType()
	schema := mustSchema(t, cols...)
	names := columnNames(schema)
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		enc, err := NewEncoder(schema, nil, names, o)
		if err != nil {
			t.Fatal(err)
		}
		bb := kudu.NewBatchBuilder(schema)
		var rows [][]any
		for range rapid.IntRange(1, 10).Draw(t, "rows") {
			row := make([]any, len(cols))
			for i := range cols {
				row[i] = drawValue(t, &cols[i], rapid.String())
				if at, ok := row[i].(int64); ok && cols[i].Type == kudu.UnixtimeMicros {
					// The years that the time package reads.
					lo, hi := int64(minDateDays)*microsPerDay, int64(maxDateDays+1)*microsPerDay-1
					if at < lo || at > hi {
						at %= hi
					}
					if o.TimePrecision == TimeConnect {
						at -= at % 1000
					}
					row[i] = max(at, lo)
				}
			}
			if err := bb.Append(row...); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		batch := bb.Build()
		for r, row := range rows {
			got, err := enc.AppendValue(nil, batch, r)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(got) {
				t.Fatalf("not valid JSON: %s", got)
			}
			dec := json.NewDecoder(bytes.NewReader(got))
			dec.UseNumber()
			var members map[string]any
			if err := dec.Decode(&members); err != nil || len(members) != len(cols) {
				t.Fatalf("%d members, %v: %s", len(members), err, got)
			}
			for i := range cols {
				want := row[i]
				if d, ok := want.(kudu.Int128); ok {
					want = d.String()
				}
				if back := cellOf(t, &cols[i], o, members[cols[i].Name]); !sameValue(want, back) {
					t.Fatalf("column %s: %v came back as %v: %s", cols[i].Name, want, back, got)
				}
			}
		}
	})
}

// Two rows have the same key bytes only if their keys are the same: keys of
// short texts and few numbers, so that near misses are drawn often.
func TestKeysOfDifferentRowsDiffer(t *testing.T) {
	cols := []kudu.Column{
		{Name: "a", Type: kudu.String}, {Name: "b", Type: kudu.Varchar, Length: 10, Nullable: true}, {Name: "n", Type: kudu.Int16},
		{Name: "x", Type: kudu.Binary}, {Name: "at", Type: kudu.UnixtimeMicros}, {Name: "d", Type: kudu.Date},
		{Name: "p", Type: kudu.Decimal32, Precision: 3, Scale: 1},
	}
	schema := mustSchema(t, cols...)
	few := rapid.StringOfN(rapid.SampledFrom([]rune("\",:\\u2028\u2028\x00{}")), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		enc, err := NewEncoder(schema, columnNames(schema), nil, drawOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		draw := func() []any {
			var b any = few.Draw(t, "b")
			if rapid.Bool().Draw(t, "null") {
				b = nil
			}
			return []any{
				few.Draw(t, "a"), b, rapid.IntRange(-2, 2).Draw(t, "n"), []byte(few.Draw(t, "x")),
				rapid.Int64Range(-2000, 2000).Draw(t, "at"), rapid.IntRange(-2, 2).Draw(t, "d"),
				kudu.Int128FromInt64(rapid.Int64Range(-20, 20).Draw(t, "p")),
			}
		}
		one := draw()
		two := append([]any{}, one...)
		other := draw()
		for i := range two {
			if rapid.Bool().Draw(t, "differ") {
				two[i] = other[i]
			}
		}
		bb := kudu.NewBatchBuilder(schema)
		for _, row := range [][]any{one, two} {
			if err := bb.Append(row...); err != nil {
				t.Fatal(err)
			}
		}
		batch := bb.Build()
		same := true
		for i := range one {
			same = same && sameValue(batch.Column(i).Value(0), batch.Column(i).Value(1))
		}
		k1, err1 := enc.AppendKey(nil, batch, 0)
		k2, err2 := enc.AppendKey(nil, batch, 1)
		if err1 != nil || err2 != nil {
			return // a time that connect can't write exactly: refused, not cut
		}
		if bytes.Equal(k1, k2) != same {
			t.Fatalf("keys %s and %s of %v and %v", k1, k2, one, two)
		}
	})
}

func TestFloatsAgreeWithStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawValue(t, &kudu.Column{Name: "f", Type: kudu.Double}, nil).(float64)
		if f != 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
			want, _ := json.Marshal(f)
			if got := appendJSONFloat64(nil, f); string(got) != string(want) {
				t.Fatalf("%s, not %s", got, want)
			}
		}
		g := drawValue(t, &kudu.Column{Name: "g", Type: kudu.Float}, nil).(float32)
		if g != 0 && g == g && !math.IsInf(float64(g), 0) {
			want, _ := json.Marshal(g)
			if got := appendJSONFloat32(nil, g); string(got) != string(want) {
				t.Fatalf("%s, not %s", got, want)
			}
		}
	})
}

func TestMarshalledValuesComeBackEqual(t *testing.T) {
	cols := everyType()
	rapid.Check(t, func(t *rapid.T) {
		values := make([]any, len(cols))
		for i := range cols {
			values[i] = drawValue(t, &cols[i], anyText())
		}
		raw, err := MarshalValues(cols, values)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(raw) {
			t.Fatalf("not valid JSON: %s", raw)
		}
		back, err := UnmarshalValues(cols, raw)
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		for i := range cols {
			if !sameValue(values[i], back[i]) {
				t.Fatalf("column %s: %#v came back as %#v: %s", cols[i].Name, values[i], back[i], raw)
			}
		}
	})
}
