package kudu

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func keyCol(name string, t DataType) Column {
	c := Column{Name: name, Type: t, Key: true}
	if t == Varchar {
		c.Length = 10
	}
	return c
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// The bytes were taken from a server of release 1.18.1.
func TestKeysAreEncodedAsTheServerDoes(t *testing.T) {
	last := keyCol("last", Int8)
	for _, c := range []struct {
		cols   []Column
		values []any
		want   string
	}{
		{[]Column{keyCol("k", Int8)}, []any{-1}, "7f"},
		{[]Column{keyCol("k", Int32)}, []any{1}, "80000001"},
		{[]Column{keyCol("k", Int64)}, []any{-2}, "7ffffffffffffffe"},
		{[]Column{keyCol("k", Date)}, []any{0}, "80000000"},
		{[]Column{keyCol("k", String)}, []any{"a\x00b"}, "610062"},
		{[]Column{keyCol("k", String), last}, []any{"a\x00b", 0}, "610001620000 80"},
		{[]Column{keyCol("k", String), last}, []any{"", 0}, "0000 80"},
		{[]Column{keyCol("k", String)}, []any{""}, ""},
		{[]Column{keyCol("k", Int64)}, []any{1}, "8000000000000001"},
		{[]Column{keyCol("s", String), keyCol("i", Int32)}, []any{"a", 7}, "610000 80000007"},
		{[]Column{keyCol("k", UnixtimeMicros)}, []any{int64(math.MinInt64)}, "0000000000000000"},
		{[]Column{keyCol("k", Uint16)}, []any{0x1234}, "1234"},
		{[]Column{{Name: "k", Type: Decimal128, Precision: 38, Key: true}}, []any{"-1"}, "7fffffffffffffffffffffffffffffff"},
	} {
		s := mustSchema(t, c.cols...)
		got, err := s.EncodePrimaryKey(c.values...)
		if err != nil {
			t.Fatal(err)
		}
		if want := unhex(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%v %v: %x, want %x", s, c.values, got, want)
		}
	}
}

// drawKey draws the columns of a key, and gives a way to draw values of them.
func drawKey(t *rapid.T) (*Schema, func(label string) []any) {
	all := keyColumns()
	cols := make([]Column, rapid.IntRange(1, 4).Draw(t, "columns"))
	for i := range cols {
		cols[i] = rapid.SampledFrom(all).Draw(t, fmt.Sprint("column ", i))
		cols[i].Name = fmt.Sprint("k", i)
	}
	s, err := NewSchema(cols)
	if err != nil {
		t.Fatal(err)
	}
	return s, func(label string) []any {
		values := make([]any, len(cols))
		for i := range values {
			values[i] = drawCell(t, &cols[i], fmt.Sprint(label, i))
		}
		return values
	}
}

func TestOrderOfEncodedKeysIsTheOrderOfTuples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, draw := drawKey(t)
		a, b := draw("a"), draw("b")
		// Tuples that agree in their first columns are the interesting ones.
		copy(b, a[:rapid.IntRange(0, len(a)).Draw(t, "equal")])
		want := 0
		for i := 0; i < len(a) && want == 0; i++ {
			want = compareCells(a[i], b[i])
		}
		ka, err := s.EncodePrimaryKey(a...)
		if err != nil {
			t.Fatal(err)
		}
		kb, err := s.EncodePrimaryKey(b...)
		if err != nil {
			t.Fatal(err)
		}
		// Equal keys for equal tuples only: the encoding is injective.
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("%v: %v encodes to %x, %v to %x: compared %d, want %d", s, a, ka, b, kb, got, want)
		}
	})
}

func TestDecodingAKeyInvertsEncodingIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, draw := drawKey(t)
		values := draw("v")
		key, err := s.EncodePrimaryKey(values...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.DecodePrimaryKey(key)
		if err != nil {
			t.Fatalf("%v %v: decoding %x: %v", s, values, key, err)
		}
		for i := range values {
			if !sameCell(got[i], values[i]) {
				t.Fatalf("%v: %v comes back as %v", s, values, got)
			}
		}
	})
}

func TestKeysOfBatchRowsAreThoseOfTheirValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, draw := drawKey(t)
		// The batch has the key's columns in another order, behind a column
		// outside the key.
		cols := []Column{{Name: "other", Type: Double, Nullable: true}}
		places := make([]int, s.NumKeys())
		for i := s.NumKeys() - 1; i >= 0; i-- {
			places[i] = len(cols)
			cols = append(cols, *s.Column(i))
		}
		proj, err := NewSchema(cols)
		if err != nil {
			t.Fatal(err)
		}
		bb := NewBatchBuilder(proj)
		var want [][]byte
		for n := range rapid.IntRange(1, 5).Draw(t, "rows") {
			values := draw(fmt.Sprint("row", n, " "))
			key, err := s.EncodePrimaryKey(values...)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, key)
			row := make([]any, len(cols))
			for i, place := range places {
				row[place] = values[i]
			}
			if err := bb.Append(row...); err != nil {
				t.Fatal(err)
			}
		}
		b := bb.Build()
		for row := range want {
			if got := AppendKey([]byte("x"), b, places, row); string(got) != "x"+string(want[row]) {
				t.Fatalf("row %d: %x, want %x", row, got[1:], want[row])
			}
		}
	})
}

func TestArbitraryBytesAreDecodedExactlyOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawKey(t)
		key := drawBytes(t, "key")
		values, err := s.DecodePrimaryKey(key)
		if err != nil {
			return
		}
		// A date beyond year 9999 can be decoded and has no Go value to encode.
		for i, v := range values {
			if s.Column(i).Type == Date && (v.(int64) < minDate || v.(int64) > maxDate) {
				return
			}
		}
		again, err := s.EncodePrimaryKey(values...)
		if err != nil {
			t.Fatalf("%v: %x gives %v, which can't be encoded: %v", s, key, values, err)
		}
		if !bytes.Equal(again, key) {
			t.Fatalf("%v: %x gives %v, which is encoded as %x", s, key, values, again)
		}
	})
}

func TestBadKeysAreRefused(t *testing.T) {
	s := mustSchema(t, keyCol("s", String), keyCol("i", Int16), Column{Name: "v", Type: Int8})
	for _, values := range [][]any{{"a"}, {"a", 1, 2}, {nil, 1}, {"a", nil}, {1, 1}, {"a", 40000}, {"a", "1"}} {
		if key, err := s.EncodePrimaryKey(values...); err == nil {
			t.Errorf("%v is encoded as %x", values, key)
		}
	}
	for text, want := range map[string]string{
		"":               "the end mark is missing",
		"6162":           "the end mark is missing",
		"6100":           "the end mark is missing",
		"610002 8000":    "behind a zero",
		"610000 80":      `column "i"`,
		"610000 8000 00": "1 bytes too many",
	} {
		_, err := s.DecodePrimaryKey(unhex(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decoding %q: %v, want %q in it", text, err, want)
		}
	}
}
