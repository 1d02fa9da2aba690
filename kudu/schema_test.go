package kudu

import (
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func TestFaultyColumnsAreRefused(t *testing.T) {
	for _, c := range []struct {
		cols []Column
		want string
	}{
		{[]Column{{Type: Int8}}, "column 0 has no name"},
		{[]Column{{Name: "a", Type: Int8}, {Name: "a", Type: Int16}}, `"a" is listed twice`},
		{[]Column{{Name: "a", Type: Nested}}, `"a" is an array`},
		{[]Column{{Name: "a", Type: 22}}, "unknown type 22"},
		{[]Column{{Name: "a", Type: -1}}, "unknown type -1"},
		{[]Column{{Name: "a", Type: 999}}, "unknown type 999"},
		{[]Column{{Name: "a", Type: Decimal32}}, "DECIMAL(0,0)"},
		{[]Column{{Name: "a", Type: Decimal128, Precision: 39}}, "DECIMAL(39,0)"},
		{[]Column{{Name: "a", Type: Decimal64, Precision: 10, Scale: 11}}, "DECIMAL(10,11)"},
		{[]Column{{Name: "a", Type: Decimal64, Precision: 10, Scale: -1}}, "DECIMAL(10,-1)"},
		{[]Column{{Name: "a", Type: Varchar}}, "VARCHAR(0)"},
		{[]Column{{Name: "a", Type: Varchar, Length: 65536}}, "VARCHAR(65536)"},
		{[]Column{{Name: "a", Type: Int8, Key: true, Nullable: true}}, "key column can't be nullable"},
	} {
		s, err := NewSchema(c.cols)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, %v, want %q in it", c.cols, s, err, c.want)
		}
	}
}

func ordersSchema(t *testing.T) *Schema {
	return mustSchema(t,
		Column{ID: 10, Name: "id", Type: Int64, Key: true},
		Column{ID: 11, Name: "region", Type: Varchar, Length: 8, Key: true},
		Column{ID: 12, Name: "price", Type: Decimal64, Precision: 18, Scale: 2, Nullable: true},
		Column{ID: 13, Name: "note", Type: String},
	)
}

func TestSchemasFindAndProjectTheirColumns(t *testing.T) {
	s := ordersSchema(t)
	if got := s.KeyNames(); s.NumKeys() != 2 || !slices.Equal(got, []string{"id", "region"}) {
		t.Errorf("key columns: %v", got)
	}
	if s.Index("price") != 2 || s.Index("Price") != -1 || s.indexByID(13) != 3 || s.indexByID(1) != -1 {
		t.Error("columns aren't found by name and id")
	}
	if got, want := s.String(), "(id INT64 NOT NULL, region VARCHAR(8) NOT NULL, price DECIMAL(18,2), note STRING NOT NULL, PRIMARY KEY (id, region))"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	p, err := s.Project("note", "id")
	if err != nil {
		t.Fatal(err)
	}
	if p.NumColumns() != 2 || p.Column(0).Name != "note" || p.Column(1).ID != 10 || p.NumKeys() != 0 {
		t.Errorf("projection: %v", p)
	}
	if _, err := s.Project("id", "missing"); err == nil || !strings.Contains(err.Error(), `"missing"`) {
		t.Errorf("projecting a column that isn't there: %v", err)
	}
	if _, err := s.Project("id", "id"); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("projecting a column twice: %v", err)
	}
	cols := s.Columns()
	cols[0].Name = "changed"
	if s.Column(0).Name != "id" {
		t.Error("Columns gives the schema's own memory")
	}
}

func TestSchemasAreEqualWhenCellsMeanTheSame(t *testing.T) {
	s := ordersSchema(t)
	if !s.Equal(s) || !s.Equal(ordersSchema(t)) || s.Equal(nil) {
		t.Error("equal schemas are said to differ, or the other way round")
	}
	for name, change := range map[string]func(c []Column){
		"name": func(c []Column) { c[3].Name = "x" }, "type": func(c []Column) { c[3].Type = Binary },
		"scale": func(c []Column) { c[2].Scale = 3 }, "length": func(c []Column) { c[1].Length = 9 },
		"nulls": func(c []Column) { c[3].Nullable = true }, "key": func(c []Column) { c[1].Key = false },
		"id": func(c []Column) { c[0].ID = 99 },
	} {
		cols := s.Columns()
		change(cols)
		if s.Equal(mustSchema(t, cols...)) {
			t.Errorf("another %s goes unnoticed", name)
		}
	}
	if s.Equal(mustSchema(t, s.Columns()[:3]...)) {
		t.Error("a missing column goes unnoticed")
	}
}

func columnPB(name string, typ DataType, key bool) *pb.ColumnSchemaPB {
	return &pb.ColumnSchemaPB{Name: &name, Type: ptr(int32(typ)), IsKey: &key}
}

// A table with an array column, or one of a type of the future, can be read
// without that column.
func TestTablesWithUnknownTypesOpenAndProjectWithoutThem(t *testing.T) {
	s, err := schemaFromPB(&pb.SchemaPB{Columns: []*pb.ColumnSchemaPB{
		columnPB("id", Int64, true), columnPB("tags", Nested, false), columnPB("future", 77, false), columnPB("note", String, false),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if s.NumColumns() != 4 || s.NumKeys() != 1 {
		t.Errorf("schema: %v", s)
	}
	if got, want := s.String(), "(id INT64 NOT NULL, tags NESTED NOT NULL, future type(77) NOT NULL, note STRING NOT NULL, PRIMARY KEY (id))"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := s.Project("id", "note"); err != nil {
		t.Errorf("projecting the columns of known types: %v", err)
	}
	all := ScanOptions{}
	for _, o := range []ScanOptions{all, {Columns: []string{"id", "tags"}}} {
		if _, err := o.projection(s); err == nil || !strings.Contains(err.Error(), `"tags" is an array`) {
			t.Errorf("scanning %v: %v", o.Columns, err)
		}
	}
}

func TestMalformedTableSchemasAreRefused(t *testing.T) {
	nullableKey := columnPB("id", Int64, true)
	nullableKey.IsNullable = ptr(true)
	for want, cols := range map[string][]*pb.ColumnSchemaPB{
		`names column "id" twice`: {columnPB("id", Int64, true), columnPB("id", Int8, false)},
		`names column "" twice`:   {columnPB("", Int64, true)},
		"behind a column outside": {columnPB("a", Int64, false), columnPB("b", Int64, true)},
		"can't be nullable":       {nullableKey},
		"DECIMAL(0,0)":            {columnPB("a", Decimal32, false)},
	} {
		if s, err := schemaFromPB(&pb.SchemaPB{Columns: cols}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", s, err, want)
		}
	}
}

func TestColumnsKeepWhatTheMasterSays(t *testing.T) {
	p := columnPB("id", Decimal64, true)
	p.Id, p.Comment, p.Immutable, p.IsAutoIncrementing = ptr(uint32(10)), ptr("why"), ptr(true), ptr(true)
	p.TypeAttributes = &pb.ColumnTypeAttributesPB{Precision: ptr(int32(12)), Scale: ptr(int32(3))}
	p.ReadDefaultValue = []byte{1}
	c := columnFromPB(p)
	if c.ID != 10 || c.Comment != "why" || !c.Immutable || !c.AutoIncrementing || c.TypeString() != "DECIMAL(12,3)" || string(c.Default) != "\x01" {
		t.Errorf("%+v", c)
	}
	p.WriteDefaultValue = []byte{2}
	if c := columnFromPB(p); string(c.Default) != "\x02" {
		t.Errorf("default %x: what new rows get counts", c.Default)
	}
}

// A server refuses a projected column with an id or a key mark, or without its
// type attributes.
func TestProjectedColumnsNameWhatTheServerWants(t *testing.T) {
	s := ordersSchema(t)
	for i := range s.NumColumns() {
		c := s.Column(i)
		p := c.projectionPB()
		if p.Id != nil || p.IsKey != nil || p.GetName() != c.Name || DataType(p.GetType()) != c.Type || p.GetIsNullable() != c.Nullable {
			t.Errorf("%s: %v", c.Name, p)
		}
		a := p.GetTypeAttributes()
		if int(a.GetPrecision()) != c.Precision || int(a.GetScale()) != c.Scale || int(a.GetLength()) != c.Length {
			t.Errorf("%s: attributes %v", c.Name, a)
		}
	}
	deleted := Column{Name: "d", Type: IsDeleted}
	if p := deleted.projectionPB(); string(p.GetReadDefaultValue()) != "\x00" {
		t.Errorf("the is-deleted column needs a default: %v", p)
	}
}
