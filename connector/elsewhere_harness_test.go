package connector

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// wideColumns are a key and a column of each type that can order rows.
func wideColumns() []kudu.Column {
	return []kudu.Column{
		{Name: "region", Type: kudu.String, Key: true}, {Name: "id", Type: kudu.Int64, Key: true},
		{Name: "bool", Type: kudu.Bool}, {Name: "int8", Type: kudu.Int8}, {Name: "int16", Type: kudu.Int16},
		{Name: "int32", Type: kudu.Int32}, {Name: "int64", Type: kudu.Int64}, {Name: "float", Type: kudu.Float},
		{Name: "double", Type: kudu.Double}, {Name: "string", Type: kudu.String}, {Name: "varchar", Type: kudu.Varchar, Length: 9},
		{Name: "binary", Type: kudu.Binary}, {Name: "date", Type: kudu.Date}, {Name: "at", Type: kudu.UnixtimeMicros},
		{Name: "dec32", Type: kudu.Decimal32, Precision: 9, Scale: 2}, {Name: "dec64", Type: kudu.Decimal64, Precision: 18, Scale: 3},
		{Name: "dec128", Type: kudu.Decimal128, Precision: 38, Scale: 0}, {Name: "note", Type: kudu.String, Nullable: true},
	}
}

// pools are few values of each type, so that many rows share them, and among
// them those that are hard to order.
var pools = map[kudu.DataType][]any{
	kudu.Bool: {false, true}, kudu.Int8: {math.MinInt8, -1, 0, math.MaxInt8},
	kudu.Int16: {math.MinInt16, -1, 0, 256, math.MaxInt16}, kudu.Int32: {math.MinInt32, -256, 0, 1, math.MaxInt32},
	kudu.Int64:  {int64(math.MinInt64), -1, 0, 255, int64(math.MaxInt64)},
	kudu.Float:  {math.Inf(-1), -1.5, math.Copysign(0, -1), 0.0, math.SmallestNonzeroFloat32, math.Inf(1), math.NaN()},
	kudu.Double: {math.Inf(-1), -1e300, math.Copysign(0, -1), 0.0, math.SmallestNonzeroFloat64, math.Inf(1), math.NaN()},
	kudu.String: {"", "\x00", "\x00\x01", "a", "a\x00", "ab", "b"}, kudu.Varchar: {"", "\x00", "a", "a\x00b", "é"},
	kudu.Binary: {[]byte{}, []byte{0}, []byte{0, 0xff}, []byte{0xff}, []byte{0xff, 0}}, kudu.Date: {-719162, -1, 0, 2932896},
	kudu.UnixtimeMicros: {int64(math.MinInt64), -1, 0, 1_700_000_000_000_000, int64(math.MaxInt64)},
	kudu.Decimal32:      decimals("-999999999", "-1", "0", "1", "999999999"), kudu.Decimal64: decimals("-999999999999999999", "0", "1001"),
	kudu.Decimal128: decimals("-99999999999999999999999999999999999999", "-1", "0", "18446744073709551616", "99999999999999999999999999999999999999"),
}

// decimals are unscaled values.
func decimals(texts ...string) (all []any) {
	for _, text := range texts {
		d, err := kudu.ParseDecimal(text, 38, 0)
		if err != nil {
			panic(err)
		}
		all = append(all, d)
	}
	return all
}

func compareValues(a, b any) int {
	switch x := a.(type) {
	case bool:
		return cmp.Compare(boolInt(x), boolInt(b.(bool)))
	case int64:
		return cmp.Compare(x, b.(int64))
	case string:
		return strings.Compare(x, b.(string))
	case []byte:
		return bytes.Compare(x, b.([]byte))
	case kudu.Int128:
		y := b.(kudu.Int128)
		return cmp.Or(cmp.Compare(x.Hi, y.Hi), cmp.Compare(x.Lo, y.Lo))
	case float32:
		return compareFloats(float64(x), float64(b.(float32)))
	case float64:
		return compareFloats(x, b.(float64))
	}
	panic(fmt.Sprintf("a %T can't be compared", a))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareFloats has NaN above all, which cmp.Compare has below.
func compareFloats(a, b float64) int {
	switch {
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	case b != b:
		return -1
	}
	return cmp.Compare(a, b)
}

// elsewhere is a table and a reader of it that is killed now and then.
type elsewhere struct {
	world   world
	reading reading
	sorting sorting
	dice    *rand.Rand
	ids     int64

	rows     map[string]*tableRow // by primary key
	inserts  int
	readers  map[string]*tabletReader
	stored   map[string][]byte // positions as JSON, by tablet
	problems []error
	poller   poller
	inOrder  bool   // rows must come in the order of the key
	auto     bool   // the table has an auto-incrementing column
	wake     func() // between a kill and the restart
	restored func(*tabletReader)
}

// tableRow is a row of the table and what became of it.
type tableRow struct {
	streaming, primary []any
	insert             int // number of the operation
	tablet             string
	published          int
	cells              map[string]any
}

func (r *tableRow) compare(o *tableRow) int {
	for i := range r.streaming {
		if c := compareValues(r.streaming[i], o.streaming[i]); c != 0 {
			return c
		}
	}
	for i := range r.primary {
		if c := compareValues(r.primary[i], o.primary[i]); c != 0 {
			return c
		}
	}
	return 0
}

// world is a Kudu cluster, a real one or a fake.
type world struct {
	client *kudu.Client
	fake   *kudufake.Cluster // nil: a real one
}

// newElsewhere makes a table, and the plan of a connector with that streaming
// key.
func newElsewhere(tb testing.TB, w world, cols []kudu.Column, cfg Config, seed uint64) *elsewhere {
	tb.Helper()
	name := fmt.Sprintf("%s_%d", tb.Name(), time.Now().UnixNano())
	table, err := w.client.CreateTable(tb.Context(), kudu.TableSpec{
		Name: name, Columns: cols, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}}, Replicas: 1,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := table.Delete(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	plan, err := planRead(cfg, table.Schema())
	if err != nil {
		tb.Fatal(err)
	}
	e := &elsewhere{
		world: w, dice: rand.New(rand.NewPCG(seed, 7)),
		reading: reading{table: table, client: w.client, plan: plan, batchBytes: 1 << 10, logger: hclog.NewNullLogger()},
		sorting: sorting{budget: extsort.NewBudget(0), directory: tb.TempDir()},
		rows:    make(map[string]*tableRow), stored: make(map[string][]byte), inOrder: true,
	}
	e.poller = &sortedPoller{reading: e.reading, sorting: e.sorting}
	e.restart(tb)
	return e
}

// insert adds rows of random values.
func (e *elsewhere) insert(tb testing.TB, n int) {
	tb.Helper()
	e.inserts++
	s := e.reading.table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	row := e.reading.table.NewRow()
	for range n {
		row.Reset()
		for _, c := range e.reading.table.Schema().Columns() {
			switch {
			case c.AutoIncrementing:
			case c.Name == "id" && !e.auto:
				// In no order, and each once.
				e.ids++
				row.Set("id", (e.ids*7919)%100_003)
			case c.Nullable && e.dice.IntN(2) == 0:
				row.Set(c.Name, nil)
			default:
				pool := pools[c.Type]
				row.Set(c.Name, pool[e.dice.IntN(len(pool))])
			}
		}
		if err := s.Apply(tb.Context(), kudu.OpInsert, row); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := s.Flush(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	e.learn(tb)
}

// learn notes the rows that are new in the table.
func (e *elsewhere) learn(tb testing.TB) {
	tb.Helper()
	o := e.reading.plan.order
	tablets, err := e.reading.table.Tablets(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, tablet := range tablets {
		sc, err := e.reading.table.Scan(tablet.ID, kudu.ScanOptions{Mode: kudu.ReadAtSnapshot, BatchBytes: 8 << 20})
		if err != nil {
			tb.Fatal(err)
		}
		for {
			rows, err := sc.Next(tb.Context())
			if err != nil {
				break
			}
			for i := range rows.NumRows() {
				if id := string(o.primaryKey(rows, i)); e.rows[id] == nil {
					r := valuesOf(o, rows, i)
					r.insert, r.tablet = e.inserts, tablet.ID
					e.rows[id] = r
				}
			}
		}
		_ = sc.Close()
	}
}

// valuesOf reads a row's keys from its cells, not from encoded keys.
func valuesOf(o *order, rows *kudu.RowBatch, i int) *tableRow {
	r := &tableRow{cells: make(map[string]any)}
	for k := range rows.Schema().NumColumns() {
		r.cells[rows.Schema().Column(k).Name] = rows.Column(k).Value(i)
	}
	for _, c := range o.streaming {
		r.streaming = append(r.streaming, rows.Column(rows.Schema().Index(c.Name)).Value(i))
	}
	for _, c := range o.primary {
		r.primary = append(r.primary, rows.Column(rows.Schema().Index(c.Name)).Value(i))
	}
	return r
}

func (e *elsewhere) problem(format string, args ...any) {
	e.problems = append(e.problems, fmt.Errorf(format, args...))
}

// restart makes the readers anew from what is stored, as after a kill.
func (e *elsewhere) restart(tb testing.TB) {
	tb.Helper()
	tablets, err := e.reading.table.Tablets(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	e.readers = make(map[string]*tabletReader)
	for _, t := range tablets {
		r := &tabletReader{id: t.ID, from: e.reading.plan.start.key}
		if text, ok := e.stored[t.ID]; ok {
			pos, err := offsets.ParsePosition(text)
			if err != nil {
				tb.Fatal(err)
			}
			if err := (&offsetSource{read: e.reading}).restore(r, pos); err != nil {
				tb.Fatalf("%s: %v", text, err)
			}
		}
		if e.restored != nil {
			e.restored(r)
		}
		e.readers[t.ID] = r
	}
}

var errKilled = errors.New("killed")

// poll polls one tablet as a task would, in transactions of a few rows; after
// left rows of them it is killed, with what isn't committed lost.
func (e *elsewhere) poll(tb testing.TB, tablet string, left int) (rows int, more bool, err error) {
	tb.Helper()
	r := e.readers[tablet]
	var open []*tableRow // published in the open transaction
	source := &offsetSource{read: e.reading}
	last := make(map[string]*tableRow) // of each tablet
	commit := func(points map[string]point) {
		for tablet, p := range points {
			pos, err := source.Position(p)
			if err != nil {
				tb.Fatal(err)
			}
			text, err := pos.AppendJSON(nil)
			if err != nil {
				tb.Fatal(err)
			}
			e.stored[tablet] = text
		}
		for _, p := range open {
			if p.published++; p.published > 1 {
				e.problem("row %v %v is published %d times", p.streaming, p.primary, p.published)
			}
		}
		open = nil
	}
	killed := false
	more, err = e.poller.poll(tb.Context(), r, func(b *batch) bool {
		if killed {
			return false
		}
		points := make(map[string]point)
		if b.end != nil {
			points[b.tablets[0].id] = *b.end
			commit(points)
			return true
		}
		for i := range b.published() {
			if left == 0 {
				killed = true
				return false
			}
			left--
			row := b.row(i)
			key := e.reading.plan.order.primaryKey(b.rows, row)
			known := e.rows[string(key)]
			if known == nil {
				e.problem("row %v is published, which the table doesn't have", b.rows.Values(row))
				continue
			}
			if got := valuesOf(e.reading.plan.order, b.rows, row); got.compare(known) != 0 {
				e.problem("row %v is published as %v", known, got)
			}
			if before := last[known.tablet]; e.inOrder && before != nil && before.compare(known) >= 0 {
				e.problem("row %v comes behind row %v", known.streaming, before.streaming)
			}
			last[known.tablet] = known
			open = append(open, known)
			rows++
			if e.dice.IntN(5) == 0 {
				b.last(row, func(r *tabletReader, row int) { points[r.id] = b.pointAt(row) })
				commit(points)
			}
		}
		b.last(b.rows.NumRows()-1, func(r *tabletReader, row int) { points[r.id] = b.pointAt(row) })
		commit(points)
		return true
	})
	if killed {
		return rows, false, errKilled
	}
	return rows, more, err
}

// drain polls until nothing more comes.
func (e *elsewhere) drain(tb testing.TB) {
	tb.Helper()
	for tablet := range e.readers {
		for {
			rows, more, err := e.poll(tb, tablet, -1)
			if err != nil {
				tb.Fatal(err)
			}
			if rows == 0 && !more {
				break
			}
			if len(e.problems) > 0 {
				return
			}
		}
	}
}

// check is the verdict: each row once, but for those that came late.
func (e *elsewhere) check() error {
	all := make([]*tableRow, 0, len(e.rows))
	for _, r := range e.rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *tableRow) int { return b.compare(a) })
	// From the greatest row down: the earliest insert of a greater row.
	earliest := make(map[string]int)
	for _, r := range all {
		first, some := earliest[r.tablet]
		if r.published == 0 && (!some || first >= r.insert) {
			e.problem("row %v %v was not published, though no greater row was there before it", r.streaming, r.primary)
		}
		if !some || r.insert < first {
			earliest[r.tablet] = r.insert
		}
	}
	return errors.Join(e.problems...)
}

// story inserts, polls and kills at random, and gives the verdict.
func (e *elsewhere) story(tb testing.TB) error {
	tb.Helper()
	tablets := make([]string, 0, len(e.readers))
	for id := range e.readers {
		tablets = append(tablets, id)
	}
	slices.Sort(tablets)
	for range 6 {
		e.insert(tb, e.dice.IntN(60))
		for _, tablet := range tablets {
			left := -1
			if e.dice.IntN(3) > 0 {
				left = e.dice.IntN(40)
			}
			_, _, err := e.poll(tb, tablet, left)
			switch {
			case errors.Is(err, errKilled):
				if e.wake != nil {
					e.wake()
				}
				e.restart(tb)
			case err != nil:
				tb.Fatal(err)
			}
			if len(e.problems) > 0 {
				return e.check()
			}
		}
	}
	e.drain(tb)
	return e.check()
}

func fakeWorld(tb testing.TB, opts kudufake.Options) world {
	tb.Helper()
	c, err := kudufake.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return world{newKuduClient(tb, c.Config()), c}
}

func realWorld(tb testing.TB) world {
	tb.Helper()
	return world{client: newKuduClient(tb, kudu.Config{Masters: testenv.SharedKudu(tb).Masters()})}
}

func newKuduClient(tb testing.TB, cfg kudu.Config) *kudu.Client {
	tb.Helper()
	client, err := kudu.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

func elsewhereConfig(streaming ...string) Config {
	cfg := DefaultConfig()
	cfg.StreamingKey = streaming
	cfg.KeyColumns = []string{"id"}
	return cfg
}
