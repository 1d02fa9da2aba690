package kudu

import (
	"context"
	"errors"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// AlterStep is one change of a table. The functions AddColumn to
// SetTableComment make them.
type AlterStep interface {
	alter(a *alteration) error
}

// alteration gathers the steps of one request.
type alteration struct {
	t        *Table
	req      *pb.AlterTableRequestPB
	features featureSet
}

// Steps of a request (AlterTableRequestPB.StepType in kudu-1.18.1
// src/kudu/master/master.proto).
const (
	stepAddColumn    = 1
	stepDropColumn   = 2
	stepRenameColumn = 3
	stepAlterColumn  = 4
	stepAddRange     = 5
	stepDropRange    = 6
)

type alterFunc func(a *alteration) error

func (f alterFunc) alter(a *alteration) error { return f(a) }

func (a *alteration) step(kind int32, s *pb.AlterTableRequestPB_Step) {
	s.Type = &kind
	a.req.AlterSchemaSteps = append(a.req.AlterSchemaSteps, s)
}

// AddColumn adds a column outside the key; it is nullable or has a default,
// which the rows that are there then show.
func AddColumn(col Column) AlterStep {
	return alterFunc(func(a *alteration) error {
		if err := checkColumn(&col); err != nil {
			return err
		}
		if col.Key {
			return fmt.Errorf("column %q: a key column can't be added", col.Name)
		}
		if !col.Nullable && col.Default == nil {
			return fmt.Errorf("column %q can't be NULL and has no default for the rows that are there", col.Name)
		}
		a.features.column(&col)
		p := col.createPB()
		a.step(stepAddColumn, &pb.AlterTableRequestPB_Step{AddColumn: &pb.AlterTableRequestPB_AddColumn{Schema: p}})
		return nil
	})
}

// DropColumn drops a column outside the key.
func DropColumn(name string) AlterStep {
	return alterFunc(func(a *alteration) error {
		a.step(stepDropColumn, &pb.AlterTableRequestPB_Step{DropColumn: &pb.AlterTableRequestPB_DropColumn{Name: &name}})
		return nil
	})
}

// RenameColumn gives a column another name; its id stays.
func RenameColumn(from, to string) AlterStep {
	return alterFunc(func(a *alteration) error {
		a.step(stepRenameColumn, &pb.AlterTableRequestPB_Step{RenameColumn: &pb.AlterTableRequestPB_RenameColumn{OldName: &from, NewName: &to}})
		return nil
	})
}

// ColumnChange is what AlterColumn changes; members that are nil or false stay.
type ColumnChange struct {
	Default       any // as value.go lists values
	RemoveDefault bool
	Comment       *string
	Encoding      *int32
	Compression   *int32
	BlockSize     *int32
	Immutable     *bool
}

// AlterColumn changes a column's default, comment or storage.
func AlterColumn(name string, change ColumnChange) AlterStep {
	return alterFunc(func(a *alteration) error {
		i := a.t.schema.Index(name)
		if i < 0 {
			return fmt.Errorf("the table has no column %q", name)
		}
		d := &pb.ColumnSchemaDeltaPB{
			Name: &name, NewComment: change.Comment, Encoding: change.Encoding,
			Compression: change.Compression, BlockSize: change.BlockSize, Immutable: change.Immutable,
		}
		if change.Default != nil {
			col := a.t.schema.cols[i]
			if err := col.SetDefault(change.Default); err != nil {
				return err
			}
			d.DefaultValue = col.Default
		}
		if change.RemoveDefault {
			d.RemoveDefault = ptr(true)
		}
		if change.Immutable != nil {
			a.features.add(masterFeatureImmutable)
		}
		a.step(stepAlterColumn, &pb.AlterTableRequestPB_Step{AlterColumn: &pb.AlterTableRequestPB_AlterColumn{Delta: d}})
		return nil
	})
}

// AddRange adds a range partition, which must not overlap another.
func AddRange(r RangePartition) AlterStep {
	return alterFunc(func(a *alteration) error {
		bounds, err := a.bounds(&r)
		if err != nil {
			return err
		}
		add := &pb.AlterTableRequestPB_AddRangePartition{RangeBounds: bounds}
		if r.Hash != nil {
			add.CustomHashSchema = &pb.AlterTableRequestPB_CustomHashSchema{HashSchema: hashPB(r.Hash)}
		}
		a.step(stepAddRange, &pb.AlterTableRequestPB_Step{AddRangePartition: add})
		return nil
	})
}

// DropRange drops the range partition with exactly these bounds, and its rows.
func DropRange(r RangePartition) AlterStep {
	return alterFunc(func(a *alteration) error {
		bounds, err := a.bounds(&r)
		if err != nil {
			return err
		}
		a.step(stepDropRange, &pb.AlterTableRequestPB_Step{DropRangePartition: &pb.AlterTableRequestPB_DropRangePartition{RangeBounds: bounds}})
		return nil
	})
}

// bounds encodes a range's bounds. The request's schema tells how to read them.
func (a *alteration) bounds(r *RangePartition) (*pb.RowOperationsPB, error) {
	a.features.add(masterFeatureAddDropRanges)
	a.features.ranges(r)
	if a.req.Schema == nil {
		a.req.Schema = &pb.SchemaPB{}
		for _, i := range a.t.layout.wire {
			a.req.Schema.Columns = append(a.req.Schema.Columns, a.t.schema.cols[i].createPB())
		}
	}
	ops := &pb.RowOperationsPB{}
	return ops, r.appendBounds(ops, a.t.layout, a.t.partition.Range)
}

// RenameTable gives the table another name; its id stays.
func RenameTable(name string) AlterStep {
	return alterFunc(func(a *alteration) error {
		a.req.NewTableName = &name
		return nil
	})
}

// SetExtraConfigs changes settings of the table; an empty value removes one.
func SetExtraConfigs(configs map[string]string) AlterStep {
	return alterFunc(func(a *alteration) error {
		a.req.NewExtraConfigs = configs
		return nil
	})
}

// SetOwner gives the table to another user.
func SetOwner(user string) AlterStep {
	return alterFunc(func(a *alteration) error {
		a.req.NewTableOwner = &user
		return nil
	})
}

// SetTableComment changes the table's comment.
func SetTableComment(comment string) AlterStep {
	return alterFunc(func(a *alteration) error {
		a.req.NewTableComment = &comment
		return nil
	})
}

// Alter changes the table, all steps at once or none, and waits until all
// tablets know. It returns a handle on the table as it is now; this one keeps
// the old schema.
func (t *Table) Alter(ctx context.Context, steps ...AlterStep) (*Table, error) {
	const op = "altering"
	if len(steps) == 0 {
		return nil, &Error{Op: op, Table: t.name, Err: errors.New("there is nothing to change")}
	}
	a := &alteration{t: t, req: &pb.AlterTableRequestPB{Table: t.identifier()}}
	for _, s := range steps {
		if err := s.alter(a); err != nil {
			return nil, &Error{Op: op, Table: t.name, Err: err}
		}
	}
	if err := t.c.masters.call(ctx, op, "AlterTable", a.features.list(), a.req, &pb.AlterTableResponsePB{}); err != nil {
		return nil, withTable(err, op, t.name)
	}
	err := t.c.await(ctx, op, func(ctx context.Context) (bool, error) {
		resp := &pb.IsAlterTableDoneResponsePB{}
		err := t.c.masters.call(ctx, op, "IsAlterTableDone", nil, &pb.IsAlterTableDoneRequestPB{Table: t.identifier()}, resp)
		return resp.GetDone(), err
	})
	if err != nil {
		return nil, withTable(err, op, t.name)
	}
	t.mu.Lock()
	t.router = nil // ranges may have come or gone
	t.mu.Unlock()
	return t.c.openTable(ctx, t.identifier(), t.name)
}
