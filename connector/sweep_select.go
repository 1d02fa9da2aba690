package connector

import (
	"bytes"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// selection is the memory of the rows that a pass takes. Of rows that are offered
// it keeps the first ones in the order of the primary key, in the memory of twice
// as many.
type selection struct {
	limit       int
	most        int // bytes of a piece; 0: no limit
	best, spare *chosen
	places      []uint64 // for settle
	key         []byte   // of the row that is offered
	// edge is the key of the last row that is kept, once there are as many as may
	// be; rows behind it need not be kept.
	edge []byte
}

// chosen are rows, and of those that were offered their keys.
type chosen struct {
	*kudu.BatchBuilder
	from []uint16 // tablets
	keys keyList
}

func newSelection(schema *kudu.Schema) *selection {
	return &selection{best: &chosen{BatchBuilder: kudu.NewBatchBuilder(schema)}, spare: &chosen{BatchBuilder: kudu.NewBatchBuilder(schema)}}
}

func (c *chosen) add(rows *kudu.RowBatch, row int, from uint16, key []byte) {
	c.AppendFrom(rows, row)
	c.from = append(c.from, from)
	c.keys.add(key)
}

func (c *chosen) reset() {
	c.Reset()
	c.keys.reset()
	c.from = c.from[:0]
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
		s.edge = append(s.edge[:0], s.best.keys.key(s.limit-1)...)
	}
	return true
}

// settle sorts what is there and lets go of what is beyond the limit.
func (s *selection) settle() {
	n := s.best.NumRows()
	var were bool
	if s.places, were = s.best.keys.inOrder(s.places); n > s.limit || !were {
		s.spare.reset()
		all := s.best.Batch()
		for _, place := range s.places[:min(n, s.limit)] {
			row := int(place)
			s.spare.add(all, row, s.best.from[row], s.best.keys.key(row))
		}
		s.best, s.spare = s.spare, s.best
	}
}

// reset forgets the rows.
func (s *selection) reset(limit, most int) {
	s.limit, s.most, s.edge = limit, most, nil
	s.best.reset()
	s.spare.reset()
}
