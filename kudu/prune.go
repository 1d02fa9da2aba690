package kudu

import (
	"bytes"
	"context"
)

// Scans ask a tablet only if a row of it can meet their predicates and bounds.
// A row's hash buckets follow from equalities and lists on all columns of a
// hash dimension, and its range key lies in intervals that follow from
// conditions on the leading range columns, or from primary key bounds when the
// range columns lead the primary key.

// PruneTablets asks the master for the table's tablets and gives those that can
// hold rows of the scan, in the order of their partition keys.
func (t *Table) PruneTablets(ctx context.Context, opts ScanOptions) ([]*Tablet, error) {
	tablets, err := t.Tablets(ctx)
	if err != nil {
		return nil, err
	}
	return t.Prune(tablets, opts)
}

// Prune gives those of the tablets that can hold rows of the scan.
func (t *Table) Prune(tablets []*Tablet, opts ScanOptions) ([]*Tablet, error) {
	const op = "pruning tablets of"
	cs, err := compile(t.schema, opts.Predicates)
	if err != nil {
		return nil, &Error{Op: op, Table: t.name, Err: err}
	}
	if cs.never {
		return nil, nil
	}
	p := &pruner{schema: t.schema, conditions: cs, buckets: make(map[*HashDimension][]bool)}
	if err := p.rangeKeys(t.partition.Range, opts); err != nil {
		return nil, &Error{Op: op, Table: t.name, Err: err}
	}
	var out []*Tablet
	for _, tablet := range tablets {
		if p.matches(&t.partition, &tablet.Partition) {
			out = append(out, tablet)
		}
	}
	return out, nil
}

// keyInterval is an interval of encoded range keys; nil ends are open.
type keyInterval struct{ from, to []byte }

func (i keyInterval) overlaps(start, end []byte) bool {
	return (i.to == nil || bytes.Compare(start, i.to) < 0) && (len(end) == 0 || bytes.Compare(i.from, end) < 0)
}

type pruner struct {
	schema     *Schema
	conditions *conditions
	ranges     []keyInterval // a row's range key lies in one of them
	bounds     keyInterval   // and in this one
	buckets    map[*HashDimension][]bool
}

func (p *pruner) matches(table *PartitionSchema, part *Partition) bool {
	if !p.bounds.overlaps(part.RangeStart, part.RangeEnd) {
		return false
	}
	inRange := false
	for _, i := range p.ranges {
		if inRange = i.overlaps(part.RangeStart, part.RangeEnd); inRange {
			break
		}
	}
	if !inRange {
		return false
	}
	hash := table.HashOf(part.RangeStart)
	if len(hash) != len(part.HashBuckets) {
		return true // not as this handle knows it: ask
	}
	for k := range hash {
		allowed, seen := p.buckets[&hash[k]]
		if !seen {
			allowed = p.hashBuckets(&hash[k])
			p.buckets[&hash[k]] = allowed
		}
		if b := part.HashBuckets[k]; allowed != nil && b < len(allowed) && !allowed[b] {
			return false
		}
	}
	return true
}

// hashBuckets tells which buckets of a dimension rows can be in; nil is all.
func (p *pruner) hashBuckets(h *HashDimension) []bool {
	lists := make([]*condition, len(h.Columns))
	for k, name := range h.Columns {
		c := p.conditions.byColumn[p.schema.Index(name)]
		if c == nil || c.in == nil {
			return nil
		}
		lists[k] = c
	}
	if h.Buckets > maxBuckets {
		return nil
	}
	allowed := make([]bool, h.Buckets)
	left := h.Buckets
	eachGroup(lists, func(group []byte) bool {
		if b := bucketOf(group, h.Seed, h.Buckets); !allowed[b] {
			allowed[b] = true
			left--
		}
		return left > 0
	})
	return allowed
}

// eachGroup gives the encoded group of each combination of the lists' values,
// until yield says no.
func eachGroup(lists []*condition, yield func(group []byte) bool) {
	var descend func(prefix []byte, k int) bool
	descend = func(prefix []byte, k int) bool {
		if k == len(lists) {
			return yield(prefix)
		}
		for _, key := range lists[k].in {
			if !descend(appendSortKey(bytes.Clone(prefix), lists[k].col.Type, key, k == len(lists)-1), k+1) {
				return false
			}
		}
		return true
	}
	descend(nil, 0)
}

// appendSortKey appends a key column's sort key as part of a group.
func appendSortKey(dst []byte, t DataType, key []byte, last bool) []byte {
	if t.VarLen() {
		return appendKeyBytes(dst, key, last)
	}
	return append(dst, key...)
}

// maxIntervals bounds how finely lists of values cut the range keys.
const maxIntervals = 10_000

// rangeKeys works out where range keys can lie.
func (p *pruner) rangeKeys(columns []string, opts ScanOptions) error {
	p.ranges = []keyInterval{{}}
	if len(columns) == 0 {
		return nil
	}
	prefixes := [][]byte{nil}
	for k, name := range columns {
		last := k == len(columns)-1
		c := p.conditions.byColumn[p.schema.Index(name)]
		if c == nil || c.in == nil || len(prefixes)*len(c.in) > maxIntervals {
			p.ranges = boundedIntervals(prefixes, c, last)
			break
		}
		var next [][]byte
		for _, prefix := range prefixes {
			for _, key := range c.in {
				next = append(next, appendSortKey(bytes.Clone(prefix), c.col.Type, key, last))
			}
		}
		prefixes = next
		if last {
			p.ranges = p.ranges[:0]
			for _, key := range prefixes {
				p.ranges = append(p.ranges, keyInterval{key, nextKey(key, c.col.Type.VarLen())})
			}
		}
	}
	return p.keyBounds(columns, opts)
}

// boundedIntervals gives the keys that begin with one of the prefixes, with the
// condition, if any, on the column behind them.
func boundedIntervals(prefixes [][]byte, c *condition, last bool) []keyInterval {
	out := make([]keyInterval, len(prefixes))
	for i, prefix := range prefixes {
		out[i].from = prefix
		if len(prefix) > 0 {
			out[i].to = afterPrefix(prefix)
		}
		if c == nil || c.isNull {
			continue
		}
		lower, upper, inclusive := c.lower, c.upper, false
		if c.in != nil {
			lower, upper, inclusive = c.in[0], c.in[len(c.in)-1], true
		}
		if lower != nil {
			out[i].from = appendSortKey(bytes.Clone(prefix), c.col.Type, lower, last)
		}
		if upper != nil {
			to := appendSortKey(bytes.Clone(prefix), c.col.Type, upper, last)
			if inclusive {
				// Behind all keys that have the value here.
				if last && c.col.Type.VarLen() {
					to = append(to, 0)
				} else {
					to = afterPrefix(to)
				}
			}
			out[i].to = to
		}
	}
	return out
}

// keyBounds turns the primary key bounds into one of range keys, when the range
// columns lead the primary key.
func (p *pruner) keyBounds(columns []string, opts ScanOptions) error {
	if len(columns) > p.schema.keys {
		return nil
	}
	for k, name := range columns {
		if p.schema.Index(name) != k {
			return nil
		}
	}
	lower := opts.From
	if bytes.Compare(opts.After, lower) > 0 {
		lower = opts.After
	}
	varLen := p.schema.cols[len(columns)-1].Type.VarLen()
	if len(lower) > 0 {
		key, _, err := p.leading(lower, len(columns))
		if err != nil {
			return err
		}
		p.bounds.from = key
	}
	if len(opts.To) > 0 {
		key, restLeast, err := p.leading(opts.To, len(columns))
		if err != nil {
			return err
		}
		p.bounds.to = key
		if !restLeast {
			p.bounds.to = nextKey(key, varLen)
		}
	}
	return nil
}

// leading encodes the first n columns of an encoded primary key as a group of
// their own, and tells whether the others have their least values.
func (p *pruner) leading(key []byte, n int) (group []byte, restLeast bool, err error) {
	if n == p.schema.keys {
		return key, true, nil
	}
	values, err := p.schema.DecodePrimaryKey(key)
	if err != nil {
		return nil, false, err
	}
	if group, err = encodeGroup(nil, p.schema.cols[:n], values[:n]); err != nil {
		return nil, false, err
	}
	restLeast = true
	for i := n; i < p.schema.keys; i++ {
		cell, err := appendCell(nil, &p.schema.cols[i], values[i])
		if err != nil {
			return nil, false, err
		}
		k, err := sortKey(p.schema.cols[i].Type, cell)
		if err != nil {
			return nil, false, err
		}
		restLeast = restLeast && bytes.Equal(k, leastKey(p.schema.cols[i].Type))
	}
	return group, restLeast, nil
}
