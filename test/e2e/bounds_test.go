package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// eventTable has rows keyed by a time and an id, on 4 hash buckets.
func eventTable(name string) testenv.TableSpec {
	return testenv.TableSpec{
		Name: name,
		Columns: []testenv.ColumnSpec{
			{Name: "at", Type: "UNIXTIME_MICROS", Key: true}, {Name: "id", Type: "INT64", Key: true},
			{Name: "v", Type: "STRING", Nullable: true},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 4}},
	}
}

// events writes rows whose time is base plus id seconds.
func (s *stack) events(t *testing.T, table string, base time.Time, from, to int) {
	t.Helper()
	var rows []testenv.Row
	for id := from; id < to; id++ {
		rows = append(rows, testenv.Row{"at": base.Add(time.Duration(id) * time.Second), "id": id, "v": "x"})
	}
	if _, err := s.tool.Write(t.Context(), table, "insert", rows...); err != nil {
		t.Fatal(err)
	}
}

// ids gives the published ids in topic order, partition by partition.
func (s *stack) ids(t *testing.T, topic string) []int {
	t.Helper()
	var ids []int
	for _, p := range s.consume(t, topic) {
		var row struct{ ID int }
		if err := json.Unmarshal(p.value, &row); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, row.ID)
	}
	return ids
}

// wantIDs checks that exactly from..to-1 were published, each once.
func wantIDs(t *testing.T, ids []int, from, to int) {
	t.Helper()
	seen := make(map[int]int)
	for _, id := range ids {
		seen[id]++
	}
	for id := from; id < to; id++ {
		if seen[id] != 1 {
			t.Errorf("row %d was published %d times", id, seen[id])
		}
	}
	if len(seen) != to-from {
		t.Errorf("%d different rows were published, want %d", len(seen), to-from)
	}
}

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

func TestBoundedConnectorPublishesItsRangeAndCompletes(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	j.connector["offset.start.at"] = midnight.Add(100 * time.Second).Format(time.RFC3339)
	j.connector["offset.stop.at"] = midnight.Add(900 * time.Second).Format(time.RFC3339)
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	s.events(t, j.table, midnight, 0, 1000)
	w := s.start(t, j, "worker")
	awaitCompleted := func() {
		for task := range 2 {
			w.awaitTaskLine(0, strconv.Itoa(task), patience, "task completed")
		}
	}
	awaitCompleted()
	w.stop()
	// A restart completes again and publishes nothing.
	w = s.start(t, j, "again")
	awaitCompleted()
	w.stop()
	wantIDs(t, s.ids(t, j.topic), 100, 900)
	if n := len(s.storedTablets(t, j)); n != 4 {
		t.Errorf("%d tablets have a position, want 4", n)
	}
}

func TestStopInTheFutureIsWaitedFor(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 1)
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	base := time.Now().UTC().Truncate(time.Second)
	s.events(t, j.table, base.Add(-100*time.Second), 0, 50)
	// Within the window a worker must start, and publish rows twice.
	const window = 25 // seconds
	j.connector["offset.stop.at"] = base.Add(window * time.Second).Format(time.RFC3339)
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, 50, patience)
	// The connector has read all there is, but more may come before the bound.
	s.events(t, j.table, base.Add(-100*time.Second), 50, 60)
	if late := time.Since(base.Add(window * time.Second)); late > 0 {
		t.Fatalf("the later rows were written %v after the bound, when nobody waits for them any more", late)
	}
	s.awaitRecords(t, j.topic, 60, patience)
	w.awaitLine("task completed", patience)
	if early := time.Until(base.Add(window * time.Second)); early > 0 {
		t.Errorf("it completed %v before its bound", early)
	}
	w.stop()
	wantIDs(t, s.ids(t, j.topic), 0, 60)
}

func TestLatestPublishesOnlyWhatIsInsertedFromNowOn(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	j.connector["offset.start"] = "latest"
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	s.events(t, j.table, midnight, 0, 300)
	w := s.start(t, j, "worker")
	w.awaitLine("task runs", patience)
	eventually(t, patience, "both tasks have stored where they begin", func() bool {
		return len(s.storedTablets(t, j)) == 6 // 4 tablets, and a marker of each task
	})
	// What comes while the worker is down is from after its start.
	w.stop()
	s.events(t, j.table, midnight, 300, 400)
	w = s.start(t, j, "again")
	s.awaitRecords(t, j.topic, 100, patience)
	s.events(t, j.table, midnight, 400, 450)
	s.awaitRecords(t, j.topic, 150, patience)
	w.stop()
	wantIDs(t, s.ids(t, j.topic), 300, 450)
}

func TestSettledRowsComeInOrderHoweverLateTheyAreWritten(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 1)
	j.connector["settle.delay.ms"] = "10000"
	j.connector["topic.creation.default.partitions"] = "1"
	j.connector["order.scope"] = "table"
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "worker")
	w.awaitLine("task runs", patience)
	// Pairs written in the wrong order, well within the delay: a connector that
	// didn't wait would miss the second of each pair. Each pair is of its own time, as
	// all of them together may take longer to be written than the delay is.
	var base time.Time
	for n := range 20 {
		earliest := base.Add(2 * time.Millisecond)
		if base = time.Now().UTC().Truncate(time.Microsecond); base.Before(earliest) {
			base = earliest
		}
		for _, id := range []int{2*n + 1, 2 * n} {
			row := testenv.Row{"at": base.Add(time.Duration(id%2) * time.Millisecond), "id": id}
			if _, err := s.tool.Write(t.Context(), j.table, "insert", row); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.awaitRecords(t, j.topic, 40, patience)
	w.stop()
	ids := s.ids(t, j.topic)
	wantIDs(t, ids, 0, 40)
	for i, id := range ids {
		if id != i {
			t.Fatalf("record %d is row %d: %v", i, id, ids)
		}
	}
}

func TestOrderScopeTableMergesAllTablets(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	j.connector["order.scope"] = "table"
	j.connector["topic.creation.default.partitions"] = "1"
	j.connector["transaction.max.rows"] = "997"
	j.worker["group.instance.id"] = "one"
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	const rows = 20_000
	s.events(t, j.table, midnight, 0, rows)
	w := s.start(t, j, "worker")
	for n := range 5 {
		s.awaitRecords(t, j.topic, (n+1)*1000, patience)
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		w = s.start(t, j, fmt.Sprintf("worker%d", n+2))
	}
	s.awaitRecords(t, j.topic, rows, patience)
	// One after the other: of rows that are on their way together, a later one may
	// be there first.
	for id := rows; id < rows+100; id++ {
		s.events(t, j.table, midnight, id, id+1)
	}
	s.awaitRecords(t, j.topic, rows+100, patience)
	w.stop()
	ids := s.ids(t, j.topic)
	wantIDs(t, ids, 0, rows+100)
	for i, id := range ids {
		if id != i {
			t.Fatalf("record %d is row %d: the order of the table is broken", i, id)
		}
	}
}

func TestTheGreatestKeyThereIsIsNoDeadEnd(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 1)
	if err := s.tool.CreateTable(t.Context(), testenv.TableSpec{
		Name:    j.table,
		Columns: []testenv.ColumnSpec{{Name: "a", Type: "INT32", Key: true}, {Name: "b", Type: "INT8", Key: true}},
		Hash:    []testenv.HashSpec{{Columns: []string{"a"}, Buckets: 2}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.tool.Write(t.Context(), j.table, "insert",
		testenv.Row{"a": math.MinInt32, "b": -128}, testenv.Row{"a": 0, "b": 0}, testenv.Row{"a": math.MaxInt32, "b": 127}); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, 3, patience)
	w.stop()
	w = s.start(t, j, "again")
	w.awaitLine("task runs", patience)
	// Its first polls begin behind the greatest key. Rows of the other tablet show
	// that polls go on.
	var more []testenv.Row
	for a := 1; a <= 30; a++ {
		more = append(more, testenv.Row{"a": a, "b": 1})
	}
	if _, err := s.tool.Write(t.Context(), j.table, "insert", more...); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, 4, patience)
	w.stop()
	if log := testenv.Tail(w.log, 200); strings.Contains(log, "task restarts") {
		t.Errorf("the task had to restart:\n%s", log)
	}
}
