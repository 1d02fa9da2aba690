package kudu

import (
	"context"
	"errors"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Storage attributes of a column, for Column.Encoding and Column.Compression
// (EncodingType in kudu-1.18.1 src/kudu/common/common.proto, CompressionType in
// src/kudu/util/compression/compression.proto). Zero leaves the choice to the
// server.
const (
	EncodingPlain      int32 = 1
	EncodingPrefix     int32 = 2
	EncodingRunLength  int32 = 4
	EncodingDictionary int32 = 5
	EncodingBitShuffle int32 = 6

	CompressionNone   int32 = 1
	CompressionSnappy int32 = 2
	CompressionLZ4    int32 = 3
	CompressionZlib   int32 = 4
)

// autoIncrementingName is the name that Kudu gives the column it fills.
const autoIncrementingName = "auto_incrementing_id"

// Features of a master that a request names when it depends on them
// (MasterFeatures in kudu-1.18.1 src/kudu/master/master.proto).
const (
	masterFeatureRangeBounds      = 1
	masterFeatureAddDropRanges    = 2
	masterFeatureRangeHash        = 8
	masterFeatureImmutable        = 10
	masterFeatureAutoIncrementing = 11
)

// TableSpec describes a table to create.
type TableSpec struct {
	Name string
	// Columns are the table's columns, those of the primary key first.
	Columns []Column
	// AutoIncrementing makes the key columns a non-unique key: Kudu appends the
	// INT64 column auto_incrementing_id to it (servers since 1.17).
	AutoIncrementing bool
	// Hash spreads rows over buckets, in as many dimensions as are listed.
	Hash []HashDimension
	// Range lists the columns of range partitioning, Ranges its partitions;
	// without any, one range holds all rows.
	Range  []string
	Ranges []RangePartition
	// Replicas is the replication factor, odd; zero leaves it to the server.
	Replicas int
	Owner    string // default: the user that creates the table
	Comment  string
	// ExtraConfigs are settings such as kudu.table.history_max_age_sec.
	ExtraConfigs map[string]string
}

// RangePartition is a range of rows, [Lower, Upper) unless told otherwise. The
// bounds have one value per range column; a nil bound is open.
type RangePartition struct {
	Lower, Upper   []any
	LowerExclusive bool
	UpperInclusive bool
	// Hash stands in for the table's hash dimensions in this range (servers
	// since 1.17). It has as many dimensions as the table.
	Hash []HashDimension
}

// CreateTable creates a table, waits until all its tablets are there, and opens
// it.
func (c *Client) CreateTable(ctx context.Context, spec TableSpec) (*Table, error) {
	const op = "creating"
	req, features, err := spec.request()
	if err != nil {
		return nil, &Error{Op: op, Table: spec.Name, Err: err}
	}
	resp := &pb.CreateTableResponsePB{}
	if err := c.masters.call(ctx, op, "CreateTable", features, req, resp); err != nil {
		return nil, withTable(err, op, spec.Name)
	}
	id := &pb.TableIdentifierPB{TableId: resp.GetTableId()}
	done := &pb.IsCreateTableDoneResponsePB{}
	err = c.await(ctx, op, func(ctx context.Context) (bool, error) {
		err := c.masters.call(ctx, op, "IsCreateTableDone", nil, &pb.IsCreateTableDoneRequestPB{Table: id}, done)
		return done.GetDone(), err
	})
	if err != nil {
		return nil, withTable(err, op, spec.Name)
	}
	return c.openTable(ctx, id, spec.Name)
}

// await asks until the answer is yes.
func (c *Client) await(ctx context.Context, op string, ask func(context.Context) (bool, error)) error {
	return c.retry(ctx, op, func(ctx context.Context) error {
		done, err := ask(ctx)
		if err == nil && !done {
			return &Error{Op: op, Class: ClassRetry, Sent: true, Err: errors.New("not done yet")}
		}
		return err
	})
}

func (spec *TableSpec) request() (*pb.CreateTableRequestPB, []uint32, error) {
	cols := append([]Column(nil), spec.Columns...)
	if spec.AutoIncrementing {
		keys := 0
		for keys < len(cols) && cols[keys].Key {
			keys++
		}
		auto := Column{Name: autoIncrementingName, Type: Int64, Key: true, AutoIncrementing: true}
		cols = append(cols[:keys:keys], append([]Column{auto}, cols[keys:]...)...)
	}
	schema, err := NewSchema(cols)
	if err != nil {
		return nil, nil, err
	}
	for i := schema.keys; i < len(schema.cols); i++ {
		if schema.cols[i].Key {
			return nil, nil, fmt.Errorf("key column %q stands behind a column outside the key", schema.cols[i].Name)
		}
	}
	if schema.keys == 0 {
		return nil, nil, errors.New("the table has no primary key")
	}
	var features featureSet
	req := &pb.CreateTableRequestPB{
		Name: &spec.Name, Schema: &pb.SchemaPB{}, ExtraConfigs: spec.ExtraConfigs,
		PartitionSchema: &pb.PartitionSchemaPB{HashSchema: hashPB(spec.Hash), RangeSchema: &pb.RangeSchemaPB{}},
	}
	for i := range schema.cols {
		req.Schema.Columns = append(req.Schema.Columns, schema.cols[i].createPB())
		features.column(&schema.cols[i])
	}
	if spec.Replicas != 0 {
		req.NumReplicas = ptr(int32(spec.Replicas))
	}
	if spec.Owner != "" {
		req.Owner = &spec.Owner
	}
	if spec.Comment != "" {
		req.Comment = &spec.Comment
	}
	for _, name := range spec.Range {
		req.PartitionSchema.RangeSchema.Columns = append(req.PartitionSchema.RangeSchema.Columns, &pb.ColumnIdentifierPB{Name: &name})
	}
	if err := spec.addRanges(req, schema, &features); err != nil {
		return nil, nil, err
	}
	return req, features.list(), nil
}

// addRanges puts the range partitions into the request: all of them beside the
// partition schema, or, when one has hash dimensions of its own, all of them in
// it.
func (spec *TableSpec) addRanges(req *pb.CreateTableRequestPB, schema *Schema, features *featureSet) error {
	custom := false
	for i := range spec.Ranges {
		custom = custom || spec.Ranges[i].Hash != nil
	}
	layout := newRowLayout(schema)
	all := &pb.RowOperationsPB{}
	for i := range spec.Ranges {
		r := &spec.Ranges[i]
		features.ranges(r)
		ops := all
		if custom {
			ops = &pb.RowOperationsPB{}
		}
		if err := r.appendBounds(ops, layout, spec.Range); err != nil {
			return fmt.Errorf("range partition %d: %w", i, err)
		}
		if custom {
			hash := r.Hash
			if hash == nil {
				hash = spec.Hash
			}
			req.PartitionSchema.CustomHashSchemaRanges = append(req.PartitionSchema.CustomHashSchemaRanges,
				&pb.RangeWithHashSchemaPB{RangeBounds: ops, HashSchema: hashPB(hash)})
		}
	}
	if len(spec.Ranges) > 0 && !custom {
		req.SplitRowsRangeBounds = all
	}
	return nil
}

// appendBounds appends the two rows that bound the range.
func (r *RangePartition) appendBounds(ops *pb.RowOperationsPB, layout *rowLayout, columns []string) error {
	if len(columns) == 0 {
		return errors.New("the table isn't partitioned by ranges")
	}
	for _, b := range []struct {
		values []any
		kind   OpKind
	}{
		{r.Lower, kindIf(r.LowerExclusive && r.Lower != nil, opRangeLowerExclusive, opRangeLower)},
		{r.Upper, kindIf(r.UpperInclusive && r.Upper != nil, opRangeUpperInclusive, opRangeUpper)},
	} {
		if b.values != nil && len(b.values) != len(columns) {
			return fmt.Errorf("a bound has %d values for %d range columns", len(b.values), len(columns))
		}
		row := newRow(layout)
		for i, v := range b.values {
			row.Set(columns[i], v)
		}
		if row.err != nil {
			return row.err
		}
		ops.Rows, ops.IndirectData = appendOp(ops.Rows, ops.IndirectData, b.kind, row)
	}
	return nil
}

func kindIf(cond bool, yes, no OpKind) OpKind {
	if cond {
		return yes
	}
	return no
}

func hashPB(dims []HashDimension) []*pb.HashBucketSchemaPB {
	var out []*pb.HashBucketSchemaPB
	for _, d := range dims {
		h := &pb.HashBucketSchemaPB{NumBuckets: ptr(int32(d.Buckets)), Seed: ptr(d.Seed)}
		for _, name := range d.Columns {
			h.Columns = append(h.Columns, &pb.ColumnIdentifierPB{Name: &name})
		}
		out = append(out, h)
	}
	return out
}

// createPB is the column as a request to make it describes it.
func (c *Column) createPB() *pb.ColumnSchemaPB {
	p := c.projectionPB()
	p.IsKey = &c.Key
	if c.Default != nil {
		p.ReadDefaultValue, p.WriteDefaultValue = c.Default, c.Default
	}
	if c.Comment != "" {
		p.Comment = &c.Comment
	}
	if c.Immutable {
		p.Immutable = ptr(true)
	}
	if c.AutoIncrementing {
		p.IsAutoIncrementing = ptr(true)
	}
	if c.Encoding != 0 {
		p.Encoding = &c.Encoding
	}
	if c.Compression != 0 {
		p.Compression = &c.Compression
	}
	if c.BlockSize != 0 {
		p.CfileBlockSize = &c.BlockSize
	}
	return p
}

// SetDefault sets the value that rows without one get, of the Go types that
// value.go lists; nil is no default.
func (c *Column) SetDefault(v any) error {
	c.Default = nil
	if v == nil {
		return nil
	}
	cell, err := appendCell([]byte{}, c, v)
	if err != nil {
		return fmt.Errorf("setting a default: %w", err)
	}
	c.Default = cell
	return nil
}

// DefaultValue gives the column's default as ColumnView.Value would, nil
// without one.
func (c *Column) DefaultValue() any {
	if c.Default == nil || !c.Type.Known() {
		return nil
	}
	switch {
	case c.Type == Binary:
		return append([]byte{}, c.Default...)
	case c.Type.VarLen():
		return string(c.Default)
	case len(c.Default) != c.Type.Size():
		return nil
	}
	v := ColumnView{typ: c.Type, data: c.Default}
	return v.Value(0)
}

// featureSet gathers what a request needs the master to know.
type featureSet struct{ flags []uint32 }

func (f *featureSet) add(flag uint32) {
	for _, have := range f.flags {
		if have == flag {
			return
		}
	}
	f.flags = append(f.flags, flag)
}

func (f *featureSet) column(c *Column) {
	if c.Immutable {
		f.add(masterFeatureImmutable)
	}
	if c.AutoIncrementing {
		f.add(masterFeatureAutoIncrementing)
	}
}

func (f *featureSet) ranges(r *RangePartition) {
	f.add(masterFeatureRangeBounds)
	if r.Hash != nil {
		f.add(masterFeatureRangeHash)
	}
}

func (f *featureSet) list() []uint32 { return f.flags }

// DeleteTable drops the table with the name.
func (c *Client) DeleteTable(ctx context.Context, name string) error {
	return c.deleteTable(ctx, &pb.TableIdentifierPB{TableName: &name}, name)
}

// Delete drops this very table, even if it has got another name meanwhile.
func (t *Table) Delete(ctx context.Context) error {
	return t.c.deleteTable(ctx, t.identifier(), t.name)
}

func (c *Client) deleteTable(ctx context.Context, id *pb.TableIdentifierPB, name string) error {
	const op = "dropping"
	err := c.masters.call(ctx, op, "DeleteTable", nil, &pb.DeleteTableRequestPB{Table: id}, &pb.DeleteTableResponsePB{})
	if err != nil {
		return withTable(err, op, name)
	}
	return nil
}

// TableInfo is a line of ListTables.
type TableInfo struct {
	ID, Name string
	LiveRows int64 // -1 when the master doesn't tell
	Tablets  int
	Replicas int
}

// ListTables lists the tables whose names contain the filter; all, when it is
// empty.
func (c *Client) ListTables(ctx context.Context, filter string) ([]TableInfo, error) {
	const op = "listing tables"
	req := &pb.ListTablesRequestPB{}
	if filter != "" {
		req.NameFilter = &filter
	}
	resp := &pb.ListTablesResponsePB{}
	if err := c.masters.call(ctx, op, "ListTables", nil, req, resp); err != nil {
		return nil, err
	}
	out := make([]TableInfo, len(resp.GetTables()))
	for i, t := range resp.GetTables() {
		out[i] = TableInfo{ID: string(t.GetId()), Name: t.GetName(), LiveRows: -1, Tablets: int(t.GetNumTablets()), Replicas: int(t.GetNumReplicas())}
		if t.LiveRowCount != nil {
			out[i].LiveRows = t.GetLiveRowCount()
		}
	}
	return out, nil
}

// TableStatistics is what the masters know of a table's size, from the tablet
// servers' heartbeats: some seconds old. -1 stands for unknown or no limit.
type TableStatistics struct {
	LiveRows, DiskBytes      int64
	RowLimit, DiskLimitBytes int64
}

// Statistics asks for the table's size.
func (t *Table) Statistics(ctx context.Context) (TableStatistics, error) {
	const op = "measuring"
	resp := &pb.GetTableStatisticsResponsePB{}
	err := t.c.masters.call(ctx, op, "GetTableStatistics", nil, &pb.GetTableStatisticsRequestPB{Table: t.identifier()}, resp)
	if err != nil {
		return TableStatistics{}, withTable(err, op, t.name)
	}
	known := func(v *int64) int64 {
		if v == nil {
			return -1
		}
		return *v
	}
	return TableStatistics{
		LiveRows: known(resp.LiveRowCount), DiskBytes: known(resp.OnDiskSize),
		RowLimit: known(resp.RowCountLimit), DiskLimitBytes: known(resp.DiskSizeLimit),
	}, nil
}
