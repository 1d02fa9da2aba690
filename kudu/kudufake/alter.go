package kudufake

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Steps: AlterTableRequestPB.StepType in kudu-1.18.1
// src/kudu/master/master.proto.
const (
	stepAddColumn    = 1
	stepDropColumn   = 2
	stepRenameColumn = 3
	stepAlterColumn  = 4
	stepAddRange     = 5
	stepDropRange    = 6
)

func (c *Cluster) alterTable(_ *Call, req *pb.AlterTableRequestPB) (proto.Message, *failure) {
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	if f := c.alter(t, req); f != nil {
		return nil, f.withCode(max(f.code, mUnknownError))
	}
	return &pb.AlterTableResponsePB{TableId: []byte(t.id)}, nil
}

// alter carries out all steps or none. The caller holds mu.
func (c *Cluster) alter(t *table, req *pb.AlterTableRequestPB) *failure {
	next := &schema{keys: t.schema.keys, nextID: t.schema.nextID, version: t.schema.version + 1}
	for _, col := range t.schema.cols {
		own := *col
		next.cols = append(next.cols, &own)
	}
	ranges := slices.Clone(t.parts.ranges)
	var added, dropped []keyRange
	for _, step := range req.GetAlterSchemaSteps() {
		var f *failure
		switch step.GetType() {
		case stepAddRange, stepDropRange:
			ranges, f = c.alterRange(t, req, step, ranges, &added, &dropped)
		default:
			f = next.alterStep(step)
		}
		if f != nil {
			return f
		}
	}
	if name := req.GetNewTableName(); req.NewTableName != nil {
		if other := c.tableNamed(name); other != nil && other != t {
			return appFailure(mTableAlreadyPresent, stAlreadyPresent, "table %s already exists with id %s", name, other.id)
		}
		t.name = name
	}
	if req.NewTableOwner != nil {
		t.owner = req.GetNewTableOwner()
	}
	if req.NewTableComment != nil {
		t.comment = req.GetNewTableComment()
	}
	if len(req.GetNewExtraConfigs()) > 0 {
		t.extra = maps.Clone(t.extra)
		if t.extra == nil {
			t.extra = make(map[string]string)
		}
		for k, v := range req.GetNewExtraConfigs() {
			if v == "" {
				delete(t.extra, k) // an empty value unsets
				continue
			}
			t.extra[k] = v
		}
	}
	for i := range dropped {
		c.dropTablets(t, &dropped[i])
	}
	if f := t.parts.setRanges(ranges); f != nil {
		return f
	}
	for _, r := range added {
		r.custom = !slices.EqualFunc(r.hash, t.parts.hash, hashDimension.equal)
		c.addTablets(t, r)
	}
	t.before, t.schema = t.schema, next
	t.alteredAt = c.wall.time().Add(c.opts.AlterDelay)
	return nil
}

// alterStep changes columns (kudu-1.18.1 src/kudu/master/catalog_manager.cc,
// ApplyAlterSchemaSteps).
func (s *schema) alterStep(step *pb.AlterTableRequestPB_Step) *failure {
	switch step.GetType() {
	case stepAddColumn:
		p := step.GetAddColumn().GetSchema()
		col, f := columnFromPB(p)
		if f != nil {
			return f
		}
		if p.Id != nil {
			return badArgument("column %s: client should not specify column ID", col.name)
		}
		col.fillDefaults()
		if !col.nullable && col.readDefault == nil {
			return badArgument("column `%s`: NOT NULL columns must have a default", col.name)
		}
		if s.index(col.name) >= 0 {
			return appFailure(0, stAlreadyPresent, "The column already exists: %s", col.name)
		}
		col.key, col.id = false, s.nextID
		s.nextID++
		s.cols = append(s.cols, col)
	case stepDropColumn:
		at := s.index(step.GetDropColumn().GetName())
		switch {
		case at < 0:
			return appFailure(0, stNotFound, "The specified column does not exist: %s", step.GetDropColumn().GetName())
		case at < s.keys:
			return badArgument("cannot remove a key column: %s", s.cols[at].name)
		}
		s.cols = slices.Delete(s.cols, at, at+1)
	case stepRenameColumn:
		return s.rename(step.GetRenameColumn().GetOldName(), step.GetRenameColumn().GetNewName())
	case stepAlterColumn:
		return s.alterColumn(step.GetAlterColumn().GetDelta())
	default:
		return badArgument("Invalid alter schema step type: %d", step.GetType())
	}
	return nil
}

func (s *schema) rename(from, to string) *failure {
	at := s.index(from)
	switch {
	case at < 0:
		return appFailure(0, stIllegalState, "The specified column does not exist: %s", from)
	case from == to:
		return nil
	case s.index(to) >= 0:
		return appFailure(0, stAlreadyPresent, "The column already exists: %s", to)
	}
	s.cols[at].name = to
	return nil
}

func (s *schema) alterColumn(d *pb.ColumnSchemaDeltaPB) *failure {
	at := s.index(d.GetName())
	if at < 0 {
		return appFailure(0, stNotFound, "The specified column does not exist: %s", d.GetName())
	}
	col := s.cols[at]
	if d.NewName != nil {
		if f := s.rename(d.GetName(), d.GetNewName()); f != nil {
			return f
		}
	}
	if d.GetRemoveDefault() {
		col.writeDefault = nil
	}
	if d.DefaultValue != nil {
		// The read default stays: rows written before the column keep theirs.
		col.writeDefault = d.DefaultValue
		if !col.typ.VarLen() && len(d.DefaultValue) != col.typ.Size() {
			return badArgument("new default value for column '%s' has size %d, but type %s has size %d", col.name, len(d.DefaultValue), col.typ, col.typ.Size())
		}
	}
	if d.Encoding != nil {
		col.encoding = d.GetEncoding()
	}
	if d.Compression != nil {
		col.compression = d.GetCompression()
	}
	if d.BlockSize != nil {
		col.blockSize = d.GetBlockSize()
	}
	if d.NewComment != nil {
		col.comment = d.GetNewComment()
	}
	if d.Immutable != nil {
		col.immutable = d.GetImmutable()
	}
	return nil
}

// alterRange adds or drops a range partition (ApplyAlterPartitioningSteps).
func (c *Cluster) alterRange(t *table, req *pb.AlterTableRequestPB, step *pb.AlterTableRequestPB_Step, ranges []keyRange, added, dropped *[]keyRange) ([]keyRange, *failure) {
	adding := step.GetType() == stepAddRange
	bounds := step.GetDropRangePartition().GetRangeBounds()
	hash := t.parts.hash
	if adding {
		bounds = step.GetAddRangePartition().GetRangeBounds()
		if h := step.GetAddRangePartition().GetCustomHashSchema(); h != nil {
			var f *failure
			if hash, f = hashFromPB(t.schema, h.GetHashSchema()); f != nil {
				return nil, f
			}
			if len(hash) != len(t.parts.hash) {
				return nil, appFailure(0, stNotSupported, "varying number of hash dimensions per range is not yet supported")
			}
		}
	}
	cols, _, _, f := columnsFromPB(req.GetSchema().GetColumns())
	if f != nil {
		return nil, f
	}
	rows, f := decodeBounds(t.schema, cols, bounds)
	if f != nil {
		return nil, f
	}
	if len(rows) != 2 {
		return nil, badArgument("expected two row operations for alter range partition step")
	}
	if rows[0].kind == opSplitRow || rows[0].kind == opRangeUpper || rows[0].kind == opRangeUpperIncl {
		return nil, badArgument("expected a lower bound and upper bound row op for alter range partition step")
	}
	made, _, f := t.parts.rangesOf(t.schema, rows, hash)
	if f != nil {
		return nil, f
	}
	r := made[0]
	if len(r.lower) > 0 && len(r.upper) > 0 && string(r.lower) >= string(r.upper) {
		return nil, badArgument("range partition lower bound must be less than the upper bound")
	}
	same := slices.IndexFunc(ranges, func(o keyRange) bool { return o.sameBounds(&r) })
	if !adding {
		if same < 0 {
			return nil, badArgument("no range partition to drop")
		}
		// Added by an earlier step of the same request: it never was.
		if at := slices.IndexFunc(*added, func(o keyRange) bool { return o.sameBounds(&r) }); at >= 0 {
			*added = slices.Delete(*added, at, at+1)
		} else {
			*dropped = append(*dropped, r)
		}
		return slices.Delete(ranges, same, same+1), nil
	}
	if same >= 0 {
		return nil, appFailure(0, stAlreadyPresent, "range partition already exists")
	}
	if slices.ContainsFunc(ranges, func(o keyRange) bool { return o.overlaps(&r) }) {
		return nil, badArgument("new range partition conflicts with existing one")
	}
	*added = append(*added, r)
	return append(ranges, r), nil
}
