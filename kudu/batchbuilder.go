package kudu

import (
	"encoding/binary"
	"fmt"
)

// BatchBuilder makes row batches of Go values, laid out as a tablet server
// would send them. It serves tests of code that takes batches, and fakes.
type BatchBuilder struct {
	schema *Schema
	rows   int
	cols   []ColumnView
	// deleted has a byte per row once a row was deleted.
	deleted []byte
}

// NewBatchBuilder starts an empty batch of the schema.
func NewBatchBuilder(schema *Schema) *BatchBuilder {
	b := &BatchBuilder{schema: schema, cols: make([]ColumnView, schema.NumColumns())}
	for i := range b.cols {
		c := schema.Column(i)
		b.cols[i].typ = c.Type
		if c.Nullable {
			b.cols[i].present = []byte{}
		}
		if c.Type.VarLen() {
			b.cols[i].data = make([]byte, 4)
		}
	}
	return b
}

// Append adds a row: one value per column in column order, nil for NULL, of
// the Go types that value.go lists. After an error the builder must not be
// used.
func (b *BatchBuilder) Append(values ...any) error { return b.append(0, values) }

// AppendDeleted adds a row as a diff scan shows a deleted one.
func (b *BatchBuilder) AppendDeleted(values ...any) error { return b.append(1, values) }

func (b *BatchBuilder) append(deleted byte, values []any) error {
	if len(values) != len(b.cols) {
		return fmt.Errorf("row has %d values for %d columns", len(values), len(b.cols))
	}
	for i, val := range values {
		if err := b.appendValue(&b.cols[i], b.schema.Column(i), val); err != nil {
			return err
		}
	}
	if deleted != 0 && b.deleted == nil {
		b.deleted = make([]byte, b.rows, b.rows+1)
	}
	if b.deleted != nil {
		b.deleted = append(b.deleted, deleted)
	}
	b.rows++
	return nil
}

func (b *BatchBuilder) appendValue(v *ColumnView, col *Column, val any) (err error) {
	if val == nil && !col.Nullable {
		return fmt.Errorf("column %q can't be NULL", col.Name)
	}
	if v.present != nil {
		if b.rows%8 == 0 {
			v.present = append(v.present, 0)
		}
		if val != nil {
			v.present[b.rows/8] |= 1 << (b.rows % 8)
		}
	}
	switch {
	case col.Type.VarLen():
		if val != nil {
			if v.varlen, err = appendCell(v.varlen, col, val); err != nil {
				return err
			}
		}
		v.data = binary.LittleEndian.AppendUint32(v.data, uint32(len(v.varlen)))
	case val == nil:
		v.data = append(v.data, make([]byte, col.Type.Size())...)
	default:
		v.data, err = appendCell(v.data, col, val)
	}
	return err
}

// AppendFrom adds a row of another batch of an equal schema, copying its cells.
func (b *BatchBuilder) AppendFrom(src *RowBatch, row int) {
	for i := range b.cols {
		v, from := &b.cols[i], &src.cols[i]
		null := from.IsNull(row)
		if v.present != nil {
			if b.rows%8 == 0 {
				v.present = append(v.present, 0)
			}
			if !null {
				v.present[b.rows/8] |= 1 << (b.rows % 8)
			}
		}
		if v.typ.VarLen() {
			if !null {
				v.varlen = append(v.varlen, from.Bytes(row)...)
			}
			v.data = binary.LittleEndian.AppendUint32(v.data, uint32(len(v.varlen)))
			continue
		}
		size := v.typ.Size()
		v.data = append(v.data, from.data[row*size:(row+1)*size]...)
	}
	b.rows++
}

// NumRows is the number of rows so far.
func (b *BatchBuilder) NumRows() int { return b.rows }

// Bytes is the memory that the cells take so far.
func (b *BatchBuilder) Bytes() int {
	n := 0
	for i := range b.cols {
		n += len(b.cols[i].data) + len(b.cols[i].varlen) + len(b.cols[i].present)
	}
	return n
}

// Batch gives the rows so far as a batch that shares the builder's memory: it
// is valid until the builder's next call.
func (b *BatchBuilder) Batch() *RowBatch {
	return &RowBatch{schema: b.schema, rows: b.rows, cols: b.cols, deleted: ColumnView{typ: IsDeleted, data: b.deleted}}
}

// Reset drops all rows and keeps the memory.
func (b *BatchBuilder) Reset() {
	b.rows, b.deleted = 0, nil
	for i := range b.cols {
		v := &b.cols[i]
		v.varlen = v.varlen[:0]
		if v.present != nil {
			v.present = v.present[:0]
		}
		v.data = v.data[:0]
		if v.typ.VarLen() {
			v.data = append(v.data, 0, 0, 0, 0)
		}
	}
}

// Build gives the batch; the builder must not be used any more.
func (b *BatchBuilder) Build() *RowBatch {
	return &RowBatch{schema: b.schema, rows: b.rows, cols: b.cols, deleted: ColumnView{typ: IsDeleted, data: b.deleted}}
}
