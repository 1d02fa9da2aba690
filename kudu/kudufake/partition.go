package kudufake

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// hashDimension is one hash dimension, its columns by id.
type hashDimension struct {
	columns []int32
	buckets int
	seed    uint32
}

func (h hashDimension) equal(o hashDimension) bool {
	return h.buckets == o.buckets && h.seed == o.seed && slices.Equal(h.columns, o.columns)
}

// keyRange is a range partition: encoded range keys, empty where unbounded,
// and the hash dimensions that hold within.
type keyRange struct {
	lower, upper []byte
	hash         []hashDimension
	custom       bool // hash differs from the table's own
}

// partitioning says how rows spread over tablets.
type partitioning struct {
	hash         []hashDimension
	rangeColumns []int32
	ranges       []keyRange // sorted, apart from each other
}

// partition is the part of one tablet (PartitionPB).
type partition struct {
	buckets []int32
	within  keyRange
}

// startKey is the hash part and the range part of the first partition key.
func (p *partition) startKey() (hash, rng []byte) {
	return bucketKey(p.buckets), p.within.lower
}

// endKey is the first partition key behind the tablet. Where no range bounds
// it, the last bucket number is counted up, so that keys stay in order
// (kudu-1.18.1 src/kudu/common/partition.cc, UpdatePartitionBoundaries).
func (p *partition) endKey() []byte {
	buckets := slices.Clone(p.buckets)
	if len(p.within.upper) == 0 && len(buckets) > 0 {
		buckets[len(buckets)-1]++
	}
	return append(bucketKey(buckets), p.within.upper...)
}

func bucketKey(buckets []int32) []byte {
	var key []byte
	for _, b := range buckets {
		key = binary.BigEndian.AppendUint32(key, uint32(b))
	}
	return key
}

func (p *partition) toPB() *pb.PartitionPB {
	hash, rng := p.startKey()
	return &pb.PartitionPB{
		HashBuckets:       p.buckets,
		PartitionKeyStart: append(hash, rng...),
		PartitionKeyEnd:   p.endKey(),
	}
}

func comparePartitions(a, b *partition) int {
	ah, ar := a.startKey()
	bh, br := b.startKey()
	return cmp.Or(bytes.Compare(ah, bh), bytes.Compare(ar, br))
}

// split makes the partitions of one range: one per combination of buckets.
func (r keyRange) split() []*partition {
	parts := []*partition{{within: r}}
	for _, dim := range r.hash {
		var next []*partition
		for _, p := range parts {
			for b := range dim.buckets {
				next = append(next, &partition{buckets: append(slices.Clone(p.buckets), int32(b)), within: r})
			}
		}
		parts = next
	}
	return parts
}

func (r *keyRange) contains(key []byte) bool {
	return bytes.Compare(key, r.lower) >= 0 && (len(r.upper) == 0 || bytes.Compare(key, r.upper) < 0)
}

// overlaps tells whether the two share a key.
func (r *keyRange) overlaps(o *keyRange) bool {
	return (len(r.upper) == 0 || bytes.Compare(o.lower, r.upper) < 0) && (len(o.upper) == 0 || bytes.Compare(r.lower, o.upper) < 0)
}

func (r *keyRange) sameBounds(o *keyRange) bool {
	return bytes.Equal(r.lower, o.lower) && bytes.Equal(r.upper, o.upper)
}

// rangeKey encodes the range columns of a row, given by key cells.
func (p *partitioning) rangeKey(s *schema, cells [][]byte) []byte {
	return encodeGroup(groupOf(s, p.rangeColumns, cells))
}

// contains tells whether a row, given by its key cells, belongs to the
// partition.
func (p *partitioning) contains(s *schema, part *partition, cells [][]byte) bool {
	if !part.within.contains(p.rangeKey(s, cells)) {
		return false
	}
	return slices.Equal(bucketsOf(s, part.within.hash, cells), part.buckets)
}

func bucketsOf(s *schema, dims []hashDimension, cells [][]byte) []int32 {
	var buckets []int32
	for _, d := range dims {
		buckets = append(buckets, hashBucket(encodeGroup(groupOf(s, d.columns, cells)), d.seed, d.buckets))
	}
	return buckets
}

func groupOf(s *schema, ids []int32, cells [][]byte) ([]*column, [][]byte) {
	cols, group := make([]*column, len(ids)), make([][]byte, len(ids))
	for i, id := range ids {
		at := s.byID(id)
		cols[i], group[i] = s.cols[at], cells[at]
	}
	return cols, group
}

func (p *partitioning) toPB(s *schema) *pb.PartitionSchemaPB {
	out := &pb.PartitionSchemaPB{HashSchema: hashToPB(p.hash), RangeSchema: &pb.RangeSchemaPB{}}
	for _, id := range p.rangeColumns {
		out.RangeSchema.Columns = append(out.RangeSchema.Columns, &pb.ColumnIdentifierPB{Id: &id})
	}
	for _, r := range p.ranges {
		if !r.custom {
			continue
		}
		out.CustomHashSchemaRanges = append(out.CustomHashSchemaRanges, &pb.RangeWithHashSchemaPB{
			RangeBounds: p.boundsToPB(s, &r), HashSchema: hashToPB(r.hash),
		})
	}
	return out
}

func hashToPB(dims []hashDimension) []*pb.HashBucketSchemaPB {
	var out []*pb.HashBucketSchemaPB
	for _, d := range dims {
		h := &pb.HashBucketSchemaPB{NumBuckets: new(int32(d.buckets)), Seed: new(d.seed)}
		for _, id := range d.columns {
			h.Columns = append(h.Columns, &pb.ColumnIdentifierPB{Id: &id})
		}
		out = append(out, h)
	}
	return out
}

// boundsToPB writes both bounds of a range as row operations.
func (p *partitioning) boundsToPB(s *schema, r *keyRange) *pb.RowOperationsPB {
	out := &pb.RowOperationsPB{Rows: []byte{}, IndirectData: []byte{}}
	for _, bound := range []struct {
		op  byte
		key []byte
	}{{opRangeLower, r.lower}, {opRangeUpper, r.upper}} {
		set := make([][]byte, len(s.cols))
		if len(bound.key) > 0 {
			cols := make([]*column, len(p.rangeColumns))
			for i, id := range p.rangeColumns {
				cols[i] = s.cols[s.byID(id)]
			}
			cells, f := decodeGroup(cols, bound.key)
			if f != nil {
				continue // made by encodeGroup, so it decodes
			}
			for i, id := range p.rangeColumns {
				set[s.byID(id)] = cells[i]
			}
		}
		appendRowOp(out, s.cols, bound.op, set)
	}
	return out
}

// columnIDs resolves the columns that a partition schema names.
func columnIDs(s *schema, ids []*pb.ColumnIdentifierPB) ([]int32, *failure) {
	var out []int32
	for _, id := range ids {
		at := s.index(id.GetName())
		if id.Id != nil {
			at = s.byID(id.GetId())
		}
		switch {
		case at < 0:
			return nil, badArgument("unknown column: name: \"%s\"", id.GetName())
		case at >= s.keys:
			return nil, badArgument("must specify only primary key columns for partition columns: %s", s.cols[at].name)
		case s.cols[at].autoIncrementing:
			return nil, badArgument("auto-incrementing column cannot be partitioned on: %s", s.cols[at].name)
		}
		if slices.Contains(out, s.cols[at].id) {
			return nil, badArgument("duplicate column in partition schema: %s", s.cols[at].name)
		}
		out = append(out, s.cols[at].id)
	}
	return out, nil
}

func hashFromPB(s *schema, ps []*pb.HashBucketSchemaPB) ([]hashDimension, *failure) {
	var dims []hashDimension
	used := make(map[int32]bool)
	for _, p := range ps {
		ids, f := columnIDs(s, p.GetColumns())
		if f != nil {
			return nil, f
		}
		if len(ids) == 0 {
			return nil, badArgument("must have at least one hash column")
		}
		if p.GetNumBuckets() < 2 {
			return nil, badArgument("must have at least two hash buckets")
		}
		for _, id := range ids {
			if used[id] {
				return nil, badArgument("hash bucket schema components must not contain columns in common")
			}
			used[id] = true
		}
		dims = append(dims, hashDimension{columns: ids, buckets: int(p.GetNumBuckets()), seed: p.GetSeed()})
	}
	return dims, nil
}

// setRanges checks ranges against each other and sorts them.
func (p *partitioning) setRanges(ranges []keyRange) *failure {
	slices.SortFunc(ranges, func(a, b keyRange) int { return bytes.Compare(a.lower, b.lower) })
	for i := range ranges {
		r := &ranges[i]
		if len(r.lower) > 0 && len(r.upper) > 0 && bytes.Compare(r.lower, r.upper) >= 0 {
			return badArgument("range partition lower bound must be less than the upper bound")
		}
		if i > 0 && r.overlaps(&ranges[i-1]) {
			return badArgument("overlapping range partitions")
		}
		if len(r.hash) != len(p.hash) {
			return appFailure(0, stNotSupported, "varying number of hash dimensions per range is not yet supported")
		}
		r.custom = !slices.EqualFunc(r.hash, p.hash, hashDimension.equal)
	}
	p.ranges = ranges
	return nil
}
