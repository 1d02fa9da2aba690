package kudu

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// RowBatch is what one answer of a scan brought: a number of rows, held column
// by column. Cells are views into the bytes as they came from the tablet
// server; nothing is copied. A batch is borrowed: it and everything taken from
// it is valid until the next call on the scanner that gave it.
//
// Way of one row: kudu/scanner.go fetches, this file gives typed views,
// connector/mode_offset.go picks the position.
type RowBatch struct {
	schema *Schema
	rows   int
	cols   []ColumnView
	// deleted is the is-deleted column of a diff scan; without cells otherwise.
	deleted ColumnView
}

// Deleted reports, in a batch of a diff scan, whether the row was deleted. Only
// the key columns of a deleted row mean anything: the others may hold any
// state's values, also later ones.
func (b *RowBatch) Deleted(row int) bool { return b.deleted.data != nil && b.deleted.data[row] != 0 }

// show hides the columns that were scanned beside those asked for.
func (b *RowBatch) show(p *projection) {
	b.schema, b.deleted = p.shown, ColumnView{}
	if p.deleted >= 0 && b.rows > 0 {
		b.deleted = b.cols[p.deleted]
	}
	b.cols = b.cols[:min(len(b.cols), len(p.shown.cols))]
}

// Schema is the projection that the batch was scanned with.
func (b *RowBatch) Schema() *Schema { return b.schema }

// NumRows is the number of rows.
func (b *RowBatch) NumRows() int { return b.rows }

// Column gives the cells of the i-th projected column.
func (b *RowBatch) Column(i int) *ColumnView { return &b.cols[i] }

// Bytes is the memory that the cells take.
func (b *RowBatch) Bytes() int {
	n := 0
	for i := range b.cols {
		n += len(b.cols[i].data) + len(b.cols[i].varlen) + len(b.cols[i].present)
	}
	return n
}

// ColumnView is one column of a batch. The typed accessors don't check: ask
// only for the type the column has, for a row below the batch's NumRows. The
// cell of a NULL is zero or empty.
type ColumnView struct {
	typ     DataType
	data    []byte // cells, little-endian; for types of variable length rows+1 uint32 offsets
	varlen  []byte
	present []byte // bitmap, LSB first, 1 = not null; nil when the column has no nulls
}

// Type is the column's type.
func (v *ColumnView) Type() DataType { return v.typ }

// IsNull reports whether the cell is NULL.
func (v *ColumnView) IsNull(i int) bool {
	return v.present != nil && v.present[i>>3]&(1<<(i&7)) == 0
}

// Nullable reports whether the column may hold NULLs in this batch.
func (v *ColumnView) Nullable() bool { return v.present != nil }

// Bool reads a BOOL or the is-deleted cell.
func (v *ColumnView) Bool(i int) bool { return v.data[i] != 0 }

// Int8 reads an INT8.
func (v *ColumnView) Int8(i int) int8 { return int8(v.data[i]) }

// Int16 reads an INT16.
func (v *ColumnView) Int16(i int) int16 { return int16(binary.LittleEndian.Uint16(v.data[2*i:])) }

// Int32 reads an INT32, a DATE (days since the Unix epoch) or a DECIMAL32
// (unscaled).
func (v *ColumnView) Int32(i int) int32 { return int32(binary.LittleEndian.Uint32(v.data[4*i:])) }

// Int64 reads an INT64, UNIXTIME_MICROS or a DECIMAL64 (unscaled).
func (v *ColumnView) Int64(i int) int64 { return int64(binary.LittleEndian.Uint64(v.data[8*i:])) }

// Int128 reads a DECIMAL128 (unscaled).
func (v *ColumnView) Int128(i int) Int128 {
	return Int128{
		Lo: binary.LittleEndian.Uint64(v.data[16*i:]),
		Hi: int64(binary.LittleEndian.Uint64(v.data[16*i+8:])),
	}
}

// Float32 reads a FLOAT.
func (v *ColumnView) Float32(i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(v.data[4*i:]))
}

// Float64 reads a DOUBLE.
func (v *ColumnView) Float64(i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(v.data[8*i:]))
}

// Bytes gives the borrowed bytes of a STRING, VARCHAR or BINARY.
func (v *ColumnView) Bytes(i int) []byte {
	from := binary.LittleEndian.Uint32(v.data[4*i:])
	to := binary.LittleEndian.Uint32(v.data[4*i+4:])
	return v.varlen[from:to:to]
}

// Int reads any integer, DATE, UNIXTIME_MICROS or DECIMAL of up to 64 bits,
// whatever its width.
func (v *ColumnView) Int(i int) int64 {
	switch v.typ {
	case Int8:
		return int64(v.Int8(i))
	case Int16:
		return int64(v.Int16(i))
	case Int32, Date, Decimal32:
		return int64(v.Int32(i))
	case Uint8:
		return int64(v.data[i])
	case Uint16:
		return int64(uint16(v.Int16(i)))
	case Uint32:
		return int64(uint32(v.Int32(i)))
	}
	return v.Int64(i)
}

// Unscaled reads a DECIMAL of any width.
func (v *ColumnView) Unscaled(i int) Int128 {
	if v.typ == Decimal128 || v.typ == Int128Type {
		return v.Int128(i)
	}
	return Int128FromInt64(v.Int(i))
}

// sidecars is how a decoder reaches the byte runs beside an answer.
type sidecars interface {
	NumSidecars() int
	Sidecar(i int) ([]byte, error)
}

// maxBatchRows bounds the rows of one answer. A server stops a batch by bytes,
// but an empty projection counts rows without any.
const maxBatchRows = 1 << 28

// decodeColumnar makes a batch of an answer in the columnar layout
// (kudu-1.18.1 src/kudu/common/wire_protocol.proto, ColumnarRowBlockPB). Every
// length, offset and index is checked, so that the accessors needn't. The
// batch's memory is used again.
func decodeColumnar(b *RowBatch, proj *Schema, block *pb.ColumnarRowBlockPB, sc sidecars) error {
	b.schema, b.rows = proj, 0
	rows := block.GetNumRows()
	if rows < 0 || rows > maxBatchRows {
		return fmt.Errorf("answer claims %d rows", rows)
	}
	n := int(rows)
	if len(block.GetColumns()) != proj.NumColumns() {
		return fmt.Errorf("answer has %d columns, %d were asked for", len(block.GetColumns()), proj.NumColumns())
	}
	b.cols = resize(b.cols, proj.NumColumns())
	for i, c := range block.GetColumns() {
		col := proj.Column(i)
		if err := decodeColumn(&b.cols[i], col, n, c, sc); err != nil {
			return fmt.Errorf("column %q: %w", col.Name, err)
		}
	}
	b.rows = n
	return nil
}

func decodeColumn(v *ColumnView, col *Column, n int, c *pb.ColumnarRowBlockPB_Column, sc sidecars) error {
	*v = ColumnView{typ: col.Type}
	var err error
	if v.data, err = namedSidecar(sc, c.DataSidecar); err != nil {
		return fmt.Errorf("cells: %w", err)
	}
	if col.Nullable {
		if v.present, err = namedSidecar(sc, c.NonNullBitmapSidecar); err != nil {
			return fmt.Errorf("null bitmap: %w", err)
		}
		if len(v.present) < (n+7)/8 {
			return fmt.Errorf("null bitmap of %d bytes for %d rows", len(v.present), n)
		}
		if v.present == nil {
			v.present = []byte{}
		}
	}
	if !col.Type.VarLen() {
		// In 64 bits: an int of 32 would wrap around.
		if want := int64(n) * int64(col.Type.Size()); int64(len(v.data)) != want {
			return fmt.Errorf("%d bytes of cells, %d rows need %d", len(v.data), n, want)
		}
		return nil
	}
	if n == 0 {
		return nil // the offsets of an empty batch are empty, without the leading zero
	}
	if c.VarlenDataSidecar != nil {
		if v.varlen, err = namedSidecar(sc, c.VarlenDataSidecar); err != nil {
			return fmt.Errorf("variable-length data: %w", err)
		}
	}
	return checkOffsets(v.data, n, len(v.varlen))
}

// checkOffsets shows that n+1 offsets rise from zero or more and end within
// the data.
func checkOffsets(offsets []byte, n, size int) error {
	if len(offsets) != 4*(n+1) {
		return fmt.Errorf("%d bytes of offsets, %d rows need %d", len(offsets), n, 4*(n+1))
	}
	prev := binary.LittleEndian.Uint32(offsets)
	for i := 1; i <= n; i++ {
		o := binary.LittleEndian.Uint32(offsets[4*i:])
		if o < prev {
			return fmt.Errorf("offset of row %d goes back from %d to %d", i, prev, o)
		}
		prev = o
	}
	if uint64(prev) > uint64(size) {
		return fmt.Errorf("offsets end at %d, beyond the %d bytes of data", prev, size)
	}
	return nil
}

func namedSidecar(sc sidecars, i *int32) ([]byte, error) {
	if i == nil {
		return nil, fmt.Errorf("the answer names no sidecar")
	}
	if *i < 0 || int(*i) >= sc.NumSidecars() {
		return nil, fmt.Errorf("sidecar %d of %d", *i, sc.NumSidecars())
	}
	return sc.Sidecar(int(*i))
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
