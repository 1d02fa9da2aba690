package serde

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestValuesAreReadableInPositions(t *testing.T) {
	cols := append(everyType(), kudu.Column{Name: "raw", Type: kudu.String})
	values := []any{
		true, int64(-128), int64(32767), int64(math.MinInt32), int64(1<<53 + 1), float32(0.1), math.Copysign(0, -1),
		"text \"ü\"", "v", []byte{1, 2, 3}, int64(1767323045000006), int64(20455),
		kudu.Int128FromInt64(-5), kudu.Int128FromInt64(125000), nil,
		int64(255), int64(65535), int64(math.MaxUint32), uint64(math.MaxUint64),
		kudu.Int128{Hi: math.MinInt64}, false, "bad \xff",
	}
	want := `{"bool":true,"int8":-128,"int16":32767,"int32":-2147483648,"int64":9007199254740993,"float":0.1,"double":-0.0,` +
		`"string":"text \"ü\"","varchar":"v","binary":"AQID","time":"2026-01-02T03:04:05.000006Z","date":"2026-01-02",` +
		`"dec32":"-0.05","dec64":"12.5000","dec128":null,"uint8":255,"uint16":65535,"uint32":4294967295,` +
		`"uint64":18446744073709551615,"int128":"-170141183460469231731687303715884105728","deleted":false,` +
		`"raw":{"base64":"YmFkIP8="}}`
	got, err := MarshalValues(cols, values)
	if err != nil || string(got) != want {
		t.Fatalf("got  %s, %v\nwant %s", got, err, want)
	}
	back, err := UnmarshalValues(cols, got)
	if err != nil {
		t.Fatal(err)
	}
	for i := range values {
		if !sameValue(values[i], back[i]) {
			t.Errorf("column %s: %#v came back as %#v", cols[i].Name, values[i], back[i])
		}
	}
	if got, err := MarshalValues(nil, nil); string(got) != "{}" || err != nil {
		t.Errorf("no columns: %s, %v", got, err)
	}
	if back, err := UnmarshalValues(nil, []byte(" {} \n")); len(back) != 0 || err != nil {
		t.Errorf("no columns: %v, %v", back, err)
	}
}

func TestValuesMayBeWrittenByHand(t *testing.T) {
	c := func(t kudu.DataType) kudu.Column {
		return kudu.Column{Name: "c", Type: t, Precision: 5, Scale: 2, Length: 10}
	}
	for _, test := range []struct {
		col  kudu.Column
		raw  string
		want any
	}{
		{c(kudu.Int64), `"9223372036854775807"`, int64(math.MaxInt64)},
		{c(kudu.Int8), ` -5 `, int64(-5)},
		{c(kudu.Uint64), `"18446744073709551615"`, uint64(math.MaxUint64)},
		{c(kudu.UnixtimeMicros), `1767323045000006`, int64(1767323045000006)},
		{c(kudu.UnixtimeMicros), `"2026-01-02T03:04:05Z"`, int64(1767323045000000)},
		{c(kudu.Date), `20455`, int64(20455)},
		{c(kudu.Decimal32), `-12.5`, kudu.Int128FromInt64(-1250)},
		{c(kudu.Decimal32), `"+7"`, kudu.Int128FromInt64(700)},
		{c(kudu.Double), `1E3`, 1000.0},
		{c(kudu.Double), `-0`, math.Copysign(0, -1)},
		{c(kudu.Float), `0.1`, float32(0.1)},
		{c(kudu.Float), `"-Infinity"`, float32(math.Inf(-1))},
		{c(kudu.String), `"\ud83d\ude00\\ud83d"`, "\U0001F600\\ud83d"},
		{c(kudu.Varchar), `{"base64":"/w=="}`, "\xff"},
		{c(kudu.Int128Type), `170141183460469231731687303715884105727`, kudu.Int128{Hi: math.MaxInt64, Lo: math.MaxUint64}},
	} {
		back, err := UnmarshalValues([]kudu.Column{test.col}, []byte(`{"c":`+test.raw+`}`))
		if err != nil || !sameValue(test.want, back[0]) {
			t.Errorf("%s of %s: %#v, %v", test.raw, test.col.TypeString(), back, err)
		}
	}
}

func TestWrongValuesAreErrorsThatNameTheColumn(t *testing.T) {
	c := func(t kudu.DataType) kudu.Column {
		return kudu.Column{Name: "the_col", Type: t, Precision: 5, Scale: 2, Length: 10}
	}
	for _, test := range []struct {
		t    kudu.DataType
		raws []string
	}{
		{kudu.Bool, []string{`1`, `"true"`, `null`, `[]`, `{}`}},
		{kudu.Int8, []string{`128`, `-129`, `1.0`, `1e1`, `"x"`, `""`, `true`, `null`, `{"base64":""}`, `99999999999999999999`}},
		{kudu.Int64, []string{`9223372036854775808`, `1.5`, `"1_000"`, `"0x10"`, `[1]`}},
		{kudu.Uint8, []string{`-1`, `256`}},
		{kudu.Uint64, []string{`-1`, `18446744073709551616`}},
		{kudu.Float, []string{`1e39`, `"1"`, `"nan"`, `"inf"`, `true`}},
		{kudu.Double, []string{`1e309`, `"0x1p2"`, `null`}},
		{kudu.String, []string{`1`, `true`, `null`, `"\ud800"`, `"\udc00\ud800"`, `"\ud83dx"`, `{}`, `{"base64":1}`, `{"base64":"x"}`, `{"base64":"","x":1}`, `{"base64":"","base64":""}`, `{"text":"x"}`, `{"base64":"\ud800"}`, `["x"]`}},
		{kudu.Binary, []string{`"x"`, `"AB=="`, `"_w=="`, `1`, `{"base64":""}`}},
		{kudu.UnixtimeMicros, []string{`"yesterday"`, `"2026-02-30T00:00:00Z"`, `9223372036854775808`, `1.5`}},
		{kudu.Date, []string{`"2026-02-30"`, `"2026-01-02T00:00:00Z"`, `"+010000-01-01"`, `2932897`, `-719163`, `"+000000-12-31"`, `"+9999999-01-01"`}},
		{kudu.Decimal32, []string{`"1234.00"`, `1000`, `"1.005"`, `1e2`, `"1,5"`, `""`, `true`}},
		{kudu.Int128Type, []string{`170141183460469231731687303715884105728`, `"-170141183460469231731687303715884105729"`, `"x"`, `1.5`}},
	} {
		for _, raw := range test.raws {
			back, err := UnmarshalValues([]kudu.Column{c(test.t)}, []byte(`{"the_col":`+raw+`}`))
			if err == nil || !strings.Contains(err.Error(), `"the_col"`) {
				t.Errorf("%s as %s: %v, %v", raw, test.t, back, err)
			}
		}
	}
}

func TestObjectsThatDoNotFitTheColumnsAreRefused(t *testing.T) {
	cols := []kudu.Column{{Name: "a", Type: kudu.Int8}, {Name: "b", Type: kudu.Int8}}
	for raw, want := range map[string]string{
		`{"a":1}`:                   `"b"`,
		`{}`:                        `"a"`,
		`{"a":1,"b":2,"c":3}`:       `"c"`,
		`{"a":1,"b":2,"a":1}`:       `"a"`,
		`{"a":1,"b":2} x`:           "behind",
		`{"a":1,"b":2}{}`:           "behind",
		`{"a":1,"b":2`:              "unexpected EOF",
		`{"a":1,"b":`:               `"b"`,
		`{"a":1,"b"`:                "unexpected EOF",
		``:                          "unexpected EOF",
		`[1,2]`:                     "not a JSON object",
		`null`:                      "not a JSON object",
		`{"a":1,"b":2,}`:            "invalid",
		`{"a":1 "b":2}`:             "invalid",
		`{a:1}`:                     "invalid",
		`{"a":01,"b":2}`:            "invalid",
		"{\"a\":1,\"\xff\":2}":      "UTF-8",
		`{"a":1,"b":2,"\ud800":3}`:  "surrogate",
		"{\"a\":1,\"b\":\"\x01\"}":  `"b"`,
		`{"\u0061":1,"b":2,"a\"":}`: `"a\""`,
	} {
		if _, err := UnmarshalValues(cols, []byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v lacks %s", raw, err, want)
		}
	}
	if back, err := UnmarshalValues(cols, []byte(`{"b":2,"\u0061":1}`)); err != nil || back[0] != int64(1) || back[1] != int64(2) {
		t.Errorf("members in another order: %v, %v", back, err)
	}
	twice := []kudu.Column{cols[0], cols[0]}
	if _, err := UnmarshalValues(twice, []byte(`{"a":1}`)); err == nil {
		t.Error("columns listed twice were accepted")
	}
}

func TestValuesThatCannotComeBackAreNotMarshalled(t *testing.T) {
	c := func(t kudu.DataType) kudu.Column {
		return kudu.Column{Name: "the_col", Type: t, Precision: 5, Scale: 2, Length: 10}
	}
	for _, test := range []struct {
		col kudu.Column
		v   any
	}{
		{c(kudu.Int8), nil},
		{c(kudu.Int8), int64(128)},
		{c(kudu.Int8), int8(1)},
		{c(kudu.Int8), "1"},
		{c(kudu.Date), int64(2932897)},
		{c(kudu.Uint64), int64(1)},
		{c(kudu.Int64), uint64(1)},
		{c(kudu.Float), 1.5},
		{c(kudu.Double), float32(1.5)},
		{c(kudu.Bool), int64(1)},
		{c(kudu.Int64), true},
		{c(kudu.Binary), "x"},
		{c(kudu.String), []byte("x")},
		{c(kudu.Decimal32), kudu.Int128FromInt64(100000)},
		{c(kudu.Decimal32), kudu.Int128FromInt64(math.MaxInt64)},
		{c(kudu.Decimal32), "1.5"},
		{c(kudu.Int64), kudu.Int128FromInt64(1)},
		{kudu.Column{Name: "the_col", Type: kudu.Nested}, int64(1)},
	} {
		raw, err := MarshalValues([]kudu.Column{test.col}, []any{test.v})
		if err == nil || !strings.Contains(err.Error(), `"the_col"`) {
			t.Errorf("%#v as %s: %s, %v", test.v, test.col.TypeString(), raw, err)
		}
	}
	if _, err := MarshalValues([]kudu.Column{c(kudu.Int8)}, nil); err == nil {
		t.Error("a missing value was accepted")
	}
	if _, err := MarshalValues([]kudu.Column{{Name: "\xff", Type: kudu.Int8}}, []any{int64(1)}); err == nil {
		t.Error("a name that isn't UTF-8 was accepted")
	}
}

// What UnmarshalValues accepts is a set of values that MarshalValues writes,
// and that reads back the same.
func FuzzUnmarshalValues(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"i":1,"t":"2026-01-02T03:04:05.000006Z","s":"x","d":"1.50","f":-0.0,"b":"AA==","l":true,"y":"2026-01-02"}`,
		`{"i":"-9","t":-1,"s":{"base64":"/w=="},"d":1.5,"f":"NaN","b":"","l":null,"y":-719162}`,
		`{"i":1,"t":"-290308-12-21T19:59:05.224192Z","s":"\ud83d\ude00","d":"-999.99","f":5e-324,"b":"","l":false,"y":0}`,
		`{"s":"\ud800"}`, `{"i":1}x`, `[`, "{\"s\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	cols := []kudu.Column{
		{Name: "i", Type: kudu.Int32}, {Name: "t", Type: kudu.UnixtimeMicros}, {Name: "s", Type: kudu.String},
		{Name: "d", Type: kudu.Decimal32, Precision: 5, Scale: 2}, {Name: "f", Type: kudu.Double},
		{Name: "b", Type: kudu.Binary}, {Name: "l", Type: kudu.Bool, Nullable: true}, {Name: "y", Type: kudu.Date},
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		values, err := UnmarshalValues(cols, raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted %q, which is not JSON", raw)
		}
		again, err := MarshalValues(cols, values)
		if err != nil {
			t.Fatalf("%q gives values that can't be marshalled: %v", raw, err)
		}
		back, err := UnmarshalValues(cols, again)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, again, err)
		}
		for i := range values {
			if !sameValue(values[i], back[i]) {
				t.Fatalf("column %s: %#v became %#v", cols[i].Name, values[i], back[i])
			}
		}
	})
}
