package kudu

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Predicate is a condition on one column. A scan returns the rows that meet all
// its predicates; NULL meets only IsNull. Values are Go values as value.go
// lists them.
type Predicate struct {
	Column string
	op     predicateOp
	values []any
}

type predicateOp int

const (
	predEqual predicateOp = iota
	predLess
	predLessEqual
	predGreater
	predGreaterEqual
	predIn
	predIsNull
	predIsNotNull
)

var predicateSigns = [...]string{"=", "<", "<=", ">", ">=", "IN", "IS NULL", "IS NOT NULL"}

// Equal is column = v.
func Equal(column string, v any) Predicate { return Predicate{column, predEqual, []any{v}} }

// Less is column < v.
func Less(column string, v any) Predicate { return Predicate{column, predLess, []any{v}} }

// LessEqual is column <= v.
func LessEqual(column string, v any) Predicate { return Predicate{column, predLessEqual, []any{v}} }

// Greater is column > v.
func Greater(column string, v any) Predicate { return Predicate{column, predGreater, []any{v}} }

// GreaterEqual is column >= v.
func GreaterEqual(column string, v any) Predicate {
	return Predicate{column, predGreaterEqual, []any{v}}
}

// In is column IN (values); without values no row meets it.
func In(column string, values ...any) Predicate { return Predicate{column, predIn, values} }

// IsNull is column IS NULL.
func IsNull(column string) Predicate { return Predicate{column, predIsNull, nil} }

// IsNotNull is column IS NOT NULL.
func IsNotNull(column string) Predicate { return Predicate{column, predIsNotNull, nil} }

// String renders the predicate as SQL would.
func (p Predicate) String() string {
	switch p.op {
	case predIsNull, predIsNotNull:
		return p.Column + " " + predicateSigns[p.op]
	case predIn:
		return fmt.Sprintf("%s IN (%d values)", p.Column, len(p.values))
	}
	return fmt.Sprintf("%s %s %v", p.Column, predicateSigns[p.op], p.values[0])
}

// Sign is the comparison, as SQL writes it.
func (p Predicate) Sign() string { return predicateSigns[p.op] }

// Values are what the column is compared with; none with IS NULL and IS NOT NULL.
// They are to be read only.
func (p Predicate) Values() []any { return p.values }

// condition is what all predicates on one column come to. Values are sort keys:
// byte strings that order as the column's values do; for the types of key
// columns they are the encoded key.
type condition struct {
	col          *Column
	isNull       bool
	notNull      bool
	lower, upper []byte   // inclusive, exclusive; nil is no bound
	in           [][]byte // sorted, each once; nil is no list, and one element an equality
}

// conditions are those of a scan, by the place of the column in the table.
type conditions struct {
	byColumn map[int]*condition
	never    bool // no row can meet them
}

// compile folds the predicates of each column into one condition, and drops
// what is always true.
func compile(s *Schema, preds []Predicate) (*conditions, error) {
	out := &conditions{byColumn: make(map[int]*condition)}
	for _, p := range preds {
		i := s.Index(p.Column)
		if i < 0 {
			return nil, fmt.Errorf("predicate %s: the table has no such column", p)
		}
		if !s.cols[i].Type.Known() {
			return nil, fmt.Errorf("predicate %s: this client doesn't know the column's type", p)
		}
		c := out.byColumn[i]
		if c == nil {
			c = &condition{col: &s.cols[i]}
			out.byColumn[i] = c
		}
		if err := c.add(p); err != nil {
			return nil, fmt.Errorf("predicate %s: %w", p, err)
		}
	}
	for i, c := range out.byColumn {
		always, never := c.settle()
		out.never = out.never || never
		if always {
			delete(out.byColumn, i)
		}
	}
	return out, nil
}

func (c *condition) add(p Predicate) error {
	switch p.op {
	case predIsNull:
		c.isNull = true
		return nil
	case predIsNotNull:
		c.notNull = true
		return nil
	}
	c.notNull = true
	keys := make([][]byte, 0, len(p.values))
	for _, v := range p.values {
		if v == nil {
			return errors.New("a value is NULL: use IsNull")
		}
		cell, err := appendCell(nil, c.col, v)
		if err != nil {
			return err
		}
		key, err := sortKey(c.col.Type, cell)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	switch p.op {
	case predEqual, predIn:
		slices.SortFunc(keys, bytes.Compare)
		keys = slices.CompactFunc(keys, bytes.Equal)
		if c.in != nil {
			keys = slices.DeleteFunc(keys, func(k []byte) bool {
				_, both := slices.BinarySearchFunc(c.in, k, bytes.Compare)
				return !both
			})
		}
		c.in = keys
	case predLess:
		c.below(keys[0])
	case predLessEqual:
		if next := successor(c.col.Type, keys[0]); next != nil {
			c.below(next)
		} // else all values are
	case predGreaterEqual:
		c.from(keys[0])
	case predGreater:
		if next := successor(c.col.Type, keys[0]); next != nil {
			c.from(next)
		} else {
			c.in = [][]byte{} // nothing is above the largest value
		}
	}
	return nil
}

func (c *condition) from(key []byte) {
	if c.lower == nil || bytes.Compare(key, c.lower) > 0 {
		c.lower = key
	}
}

func (c *condition) below(key []byte) {
	if c.upper == nil || bytes.Compare(key, c.upper) < 0 {
		c.upper = key
	}
}

// settle brings the condition to its simplest form.
func (c *condition) settle() (always, never bool) {
	if c.isNull {
		return false, c.notNull || !c.col.Nullable
	}
	least := leastKey(c.col.Type)
	if c.upper != nil && bytes.Compare(c.upper, least) <= 0 {
		return false, true
	}
	if c.lower != nil && bytes.Compare(c.lower, least) <= 0 {
		c.lower = nil
	}
	if c.lower != nil && c.upper != nil {
		if bytes.Compare(c.lower, c.upper) >= 0 {
			return false, true
		}
		if c.in == nil && bytes.Equal(successor(c.col.Type, c.lower), c.upper) {
			c.in = [][]byte{c.lower}
		}
	}
	if c.in != nil {
		c.in = slices.DeleteFunc(c.in, func(k []byte) bool {
			return c.lower != nil && bytes.Compare(k, c.lower) < 0 || c.upper != nil && bytes.Compare(k, c.upper) >= 0
		})
		c.lower, c.upper = nil, nil
		return false, len(c.in) == 0
	}
	return c.lower == nil && c.upper == nil && !c.col.Nullable, false
}

// wire is the condition as a scan request holds it.
func (c *condition) wire() *pb.ColumnPredicatePB {
	p := &pb.ColumnPredicatePB{Column: &c.col.Name}
	switch {
	case c.isNull:
		p.Predicate = &pb.ColumnPredicatePB_IsNull_{IsNull: &pb.ColumnPredicatePB_IsNull{}}
	case len(c.in) == 1:
		p.Predicate = &pb.ColumnPredicatePB_Equality_{Equality: &pb.ColumnPredicatePB_Equality{Value: cellOf(c.col.Type, c.in[0])}}
	case c.in != nil:
		list := &pb.ColumnPredicatePB_InList{}
		for _, k := range c.in {
			list.Values = append(list.Values, cellOf(c.col.Type, k))
		}
		p.Predicate = &pb.ColumnPredicatePB_InList_{InList: list}
	case c.lower != nil || c.upper != nil:
		r := &pb.ColumnPredicatePB_Range{}
		if c.lower != nil {
			r.Lower = cellOf(c.col.Type, c.lower)
		}
		if c.upper != nil {
			r.Upper = cellOf(c.col.Type, c.upper)
		}
		p.Predicate = &pb.ColumnPredicatePB_Range_{Range: r}
	default:
		p.Predicate = &pb.ColumnPredicatePB_IsNotNull_{IsNotNull: &pb.ColumnPredicatePB_IsNotNull{}}
	}
	return p
}

// wire lists the conditions in the order of the table's columns.
func (cs *conditions) wire() []*pb.ColumnPredicatePB {
	var out []*pb.ColumnPredicatePB
	for _, i := range cs.places() {
		out = append(out, cs.byColumn[i].wire())
	}
	return out
}

// keysOnly refuses conditions outside the primary key. In a diff scan they
// would be held against cells of deleted rows that mean nothing, and hide rows
// that have ceased to meet them.
func (cs *conditions) keysOnly(s *Schema) error {
	for _, i := range cs.places() {
		if i >= s.keys {
			return fmt.Errorf("predicate on column %q: a diff scan takes predicates on key columns only", s.cols[i].Name)
		}
	}
	return nil
}

func (cs *conditions) places() []int {
	places := make([]int, 0, len(cs.byColumn))
	for i := range cs.byColumn {
		places = append(places, i)
	}
	slices.Sort(places)
	return places
}

// sortKey turns a cell into bytes that order as Kudu orders the type's values.
func sortKey(t DataType, cell []byte) ([]byte, error) {
	switch t {
	case String, Varchar, Binary:
		return append([]byte{}, cell...), nil
	case Bool, IsDeleted:
		return []byte{cell[0]}, nil
	case Float, Double:
		key := appendKeyCell(nil, Uint8, cell) // big-endian
		v := ColumnView{typ: t, data: cell}
		f := 0.0
		if t == Float {
			f = float64(v.Float32(0))
		} else {
			f = v.Float64(0)
		}
		switch {
		case math.IsNaN(f):
			return nil, errors.New("NaN has no place in the order of numbers")
		case f == 0:
			clear(key) // -0 equals 0
			key[0] = 0x80
		case f > 0:
			key[0] |= 0x80
		default:
			for i := range key {
				key[i] = ^key[i]
			}
		}
		return key, nil
	}
	return appendKeyCell(nil, t, cell), nil
}

// cellOf is the inverse of sortKey.
func cellOf(t DataType, key []byte) []byte {
	switch t {
	case String, Varchar, Binary:
		return append([]byte{}, key...)
	case Bool, IsDeleted:
		return []byte{key[0]}
	}
	be := append([]byte{}, key...)
	switch t {
	case Float, Double:
		if be[0]&0x80 != 0 {
			be[0] &^= 0x80
		} else {
			for i := range be {
				be[i] = ^be[i]
			}
		}
	case Uint8, Uint16, Uint32, Uint64:
	default:
		be[0] ^= 0x80
	}
	slices.Reverse(be)
	return be
}

// leastKey is the sort key of the type's least value.
func leastKey(t DataType) []byte {
	switch t {
	case String, Varchar, Binary:
		return nil
	case Float:
		return []byte{0x00, 0x7f, 0xff, 0xff} // -Inf
	case Double:
		return []byte{0x00, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	case Date:
		return appendKeyCell(nil, Date, appendIntCell(nil, 4, minDate))
	}
	return make([]byte, t.Size())
}

// successor is the sort key of the next larger value, nil when there is none.
func successor(t DataType, key []byte) []byte {
	var most []byte
	switch t {
	case String, Varchar, Binary:
		return append(append([]byte{}, key...), 0)
	case Bool, IsDeleted:
		most = []byte{1}
	case Float:
		most = []byte{0xff, 0x80, 0, 0} // +Inf
	case Double:
		most = []byte{0xff, 0xf0, 0, 0, 0, 0, 0, 0}
	case Date:
		most = appendKeyCell(nil, Date, appendIntCell(nil, 4, maxDate))
	}
	if most != nil && bytes.Compare(key, most) >= 0 {
		return nil
	}
	next := append([]byte{}, key...)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			if (t == Float || t == Double) && next[0] == 0x7f && bytes.Count(next[1:], []byte{0xff}) == len(next)-1 {
				return successor(t, next) // -0 is 0
			}
			return next
		}
	}
	return nil
}
