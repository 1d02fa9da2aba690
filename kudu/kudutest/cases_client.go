package kudutest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// clientCases go through the public client, against a model in the test.
var clientCases = []namedCase{
	{"RandomTablesAgainstAModel", func(s *suite) {
		for seed := range uint64(clientSeeds) {
			s.Run(fmt.Sprint("seed", seed), func(t *testing.T) { newModel(newSuite(t, s.c), seed).run() })
		}
	}},
}

// batchCases are those of Table.WriteBatch.
var batchCases = []namedCase{
	{"ReplayAnswersAsTheFirstTimeAndDoesNotWrite", func(s *suite) {
		t := s.batchTable()
		id := newBatchID()
		t.apply(kudu.OpInsert, []any{int64(1), int64(10)}, []any{int64(2), int64(20)})
		first := t.batch(id, kudu.OpDeleteIgnore, []any{int64(1)}, []any{int64(7)})
		s.equal("the first answer", fmt.Sprint(first.Ignored, len(first.Refused), first.Server != ""), "1 0 true")
		t.apply(kudu.OpInsert, []any{int64(1), int64(11)})
		again := t.batch(id, kudu.OpDeleteIgnore, []any{int64(1)}, []any{int64(2)})
		s.equal("the timestamp of the replay", again.Timestamp, first.Timestamp)
		s.equal("the rows", t.rows(kudu.ScanOptions{}), []string{"[1 11]", "[2 20]"})
		// What is sent again can be shorter, and empty.
		s.equal("the timestamp of an empty replay", t.batch(id, kudu.OpDeleteIgnore).Timestamp, first.Timestamp)
		s.equal("before the write", t.rows(kudu.ScanOptions{Snapshot: first.Timestamp, Server: first.Server}), []string{"[1 10]", "[2 20]"})
		s.equal("after the write", t.rows(kudu.ScanOptions{Snapshot: first.Timestamp + 1, Server: first.Server}), []string{"[2 20]"})
	}},
	{"EmptyBatchUsesItsIDUp", func(s *suite) {
		t := s.batchTable()
		id := newBatchID()
		t.apply(kudu.OpInsert, []any{int64(1), int64(10)})
		first := t.batch(id, kudu.OpDeleteIgnore)
		late := t.batch(id, kudu.OpDeleteIgnore, []any{int64(1)})
		s.equal("the timestamp of a late write", late.Timestamp, first.Timestamp)
		s.equal("the rows", t.rows(kudu.ScanOptions{}), []string{"[1 10]"})
		other := t.batch(newBatchID(), kudu.OpDeleteIgnore, []any{int64(1)})
		if other.Timestamp <= first.Timestamp {
			s.Errorf("a later batch has the timestamp %s, not above %s", other.Timestamp, first.Timestamp)
		}
		s.equal("the rows", t.rows(kudu.ScanOptions{}), []string(nil))
	}},
	{"RefusedRowsAreNamedAndTheOthersWritten", func(s *suite) {
		t := s.batchTable()
		t.apply(kudu.OpInsert, []any{int64(1), int64(10)})
		w := t.batch(newBatchID(), kudu.OpInsert, []any{int64(1), int64(11)}, []any{int64(2), int64(20)})
		if len(w.Refused) != 1 || !errors.Is(w.Refused[0], kudu.ErrAlreadyPresent) || fmt.Sprint(w.Refused[0].Key) != "[1]" {
			s.Errorf("refused %v", w.Refused)
		}
		s.equal("the rows", t.rows(kudu.ScanOptions{}), []string{"[1 10]", "[2 20]"})
		w = t.batch(newBatchID(), kudu.OpUpdateIgnore, []any{int64(2), int64(21)}, []any{int64(3), int64(30)})
		s.equal("ignored", fmt.Sprint(w.Ignored, len(w.Refused)), "1 0")
		s.equal("the rows", t.rows(kudu.ScanOptions{}), []string{"[1 10]", "[2 21]"})
	}},
	{"OperationsOfABatchTakeEffectInOrderAtOneTimestamp", func(s *suite) {
		t := s.batchTable()
		before := t.apply(kudu.OpInsert, []any{int64(9), int64(0)})
		row := t.table.NewRow()
		w, err := t.table.WriteBatch(s.Context(), t.tablet(), newBatchID(), func(yield func(kudu.OpKind, *kudu.Row) bool) {
			for _, op := range []struct {
				kind kudu.OpKind
				row  []any
			}{{kudu.OpInsert, []any{int64(1), int64(1)}}, {kudu.OpUpdate, []any{int64(1), int64(2)}}, {kudu.OpDelete, []any{int64(9)}}} {
				row.Reset()
				row.SetAll(op.row...)
				if !yield(op.kind, row) {
					return
				}
			}
		})
		if err != nil || len(w.Refused) > 0 {
			s.Fatal(err, w.Refused)
		}
		s.equal("before", t.rows(kudu.ScanOptions{Snapshot: before}), []string{"[9 0]"})
		s.equal("at the timestamp", t.rows(kudu.ScanOptions{Snapshot: w.Timestamp}), []string{"[9 0]"})
		s.equal("after", t.rows(kudu.ScanOptions{Snapshot: w.Timestamp + 1}), []string{"[1 2]"})
	}},
}

func newBatchID() kudu.RequestID {
	return kudu.RequestID{Client: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()), Seq: 1}
}

func (s *suite) batchTable() *typedTable {
	return s.typedTable(s.newClient(), []kudu.Column{{Name: "k", Type: kudu.Int64, Key: true}, {Name: "v", Type: kudu.Int64, Nullable: true}})
}

// tablet is the only one of the table.
func (t *typedTable) tablet() string {
	t.Helper()
	tablets, err := t.table.Tablets(t.Context())
	if err != nil || len(tablets) != 1 {
		t.Fatalf("%d tablets: %v", len(tablets), err)
	}
	return tablets[0].ID
}

func (t *typedTable) batch(id kudu.RequestID, kind kudu.OpKind, rows ...[]any) kudu.Written {
	t.Helper()
	row := t.table.NewRow()
	w, err := t.table.WriteBatch(t.Context(), t.tablet(), id, func(yield func(kudu.OpKind, *kudu.Row) bool) {
		for _, values := range rows {
			row.Reset()
			row.SetAll(values...)
			if !yield(kind, row) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (t *typedTable) rows(opts kudu.ScanOptions) (rows []string) {
	t.Helper()
	opts.Ordered = true
	t.each(opts, func(values []any, _ bool) { rows = append(rows, fmt.Sprint(values)) })
	return rows
}

// clientSeeds is how many random tables a run makes.
const clientSeeds = 6

// model is what a table should hold: rows by key, and how it was before.
type model struct {
	*suite
	rng    *rand.Rand
	client *kudu.Client
	table  *kudu.Table
	cols   []kudu.Column
	rows   map[string][]any
	// states are snapshots with the rows that they show.
	states []state
	// touched are the keys of live and dead rows that the operations between
	// two states wrote to.
	touched map[string]bool
}

type state struct {
	at      kudu.Timestamp
	rows    map[string][]any
	touched map[string]bool // since the state before
}

func newModel(s *suite, seed uint64) *model {
	return &model{suite: s, rng: rand.New(rand.NewPCG(seed, 1)), client: s.newClient(), rows: make(map[string][]any), touched: make(map[string]bool)}
}

// valueTypes are the types of random columns; keyTypes those of keys.
var (
	keyTypes   = []kudu.DataType{kudu.Int8, kudu.Int32, kudu.Int64, kudu.String, kudu.Date}
	valueTypes = append([]kudu.DataType{kudu.Bool, kudu.Double, kudu.Int16, kudu.UnixtimeMicros}, keyTypes...)
)

// value is a random value of few, so that keys meet again.
func (m *model) value(c *kudu.Column) any {
	if c.Nullable && m.rng.IntN(4) == 0 {
		return nil
	}
	n := m.rng.IntN(24) - 12
	switch c.Type {
	case kudu.String:
		return strings.Repeat("a\x00b"[:1+m.rng.IntN(3)], m.rng.IntN(3))
	case kudu.Bool:
		return n > 0
	case kudu.Double:
		return float64(n) / 4
	}
	return int64(n)
}

// create makes a random table: one to three key columns, hashed or not, in
// ranges or not.
func (m *model) create() {
	keys := 1 + m.rng.IntN(3)
	for i := range keys {
		m.cols = append(m.cols, kudu.Column{Name: fmt.Sprint("k", i), Type: keyTypes[m.rng.IntN(len(keyTypes))], Key: true})
	}
	for i := range 1 + m.rng.IntN(5) {
		m.cols = append(m.cols, kudu.Column{Name: fmt.Sprint("v", i), Type: valueTypes[m.rng.IntN(len(valueTypes))], Nullable: m.rng.IntN(3) > 0})
	}
	spec := kudu.TableSpec{Name: m.tableName(), Columns: m.cols, Replicas: max(1, m.c.Replicas)}
	if m.rng.IntN(2) == 0 {
		spec.Hash = []kudu.HashDimension{{Columns: []string{"k0"}, Buckets: 2 + m.rng.IntN(3), Seed: m.rng.Uint32()}}
	}
	last := m.cols[keys-1]
	if last.Type != kudu.String && m.rng.IntN(2) == 0 {
		spec.Range = []string{last.Name}
		upper := kudu.RangePartition{Lower: []any{3}}
		if spec.Hash != nil {
			upper.Hash = []kudu.HashDimension{{Columns: []string{"k0"}, Buckets: 2, Seed: 7}}
		}
		spec.Ranges = []kudu.RangePartition{{Upper: []any{-3}}, {Lower: []any{-3}, Upper: []any{3}}, upper}
	}
	var err error
	if m.table, err = m.client.CreateTable(m.Context(), spec); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		if err := m.client.DeleteTable(context.WithoutCancel(m.Context()), spec.Name); err != nil {
			m.Error(err)
		}
	})
	m.Logf("table %s", m.table.Schema())
}

func (m *model) keys() int { return m.table.Schema().NumKeys() }

// key is a row's primary key, encoded.
func (m *model) key(values []any) string {
	key, err := m.table.Schema().EncodePrimaryKey(values[:m.keys()]...)
	if err != nil {
		m.Fatal(err)
	}
	return string(key)
}

// write applies random operations, one flush for all, and keeps a state.
func (m *model) write(n int) {
	session := m.table.NewSession(kudu.SessionOptions{})
	defer session.Close()
	row := m.table.NewRow()
	for range n {
		values := make([]any, len(m.cols))
		row.Reset()
		for i := range m.cols {
			values[i] = m.value(&m.cols[i])
			row.Set(m.cols[i].Name, values[i])
		}
		key := m.key(values)
		_, there := m.rows[key]
		kind := []kudu.OpKind{kudu.OpInsert, kudu.OpUpsert, kudu.OpUpsert, kudu.OpDeleteIgnore}[m.rng.IntN(4)]
		if kind == kudu.OpInsert && there {
			kind = kudu.OpUpdate
		}
		if kind == kudu.OpDeleteIgnore {
			row.Reset()
			for i := range m.keys() {
				row.Set(m.cols[i].Name, values[i])
			}
		}
		if err := session.Apply(m.Context(), kind, row); err != nil {
			m.Fatalf("%s: %v", kind, err)
		}
		if kind == kudu.OpDeleteIgnore {
			delete(m.rows, key)
		} else {
			m.rows[key] = values
		}
		m.touched[key] = true
	}
	if _, err := session.Flush(m.Context()); err != nil {
		m.Fatal(err)
	}
	m.states = append(m.states, state{at: m.client.LastTimestamp() + 1, rows: maps.Clone(m.rows), touched: m.touched})
	m.touched = make(map[string]bool)
}

// read gives the rows of a scan as text, by tablets in their order.
func (m *model) read(opts kudu.ScanOptions) []string {
	m.Helper()
	tablets, err := m.table.PruneTablets(m.Context(), opts)
	if err != nil {
		m.Fatal(err)
	}
	var out []string
	for _, tablet := range tablets {
		scan, err := m.table.Scan(tablet.ID, opts)
		if err != nil {
			m.Fatal(err)
		}
		for {
			b, err := scan.Next(m.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				m.Fatal(err)
			}
			for i := range b.NumRows() {
				values := b.Values(i)
				if b.Deleted(i) {
					values = append(values[:m.keys()], "deleted")
				}
				out = append(out, fmt.Sprintf("%q", fmt.Sprint(values)))
			}
		}
		if err := scan.Close(); err != nil {
			m.Fatal(err)
		}
	}
	slices.Sort(out)
	return out
}

func texts(rows map[string][]any, keep func([]any) bool) []string {
	var out []string
	for _, values := range rows {
		if keep == nil || keep(values) {
			out = append(out, fmt.Sprintf("%q", fmt.Sprint(values)))
		}
	}
	slices.Sort(out)
	return out
}

func (m *model) run() {
	m.create()
	for range 4 {
		m.write(150)
	}
	for i, st := range m.states {
		for _, opts := range []kudu.ScanOptions{
			{Ordered: true}, {RowWise: true}, {Ordered: true, BatchBytes: 1}, {Replica: kudu.ClosestReplica},
		} {
			opts.Snapshot = st.at
			m.equal(fmt.Sprintf("state %d, %+v", i, opts), m.read(opts), texts(st.rows, nil))
		}
		for j := range i {
			m.equal(fmt.Sprintf("diff of %d and %d", j, i), m.read(kudu.ScanOptions{Since: m.states[j].at, Snapshot: st.at}), m.diff(j, i))
		}
	}
	last := m.states[len(m.states)-1]
	for range 40 {
		preds, keep := m.predicates()
		got := m.read(kudu.ScanOptions{Snapshot: last.at, Predicates: preds, RowWise: m.rng.IntN(2) == 0})
		m.equal(fmt.Sprint(preds), got, texts(last.rows, keep))
	}
}

// diff is what changed between two states.
func (m *model) diff(from, to int) []string {
	touched := make(map[string]bool)
	for _, st := range m.states[from+1 : to+1] {
		maps.Copy(touched, st.touched)
	}
	var out []string
	for key := range touched {
		before, now := m.states[from].rows[key], m.states[to].rows[key]
		switch {
		case now != nil:
			out = append(out, fmt.Sprintf("%q", fmt.Sprint(now)))
		case before != nil:
			out = append(out, fmt.Sprintf("%q", fmt.Sprint(append(slices.Clone(before[:m.keys()]), "deleted"))))
		}
	}
	slices.Sort(out)
	return out
}

// predicates are one to three random ones, and what they mean.
func (m *model) predicates() ([]kudu.Predicate, func([]any) bool) {
	var preds []kudu.Predicate
	var tests []func([]any) bool
	for range 1 + m.rng.IntN(3) {
		i := m.rng.IntN(len(m.cols))
		c := m.cols[i]
		name := c.Name
		c.Nullable = false
		v, w := m.value(&c), m.value(&c)
		add := func(p kudu.Predicate, test func(x any) bool) {
			preds = append(preds, p)
			tests = append(tests, func(row []any) bool { return test(row[i]) })
		}
		switch m.rng.IntN(8) {
		case 0:
			add(kudu.Equal(name, v), func(x any) bool { return x != nil && order(x, v) == 0 })
		case 1:
			add(kudu.Less(name, v), func(x any) bool { return x != nil && order(x, v) < 0 })
		case 2:
			add(kudu.LessEqual(name, v), func(x any) bool { return x != nil && order(x, v) <= 0 })
		case 3:
			add(kudu.Greater(name, v), func(x any) bool { return x != nil && order(x, v) > 0 })
		case 4:
			add(kudu.GreaterEqual(name, v), func(x any) bool { return x != nil && order(x, v) >= 0 })
		case 5:
			add(kudu.In(name, v, w), func(x any) bool { return x != nil && (order(x, v) == 0 || order(x, w) == 0) })
		case 6:
			add(kudu.IsNull(name), func(x any) bool { return x == nil })
		case 7:
			add(kudu.IsNotNull(name), func(x any) bool { return x != nil })
		}
	}
	return preds, func(row []any) bool {
		return !slices.ContainsFunc(tests, func(test func([]any) bool) bool { return !test(row) })
	}
}

// order compares two values of one column.
func order(a, b any) int {
	switch x := a.(type) {
	case string:
		return strings.Compare(x, b.(string))
	case bool:
		switch y := b.(bool); {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	case float64:
		switch y := b.(float64); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return int(a.(int64) - b.(int64))
}
