package kudu

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Values of cells outside the hot path (predicates, written rows, bounds,
// positions) are Go values:
//
//	BOOL             bool
//	INT8..INT64      any Go integer type within the column's range
//	FLOAT, DOUBLE    float32, float64
//	STRING, VARCHAR  string or []byte
//	BINARY           []byte or string
//	UNIXTIME_MICROS  time.Time (truncated to microseconds) or an integer, microseconds since the epoch
//	DATE             time.Time (its UTC day) or an integer, days since the epoch
//	DECIMAL          Int128 (unscaled), or a string such as "-12.50"
//	NULL             nil

// appendCell appends the cell of v as Kudu stores it: little-endian for types
// of fixed width, the bare bytes for types of variable length.
func appendCell(dst []byte, col *Column, v any) ([]byte, error) {
	switch col.Type {
	case String, Varchar, Binary:
		switch s := v.(type) {
		case string:
			return append(dst, s...), nil
		case []byte:
			return append(dst, s...), nil
		}
	case Bool, IsDeleted:
		if b, ok := v.(bool); ok {
			if b {
				return append(dst, 1), nil
			}
			return append(dst, 0), nil
		}
	case Float:
		switch f := v.(type) {
		case float32:
			return binary.LittleEndian.AppendUint32(dst, math.Float32bits(f)), nil
		case float64:
			return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
		}
	case Double:
		switch f := v.(type) {
		case float32:
			return binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(f))), nil
		case float64:
			return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
		}
	case Decimal32, Decimal64, Decimal128, Int128Type:
		d, ok := v.(Int128)
		if s, isText := v.(string); isText {
			var err error
			if d, err = ParseDecimal(s, col.Precision, col.Scale); err != nil {
				return nil, fmt.Errorf("column %q: %w", col.Name, err)
			}
			ok = true
		}
		if ok {
			return appendInt128(dst, col, d)
		}
	default:
		i, ok, err := integerOf(col, v)
		if err != nil {
			return nil, err
		}
		if ok {
			return appendIntCell(dst, col.Type.Size(), i), nil
		}
	}
	return nil, fmt.Errorf("column %q: a %T can't be a %s", col.Name, v, col.TypeString())
}

func appendIntCell(dst []byte, size int, i int64) []byte {
	switch size {
	case 1:
		return append(dst, byte(i))
	case 2:
		return binary.LittleEndian.AppendUint16(dst, uint16(i))
	case 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(i))
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(i))
}

func appendInt128(dst []byte, col *Column, d Int128) ([]byte, error) {
	size := col.Type.Size()
	if size == 16 {
		dst = binary.LittleEndian.AppendUint64(dst, d.Lo)
		return binary.LittleEndian.AppendUint64(dst, uint64(d.Hi)), nil
	}
	i, fits := d.Int64()
	if !fits || size == 4 && int64(int32(i)) != i {
		return nil, fmt.Errorf("column %q: %s is out of the range of %s", col.Name, d, col.TypeString())
	}
	return appendIntCell(dst, size, i), nil
}

// The days that a DATE can hold, 0001-01-01 and 9999-12-31.
const (
	minDate = -719162
	maxDate = 2932896
)

// integerOf reads v as the integer of an INT, DATE or UNIXTIME_MICROS cell.
func integerOf(col *Column, v any) (i int64, ok bool, err error) {
	switch n := v.(type) {
	case uint:
		return integerOf(col, uint64(n))
	case int:
		i = int64(n)
	case int8:
		i = int64(n)
	case int16:
		i = int64(n)
	case int32:
		i = int64(n)
	case int64:
		i = n
	case uint8:
		i = int64(n)
	case uint16:
		i = int64(n)
	case uint32:
		i = int64(n)
	case uint64:
		if col.Type == Uint64 {
			return int64(n), true, nil // the same 64 bits
		}
		if n > math.MaxInt64 {
			return 0, false, fmt.Errorf("column %q: %d is out of the range of %s", col.Name, n, col.Type)
		}
		i = int64(n)
	case time.Time:
		switch col.Type {
		case UnixtimeMicros:
			i = n.UnixMicro()
		case Date:
			i = floorDiv(n.UTC().Unix(), 86400)
		default:
			return 0, false, nil
		}
	default:
		return 0, false, nil
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch col.Type {
	case Int8:
		lo, hi = math.MinInt8, math.MaxInt8
	case Int16:
		lo, hi = math.MinInt16, math.MaxInt16
	case Int32:
		lo, hi = math.MinInt32, math.MaxInt32
	case Date:
		lo, hi = minDate, maxDate
	case Uint8:
		lo, hi = 0, math.MaxUint8
	case Uint16:
		lo, hi = 0, math.MaxUint16
	case Uint32:
		lo, hi = 0, math.MaxUint32
	case Uint64:
		lo = 0
	case Int64, UnixtimeMicros:
	default:
		return 0, false, nil
	}
	if i < lo || i > hi {
		return 0, false, fmt.Errorf("column %q: %d is out of the range of %s", col.Name, i, col.Type)
	}
	return i, true, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// Value gives the cell as a Go value: nil for NULL, else bool, int64 (every
// integer type, DATE in days, UNIXTIME_MICROS in microseconds), uint64 (UINT64
// only), float32, float64, string (STRING, VARCHAR), []byte (BINARY, copied) or
// Int128 (DECIMAL, unscaled). It is for tools and tests: it boxes every cell.
func (v *ColumnView) Value(i int) any {
	if v.IsNull(i) {
		return nil
	}
	switch v.typ {
	case Bool, IsDeleted:
		return v.Bool(i)
	case Float:
		return v.Float32(i)
	case Double:
		return v.Float64(i)
	case String, Varchar:
		return string(v.Bytes(i))
	case Binary:
		return append([]byte{}, v.Bytes(i)...)
	case Decimal32, Decimal64, Decimal128, Int128Type:
		return v.Unscaled(i)
	case Uint64:
		return uint64(v.Int64(i))
	}
	return v.Int(i)
}

// Values gives a row of the batch as Go values, in column order.
func (b *RowBatch) Values(row int) []any {
	vals := make([]any, len(b.cols))
	for i := range b.cols {
		vals[i] = b.cols[i].Value(row)
	}
	return vals
}

// MinValue is the least value of the column's type, in the order of encoded
// keys.
func MinValue(c Column) any {
	switch c.Type {
	case String, Varchar:
		return ""
	case Binary:
		return []byte{}
	case Bool, IsDeleted:
		return false
	case Float:
		return float32(math.Inf(-1))
	case Double:
		return math.Inf(-1)
	case Int8:
		return int64(math.MinInt8)
	case Int16:
		return int64(math.MinInt16)
	case Int32:
		return int64(math.MinInt32)
	case Date:
		return int64(minDate)
	case Uint8, Uint16, Uint32, Uint64:
		return uint64(0)
	case Decimal32:
		return Int128FromInt64(math.MinInt32)
	case Decimal64:
		return Int128FromInt64(math.MinInt64)
	case Decimal128, Int128Type:
		return Int128{Hi: math.MinInt64}
	}
	return int64(math.MinInt64)
}
