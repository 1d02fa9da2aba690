package kudu

import (
	"encoding/binary"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// rowwise turns answers in the row-wise layout, of servers that lack the
// columnar one, into the same columns (kudu-1.18.1
// src/kudu/common/wire_protocol.proto, RowwiseRowBlockPB). Its memory is used
// again for each answer, and must not be while a batch of it is in use.
type rowwise struct {
	cells, varlen []byte
}

// decode makes a batch of the block. A row is its cells, unaligned, then a
// bitmap of the NULLs if any column may have them.
func (w *rowwise) decode(b *RowBatch, proj *Schema, block *pb.RowwiseRowBlockPB, sc sidecars) error {
	b.schema, b.rows = proj, 0
	n := int(block.GetNumRows())
	if n < 0 || n > maxBatchRows {
		return fmt.Errorf("answer claims %d rows", n)
	}
	b.cols = resize(b.cols, proj.NumColumns())
	if len(proj.cols) == 0 {
		b.rows = n
		return nil
	}
	width, nullable := 0, 0
	for i := range proj.cols {
		width += rowCellSize(proj.cols[i].Type)
		if proj.cols[i].Nullable {
			nullable++
		}
	}
	bitmap := width
	if nullable > 0 {
		width += (len(proj.cols) + 7) / 8
	}
	var rows, indirect []byte
	var err error
	if n > 0 || block.RowsSidecar != nil {
		if rows, err = namedSidecar(sc, block.RowsSidecar); err != nil {
			return fmt.Errorf("rows: %w", err)
		}
	}
	if block.IndirectDataSidecar != nil {
		if indirect, err = namedSidecar(sc, block.IndirectDataSidecar); err != nil {
			return fmt.Errorf("variable-length data: %w", err)
		}
	}
	if len(rows) != n*width {
		return fmt.Errorf("%d bytes of rows, %d rows need %d", len(rows), n, n*width)
	}
	// One allocation holds the cells and bitmaps of all columns.
	need := nullable * ((n + 7) / 8)
	for i := range proj.cols {
		if proj.cols[i].Type.VarLen() {
			need += 4 * (n + 1)
		} else {
			need += n * proj.cols[i].Type.Size()
		}
	}
	w.cells = resize(w.cells, need)
	clear(w.cells)
	w.varlen = w.varlen[:0]
	rest := w.cells
	take := func(size int) []byte {
		out := rest[:size:size]
		rest = rest[size:]
		return out
	}
	at := 0
	for i := range proj.cols {
		c := &proj.cols[i]
		v := ColumnView{typ: c.Type}
		if c.Nullable {
			v.present = take((n + 7) / 8)
			for r := range n {
				if rows[r*width+bitmap+i>>3]&(1<<(i&7)) == 0 {
					v.present[r>>3] |= 1 << (r & 7)
				}
			}
		}
		if c.Type.VarLen() {
			v.data = take(4 * (n + 1))
			if err := w.strings(&v, rows, indirect, n, width, at); err != nil {
				return fmt.Errorf("column %q: %w", c.Name, err)
			}
		} else {
			size := c.Type.Size()
			v.data = take(n * size)
			for r := range n {
				if !v.IsNull(r) {
					copy(v.data[r*size:(r+1)*size], rows[r*width+at:])
				}
			}
		}
		b.cols[i] = v
		at += rowCellSize(c.Type)
	}
	// The strings' memory may have moved while it grew.
	for i := range b.cols {
		if b.cols[i].typ.VarLen() {
			b.cols[i].varlen = w.varlen
		}
	}
	b.rows = n
	return nil
}

// rowCellSize is the width of a cell in a row: a string is its offset and
// length.
func rowCellSize(t DataType) int {
	if t.VarLen() {
		return 16
	}
	return t.Size()
}

// strings copies the strings of a column, which may lie anywhere in indirect,
// one behind the other.
func (w *rowwise) strings(v *ColumnView, rows, indirect []byte, n, width, at int) error {
	binary.LittleEndian.PutUint32(v.data, uint32(len(w.varlen)))
	for r := range n {
		if !v.IsNull(r) {
			cell := rows[r*width+at:]
			offset, length := binary.LittleEndian.Uint64(cell), binary.LittleEndian.Uint64(cell[8:])
			if offset > uint64(len(indirect)) || length > uint64(len(indirect))-offset {
				return fmt.Errorf("row %d lies at %d+%d of %d bytes", r, offset, length, len(indirect))
			}
			if uint64(len(w.varlen))+length > uint64(len(indirect)) {
				return fmt.Errorf("strings overlap: they are longer than the %d bytes that hold them", len(indirect))
			}
			w.varlen = append(w.varlen, indirect[offset:offset+length]...)
		}
		binary.LittleEndian.PutUint32(v.data[4*(r+1):], uint32(len(w.varlen)))
	}
	return nil
}
