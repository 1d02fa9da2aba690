package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// lateTable has rows with a number for their key, on so many tablets.
func lateTable(name string, buckets, replicas int) testenv.TableSpec {
	spec := testenv.TableSpec{
		Name: name, Replicas: replicas,
		Columns: []testenv.ColumnSpec{{Name: "id", Type: "INT64", Key: true}, {Name: "v", Type: "STRING"}},
	}
	if buckets > 1 {
		spec.Hash = []testenv.HashSpec{{Columns: []string{"id"}, Buckets: buckets}}
	} else {
		spec.Range = &testenv.RangeSpec{Columns: []string{"id"}}
	}
	return spec
}

// newLateJob repairs often.
func newLateJob(t *testing.T, tasks int) *job {
	t.Helper()
	j := newJob(t, tasks)
	j.connector["late.rows"] = "repair"
	j.connector["late.rows.interval.ms"] = "300"
	return j
}

// lateOnce checks that each row was published once; one that was deleted may
// never have been seen. It returns how many were late.
func (s *stack) lateOnce(t *testing.T, topic string, rows map[int]bool) (late int) {
	t.Helper()
	seen := make(map[int]int)
	for _, p := range s.consume(t, topic) {
		var row struct{ ID int }
		if err := json.Unmarshal(p.value, &row); err != nil {
			t.Fatal(err)
		}
		if seen[row.ID]++; p.late {
			late++
		}
	}
	for id, deleted := range rows {
		if n := seen[id]; n > 1 || n == 0 && !deleted {
			t.Errorf("row %d (deleted: %v) was published %d times", id, deleted, n)
		}
		delete(seen, id)
	}
	if len(seen) > 0 {
		t.Errorf("%d rows were published that nobody has written", len(seen))
	}
	return late
}

// awaitRows waits until so many of the rows that were not deleted are published.
func (s *stack) awaitRows(t *testing.T, topic string, rows map[int]bool, within time.Duration) {
	t.Helper()
	eventually(t, within, "all rows are published", func() bool {
		seen := make(map[int]bool)
		for _, id := range s.ids(t, topic) {
			seen[id] = true
		}
		for id, deleted := range rows {
			if !deleted && !seen[id] {
				return false
			}
		}
		return true
	})
}

// killEither kills one of the workers first and second, and starts it again.
func (s *stack) killEither(t *testing.T, j *job, workers []*worker, n, kills int) {
	t.Helper()
	if err := workers[n].Kill(); err != nil {
		t.Fatal(err)
	}
	name := []string{"first", "second"}[n]
	workers[n] = s.start(t, j.as(name), fmt.Sprintf("%s after kill %d", name, kills))
}

// lateKills are kills of workers while a writer writes rows in rounds. However slow
// the workers or the writer are, some rows are late, and some kills come in between.
type lateKills struct {
	half   chan struct{} // sent by the writer when half of the rounds are written
	goOn   chan struct{} // closed when what is written by then is published
	enough chan struct{} // closed at the last of the kills that there must be
}

func newLateKills() *lateKills {
	return &lateKills{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

// before is called by the writer before each round. What is written out of turn in
// the second half is late, since what is above it is published. The last round
// waits for the kills.
func (k *lateKills) before(ctx context.Context, round, rounds int) error {
	switch round {
	case rounds / 2:
		select {
		case k.half <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-k.goOn:
		case <-ctx.Done():
			return ctx.Err()
		}
	case rounds - 1:
		select {
		case <-k.enough:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// during kills until the writer has told its outcome. At least so many kills there
// are; half waits until all that is written is published.
func (k *lateKills) during(t *testing.T, dice *rand.Rand, written <-chan error, least int, kill, half func()) {
	t.Helper()
	for kills := 0; ; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-k.half:
			half()
			close(k.goOn)
		case <-time.After(upTo(dice, time.Second)):
			kill()
			if kills++; kills == least {
				close(k.enough)
			}
		}
	}
}

// A writer inserts rows in no order, updates and deletes others, while either of
// two workers is killed again and again.
func TestLateRowsArePublishedOnceThoughWorkersAreKilled(t *testing.T) {
	s := newStack(t)
	j := newLateJob(t, 2)
	j.connector["transaction.max.rows"] = "37"
	if err := s.tool.CreateTable(t.Context(), lateTable(j.table, 4, 1)); err != nil {
		t.Fatal(err)
	}
	dice := newDice(t)
	const rounds, perRound = 40, 100
	order := make([]int, rounds*perRound) // rows are written up to 8 rounds out of turn
	for id := range order {
		order[id] = id
	}
	turn := make(map[int]int)
	for id := range order {
		turn[id] = id + dice.IntN(8*perRound)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(turn[a], turn[b]) })
	rows := make(map[int]bool) // whether it was deleted
	written := make(chan error, 1)
	workers := []*worker{s.start(t, j.as("first"), "first"), s.start(t, j.as("second"), "second")}
	for _, w := range workers {
		w.awaitLine("task runs", patience)
	}
	seeds := rand.New(rand.NewPCG(dice.Uint64(), 1))
	during, ctx := newLateKills(), t.Context()
	go func() {
		written <- func() error {
			pace := time.NewTicker(100 * time.Millisecond)
			defer pace.Stop()
			for round := range rounds {
				if err := during.before(ctx, round, rounds); err != nil {
					return err
				}
				batch := order[round*perRound : (round+1)*perRound]
				w := s.tool.NewWriter(j.table)
				for _, id := range batch {
					rows[id] = false
					w.Write("insert", testenv.Row{"id": id, "v": "new"})
				}
				for _, id := range order[:round*perRound] {
					switch {
					case rows[id] || seeds.IntN(round*10) > 1:
					case seeds.IntN(4) == 0:
						rows[id] = true
						w.Write("delete", testenv.Row{"id": id})
					default:
						w.Write("update", testenv.Row{"id": id, "v": fmt.Sprint(round)})
					}
				}
				end, err := w.Flush(t.Context())
				if err != nil {
					return err
				}
				if len(end.Errors) > 0 {
					return fmt.Errorf("%s", end.Errors[0].Message)
				}
				<-pace.C
			}
			return nil
		}()
	}()
	kills := 0
	during.during(t, dice, written, 5, func() {
		kills++
		s.killEither(t, j, workers, dice.IntN(2), kills)
	}, func() { s.awaitRows(t, j.topic, rows, time.Minute) })
	s.awaitRows(t, j.topic, rows, patience)
	for _, w := range workers {
		w.stop()
	}
	late := s.lateOnce(t, j.topic, rows)
	t.Logf("%d kills, %d of %d rows were late", kills, late, len(rows))
	if late == 0 || kills < 5 {
		t.Error("the test has tested nothing")
	}
}

// The leader of a tablet is paused until another one is elected and has taken
// rows; when it goes on, it answers reads for a moment as if it still led. Two
// connectors read it, by the primary key and by a column that isn't part of it.
func TestRowsADeposedLeaderDoesNotShowAreNotLost(t *testing.T) {
	t.Parallel()
	cluster := testenv.NewKudu(t, testenv.KuduConfig{TabletServers: 3})
	s := newStackOn(t, cluster, testenv.SharedKafka(t))
	j := newLateJob(t, 1)
	j.connector["poll.interval.ms"], j.connector["poll.interval.max.ms"] = "1", "1"
	j.connector["late.rows.interval.ms"] = "100"
	elsewhere := *j
	elsewhere.name, elsewhere.topic, elsewhere.connector = "elsewhere", j.topic+"_at", maps.Clone(j.connector)
	elsewhere.connector["streaming.key"], elsewhere.connector["key.columns"] = "at", "id"
	spec := lateTable(j.table, 1, 3)
	spec.Columns = append(spec.Columns, testenv.ColumnSpec{Name: "at", Type: "INT64"})
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	client, err := kudu.New(kudu.Config{Masters: cluster.Masters()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	table, err := client.OpenTable(t.Context(), j.table)
	if err != nil {
		t.Fatal(err)
	}
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[int]bool)
	write := func(ids ...int) {
		t.Helper()
		var batch []testenv.Row
		for _, id := range ids {
			batch = append(batch, testenv.Row{"id": id, "v": "x", "at": id})
			rows[id] = false
		}
		if _, err := s.tool.Write(t.Context(), j.table, "insert", batch...); err != nil {
			t.Fatal(err)
		}
	}
	await := func() {
		t.Helper()
		s.awaitRows(t, j.topic, rows, patience)
		s.awaitRows(t, elsewhere.topic, rows, patience)
	}
	w := s.startAll(t, []*job{j, &elsewhere}, "worker")
	for _, name := range []string{j.name, elsewhere.name} {
		w.awaitTaskLine(0, "0", patience, "task runs: connector="+name+" ") // so its topic is there
	}
	for round := range 2 {
		base := 1000 * round
		for i := range 10 {
			write(base + 10*i)
		}
		await()
		_, addr, err := table.BarrierAt(t.Context(), tablets[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		var old *testenv.Server
		for _, server := range cluster.TabletServers() {
			if server.Addr() == addr {
				old = server
			}
		}
		if old == nil {
			t.Fatalf("no tablet server has the address %s of the leader", addr)
		}
		// Above what is published, in an order that leaves gaps to fill.
		write(base+500, base+200)
		if err := old.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		write(base+35, base+300, base+400, base+450) // by the new leader
		if err := old.Resume(); err != nil {
			t.Fatal(err)
		}
		write(base+55, base+600)
	}
	await()
	w.stop()
	t.Logf("%d rows were late, and %d by the other key", s.lateOnce(t, j.topic, rows), s.lateOnce(t, elsewhere.topic, rows))
}
