package predicate

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

type orderList struct {
	Items []*orderItem `parser:"@@ ( ',' @@ )*"`
}

type orderItem struct {
	Pos       lexer.Position
	Name      string `parser:"@( Ident | Quoted )"`
	Direction string `parser:"@( 'ASC' | 'DESC' )?"`
	NullsLast bool   `parser:"( @'NULLS' 'LAST' )?"`
}

var (
	orderKeywords = keywords("ASC DESC NULLS LAST FIRST")
	orderParser   = participle.MustBuild[orderList](participle.Lexer(language{}), participle.UseLookahead(0))
)

func orderExpected(prefix []lexer.Token) string {
	if len(prefix) == 0 {
		return "a column"
	}
	switch last := prefix[len(prefix)-1].Value; last {
	case ",":
		return "a column"
	case "ASC", "DESC":
		return "NULLS LAST, a comma or the end"
	case "NULLS":
		return "LAST: NULLs always come last"
	case "LAST":
		return "a comma or the end"
	}
	return "ASC, DESC, NULLS LAST, a comma or the end"
}

// OrderKey is one column that rows are ordered by.
type OrderKey struct {
	Column string // of the table
	Index  int    // of the column in the table's schema
	Desc   bool
}

// Order is an order of rows by several columns. NULLs come last in either
// direction; floats are ordered as in conditions, NaN above all. It is
// immutable.
type Order struct {
	keys []OrderKey
	cols []*kudu.Column
}

// OrderBy reads an order, such as `due, priority DESC NULLS LAST`, and binds it
// to the schema of a table. Each text may hold a list itself. Errors are of
// type *Error, several joined.
func OrderBy(schema *kudu.Schema, texts ...string) (*Order, error) {
	o := &Order{}
	var faults []error
	seen := map[int]bool{}
	for _, text := range texts {
		list, err := parseList(orderParser, text, orderKeywords, orderExpected)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		b := &binder{text: text, schema: schema}
		for _, it := range list.Items {
			i := b.find(it.Pos.Offset, it.Name)
			if i < 0 {
				continue
			}
			col := schema.Column(i)
			switch {
			case domainOf(col.Type) == domNone:
				b.fault(it.Pos.Offset, fmt.Sprintf("column %q is %s, whose values have no order", col.Name, col.TypeString()), "")
			case seen[i]:
				b.fault(it.Pos.Offset, fmt.Sprintf("column %q is listed twice", col.Name), "remove one")
			}
			seen[i] = true
			o.keys = append(o.keys, OrderKey{Column: col.Name, Index: i, Desc: it.Direction == "DESC"})
			o.cols = append(o.cols, col)
		}
		faults = append(faults, b.faults...)
	}
	if err := joined(faults); err != nil {
		return nil, err
	}
	return o, nil
}

// Keys are the columns in their order, to be read only.
func (o *Order) Keys() []OrderKey { return o.keys }

// Comparer compares rows of batches by an Order. It is immutable and doesn't
// allocate.
type Comparer struct {
	keys []OrderKey
	cols []int // place in the projection of each key
}

// Comparer makes a comparer for batches of a projection, which has to have all
// columns of the order.
func (o *Order) Comparer(projection *kudu.Schema) (*Comparer, error) {
	c := &Comparer{keys: o.keys, cols: make([]int, len(o.keys))}
	for i, k := range o.keys {
		j := projection.Index(k.Column)
		if j < 0 {
			return nil, fmt.Errorf("ordering rows: the projection has no column %q", k.Column)
		}
		if got, want := projection.Column(j).TypeString(), o.cols[i].TypeString(); got != want {
			return nil, fmt.Errorf("ordering rows: column %q is %s in the projection, %s in the order", k.Column, got, want)
		}
		c.cols[i] = j
	}
	return c, nil
}

// Compare is below, equal to or above zero as row i of a comes before row j of
// b, stands beside it, or comes after it. Both batches are of the projection.
func (c *Comparer) Compare(a *kudu.RowBatch, i int, b *kudu.RowBatch, j int) int {
	for k, col := range c.cols {
		va, vb := a.Column(col), b.Column(col)
		switch na, nb := va.IsNull(i), vb.IsNull(j); {
		case na && nb:
			continue
		case na:
			return 1
		case nb:
			return -1
		}
		if d := compareCells(va, i, vb, j); d != 0 {
			if c.keys[k].Desc {
				return -d
			}
			return d
		}
	}
	return 0
}

// AppendKey appends bytes that are ordered as Compare orders the rows, where one
// row is to be compared with many.
func (c *Comparer) AppendKey(dst []byte, b *kudu.RowBatch, row int) []byte {
	for k, col := range c.cols {
		v := b.Column(col)
		if v.IsNull(row) {
			dst = append(dst, 1)
			continue
		}
		dst = append(dst, 0)
		from := len(dst)
		switch v.Type() {
		case kudu.String, kudu.Varchar, kudu.Binary:
			for _, x := range v.Bytes(row) {
				if dst = append(dst, x); x == 0 {
					dst = append(dst, 0xff)
				}
			}
			dst = append(dst, 0, 0) // before whatever goes on
		case kudu.Decimal128:
			n := v.Int128(row)
			dst = binary.BigEndian.AppendUint64(dst, uint64(n.Hi)^1<<63)
			dst = binary.BigEndian.AppendUint64(dst, n.Lo)
		default:
			dst = binary.BigEndian.AppendUint64(dst, uint64(cellKey(v, row))^1<<63)
		}
		if c.keys[k].Desc {
			for i := from; i < len(dst); i++ {
				dst[i] = ^dst[i]
			}
		}
	}
	return dst
}

func compareCells(a *kudu.ColumnView, i int, b *kudu.ColumnView, j int) int {
	switch a.Type() {
	case kudu.String, kudu.Varchar, kudu.Binary:
		return bytes.Compare(a.Bytes(i), b.Bytes(j))
	case kudu.Decimal128:
		return a.Int128(i).Cmp(b.Int128(j))
	}
	x, y := cellKey(a, i), cellKey(b, j)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// cellKey is a cell of the domain of integers as such.
func cellKey(v *kudu.ColumnView, i int) int64 {
	switch v.Type() {
	case kudu.Bool:
		if v.Bool(i) {
			return 1
		}
		return 0
	case kudu.Float:
		return floatKey(float64(v.Float32(i)))
	case kudu.Double:
		return floatKey(v.Float64(i))
	}
	return v.Int(i)
}
