package kudufake

import (
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

const autoIncrementingName = "auto_incrementing_id"

// column is a column of a table, or of what a client sent.
type column struct {
	id                               int32
	name                             string
	typ                              kudu.DataType
	key, nullable, immutable         bool
	autoIncrementing                 bool
	precision, scale, length         int32
	readDefault, writeDefault        []byte // nil: none
	encoding, compression, blockSize int32
	comment                          string
}

// schema is immutable: an ALTER makes a new one.
type schema struct {
	cols    []*column
	keys    int
	version uint32
	nextID  int32
}

func (s *schema) index(name string) int {
	return slices.IndexFunc(s.cols, func(c *column) bool { return c.name == name })
}

func (s *schema) byID(id int32) int {
	return slices.IndexFunc(s.cols, func(c *column) bool { return c.id == id })
}

func (s *schema) keyColumns() []*column { return s.cols[:s.keys] }

func (s *schema) autoIncrementing() int {
	return slices.IndexFunc(s.cols, func(c *column) bool { return c.autoIncrementing })
}

func hasNullable(cols []*column) bool {
	return slices.ContainsFunc(cols, func(c *column) bool { return c.nullable })
}

// typeString names a column's type as the server's messages do.
func (c *column) typeString() string {
	s := c.typ.String()
	switch {
	case c.typ.Decimal():
		s += fmt.Sprintf("(%d, %d)", c.precision, c.scale)
	case c.typ == kudu.Varchar:
		s += fmt.Sprintf("(%d)", c.length)
	}
	if c.nullable {
		return s + " NULLABLE"
	}
	return s + " NOT NULL"
}

// sameType is what a projection must agree on with the table.
func (c *column) sameType(o *column) bool {
	return c.typ == o.typ && c.nullable == o.nullable && c.precision == o.precision && c.scale == o.scale && c.length == o.length
}

func (c *column) toPB(withID bool) *pb.ColumnSchemaPB {
	p := &pb.ColumnSchemaPB{
		Name: &c.name, Type: new(int32(c.typ)), IsKey: &c.key, IsNullable: &c.nullable,
		Encoding: &c.encoding, Compression: &c.compression, CfileBlockSize: &c.blockSize,
		ReadDefaultValue: c.readDefault, WriteDefaultValue: c.writeDefault,
		Immutable: &c.immutable, IsAutoIncrementing: &c.autoIncrementing, Comment: &c.comment,
	}
	if withID {
		p.Id = new(uint32(c.id))
	}
	switch {
	case c.typ.Decimal():
		p.TypeAttributes = &pb.ColumnTypeAttributesPB{Precision: &c.precision, Scale: &c.scale}
	case c.typ == kudu.Varchar:
		p.TypeAttributes = &pb.ColumnTypeAttributesPB{Length: &c.length}
	}
	return p
}

func (s *schema) toPB() *pb.SchemaPB {
	p := &pb.SchemaPB{}
	for _, c := range s.cols {
		p.Columns = append(p.Columns, c.toPB(true))
	}
	return p
}

func columnFromPB(p *pb.ColumnSchemaPB) (*column, *failure) {
	c := &column{
		id: int32(p.GetId()), name: p.GetName(), typ: kudu.DataType(p.GetType()), key: p.GetIsKey(), nullable: p.GetIsNullable(),
		precision: p.GetTypeAttributes().GetPrecision(), scale: p.GetTypeAttributes().GetScale(), length: p.GetTypeAttributes().GetLength(),
		readDefault: p.ReadDefaultValue, writeDefault: p.WriteDefaultValue, immutable: p.GetImmutable(),
		autoIncrementing: p.GetIsAutoIncrementing(), encoding: p.GetEncoding(), compression: p.GetCompression(),
		blockSize: p.GetCfileBlockSize(), comment: p.GetComment(),
	}
	if !c.typ.Known() {
		return nil, badArgument("'type' field is missing")
	}
	for _, d := range []*[]byte{&c.readDefault, &c.writeDefault} {
		if *d == nil || c.typ.VarLen() {
			continue
		}
		if len(*d) < c.typ.Size() {
			return nil, appFailure(0, stCorruption, "Not enough bytes for %s: default size (%d) less than type size (%d)", c.typ, len(*d), c.typ.Size())
		}
		*d = (*d)[:c.typ.Size()]
	}
	return c, nil
}

// columnsFromPB reads a list of columns as the server's ColumnPBsToSchema does
// (kudu-1.18.1 src/kudu/common/wire_protocol.cc): names are unique, keys come
// first and hold no NULL, a virtual column has a default.
func columnsFromPB(ps []*pb.ColumnSchemaPB) (cols []*column, keys int, hasIDs bool, f *failure) {
	seen := make(map[string]bool)
	inKey := true
	ids := 0
	for _, p := range ps {
		switch {
		case !p.GetIsKey():
			inKey = false
		case !inKey:
			return nil, 0, false, badArgument("Got out-of-order key column: %s", p.GetName())
		default:
			keys++
		}
		c, f := columnFromPB(p)
		if f != nil {
			return nil, 0, false, f
		}
		cols = append(cols, c)
		if p.Id != nil {
			ids++
		}
	}
	if ids > 0 && ids != len(cols) {
		return nil, 0, false, badArgument("Bad schema: The number of ids does not match with the number of columns")
	}
	for i, c := range cols {
		if i < keys && c.nullable {
			return nil, 0, false, badArgument("Bad schema: Nullable key columns are not supported: %s", c.name)
		}
	}
	for _, c := range cols {
		switch {
		case c.name == "":
			return nil, 0, false, badArgument("column names must be non-empty")
		case c.name == autoIncrementingName && !c.autoIncrementing && keys != 0:
			return nil, 0, false, badArgument("%s is a reserved column name", autoIncrementingName)
		case seen[c.name]:
			return nil, 0, false, badArgument("Duplicate column name: %s", c.name)
		}
		seen[c.name] = true
	}
	for _, c := range cols {
		if c.typ != kudu.IsDeleted {
			continue
		}
		if c.nullable {
			return nil, 0, false, badArgument("Virtual column %s should not be nullable", c.name)
		}
		if c.readDefault == nil {
			return nil, 0, false, badArgument("Virtual column %s must have a default value for read", c.name)
		}
		break
	}
	return cols, keys, ids > 0, nil
}

// newSchema makes a table's first schema; f carries no code.
func newSchema(cols []*column, keys int) (*schema, *failure) {
	if keys == 0 {
		return nil, badArgument("must specify at least one key column")
	}
	s := &schema{keys: keys}
	for _, c := range cols {
		if c.typ == kudu.IsDeleted {
			return nil, badArgument("may not create virtual column of type 'is_deleted' (column '%s')", c.name)
		}
		if c.key && !c.typ.Key() {
			return nil, badArgument("key column may not have type of BOOL, FLOAT, DOUBLE, or NESTED (e.g., array)")
		}
		own := *c
		own.id = s.nextID
		s.nextID++
		s.cols = append(s.cols, &own)
		s.cols[len(s.cols)-1].fillDefaults()
	}
	return s, nil
}

// fillDefaults makes both defaults of a new column the same: clients send one.
func (c *column) fillDefaults() {
	if c.writeDefault != nil {
		c.readDefault = c.writeDefault
	} else if c.readDefault != nil {
		c.writeDefault = c.readDefault
	}
	if c.encoding == 0 {
		c.encoding = 1 // AUTO_ENCODING
	}
}
