package kudu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// The encoded primary key: the bytes by which Kudu orders the rows of a tablet,
// compared as memcmp does (kudu-1.18.1 src/kudu/common/key_encoder.h). Signed
// integers have their top bit flipped and stand big-endian. The last column of
// a group, if of variable length, stands bare; an earlier one has each zero
// byte written as 00 01 and ends with 00 00.

//
// BOOL, FLOAT and DOUBLE can't be in a Kudu key; here they have an encoding all
// the same, so that rows can be ordered by any column: false before true,
// numbers by value, both zeros alike, every NaN above infinity.

// appendKeyCell appends one fixed-width cell, given little-endian, in key
// order.
func appendKeyCell(dst []byte, t DataType, cell []byte) []byte {
	n := len(dst)
	for i := len(cell) - 1; i >= 0; i-- {
		dst = append(dst, cell[i])
	}
	switch t {
	case Uint8, Uint16, Uint32, Uint64:
	case Float:
		f := math.Float32frombits(binary.BigEndian.Uint32(dst[n:]))
		binary.BigEndian.PutUint32(dst[n:], orderedFloat32(f))
	case Double:
		f := math.Float64frombits(binary.BigEndian.Uint64(dst[n:]))
		binary.BigEndian.PutUint64(dst[n:], orderedFloat64(f))
	default:
		dst[n] ^= 0x80
	}
	return dst
}

// orderedFloat32 maps numbers to integers of the same order: negative ones
// have all bits flipped, the others the sign only.
func orderedFloat32(f float32) uint32 {
	switch {
	case f != f:
		f = float32(math.NaN())
	case f == 0:
		f = 0
	}
	b := math.Float32bits(f)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

func orderedFloat64(f float64) uint64 {
	switch {
	case f != f:
		f = math.NaN()
	case f == 0:
		f = 0
	}
	b := math.Float64bits(f)
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

// unorderKeyCell turns a fixed-width cell in key order, big-endian, into the
// stored form.
func unorderKeyCell(t DataType, key []byte) []byte {
	cell := make([]byte, len(key))
	for i, b := range key {
		cell[len(key)-1-i] = b
	}
	top := len(cell) - 1
	switch t {
	case Uint8, Uint16, Uint32, Uint64:
	case Float, Double:
		if cell[top]&0x80 == 0 { // a negative number
			for i := range cell {
				cell[i] ^= 0xff
			}
		} else {
			cell[top] ^= 0x80
		}
	default:
		cell[top] ^= 0x80
	}
	return cell
}

func appendKeyBytes(dst, cell []byte, last bool) []byte {
	if last {
		return append(dst, cell...)
	}
	for {
		i := bytes.IndexByte(cell, 0)
		if i < 0 {
			break
		}
		dst = append(dst, cell[:i]...)
		dst = append(dst, 0, 1)
		cell = cell[i+1:]
	}
	dst = append(dst, cell...)
	return append(dst, 0, 0)
}

// AppendKey appends the encoded key of a row, taken from the batch's columns at
// the given places, which must be the key's columns in key order. It orders rows
// by any columns, not only by those of a primary key; none of the cells may be
// NULL.
func AppendKey(dst []byte, b *RowBatch, places []int, row int) []byte {
	for k, place := range places {
		v := &b.cols[place]
		if v.typ.VarLen() {
			dst = appendKeyBytes(dst, v.Bytes(row), k == len(places)-1)
			continue
		}
		size := v.typ.Size()
		dst = appendKeyCell(dst, v.typ, v.data[row*size:(row+1)*size])
	}
	return dst
}

// EncodePrimaryKey encodes a whole primary key, one value per key column. The
// result is never nil, not even where it is empty.
func (s *Schema) EncodePrimaryKey(values ...any) ([]byte, error) {
	if len(values) != s.keys {
		return nil, fmt.Errorf("the primary key has %d columns, not %d", s.keys, len(values))
	}
	return encodeGroup([]byte{}, s.cols[:s.keys], values)
}

// EncodeKey encodes values of the columns, which need not be a primary key, as
// AppendKey does.
func EncodeKey(cols []Column, values []any) ([]byte, error) {
	if len(values) != len(cols) {
		return nil, fmt.Errorf("the key has %d columns, not %d", len(cols), len(values))
	}
	return encodeGroup(nil, cols, values)
}

// DecodeKey is the inverse of EncodeKey. A negative zero comes back as zero.
func DecodeKey(cols []Column, key []byte) ([]any, error) { return decodeGroup(cols, key) }

// encodeGroup encodes values as one group of columns: a primary key, the
// columns of one hash dimension, or a range key.
func encodeGroup(dst []byte, cols []Column, values []any) ([]byte, error) {
	var cell []byte
	for i := range cols {
		c := &cols[i]
		if values[i] == nil {
			return nil, fmt.Errorf("key column %q can't be NULL", c.Name)
		}
		var err error
		if cell, err = appendCell(cell[:0], c, values[i]); err != nil {
			return nil, err
		}
		if c.Type.VarLen() {
			dst = appendKeyBytes(dst, cell, i == len(cols)-1)
		} else {
			dst = appendKeyCell(dst, c.Type, cell)
		}
	}
	return dst, nil
}

// DecodePrimaryKey is the inverse of EncodePrimaryKey; the values have the
// types that ColumnView.Value gives.
func (s *Schema) DecodePrimaryKey(key []byte) ([]any, error) {
	return decodeGroup(s.cols[:s.keys], key)
}

func decodeGroup(cols []Column, key []byte) ([]any, error) {
	values := make([]any, len(cols))
	rest := key
	for i := range cols {
		c := &cols[i]
		v := ColumnView{typ: c.Type}
		if c.Type.VarLen() {
			cell, tail, err := cutKeyBytes(rest, i == len(cols)-1)
			if err != nil {
				return nil, fmt.Errorf("decoding key column %q: %w", c.Name, err)
			}
			v.varlen, rest = cell, tail
			v.data = binary.LittleEndian.AppendUint32(make([]byte, 4, 8), uint32(len(cell)))
		} else {
			size := c.Type.Size()
			if len(rest) < size {
				return nil, fmt.Errorf("decoding key column %q: %d bytes left, %s needs %d", c.Name, len(rest), c.Type, size)
			}
			v.data = unorderKeyCell(c.Type, rest[:size])
			rest = rest[size:]
		}
		values[i] = v.Value(0)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("decoding key: %d bytes too many", len(rest))
	}
	return values, nil
}

func cutKeyBytes(key []byte, last bool) (cell, rest []byte, err error) {
	if last {
		return key, nil, nil
	}
	cell = []byte{}
	for i := 0; i+1 < len(key); i++ {
		if key[i] != 0 {
			cell = append(cell, key[i])
			continue
		}
		switch key[i+1] {
		case 0:
			return cell, key[i+2:], nil
		case 1:
			cell = append(cell, 0)
			i++
		default:
			return nil, nil, fmt.Errorf("byte %#x behind a zero", key[i+1])
		}
	}
	return nil, nil, fmt.Errorf("the end mark is missing")
}
