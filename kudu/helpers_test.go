package kudu

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// everyColumn is one column of each type that occurs on the wire, named after
// the type.
func everyColumn() []Column {
	var cols []Column
	for t := range DataType(len(typeInfos)) {
		c := Column{Name: strings.ToLower(t.String()), Type: t}
		switch t {
		case Decimal32:
			c.Precision, c.Scale = 9, 2
		case Decimal64:
			c.Precision, c.Scale = 18, 18
		case Decimal128:
			c.Precision, c.Scale = 38, 6
		case Varchar:
			c.Length = 65535
		}
		cols = append(cols, c)
	}
	return cols
}

func keyColumns() []Column {
	var cols []Column
	for _, c := range everyColumn() {
		if c.Type.Key() {
			c.Key = true
			cols = append(cols, c)
		}
	}
	return cols
}

func mustSchema(tb testing.TB, cols ...Column) *Schema {
	tb.Helper()
	s, err := NewSchema(cols)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// drawCell draws a value of the column, of the type that ColumnView.Value
// gives. Few different bytes and small numbers are drawn often, so that values
// are equal, or prefixes of each other, often enough.
func drawCell(t *rapid.T, c *Column, label string) any {
	switch c.Type {
	case Bool, IsDeleted:
		return rapid.Bool().Draw(t, label)
	case Float:
		return math.Float32frombits(rapid.Uint32().Draw(t, label))
	case Double:
		return math.Float64frombits(rapid.Uint64().Draw(t, label))
	case String, Varchar:
		return string(drawBytes(t, label))
	case Binary:
		return drawBytes(t, label)
	case Int128Type:
		return Int128{Hi: rapid.Int64().Draw(t, label+" hi"), Lo: rapid.Uint64().Draw(t, label+" lo")}
	case Decimal32, Decimal64, Decimal128:
		return drawDecimal(t, c.Precision, label)
	case Uint64:
		return rapid.Uint64().Draw(t, label)
	}
	lo, hi := rangeOf(c.Type)
	if lo < -2 && rapid.Bool().Draw(t, label+" small") {
		lo, hi = -2, 2
	}
	return rapid.Int64Range(lo, hi).Draw(t, label)
}

func drawBytes(t *rapid.T, label string) []byte {
	b := rapid.OneOf(
		rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0xff}), 0, 5),
		rapid.SliceOfN(rapid.Byte(), 0, 20),
	).Draw(t, label)
	return append([]byte{}, b...)
}

func drawDecimal(t *rapid.T, precision int, label string) Int128 {
	digits := rapid.StringMatching(`-?[0-9]{1,38}`).Draw(t, label)
	n, _ := new(big.Int).SetString(digits, 10)
	n.Rem(n, tenTo(precision))
	return fromBig(n)
}

func rangeOf(t DataType) (lo, hi int64) {
	switch t {
	case Int8:
		return math.MinInt8, math.MaxInt8
	case Int16:
		return math.MinInt16, math.MaxInt16
	case Int32:
		return math.MinInt32, math.MaxInt32
	case Uint8:
		return 0, math.MaxUint8
	case Uint16:
		return 0, math.MaxUint16
	case Uint32:
		return 0, math.MaxUint32
	case Date:
		return minDate, maxDate
	}
	return math.MinInt64, math.MaxInt64
}

// compareCells orders two values of one column as Kudu does.
func compareCells(a, b any) int {
	switch x := a.(type) {
	case int64:
		return cmp.Compare(x, b.(int64))
	case uint64:
		return cmp.Compare(x, b.(uint64))
	case string:
		return strings.Compare(x, b.(string))
	case []byte:
		return bytes.Compare(x, b.([]byte))
	case Int128:
		return bigOf(x).Cmp(bigOf(b.(Int128)))
	}
	panic("not a key")
}

// sameCell compares values of ColumnView.Value; floats by their bits.
func sameCell(a, b any) bool {
	switch x := a.(type) {
	case float32:
		y, ok := b.(float32)
		return ok && math.Float32bits(x) == math.Float32bits(y)
	case float64:
		y, ok := b.(float64)
		return ok && math.Float64bits(x) == math.Float64bits(y)
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	}
	return a == b
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func bigOf(a Int128) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(a.Hi), 64)
	return n.Add(n, new(big.Int).SetUint64(a.Lo))
}

// fromBig takes the low 128 bits, in two's complement.
func fromBig(n *big.Int) Int128 {
	low := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64))
	high := new(big.Int).Rsh(n, 64)
	high.And(high, new(big.Int).SetUint64(math.MaxUint64))
	return Int128{Hi: int64(high.Uint64()), Lo: low.Uint64()}
}
