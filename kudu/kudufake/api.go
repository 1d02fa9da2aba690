package kudufake

import (
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// TableSpec describes a table for CreateTable.
type TableSpec struct {
	Name string
	// Columns, those of the primary key (Key) first; ids are ignored.
	Columns []kudu.Column
	Hash    []kudu.HashDimension
	// Range lists the range partition columns. Without Ranges one range holds
	// all.
	Range  []string
	Ranges []RangeSpec
	// Replicas is the replication factor. Default Options.Replicas.
	Replicas     int
	Owner        string
	Comment      string
	ExtraConfigs map[string]string
}

// RangeSpec is a range partition: values of the range columns from the first
// on, none for an open bound. Hash, if not nil, holds instead of the table's.
type RangeSpec struct {
	Lower, Upper []any // inclusive, exclusive
	Hash         []kudu.HashDimension
}

// Table is a handle on a table of the cluster.
type Table struct {
	c  *Cluster
	id string
}

func columnOf(k *kudu.Column) *column {
	c := &column{
		name: k.Name, typ: k.Type, key: k.Key, nullable: k.Nullable, precision: int32(k.Precision), scale: int32(k.Scale),
		length: int32(k.Length), writeDefault: k.Default, comment: k.Comment, immutable: k.Immutable,
		autoIncrementing: k.AutoIncrementing, encoding: k.Encoding, compression: k.Compression, blockSize: k.BlockSize,
	}
	return c
}

func hashOf(dims []kudu.HashDimension) []*pb.HashBucketSchemaPB {
	var out []*pb.HashBucketSchemaPB
	for _, d := range dims {
		h := &pb.HashBucketSchemaPB{NumBuckets: new(int32(d.Buckets)), Seed: new(d.Seed)}
		for _, name := range d.Columns {
			h.Columns = append(h.Columns, &pb.ColumnIdentifierPB{Name: &name})
		}
		out = append(out, h)
	}
	return out
}

// CreateTable makes a table, as the CreateTable RPC would.
func (c *Cluster) CreateTable(spec TableSpec) (*Table, error) {
	req := &pb.CreateTableRequestPB{
		Name: &spec.Name, Schema: &pb.SchemaPB{}, Owner: &spec.Owner, Comment: &spec.Comment, ExtraConfigs: spec.ExtraConfigs,
		PartitionSchema: &pb.PartitionSchemaPB{HashSchema: hashOf(spec.Hash), RangeSchema: &pb.RangeSchemaPB{}},
	}
	if spec.Replicas > 0 {
		req.NumReplicas = new(int32(spec.Replicas))
	}
	cols := make([]*column, len(spec.Columns))
	for i := range spec.Columns {
		cols[i] = columnOf(&spec.Columns[i])
		req.Schema.Columns = append(req.Schema.Columns, cols[i].toPB(false))
	}
	for _, name := range spec.Range {
		req.PartitionSchema.RangeSchema.Columns = append(req.PartitionSchema.RangeSchema.Columns, &pb.ColumnIdentifierPB{Name: &name})
	}
	custom := slices.ContainsFunc(spec.Ranges, func(r RangeSpec) bool { return r.Hash != nil })
	all := &pb.RowOperationsPB{}
	for _, r := range spec.Ranges {
		ops := all
		if custom {
			ops = &pb.RowOperationsPB{}
			hash := r.Hash
			if hash == nil {
				hash = spec.Hash
			}
			req.PartitionSchema.CustomHashSchemaRanges = append(req.PartitionSchema.CustomHashSchemaRanges,
				&pb.RangeWithHashSchemaPB{RangeBounds: ops, HashSchema: hashOf(hash)})
		}
		if err := appendRange(ops, cols, spec.Range, r); err != nil {
			return nil, fmt.Errorf("creating table %q: %w", spec.Name, err)
		}
	}
	req.SplitRowsRangeBounds = all
	c.mu.Lock()
	defer c.mu.Unlock()
	t, f := c.tableFromPB(req)
	if f != nil {
		return nil, fmt.Errorf("creating table %q: %w", spec.Name, f)
	}
	t.owner = spec.Owner
	c.addTable(t)
	return &Table{c, t.id}, nil
}

func appendRange(dst *pb.RowOperationsPB, cols []*column, names []string, r RangeSpec) error {
	for _, bound := range []struct {
		kind   byte
		values []any
	}{{opRangeLower, r.Lower}, {opRangeUpper, r.Upper}} {
		cells := make([][]byte, len(cols))
		for i, v := range bound.values {
			if i >= len(names) {
				return fmt.Errorf("a bound has %d values for %d range columns", len(bound.values), len(names))
			}
			at := slices.IndexFunc(cols, func(c *column) bool { return c.name == names[i] })
			if at < 0 {
				return fmt.Errorf("no column %q", names[i])
			}
			var err error
			if cells[at], err = encodeCell(cols[at], v); err != nil {
				return err
			}
		}
		appendRowOp(dst, cols, bound.kind, cells)
	}
	return nil
}

// Table finds a table by name.
func (c *Cluster) Table(name string) (*Table, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tableNamed(name)
	if t == nil {
		return nil, fmt.Errorf("no table %q", name)
	}
	return &Table{c, t.id}, nil
}

// DropTable removes a table, if there is one of the name.
func (c *Cluster) DropTable(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tableNamed(name); t != nil {
		c.dropTable(t)
	}
}

// Row is values by column name; what is missing is not set.
type Row map[string]any

// Op is an operation on one row. Make it with Insert, Upsert, Update, Delete.
type Op struct {
	kind byte
	row  Row
}

// Insert adds a row whose key must be new.
func Insert(row Row) Op { return Op{opInsert, row} }

// Upsert adds a row, or updates the columns that are set.
func Upsert(row Row) Op { return Op{opUpsert, row} }

// Update changes the columns that are set of a row that must be there.
func Update(row Row) Op { return Op{opUpdate, row} }

// Delete removes a row that must be there; row needs the key alone.
func Delete(row Row) Op { return Op{opDelete, row} }

// ID is the table's id.
func (t *Table) ID() string { return t.id }

func (t *Table) get() (*table, error) {
	tb := t.c.tables[t.id]
	if tb == nil {
		return nil, fmt.Errorf("table %s was dropped", t.id)
	}
	return tb, nil
}

// Apply carries out operations in order, all at one timestamp, which is
// returned: at, or with 0 the next of the clock. A given one must lie behind
// all operations that the touched tablets had. Unlike a client's batch it
// stops at the first operation that fails.
func (t *Table) Apply(at kudu.Timestamp, ops ...Op) (kudu.Timestamp, error) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	tb, err := t.get()
	if err != nil {
		return 0, err
	}
	ts := uint64(at)
	if ts == 0 {
		ts = t.c.now()
	}
	touched := make(map[*tablet]bool)
	for i, op := range ops {
		decoded, err := tb.decode(op)
		if err != nil {
			return 0, fmt.Errorf("operation %d: %w", i, err)
		}
		tablet := tb.tabletOf(decoded.cells[:tb.schema.keys])
		if tablet == nil {
			return 0, fmt.Errorf("operation %d: no partition holds the row", i)
		}
		if !touched[tablet] && ts <= tablet.last {
			return 0, fmt.Errorf("timestamp %d is not behind the tablet's last operation at %d", ts, tablet.last)
		}
		touched[tablet] = true
		if auto := tb.schema.autoIncrementing(); auto >= 0 && !decoded.isset[auto] && op.kind == opInsert {
			tablet.counter++
			decoded.isset[auto] = true
			if decoded.cells[auto], err = encodeCell(tb.schema.cols[auto], tablet.counter); err != nil {
				return 0, err
			}
		}
		if resp := tablet.applyAt([]*rowOp{decoded}, ts); len(resp.PerRowErrors) > 0 {
			return 0, fmt.Errorf("operation %d: %s", i, resp.PerRowErrors[0].GetError().GetMessage())
		}
	}
	return kudu.Timestamp(ts), nil
}

// Insert inserts rows at the clock's next timestamp.
func (t *Table) Insert(rows ...Row) (kudu.Timestamp, error) {
	ops := make([]Op, len(rows))
	for i, r := range rows {
		ops[i] = Insert(r)
	}
	return t.Apply(0, ops...)
}

// decode checks an operation against the schema.
func (t *table) decode(op Op) (*rowOp, error) {
	s := t.schema
	out := &rowOp{kind: op.kind, isset: make([]bool, len(s.cols)), null: make([]bool, len(s.cols)), cells: make([][]byte, len(s.cols))}
	for name, v := range op.row {
		at := s.index(name)
		if at < 0 {
			return nil, fmt.Errorf("no column %q", name)
		}
		cell, err := encodeCell(s.cols[at], v)
		if err != nil {
			return nil, err
		}
		if cell == nil && !s.cols[at].nullable {
			return nil, fmt.Errorf("column %q can't be NULL", name)
		}
		out.isset[at], out.null[at], out.cells[at] = true, cell == nil, cell
	}
	for i, col := range s.cols {
		missing := i < s.keys && !(col.autoIncrementing && op.kind == opInsert)
		if op.kind == opInsert || op.kind == opUpsert {
			missing = missing || i >= s.keys && !col.nullable && col.writeDefault == nil
		}
		if missing && !out.isset[i] {
			return nil, fmt.Errorf("column %q has no value", col.name)
		}
	}
	return out, nil
}

// tabletOf finds the tablet of a row. Cells of an auto-incrementing column may
// be missing: nothing is partitioned by it.
func (t *table) tabletOf(cells [][]byte) *tablet {
	for _, tb := range t.tablets {
		if t.parts.contains(t.schema, tb.part, cells) {
			return tb
		}
	}
	return nil
}
