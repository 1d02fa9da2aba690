package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// anyKey draws one to three columns that aren't the head of the primary key.
func anyKey(t *rapid.T) []string {
	var all []string
	for _, c := range wideColumns() {
		if !c.Nullable {
			all = append(all, c.Name)
		}
	}
	key := rapid.Permutation(all).Draw(t, "columns")[:rapid.IntRange(1, 3).Draw(t, "length")]
	if key[0] == "region" {
		key[0] = "bool"
		key = slices.Compact(key)
		key = key[:1]
	}
	return key
}

func TestSortedRowsComeOnceAndInOrderByAnyKey(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		e := newElsewhere(t, w, wideColumns(), elsewhereConfig(anyKey(rt)...), rapid.Uint64().Draw(rt, "seed"))
		if rapid.Bool().Draw(rt, "plenty of memory") {
			e.sorting.budget = extsort.NewBudget(64 << 20)
			e.poller = &sortedPoller{reading: e.reading, sorting: e.sorting}
		}
		if err := e.story(t); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestWalkedRowsComeOnceByAnyKey(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		e := newElsewhere(t, w, wideColumns(), elsewhereConfig(anyKey(rt)...), rapid.Uint64().Draw(rt, "seed"))
		e.poller, e.inOrder = &walkPoller{e.reading}, false
		if err := e.story(t); err != nil {
			rt.Fatal(err)
		}
	})
}

// Each restart of a walk finds that Kudu has forgotten its snapshot.
func TestWalkWhoseSnapshotIsTooOldLosesNothing(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{HistoryMaxAge: time.Hour})
	closed := 0
	rapid.Check(t, func(rt *rapid.T) {
		e := newElsewhere(t, w, wideColumns(), elsewhereConfig(anyKey(rt)...), rapid.Uint64().Draw(rt, "seed"))
		e.poller, e.inOrder = &walkPoller{e.reading}, false
		e.wake = func() {
			w.fake.Advance(2 * time.Hour)
			e.insert(t, e.dice.IntN(30))
			for _, text := range e.stored {
				if bytes.Contains(text, []byte(`"closed":true`)) {
					closed++
				}
			}
		}
		if err := e.story(t); err != nil {
			rt.Fatal(err)
		}
	})
	if closed == 0 {
		t.Error("no walk was closed and stored")
	}
}

func TestWalkThatGoesOnAtANewSnapshotWithoutABoundIsCaught(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	caught(t, func(seed uint64) error {
		e := newElsewhere(t, w, wideColumns(), elsewhereConfig("int16"), seed)
		e.poller, e.inOrder = &walkPoller{e.reading}, false
		e.wake = func() { e.insert(t, 20) }
		e.restored = func(r *tabletReader) {
			if r.walk != nil {
				r.walk.snapshot = 0 // a new one, without closing the walk
			}
		}
		return e.story(t)
	})
}

// caught runs a wrong implementation until the check refutes it.
func caught(t *testing.T, story func(seed uint64) error) {
	t.Helper()
	for seed := range uint64(200) {
		if err := story(seed); err != nil {
			t.Logf("seed %d: %.200v", seed, err)
			return
		}
	}
	t.Error("the check takes it for right")
}

// naive sorts in memory what it holds to be new.
type naive struct {
	reading
	isNew func(o *order, hwm, key []byte) bool
}

func (p *naive) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (bool, error) {
	sc, err := p.table.Scan(r.id, kudu.ScanOptions{Columns: p.plan.columns, Mode: kudu.ReadAtSnapshot})
	if err != nil {
		return false, err
	}
	defer sc.Close()
	type packed struct{ key, row []byte }
	var all []packed
	o := p.plan.order
	for {
		rows, err := sc.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
		for i := range rows.NumRows() {
			if key := o.appendKey(nil, rows, i); r.hwm == nil || p.isNew(o, r.hwm, key) {
				all = append(all, packed{key, rows.AppendPacked(nil, i)})
			}
		}
	}
	slices.SortFunc(all, func(a, b packed) int { return bytes.Compare(a.key, b.key) })
	schema, err := p.table.Schema().Project(p.plan.columns...)
	if err != nil {
		return false, err
	}
	for chunk := range slices.Chunk(all, 7) {
		builder := kudu.NewBatchBuilder(schema)
		for _, row := range chunk {
			if err := builder.AppendPacked(row.row); err != nil {
				return false, err
			}
		}
		if !emit(&batch{rows: builder.Build(), snapshot: sc.Snapshot(), tablets: []*tabletReader{r}, order: o}) {
			return false, ctx.Err()
		}
		r.hwm = chunk[len(chunk)-1].key
	}
	return false, nil
}

// streamingOf is the part of an order key that the streaming key makes.
func streamingOf(o *order, key []byte) [][]byte {
	values, _, err := o.split(key)
	if err != nil {
		panic(err)
	}
	var out [][]byte
	for i, c := range o.streaming {
		cell, err := kudu.EncodeKey([]kudu.Column{c}, values[i:i+1])
		if err != nil {
			panic(err)
		}
		out = append(out, cell)
	}
	return out
}

func TestNaiveBoundsAreCaught(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	run := func(seed uint64, isNew func(o *order, hwm, key []byte) bool) error {
		e := newElsewhere(t, w, wideColumns(), elsewhereConfig("int16", "double"), seed)
		e.poller = &naive{e.reading, isNew}
		return e.story(t)
	}
	t.Run("the exact bound is not", func(t *testing.T) {
		for seed := range uint64(20) {
			if err := run(seed, func(_ *order, hwm, key []byte) bool { return bytes.Compare(key, hwm) > 0 }); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, isNew := range map[string]func(o *order, hwm, key []byte) bool{
		"column by column": func(o *order, hwm, key []byte) bool {
			a, b := streamingOf(o, key), streamingOf(o, hwm)
			return bytes.Compare(a[0], b[0]) >= 0 && bytes.Compare(a[1], b[1]) >= 0 && bytes.Compare(key, hwm) > 0
		},
		"ties at the edge of a batch are taken for published": func(o *order, hwm, key []byte) bool {
			return slices.CompareFunc(streamingOf(o, key), streamingOf(o, hwm), bytes.Compare) > 0
		},
		"rows at the position's own key are read again": func(o *order, hwm, key []byte) bool {
			return slices.CompareFunc(streamingOf(o, key), streamingOf(o, hwm), bytes.Compare) >= 0
		},
		"the position's own row is read again": func(_ *order, hwm, key []byte) bool { return bytes.Compare(key, hwm) >= 0 },
	} {
		t.Run(name, func(t *testing.T) { caught(t, func(seed uint64) error { return run(seed, isNew) }) })
	}
}

func TestRowsOfAllTabletsAreSortedTogether(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	e := newElsewhere(t, w, wideColumns(), elsewhereConfig("double", "string"), 3)
	e.insert(t, 3000)
	var readers []*tabletReader
	for _, r := range e.readers {
		readers = append(readers, r)
	}
	all := &sortedPoller{reading: e.reading, sorting: e.sorting, readers: readers}
	var last *tableRow
	n := 0
	if _, err := all.poll(t.Context(), &tabletReader{id: "all"}, func(b *batch) bool {
		for i := range b.published() {
			row := valuesOf(e.reading.plan.order, b.rows, i)
			if last != nil && last.compare(row) >= 0 {
				t.Fatalf("%v behind %v", row.streaming, last.streaming)
			}
			if known := e.rows[string(e.reading.plan.order.primaryKey(b.rows, i))]; known.tablet != b.tablet(i).id {
				t.Fatalf("a row of tablet %s is said to be of %s", known.tablet, b.tablet(i).id)
			}
			last = row
			n++
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != 3000 {
		t.Errorf("%d rows", n)
	}
	if _, err := all.poll(t.Context(), &tabletReader{id: "all"}, func(*batch) bool {
		t.Error("the second poll has rows")
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

// A full disk may have room again: the task is tried again.
func TestSortThatFindsNoDiskIsTriedAgain(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	e := newElsewhere(t, w, wideColumns(), elsewhereConfig("double"), 5)
	e.sorting.directory = filepath.Join(t.TempDir(), "gone")
	e.poller = &sortedPoller{reading: e.reading, sorting: e.sorting}
	e.insert(t, 2000)
	for tablet := range e.readers {
		_, _, err := e.poll(t, tablet, -1)
		if !errors.Is(err, os.ErrNotExist) || fatal(err) {
			t.Errorf("got %v, fatal %v", err, fatal(err))
		}
	}
	if fatal(fmt.Errorf("writing: %w", syscall.ENOSPC)) {
		t.Error("a full disk is fatal")
	}
	e.sorting.directory = t.TempDir()
	e.poller = &sortedPoller{reading: e.reading, sorting: e.sorting}
	e.restart(t)
	e.drain(t)
	if err := e.check(); err != nil {
		t.Error(err)
	}
}

func autoColumns() []kudu.Column {
	return []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true},
		{Name: "auto_incrementing_id", Type: kudu.Int64, Key: true, AutoIncrementing: true},
		{Name: "text", Type: kudu.String, Nullable: true},
	}
}

func TestAutoIncrementingColumnOrdersRowsAsTheyWereInserted(t *testing.T) {
	w := fakeWorld(t, kudufake.Options{})
	for seed := range uint64(20) {
		e := newElsewhere(t, w, autoColumns(), elsewhereConfig("auto_incrementing_id"), seed)
		e.auto = true
		if err := e.story(t); err != nil {
			t.Fatal(err)
		}
		for _, r := range e.rows {
			if r.published != 1 {
				t.Fatalf("row %v was published %d times: such rows are never late", r.streaming, r.published)
			}
		}
	}
}

func TestBoundsOfAWalkAreStoredAsTheyWereGiven(t *testing.T) {
	schema, err := kudu.NewSchema(wideColumns())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		o, err := newOrder(anyKey(rt), schema, columnNames(schema))
		if err != nil {
			rt.Fatal(err)
		}
		var values []any
		for _, c := range o.streaming[:rapid.IntRange(0, len(o.streaming)).Draw(rt, "given")] {
			values = append(values, rapid.SampledFrom(pools[c.Type]).Draw(rt, c.Name))
		}
		key, err := o.bound(values)
		if err != nil {
			rt.Fatal(err)
		}
		text, err := o.storeBound(key)
		if err != nil {
			rt.Fatal(err)
		}
		if again, err := o.restoreBound(text, nil); err != nil || !bytes.Equal(again, key) {
			rt.Fatalf("%x became %s became %x, %v", key, text, again, err)
		}
	})
}

// The servers' idea of order is what pushed relies on: NaN is above infinity,
// and both zeros are one.
func TestRealServersShowAllRowsWithinTheBounds(t *testing.T) {
	w := realWorld(t)
	for _, key := range [][]string{{"double"}, {"float", "bool"}, {"binary", "date"}, {"dec128", "varchar"}, {"at"}, {"id"}} {
		for _, walks := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v walks=%v", key, walks), func(t *testing.T) {
				e := newElsewhere(t, w, wideColumns(), elsewhereConfig(key...), 11)
				if walks {
					e.poller, e.inOrder = &walkPoller{e.reading}, false
				}
				if err := e.story(t); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestRealAutoIncrementingColumnOrdersRowsAsTheyWereInserted(t *testing.T) {
	w := realWorld(t)
	for seed := range uint64(3) {
		e := newElsewhere(t, w, autoColumns(), elsewhereConfig("auto_incrementing_id"), seed)
		e.auto = true
		if err := e.story(t); err != nil {
			t.Fatal(err)
		}
		for _, r := range e.rows {
			if r.published != 1 {
				t.Fatalf("row %v was published %d times: such rows are never late", r.streaming, r.published)
			}
		}
	}
}
