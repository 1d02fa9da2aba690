package kudufake

import (
	"encoding/binary"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Operations: RowOperationsPB.Type in kudu-1.18.1
// src/kudu/common/row_operations.proto.
const (
	opInsert         = 1
	opUpdate         = 2
	opDelete         = 3
	opSplitRow       = 4
	opUpsert         = 5
	opRangeLower     = 6
	opRangeUpper     = 7
	opRangeLowerExcl = 8
	opRangeUpperIncl = 9
	opInsertIgnore   = 10
	opUpdateIgnore   = 11
	opDeleteIgnore   = 12
	opUpsertIgnore   = 13
)

// maxCellBytes is --max_cell_size_bytes.
const maxCellBytes = 64 << 10

// rowOp is one operation in terms of the table's columns.
type rowOp struct {
	kind   byte
	isset  []bool   // by place in the table's schema
	null   []bool   // among those that are set
	cells  [][]byte // nil where not set or NULL
	failed *failure // refuses this row alone
	// ignored: an ignore operation left part of the row out.
	ignored bool
}

// opReader walks the bytes of RowOperationsPB.
type opReader struct {
	cols          []*column // as the client sent them
	rest          []byte
	indirect      []byte
	bitmap        int
	anyNullable   bool
	isset, isnull []byte
}

func newOpReader(cols []*column, ops *pb.RowOperationsPB) *opReader {
	return &opReader{
		cols: cols, rest: ops.GetRows(), indirect: ops.GetIndirectData(),
		bitmap: bitmapBytes(len(cols)), anyNullable: hasNullable(cols),
	}
}

func corrupt(text string) *failure { return appFailure(0, stCorruption, "%s", text) }

func (r *opReader) take(n int, missing string) ([]byte, *failure) {
	if len(r.rest) < n {
		return nil, corrupt(missing)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, nil
}

// begin reads the operation's type and bitmaps.
func (r *opReader) begin() (kind byte, f *failure) {
	b, f := r.take(1, "Cannot find operation type")
	if f != nil {
		return 0, f
	}
	if b[0] < opInsert || b[0] > opUpsertIgnore {
		return 0, appFailure(0, stNotSupported, "Unknown operation type: %d", b[0])
	}
	return b[0], nil
}

func (r *opReader) bitmaps() (f *failure) {
	if r.isset, f = r.take(r.bitmap, "Cannot find isset bitmap"); f != nil {
		return f
	}
	r.isnull = nil
	if r.anyNullable {
		r.isnull, f = r.take(r.bitmap, "Cannot find null bitmap")
	}
	return f
}

func (r *opReader) null(i int) bool { return r.isnull != nil && bitSet(r.isnull, i) }

// cell reads the cell of a column; tooLarge refuses the row alone.
func (r *opReader) cell(col *column) (cell []byte, tooLarge, f *failure) {
	if !col.typ.VarLen() {
		b, f := r.take(col.typ.Size(), "Not enough data for column: "+col.name)
		return slices.Clone(b), nil, f
	}
	b, f := r.take(16, "Not enough data for column: "+col.name)
	if f != nil {
		return nil, nil, f
	}
	offset, length := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if offset > uint64(len(r.indirect)) || length > uint64(len(r.indirect))-offset {
		return nil, nil, corrupt("Bad indirect slice")
	}
	if length > maxCellBytes {
		tooLarge = badArgument("value too large for column '%s' (%d bytes, maximum is %d bytes)", col.name, length, maxCellBytes)
	}
	return append([]byte{}, r.indirect[offset:offset+length]...), tooLarge, nil
}

// mapColumns finds the client's columns in the table (kudu-1.18.1
// src/kudu/common/row_operations.cc, ClientServerMapping; the key columns are
// compared as in src/kudu/common/schema.h, GetProjectionMapping).
func mapColumns(s *schema, cols []*column) ([]int, *failure) {
	places := make([]int, len(cols))
	for i, c := range cols {
		at := s.index(c.name)
		if at < 0 {
			return nil, badArgument("Client provided column %s %s not present in tablet", c.name, c.typeString())
		}
		own := s.cols[at]
		if c.typ != own.typ || c.nullable != own.nullable || c.precision != own.precision || c.scale != own.scale || c.length != own.length {
			return nil, badArgument("The column '%s' must have type %s found %s", c.name, own.typeString(), c.typeString())
		}
		places[i] = at
	}
	for at, own := range s.cols {
		if own.writeDefault == nil && !own.nullable && !slices.Contains(places, at) {
			return nil, badArgument("Client missing required column: %s %s", own.name, own.typeString())
		}
	}
	return places, nil
}

// decodeWrite reads the operations of a Write (kudu-1.18.1
// src/kudu/common/row_operations.cc). A failure refuses the whole batch;
// counter is the tablet's auto-incrementing one.
func decodeWrite(s *schema, cols []*column, keys int, ops *pb.RowOperationsPB, counter *int64) ([]*rowOp, *failure) {
	places, f := mapColumns(s, cols)
	if f != nil {
		return nil, f
	}
	r := newOpReader(cols, ops)
	var out []*rowOp
	for len(r.rest) > 0 {
		kind, f := r.begin()
		if f != nil {
			return nil, f
		}
		op := &rowOp{kind: kind, isset: make([]bool, len(s.cols)), null: make([]bool, len(s.cols)), cells: make([][]byte, len(s.cols))}
		switch kind {
		case opInsert, opInsertIgnore, opUpsert, opUpsertIgnore:
			f = op.readInsert(s, r, places, counter)
		case opUpdate, opUpdateIgnore, opDelete, opDeleteIgnore:
			f = op.readMutation(s, r, places, keys)
		default:
			f = badArgument("Invalid write operation type %d", kind)
		}
		if f != nil {
			return nil, f
		}
		out = append(out, op)
	}
	return out, nil
}

// fail keeps the first reason.
func (op *rowOp) fail(f *failure) {
	if op.failed == nil && f != nil {
		op.failed = f
	}
}

// set reads the cell of the client's i-th column into its place.
func (op *rowOp) set(s *schema, r *opReader, i, at int) *failure {
	col := s.cols[at]
	op.isset[at] = true
	if r.null(i) {
		op.null[at] = true
		if col.nullable {
			return nil
		}
		op.fail(badArgument("NULL values not allowed for non-nullable column: %s", col.name))
		_, _, f := r.cell(col)
		return f
	}
	cell, tooLarge, f := r.cell(col)
	op.fail(tooLarge)
	op.cells[at] = cell
	return f
}

func (op *rowOp) readInsert(s *schema, r *opReader, places []int, counter *int64) *failure {
	if f := r.bitmaps(); f != nil {
		return f
	}
	upsert := op.kind == opUpsert || op.kind == opUpsertIgnore
	for i, at := range places {
		col := s.cols[at]
		switch {
		case bitSet(r.isset, i) && col.autoIncrementing && !upsert:
			return badArgument("auto-incrementing column is incorrectly set")
		case bitSet(r.isset, i):
			if f := op.set(s, r, i, at); f != nil {
				return f
			}
			if col.autoIncrementing {
				value := int64(binary.LittleEndian.Uint64(op.cells[at]))
				if value < 0 {
					return badArgument("auto-incrementing column value must be positive: %d", value)
				}
				*counter = max(*counter, value)
			}
		case col.autoIncrementing && upsert:
			return badArgument("auto-incrementing column should be set for UPSERT/UPSERT_IGNORE operations")
		case col.autoIncrementing:
			*counter++
			op.isset[at], op.cells[at] = true, binary.LittleEndian.AppendUint64(nil, uint64(*counter))
		case col.nullable || col.writeDefault != nil:
		default:
			op.fail(badArgument("No value provided for required column: %s", col.name))
		}
	}
	return nil
}

// readMutation reads an UPDATE or DELETE: the key, and then what is to change.
func (op *rowOp) readMutation(s *schema, r *opReader, places []int, keys int) *failure {
	if f := r.bitmaps(); f != nil {
		return f
	}
	update := op.kind == opUpdate || op.kind == opUpdateIgnore
	changes := 0
	for i, at := range places {
		col := s.cols[at]
		isset := bitSet(r.isset, i)
		switch {
		case i < keys && !isset:
			op.fail(badArgument("No value provided for key column: %s", col.name))
		case !isset:
		case i >= keys && update && col.immutable:
			if op.kind == opUpdate {
				op.fail(appFailure(0, stImmutable, "UPDATE not allowed for immutable column: %s", col.name))
			} else {
				op.ignored = true
			}
			if !r.null(i) {
				if _, _, f := r.cell(col); f != nil {
					return f
				}
			}
		default:
			if i >= keys && !update {
				op.fail(badArgument("DELETE should not have a value for column: %s", col.name))
			}
			if f := op.set(s, r, i, at); f != nil {
				return f
			}
			if i >= keys {
				changes++
			}
		}
	}
	if update && changes == 0 {
		op.fail(badArgument("No fields updated, key is: (redacted)"))
	}
	return nil
}

// appendRowOp encodes one operation: cells by place, nil for unset ones.
func appendRowOp(dst *pb.RowOperationsPB, cols []*column, kind byte, cells [][]byte) {
	isset := make([]byte, bitmapBytes(len(cols)))
	for i := range cols {
		if cells[i] != nil {
			isset[i/8] |= 1 << (i % 8)
		}
	}
	dst.Rows = append(dst.Rows, kind)
	dst.Rows = append(dst.Rows, isset...)
	if hasNullable(cols) {
		dst.Rows = append(dst.Rows, make([]byte, len(isset))...)
	}
	for i, c := range cols {
		switch {
		case cells[i] == nil:
		case c.typ.VarLen():
			dst.Rows = binary.LittleEndian.AppendUint64(dst.Rows, uint64(len(dst.IndirectData)))
			dst.Rows = binary.LittleEndian.AppendUint64(dst.Rows, uint64(len(cells[i])))
			dst.IndirectData = append(dst.IndirectData, cells[i]...)
		default:
			dst.Rows = append(dst.Rows, cells[i]...)
		}
	}
}

// boundRow is a row that bounds a range: nil for columns that it leaves out.
type boundRow struct {
	kind  byte
	cells [][]byte
}

// decodeBounds reads split rows and range bounds.
func decodeBounds(s *schema, cols []*column, ops *pb.RowOperationsPB) ([]boundRow, *failure) {
	places, f := mapColumns(s, cols)
	if f != nil {
		return nil, f
	}
	r := newOpReader(cols, ops)
	var out []boundRow
	for len(r.rest) > 0 {
		kind, f := r.begin()
		if f != nil {
			return nil, f
		}
		if kind < opSplitRow || kind > opRangeUpperIncl || kind == opUpsert {
			return nil, badArgument("Invalid split row type %d", kind)
		}
		if f := r.bitmaps(); f != nil {
			return nil, f
		}
		row := boundRow{kind: kind, cells: make([][]byte, len(s.cols))}
		for i, at := range places {
			if !bitSet(r.isset, i) {
				continue
			}
			if row.cells[at], _, f = r.cell(s.cols[at]); f != nil {
				return nil, f
			}
		}
		out = append(out, row)
	}
	return out, nil
}
