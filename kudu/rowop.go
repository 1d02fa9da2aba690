package kudu

import (
	"encoding/binary"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// OpKind is what a row operation does. The numbers are those of the wire
// (RowOperationsPB.Type in kudu-1.18.1 src/kudu/common/row_operations.proto).
type OpKind uint8

// The operations. The Ignore variants pass over the row in silence where the
// plain ones fail: it exists already (insert), it doesn't (update, delete), or
// a column can't be changed (update, upsert). Servers know InsertIgnore,
// UpdateIgnore and DeleteIgnore since 1.14, UpsertIgnore since 1.17.
const (
	OpInsert       OpKind = 1
	OpUpdate       OpKind = 2
	OpDelete       OpKind = 3
	OpUpsert       OpKind = 5
	OpInsertIgnore OpKind = 10
	OpUpdateIgnore OpKind = 11
	OpDeleteIgnore OpKind = 12
	OpUpsertIgnore OpKind = 13
)

// Operations that carry the bounds of range partitions.
const (
	opSplitRow            OpKind = 4
	opRangeLower          OpKind = 6
	opRangeUpper          OpKind = 7
	opRangeLowerExclusive OpKind = 8
	opRangeUpperInclusive OpKind = 9
)

var opNames = map[OpKind]string{
	OpInsert: "INSERT", OpUpdate: "UPDATE", OpDelete: "DELETE", OpUpsert: "UPSERT",
	OpInsertIgnore: "INSERT_IGNORE", OpUpdateIgnore: "UPDATE_IGNORE",
	OpDeleteIgnore: "DELETE_IGNORE", OpUpsertIgnore: "UPSERT_IGNORE",
	opSplitRow: "SPLIT_ROW", opRangeLower: "RANGE_LOWER_BOUND", opRangeUpper: "RANGE_UPPER_BOUND",
	opRangeLowerExclusive: "EXCLUSIVE_RANGE_LOWER_BOUND", opRangeUpperInclusive: "INCLUSIVE_RANGE_UPPER_BOUND",
}

func (k OpKind) String() string {
	if n, ok := opNames[k]; ok {
		return n
	}
	return fmt.Sprintf("operation %d", uint8(k))
}

// writes reports whether the operation changes rows.
func (k OpKind) writes() bool {
	switch k {
	case OpInsert, OpUpdate, OpDelete, OpUpsert, OpInsertIgnore, OpUpdateIgnore, OpDeleteIgnore, OpUpsertIgnore:
		return true
	}
	return false
}

// appendOp appends the operation as RowOperationsPB holds it: the kind, a
// bitmap of the columns that are set, a bitmap of those that are NULL if any
// column may be, and the cells; strings as offset and length into indirect.
// Deletes carry the key alone, as the server demands.
func appendOp(rows, indirect []byte, kind OpKind, r *Row) (newRows, newIndirect []byte) {
	l := r.layout
	columns := len(l.wire)
	if kind == OpDelete || kind == OpDeleteIgnore {
		columns = l.schema.keys
	}
	rows = append(rows, byte(kind))
	bitmap := (len(l.wire) + 7) / 8
	set := len(rows)
	for range bitmap {
		rows = append(rows, 0)
	}
	null := len(rows)
	if l.nullable {
		for range bitmap {
			rows = append(rows, 0)
		}
	}
	for k, i := range l.wire[:columns] {
		if !r.set[i] {
			continue
		}
		rows[set+k>>3] |= 1 << (k & 7)
		if r.null[i] {
			rows[null+k>>3] |= 1 << (k & 7)
			continue
		}
		t, place := l.schema.cols[i].Type, l.place[i]
		if t.VarLen() {
			rows = binary.LittleEndian.AppendUint64(rows, uint64(len(indirect)))
			rows = binary.LittleEndian.AppendUint64(rows, uint64(len(r.vars[place])))
			indirect = append(indirect, r.vars[place]...)
			continue
		}
		rows = append(rows, r.fixed[place:place+t.Size()]...)
	}
	return rows, indirect
}

// decodeOp reads the first operation of rows into r, and gives what is behind
// it. Every length is checked: the bytes may come from a server.
func decodeOp(r *Row, rows, indirect []byte) (kind OpKind, rest []byte, err error) {
	r.Reset()
	l := r.layout
	bitmap := (len(l.wire) + 7) / 8
	head := 1 + bitmap
	if l.nullable {
		head += bitmap
	}
	if len(rows) < head {
		return 0, nil, fmt.Errorf("decoding a row operation: %d bytes left, its head needs %d", len(rows), head)
	}
	kind = OpKind(rows[0])
	if _, known := opNames[kind]; !known {
		return 0, nil, fmt.Errorf("decoding a row operation: unknown kind %d", rows[0])
	}
	set, null, rest := rows[1:1+bitmap], rows[1+bitmap:head], rows[head:]
	for k, i := range l.wire {
		if set[k>>3]&(1<<(k&7)) == 0 {
			continue
		}
		c := &l.schema.cols[i]
		r.set[i] = true
		if l.nullable && null[k>>3]&(1<<(k&7)) != 0 {
			if !c.Nullable {
				return 0, nil, fmt.Errorf("decoding a row operation: column %q can't be NULL", c.Name)
			}
			r.null[i] = true
			continue
		}
		size := c.Type.Size()
		if c.Type.VarLen() {
			size = 16
		}
		if len(rest) < size {
			return 0, nil, fmt.Errorf("decoding a row operation: %d bytes left, column %q needs %d", len(rest), c.Name, size)
		}
		cell := rest[:size]
		rest = rest[size:]
		if !c.Type.VarLen() {
			copy(r.fixed[l.place[i]:], cell)
			continue
		}
		offset, length := binary.LittleEndian.Uint64(cell), binary.LittleEndian.Uint64(cell[8:])
		if offset > uint64(len(indirect)) || length > uint64(len(indirect))-offset {
			return 0, nil, fmt.Errorf("decoding a row operation: column %q lies at %d+%d of %d bytes", c.Name, offset, length, len(indirect))
		}
		p := l.place[i]
		r.vars[p] = append(r.vars[p][:0], indirect[offset:offset+length]...)
	}
	return kind, rest, nil
}

// value gives the i-th cell as ColumnView.Value would; nil also when unset.
func (r *Row) value(i int) any {
	if !r.set[i] || r.null[i] {
		return nil
	}
	t, place := r.layout.schema.cols[i].Type, r.layout.place[i]
	if t.VarLen() {
		v := r.vars[place]
		if t == Binary {
			return append([]byte{}, v...)
		}
		return string(v)
	}
	view := ColumnView{typ: t, data: r.fixed[place : place+t.Size()]}
	return view.Value(0)
}

// key gives the primary key's values.
func (r *Row) key() []any {
	values := make([]any, r.layout.schema.keys)
	for i := range values {
		values[i] = r.value(i)
	}
	return values
}

// writeSchemaPB is the schema that goes with row operations: no ids, the key
// columns marked.
func (l *rowLayout) writeSchemaPB() *pb.SchemaPB {
	s := &pb.SchemaPB{}
	for _, i := range l.wire {
		c := &l.schema.cols[i]
		p := c.projectionPB()
		p.IsKey = &c.Key
		if c.AutoIncrementing {
			p.IsAutoIncrementing = ptr(true)
		}
		if c.Immutable {
			p.Immutable = ptr(true)
		}
		s.Columns = append(s.Columns, p)
	}
	return s
}
