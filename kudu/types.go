package kudu

import "fmt"

// DataType is a column type. The numbers are those of Kudu's wire protocol
// (DataType in src/kudu/common/common.proto, release 1.18.1).
type DataType int32

// The column types. Unsigned integers and Int128 occur on the wire, but no
// client can create such columns. Kudu shows DECIMAL columns as one of three
// widths, chosen by the precision: up to 9, 18 and 38 digits.
const (
	Uint8          DataType = 0
	Int8           DataType = 1
	Uint16         DataType = 2
	Int16          DataType = 3
	Uint32         DataType = 4
	Int32          DataType = 5
	Uint64         DataType = 6
	Int64          DataType = 7
	String         DataType = 8
	Bool           DataType = 9
	Float          DataType = 10
	Double         DataType = 11
	Binary         DataType = 12
	UnixtimeMicros DataType = 13
	Int128Type     DataType = 14
	Decimal32      DataType = 15
	Decimal64      DataType = 16
	Decimal128     DataType = 17
	IsDeleted      DataType = 18
	Varchar        DataType = 19
	Date           DataType = 20
	// Nested is the type of array columns, which come with Kudu 1.19. This
	// client names it in an error and does not read it.
	Nested DataType = 21
)

type typeInfo struct {
	name string
	size int // bytes of a cell; 0 for types of variable length
	key  bool
}

var typeInfos = [...]typeInfo{
	Uint8:          {"UINT8", 1, true},
	Int8:           {"INT8", 1, true},
	Uint16:         {"UINT16", 2, true},
	Int16:          {"INT16", 2, true},
	Uint32:         {"UINT32", 4, true},
	Int32:          {"INT32", 4, true},
	Uint64:         {"UINT64", 8, true},
	Int64:          {"INT64", 8, true},
	String:         {"STRING", 0, true},
	Bool:           {"BOOL", 1, false},
	Float:          {"FLOAT", 4, false},
	Double:         {"DOUBLE", 8, false},
	Binary:         {"BINARY", 0, true},
	UnixtimeMicros: {"UNIXTIME_MICROS", 8, true},
	Int128Type:     {"INT128", 16, true},
	Decimal32:      {"DECIMAL32", 4, true},
	Decimal64:      {"DECIMAL64", 8, true},
	Decimal128:     {"DECIMAL128", 16, true},
	IsDeleted:      {"IS_DELETED", 1, false},
	Varchar:        {"VARCHAR", 0, true},
	Date:           {"DATE", 4, true},
}

// Known reports whether this client can read and write columns of the type.
func (t DataType) Known() bool { return t >= 0 && int(t) < len(typeInfos) }

// Size is the width of a cell in bytes; 0 for types of variable length.
func (t DataType) Size() int {
	if !t.Known() {
		return 0
	}
	return typeInfos[t].size
}

// VarLen reports whether cells of the type vary in length: STRING, BINARY and
// VARCHAR.
func (t DataType) VarLen() bool { return t == String || t == Binary || t == Varchar }

// Decimal reports whether the type is one of the three DECIMAL widths.
func (t DataType) Decimal() bool { return t == Decimal32 || t == Decimal64 || t == Decimal128 }

// Key reports whether Kudu lets the type be part of a primary key.
func (t DataType) Key() bool { return t.Known() && typeInfos[t].key }

// String is the name of the type as Kudu's tools write it.
func (t DataType) String() string {
	switch {
	case t == Nested:
		return "NESTED"
	case !t.Known():
		return fmt.Sprintf("type(%d)", int32(t))
	}
	return typeInfos[t].name
}
