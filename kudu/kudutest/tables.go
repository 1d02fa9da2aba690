package kudutest

import (
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// col describes a column of a new table.
func col(name string, t kudu.DataType, opts ...func(*pb.ColumnSchemaPB)) *pb.ColumnSchemaPB {
	c := &pb.ColumnSchemaPB{Name: &name, Type: new(int32(t)), IsKey: new(false), IsNullable: new(false)}
	for _, o := range opts {
		o(c)
	}
	return c
}

func isKey(c *pb.ColumnSchemaPB)     { c.IsKey = new(true) }
func nullable(c *pb.ColumnSchemaPB)  { c.IsNullable = new(true) }
func immutable(c *pb.ColumnSchemaPB) { c.Immutable = new(true) }

func decimal(precision, scale int32) func(*pb.ColumnSchemaPB) {
	return func(c *pb.ColumnSchemaPB) {
		c.TypeAttributes = &pb.ColumnTypeAttributesPB{Precision: &precision, Scale: &scale}
	}
}

func varcharOf(length int32) func(*pb.ColumnSchemaPB) {
	return func(c *pb.ColumnSchemaPB) { c.TypeAttributes = &pb.ColumnTypeAttributesPB{Length: &length} }
}

func withDefault(cell []byte) func(*pb.ColumnSchemaPB) {
	return func(c *pb.ColumnSchemaPB) { c.ReadDefaultValue, c.WriteDefaultValue = cell, cell }
}

// kvColumns are what most cases use: a key, a text and a number.
func kvColumns() []*pb.ColumnSchemaPB {
	return []*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey), col("v", kudu.String, nullable), col("n", kudu.Int32, nullable)}
}

// tableHandle is a table of the suite.
type tableHandle struct {
	s       *suite
	name    string
	id      []byte
	cols    []*pb.ColumnSchemaPB
	tablets []*tabletHandle
	token   *pb.SignedTokenPB
	schema  *pb.GetTableSchemaResponsePB
}

type tabletHandle struct {
	id        []byte
	addr      string // of the leader
	partition *pb.PartitionPB
}

// create makes a table: unpartitioned, unless tweak says otherwise. It is
// dropped at the end of the case.
func (s *suite) create(cols []*pb.ColumnSchemaPB, tweak func(*pb.CreateTableRequestPB)) *tableHandle {
	s.Helper()
	resp := s.tryCreate(cols, tweak)
	if resp.Error != nil {
		s.Fatalf("creating a table: %v", resp.Error)
	}
	t := &tableHandle{s: s, id: resp.GetTableId(), cols: cols}
	s.Cleanup(func() { s.drop(t.id) })
	s.eventually("creation", func() bool {
		done := &pb.IsCreateTableDoneResponsePB{}
		s.master("IsCreateTableDone", &pb.IsCreateTableDoneRequestPB{Table: t.ident()}, done)
		return done.GetDone()
	})
	t.reload()
	return t
}

// drop drops a table, which may be gone already.
func (s *suite) drop(id []byte) *pb.DeleteTableResponsePB {
	s.Helper()
	resp := &pb.DeleteTableResponsePB{}
	s.master("DeleteTable", &pb.DeleteTableRequestPB{Table: &pb.TableIdentifierPB{TableId: id}}, resp)
	return resp
}

// tryCreate sends a CREATE TABLE that may be refused.
func (s *suite) tryCreate(cols []*pb.ColumnSchemaPB, tweak func(*pb.CreateTableRequestPB)) *pb.CreateTableResponsePB {
	s.Helper()
	req := &pb.CreateTableRequestPB{
		Name: new(s.tableName()), Schema: &pb.SchemaPB{Columns: cols}, NumReplicas: new(int32(max(1, s.c.Replicas))),
		PartitionSchema: &pb.PartitionSchemaPB{RangeSchema: &pb.RangeSchemaPB{}},
	}
	if tweak != nil {
		tweak(req)
	}
	resp := &pb.CreateTableResponsePB{}
	s.master("CreateTable", req, resp)
	return resp
}

func (t *tableHandle) ident() *pb.TableIdentifierPB { return &pb.TableIdentifierPB{TableId: t.id} }

// reload reads schema, token and tablets anew, and waits for leaders.
func (t *tableHandle) reload() {
	t.s.Helper()
	t.schema = &pb.GetTableSchemaResponsePB{}
	t.s.master("GetTableSchema", &pb.GetTableSchemaRequestPB{Table: t.ident()}, t.schema)
	if t.schema.Error != nil {
		t.s.Fatalf("schema: %v", t.schema.Error)
	}
	t.token, t.name = t.schema.GetAuthzToken(), t.schema.GetTableName()
	t.s.eventually("leaders", func() bool {
		resp := &pb.GetTableLocationsResponsePB{}
		t.s.master("GetTableLocations", &pb.GetTableLocationsRequestPB{Table: t.ident(), InternTsInfosInResponse: new(true)}, resp)
		t.tablets = nil
		for _, tl := range resp.GetTabletLocations() {
			for _, r := range tl.GetInternedReplicas() {
				if r.GetRole() == 1 {
					addr := hostPort(resp.GetTsInfos()[r.GetTsInfoIdx()].GetRpcAddresses()[0])
					t.tablets = append(t.tablets, &tabletHandle{id: tl.GetTabletId(), addr: addr, partition: tl.GetPartition()})
				}
			}
		}
		return resp.Error == nil && len(t.tablets) == len(resp.GetTabletLocations()) && t.serving()
	})
}

// serving tells whether all leaders take writes.
func (t *tableHandle) serving() bool {
	for i := range t.tablets {
		resp := &pb.WriteResponsePB{}
		if _, err := t.writeRaw(i, newOps(t.cols), resp, nil); err != nil || resp.Error != nil {
			return false
		}
	}
	return true
}

// writeRaw sends operations to one tablet.
func (t *tableHandle) writeRaw(tablet int, ops *rowOps, resp *pb.WriteResponsePB, tweak func(*krpc.Request, *pb.WriteRequestPB)) (*reply, error) {
	req := &pb.WriteRequestPB{
		TabletId: t.tablets[tablet].id, Schema: &pb.SchemaPB{Columns: ops.cols},
		RowOperations: &ops.msg, AuthzToken: t.token,
	}
	return t.s.call(t.tablets[tablet].addr, krpc.TabletServerService, "Write", req, resp, func(r *krpc.Request) {
		if tweak != nil {
			tweak(r, req)
		}
	})
}

// write sends operations to the first tablet and wants all rows applied.
func (t *tableHandle) write(ops *rowOps) uint64 {
	t.s.Helper()
	resp := t.tryWrite(ops)
	if resp.Error != nil || len(resp.PerRowErrors) > 0 {
		t.s.Fatalf("write: %v", resp)
	}
	return resp.GetTimestamp()
}

// tryWrite sends operations that may be refused.
func (t *tableHandle) tryWrite(ops *rowOps) *pb.WriteResponsePB {
	t.s.Helper()
	resp := &pb.WriteResponsePB{}
	if _, err := t.writeRaw(0, ops, resp, nil); err != nil {
		t.s.Fatalf("write: %v", err)
	}
	return resp
}

// insertKV inserts (k, text, number) rows from one key to below another.
func (t *tableHandle) insertKV(from, to int) uint64 {
	t.s.Helper()
	ops := newOps(t.cols)
	for i := from; i < to; i++ {
		ops.add(insertOp, i, "v", i*10)
	}
	return t.write(ops)
}

// project gives columns as a scan names them.
func (t *tableHandle) project(names ...string) []*pb.ColumnSchemaPB {
	var out []*pb.ColumnSchemaPB
	for _, name := range names {
		i := slices.IndexFunc(t.cols, func(c *pb.ColumnSchemaPB) bool { return c.GetName() == name })
		c := t.cols[i]
		out = append(out, &pb.ColumnSchemaPB{Name: c.Name, Type: c.Type, IsNullable: c.IsNullable, TypeAttributes: c.TypeAttributes})
	}
	return out
}

func (t *tableHandle) all() []*pb.ColumnSchemaPB {
	var names []string
	for _, c := range t.cols {
		names = append(names, c.GetName())
	}
	return t.project(names...)
}

// isDeletedColumn is the virtual column of diff scans.
func isDeletedColumn() *pb.ColumnSchemaPB {
	return &pb.ColumnSchemaPB{Name: new("gone"), Type: new(int32(kudu.IsDeleted)), IsNullable: new(false), ReadDefaultValue: []byte{0}}
}
