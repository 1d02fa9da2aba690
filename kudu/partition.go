package kudu

import (
	"bytes"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// HashDimension is one level of hash partitioning: the columns' encoded values
// choose one of Buckets.
type HashDimension struct {
	Columns []string
	Buckets int
	Seed    uint32
}

// PartitionSchema tells how a table's rows spread over tablets: by hash
// dimensions, and within them by ranges.
type PartitionSchema struct {
	Hash []HashDimension
	// Range lists the range partition columns; empty without range
	// partitioning.
	Range []string
	// CustomRanges is the number of ranges that have hash dimensions of their
	// own (Kudu 1.17).
	CustomRanges int
}

// Partition is the part of a table that one tablet holds.
type Partition struct {
	// HashBuckets has one bucket number per hash dimension.
	HashBuckets []int
	// RangeStart and RangeEnd are the encoded range keys that bound the tablet,
	// inclusive and exclusive; empty means unbounded.
	RangeStart, RangeEnd []byte
}

func partitionSchemaFromPB(p *pb.PartitionSchemaPB, s *Schema) (PartitionSchema, error) {
	var out PartitionSchema
	for _, h := range p.GetHashSchema() {
		names, err := columnNames(s, h.GetColumns())
		if err != nil {
			return out, fmt.Errorf("hash partitioning: %w", err)
		}
		if h.GetNumBuckets() < 1 {
			return out, fmt.Errorf("hash partitioning with %d buckets", h.GetNumBuckets())
		}
		out.Hash = append(out.Hash, HashDimension{Columns: names, Buckets: int(h.GetNumBuckets()), Seed: h.GetSeed()})
	}
	var err error
	if out.Range, err = columnNames(s, p.GetRangeSchema().GetColumns()); err != nil {
		return out, fmt.Errorf("range partitioning: %w", err)
	}
	out.CustomRanges = len(p.GetCustomHashSchemaRanges())
	return out, nil
}

func columnNames(s *Schema, ids []*pb.ColumnIdentifierPB) ([]string, error) {
	var names []string
	for _, id := range ids {
		i := s.Index(id.GetName())
		if id.Id != nil {
			i = s.indexByID(id.GetId())
		}
		if i < 0 {
			return nil, fmt.Errorf("no column has the id %d or the name %q", id.GetId(), id.GetName())
		}
		names = append(names, s.cols[i].Name)
	}
	return names, nil
}

// partitionFromPB splits the partition keys, which begin with four bytes per
// hash dimension.
func partitionFromPB(p *pb.PartitionPB) (Partition, error) {
	out := Partition{HashBuckets: make([]int, len(p.GetHashBuckets()))}
	for i, b := range p.GetHashBuckets() {
		if b < 0 {
			return out, fmt.Errorf("hash bucket %d", b)
		}
		out.HashBuckets[i] = int(b)
	}
	prefix := 4 * len(out.HashBuckets)
	if start := p.GetPartitionKeyStart(); len(start) > prefix {
		out.RangeStart = bytes.Clone(start[prefix:])
	}
	// The end of a tablet without an upper range bound is the next bucket.
	if end := p.GetPartitionKeyEnd(); len(end) > prefix {
		out.RangeEnd = bytes.Clone(end[prefix:])
	}
	return out, nil
}
