package kudutest

import (
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// alter sends steps, waits until they are done, and returns the answer.
func (t *tableHandle) alter(steps ...*pb.AlterTableRequestPB_Step) *pb.AlterTableResponsePB {
	t.s.Helper()
	return t.alterWith(&pb.AlterTableRequestPB{AlterSchemaSteps: steps, Schema: &pb.SchemaPB{Columns: t.cols}})
}

func (t *tableHandle) alterWith(req *pb.AlterTableRequestPB) *pb.AlterTableResponsePB {
	t.s.Helper()
	req.Table = t.ident()
	resp := &pb.AlterTableResponsePB{}
	t.s.master("AlterTable", req, resp)
	if resp.Error == nil {
		t.s.eventually("alter", func() bool {
			done := &pb.IsAlterTableDoneResponsePB{}
			t.s.master("IsAlterTableDone", &pb.IsAlterTableDoneRequestPB{Table: t.ident()}, done)
			return done.GetDone()
		})
	}
	return resp
}

func addColumn(c *pb.ColumnSchemaPB) *pb.AlterTableRequestPB_Step {
	return &pb.AlterTableRequestPB_Step{Type: new(int32(1)), AddColumn: &pb.AlterTableRequestPB_AddColumn{Schema: c}}
}

func dropColumn(name string) *pb.AlterTableRequestPB_Step {
	return &pb.AlterTableRequestPB_Step{Type: new(int32(2)), DropColumn: &pb.AlterTableRequestPB_DropColumn{Name: &name}}
}

func renameColumn(from, to string) *pb.AlterTableRequestPB_Step {
	return &pb.AlterTableRequestPB_Step{Type: new(int32(3)), RenameColumn: &pb.AlterTableRequestPB_RenameColumn{OldName: &from, NewName: &to}}
}

func addRange(bounds *pb.RowOperationsPB, hash ...*pb.HashBucketSchemaPB) *pb.AlterTableRequestPB_Step {
	add := &pb.AlterTableRequestPB_AddRangePartition{RangeBounds: bounds}
	if hash != nil {
		add.CustomHashSchema = &pb.AlterTableRequestPB_CustomHashSchema{HashSchema: hash}
	}
	return &pb.AlterTableRequestPB_Step{Type: new(int32(5)), AddRangePartition: add}
}

func dropRange(bounds *pb.RowOperationsPB) *pb.AlterTableRequestPB_Step {
	return &pb.AlterTableRequestPB_Step{Type: new(int32(6)), DropRangePartition: &pb.AlterTableRequestPB_DropRangePartition{RangeBounds: bounds}}
}

// did fails the case if an ALTER was refused.
func (t *tableHandle) did(resp *pb.AlterTableResponsePB) {
	t.s.Helper()
	if resp.Error != nil {
		t.s.Fatalf("alter: %v", resp.Error)
	}
}

var alterCases = []namedCase{
	{"AddedColumnsShowTheirDefault", func(s *suite) {
		t, w := s.kv(1)
		t.did(t.alter(addColumn(col("d", kudu.Int32, withDefault([]byte{5, 0, 0, 0}))), addColumn(col("e", kudu.String, nullable))))
		t.cols = append(t.cols, col("d", kudu.Int32, withDefault([]byte{5, 0, 0, 0})), col("e", kudu.String, nullable))
		s.equal("old row", t.rowsAtSnapshot(0), []string{"0|v|0|5|NULL"})
		s.equal("before the change", t.rowsAtSnapshot(w+1), []string{"0|v|0|5|NULL"})
		now := t.serverNow()
		s.equal("diff", t.diffRows(w+1, now), []string(nil))
		t.write(newOps(t.cols).add(insertOp, 1, "x", 1).add(updateOp, 0, unset, unset, unset, "set"))
		s.equal("rows", t.rowsAtSnapshot(0), []string{"0|v|0|5|set", "1|x|1|5|NULL"})
	}},
	{"DroppedAndRenamedColumns", func(s *suite) {
		t, _ := s.kv(1)
		t.did(t.alter(dropColumn("v"), renameColumn("n", "m")))
		t.refused(mismatchedSchema, statusInvalidArgument, nil)
		t.cols = []*pb.ColumnSchemaPB{t.cols[0], col("m", kudu.Int32, nullable)}
		s.equal("rows", t.rowsAtSnapshot(0), []string{"0|0"})
		before := t.schema.GetSchema().GetColumns()
		t.did(t.alter(addColumn(col("v", kudu.String, nullable))))
		t.cols = append(t.cols, col("v", kudu.String, nullable))
		s.equal("a new column of an old name", t.rowsAtSnapshot(0), []string{"0|0|NULL"})
		t.reload()
		after := t.schema.GetSchema().GetColumns()
		s.equal("ids", []bool{after[0].GetId() == before[0].GetId(), after[1].GetId() == before[2].GetId(), after[2].GetId() > before[2].GetId()}, []bool{true, true, true})
	}},
	{"Refusals", func(s *suite) {
		t, _ := s.kv(1)
		for _, c := range []struct {
			what   string
			step   *pb.AlterTableRequestPB_Step
			status int32
		}{
			{"drop a key", dropColumn("k"), statusInvalidArgument},
			{"drop what is not there", dropColumn("nosuch"), statusNotFound},
			{"add without default", addColumn(col("x", kudu.Int32)), statusInvalidArgument},
			{"add what is there", addColumn(col("v", kudu.Int32, nullable)), statusAlreadyPresent},
			{"rename to what is there", renameColumn("v", "n"), statusAlreadyPresent},
		} {
			resp := t.alter(c.step)
			if resp.GetError().GetStatus().GetCode() != c.status {
				s.Errorf("%s: got {%v}, want status %d", c.what, resp.GetError(), c.status)
			}
		}
	}},
	{"RenamedTableKeepsItsID", func(s *suite) {
		t, _ := s.kv(1)
		name := s.tableName()
		t.did(t.alterWith(&pb.AlterTableRequestPB{NewTableName: &name}))
		t.reload()
		s.equal("name", t.name, name)
	}},
	{"RangesComeAndGo", func(s *suite) {
		cols := kvColumns()
		t := s.create(cols, both(hashed(2, "k"), ranged(cols, 0, 10)))
		s.equal("before", t.home(15), -1)
		t.did(t.alter(addRange(boundOps(cols, 10, 20)), addRange(boundOps(cols, 20, nil), hashBy(3, 1, "k"))))
		t.reload()
		s.equal("tablets", len(t.tablets), 7)
		s.equal("home", t.home(15) >= 0 && t.home(1000) >= 0, true)
		s.equal("custom ranges", len(t.schema.GetPartitionSchema().GetCustomHashSchemaRanges()), 1)
		old := t.tablets[0].id
		t.did(t.alter(dropRange(boundOps(cols, 0, 10)), dropRange(boundOps(cols, 20, nil))))
		t.reload()
		s.equal("tablets", []any{len(t.tablets), t.home(5), len(t.schema.GetPartitionSchema().GetCustomHashSchemaRanges())}, []any{2, -1, 0})
		t.did(t.alter(addRange(boundOps(cols, 0, 10))))
		t.reload()
		s.equal("another tablet", string(t.tablets[0].id) != string(old), true)
	}},
	{"RefusalsOfRanges", func(s *suite) {
		cols := kvColumns()
		t := s.create(cols, ranged(cols, 0, 10, 20, 30))
		for _, c := range []struct {
			step   *pb.AlterTableRequestPB_Step
			status int32
		}{
			{addRange(boundOps(cols, 5, 15)), statusInvalidArgument},
			{addRange(boundOps(cols, 0, 10)), statusAlreadyPresent},
			{addRange(boundOps(cols, 40, 40)), statusInvalidArgument},
			{addRange(boundOps(cols, 40)), statusInvalidArgument},
			{dropRange(boundOps(cols, 10, 20)), statusInvalidArgument},
			{dropRange(boundOps(cols, 0, 5)), statusInvalidArgument},
		} {
			resp := t.alter(c.step)
			s.equal(fmt.Sprint(c.step), resp.GetError().GetStatus().GetCode(), c.status)
		}
	}},
	{"HistoryMarkOfATable", func(s *suite) {
		t, w := s.kv(1)
		t.did(t.alterWith(&pb.AlterTableRequestPB{NewExtraConfigs: map[string]string{"kudu.table.history_max_age_sec": "0"}}))
		s.eventually("refusal", func() bool {
			b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, w+1) })
			return b.resp.GetError().GetCode() == invalidSnapshot
		})
	}},
}
