package connector

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

func TestRowsThatKuduRefusesStayInTheJournalAloneAndAreNotPublishedAgain(t *testing.T) {
	b := newSweepBench(t, 1)
	b.add(30, past())
	l := b.insert(past().Add(-time.Minute), 1000) // the first of its tablet's journal
	its := b.tabletOf(l)
	refuse := func(c *kudufake.Call) kudufake.Decision {
		if !c.Barrier() && c.Tablet() == its {
			return kudufake.Decision{RefuseRow: func(row int) bool { return row == 0 }}
		}
		return kudufake.Decision{}
	}
	remove := b.kudu.Control("Write", refuse)
	var counts SweepCounts
	for run := range 3 {
		err := b.run(t.Context(), func(c SweepCounts) { counts.add(c) })
		if !fatal(err) || !strings.Contains(err.Error(), "Kudu refuses 1 of them") {
			t.Errorf("run %d ends with %v", run, err)
		}
	}
	if counts.Failed != 3 {
		t.Errorf("counts %+v, want one failed row in each run", counts)
	}
	left := 0
	for key, j := range b.stored() {
		if left += j.NumRows(); key.Tablet == its && j.NumRows() != 1 {
			t.Errorf("the journal has %d rows, want the refused one", j.NumRows())
		}
	}
	if got := len(b.published()); left == 0 || got != 31 {
		t.Errorf("%d journalled rows and %d records, want 31", left, got)
	}
	remove()
	b.drain()
	b.verify()
	if got := len(b.published()); got != 31 {
		t.Errorf("%d records, want 31", got)
	}
}

func TestSweepingKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		pace := &throttle{rate: 1000}
		var writers sync.WaitGroup
		for range 4 { // as many as sweep at once
			writers.Go(func() {
				for range 5 {
					if err := pace.wait(t.Context(), 200); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		// The first need not wait, the last waits for all before it.
		if took := time.Since(began); took != 3800*time.Millisecond {
			t.Errorf("4000 rows took %v at 1000 rows per second", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if pace.wait(ctx, 5000) == nil {
			t.Error("a cancelled wait went on")
		}
		// What was given up takes no time from others.
		began = time.Now()
		if err := pace.wait(t.Context(), 1); err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestRunsThatFailKeepToTheRateOfTheirTask(t *testing.T) {
	const rate = 100
	b := newSweepBench(t, 1)
	b.cfg.SweepRate = rate
	b.add(1000, past())
	began, swept := time.Now(), 0
	// A slow machine needs longer runs for any to come to sweeping.
	for run := 0; run < 6 || swept == 0; run++ {
		if err := b.runFor(time.Duration(300+50*run) * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		swept = 1000 - len(b.rowsLeft(""))
	}
	within := time.Since(began)
	if most := rate + int(within.Seconds()*rate); swept > most {
		t.Errorf("%d rows were swept within %v, want at most %d", swept, within, most)
	}
}

func TestSweepsAreAsSmallAsTheRateAsks(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepRate, b.cfg.SweepBatchRows = 5000, 1000
	b.add(600, past())
	b.crashBeforeSweep()
	b.cfg.SweepRate = 150
	b.drain()
	b.add(600, past())
	b.crashBeforeSweep()
	for _, j := range b.stored() {
		if j.NumRows() > 150 {
			t.Errorf("a journal of %d rows at 150 rows per second", j.NumRows())
		}
	}
}

func TestColumnsChangeWhileRowsAreJournalled(t *testing.T) {
	b := newSweepBench(t, 1)
	changed := b.insert(past(), 1)
	b.add(30, past())
	b.crashBeforeSweep()
	b.alter(kudu.DropColumn("priority"), kudu.AddColumn(kudu.Column{Name: "note", Type: kudu.String, Nullable: true}))
	// Only the new column tells that this row isn't the one that was published.
	if _, err := b.table.Apply(0, kudufake.Update(kudufake.Row{"due": changed.due.UnixMicro(), "id": changed.id, "note": "new"})); err != nil {
		t.Fatal(err)
	}
	b.drain()
	times := make(map[string]int)
	for _, r := range b.published() {
		times[r.Payload]++
	}
	for _, l := range b.lives {
		want := 1
		if l == changed {
			want = 2
		}
		if got := times[l.versions[0]]; got != want {
			t.Errorf("row %s was published %d times, want %d", l.key(), got, want)
		}
	}
}

// newDeposed has journals of rows that their tablet's former leader lacks, at the
// address that it gives, and other columns since.
func newDeposed(t *testing.T, guard string) (b *sweepBench, old string) {
	t.Helper()
	spec := oneTablet()
	spec.Replicas = 3
	b = newSweepBenchOn(t, 1, kudufake.Options{TabletServers: 3}, spec)
	b.cfg.SnapshotGuard = guard
	tablet := b.table.Tablets()[0]
	old = tablet.Leader.Addr()
	for _, s := range tablet.Replicas {
		if s.Addr() != old {
			if err := b.kudu.DeposeLeader(tablet.ID, s); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	b.add(20, past())
	b.crashBeforeSweep()
	b.alter(kudu.AddColumn(kudu.Column{Name: "note", Type: kudu.String, Nullable: true}))
	return b, old
}

// The old leader lacks the rows that were published: they would leave the journal as
// changed ones, and be published again.
func TestColumnsChangeWhileADeposedLeaderIsAsked(t *testing.T) {
	b, old := newDeposed(t, guardBarrier)
	var once sync.Once
	b.kudu.Control("Scan", func(c *kudufake.Call) (d kudufake.Decision) {
		if c.Opens() && c.Server.Addr() != old { // the others can't be read for a moment
			once.Do(func() { d.CutBefore = true })
		}
		return d
	})
	// It may fail, and is run again.
	if err := b.runFor(time.Second); err != nil {
		t.Fatal(err)
	}
	b.drain()
	b.verify()
	if got := len(b.published()); got != 20 {
		t.Errorf("%d records, want 20", got)
	}
}

// Without a guard such a replica is read, and is found out.
func TestRowsThatAReplicaLacksAreNotTakenForChanged(t *testing.T) {
	b, old := newDeposed(t, guardNone)
	remove := b.kudu.Control("Scan", func(c *kudufake.Call) (d kudufake.Decision) {
		d.CutBefore = c.Opens() && c.Server.Addr() != old
		return d
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.run(ctx, nil); err == nil || fatal(err) || !strings.Contains(err.Error(), "lacks 20 of them") {
		t.Errorf("the run ends with %v", err)
	}
	remove()
	b.drain()
	b.verify()
	if got := len(b.published()); got != 20 {
		t.Errorf("%d records, want 20", got)
	}
}

func TestRangePartitionIsDroppedWhileItsRowsAreJournalled(t *testing.T) {
	spec := queueSpec()
	edge := time.Now().Truncate(time.Hour)
	spec.Range, spec.Ranges = []string{"due"}, []kudufake.RangeSpec{
		{Upper: []any{edge.Add(-24 * time.Hour)}}, {Lower: []any{edge.Add(-24 * time.Hour)}},
	}
	b := newSweepBenchOn(t, 1, kudufake.Options{}, spec)
	b.add(10, edge.Add(-48*time.Hour))
	b.crashBeforeSweep()
	rows := 0
	for _, j := range b.stored() {
		rows += j.NumRows()
	}
	b.alter(kudu.DropRange(kudu.RangePartition{Upper: []any{edge.Add(-24 * time.Hour)}}))
	b.lives = nil
	b.add(5, past())
	var mu sync.Mutex
	var counts SweepCounts
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.run(ctx, func(c SweepCounts) {
			mu.Lock()
			defer mu.Unlock()
			if counts.add(c); counts.Swept == 5 {
				cancel(errRevoked)
			}
		})
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if counts.Gone != int64(rows) || b.journals() != 0 {
		t.Errorf("counts %+v and %d journals, want %d rows gone and none", counts, b.journals(), rows)
	}
	tablets := make(map[string]bool)
	for _, tablet := range b.table.Tablets() {
		tablets[tablet.ID] = true
	}
	for key := range b.positions() {
		if !tablets[key.Tablet] {
			t.Errorf("the position of tablet %s is still there", key.Tablet)
		}
	}
}

func TestChangedSettingsOfASweepWaitForTheJournal(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepAction, b.cfg.SweepSet = sweepUpdate, map[string]string{"status": "DONE"}
	b.add(3, past())
	b.crashBeforeSweep()
	b.cfg.SweepSet = map[string]string{"status": "DONE", "payload": "gone"}
	if err := b.run(t.Context(), nil); !fatal(err) || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("with another sweep.set the task ends with %v", err)
	}
	b.cfg.SweepAction, b.cfg.SweepSet = sweepDelete, nil
	if err := b.run(t.Context(), nil); !fatal(err) || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("with another sweep.action the task ends with %v", err)
	}
}

// A process that slept between its look and its write sends it when its
// successor has long been done.
func TestLateWriteOfAZombieSweepsNothing(t *testing.T) {
	for name, trust := range map[string]time.Duration{"soon": 0, "when ids aren't trusted any more": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			b := newSweepBench(t, 1)
			b.trust = trust
			l := b.insert(past(), 1)
			b.crashBeforeSweep()
			late := b.stored()
			b.drain()
			b.insert(l.due, 1)
			client, err := kudu.New(b.kudu.Config())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			table, err := client.OpenTable(t.Context(), "shop.queue")
			if err != nil {
				t.Fatal(err)
			}
			for key, j := range late {
				if _, err := table.WriteBatch(t.Context(), key.Tablet, kudu.RequestID(j.Request), func(yield func(kudu.OpKind, *kudu.Row) bool) {
					row := table.NewRow()
					row.SetAll(l.due.UnixMicro(), l.id)
					yield(kudu.OpDeleteIgnore, row)
				}); err != nil {
					t.Fatal(err)
				}
			}
			if !b.there(b.lives[1]) {
				t.Error("the new row was swept, and nobody has published it")
			}
		})
	}
}

func TestSweptRowsAreNotPublishedAgainFromADeposedLeader(t *testing.T) {
	spec := queueSpec()
	spec.Hash, spec.Replicas = nil, 3
	b := newSweepBenchOn(t, 1, kudufake.Options{TabletServers: 3}, spec)
	b.add(20, past())
	tablet := b.table.Tablets()[0]
	old := tablet.Leader.Addr()
	// Before the rows are swept, their leader is deposed, and doesn't notice. It
	// goes on to show them.
	b.atWrite(func() kudufake.Decision {
		for i := range b.kudu.NumTabletServers() {
			if s := b.kudu.TabletServer(i); s.Addr() != old {
				if err := b.kudu.DeposeLeader(tablet.ID, s); err != nil {
					t.Error(err)
				}
				break
			}
		}
		return kudufake.Decision{}
	})
	b.drain()
	// The others can't be read for a while, so that scans turn to the old one.
	remove := b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		if c.Server.Addr() != old {
			return kudufake.Decision{CutBefore: true}
		}
		return kudufake.Decision{}
	})
	if err := b.runFor(time.Second); err != nil {
		t.Error(err)
	}
	remove()
	b.add(5, past())
	b.drain()
	b.verify()
	if got := len(b.published()); got != 25 {
		t.Errorf("%d records, want 25", got)
	}
}

func TestPassesOfATaskRunAtOnceWithinTheirBound(t *testing.T) {
	spec := queueSpec()
	spec.Hash[0].Buckets = 6
	b := newSweepBenchOn(t, 1, kudufake.Options{}, spec)
	b.cfg.SnapshotGuard, b.cfg.SweepAction = guardNone, sweepNone
	b.cfg.SweepInterval = time.Hour
	b.add(60, past())
	var waiting, most atomic.Int32
	full := make(chan struct{})
	var once sync.Once
	b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		if c.Opens() {
			n := waiting.Add(1)
			defer waiting.Add(-1)
			for {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			if n == scansAtOnce {
				once.Do(func() { close(full) })
			}
			select {
			case <-full:
			case <-time.After(time.Minute):
				t.Error("a pass waits for another")
			}
		}
		return kudufake.Decision{}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, nil) }()
	for len(b.published()) < 60 {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel(errRevoked)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := most.Load(); got != scansAtOnce {
		t.Errorf("%d scans at once, want %d", got, scansAtOnce)
	}
}

func TestJournalsMoveWithAChangeOfTasksMax(t *testing.T) {
	s := newStack(t)
	s.insert(200)
	sweeping := func(tasks int) *instance {
		i := s.instance(tasks)
		i.cfg.Mode, i.cfg.Where, i.cfg.SweepBatchRows = modeSweep, "id >= 0", 30
		return i
	}
	var held atomic.Bool
	held.Store(true)
	s.kudu.Control("Write", func(c *kudufake.Call) kudufake.Decision {
		if held.Load() && !c.Barrier() {
			return kudufake.Decision{AppStatus: kudufake.StatusUnavailable, Text: "not now"}
		}
		return kudufake.Decision{}
	})
	first := sweeping(2)
	stop := s.run(first)
	s.await(first)
	stop()
	second := sweeping(3)
	if err := second.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	state, err := second.catalog.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	owner := make(map[string]int32)
	for task := range int32(3) {
		for _, tablet := range state.tabletsOf(task, second.cfg) {
			owner[tablet.ID] = task
		}
	}
	rows := 0
	for task := range int32(3) {
		loaded, err := offsets.Load(t.Context(), second.kafka.Within(t.Context()), second.cfg.OffsetsTopic("g"), task, second.cfg.Name)
		if err != nil {
			t.Fatal(err)
		}
		for key, j := range loaded.Journals {
			if rows += j.NumRows(); owner[key.Tablet] != task {
				t.Errorf("a journal of tablet %s is with task %d, not %d", key.Tablet, task, owner[key.Tablet])
			}
		}
	}
	if rows != 200 {
		t.Errorf("%d rows are journalled, want 200", rows)
	}
	held.Store(false)
	stop = s.run(second)
	testenv.Await(t, time.Minute, "all rows are swept", func() bool {
		swept := int64(0)
		for _, task := range second.board.snapshot("").Tasks {
			swept += task.Swept.Swept
		}
		return swept >= 200
	})
	stop()
	s.wantAll()
}

func TestTaskWithNothingToDoNoticesThatItIsFenced(t *testing.T) {
	b := newSweepBench(t, 1)
	b.idle = 20 * time.Millisecond
	ended := make(chan error, 1)
	go func() { ended <- b.run(t.Context(), nil) }()
	testenv.Await(t, time.Minute, "the task has stored its positions", func() bool { return len(b.positions()) > 0 })
	other, err := openProducer(t.Context(), b.options())
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	select {
	case err := <-ended:
		if err == nil || fatal(err) {
			t.Errorf("the task ends with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the task goes on")
	}
}

func TestStatusCountsRowsThatAreNotSwept(t *testing.T) {
	board := newStatusBoard()
	board.setTask(1, Running, nil)
	board.addSwept(1, SweepCounts{Swept: 5, Failed: 2})
	board.addSwept(1, SweepCounts{Gone: 1, Failed: 1})
	if got, want := fmt.Sprintf("%+v", board.snapshot("").Tasks[0].Swept), "{Swept:5 Gone:1 Changed:0 Again:0 Failed:3}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A look at journalled rows that broke would say that they are gone: they would leave
// the journal unswept, and be published again.
func TestReadThatBreaksIsNoWordOnTheRows(t *testing.T) {
	for _, order := range []string{"", "priority DESC, due"} {
		for _, fault := range []kudufake.Decision{{CutBefore: true}, {CutAfter: true}} {
			t.Run(fmt.Sprintf("by %q, cut before %t", order, fault.CutBefore), func(t *testing.T) {
				b := newSweepBench(t, 1)
				if order != "" {
					b.cfg.SweepOrderBy = []string{order}
				}
				b.add(600, past())
				var mu sync.Mutex
				calls, cuts := 0, 0
				b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
					if !c.Opens() && !c.Continues() {
						return kudufake.Decision{}
					}
					mu.Lock()
					defer mu.Unlock()
					if calls++; calls%3 != 0 || cuts == 20 {
						return kudufake.Decision{}
					}
					cuts++
					return fault
				})
				healed := func() bool {
					mu.Lock()
					defer mu.Unlock()
					return cuts == 20
				}
				for !healed() { // a task that has failed is run again
					if err := b.runFor(500 * time.Millisecond); err != nil {
						t.Fatal(err)
					}
				}
				b.drain()
				b.verify()
				if got := len(b.published()); got != 600 {
					t.Errorf("%d records, want 600", got)
				}
			})
		}
	}
}

// With Kudu's Hive Metastore integration names of tables are looked up whatever their
// case, and the master answers with the name as the table was made; and a table may be
// renamed while its rows are journalled.
func TestJournalsAreOfATableWhateverItIsCalled(t *testing.T) {
	b := newSweepBench(t, 1)
	b.add(10, past())
	b.crashBeforeSweep()
	b.kudu.Control("GetTableSchema", func(*kudufake.Call) kudufake.Decision {
		return kudufake.Decision{Edit: kudufake.NameTable("Shop.Queue")}
	})
	b.drain()
	b.verify()
	if got := len(b.published()); got != 10 {
		t.Errorf("%d records, want 10", got)
	}
}
