package kudufake

import (
	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func (c *Cluster) createTable(call *Call, req *pb.CreateTableRequestPB) (proto.Message, *failure) {
	t, f := c.tableFromPB(req)
	if f != nil {
		return nil, f
	}
	t.owner = call.User
	if req.Owner != nil {
		t.owner = req.GetOwner()
	}
	c.addTable(t)
	return &pb.CreateTableResponsePB{TableId: []byte(t.id)}, nil
}

// tableFromPB checks a CREATE TABLE in the master's order (kudu-1.18.1
// src/kudu/master/catalog_manager.cc, CreateTable). The caller holds mu.
func (c *Cluster) tableFromPB(req *pb.CreateTableRequestPB) (*table, *failure) {
	cols, keys, hasIDs, f := columnsFromPB(req.GetSchema().GetColumns())
	if f != nil {
		return nil, f.withCode(mUnknownError)
	}
	if req.GetName() == "" {
		return nil, appFailure(mInvalidSchema, stInvalidArgument, "invalid table name: empty string not a valid identifier")
	}
	sc, f := newSchema(cols, keys)
	if f != nil {
		return nil, f.withCode(mInvalidSchema)
	}
	if hasIDs {
		return nil, appFailure(mInvalidSchema, stInvalidArgument, "user requests should not have Column IDs")
	}
	t := &table{
		name: req.GetName(), schema: sc, before: sc, extra: req.GetExtraConfigs(), comment: req.GetComment(),
		replicas: c.opts.Replicas, readyAt: c.wall.time().Add(c.opts.CreateDelay),
	}
	if f := c.partition(t, cols, req); f != nil {
		return nil, f
	}
	if req.NumReplicas != nil {
		t.replicas = int(req.GetNumReplicas())
	}
	switch {
	case t.replicas < 1:
		return nil, appFailure(mIllegalReplication, stInvalidArgument, "illegal replication factor %d: minimum allowed replication factor is 1 (controlled by --min_num_replicas)", t.replicas)
	case t.replicas > 7:
		return nil, appFailure(mReplicationTooHigh, stInvalidArgument, "illegal replication factor %d: maximum allowed replication factor is 7 (controlled by --max_num_replicas)", t.replicas)
	case t.replicas%2 == 0:
		return nil, appFailure(mEvenReplication, stInvalidArgument, "illegal replication factor %d: replication factor must be odd", t.replicas)
	case t.replicas > len(c.tservers):
		return nil, appFailure(mReplicationTooHigh, stInvalidArgument, "not enough live tablet servers to create a table with the requested replication factor %d; %d tablet servers are alive", t.replicas, len(c.tservers))
	case c.tableNamed(t.name) != nil:
		return nil, appFailure(mTableAlreadyPresent, stAlreadyPresent, "table %s already exists with id %s", t.name, c.tableNamed(t.name).id)
	}
	t.id = c.newID()
	return t, nil
}

// partition reads how a new table is partitioned.
func (c *Cluster) partition(t *table, cols []*column, req *pb.CreateTableRequestPB) *failure {
	p := req.GetPartitionSchema()
	var f *failure
	if t.parts.hash, f = hashFromPB(t.schema, p.GetHashSchema()); f != nil {
		return f.withCode(mInvalidSchema)
	}
	if p.GetRangeSchema() != nil {
		if t.parts.rangeColumns, f = columnIDs(t.schema, p.GetRangeSchema().GetColumns()); f != nil {
			return f.withCode(mInvalidSchema)
		}
	} else {
		// Without a range schema the whole key is one.
		for _, col := range t.schema.keyColumns() {
			if !col.autoIncrementing {
				t.parts.rangeColumns = append(t.parts.rangeColumns, col.id)
			}
		}
	}
	var custom []keyRange
	for _, r := range p.GetCustomHashSchemaRanges() {
		hash, f := hashFromPB(t.schema, r.GetHashSchema())
		if f != nil {
			return f.withCode(mInvalidSchema)
		}
		rows, f := decodeBounds(t.schema, cols, r.GetRangeBounds())
		if f != nil {
			return f.withCode(mInvalidSchema)
		}
		ranges, splits, f := t.parts.rangesOf(t.schema, rows, hash)
		if f != nil {
			return f.withCode(mInvalidSchema)
		}
		if len(ranges) != 1 || splits != nil {
			return appFailure(mInvalidSchema, stInvalidArgument, "%d ops were provided; Only two ops are expected for this pair of range bounds.", len(rows))
		}
		custom = append(custom, ranges[0])
	}
	rows, f := decodeBounds(t.schema, cols, req.GetSplitRowsRangeBounds())
	if f != nil {
		return f.withCode(mUnknownError)
	}
	ranges, splits, f := t.parts.rangesOf(t.schema, rows, t.parts.hash)
	if f != nil {
		return f.withCode(mUnknownError)
	}
	switch {
	case custom != nil && len(rows) > 0:
		return appFailure(mUnknownError, stInvalidArgument, "both range bounds and custom hash schema ranges must not be populated at the same time")
	case custom != nil:
		ranges = custom
	case ranges == nil:
		ranges = []keyRange{{hash: t.parts.hash}}
	}
	if ranges, f = splitRanges(ranges, splits); f != nil {
		return f.withCode(mUnknownError)
	}
	return t.parts.setRanges(ranges).withCode(mUnknownError)
}

// rangesOf makes ranges of pairs of bounds, and keys of split rows.
func (p *partitioning) rangesOf(s *schema, rows []boundRow, hash []hashDimension) (ranges []keyRange, splits [][]byte, f *failure) {
	for i := 0; i < len(rows); i++ {
		switch rows[i].kind {
		case opSplitRow:
			key, f := p.boundKey(s, rows[i])
			if f != nil {
				return nil, nil, f
			}
			splits = append(splits, key)
		case opRangeLower, opRangeLowerExcl:
			if i+1 >= len(rows) || rows[i+1].kind != opRangeUpper && rows[i+1].kind != opRangeUpperIncl {
				return nil, nil, badArgument("missing upper range bound in create table request")
			}
			lower, f := p.boundKey(s, rows[i])
			if f != nil {
				return nil, nil, f
			}
			upper, f := p.boundKey(s, rows[i+1])
			if f != nil {
				return nil, nil, f
			}
			ranges = append(ranges, keyRange{lower: lower, upper: upper, hash: hash})
			i++
		default:
			return nil, nil, badArgument("Illegal row operation type in create table request: %d", rows[i].kind)
		}
	}
	return ranges, splits, nil
}

// boundKey encodes a bound: columns that are left out hold their smallest
// value, and without any column the bound is open. Bounds of the other kind
// are moved by one.
func (p *partitioning) boundKey(s *schema, row boundRow) ([]byte, *failure) {
	var cols []*column
	var cells [][]byte
	set := 0
	inRange := make([]bool, len(s.cols))
	for _, id := range p.rangeColumns {
		at := s.byID(id)
		inRange[at] = true
		cell := row.cells[at]
		if cell != nil {
			set++
		} else {
			cell = minCell(s.cols[at].typ)
		}
		cols, cells = append(cols, s.cols[at]), append(cells, cell)
	}
	for at, cell := range row.cells {
		if cell != nil && !inRange[at] {
			return nil, badArgument("split rows may only contain values for range partition columns: %s", s.cols[at].name)
		}
	}
	switch row.kind {
	case opRangeLowerExcl:
		if !incrementCells(cols, cells) {
			return nil, badArgument("Exclusive lower bound range partition key must not have maximum values for all components")
		}
		set = 1
	case opRangeUpperIncl:
		if set > 0 && !incrementCells(cols, cells) {
			set = 0
		}
	}
	if set == 0 {
		return nil, nil
	}
	return encodeGroup(cols, cells), nil
}

// splitRanges cuts ranges at split keys.
func splitRanges(ranges []keyRange, splits [][]byte) ([]keyRange, *failure) {
	for _, key := range splits {
		found := false
		for i := range ranges {
			r := &ranges[i]
			if len(key) == 0 || !r.contains(key) || string(key) == string(r.lower) {
				continue
			}
			right := *r
			right.lower, r.upper = key, key
			ranges = append(ranges, right)
			found = true
			break
		}
		if !found {
			return nil, badArgument("split out of bounds")
		}
	}
	return ranges, nil
}
