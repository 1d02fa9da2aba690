package kudu

import (
	"encoding/binary"
	"errors"
)

// A packed row is a row of a batch in one run of bytes, for keeping rows outside
// of batches, in memory or on disk: a bitmap of the nullable columns that have a
// value, then the cells of those that have one, in column order. Cells of fixed
// width are as the server sends them; others have their length, a varint, in
// front. It is understood by this very release only.

// AppendPacked appends a row of the batch as a packed row.
func (b *RowBatch) AppendPacked(dst []byte, row int) []byte {
	bitmap, bit := len(dst), 0
	for i := range b.cols {
		if !b.schema.cols[i].Nullable {
			continue
		}
		if bit%8 == 0 {
			dst = append(dst, 0)
		}
		if !b.cols[i].IsNull(row) {
			dst[bitmap+bit/8] |= 1 << (bit % 8)
		}
		bit++
	}
	for i := range b.cols {
		v := &b.cols[i]
		switch {
		case v.IsNull(row):
		case v.typ.VarLen():
			cell := v.Bytes(row)
			dst = binary.AppendUvarint(dst, uint64(len(cell)))
			dst = append(dst, cell...)
		default:
			size := v.typ.Size()
			dst = append(dst, v.data[row*size:(row+1)*size]...)
		}
	}
	return dst
}

var errPacked = errors.New("the bytes are not a packed row of these columns")

// AppendPacked adds a packed row of an equal schema. After an error the builder
// must not be used.
func (b *BatchBuilder) AppendPacked(packed []byte) error {
	bitmap, bit := packed, 0
	rest := packed
	if n := (b.nullable() + 7) / 8; n <= len(packed) {
		rest = packed[n:]
	} else {
		return errPacked
	}
	for i := range b.cols {
		v := &b.cols[i]
		null := false
		if v.present != nil {
			null = bitmap[bit/8]&(1<<(bit%8)) == 0
			bit++
			if b.rows%8 == 0 {
				v.present = append(v.present, 0)
			}
			if !null {
				v.present[b.rows/8] |= 1 << (b.rows % 8)
			}
		}
		if v.typ.VarLen() {
			if !null {
				size, n := binary.Uvarint(rest)
				if n <= 0 || size > uint64(len(rest)-n) {
					return errPacked
				}
				v.varlen = append(v.varlen, rest[n:n+int(size)]...)
				rest = rest[n+int(size):]
			}
			v.data = binary.LittleEndian.AppendUint32(v.data, uint32(len(v.varlen)))
			continue
		}
		size := v.typ.Size()
		switch {
		case null:
			for range size {
				v.data = append(v.data, 0)
			}
			continue
		case len(rest) < size:
			return errPacked
		}
		v.data = append(v.data, rest[:size]...)
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return errPacked
	}
	b.rows++
	return nil
}

func (b *BatchBuilder) nullable() int {
	n := 0
	for i := range b.cols {
		if b.cols[i].present != nil {
			n++
		}
	}
	return n
}
