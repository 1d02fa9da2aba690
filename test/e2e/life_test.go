package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// lifeTable is range-partitioned by day, with two hash buckets.
func lifeTable(name string) testenv.TableSpec {
	return testenv.TableSpec{
		Name: name,
		Columns: []testenv.ColumnSpec{
			{Name: "day", Type: "INT32", Key: true}, {Name: "id", Type: "INT64", Key: true},
			{Name: "payload", Type: "STRING", Nullable: true},
		},
		Hash:  []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 2}},
		Range: &testenv.RangeSpec{Columns: []string{"day"}, Bounds: []testenv.BoundSpec{dayRange(1)}},
	}
}

func dayRange(day int) testenv.BoundSpec {
	return testenv.BoundSpec{Lower: testenv.Row{"day": day}, Upper: testenv.Row{"day": day + 1}}
}

// days writes rows of one day, with extra columns, and gives their number.
func (s *stack) days(t *testing.T, table string, day, from, to int, extra testenv.Row) {
	t.Helper()
	var rows []testenv.Row
	for id := from; id < to; id++ {
		row := testenv.Row{"day": day, "id": id}
		for k, v := range extra {
			row[k] = v
		}
		rows = append(rows, row)
	}
	if _, err := s.tool.Write(t.Context(), table, "insert", rows...); err != nil {
		t.Fatal(err)
	}
}

// byID gives the topic's values by day/id, and fails on a second one.
func (s *stack) byID(t *testing.T, topic, idColumn string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, p := range s.consume(t, topic) {
		cells, err := decodeRecord(p.value)
		if err != nil {
			t.Fatal(err)
		}
		id := cells[idColumn]
		if id == nil {
			id = cells["id"]
		}
		name := fmt.Sprintf("%v/%v", cells["day"], id)
		if _, twice := all[name]; twice {
			t.Errorf("row %s is published twice", name)
		}
		all[name] = string(p.value)
	}
	return all
}

func TestTableChangesAreFollowedWithoutARestart(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	j.connector["kudu.table.refresh.interval.ms"] = "300"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	must(s.tool.CreateTable(ctx, lifeTable(j.table)))
	s.days(t, j.table, 1, 0, 20, testenv.Row{"payload": "a"})
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, 20, patience)

	// A column is added: rows after the next look carry it, once each task has seen it.
	must(s.tool.AlterTable(ctx, j.table, testenv.AlterStep{AddColumn: &testenv.ColumnSpec{Name: "note", Type: "STRING", Nullable: true}}))
	for task := range 2 {
		w.awaitTaskLine(0, strconv.Itoa(task), patience, "the table has changed")
	}
	s.days(t, j.table, 1, 20, 40, testenv.Row{"payload": "b", "note": "n"})
	s.awaitRecords(t, j.topic, 40, patience)

	// Renamed, then dropped: scans notice by themselves.
	must(s.tool.AlterTable(ctx, j.table, testenv.AlterStep{RenameColumn: &testenv.Rename{From: "payload", To: "body"}}))
	s.days(t, j.table, 1, 40, 60, testenv.Row{"body": "c", "note": "n"})
	s.awaitRecords(t, j.topic, 60, patience)
	must(s.tool.AlterTable(ctx, j.table, testenv.AlterStep{DropColumn: "note"}))
	s.days(t, j.table, 1, 60, 80, testenv.Row{"body": "d"})
	s.awaitRecords(t, j.topic, 80, patience)

	// A range partition is added and read from its first row.
	day2 := dayRange(2)
	must(s.tool.AlterTable(ctx, j.table, testenv.AlterStep{AddRange: &day2}))
	s.days(t, j.table, 2, 0, 30, testenv.Row{"body": "e"})
	s.awaitRecords(t, j.topic, 110, patience)

	// One is dropped: its positions go, the rest is read on.
	before := s.storedTablets(t, j)
	day1 := dayRange(1)
	must(s.tool.AlterTable(ctx, j.table, testenv.AlterStep{DropRange: &day1}))
	s.days(t, j.table, 2, 30, 60, testenv.Row{"body": "f"})
	s.awaitRecords(t, j.topic, 140, patience)
	w.awaitLine("its position is retired", patience)
	eventually(t, patience, "the dropped partition's positions are retired", func() bool {
		return len(s.storedTablets(t, j)) == 2
	})
	if len(before) != 4 {
		t.Errorf("%d tablets had positions before the drop, want 4", len(before))
	}

	// A key column is renamed while the worker is down.
	w.stop()
	must(s.tool.AlterTable(ctx, j.table, testenv.AlterStep{RenameColumn: &testenv.Rename{From: "id", To: "number"}}))
	w = s.start(t, j, "worker2")
	w.awaitLine("task runs", patience)
	if _, err := s.tool.Write(ctx, j.table, "insert", testenv.Row{"day": 2, "number": 1000, "body": "g"}); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, 141, patience)

	rows := s.byID(t, j.topic, "number")
	if len(rows) != 141 {
		t.Errorf("%d rows published, want 141", len(rows))
	}
	for name, want := range map[string]string{
		"1/5":    `{"day":1,"id":5,"payload":"a"}`,
		"1/25":   `{"day":1,"id":25,"payload":"b","note":"n"}`,
		"1/45":   `{"day":1,"id":45,"body":"c","note":"n"}`,
		"1/65":   `{"day":1,"id":65,"body":"d"}`,
		"2/7":    `{"day":2,"id":7,"body":"e"}`,
		"2/1000": `{"day":2,"number":1000,"body":"g"}`,
	} {
		if rows[name] != want {
			t.Errorf("row %s is %s, want %s", name, rows[name], want)
		}
	}

	// The table is made anew under its name: never a silent mix of two tables.
	must(s.tool.DropTable(ctx, j.table))
	must(s.tool.CreateTable(ctx, lifeTable(j.table)))
	s.days(t, j.table, 1, 5000, 5010, testenv.Row{"payload": "new"})
	w.awaitLine("task failed", patience)
	w.stop()
	if told, err := w.hasLine(0, func(line string) bool {
		return strings.Contains(line, "belong to another table") || strings.Contains(line, "table not found")
	}); err != nil || !told {
		t.Errorf("the failure doesn't say that the table was dropped: %v\n%s", err, testenv.Tail(w.log, 200))
	}
	// Also after a restart.
	w = s.start(t, j, "worker3")
	w.awaitLine("belong to another table", patience)
	if code, err := w.Wait(t.Context()); err != nil || code != 1 {
		t.Errorf("the worker whose only connector can't start exited with code %d: %v", code, err)
	}
	if n := len(s.consume(t, j.topic)); n != 141 {
		t.Errorf("%d records at the end, want 141: rows of the new table were mixed in", n)
	}
}

func TestADroppedColumnThatTheConfigNamesFailsTheTask(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 1)
	spec := lifeTable(j.table)
	spec.Columns = append(spec.Columns, testenv.ColumnSpec{Name: "ts", Type: "UNIXTIME_MICROS", Nullable: true})
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	j.connector["timestamp.column"] = "ts"
	s.days(t, j.table, 1, 0, 10, nil)
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, 10, patience)
	if err := s.tool.AlterTable(t.Context(), j.table, testenv.AlterStep{DropColumn: "ts"}); err != nil {
		t.Fatal(err)
	}
	w.awaitLine(`timestamp.column: the table has no column`, patience)
	w.stop()
}

// storedTablets lists the tablets that have a position.
func (s *stack) storedTablets(t *testing.T, j *job) []string {
	t.Helper()
	live := make(map[string]bool)
	for _, p := range s.consume(t, j.group+"-"+j.name+"-offsets") {
		_, tablet, ok := offsets.TabletOf(p.key)
		if !ok {
			continue // the plan
		}
		// A position that has moved is a tombstone in one partition and alive in
		// another.
		live[fmt.Sprint(p.partition, " ", tablet)] = p.value != nil
	}
	var tablets []string
	for place, there := range live {
		if there {
			_, tablet, _ := strings.Cut(place, " ")
			tablets = append(tablets, tablet)
		}
	}
	slices.Sort(tablets)
	return tablets
}

// eventually polls until the condition holds.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", within, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
