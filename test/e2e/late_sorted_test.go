package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// dueTable has rows whose streaming key, the column due, is no part of the
// primary key.
func dueTable(name string) testenv.TableSpec {
	return testenv.TableSpec{
		Name: name,
		Columns: []testenv.ColumnSpec{
			{Name: "id", Type: "INT64", Key: true}, {Name: "due", Type: "UNIXTIME_MICROS"}, {Name: "v", Type: "STRING"},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 4}},
	}
}

// dueRow is what was done to a row.
type dueRow struct {
	due      time.Time
	ups      int  // how often it was moved above all rows, after it was published
	deleted  bool // perhaps before it was seen
	waiting  bool // it is due in ten hours, and isn't to be published
	pulled   bool // it was waiting once
	modified bool
}

// dueWriter writes rows in no order of their key, and moves them about.
type dueWriter struct {
	table string
	tool  *testenv.KuduTool
	base  time.Time // before all that is due
	dice  *rand.Rand
	rows  []*dueRow // by id
}

// due is a place in the order, one for each step.
func (d *dueWriter) due(step int) time.Time {
	return d.base.Add(time.Duration(step) * time.Millisecond)
}

// write has fn write rows, all in one go.
func (d *dueWriter) write(t *testing.T, fn func(put func(op string, id int))) error {
	w := d.tool.NewWriter(d.table)
	fn(func(op string, id int) {
		r := d.rows[id]
		row := testenv.Row{"id": id}
		if op != "delete" {
			row["due"], row["v"] = r.due, fmt.Sprintf("%s %d", op, d.dice.IntN(1000))
		}
		r.modified = r.modified || op != "insert"
		w.Write(op, row)
	})
	end, err := w.Flush(t.Context())
	if err == nil && len(end.Errors) > 0 {
		err = fmt.Errorf("%s", end.Errors[0].Message)
	}
	return err
}

// round inserts rows, and changes, moves or deletes some of those before them.
// Rows are moved down only, but for those that wait: whether a row that is moved
// up is published once or twice depends on when that is.
func (d *dueWriter) round(t *testing.T, batch, before []int) error {
	return d.write(t, func(put func(op string, id int)) {
		for _, id := range batch {
			r := d.rows[id]
			if r.due = d.due(id); d.dice.IntN(10) == 0 {
				r.due, r.waiting = d.base.Add(11*time.Hour), true
			}
			put("insert", id)
		}
		for _, id := range before {
			r := d.rows[id]
			switch what := d.dice.IntN(30); {
			case r.deleted:
			case r.waiting && what < 4:
				r.due, r.waiting, r.pulled = d.due(d.dice.IntN(id+1)), false, true
				put("update", id)
			case r.waiting:
			case what == 0:
				r.deleted = true
				put("delete", id)
			case what == 1:
				put("update", id)
			case what < 4:
				r.due = d.base.Add(time.Duration(d.dice.Int64N(int64(r.due.Sub(d.base) + 1)))).Truncate(time.Microsecond)
				put("update", id)
			}
		}
	})
}

// awaitDue waits until each row that was written is published as often as it should be, or more.
func (s *stack) awaitDue(t *testing.T, topic string, d *dueWriter) {
	t.Helper()
	eventually(t, patience, "all rows are published", func() bool {
		seen := make(map[int]int)
		for _, id := range s.ids(t, topic) {
			seen[id]++
		}
		for id, r := range d.rows {
			written := !r.due.IsZero()
			if written && !r.deleted && !r.waiting && seen[id] < 1+r.ups {
				return false
			}
		}
		return true
	})
}

// verifyDue compares the topic with what was done, and with what the Java client
// reads. It returns how many rows were late, and how many of those that had to
// wait.
func (s *stack) verifyDue(t *testing.T, j *job, d *dueWriter) (late, pulled int) {
	t.Helper()
	records := make(map[int][]published)
	for _, p := range s.consume(t, j.topic) {
		var row struct{ ID int }
		if err := json.Unmarshal(p.value, &row); err != nil {
			t.Fatal(err)
		}
		if records[row.ID] = append(records[row.ID], p); p.late {
			late++
			if d.rows[row.ID].pulled {
				pulled++
			}
		}
	}
	there := make(map[string]map[string]any)
	if _, err := s.tool.Read(t.Context(), testenv.ReadOptions{Table: j.table}, func(r testenv.ReadRow) error {
		cells, err := r.Cells()
		there[fmt.Sprint(cells["id"])] = cells
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for id, r := range d.rows {
		most := 1 + r.ups
		if r.waiting {
			most = 0
		}
		got, cells := records[id], there[fmt.Sprint(id)]
		if len(got) > most || len(got) < most && !r.deleted || r.deleted != (cells == nil) {
			t.Errorf("row %d %+v is published %d times, and is in the table: %v", id, *r, len(got), cells != nil)
			continue
		}
		if len(got) == 0 || r.modified && r.ups == 0 {
			continue // what a changed row was like when it was published, nobody knows
		}
		last, err := decodeRecord(got[len(got)-1].value)
		if err != nil {
			t.Fatal(err)
		}
		for column, want := range cells {
			if !sameCell(last[column], want) {
				t.Errorf("row %d, column %s: %v is published, the table has %v", id, column, last[column], want)
			}
		}
	}
	return late, pulled
}

// A writer inserts rows in no order of a key that isn't the primary key, moves
// others below what is published and out of what isn't to be published yet,
// changes and deletes them, while either of two workers is killed again and
// again. Then it moves published rows above all others.
func TestLateRowsByAnyKeyArePublishedOnceThoughWorkersAreKilled(t *testing.T) {
	s := newStack(t)
	j := newLateJob(t, 2)
	j.connector["streaming.key"], j.connector["key.columns"], j.connector["settle.delay.ms"] = "due", "id", "1"
	j.connector["transaction.max.rows"] = "37"
	if err := s.tool.CreateTable(t.Context(), dueTable(j.table)); err != nil {
		t.Fatal(err)
	}
	dice := newDice(t)
	const rounds, perRound = 24, 120
	d := &dueWriter{
		table: j.table, tool: s.tool, base: time.Now().Add(-time.Hour).Truncate(time.Microsecond), dice: rand.New(rand.NewPCG(dice.Uint64(), 1)),
	}
	order, turn := make([]int, rounds*perRound), make([]int, rounds*perRound)
	for id := range order { // they come up to 8 rounds out of turn
		order[id], turn[id] = id, id+dice.IntN(8*perRound)
		d.rows = append(d.rows, &dueRow{})
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(turn[a], turn[b]) })
	workers := []*worker{s.start(t, j.as("first"), "first"), s.start(t, j.as("second"), "second")}
	for _, w := range workers {
		w.awaitLine("task runs", patience)
	}
	kills := 0
	kill := func() {
		kills++
		s.killEither(t, j, workers, dice.IntN(2), kills)
	}
	written := make(chan error, 1)
	during, ctx := newLateKills(), t.Context()
	go func() {
		written <- func() error {
			pace := time.NewTicker(100 * time.Millisecond)
			defer pace.Stop()
			for round := range rounds {
				if err := during.before(ctx, round, rounds); err != nil {
					return err
				}
				at := round * perRound
				if err := d.round(t, order[at:at+perRound], order[:at]); err != nil {
					return err
				}
				<-pace.C
			}
			return nil
		}()
	}()
	during.during(t, dice, written, 2, kill, func() { s.awaitDue(t, j.topic, d) })
	s.awaitDue(t, j.topic, d)

	top := len(d.rows)
	for range 3 {
		if err := d.write(t, func(put func(op string, id int)) {
			for range 60 {
				id := dice.IntN(len(order))
				r := d.rows[id]
				if r.deleted || r.waiting || r.ups > 0 {
					continue
				}
				top++
				r.due, r.ups = d.due(top), 1
				put("update", id)
			}
		}); err != nil {
			t.Fatal(err)
		}
		kill()
	}
	s.awaitDue(t, j.topic, d)

	// Whatever a repair would publish once more is there when these rows are.
	if err := d.write(t, func(put func(op string, id int)) {
		for n := range 60 {
			d.rows = append(d.rows, &dueRow{due: d.due(top - 40).Add(time.Duration(n) * time.Microsecond)})
			put("insert", len(d.rows)-1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.awaitDue(t, j.topic, d)
	for _, w := range workers {
		w.stop()
	}
	late, pulled := s.verifyDue(t, j, d)
	t.Logf("%d kills, %d of %d rows were late, %d of them had been waiting", kills, late, len(d.rows), pulled)
	if late < 100 || pulled < 10 || kills < 5 {
		t.Error("the test has tested nothing")
	}
}
