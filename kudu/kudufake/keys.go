package kudufake

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func unsigned(t kudu.DataType) bool {
	switch t {
	case kudu.Uint8, kudu.Uint16, kudu.Uint32, kudu.Uint64:
		return true
	}
	return false
}

// encodeGroup makes bytes of cells that compare like the cells, column after
// column (kudu-1.18.1 src/kudu/common/key_encoder.h).
func encodeGroup(cols []*column, cells [][]byte) []byte {
	var out []byte
	for i, col := range cols {
		cell := cells[i]
		if !col.typ.VarLen() {
			start := len(out)
			out = append(out, cell...)
			slices.Reverse(out[start:])
			if !unsigned(col.typ) {
				out[start] ^= 0x80
			}
			continue
		}
		if i == len(cols)-1 {
			out = append(out, cell...)
			continue
		}
		out = append(out, bytes.ReplaceAll(cell, []byte{0}, []byte{0, 1})...)
		out = append(out, 0, 0)
	}
	return out
}

// decodeGroup takes an encoded group apart. Bytes behind a last column of
// fixed width are ignored, as the server does.
func decodeGroup(cols []*column, key []byte) ([][]byte, *failure) {
	cells := make([][]byte, len(cols))
	for i, col := range cols {
		switch {
		case !col.typ.VarLen():
			size := col.typ.Size()
			if len(key) < size {
				return nil, badArgument("Error decoding composite key component '%s': key too short", col.name)
			}
			cell := bytes.Clone(key[:size])
			if !unsigned(col.typ) {
				cell[0] ^= 0x80
			}
			slices.Reverse(cell)
			cells[i], key = cell, key[size:]
		case i == len(cols)-1:
			cells[i], key = append([]byte{}, key...), nil
		default:
			end := bytes.Index(key, []byte{0, 0})
			if end < 0 {
				return nil, badArgument("Error decoding composite key component '%s': Missing separator after composite key string component", col.name)
			}
			cells[i] = bytes.ReplaceAll(append([]byte{}, key[:end]...), []byte{0, 1}, []byte{0})
			key = key[end+2:]
		}
	}
	return cells, nil
}

// incrementCells moves cells to the next larger value of the group, in place:
// the last column is incremented; if it holds the largest value of its type it
// becomes the smallest, and the column before is next. It reports false when
// all hold the largest (kudu-1.18.1 src/kudu/common/key_util.cc).
func incrementCells(cols []*column, cells [][]byte) bool {
	for i := len(cols) - 1; i >= 0; i-- {
		if cols[i].typ.VarLen() {
			cells[i] = append(bytes.Clone(cells[i]), 0)
			return true
		}
		cell := bytes.Clone(cells[i])
		top := len(cell) - 1
		if !unsigned(cols[i].typ) {
			cell[top] ^= 0x80
		}
		carry := true
		for b := 0; b < len(cell) && carry; b++ {
			cell[b]++
			carry = cell[b] == 0
		}
		if !unsigned(cols[i].typ) {
			cell[top] ^= 0x80
		}
		cells[i] = cell
		if !carry {
			return true
		}
	}
	return false
}

// minCell is the smallest value of a type.
func minCell(t kudu.DataType) []byte {
	if t == kudu.Date {
		return binary.LittleEndian.AppendUint32(nil, uint32(0xffffffff-719162+1)) // 0001-01-01
	}
	cell := make([]byte, t.Size())
	if len(cell) > 0 && !unsigned(t) {
		cell[len(cell)-1] = 0x80
	}
	return cell
}

// hashBucket gives the bucket of an encoded group: MurmurHash2-64A.
func hashBucket(group []byte, seed uint32, buckets int) int32 {
	return int32(murmur64(group, uint64(seed)) % uint64(buckets))
}

func murmur64(data []byte, seed uint64) uint64 {
	const mul = 0xc6a4a7935bd1e995
	mix := func(v uint64) uint64 { return v ^ v>>47 }
	hash := seed ^ uint64(len(data))*mul
	for len(data) >= 8 {
		word := binary.LittleEndian.Uint64(data)
		hash = (hash ^ mix(word*mul)*mul) * mul
		data = data[8:]
	}
	if len(data) > 0 {
		var tail [8]byte
		copy(tail[:], data)
		hash = (hash ^ binary.LittleEndian.Uint64(tail[:])) * mul
	}
	return mix(mix(hash) * mul)
}

// compareCells orders two cells of one type.
func compareCells(t kudu.DataType, a, b []byte) int {
	switch {
	case t.VarLen():
		return bytes.Compare(a, b)
	case t == kudu.Float || t == kudu.Double:
		return compareFloats(t, a, b)
	case t == kudu.Bool || t == kudu.IsDeleted || unsigned(t):
		return compareReversed(a, b, 0)
	}
	return compareReversed(a, b, 0x80)
}

// compareReversed compares little-endian integers; flip turns the sign bit.
func compareReversed(a, b []byte, flip byte) int {
	for i := len(a) - 1; i >= 0; i-- {
		x, y := a[i], b[i]
		if i == len(a)-1 {
			x, y = x^flip, y^flip
		}
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}

func compareFloats(t kudu.DataType, a, b []byte) int {
	x, y := floatCell(t, a), floatCell(t, b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// bitmapBytes is the size of a bitmap.
func bitmapBytes(n int) int { return (n + 7) / 8 }

func bitSet(m []byte, i int) bool { return m[i/8]>>(i%8)&1 == 1 }
