package extsort

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// entry is a record in a chunk: where it is, and the first bytes of its key,
// which decide most comparisons without a look at the record.
type entry struct {
	prefix   uint64
	off, end uint32
}

const entrySize = 16

// chunk holds records one after another, each as in a run: the length of its
// key, the length of its row, key, row.
type chunk struct {
	data    []byte
	entries []entry
	size    int64 // bytes of both, as taken from the budget
	at      int   // entries read
	head
}

// newChunk divides size bytes among the records, of about so many bytes each,
// and their entries; the first record must fit.
func newChunk(size int64, record, first int) *chunk {
	n := max(size/int64(record+entrySize), 1)
	if room := (size - int64(first)) / entrySize; n > room {
		n = max(room, 1)
	}
	return &chunk{data: make([]byte, 0, size-n*entrySize), entries: make([]entry, 0, n), size: size}
}

// recordSize is the most that a record takes in a chunk.
func recordSize(key, row []byte) int { return len(key) + len(row) + 2*binary.MaxVarintLen32 }

func (c *chunk) fits(size int) bool {
	return len(c.entries) < cap(c.entries) && cap(c.data)-len(c.data) >= size
}

func (c *chunk) add(key, row []byte) {
	off := len(c.data)
	c.data = appendRecord(c.data, key, row)
	c.entries = append(c.entries, entry{Prefix(key), uint32(off), uint32(len(c.data))})
}

func appendRecord(dst, key, row []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = binary.AppendUvarint(dst, uint64(len(row)))
	dst = append(dst, key...)
	return append(dst, row...)
}

// Prefix is the first eight bytes of a key as a number of the same order.
// Keys of equal prefixes may differ.
func Prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// split takes a whole record apart.
func split(record []byte) (key, row []byte) {
	k, n := binary.Uvarint(record)
	_, m := binary.Uvarint(record[n:])
	body := record[n+m:]
	return body[:k:k], body[k:]
}

func (c *chunk) record(e entry) (key, row []byte) { return split(c.data[e.off:e.end]) }

func (c *chunk) sort() {
	slices.SortFunc(c.entries, func(a, b entry) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		x, _ := c.record(a)
		y, _ := c.record(b)
		return bytes.Compare(x, y)
	})
}

// next moves to the next record in order; chunks are streams once sorted.
func (c *chunk) next() (bool, error) {
	if c.at == len(c.entries) {
		return false, nil
	}
	e := c.entries[c.at]
	c.at++
	c.prefix = e.prefix
	c.key, c.row = c.record(e)
	return true, nil
}

func (c *chunk) current() *head { return &c.head }

// reset empties the chunk for other records.
func (c *chunk) reset() {
	c.data, c.entries, c.at, c.head = c.data[:0], c.entries[:0], 0, head{}
}
