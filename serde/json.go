package serde

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// jsonKind is how one column's cells are written: its type and the options,
// resolved once, so that a cell costs one switch.
type jsonKind uint8

const (
	jsonBool jsonKind = iota
	jsonInt32
	jsonInt64
	jsonSmallInt // any other integer that fits an int64
	jsonUint64
	jsonFloat
	jsonDouble
	jsonString
	jsonBinary
	jsonDecimalString
	jsonDecimalNumber
	jsonDecimalPrecise
	jsonTimeISO
	jsonTimeMillis
	jsonTimeWholeMillis // milliseconds of a key: refuses what is finer
	jsonDateISO
)

// jsonColumn is one member of the object.
type jsonColumn struct {
	index  int // in the projection
	kind   jsonKind
	scale  int
	prefix string // `{"name":` of the first member, `,"name":` of the others
	name   string
}

// jsonEncoder writes plain JSON; doc.go has the rules.
//
// Way of one row: connector/task.go calls AppendKey and AppendValue for each
// row of a batch; connector/txn.go produces the bytes.
type jsonEncoder struct {
	projection *kudu.Schema
	checked    *kudu.Schema // the last batch schema found to fit projection
	key, value []jsonColumn
	// keySize and valueSize hold any row but for its cells of variable length,
	// so that one growth is enough for most rows.
	keySize, valueSize int
}

// fixedCellSize holds every cell that isn't of variable length: the longest is
// a DECIMAL of 38 digits with sign, point, leading zero and quotes.
const fixedCellSize = 44

func newJSONEncoder(projection *kudu.Schema, key, value []placed, o Options) *jsonEncoder {
	e := &jsonEncoder{projection: projection, checked: projection}
	e.key, e.keySize = jsonColumns(projection, key, o)
	e.value, e.valueSize = jsonColumns(projection, value, o)
	for i := range e.key {
		if e.key[i].kind == jsonTimeMillis {
			e.key[i].kind = jsonTimeWholeMillis
		}
	}
	return e
}

func jsonColumns(projection *kudu.Schema, picked []placed, o Options) (cols []jsonColumn, size int) {
	cols = make([]jsonColumn, len(picked))
	for i, m := range picked {
		c := projection.Column(m.at)
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		prefix, _ := appendJSONString([]byte{open}, []byte(m.name))
		cols[i] = jsonColumn{
			index:  m.at,
			kind:   jsonKindOf(c.Type, o),
			scale:  c.Scale,
			prefix: string(append(prefix, ':')),
			name:   c.Name,
		}
		size += len(cols[i].prefix) + fixedCellSize
	}
	return cols, size + len("{}")
}

func jsonKindOf(t kudu.DataType, o Options) jsonKind {
	switch t {
	case kudu.Bool, kudu.IsDeleted:
		return jsonBool
	case kudu.Int32:
		return jsonInt32
	case kudu.Int64:
		return jsonInt64
	case kudu.Uint64:
		return jsonUint64
	case kudu.Float:
		return jsonFloat
	case kudu.Double:
		return jsonDouble
	case kudu.String, kudu.Varchar:
		return jsonString
	case kudu.Binary:
		return jsonBinary
	case kudu.Int128Type:
		return jsonDecimalNumber
	case kudu.Decimal32, kudu.Decimal64, kudu.Decimal128:
		switch o.DecimalHandling {
		case DecimalPrecise:
			return jsonDecimalPrecise
		case DecimalDouble:
			return jsonDecimalNumber
		}
		return jsonDecimalString
	case kudu.UnixtimeMicros:
		switch o.TimePrecision {
		case TimeMicroseconds:
			return jsonInt64
		case TimeConnect:
			return jsonTimeMillis
		}
		return jsonTimeISO
	case kudu.Date:
		if o.TimePrecision == TimeISOString {
			return jsonDateISO
		}
		return jsonInt32
	}
	return jsonSmallInt
}

func (e *jsonEncoder) AppendKey(dst []byte, b *kudu.RowBatch, row int) ([]byte, error) {
	if len(e.key) == 0 {
		return dst, nil
	}
	if b.Schema() != e.checked {
		if err := e.check(b); err != nil {
			return dst, err
		}
	}
	return appendJSONRow(slices.Grow(dst, e.keySize), e.key, b, row)
}

func (e *jsonEncoder) AppendValue(dst []byte, b *kudu.RowBatch, row int) ([]byte, error) {
	if len(e.value) == 0 {
		return append(dst, "{}"...), nil
	}
	if b.Schema() != e.checked {
		if err := e.check(b); err != nil {
			return dst, err
		}
	}
	return appendJSONRow(slices.Grow(dst, e.valueSize), e.value, b, row)
}

// check shows that the columns in use are in the batch where the projection
// has them, since column views don't check the type they are read as.
func (e *jsonEncoder) check(b *kudu.RowBatch) error {
	for _, cols := range [][]jsonColumn{e.key, e.value} {
		for i := range cols {
			at := cols[i].index
			want := e.projection.Column(at)
			if b.Schema() == nil || at >= b.Schema().NumColumns() {
				return fmt.Errorf("encoding a batch of another projection: column %q is missing", want.Name)
			}
			got := b.Schema().Column(at)
			if got.Name != want.Name || got.Type != want.Type || got.Scale != want.Scale {
				return fmt.Errorf("encoding a batch of another projection: column %d is %q %s, not %q %s",
					at, got.Name, got.TypeString(), want.Name, want.TypeString())
			}
		}
	}
	e.checked = b.Schema()
	return nil
}

func appendJSONRow(dst []byte, cols []jsonColumn, b *kudu.RowBatch, row int) ([]byte, error) {
	start := len(dst)
	for i := range cols {
		c := &cols[i]
		v := b.Column(c.index)
		dst = append(dst, c.prefix...)
		if v.IsNull(row) {
			dst = append(dst, "null"...)
			continue
		}
		switch c.kind {
		case jsonBool:
			dst = strconv.AppendBool(dst, v.Bool(row))
		case jsonInt32:
			dst = strconv.AppendInt(dst, int64(v.Int32(row)), 10)
		case jsonInt64:
			dst = strconv.AppendInt(dst, v.Int64(row), 10)
		case jsonSmallInt:
			dst = strconv.AppendInt(dst, v.Int(row), 10)
		case jsonUint64:
			dst = strconv.AppendUint(dst, uint64(v.Int64(row)), 10)
		case jsonFloat:
			dst = appendJSONFloat32(dst, v.Float32(row))
		case jsonDouble:
			dst = appendJSONFloat64(dst, v.Float64(row))
		case jsonString:
			var ok bool
			if dst, ok = appendJSONString(dst, v.Bytes(row)); !ok {
				return dst[:start], &CellError{c.name, row,
					"the text is not valid UTF-8; BINARY is the type for bytes that aren't text"}
			}
		case jsonBinary:
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, v.Bytes(row))
			dst = append(dst, '"')
		case jsonDecimalString:
			dst = append(dst, '"')
			dst = v.Unscaled(row).AppendDecimal(dst, c.scale)
			dst = append(dst, '"')
		case jsonDecimalNumber:
			dst = v.Unscaled(row).AppendDecimal(dst, c.scale)
		case jsonDecimalPrecise:
			dst = appendJSONUnscaled(dst, v.Unscaled(row))
		case jsonTimeISO:
			dst = append(dst, '"')
			dst = appendISOMicros(dst, v.Int64(row))
			dst = append(dst, '"')
		case jsonTimeMillis:
			ms, _ := floorDivMod(v.Int64(row), 1000)
			dst = strconv.AppendInt(dst, ms, 10)
		case jsonTimeWholeMillis:
			ms, rest := floorDivMod(v.Int64(row), 1000)
			if rest != 0 {
				return dst[:start], &CellError{c.name, row,
					"the time in the key is finer than a millisecond, which time.precision.mode connect would cut off; " +
						"use isostring or microseconds, or other key.columns"}
			}
			dst = strconv.AppendInt(dst, ms, 10)
		case jsonDateISO:
			dst = append(dst, '"')
			dst = appendISODate(dst, int64(v.Int32(row)))
			dst = append(dst, '"')
		}
	}
	return append(dst, '}'), nil
}

// appendJSONUnscaled appends base64 of the number's two's complement,
// big-endian, in the fewest bytes that keep its sign: what Java's
// BigInteger.toByteArray gives.
func appendJSONUnscaled(dst []byte, a kudu.Int128) []byte {
	var buf [16]byte
	binary.BigEndian.PutUint64(buf[:8], uint64(a.Hi))
	binary.BigEndian.PutUint64(buf[8:], a.Lo)
	sign := byte(a.Hi >> 63)
	from := 0
	for from < 15 && buf[from] == sign && (buf[from+1]^sign)&0x80 == 0 {
		from++
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, buf[from:])
	return append(dst, '"')
}

// appendJSONFloat64 appends the shortest decimal that reads back as f.
//
// Most doubles in tables are integers or amounts with few decimals, which need
// no search for the shortest digits: if f equals k/10^6 for an integer k below
// 10^15, then k/10^6 reads back as f, because k and 10^6 are exact and division
// rounds correctly; and no shorter number does, because different decimals of
// up to 15 digits are different doubles.
func appendJSONFloat64(dst []byte, f float64) []byte {
	a := math.Abs(f)
	if a < 1e9 {
		if k := uint64(a*1e6 + 0.5); float64(k)/1e6 == a {
			if math.Signbit(f) {
				dst = append(dst, '-')
				if k == 0 {
					return append(dst, "0.0"...)
				}
			}
			dst = strconv.AppendUint(dst, k/1e6, 10)
			return appendFraction(dst, uint32(k%1e6), 6)
		}
	}
	return appendShortestFloat(dst, f, 64)
}

// appendJSONFloat32 is appendJSONFloat64 for FLOAT, whose decimals of up to 6
// digits are all different; 10^3 and k are exact in 24 bits.
func appendJSONFloat32(dst []byte, f float32) []byte {
	a := float32(math.Abs(float64(f)))
	if a < 1e3 {
		if k := uint32(a*1e3 + 0.5); float32(k)/1e3 == a && k < 1e6 {
			if math.Signbit(float64(f)) {
				dst = append(dst, '-')
				if k == 0 {
					return append(dst, "0.0"...)
				}
			}
			dst = strconv.AppendUint(dst, uint64(k/1e3), 10)
			return appendFraction(dst, k%1e3, 3)
		}
	}
	return appendShortestFloat(dst, float64(f), 32)
}

// appendFraction appends the point and the digits of r, which is a number of
// 10^-digits, without zeros at the end; nothing if r is zero.
func appendFraction(dst []byte, r uint32, digits int) []byte {
	if r == 0 {
		return dst
	}
	for r%10 == 0 {
		r /= 10
		digits--
	}
	dst = append(dst, ".000000"[:digits+1]...)
	for i := len(dst) - 1; r > 0; i-- {
		dst[i] = byte('0' + r%10)
		r /= 10
	}
	return dst
}

// appendShortestFloat writes numbers as ECMAScript and encoding/json do: with
// an exponent only below 1e-6 and from 1e21 on.
func appendShortestFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	a := math.Abs(f)
	small, large := a < 1e-6, a >= 1e21
	if bits == 32 {
		small, large = float32(a) < 1e-6, float32(a) >= 1e21
	}
	if !small && !large {
		return strconv.AppendFloat(dst, f, 'f', -1, bits)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	// strconv pads the exponent to two digits: e-07 becomes e-7.
	if n := len(dst); small && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
