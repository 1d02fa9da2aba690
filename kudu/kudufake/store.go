package kudufake

import (
	"bytes"
	"slices"
	"sort"
)

// cell is what a version holds for one column, by column id: a column that was
// added later is not set.
type cell struct {
	set   bool
	value []byte // nil: NULL
}

// version is a row from one timestamp on.
type version struct {
	ts      uint64
	seq     uint64 // of the operation in its tablet
	deleted bool
	cells   []cell // by column id; shared with older versions, never changed
}

// row is one primary key with all that ever happened to it.
type row struct {
	key      []byte // encoded
	versions []version
}

// view is what a reader may see: operations below a timestamp, and, at a
// frozen replica, those before it froze.
type view struct {
	ts  uint64 // exclusive
	seq uint64 // inclusive
}

// at gives the row's last version in the view, nil before the first.
func (r *row) at(v view) *version {
	for i := len(r.versions) - 1; i >= 0; i-- {
		if ver := &r.versions[i]; ver.ts < v.ts && ver.seq <= v.seq {
			return ver
		}
	}
	return nil
}

// change is how a row looks to a diff scan.
type change int

const (
	unchanged change = iota
	changedLive
	changedDeleted
)

// between tells what became of the row in [start, end.ts): the table of
// kudu-1.18.1's diff scans. cells are those to show; of a deleted row, all but
// the key is arbitrary, and may come from after the end, so it does here.
func (r *row) between(start uint64, end view) (change, []cell) {
	last := r.at(end)
	if last == nil || last.ts < start {
		return unchanged, nil
	}
	if !last.deleted {
		return changedLive, last.cells
	}
	before := r.at(view{ts: start, seq: end.seq})
	if before == nil || before.deleted {
		return unchanged, nil
	}
	for i := len(r.versions) - 1; i >= 0; i-- {
		if ver := &r.versions[i]; !ver.deleted {
			return changedDeleted, ver.cells
		}
	}
	return changedDeleted, last.cells
}

// rowSet holds the rows of a tablet.
type rowSet struct {
	byKey  map[string]*row
	sorted []*row // in key order; replaced, never changed, since scanners hold it
	fresh  []*row // not sorted in yet
}

func newRowSet() *rowSet { return &rowSet{byKey: make(map[string]*row)} }

// seek is the place of the first row with a key not below the given one.
func seek(order []*row, key []byte) int {
	return sort.Search(len(order), func(i int) bool { return bytes.Compare(order[i].key, key) >= 0 })
}

// order gives all rows in key order.
func (s *rowSet) order() []*row {
	if len(s.fresh) == 0 {
		return s.sorted
	}
	slices.SortFunc(s.fresh, func(a, b *row) int { return bytes.Compare(a.key, b.key) })
	merged := make([]*row, 0, len(s.sorted)+len(s.fresh))
	old := s.sorted
	for _, r := range s.fresh {
		at := seek(old, r.key)
		merged = append(append(merged, old[:at]...), r)
		old = old[at:]
	}
	merged = append(merged, old...)
	s.sorted, s.fresh = merged, nil
	return s.sorted
}

// row gives the row of a key, making it if need be.
func (s *rowSet) row(key []byte) *row {
	r := s.byKey[string(key)]
	if r == nil {
		r = &row{key: key}
		s.byKey[string(key)] = r
		s.fresh = append(s.fresh, r)
	}
	return r
}

// live gives the row's newest version if it is not deleted.
func (s *rowSet) live(key []byte) *version {
	r := s.byKey[string(key)]
	if r == nil || len(r.versions) == 0 {
		return nil
	}
	if last := &r.versions[len(r.versions)-1]; !last.deleted {
		return last
	}
	return nil
}

// count is the number of rows that are live now.
func (s *rowSet) count() int64 {
	n := int64(0)
	for _, r := range s.byKey {
		if len(r.versions) > 0 && !r.versions[len(r.versions)-1].deleted {
			n++
		}
	}
	return n
}

// counts are the resource metrics of a write.
type counts struct {
	inserts, insertIgnored, upserts, updates, updateIgnored, deletes, deleteIgnored, upsertIgnored int64
}

// apply carries out one operation at a timestamp (kudu-1.18.1
// src/kudu/tablet/tablet.cc, ApplyRowOperation). The failure is the row's own.
func (s *rowSet) apply(sc *schema, op *rowOp, ts, seq uint64, n *counts) *failure {
	if op.failed != nil {
		return op.failed
	}
	key := encodeGroup(sc.keyColumns(), op.cells[:sc.keys])
	live := s.live(key)
	switch op.kind {
	case opInsert, opInsertIgnore, opUpsert, opUpsertIgnore:
		if live == nil {
			s.push(key, version{ts: ts, seq: seq, cells: op.newCells(sc)})
			if op.kind == opUpsert || op.kind == opUpsertIgnore {
				n.upserts++
			} else {
				n.inserts++
			}
			return nil
		}
		switch op.kind {
		case opInsert:
			return appFailure(0, stAlreadyPresent, "key already present")
		case opInsertIgnore:
			n.insertIgnored++
			return nil
		}
		return s.upsertOver(sc, op, key, live, ts, seq, n)
	case opUpdate, opUpdateIgnore:
		if live == nil {
			if op.kind == opUpdateIgnore {
				n.updateIgnored++
				return nil
			}
			return appFailure(0, stNotFound, "key not found")
		}
		s.push(key, version{ts: ts, seq: seq, cells: op.changed(sc, live.cells, nil)})
		n.updates++
		if op.ignored {
			n.updateIgnored++
		}
	case opDelete, opDeleteIgnore:
		if live == nil {
			if op.kind == opDeleteIgnore {
				n.deleteIgnored++
				return nil
			}
			return appFailure(0, stNotFound, "key not found")
		}
		s.push(key, version{ts: ts, seq: seq, deleted: true, cells: live.cells})
		n.deletes++
	}
	return nil
}

// upsertOver is an upsert that finds its key: it updates the columns that are
// set, and with none does nothing.
func (s *rowSet) upsertOver(sc *schema, op *rowOp, key []byte, live *version, ts, seq uint64, n *counts) *failure {
	changes, ignored := 0, false
	skip := make([]bool, len(sc.cols))
	for i := sc.keys; i < len(sc.cols); i++ {
		switch {
		case !op.isset[i]:
		case !sc.cols[i].immutable:
			changes++
		case op.kind == opUpsert:
			return appFailure(0, stImmutable, "UPDATE not allowed for immutable column: %s", sc.cols[i].name)
		default:
			ignored, skip[i] = true, true
		}
	}
	if changes > 0 {
		s.push(key, version{ts: ts, seq: seq, cells: op.changed(sc, live.cells, skip)})
	}
	n.upserts++
	if ignored {
		n.upsertIgnored++
	}
	return nil
}

func (s *rowSet) push(key []byte, v version) {
	r := s.row(key)
	r.versions = append(r.versions, v)
}

// newCells are the cells of a new row: what is set, then defaults, then NULL.
func (op *rowOp) newCells(sc *schema) []cell {
	cells := make([]cell, sc.nextID)
	for i, col := range sc.cols {
		value := op.cells[i]
		if !op.isset[i] {
			value = col.writeDefault
		}
		cells[col.id] = cell{set: true, value: value}
	}
	return cells
}

// changed are the cells of a row after an update.
func (op *rowOp) changed(sc *schema, old []cell, skip []bool) []cell {
	cells := slices.Clone(old)
	for len(cells) < int(sc.nextID) {
		cells = append(cells, cell{})
	}
	for i := sc.keys; i < len(sc.cols); i++ {
		if op.isset[i] && (skip == nil || !skip[i]) {
			cells[sc.cols[i].id] = cell{set: true, value: op.cells[i]}
		}
	}
	return cells
}

// valueOf reads a column of a version: the read default if the row is older
// than the column.
func valueOf(cells []cell, col *column) []byte {
	if int(col.id) < len(cells) && cells[col.id].set {
		return cells[col.id].value
	}
	return col.readDefault
}
