package serde

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

type golden struct {
	name string
	col  kudu.Column
	in   any
	want string // the cell alone
}

func col(t kudu.DataType) kudu.Column {
	return kudu.Column{Name: "c", Type: t, Nullable: true, Length: 65535}
}

func dec(t kudu.DataType, precision, scale int) kudu.Column {
	return kudu.Column{Name: "c", Type: t, Nullable: true, Precision: precision, Scale: scale}
}

// micros is the time as UNIXTIME_MICROS holds it, by hand from days.
func micros(days, hour, minute, second, us int64) int64 {
	return days*86400_000_000 + (hour*3600+minute*60+second)*1_000_000 + us
}

func runGoldens(t *testing.T, o Options, goldens []golden) {
	t.Helper()
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			b := oneCell(t, g.col, g.in)
			enc := mustEncoder(t, b.Schema(), nil, []string{"c"}, o)
			got, err := enc.AppendValue(nil, b, 0)
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"c":` + g.want + `}`; string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !json.Valid(got) {
				t.Errorf("not valid JSON: %s", got)
			}
		})
	}
}

func TestNumbersKeepTheirExactValue(t *testing.T) {
	runGoldens(t, Default(), []golden{
		{"true", col(kudu.Bool), true, "true"},
		{"false", col(kudu.Bool), false, "false"},
		{"deleted", col(kudu.IsDeleted), true, "true"},
		{"int8 min", col(kudu.Int8), math.MinInt8, "-128"},
		{"int8 max", col(kudu.Int8), math.MaxInt8, "127"},
		{"int16 min", col(kudu.Int16), math.MinInt16, "-32768"},
		{"int16 max", col(kudu.Int16), math.MaxInt16, "32767"},
		{"int32 min", col(kudu.Int32), math.MinInt32, "-2147483648"},
		{"int32 max", col(kudu.Int32), math.MaxInt32, "2147483647"},
		{"int64 min", col(kudu.Int64), int64(math.MinInt64), "-9223372036854775808"},
		{"int64 max", col(kudu.Int64), int64(math.MaxInt64), "9223372036854775807"},
		{"int64 beyond a double", col(kudu.Int64), int64(1<<53 + 1), "9007199254740993"},
		{"uint8 max", col(kudu.Uint8), math.MaxUint8, "255"},
		{"uint16 max", col(kudu.Uint16), math.MaxUint16, "65535"},
		{"uint32 max", col(kudu.Uint32), int64(math.MaxUint32), "4294967295"},
		{"uint64 max", col(kudu.Uint64), uint64(math.MaxUint64), "18446744073709551615"},
		{"int128 min", col(kudu.Int128Type), kudu.Int128{Hi: math.MinInt64}, "-170141183460469231731687303715884105728"},
	})
}

func TestFloatsAreTheShortestThatReadBackEqual(t *testing.T) {
	negZero := math.Copysign(0, -1)
	runGoldens(t, Default(), []golden{
		{"zero", col(kudu.Double), 0.0, "0"},
		{"minus zero", col(kudu.Double), negZero, "-0.0"},
		{"one", col(kudu.Double), 1.0, "1"},
		{"tenth", col(kudu.Double), 0.1, "0.1"},
		{"sum", col(kudu.Double), float64(0.1) + float64(0.2) + 1e-17, "0.30000000000000004"},
		{"amount", col(kudu.Double), -1234.5, "-1234.5"},
		{"six decimals", col(kudu.Double), 999999999.999999, "999999999.999999"},
		{"millionth", col(kudu.Double), 0.000001, "0.000001"},
		{"below a millionth", col(kudu.Double), 0.00000099, "9.9e-7"},
		{"small", col(kudu.Double), -1.5e-10, "-1.5e-10"},
		{"large integer", col(kudu.Double), 1e20, "100000000000000000000"},
		{"exponent", col(kudu.Double), 1e21, "1e+21"},
		{"2^53+2", col(kudu.Double), float64(1<<53 + 2), "9007199254740994"},
		{"greatest", col(kudu.Double), math.MaxFloat64, "1.7976931348623157e+308"},
		{"smallest", col(kudu.Double), math.SmallestNonzeroFloat64, "5e-324"},
		{"smallest, minus", col(kudu.Double), -math.SmallestNonzeroFloat64, "-5e-324"},
		{"nan", col(kudu.Double), math.NaN(), `"NaN"`},
		{"inf", col(kudu.Double), math.Inf(1), `"Infinity"`},
		{"-inf", col(kudu.Double), math.Inf(-1), `"-Infinity"`},
		{"float zero", col(kudu.Float), float32(0), "0"},
		{"float minus zero", col(kudu.Float), float32(negZero), "-0.0"},
		{"float tenth", col(kudu.Float), float32(0.1), "0.1"},
		{"float amount", col(kudu.Float), float32(-123.45), "-123.45"},
		{"float third", col(kudu.Float), float32(1) / 3, "0.33333334"},
		{"float 2^24", col(kudu.Float), float32(1 << 24), "16777216"},
		{"float small", col(kudu.Float), float32(1e-7), "1e-7"},
		{"float greatest", col(kudu.Float), float32(math.MaxFloat32), "3.4028235e+38"},
		{"float smallest", col(kudu.Float), float32(math.SmallestNonzeroFloat32), "1e-45"},
		{"float nan", col(kudu.Float), float32(math.NaN()), `"NaN"`},
		{"float inf", col(kudu.Float), float32(math.Inf(1)), `"Infinity"`},
		{"float -inf", col(kudu.Float), float32(math.Inf(-1)), `"-Infinity"`},
	})
}

func TestStringsAreEscapedAsLittleAsPossible(t *testing.T) {
	long := string(longText("a line of text, and then ", 5000))
	controls, escaped := "", ""
	for c := range byte(0x20) {
		controls += string(rune(c))
	}
	escaped = `\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f` +
		`\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f`
	runGoldens(t, Default(), []golden{
		{"empty", col(kudu.String), "", `""`},
		{"plain", col(kudu.Varchar), "hello", `"hello"`},
		{"long", col(kudu.String), long, `"` + long + `"`},
		{"long with a quote", col(kudu.String), long + `"` + long, `"` + long + `\"` + long + `"`},
		{"controls", col(kudu.String), controls, `"` + escaped + `"`},
		{"quote and backslash", col(kudu.String), `say "a\b"`, `"say \"a\\b\""`},
		{"unchanged", col(kudu.String), "</script>&'\x7f\u0080\u00a0", "\"</script>&'\x7f\u0080\u00a0\""},
		{"line separators", col(kudu.String), "a\u2028b\u2029", `"a\u2028b\u2029"`},
		{"their neighbours", col(kudu.String), "\u2027\u202a\u2128", "\"\u2027\u202a\u2128\""},
		{"astral", col(kudu.String), "a\U0001F600\U0010FFFF", "\"a\U0001F600\U0010FFFF\""},
		{"replacement character", col(kudu.String), "\uFFFD", "\"\uFFFD\""},
		{"binary empty", col(kudu.Binary), []byte{}, `""`},
		{"binary padded", col(kudu.Binary), []byte{0xfb, 0xff, 0}, `"+/8A"`},
		{"binary one byte", col(kudu.Binary), []byte{0xff}, `"/w=="`},
		{"binary 5000", col(kudu.Binary), make([]byte, 5001), `"` + strings.Repeat("AAAA", 1667) + `"`},
	})
}

// Every byte at every place of a word must stop the eight-byte steps or not.
func TestEveryByteIsSeenAtEveryPlaceOfAWord(t *testing.T) {
	for place := range 17 {
		for c := range 256 {
			s := []byte(strings.Repeat("x", 17))
			s[place] = byte(c)
			got, ok := appendJSONString(nil, s)
			if ok != (c < 0x80) {
				t.Fatalf("byte %#x at %d: accepted %v", c, place, ok)
			}
			var back string
			if ok && (json.Unmarshal(got, &back) != nil || back != string(s)) {
				t.Fatalf("byte %#x at %d: %s", c, place, got)
			}
		}
	}
}

func TestTextThatIsNotUTF8IsAnErrorThatNamesTheColumn(t *testing.T) {
	for _, bad := range []string{"\xff", "ok so far \xc3", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80", "ü\xe2\x80"} {
		c := col(kudu.String)
		c.Name = "comment"
		b := oneCell(t, c, bad)
		enc := mustEncoder(t, b.Schema(), []string{"comment"}, []string{"comment"}, Default())
		for _, f := range []func([]byte, *kudu.RowBatch, int) ([]byte, error){enc.AppendKey, enc.AppendValue} {
			got, err := f([]byte("before"), b, 0)
			var ce *CellError
			if !errors.As(err, &ce) || ce.Column != "comment" || !strings.Contains(err.Error(), "BINARY") {
				t.Errorf("%q: %v", bad, err)
			}
			if string(got) != "before" {
				t.Errorf("%q: buffer is %q after the error", bad, got)
			}
		}
	}
}

func TestTimesAreISOWithSixDigits(t *testing.T) {
	at := micros(20455, 3, 4, 5, 6)
	goldens := []golden{
		{"epoch", col(kudu.UnixtimeMicros), 0, `"1970-01-01T00:00:00.000000Z"`},
		{"usual", col(kudu.UnixtimeMicros), at, `"2026-01-02T03:04:05.000006Z"`},
		{"just before the epoch", col(kudu.UnixtimeMicros), -1, `"1969-12-31T23:59:59.999999Z"`},
		{"leap day", col(kudu.UnixtimeMicros), micros(11016, 23, 59, 59, 123456), `"2000-02-29T23:59:59.123456Z"`},
		{"year 1", col(kudu.UnixtimeMicros), micros(-719162, 0, 0, 0, 0), `"0001-01-01T00:00:00.000000Z"`},
		{"year 9999", col(kudu.UnixtimeMicros), micros(2932896, 23, 59, 59, 999999), `"9999-12-31T23:59:59.999999Z"`},
		{"year 0", col(kudu.UnixtimeMicros), micros(-719163, 23, 59, 59, 999999), `"+000000-12-31T23:59:59.999999Z"`},
		{"year -1", col(kudu.UnixtimeMicros), micros(-719529, 0, 0, 0, 0), `"-000001-12-31T00:00:00.000000Z"`},
		{"year 10000", col(kudu.UnixtimeMicros), micros(2932897, 0, 0, 0, 0), `"+010000-01-01T00:00:00.000000Z"`},
		{"greatest", col(kudu.UnixtimeMicros), int64(math.MaxInt64), `"+294247-01-10T04:00:54.775807Z"`},
		{"smallest", col(kudu.UnixtimeMicros), int64(math.MinInt64), `"-290308-12-21T19:59:05.224192Z"`},
		{"date", col(kudu.Date), 20455, `"2026-01-02"`},
		{"date before the epoch", col(kudu.Date), -1, `"1969-12-31"`},
		{"first date", col(kudu.Date), -719162, `"0001-01-01"`},
		{"last date", col(kudu.Date), 2932896, `"9999-12-31"`},
	}
	runGoldens(t, Default(), goldens)

	o := Default()
	o.TimePrecision = TimeMicroseconds
	runGoldens(t, o, []golden{
		{"microseconds", col(kudu.UnixtimeMicros), at, "1767323045000006"},
		{"microseconds smallest", col(kudu.UnixtimeMicros), int64(math.MinInt64), "-9223372036854775808"},
		{"microseconds date", col(kudu.Date), 20455, "20455"},
	})
	o.TimePrecision = TimeConnect
	runGoldens(t, o, []golden{
		{"connect", col(kudu.UnixtimeMicros), at, "1767323045000"},
		{"connect cuts toward the past", col(kudu.UnixtimeMicros), -1, "-1"},
		{"connect whole", col(kudu.UnixtimeMicros), -2000, "-2"},
		{"connect date", col(kudu.Date), -719162, "-719162"},
	})
}

func TestDecimalsKeepAllDigitsInEveryMode(t *testing.T) {
	nines := "99999999999999999999999999999999.999999"
	d128, d32 := dec(kudu.Decimal128, 38, 6), dec(kudu.Decimal32, 9, 2)
	runGoldens(t, Default(), []golden{
		{"zero", d32, "0", `"0.00"`},
		{"below one", d32, "-0.05", `"-0.05"`},
		{"scale kept", d32, "12.5", `"12.50"`},
		{"dec64", dec(kudu.Decimal64, 18, 0), "-999999999999999999", `"-999999999999999999"`},
		{"38 digits", d128, nines, `"` + nines + `"`},
		{"38 digits, minus", d128, "-" + nines, `"-` + nines + `"`},
		{"all behind the point", dec(kudu.Decimal128, 38, 38), "-0.00000000000000000000000000000000000001", `"-0.00000000000000000000000000000000000001"`},
	})
	o := Default()
	o.DecimalHandling = DecimalDouble
	runGoldens(t, o, []golden{
		{"double", d32, "-12.5", "-12.50"},
		{"double 38 digits", d128, nines, nines},
	})
	o.DecimalHandling = DecimalPrecise
	runGoldens(t, o, []golden{
		{"precise zero", d32, "0", `"AA=="`},
		{"precise 1", d32, "0.01", `"AQ=="`},
		{"precise -1", d32, "-0.01", `"/w=="`},
		{"precise 127", d32, "1.27", `"fw=="`},
		{"precise 128", d32, "1.28", `"AIA="`},
		{"precise -128", d32, "-1.28", `"gA=="`},
		{"precise -129", d32, "-1.29", `"/38="`},
		{"precise 2^64", dec(kudu.Decimal128, 38, 0), "18446744073709551616", `"AQAAAAAAAAAA"`},
		{"precise 38 nines", dec(kudu.Decimal128, 38, 0), strings.Repeat("9", 38), `"SztMqFqGxHoJiiI//////w=="`},
		{"precise 38 nines, minus", dec(kudu.Decimal128, 38, 0), "-" + strings.Repeat("9", 38), `"tMSzV6V5O4X2dd3AAAAAAQ=="`},
	})
}

func TestNullsAreNullForEveryType(t *testing.T) {
	cols := allTypes(true)
	for _, c := range wireTypes() {
		c.Nullable = true
		cols = append(cols, c)
	}
	bb := kudu.NewBatchBuilder(mustSchema(t, cols...))
	if err := bb.Append(make([]any, len(cols))...); err != nil {
		t.Fatal(err)
	}
	b := bb.Build()
	var want strings.Builder
	for i, c := range cols {
		want.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + `"` + c.Name + `":null`)
	}
	want.WriteString("}")
	names := columnNames(b.Schema())
	got, err := mustEncoder(t, b.Schema(), names, names, Default()).AppendValue(nil, b, 0)
	if err != nil || string(got) != want.String() {
		t.Errorf("got %s, %v\nwant %s", got, err, want.String())
	}
}

func TestMembersStandInTheOrderAskedFor(t *testing.T) {
	s := mustSchema(t,
		kudu.Column{Name: "id", Type: kudu.Int64, Key: true},
		kudu.Column{Name: "na\"me\n", Type: kudu.String},
		kudu.Column{Name: "größe", Type: kudu.Int8},
	)
	bb := kudu.NewBatchBuilder(s)
	for i := range 3 {
		if err := bb.Append(i, "n", 10+i); err != nil {
			t.Fatal(err)
		}
	}
	b := bb.Build()
	enc := mustEncoder(t, s, []string{"größe", "id"}, []string{"größe", "na\"me\n"}, Default())
	buf := []byte("x")
	buf, err := enc.AppendKey(buf, b, 2)
	if err != nil {
		t.Fatal(err)
	}
	if buf, err = enc.AppendValue(buf, b, 1); err != nil {
		t.Fatal(err)
	}
	if want := `x{"größe":12,"id":2}{"größe":11,"na\"me\n":"n"}`; string(buf) != want {
		t.Errorf("got  %s\nwant %s", buf, want)
	}

	none := mustEncoder(t, s, nil, nil, Default())
	key, err := none.AppendKey(nil, b, 0)
	if key != nil || err != nil {
		t.Errorf("key without columns: %s, %v", key, err)
	}
	if value, err := none.AppendValue(nil, b, 0); string(value) != "{}" || err != nil {
		t.Errorf("value without columns: %s, %v", value, err)
	}
}

func TestConnectTimesInKeysAreNeverCut(t *testing.T) {
	o := Default()
	o.TimePrecision = TimeConnect
	c := kudu.Column{Name: "at", Type: kudu.UnixtimeMicros, Key: true}
	for v, want := range map[int64]string{5000: `{"at":5}`, -5000: `{"at":-5}`, 5001: "", -1: ""} {
		b := oneCell(t, c, v)
		key, err := mustEncoder(t, b.Schema(), []string{"at"}, []string{"at"}, o).AppendKey(nil, b, 0)
		var ce *CellError
		if string(key) != want || (want == "") != errors.As(err, &ce) {
			t.Errorf("%d: got %q, %v", v, key, err)
		}
		if want == "" && !strings.Contains(err.Error(), "time.precision.mode") {
			t.Errorf("error names no option: %v", err)
		}
	}
}

func TestBatchOfAnotherProjectionIsRefused(t *testing.T) {
	s := mustSchema(t, kudu.Column{Name: "a", Type: kudu.Int32}, kudu.Column{Name: "b", Type: kudu.Int8})
	enc := mustEncoder(t, s, []string{"a"}, []string{"a"}, Default())
	for _, other := range []kudu.Column{
		{Name: "a", Type: kudu.Int64}, {Name: "z", Type: kudu.Int32}, {Name: "a", Type: kudu.String},
	} {
		v := any(1)
		if other.Type == kudu.String {
			v = "1"
		}
		b := oneCell(t, other, v)
		for _, f := range []func([]byte, *kudu.RowBatch, int) ([]byte, error){enc.AppendKey, enc.AppendValue} {
			if got, err := f([]byte("x"), b, 0); err == nil || string(got) != "x" {
				t.Errorf("%s %s: got %q, %v", other.Name, other.TypeString(), got, err)
			}
		}
	}
	// The same columns in a schema of its own, as after a reload, are fine.
	b := oneCell(t, kudu.Column{Name: "a", Type: kudu.Int32, Nullable: true}, 7)
	if got, err := enc.AppendValue(nil, b, 0); err != nil || string(got) != `{"a":7}` {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := mustEncoder(t, s, []string{"b"}, nil, Default()).AppendKey(nil, b, 0); err == nil {
		t.Error("a batch with fewer columns was accepted")
	}
}

func TestFaultsOfOptionsAndColumnsAreReportedAtOnce(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	err := Options{Converter: "xml", DecimalHandling: "Double"}.Validate()
	for _, want := range []string{"value.converter", `"xml"`, "decimal.handling.mode", "precise", "time.precision.mode", "isostring"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s: %v", want, err)
		}
	}
	s := mustSchema(t, kudu.Column{Name: "a", Type: kudu.Int32})
	if _, err := NewEncoder(s, nil, nil, Options{}); err == nil {
		t.Error("zero options were accepted")
	}
	if _, err := NewEncoder(nil, nil, nil, Default()); err == nil {
		t.Error("a missing projection was accepted")
	}
	_, err = NewEncoder(s, []string{"k"}, []string{"a", "a", "v"}, Default())
	for _, want := range []string{`key column "k"`, `value column "a" is listed twice`, `value column "v"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s: %v", want, err)
		}
	}
	bad := mustSchema(t, kudu.Column{Name: "a\xff", Type: kudu.Int32})
	if _, err := NewEncoder(bad, nil, []string{"a\xff"}, Default()); err == nil {
		t.Error("a name that isn't UTF-8 was accepted")
	}
}

func TestWarmBufferNeedsNoAllocation(t *testing.T) {
	wide := wideBatch(t)
	for _, o := range []Options{
		Default(),
		{Converter: ConverterJSON, DecimalHandling: DecimalPrecise, TimePrecision: TimeConnect},
		{Converter: ConverterJSON, DecimalHandling: DecimalDouble, TimePrecision: TimeMicroseconds},
	} {
		enc := mustEncoder(t, wide.Schema(), []string{"int64", "string"}, columnNames(wide.Schema()), o)
		buf := make([]byte, 0, 8192)
		row := 0
		if n := testing.AllocsPerRun(500, func() {
			var err error
			if buf, err = enc.AppendKey(buf[:0], wide, row); err != nil {
				t.Fatal(err)
			}
			if buf, err = enc.AppendValue(buf, wide, row); err != nil {
				t.Fatal(err)
			}
			row++
		}); n != 0 {
			t.Errorf("%v: %v allocations per row", o, n)
		}
	}
}
