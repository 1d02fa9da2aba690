package kudu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

var errForeignRow = errors.New("the row is of another table, or of another handle on it")

// router finds the tablet of a row, as the table's partitions were when it was
// made. Immutable.
type router struct {
	rangeCols []int
	ranges    []rangeRoute // in the order of their starts
}

// rangeRoute is one range partition and its tablets, one per combination of
// hash buckets, the last dimension counting fastest.
type rangeRoute struct {
	start, end []byte
	hash       []hashRoute
	tablets    []*Tablet
}

type hashRoute struct {
	cols    []int
	buckets int
	seed    uint32
}

func newRouter(s *Schema, p *PartitionSchema, tablets []*Tablet) (*router, error) {
	r := &router{}
	var err error
	if r.rangeCols, err = placesOf(s, p.Range); err != nil {
		return nil, err
	}
	for _, t := range tablets {
		i, found := slices.BinarySearchFunc(r.ranges, t.Partition.RangeStart, func(rr rangeRoute, start []byte) int {
			return bytes.Compare(rr.start, start)
		})
		if !found {
			route := rangeRoute{start: t.Partition.RangeStart, end: t.Partition.RangeEnd}
			combinations := 1
			for _, h := range p.HashOf(route.start) {
				places, err := placesOf(s, h.Columns)
				if err != nil {
					return nil, err
				}
				route.hash = append(route.hash, hashRoute{cols: places, buckets: h.Buckets, seed: h.Seed})
				if combinations *= h.Buckets; combinations > maxBuckets {
					return nil, fmt.Errorf("a range has more than %d hash partitions", maxBuckets)
				}
			}
			route.tablets = make([]*Tablet, combinations)
			r.ranges = slices.Insert(r.ranges, i, route)
		}
		route := &r.ranges[i]
		if len(t.Partition.HashBuckets) != len(route.hash) {
			return nil, fmt.Errorf("tablet %s has %d hash buckets in a range of %d hash dimensions", t.ID, len(t.Partition.HashBuckets), len(route.hash))
		}
		at := 0
		for k, b := range t.Partition.HashBuckets {
			if b >= route.hash[k].buckets {
				return nil, fmt.Errorf("tablet %s is in hash bucket %d of %d", t.ID, b, route.hash[k].buckets)
			}
			at = at*route.hash[k].buckets + b
		}
		route.tablets[at] = t
	}
	return r, nil
}

// maxBuckets bounds the hash partitions of one range, against a malformed
// partition schema. Kudu itself stops at some thousands of tablets.
const maxBuckets = 1 << 20

// find gives the tablet of the row, nil when no partition covers it. It uses
// and returns scratch.
func (r *router) find(row *Row, scratch []byte) (tablet *Tablet, rest []byte) {
	scratch = row.appendKeyOf(scratch[:0], r.rangeCols)
	// The last range that starts at or before the key.
	lo, hi := 0, len(r.ranges)
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(r.ranges[mid].start, scratch) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil, scratch
	}
	route := &r.ranges[lo-1]
	if len(route.end) > 0 && bytes.Compare(scratch, route.end) >= 0 {
		return nil, scratch
	}
	at := 0
	for i := range route.hash {
		h := &route.hash[i]
		scratch = row.appendKeyOf(scratch[:0], h.cols)
		at = at*h.buckets + bucketOf(scratch, h.seed, h.buckets)
	}
	return route.tablets[at], scratch
}

// currentRouter gives the table's router, made on first use, and again after
// dropRouter.
func (t *Table) currentRouter(ctx context.Context) (*router, error) {
	t.mu.Lock()
	r := t.router
	t.mu.Unlock()
	if r != nil {
		return r, nil
	}
	tablets, err := t.Tablets(ctx)
	if err != nil {
		return nil, err
	}
	if r, err = newRouter(t.schema, &t.partition, tablets); err != nil {
		return nil, &Error{Op: "routing rows of", Table: t.name, Err: errors.Join(ErrMalformed, err)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.router = r
	return r, nil
}

// dropRouter forgets a router that has proved to be out of date.
func (t *Table) dropRouter(r *router) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.router == r {
		t.router = nil
	}
}

// TabletOf tells which tablet the row belongs to; only the columns that the
// table is partitioned by need to be set. It fails with ErrNoPartition when no
// range partition covers the row.
func (t *Table) TabletOf(ctx context.Context, row *Row) (*Tablet, error) {
	names := slices.Clone(t.partition.Range)
	for _, h := range t.partition.Hash {
		names = append(names, h.Columns...)
	}
	for _, c := range t.partition.Custom {
		for _, h := range c.Hash {
			names = append(names, h.Columns...)
		}
	}
	if row.layout != t.layout {
		return nil, &Error{Op: "routing a row of", Table: t.name, Err: errForeignRow}
	}
	for _, n := range names {
		if i := t.schema.Index(n); i < 0 || !row.set[i] {
			return nil, &Error{Op: "routing a row of", Table: t.name, Err: fmt.Errorf("partition column %q isn't set", n)}
		}
	}
	return t.route(ctx, row)
}

// route finds the row's tablet. Before it says that there is none, it asks the
// master for partitions that were added meanwhile.
func (t *Table) route(ctx context.Context, row *Row) (*Tablet, error) {
	if row.err != nil {
		return nil, row.err
	}
	for fresh := false; ; fresh = true {
		r, err := t.currentRouter(ctx)
		if err != nil {
			return nil, err
		}
		if tablet, _ := r.find(row, nil); tablet != nil {
			return tablet, nil
		}
		if fresh {
			return nil, &Error{Op: "routing a row of", Table: t.name, Err: ErrNoPartition}
		}
		t.dropRouter(r)
	}
}
