package connector

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// selection is the memory of the rows that a pass takes. Of rows that are offered
// it keeps the first ones in the order of the primary key, in the memory of twice
// as many.
type selection struct {
	limit       int
	most        int // bytes of a piece; 0: no limit
	best, spare *chosen
	refs        []rowRef
	key         []byte // of the row that is offered
	// edge is the key of the last row that is kept, once there are as many as may
	// be; rows behind it need not be kept.
	edge []byte
}

// chosen are rows, and of those that were offered their keys.
type chosen struct {
	*kudu.BatchBuilder
	from []uint16 // tablets
	keys []byte   // one behind the other
	ends []int    // of the keys
}

// rowRef sorts a row; the head of its key settles most comparisons.
type rowRef struct {
	head uint64
	row  int
}

func newSelection(schema *kudu.Schema) *selection {
	return &selection{best: &chosen{BatchBuilder: kudu.NewBatchBuilder(schema)}, spare: &chosen{BatchBuilder: kudu.NewBatchBuilder(schema)}}
}

func (c *chosen) key(row int) []byte {
	if row == 0 {
		return c.keys[:c.ends[0]]
	}
	return c.keys[c.ends[row-1]:c.ends[row]]
}

func (c *chosen) add(rows *kudu.RowBatch, row int, from uint16, key []byte) {
	c.AppendFrom(rows, row)
	c.from = append(c.from, from)
	c.keys = append(c.keys, key...)
	c.ends = append(c.ends, len(c.keys))
}

func (c *chosen) reset() {
	c.Reset()
	c.from, c.keys, c.ends = c.from[:0], c.keys[:0], c.ends[:0]
}

// whole reports whether a piece is to have no more rows.
func (s *selection) whole() bool {
	n := s.best.NumRows()
	return n >= s.limit || s.most > 0 && n > 0 && n%sizeCheck == 0 && s.best.Bytes() >= s.most
}

// sizeCheck is after how many rows a piece's size is looked at.
const sizeCheck = 16

// offer takes the row with the key s.key, unless it is too late; that is false.
func (s *selection) offer(rows *kudu.RowBatch, row int, tablet uint16) bool {
	if s.edge != nil && bytes.Compare(s.key, s.edge) >= 0 {
		return false
	}
	s.best.add(rows, row, tablet, s.key)
	n := s.best.NumRows()
	if s.most > 0 && n%sizeCheck == 0 && s.best.Bytes() >= 2*s.most {
		s.limit = min(s.limit, n/2)
	}
	if n >= 2*s.limit {
		s.settle()
		s.edge = append(s.edge[:0], s.best.key(s.limit-1)...)
	}
	return true
}

// settle sorts what is there and lets go of what is beyond the limit.
func (s *selection) settle() {
	n := s.best.NumRows()
	s.refs = s.refs[:0]
	for i := range n {
		s.refs = append(s.refs, rowRef{head: head(s.best.key(i)), row: i})
	}
	compare := func(a, b rowRef) int {
		if c := cmp.Compare(a.head, b.head); c != 0 {
			return c
		}
		return bytes.Compare(s.best.key(a.row), s.best.key(b.row))
	}
	if n > s.limit || !slices.IsSortedFunc(s.refs, compare) {
		slices.SortFunc(s.refs, compare)
		s.spare.reset()
		all := s.best.Batch()
		for _, r := range s.refs[:min(n, s.limit)] {
			s.spare.add(all, r.row, s.best.from[r.row], s.best.key(r.row))
		}
		s.best, s.spare = s.spare, s.best
	}
}

// head is the beginning of a key as a number: equal ones may differ behind.
func head(key []byte) uint64 {
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// reset forgets the rows.
func (s *selection) reset(limit, most int) {
	s.limit, s.most, s.edge = limit, most, nil
	s.best.reset()
	s.spare.reset()
}
