package kudufake

import (
	"encoding/binary"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// rowBlock collects the rows of one answer in the layout that was asked for
// (kudu-1.18.1 src/kudu/common/wire_protocol.cc and columnar_serialization.cc).
type rowBlock struct {
	sc     *scanner
	rows   int
	blocks int // that were read, though perhaps without a row
	last   []byte

	// Row-wise.
	data, indirect []byte
	anyNullable    bool

	columns []columnBlock
}

// columnBlock is one column of the columnar layout.
type columnBlock struct {
	data, varlen, present []byte
}

func newRowBlock(sc *scanner) *rowBlock {
	b := &rowBlock{sc: sc, anyNullable: hasNullable(sc.proj)}
	if b.columnar() {
		b.columns = make([]columnBlock, len(sc.proj))
	}
	return b
}

func (b *rowBlock) columnar() bool { return b.sc.flags&flagColumnar != 0 }

// add shows a row.
func (b *rowBlock) add(cells []cell, deleted bool) {
	values := make([][]byte, len(b.sc.proj))
	for i, at := range b.sc.places {
		if at >= 0 {
			values[i] = valueOf(cells, b.sc.schema.cols[at])
			continue
		}
		values[i] = []byte{0}
		if deleted {
			values[i][0] = 1
		}
	}
	if b.columnar() {
		for i, v := range values {
			b.columns[i].add(b.sc.proj[i], v, b.rows)
		}
	} else {
		b.addRow(values)
	}
	b.rows++
}

func (b *rowBlock) addRow(values [][]byte) {
	nulls := make([]byte, bitmapBytes(len(values)))
	for i, v := range values {
		col := b.sc.proj[i]
		width := col.typ.Size()
		if v == nil {
			nulls[i/8] |= 1 << (i % 8)
		}
		switch {
		case col.typ.VarLen():
			b.data = binary.LittleEndian.AppendUint64(b.data, uint64(len(b.indirect)))
			b.data = binary.LittleEndian.AppendUint64(b.data, uint64(len(v)))
			b.indirect = append(b.indirect, v...)
			continue
		case v == nil:
			// Real servers leave garbage in the cells of NULLs.
			for range width {
				b.data = append(b.data, 0xa5)
			}
		default:
			b.data = append(b.data, v...)
		}
		if col.typ == kudu.UnixtimeMicros && b.sc.flags&flagPadUnixtime != 0 {
			b.data = append(b.data, make([]byte, 8)...)
		}
	}
	if b.anyNullable {
		b.data = append(b.data, nulls...)
	}
}

// add appends a value as the row-th.
func (c *columnBlock) add(col *column, v []byte, row int) {
	if col.typ.VarLen() {
		if row == 0 {
			c.data = append(c.data, 0, 0, 0, 0)
		}
		c.varlen = append(c.varlen, v...)
		c.data = binary.LittleEndian.AppendUint32(c.data, uint32(len(c.varlen)))
	} else if v == nil {
		c.data = append(c.data, make([]byte, col.typ.Size())...)
	} else {
		c.data = append(c.data, v...)
	}
	if !col.nullable {
		return
	}
	if row%8 == 0 {
		c.present = append(c.present, 0)
	}
	if v != nil {
		c.present[row/8] |= 1 << (row % 8)
	}
}

// size is what the batch size is compared with.
func (b *rowBlock) size() int {
	n := len(b.data) + len(b.indirect)
	for i := range b.columns {
		n += len(b.columns[i].data) + len(b.columns[i].varlen) + len(b.columns[i].present)
	}
	return n
}

// finish puts the rows into the answer, and returns its sidecars.
func (b *rowBlock) finish(resp *pb.ScanResponsePB) (sidecars [][]byte) {
	sidecar := func(data []byte) *int32 {
		sidecars = append(sidecars, data)
		return new(int32(len(sidecars) - 1))
	}
	if b.columnar() {
		resp.ColumnarData = &pb.ColumnarRowBlockPB{NumRows: new(int64(b.rows))}
		for i, col := range b.sc.proj {
			c := &b.columns[i]
			p := &pb.ColumnarRowBlockPB_Column{DataSidecar: sidecar(c.data)}
			if col.typ.VarLen() {
				p.VarlenDataSidecar = sidecar(c.varlen)
			}
			if col.nullable {
				p.NonNullBitmapSidecar = sidecar(c.present)
			}
			resp.ColumnarData.Columns = append(resp.ColumnarData.Columns, p)
		}
	} else {
		resp.Data = &pb.RowwiseRowBlockPB{RowsSidecar: sidecar(b.data)}
		if b.blocks > 0 {
			resp.Data.NumRows = new(int32(b.rows))
		}
		if len(b.indirect) > 0 {
			resp.Data.IndirectDataSidecar = sidecar(b.indirect)
		}
	}
	resp.LastPrimaryKey = b.lastKey()
	return sidecars
}

// lastKey is the key of the last row, encoded over the key columns that the
// server knows of: all in an ordered scan, and in an unordered one those that
// the client marked in its projection.
func (b *rowBlock) lastKey() []byte {
	if b.last == nil || b.sc.ordered {
		return b.last
	}
	if b.sc.projectedKeys == 0 {
		return nil
	}
	cells, f := decodeGroup(b.sc.schema.keyColumns(), b.last)
	if f != nil {
		return nil // the tablet's own key decodes
	}
	var marked [][]byte
	for i := range b.sc.projectedKeys {
		at := b.sc.places[i]
		if at < 0 || at >= b.sc.schema.keys {
			return nil
		}
		marked = append(marked, cells[at])
	}
	return encodeGroup(b.sc.proj[:b.sc.projectedKeys], marked)
}
