package kudu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// rowLayout tells where a Row keeps the cells of a table's columns, and how
// they go on the wire.
type rowLayout struct {
	schema *Schema
	// wire lists the columns that operations carry: those whose type this
	// client knows.
	wire     []int
	place    []int // of a fixed-width cell in Row.fixed; of others in Row.vars
	fixed    int   // bytes of all fixed-width cells
	vars     int   // columns of variable length
	nullable bool  // any column on the wire is
}

func newRowLayout(s *Schema) *rowLayout {
	l := &rowLayout{schema: s, place: make([]int, len(s.cols))}
	for i := range s.cols {
		c := &s.cols[i]
		switch {
		case !c.Type.Known():
			continue
		case c.Type.VarLen():
			l.place[i] = l.vars
			l.vars++
		default:
			l.place[i] = l.fixed
			l.fixed += c.Type.Size()
		}
		l.wire = append(l.wire, i)
		l.nullable = l.nullable || c.Nullable
	}
	return l
}

// newBoundsLayout is the layout of the rows by which a master tells the bounds
// of ranges: with all columns, also those of unknown types, which stay unset.
func newBoundsLayout(s *Schema) *rowLayout {
	l := newRowLayout(s)
	l.wire = l.wire[:0]
	for i := range s.cols {
		l.wire = append(l.wire, i)
		l.nullable = l.nullable || s.cols[i].Nullable
	}
	return l
}

// Row holds the cells of one row to be written. A cell is unset, NULL, or a
// value; unset cells of an insert take the column's default, those of an update
// keep what is stored. A setter that gets a value the column can't hold keeps
// the first such error for Session.Apply to return.
//
// A Row may be used again once Apply has returned: it has been copied. It
// serves one goroutine at a time.
type Row struct {
	layout *rowLayout
	set    []bool
	null   []bool
	fixed  []byte
	vars   [][]byte
	cell   []byte // scratch
	err    error
}

// NewRow makes an empty row of the table.
func (t *Table) NewRow() *Row { return newRow(t.layout) }

func newRow(l *rowLayout) *Row {
	n := len(l.schema.cols)
	return &Row{layout: l, set: make([]bool, n), null: make([]bool, n), fixed: make([]byte, l.fixed), vars: make([][]byte, l.vars)}
}

// Reset makes all cells unset and forgets the error.
func (r *Row) Reset() {
	clear(r.set)
	clear(r.null)
	r.err = nil
}

// Err is the first error of a setter since the last Reset.
func (r *Row) Err() error { return r.err }

func (r *Row) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// column gives the i-th column and marks its cell as set.
func (r *Row) column(i int) *Column {
	c := &r.layout.schema.cols[i]
	if !c.Type.Known() {
		r.fail(fmt.Errorf("column %q: this client can't write %s", c.Name, c.TypeString()))
		return nil
	}
	r.set[i], r.null[i] = true, false
	return c
}

func (r *Row) wrongType(c *Column, what string) {
	r.fail(fmt.Errorf("column %q: %s can't be a %s", c.Name, what, c.TypeString()))
}

// Set sets the named column to a Go value as value.go lists them; nil is NULL.
func (r *Row) Set(column string, v any) {
	i := r.layout.schema.Index(column)
	if i < 0 {
		r.fail(fmt.Errorf("the table has no column %q", column))
		return
	}
	r.SetAt(i, v)
}

// SetAll sets the first columns to the values, in the table's column order.
func (r *Row) SetAll(values ...any) {
	if len(values) > len(r.set) {
		r.fail(fmt.Errorf("%d values for a table of %d columns", len(values), len(r.set)))
		return
	}
	for i, v := range values {
		r.SetAt(i, v)
	}
}

// SetAt sets the i-th column to a Go value; nil is NULL.
func (r *Row) SetAt(i int, v any) {
	switch x := v.(type) {
	case nil:
		r.SetNull(i)
		return
	case []byte:
		r.SetBytes(i, x)
		return
	}
	c := r.column(i)
	if c == nil {
		return
	}
	var err error
	if r.cell, err = appendCell(r.cell[:0], c, v); err != nil {
		r.fail(err)
		return
	}
	if c.Type.VarLen() {
		r.putBytes(i, c, r.cell)
		return
	}
	if c.Type.Decimal() {
		view := ColumnView{typ: c.Type, data: r.cell}
		if !fitsPrecision(view.Unscaled(0), c.Precision) {
			r.fail(fmt.Errorf("column %q: %s has more than %d digits", c.Name, view.Unscaled(0), c.Precision))
			return
		}
	}
	copy(r.fixed[r.layout.place[i]:], r.cell)
}

// SetNull sets the i-th column to NULL.
func (r *Row) SetNull(i int) {
	c := r.column(i)
	if c == nil {
		return
	}
	if !c.Nullable {
		r.fail(fmt.Errorf("column %q can't be NULL", c.Name))
		return
	}
	r.null[i] = true
}

// SetInt sets an INT8 to INT64, a DATE (days since the epoch) or an
// UNIXTIME_MICROS (microseconds since the epoch).
func (r *Row) SetInt(i int, v int64) {
	c := r.column(i)
	if c == nil {
		return
	}
	place := r.layout.place[i]
	switch {
	case c.Type == Int64 || c.Type == UnixtimeMicros:
		binary.LittleEndian.PutUint64(r.fixed[place:], uint64(v))
	case c.Type == Int32 && int64(int32(v)) == v:
		binary.LittleEndian.PutUint32(r.fixed[place:], uint32(v))
	default:
		r.SetAt(i, v)
	}
}

// SetBool sets a BOOL.
func (r *Row) SetBool(i int, v bool) {
	c := r.column(i)
	if c == nil {
		return
	}
	if c.Type != Bool {
		r.wrongType(c, "a bool")
		return
	}
	r.fixed[r.layout.place[i]] = 0
	if v {
		r.fixed[r.layout.place[i]] = 1
	}
}

// SetFloat sets a FLOAT, rounding, or a DOUBLE.
func (r *Row) SetFloat(i int, v float64) {
	c := r.column(i)
	if c == nil {
		return
	}
	switch place := r.layout.place[i]; c.Type {
	case Float:
		binary.LittleEndian.PutUint32(r.fixed[place:], math.Float32bits(float32(v)))
	case Double:
		binary.LittleEndian.PutUint64(r.fixed[place:], math.Float64bits(v))
	default:
		r.wrongType(c, "a float")
	}
}

// SetBytes sets a STRING, VARCHAR or BINARY. The bytes are copied.
func (r *Row) SetBytes(i int, v []byte) {
	c := r.column(i)
	if c == nil {
		return
	}
	if !c.Type.VarLen() {
		r.wrongType(c, "a byte string")
		return
	}
	r.putBytes(i, c, v)
}

// SetString is SetBytes for a string.
func (r *Row) SetString(i int, v string) {
	c := r.column(i)
	if c == nil {
		return
	}
	if !c.Type.VarLen() {
		r.SetAt(i, v)
		return
	}
	r.cell = append(r.cell[:0], v...)
	r.putBytes(i, c, r.cell)
}

// putBytes refuses what a VARCHAR has no room for; nothing is cut off silently.
func (r *Row) putBytes(i int, c *Column, v []byte) {
	if c.Type == Varchar && len(v) > c.Length && utf8.RuneCount(v) > c.Length {
		r.fail(fmt.Errorf("column %q: %d characters don't fit into %s", c.Name, utf8.RuneCount(v), c.TypeString()))
		return
	}
	place := r.layout.place[i]
	r.vars[place] = append(r.vars[place][:0], v...)
}

// SetInt128 sets a DECIMAL of any width to an unscaled value.
func (r *Row) SetInt128(i int, v Int128) { r.SetAt(i, v) }

// fitsPrecision reports whether the magnitude has at most so many decimal
// digits.
func fitsPrecision(v Int128, precision int) bool {
	hi, lo := v.abs()
	var buf [40]byte
	return len(appendUint128(buf[:0], hi, lo)) <= precision
}

// appendKeyOf appends the cells of the columns as one encoded group.
func (r *Row) appendKeyOf(dst []byte, cols []int) []byte {
	for k, i := range cols {
		t, place := r.layout.schema.cols[i].Type, r.layout.place[i]
		if t.VarLen() {
			dst = appendKeyBytes(dst, r.vars[place], k == len(cols)-1)
			continue
		}
		dst = appendKeyCell(dst, t, r.fixed[place:place+t.Size()])
	}
	return dst
}

var errNoColumnToUpdate = errors.New("an update sets no column besides the key")

// check refuses what the server would refuse, with the whole batch or without
// naming the column.
func (r *Row) check(kind OpKind) error {
	if r.err != nil {
		return r.err
	}
	s := r.layout.schema
	for i := range s.keys {
		c := &s.cols[i]
		inserts := kind == OpInsert || kind == OpInsertIgnore
		switch {
		case c.AutoIncrementing && inserts:
			if r.set[i] {
				return fmt.Errorf("column %q is filled by the server in an insert", c.Name)
			}
		case !r.set[i]:
			return fmt.Errorf("key column %q isn't set", c.Name)
		}
	}
	switch kind {
	case OpDelete, OpDeleteIgnore:
		return nil
	case OpUpdate, OpUpdateIgnore:
		for i := s.keys; i < len(s.cols); i++ {
			if r.set[i] {
				return nil
			}
		}
		return errNoColumnToUpdate
	}
	for i := s.keys; i < len(s.cols); i++ {
		c := &s.cols[i]
		if !r.set[i] && !c.Nullable && c.Default == nil {
			return fmt.Errorf("column %q isn't set, can't be NULL and has no default", c.Name)
		}
	}
	return nil
}
