package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// keyShape is a table with a compound key, and values of each key column that
// are hard to order: their product makes the rows.
type keyShape struct {
	name      string
	columns   []testenv.ColumnSpec
	values    [][]any
	streaming string // a proper prefix of the key, which many rows share
}

func key(name, typ string) testenv.ColumnSpec {
	return testenv.ColumnSpec{Name: name, Type: typ, Key: true}
}

// hardTexts are prefixes of each other, and texts about zero bytes, which the
// encoded key escapes.
func hardTexts() []any {
	return []any{"", "\x00", "\x00\x00", "\x00\x01", "\x01", "a", "a\x00", "a\x00\x00b", "a\x00b", "a\x01", "ab", "é", "😀"}
}

func keyShapes() []keyShape {
	texts := hardTexts()
	var bins []any
	for _, text := range texts {
		bins = append(bins, []byte(text.(string)))
	}
	bins = append(bins, []byte{0xff}, []byte{0xff, 0}, []byte{0, 0xff}, []byte{0xc3, 0x28})
	varchar, decimal := key("v", "VARCHAR"), key("d", "DECIMAL")
	varchar.Length = 10
	decimal.Precision, decimal.Scale = 38, 4
	return []keyShape{
		{
			"string int32 string",
			[]testenv.ColumnSpec{key("a", "STRING"), key("n", "INT32"), key("b", "STRING")},
			[][]any{texts, {math.MinInt32, -256, -1, 0, 1, 255, math.MaxInt32}, texts}, "a",
		},
		{
			"int8 binary int64",
			[]testenv.ColumnSpec{key("i", "INT8"), key("b", "BINARY"), key("l", "INT64")},
			[][]any{{math.MinInt8, -1, 0, 1, math.MaxInt8}, bins, {
				int64(math.MinInt64), -(1<<53 + 1), -256, -2, -1, 0, 1, 255, 256, 1<<53 + 1, 1 << 56, int64(math.MaxInt64),
			}}, "i,b",
		},
		{
			"varchar date decimal",
			[]testenv.ColumnSpec{varchar, key("t", "DATE"), decimal},
			[][]any{texts, {"0001-01-01", "1969-12-31", "1970-01-01", "2026-01-02", "9999-12-31"}, {
				"-9999999999999999999999999999999999.9999", "-18446744073709551616", "-1", "-0.0001", "0", "0.0001", "1",
				"1844674407370955.1615", "1844674407370955.1616", "18446744073709551616", "922337203685477.5808", "9999999999999999999999999999999999.9999",
			}}, "v",
		},
	}
}

// createKeyTable makes the shape's table with the product of its values, and
// returns the number of rows. Rows that share a streaming key are in all
// tablets.
func createKeyTable(t *testing.T, s *stack, table string, shape keyShape) int {
	t.Helper()
	last := shape.columns[len(shape.columns)-1].Name
	if err := s.tool.CreateTable(t.Context(), testenv.TableSpec{
		Name: table, Columns: append(slices.Clone(shape.columns), testenv.ColumnSpec{Name: "value", Type: "INT32"}),
		Hash: []testenv.HashSpec{{Columns: []string{last}, Buckets: 3}},
	}); err != nil {
		t.Fatal(err)
	}
	rows := []testenv.Row{{}}
	for i, c := range shape.columns {
		var longer []testenv.Row
		for _, row := range rows {
			for _, v := range shape.values[i] {
				next := testenv.Row{c.Name: v}
				for name, value := range row {
					next[name] = value
				}
				longer = append(longer, next)
			}
		}
		rows = longer
	}
	// In no order, since it is the reader that has to find one.
	newDice(t).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for i, row := range rows {
		row["value"] = i
	}
	if _, err := s.tool.Write(t.Context(), table, "insert", rows...); err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func newKeyJob(t *testing.T, shape keyShape) *job {
	t.Helper()
	j := newJob(t, 2).as("only") // a named worker's restart is quick
	j.connector["streaming.key"] = shape.streaming
	j.connector["transaction.max.rows"] = "7"
	j.connector["kudu.scan.batch.bytes"] = "1024"
	return j
}

func (shape keyShape) keyNames() []string {
	var names []string
	for _, c := range shape.columns {
		names = append(names, c.Name)
	}
	return names
}

// A worker that goes on after an interruption has only the stored position to
// find its place by. Transactions of seven rows put it behind every kind of
// key, mostly between rows of equal streaming keys.
func TestCompoundKeysLoseNothingToInterruptions(t *testing.T) {
	for _, shape := range keyShapes() {
		t.Run(shape.name, func(t *testing.T) {
			s := newStack(t)
			j := newKeyJob(t, shape)
			rows := createKeyTable(t, s, j.table, shape)
			// A connector that is quicker than the test is interrupted too late. Then
			// another one reads the table anew.
			const most = 10
			inTheMiddle := s.interruptOften(t, j, shape, rows)
			for n := 1; n < most && inTheMiddle < 5; n++ {
				next := newKeyJob(t, shape)
				next.table = j.table
				inTheMiddle += s.interruptOften(t, next, shape, rows)
			}
			if inTheMiddle < 5 {
				t.Errorf("only %d interruptions of %d connectors came before the end", inTheMiddle, most)
			}
		})
	}
}

// interruptOften publishes a whole table with a worker that is killed or stopped again
// and again as the topic grows. It gives how many times there were rows left.
func (s *stack) interruptOften(t *testing.T, j *job, shape keyShape, rows int) (inTheMiddle int) {
	t.Helper()
	const interruptions = 6
	w := s.start(t, j, "worker")
	for n := 1; n <= interruptions; n++ {
		s.awaitRecords(t, j.topic, n*rows/(interruptions+2), patience)
		if n%3 == 0 {
			w.stop()
		} else if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		if len(s.consume(t, j.topic)) < rows {
			inTheMiddle++
		}
		w = s.start(t, j, "worker")
	}
	s.awaitRecords(t, j.topic, rows, patience)
	w.stop()
	s.verify(t, j, shape.keyNames()...)
	return inTheMiddle
}

// storedPosition is a record of the offsets topic.
type storedPosition struct {
	published
	tablet string
	value  map[string]json.RawMessage
}

// positions reads the last position of each tablet, and checks that each is
// JSON that a person can read.
func (s *stack) positions(t *testing.T, j *job) map[string]storedPosition {
	t.Helper()
	latest := make(map[string]storedPosition)
	for _, r := range s.consume(t, offsetsTopic(j)) {
		var connector string
		var where struct{ Table, Tablet, Plan string }
		if err := json.Unmarshal(r.key, &[]any{&connector, &where}); err != nil || connector != j.name || where.Plan == "" && where.Table != j.table {
			t.Fatalf("offset key %s: %v", r.key, err)
		}
		if where.Plan != "" {
			continue // how tablets are spread, and no position
		}
		p := storedPosition{published: r, tablet: where.Tablet}
		if r.value != nil {
			if err := json.Unmarshal(r.value, &p.value); err != nil {
				t.Fatalf("position %s: %v", r.value, err)
			}
			version := "1"
			if p.value["columns"] != nil { // by a key that isn't in the primary key
				version = "2"
			}
			if string(p.value["version"]) != version || string(p.value["mode"]) != `"offset"` {
				t.Fatalf("position %s", r.value)
			}
		}
		latest[p.tablet] = p
	}
	return latest
}

func offsetsTopic(j *job) string { return j.group + "-" + j.name + "-offsets" }

// patch produces a record in place of a stored position, as an operator with
// Kafka's console producer would.
func (s *stack) patch(t *testing.T, j *job, p storedPosition, value []byte) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.BootstrapServers()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := &kgo.Record{Topic: offsetsTopic(j), Partition: p.partition, Key: p.key, Value: value}
	if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// tableRows reads the rows of each tablet in key order, as JSON objects.
func (s *stack) tableRows(t *testing.T, table string) map[string][]json.RawMessage {
	t.Helper()
	rows := make(map[string][]json.RawMessage)
	if _, err := s.tool.Read(t.Context(), testenv.ReadOptions{Table: table}, func(r testenv.ReadRow) error {
		rows[r.Tablet] = append(rows[r.Tablet], bytes.Clone(r.Row))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rows
}

// pick makes a JSON object of some members of another.
func pick(t *testing.T, row json.RawMessage, names []string) json.RawMessage {
	t.Helper()
	var cells map[string]json.RawMessage
	if err := json.Unmarshal(row, &cells); err != nil {
		t.Fatal(err)
	}
	out := []byte("{")
	for i, name := range names {
		if i > 0 {
			out = append(out, ", "...) // as a hand may write it
		}
		out = fmt.Appendf(out, "%q: %s", name, cells[name])
	}
	return append(out, '}')
}

func TestStoredPositionsCanBeReadPatchedAndReset(t *testing.T) {
	shape := keyShapes()[0]
	s := newStack(t)
	j := newKeyJob(t, shape)
	// One partition, so that the order within a tablet is whole.
	j.connector["topic.creation.default.partitions"] = "1"
	j.connector["transaction.max.rows"] = "200"
	rows := createKeyTable(t, s, j.table, shape)
	w := s.start(t, j, "first")
	s.awaitRecords(t, j.topic, rows, patience)
	w.stop()

	table := s.tableRows(t, j.table)
	stored := s.positions(t, j)
	if len(stored) != 3 || len(table) != 3 {
		t.Fatalf("%d positions of %d tablets", len(stored), len(table))
	}
	for tablet, p := range stored {
		last := table[tablet][len(table[tablet])-1]
		sameJSON(t, p.value["primary_key"], pick(t, last, shape.keyNames()))
		sameJSON(t, p.value["key"], pick(t, last, []string{shape.streaming}))
		if _, err := offsets.ParsePosition(p.published.value); err != nil {
			t.Errorf("position %s: %v", p.published.value, err)
		}
	}

	// The first tablet goes back to a row in the middle, the second to its
	// start; the third stays.
	tablets := slices.Sorted(func(yield func(string) bool) {
		for tablet := range stored {
			if !yield(tablet) {
				return
			}
		}
	})
	back, reset := tablets[0], tablets[1]
	at := len(table[back]) / 3
	edited := stored[back].value
	edited["key"] = pick(t, table[back][at], []string{shape.streaming})
	edited["primary_key"] = pick(t, table[back][at], shape.keyNames())
	value, err := json.MarshalIndent(edited, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	s.patch(t, j, stored[back], value)
	s.patch(t, j, stored[reset], nil)
	// When these rows have come, whatever was behind has come before them.
	var fresh []testenv.Row
	for n := range 30 {
		fresh = append(fresh, testenv.Row{"a": "\U0010ffff", "n": n, "b": fmt.Sprint(n), "value": -n})
	}
	if _, err := s.tool.Write(t.Context(), j.table, "insert", fresh...); err != nil {
		t.Fatal(err)
	}
	want := make(map[string][]json.RawMessage)
	for tablet, now := range s.tableRows(t, j.table) {
		from := map[string]int{back: at + 1, reset: 0, tablets[2]: len(table[tablet])}[tablet]
		want[tablet] = now[from:]
		if len(now) == len(table[tablet]) {
			t.Errorf("no fresh row is in tablet %s", tablet)
		}
	}
	again := len(want[back]) + len(want[reset]) + len(want[tablets[2]])
	w = s.start(t, j, "second")
	s.awaitRecords(t, j.topic, rows+again, patience)
	w.stop()

	records := s.consume(t, j.topic)[rows:]
	if len(records) != again {
		t.Errorf("%d rows are read again, want %d", len(records), again)
	}
	next := make(map[string]int) // per tablet, the row to come
	for _, r := range records {
		found := false
		for tablet, rows := range want {
			if i := next[tablet]; i < len(rows) && equalJSON(r.value, rows[i]) {
				next[tablet]++
				found = true
				break
			}
		}
		if !found {
			t.Fatalf("record %d, %s, isn't the next row of any tablet", r.offset, r.value)
		}
	}
}

// Two positions that disagree are a slip of the hand that patched them: the
// task fails, and says what to do.
func TestPatchedPositionThatContradictsItselfFailsTheTask(t *testing.T) {
	shape := keyShapes()[1]
	s := newStack(t)
	j := newKeyJob(t, shape)
	j.connector["transaction.max.rows"] = "1000"
	rows := createKeyTable(t, s, j.table, shape)
	w := s.start(t, j, "first")
	s.awaitRecords(t, j.topic, rows, patience)
	w.stop()
	for _, p := range s.positions(t, j) {
		p.value["key"] = json.RawMessage(`{"i":5,"b":""}`)
		value, err := json.Marshal(p.value)
		if err != nil {
			t.Fatal(err)
		}
		s.patch(t, j, p, value)
		break
	}
	w = s.start(t, j, "second")
	w.awaitLine("disagree: patch both alike", patience)
	w.stop()
	if n := len(s.consume(t, j.topic)); n != rows {
		t.Errorf("%d records, want %d: nothing may be read from a doubtful position", n, rows)
	}
}

func sameJSON(t *testing.T, got, want []byte) {
	t.Helper()
	if !equalJSON(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// equalJSON compares objects, numbers by their digits.
func equalJSON(a, b []byte) bool {
	x, errX := decodeRecord(a)
	y, errY := decodeRecord(b)
	if errX != nil || errY != nil || len(x) != len(y) {
		return false
	}
	for name, cell := range x {
		if other, ok := y[name]; !ok || other != cell {
			return false
		}
	}
	return true
}
