package kudu

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The encoded primary key: the bytes by which Kudu orders the rows of a tablet,
// compared as memcmp does (kudu-1.18.1 src/kudu/common/key_encoder.h). Signed
// integers have their top bit flipped and stand big-endian. The last column of
// a group, if of variable length, stands bare; an earlier one has each zero
// byte written as 00 01 and ends with 00 00.

// appendKeyCell appends one fixed-width cell, given little-endian, in key
// order.
func appendKeyCell(dst []byte, t DataType, cell []byte) []byte {
	n := len(dst)
	for i := len(cell) - 1; i >= 0; i-- {
		dst = append(dst, cell[i])
	}
	switch t {
	case Uint8, Uint16, Uint32, Uint64:
	default:
		dst[n] ^= 0x80
	}
	return dst
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
// the given places, which must be the key's columns in key order.
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

// EncodePrimaryKey encodes a whole primary key, one value per key column.
func (s *Schema) EncodePrimaryKey(values ...any) ([]byte, error) {
	if len(values) != s.keys {
		return nil, fmt.Errorf("the primary key has %d columns, not %d", s.keys, len(values))
	}
	return encodeGroup(nil, s.cols[:s.keys], values)
}

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
			v.data = appendKeyCell(nil, Uint8, rest[:size]) // reversed: big to little-endian
			if c.Type != Uint8 && c.Type != Uint16 && c.Type != Uint32 && c.Type != Uint64 {
				v.data[size-1] ^= 0x80
			}
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
