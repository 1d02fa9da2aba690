package kudutest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Operations, as in kudu-1.18.1 src/kudu/common/row_operations.proto.
const (
	insertOp       = 1
	updateOp       = 2
	deleteOp       = 3
	upsertOp       = 5
	lowerBoundOp   = 6
	upperBoundOp   = 7
	insertIgnoreOp = 10
	updateIgnoreOp = 11
	deleteIgnoreOp = 12
	upsertIgnoreOp = 13
)

// unset is a column that an operation leaves out; nil is NULL.
type unsetValue struct{}

var unset unsetValue

// rowOps encodes operations over the columns.
type rowOps struct {
	cols []*pb.ColumnSchemaPB
	msg  pb.RowOperationsPB
}

func newOps(cols []*pb.ColumnSchemaPB) *rowOps {
	return &rowOps{cols: cols, msg: pb.RowOperationsPB{Rows: []byte{}, IndirectData: []byte{}}}
}

// add appends an operation; values stand for the first columns, the others are
// unset.
func (o *rowOps) add(kind byte, values ...any) *rowOps {
	n := (len(o.cols) + 7) / 8
	isset, null := make([]byte, n), make([]byte, n)
	nullable := false
	var cells []byte
	for i, c := range o.cols {
		nullable = nullable || c.GetIsNullable()
		v := any(unset)
		if i < len(values) {
			v = values[i]
		}
		if v == unset {
			continue
		}
		isset[i/8] |= 1 << (i % 8)
		if v == nil {
			null[i/8] |= 1 << (i % 8)
			continue
		}
		cell := cellOf(c, v)
		if !varlen(c.GetType()) {
			cells = append(cells, cell...)
			continue
		}
		cells = binary.LittleEndian.AppendUint64(cells, uint64(len(o.msg.IndirectData)))
		cells = binary.LittleEndian.AppendUint64(cells, uint64(len(cell)))
		o.msg.IndirectData = append(o.msg.IndirectData, cell...)
	}
	o.msg.Rows = append(append(o.msg.Rows, kind), isset...)
	if nullable {
		o.msg.Rows = append(o.msg.Rows, null...)
	}
	o.msg.Rows = append(o.msg.Rows, cells...)
	return o
}

func varlen(t int32) bool {
	return t == int32(kudu.String) || t == int32(kudu.Binary) || t == int32(kudu.Varchar)
}

// widths of cells by type.
var widths = map[int32]int{
	int32(kudu.Int8): 1, int32(kudu.Int16): 2, int32(kudu.Int32): 4, int32(kudu.Int64): 8, int32(kudu.Bool): 1,
	int32(kudu.Float): 4, int32(kudu.Double): 8, int32(kudu.UnixtimeMicros): 8, int32(kudu.Decimal32): 4,
	int32(kudu.Decimal64): 8, int32(kudu.Decimal128): 16, int32(kudu.Date): 4, int32(kudu.IsDeleted): 1,
}

// cellOf encodes an int, int64, bool, float64 or string as the column's cell.
func cellOf(c *pb.ColumnSchemaPB, v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case bool:
		if v {
			return []byte{1}
		}
		return []byte{0}
	case float64:
		if c.GetType() == int32(kudu.Float) {
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v)))
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	case int:
		return cellOf(c, int64(v))
	case int64:
		cell := make([]byte, 16)
		for i := range cell {
			cell[i] = byte(v >> min(8*i, 63)) // sign-extended beyond 64 bits
		}
		return cell[:widths[c.GetType()]]
	}
	panic(fmt.Sprintf("a test gives a %T", v))
}

// textOf is a cell in text, as the cases write it.
func textOf(c *pb.ColumnSchemaPB, cell []byte) string {
	switch t := c.GetType(); {
	case cell == nil:
		return "NULL"
	case varlen(t):
		return string(cell)
	case t == int32(kudu.Float):
		return strconv.FormatFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(cell))), 'g', -1, 32)
	case t == int32(kudu.Double):
		return strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(cell)), 'g', -1, 64)
	case t == int32(kudu.Decimal128):
		return hex.EncodeToString(cell)
	default:
		n := int64(0)
		for i, b := range cell {
			n |= int64(b) << (8 * i)
		}
		shift := 64 - 8*len(cell)
		return strconv.FormatInt(n<<shift>>shift, 10)
	}
}

// batch is a decoded answer of a scan: rows as "1|a|NULL".
type batch struct {
	resp *pb.ScanResponsePB
	rows []string
}

// decodeBatch reads either layout, and checks its form.
func (s *suite) decodeBatch(resp *pb.ScanResponsePB, r *reply, proj []*pb.ColumnSchemaPB, flags uint64) *batch {
	s.Helper()
	b := &batch{resp: resp}
	switch {
	case flags&2 != 0 && resp.ColumnarData != nil:
		b.rows = s.decodeColumnar(resp.ColumnarData, r.sidecars, proj)
	case flags&2 == 0 && resp.Data != nil:
		b.rows = s.decodeRowwise(resp.Data, r.sidecars, proj, flags&1 != 0)
	case resp.Data != nil || resp.ColumnarData != nil:
		s.Fatalf("the layout is not the one asked for: %v", resp)
	}
	return b
}

func (s *suite) decodeRowwise(data *pb.RowwiseRowBlockPB, sidecars [][]byte, proj []*pb.ColumnSchemaPB, pad bool) []string {
	s.Helper()
	rest := sidecars[data.GetRowsSidecar()]
	var indirect []byte
	if data.IndirectDataSidecar != nil {
		indirect = sidecars[data.GetIndirectDataSidecar()]
	}
	nullable := false
	for _, c := range proj {
		nullable = nullable || c.GetIsNullable()
	}
	var rows []string
	for range data.GetNumRows() {
		cells := make([][]byte, len(proj))
		for i, c := range proj {
			if varlen(c.GetType()) {
				offset, length := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
				rest = rest[16:]
				if offset+length <= uint64(len(indirect)) { // else the junk of a NULL
					cells[i] = append([]byte{}, indirect[offset:offset+length]...)
				}
				continue
			}
			w := widths[c.GetType()]
			cells[i], rest = rest[:w], rest[w:]
			if pad && c.GetType() == int32(kudu.UnixtimeMicros) {
				rest = rest[8:]
			}
		}
		if nullable {
			bits := rest[:(len(proj)+7)/8]
			rest = rest[len(bits):]
			for i := range proj {
				if bits[i/8]>>(i%8)&1 == 1 {
					cells[i] = nil
				}
			}
		}
		rows = append(rows, rowText(proj, cells))
	}
	if len(rest) != 0 {
		s.Errorf("%d bytes are left of the row-wise block", len(rest))
	}
	return rows
}

func (s *suite) decodeColumnar(data *pb.ColumnarRowBlockPB, sidecars [][]byte, proj []*pb.ColumnSchemaPB) []string {
	s.Helper()
	n := int(data.GetNumRows())
	if len(data.GetColumns()) != len(proj) {
		s.Fatalf("%d columns, want %d", len(data.GetColumns()), len(proj))
	}
	table := make([][][]byte, n)
	for i := range table {
		table[i] = make([][]byte, len(proj))
	}
	for i, c := range proj {
		p := data.GetColumns()[i]
		cells := sidecars[p.GetDataSidecar()]
		if (p.VarlenDataSidecar != nil) != varlen(c.GetType()) || (p.NonNullBitmapSidecar != nil) != c.GetIsNullable() {
			s.Errorf("sidecars of column %s: %v", c.GetName(), p)
		}
		want := n * widths[c.GetType()]
		if varlen(c.GetType()) && n > 0 {
			want = 4 * (n + 1)
		}
		if len(cells) != want {
			s.Fatalf("column %s: %d bytes of data, want %d", c.GetName(), len(cells), want)
		}
		for row := range n {
			if c.GetIsNullable() && sidecars[p.GetNonNullBitmapSidecar()][row/8]>>(row%8)&1 == 0 {
				continue
			}
			if varlen(c.GetType()) {
				from, to := binary.LittleEndian.Uint32(cells[4*row:]), binary.LittleEndian.Uint32(cells[4*row+4:])
				table[row][i] = append([]byte{}, sidecars[p.GetVarlenDataSidecar()][from:to]...)
				continue
			}
			w := widths[c.GetType()]
			table[row][i] = cells[row*w : (row+1)*w]
		}
	}
	var rows []string
	for _, cells := range table {
		rows = append(rows, rowText(proj, cells))
	}
	return rows
}

func rowText(proj []*pb.ColumnSchemaPB, cells [][]byte) string {
	out := make([]string, len(proj))
	for i, c := range proj {
		out[i] = textOf(c, cells[i])
	}
	return strings.Join(out, "|")
}

// key encodes a primary key of one INT32 column.
func key32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(int32(v))^1<<31) }
