package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// sweepEntry is a journal on its way to be finished.
type sweepEntry struct {
	key     offsets.JournalKey
	journal offsets.Journal
	rows    journalledRows // in the order of the primary key; while they are swept
	// restored says that another run stored it: its write may have been sent.
	restored bool
	whole    *kudu.ScanOptions // that read all rows, once they are made
}

// newEntry reads a journal that is stored.
func newEntry(key offsets.JournalKey, j offsets.Journal, o *order) (*sweepEntry, error) {
	e := &sweepEntry{key: key, journal: j, restored: true}
	err := j.Rows.Each(func(key []byte, _ offsets.Digest) error {
		if _, err := kudu.DecodeKey(o.primary, key); err != nil {
			return fmt.Errorf("its row %x: %w", key, err)
		}
		return nil
	})
	if len(j.Former) > 0 {
		e.journal.Rows, err = packFormer(j.Former, o)
		e.journal.Former = nil
	}
	if err != nil {
		return nil, &FatalError{fmt.Errorf("journal %s of tablet %s doesn't fit the table: %w", key.ID, key.Tablet, err)}
	}
	return e, nil
}

func packFormer(former []offsets.FormerRow, o *order) (packed offsets.JournalRows, err error) {
	var rows publishedRows
	for _, r := range former {
		key, digest, err := formerRow(r, o)
		if err != nil {
			return packed, fmt.Errorf("its row %s: %w", r.PrimaryKey, err)
		}
		rows.add(key, digest)
	}
	var last []byte
	for n, place := range rows.inOrder(nil) {
		key, digest, _ := rows.row(int(place))
		if n > 0 && bytes.Equal(key, last) {
			return packed, fmt.Errorf("it has the row %x twice", key)
		}
		packed.Add(key, digest)
		last = key
	}
	return packed, nil
}

// len is the number of rows.
func (e *sweepEntry) len() int { return e.journal.Rows.Len() }

// unpack makes the rows, for as long as they are swept.
func (e *sweepEntry) unpack() {
	e.rows = journalledRows{keyList: keyList{ends: make([]int, 0, e.len())}, digests: make([]offsets.Digest, 0, e.len())}
	e.each(e.rows.add)
}

func (e *sweepEntry) eachKey(fn func(key []byte)) {
	e.each(func(key []byte, _ offsets.Digest) { fn(key) })
}

func (e *sweepEntry) each(fn func(key []byte, digest offsets.Digest)) {
	err := e.journal.Rows.Each(func(key []byte, digest offsets.Digest) error {
		fn(key, digest)
		return nil
	})
	if err != nil {
		panic(err) // it was packed by us, or looked at when it was read
	}
}

func formerRow(r offsets.FormerRow, o *order) (key []byte, digest offsets.Digest, err error) {
	values, err := restoreValues(o.primary, r.PrimaryKey, false)
	if err != nil {
		return nil, digest, err
	}
	if key, err = kudu.EncodeKey(o.primary, values); err != nil {
		return nil, digest, err
	}
	digest, err = parseDigest(r.Digest)
	return key, digest, err
}

// all are the places of all rows.
func (e *sweepEntry) all() []int {
	all := make([]int, e.rows.len())
	for i := range all {
		all[i] = i
	}
	return all
}

// rowState is what a read has found of a journal's row.
type rowState struct {
	there  bool
	marked bool // it has the values of sweep.set
	digest offsets.Digest
}

// gone reports whether the row is as its sweep leaves it.
func (s rowState) gone(action string) bool { return !s.there || action == sweepUpdate && s.marked }

// keyReader reads rows by their primary keys.
type keyReader struct {
	reading
	set   []setCell
	spare *sync.Pool // of keyValues
}

// keyValues are the different values of each column of some primary keys.
type keyValues struct{ distinct []map[any]any }

// look is a view of the present to read an entry's rows in.
func (k *keyReader) look(ctx context.Context, e *sweepEntry) (view, error) {
	if k.late.guard == guardNone {
		return view{}, nil // the read itself tells the time
	}
	return k.view(ctx, e.key.Tablet)
}

// read looks at some of an entry's rows, given by their places, in a view; one
// without a time is of the tablet's present, which it returns. each, if not nil,
// is given the rows that are there.
func (k *keyReader) read(ctx context.Context, e *sweepEntry, rows []int, v view, each func(place int, b *kudu.RowBatch, row int)) ([]rowState, kudu.Timestamp, error) {
	states := make([]rowState, e.rows.len())
	if len(rows) == 0 {
		return states, v.at, nil
	}
	opts, err := k.options(e, rows)
	if err != nil {
		return nil, 0, err
	}
	opts = v.in(opts)
	sc, err := k.table.Scan(e.key.Tablet, opts)
	if err != nil {
		return nil, 0, err
	}
	defer sc.Close()
	wanted := make([]bool, e.rows.len())
	for _, i := range rows {
		wanted[i] = true
	}
	var d *digester
	var key []byte
	for {
		b, err := k.next(ctx, sc, e.key.Tablet)
		if errors.Is(err, io.EOF) {
			return states, sc.Snapshot(), nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("reading %d rows of the journal: %w", len(rows), err)
		}
		if d == nil {
			if d, err = newDigester(e.journal.Hash, e.journal.Columns, b.Schema()); err != nil {
				return nil, 0, err
			}
		}
		for row := range b.NumRows() {
			key = k.plan.order.appendKey(key[:0], b, row)
			i, ours := e.rows.place(key)
			if !ours || !wanted[i] {
				continue
			}
			states[i] = rowState{there: true, marked: k.marked(b, row), digest: d.of(b, row)}
			if each != nil {
				each(i, b, row)
			}
		}
	}
}

// options narrow a scan to the rows: by the range of the primary key, and by
// the values of the key column that tells most of them apart.
func (k *keyReader) options(e *sweepEntry, rows []int) (kudu.ScanOptions, error) {
	if len(rows) == e.rows.len() && e.whole != nil {
		return *e.whole, nil // of the look, for the audit
	}
	opts := kudu.ScanOptions{Columns: k.plan.columns, Ordered: true, Mode: kudu.ReadAtSnapshot, BatchBytes: k.batchBytes}
	first, last := slices.Min(rows), slices.Max(rows)
	opts.From = e.rows.key(first)
	keys := k.plan.order.primary
	spare, _ := k.spare.Get().(*keyValues)
	if spare == nil {
		spare = &keyValues{make([]map[any]any, len(keys))}
		for c := range spare.distinct {
			spare.distinct[c] = make(map[any]any)
		}
	}
	distinct := spare.distinct
	defer func() {
		for _, values := range distinct {
			clear(values)
		}
		k.spare.Put(spare)
	}()
	var greatest any // of the first column
	for _, i := range rows {
		values, err := kudu.DecodeKey(keys, e.rows.key(i))
		if err != nil {
			return opts, err // our own bytes: can't happen
		}
		for c, v := range values {
			id := v
			if b, is := v.([]byte); is {
				id = string(b)
			}
			distinct[c][id] = v
		}
		if i == last {
			greatest = values[0]
		}
	}
	best := 0
	for c := range keys {
		if len(distinct[c]) > len(distinct[best]) {
			best = c
		}
	}
	opts.Predicates = append(opts.Predicates, kudu.In(keys[best].Name, slices.Collect(maps.Values(distinct[best]))...))
	if best > 0 {
		opts.Predicates = append(opts.Predicates, kudu.LessEqual(keys[0].Name, greatest))
	}
	if len(rows) == e.rows.len() {
		e.whole = &opts
	}
	return opts, nil
}

// marked reports whether the row has the values of sweep.set.
func (k *keyReader) marked(b *kudu.RowBatch, row int) bool {
	for _, c := range k.set {
		cell := b.Column(b.Schema().Index(c.column.Name))
		if cell.IsNull(row) || !sameValue(cell.Value(row), c.value) {
			return false
		}
	}
	return len(k.set) > 0
}

func sameValue(a, b any) bool {
	x, isBytes := a.([]byte)
	y, areBytes := b.([]byte)
	if isBytes && areBytes {
		return string(x) == string(y)
	}
	return a == b
}
