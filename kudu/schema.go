package kudu

import (
	"fmt"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Column describes one column of a table or of a projection.
type Column struct {
	// ID is stable over renames and never used again after a drop; zero for a
	// column that did not come from a master.
	ID   int32
	Name string
	Type DataType
	// Key says that the column is part of the primary key.
	Key      bool
	Nullable bool
	// Precision (1..38) and Scale (0..Precision) are set for DECIMAL columns.
	Precision, Scale int
	// Length is the most characters (not bytes) of a VARCHAR column, 1..65535.
	Length int
	// Default is the encoded default cell, nil without a default.
	Default []byte
	Comment string
	// Immutable columns can't be changed once written (Kudu 1.17).
	Immutable bool
	// AutoIncrementing marks the INT64 column that the server fills, the last
	// of the primary key (Kudu 1.17).
	AutoIncrementing bool
	// Encoding, Compression and BlockSize are the storage attributes, as the
	// numbers of Kudu's protocol; 0 leaves the choice to the server.
	Encoding, Compression, BlockSize int32
}

// TypeString is the type as SQL would write it, with its attributes, such as
// DECIMAL(18,2) or VARCHAR(10).
func (c *Column) TypeString() string {
	switch {
	case c.Type.Decimal():
		return fmt.Sprintf("DECIMAL(%d,%d)", c.Precision, c.Scale)
	case c.Type == Varchar:
		return fmt.Sprintf("VARCHAR(%d)", c.Length)
	}
	return c.Type.String()
}

// sameType reports whether a cell of c means the same in o.
func (c *Column) sameType(o *Column) bool {
	return c.Type == o.Type && c.Precision == o.Precision && c.Scale == o.Scale && c.Length == o.Length
}

// Schema is an ordered list of columns. In a table's schema the primary key
// columns come first, in key order; in a projection columns stand in the order
// asked for. A Schema is immutable once made, and safe for concurrent use.
type Schema struct {
	cols   []Column
	keys   int
	byName map[string]int
}

// NewSchema checks the columns and makes a schema of them: names are unique
// and not empty, types known, and decimals and varchars have their attributes.
// A table's schema has its key columns first; a projection may have them
// anywhere, so their place isn't checked here.
func NewSchema(cols []Column) (*Schema, error) {
	s := &Schema{cols: append([]Column(nil), cols...), byName: make(map[string]int, len(cols))}
	for i := range s.cols {
		c := &s.cols[i]
		if c.Name == "" {
			return nil, fmt.Errorf("column %d has no name", i)
		}
		if _, dup := s.byName[c.Name]; dup {
			return nil, fmt.Errorf("column %q is listed twice", c.Name)
		}
		s.byName[c.Name] = i
		if err := checkColumn(c); err != nil {
			return nil, err
		}
	}
	for s.keys < len(s.cols) && s.cols[s.keys].Key {
		s.keys++
	}
	return s, nil
}

func checkColumn(c *Column) error {
	switch {
	case c.Type == Nested:
		return fmt.Errorf("column %q is an array: this client can't read array columns yet; leave the column out of the projection", c.Name)
	case !c.Type.Known():
		return fmt.Errorf("column %q has the unknown type %d: it comes from a Kudu release newer than this client", c.Name, int32(c.Type))
	case c.Type.Decimal():
		if c.Precision < 1 || c.Precision > 38 || c.Scale < 0 || c.Scale > c.Precision {
			return fmt.Errorf("column %q: DECIMAL(%d,%d) is out of range", c.Name, c.Precision, c.Scale)
		}
	case c.Type == Varchar:
		if c.Length < 1 || c.Length > 65535 {
			return fmt.Errorf("column %q: VARCHAR(%d) is out of range", c.Name, c.Length)
		}
	}
	if c.Key && c.Nullable {
		return fmt.Errorf("column %q: a key column can't be nullable", c.Name)
	}
	return nil
}

// NumColumns is the number of columns.
func (s *Schema) NumColumns() int { return len(s.cols) }

// NumKeys is the number of leading key columns: for a table's schema, the
// columns of its primary key.
func (s *Schema) NumKeys() int { return s.keys }

// Column gives the i-th column, to be read only.
func (s *Schema) Column(i int) *Column { return &s.cols[i] }

// Columns gives a copy of all columns.
func (s *Schema) Columns() []Column { return append([]Column(nil), s.cols...) }

// Index is the place of the named column, -1 if there is none.
func (s *Schema) Index(name string) int {
	if i, ok := s.byName[name]; ok {
		return i
	}
	return -1
}

// indexByID is the place of the column with a master's column id, or -1.
func (s *Schema) indexByID(id int32) int {
	for i := range s.cols {
		if s.cols[i].ID == id {
			return i
		}
	}
	return -1
}

// KeyNames lists the primary key columns in key order.
func (s *Schema) KeyNames() []string {
	names := make([]string, s.keys)
	for i := range names {
		names[i] = s.cols[i].Name
	}
	return names
}

// Project makes the schema of a projection: the named columns in that order.
func (s *Schema) Project(names ...string) (*Schema, error) {
	cols := make([]Column, len(names))
	for i, n := range names {
		j := s.Index(n)
		if j < 0 {
			return nil, fmt.Errorf("projecting column %q: the table has no such column", n)
		}
		cols[i] = s.cols[j]
	}
	return NewSchema(cols)
}

// Equal reports whether both have the same columns with the same names, types
// and nullability, in the same order.
func (s *Schema) Equal(o *Schema) bool {
	if s == o {
		return true
	}
	if s == nil || o == nil || len(s.cols) != len(o.cols) || s.keys != o.keys {
		return false
	}
	for i := range s.cols {
		a, b := &s.cols[i], &o.cols[i]
		if a.ID != b.ID || a.Name != b.Name || a.Nullable != b.Nullable || !a.sameType(b) {
			return false
		}
	}
	return true
}

// String lists the columns as SQL would.
func (s *Schema) String() string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range s.cols {
		if i > 0 {
			b.WriteString(", ")
		}
		c := &s.cols[i]
		fmt.Fprintf(&b, "%s %s", c.Name, c.TypeString())
		if !c.Nullable {
			b.WriteString(" NOT NULL")
		}
	}
	if s.keys > 0 {
		fmt.Fprintf(&b, ", PRIMARY KEY (%s)", strings.Join(s.KeyNames(), ", "))
	}
	b.WriteByte(')')
	return b.String()
}

func schemaFromPB(p *pb.SchemaPB) (*Schema, error) {
	cols := make([]Column, len(p.GetColumns()))
	for i, c := range p.GetColumns() {
		cols[i] = columnFromPB(c)
	}
	return newTableSchema(cols)
}

// newTableSchema makes a table's schema. Columns of a type that this client
// can't read stay listed, so that the rest of the table can be read.
func newTableSchema(cols []Column) (*Schema, error) {
	s := &Schema{cols: cols, byName: make(map[string]int, len(cols))}
	for i := range cols {
		c := &cols[i]
		if c.Type.Known() {
			if err := checkColumn(c); err != nil {
				return nil, err
			}
		}
		if _, dup := s.byName[c.Name]; dup || c.Name == "" {
			return nil, fmt.Errorf("the table's schema names column %q twice", c.Name)
		}
		s.byName[c.Name] = i
		if c.Key && s.keys != i {
			return nil, fmt.Errorf("key column %q stands behind a column outside the key", c.Name)
		}
		if c.Key {
			s.keys++
		}
	}
	return s, nil
}

func columnFromPB(c *pb.ColumnSchemaPB) Column {
	col := Column{
		ID:               int32(c.GetId()),
		Name:             c.GetName(),
		Type:             DataType(c.GetType()),
		Key:              c.GetIsKey(),
		Nullable:         c.GetIsNullable(),
		Precision:        int(c.GetTypeAttributes().GetPrecision()),
		Scale:            int(c.GetTypeAttributes().GetScale()),
		Length:           int(c.GetTypeAttributes().GetLength()),
		Comment:          c.GetComment(),
		Immutable:        c.GetImmutable(),
		AutoIncrementing: c.GetIsAutoIncrementing(),
		Encoding:         c.GetEncoding(),
		Compression:      c.GetCompression(),
		BlockSize:        c.GetCfileBlockSize(),
	}
	if d := c.GetWriteDefaultValue(); d != nil {
		col.Default = d
	} else if d := c.GetReadDefaultValue(); d != nil {
		col.Default = d
	}
	return col
}

// projectionPB is the column as a scan request names it: the server wants
// name, type, nullability and type attributes, and refuses an id or a key
// mark.
func (c *Column) projectionPB() *pb.ColumnSchemaPB {
	p := &pb.ColumnSchemaPB{Name: &c.Name, Type: ptr(int32(c.Type)), IsNullable: &c.Nullable}
	switch {
	case c.Type.Decimal():
		p.TypeAttributes = &pb.ColumnTypeAttributesPB{Precision: ptr(int32(c.Precision)), Scale: ptr(int32(c.Scale))}
	case c.Type == Varchar:
		p.TypeAttributes = &pb.ColumnTypeAttributesPB{Length: ptr(int32(c.Length))}
	case c.Type == IsDeleted:
		p.ReadDefaultValue = []byte{0}
	}
	return p
}

func ptr[T any](v T) *T { return &v }
