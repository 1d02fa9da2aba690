package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// sweepEntry is a journal on its way to be finished.
type sweepEntry struct {
	key     offsets.JournalKey
	journal offsets.Journal
	rows    []entryRow // in the order of the primary key
	places  map[string]int
	// restored says that another run stored it: its write may have been sent.
	restored bool
}

// entryRow is one row of a journal.
type entryRow struct {
	key    string // encoded primary key
	values []any  // of the primary key
	digest string
}

// newEntry reads a journal that is stored.
func newEntry(key offsets.JournalKey, j offsets.Journal, o *order) (*sweepEntry, error) {
	e := &sweepEntry{key: key, journal: j, restored: true}
	for _, r := range j.Rows {
		values, err := restoreValues(o.primary, r.PrimaryKey)
		if err != nil {
			return nil, &FatalError{fmt.Errorf("journal %s of tablet %s: its primary_key %s doesn't fit the table: %w", key.ID, key.Tablet, r.PrimaryKey, err)}
		}
		encoded, err := kudu.EncodeKey(o.primary, values)
		if err != nil {
			return nil, &FatalError{fmt.Errorf("journal %s of tablet %s: %w", key.ID, key.Tablet, err)}
		}
		e.rows = append(e.rows, entryRow{key: string(encoded), values: values, digest: r.Digest})
	}
	e.arrange()
	return e, nil
}

// arrange puts the rows in order.
func (e *sweepEntry) arrange() {
	slices.SortFunc(e.rows, func(a, b entryRow) int { return cmp.Compare(a.key, b.key) })
	e.places = make(map[string]int, len(e.rows))
	for i, r := range e.rows {
		e.places[r.key] = i
	}
}

// rowState is what a read has found of a journal's row.
type rowState struct {
	there  bool
	marked bool // it has the values of sweep.set
	digest string
}

// gone reports whether the row is as its sweep leaves it.
func (s rowState) gone(action string) bool { return !s.there || action == sweepUpdate && s.marked }

// keyReader reads rows by their primary keys.
type keyReader struct {
	reading
	set []setCell
}

// read looks at some of an entry's rows, given by their places, at a snapshot;
// zero is the tablet's present, which it returns. each, if not nil, is given
// the rows that are there.
func (k *keyReader) read(ctx context.Context, e *sweepEntry, rows []int, snapshot kudu.Timestamp, each func(place int, b *kudu.RowBatch, row int)) ([]rowState, kudu.Timestamp, error) {
	states := make([]rowState, len(e.rows))
	if len(rows) == 0 {
		return states, 0, nil
	}
	opts := k.options(e, rows, snapshot)
	sc, err := k.table.Scan(e.key.Tablet, opts)
	if err != nil {
		return nil, 0, err
	}
	defer sc.Close()
	wanted := make([]bool, len(e.rows))
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
			if d, err = newDigester(e.journal.Columns, b.Schema()); err != nil {
				return nil, 0, err
			}
		}
		for row := range b.NumRows() {
			key = k.plan.order.appendKey(key[:0], b, row)
			i, ours := e.places[string(key)]
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
func (k *keyReader) options(e *sweepEntry, rows []int, snapshot kudu.Timestamp) kudu.ScanOptions {
	opts := kudu.ScanOptions{Columns: k.plan.columns, Ordered: true, Snapshot: snapshot, BatchBytes: k.batchBytes}
	first, last := rows[0], rows[0]
	for _, i := range rows {
		first, last = min(first, i), max(last, i)
	}
	opts.From = []byte(e.rows[first].key)
	keys := k.plan.order.primary
	best, values := 0, []any(nil)
	for c := range keys {
		distinct := make(map[any]any)
		for _, i := range rows {
			v := e.rows[i].values[c]
			id := v
			if b, is := v.([]byte); is {
				id = string(b)
			}
			distinct[id] = v
		}
		if len(distinct) > len(values) {
			best, values = c, make([]any, 0, len(distinct))
			for _, v := range distinct {
				values = append(values, v)
			}
		}
	}
	opts.Predicates = append(opts.Predicates, kudu.In(keys[best].Name, values...))
	if best > 0 {
		opts.Predicates = append(opts.Predicates, kudu.LessEqual(keys[0].Name, e.rows[last].values[0]))
	}
	return opts
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
