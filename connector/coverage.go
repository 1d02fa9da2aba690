package connector

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// coverage says, for each place in a tablet's order up to the high-water mark,
// at which snapshot the scan that covered it was taken: of the rows that were
// there then, each has been published, and of those that came later none. So a
// row is late exactly if its place was empty at that snapshot.
//
// It is a list of stretches in the order of their keys, each from behind the one
// before; the last one ends at the high-water mark. A coverage is never changed
// in place: a batch on its way to Kafka keeps the one it was made with.
type coverage []stretch

type stretch struct {
	upTo []byte // order key, inclusive
	at   kudu.Timestamp
}

// extend covers what is behind the last stretch, up to a key.
func (c coverage) extend(upTo []byte, at kudu.Timestamp) coverage {
	if n := len(c); n > 0 {
		if bytes.Compare(upTo, c[n-1].upTo) <= 0 {
			return c
		}
		if c[n-1].at == at {
			c = c[:n-1]
		}
	}
	return append(c[:len(c):len(c)], stretch{upTo, at})
}

// raise says that from behind a key (nil: from the start) up to another one all
// that were there at a later snapshot are published.
func (c coverage) raise(after, upTo []byte, to kudu.Timestamp) coverage {
	var out coverage
	var low []byte // where the present stretch begins
	for _, s := range c {
		first, last := low, s.upTo // the part of the stretch that is raised
		if after != nil && above(after, first) {
			first = after
		}
		if bytes.Compare(upTo, last) < 0 {
			last = upTo
		}
		if s.at < to && above(last, first) {
			if first != nil && above(first, low) {
				out = out.extend(first, s.at)
			}
			out = out.extend(last, to)
		}
		out = out.extend(s.upTo, s.at)
		low = s.upTo
	}
	return out
}

// above reports whether a key is behind another one, which may be nil: before
// all keys, the empty one too.
func above(key, low []byte) bool { return low == nil || bytes.Compare(key, low) > 0 }

// part is a stretch with both its ends.
type part struct {
	after, upTo []byte // after: exclusive, nil at the start
	at          kudu.Timestamp
}

// parts lists the stretches with both their ends.
func (c coverage) parts() []part {
	var parts []part
	var low []byte
	for _, s := range c {
		parts = append(parts, part{after: low, upTo: s.upTo, at: s.at})
		low = s.upTo
	}
	return parts
}

// older lists the parts behind a key that are covered as of less than a
// snapshot.
func (c coverage) older(after []byte, than kudu.Timestamp) []part {
	return slices.DeleteFunc(c.parts(), func(p part) bool { return p.at >= than || !above(p.upTo, after) })
}

// span gives the oldest and the latest snapshot.
func (c coverage) span() (oldest, latest kudu.Timestamp) {
	oldest = c[0].at
	for _, s := range c {
		oldest, latest = min(oldest, s.at), max(latest, s.at)
	}
	return oldest, latest
}

// point is where a tablet with this coverage stands.
func (c coverage) point() point {
	last := c[len(c)-1]
	return point{key: last.upTo, snapshot: last.at, covered: c[:len(c)-1]}
}

// storeCovered writes a coverage into the position of its last key.
func (o *order) storeCovered(pos *offsets.Position, c coverage) error {
	for i, s := range c {
		cover := offsets.Cover{Snapshot: uint64(s.at)}
		if i < len(c)-1 {
			var place offsets.Position
			if err := o.store(&place, s.upTo); err != nil {
				return err
			}
			cover.Key, cover.PrimaryKey = place.Key, place.PrimaryKey
		}
		pos.Covered = append(pos.Covered, cover)
	}
	return nil
}

// storeRepair writes how far a repair has come into a position.
func (o *order) storeRepair(pos *offsets.Position, p *repairPoint) error {
	var place offsets.Position
	if err := o.store(&place, p.upTo); err != nil {
		return err
	}
	pos.Repair = &offsets.Cover{Key: place.Key, PrimaryKey: place.PrimaryKey, Snapshot: uint64(p.at)}
	return nil
}

// restoreRepair reads it back; nil when the position is in no repair.
func (o *order) restoreRepair(pos offsets.Position, c coverage) (*repairPoint, error) {
	if pos.Repair == nil {
		return nil, nil
	}
	if o.prefix {
		return nil, &FatalError{fmt.Errorf("it is in the middle of a repair by another streaming key: reset the connector's offsets, or put that key back")}
	}
	upTo, err := o.restore(offsets.Position{Key: pos.Repair.Key, PrimaryKey: pos.Repair.PrimaryKey, Columns: pos.Columns})
	if err != nil {
		return nil, fmt.Errorf("the repair under way: %w", err)
	}
	p := &repairPoint{upTo: upTo, at: kudu.Timestamp(pos.Repair.Snapshot)}
	if _, latest := c.span(); p.at < latest {
		return nil, &FatalError{fmt.Errorf("its repair, as of %s, is of an earlier state than what it says to be covered, as of %s", p.at, latest)}
	}
	return p, nil
}

// restoreCovered reads a coverage back; nil when the position has none. Who
// patched the position downwards has cut off the stretches above it.
func (o *order) restoreCovered(pos offsets.Position, hwm []byte) (coverage, error) {
	var c coverage
	for i, s := range pos.Covered {
		upTo := hwm
		if s.PrimaryKey != nil {
			var err error
			if upTo, err = o.restore(offsets.Position{Key: s.Key, PrimaryKey: s.PrimaryKey, Columns: pos.Columns}); err != nil {
				return nil, fmt.Errorf("stretch %d of what is covered: %w", i+1, err)
			}
		}
		if bytes.Compare(upTo, hwm) > 0 {
			upTo = hwm
		}
		c = c.extend(upTo, kudu.Timestamp(s.Snapshot))
	}
	return c, nil
}
