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
	// own (Kudu 1.17); Custom lists them.
	CustomRanges int
	Custom       []RangeHash
}

// RangeHash is a range with hash dimensions of its own, which stand in for the
// table's.
type RangeHash struct {
	// Start and End are encoded range keys, inclusive and exclusive; empty
	// means unbounded.
	Start, End []byte
	Hash       []HashDimension
}

// HashOf gives the hash dimensions of the range partition that begins at the
// encoded range key.
func (p *PartitionSchema) HashOf(rangeStart []byte) []HashDimension {
	for i := range p.Custom {
		c := &p.Custom[i]
		if bytes.Compare(rangeStart, c.Start) >= 0 && (len(c.End) == 0 || bytes.Compare(rangeStart, c.End) < 0) {
			return c.Hash
		}
	}
	return p.Hash
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
	var err error
	if out.Hash, err = hashFromPB(p.GetHashSchema(), s); err != nil {
		return out, err
	}
	if out.Range, err = columnNames(s, p.GetRangeSchema().GetColumns()); err != nil {
		return out, fmt.Errorf("range partitioning: %w", err)
	}
	out.CustomRanges = len(p.GetCustomHashSchemaRanges())
	for _, c := range p.GetCustomHashSchemaRanges() {
		r := RangeHash{}
		if r.Start, r.End, err = rangeBoundsFromPB(c.GetRangeBounds(), s, out.Range); err != nil {
			return out, fmt.Errorf("a range's hash partitioning: %w", err)
		}
		if r.Hash, err = hashFromPB(c.GetHashSchema(), s); err != nil {
			return out, err
		}
		out.Custom = append(out.Custom, r)
	}
	return out, nil
}

func hashFromPB(dims []*pb.HashBucketSchemaPB, s *Schema) ([]HashDimension, error) {
	var out []HashDimension
	for _, h := range dims {
		names, err := columnNames(s, h.GetColumns())
		if err != nil {
			return nil, fmt.Errorf("hash partitioning: %w", err)
		}
		if h.GetNumBuckets() < 1 {
			return nil, fmt.Errorf("hash partitioning with %d buckets", h.GetNumBuckets())
		}
		out = append(out, HashDimension{Columns: names, Buckets: int(h.GetNumBuckets()), Seed: h.GetSeed()})
	}
	return out, nil
}

// rangeBoundsFromPB reads the pair of rows that bound a range, as encoded range
// keys, inclusive and exclusive. A row without cells is no bound.
func rangeBoundsFromPB(ops *pb.RowOperationsPB, s *Schema, columns []string) (start, end []byte, err error) {
	places, err := placesOf(s, columns)
	if err != nil {
		return nil, nil, err
	}
	row := newRow(newBoundsLayout(s))
	rest := ops.GetRows()
	for len(rest) > 0 {
		var kind OpKind
		if kind, rest, err = decodeOp(row, rest, ops.GetIndirectData()); err != nil {
			return nil, nil, err
		}
		key := []byte(nil)
		set := 0
		for _, i := range places {
			if row.set[i] {
				set++
			}
		}
		if set > 0 {
			if set < len(places) {
				return nil, nil, fmt.Errorf("a bound has %d of %d range columns", set, len(places))
			}
			key = row.appendKeyOf(nil, places)
		}
		last := len(places) > 0 && s.cols[places[len(places)-1]].Type.VarLen()
		switch kind {
		case opRangeLower:
			start = key
		case opRangeLowerExclusive:
			start = nextKey(key, last)
		case opRangeUpper:
			end = key
		case opRangeUpperInclusive:
			end = nextKey(key, last)
		default:
			return nil, nil, fmt.Errorf("%s isn't a bound", kind)
		}
	}
	return start, end, nil
}

// nextKey gives the smallest encoded group above the given whole one, nil when
// there is none. The end of a group of variable length can grow by a byte.
func nextKey(key []byte, varLen bool) []byte {
	if varLen {
		return append(bytes.Clone(key), 0)
	}
	return afterPrefix(key)
}

// afterPrefix gives the smallest byte string above all that begin with the
// prefix, nil when there is none.
func afterPrefix(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			out := bytes.Clone(prefix[:i+1])
			out[i]++
			return out
		}
	}
	return nil
}

func placesOf(s *Schema, names []string) ([]int, error) {
	places := make([]int, len(names))
	for k, n := range names {
		if places[k] = s.Index(n); places[k] < 0 {
			return nil, fmt.Errorf("the table has no column %q", n)
		}
		if t := s.cols[places[k]].Type; !t.Known() {
			return nil, fmt.Errorf("column %q has a type that this client doesn't know", n)
		}
	}
	return places, nil
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
