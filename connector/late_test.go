package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// lateTable is a table of one tablet, a model of its history, and a task reduced
// to what matters here: it publishes batches, commits now and then, and crashes.
type lateTable struct {
	cluster *kudufake.Cluster
	table   *kudufake.Table
	tablet  string
	client  *kudu.Client
	source  *offsetSource
	cfg     Config

	// lives are the times between which a row was there, by key; the last one
	// may have no end.
	lives map[int64][]life

	// merged polls in the order of the table.
	merged bool
	// emitted is told each row before it is published.
	emitted func(t failer, b *batch, row int)

	reader    *tabletReader
	stored    *offsets.Position
	open      []publication // in the transaction that is open
	topic     []publication // committed
	openPoint *point
}

type life struct{ from, to kudu.Timestamp }

type publication struct {
	id   int64
	at   kudu.Timestamp
	late bool
	mark string // order key up to which rows are published with it
}

// failer is what rapid and testing have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

func newLateTable(t failer, guard string, streaming ...string) *lateTable {
	t.Helper()
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 3})
	if err != nil {
		t.Fatal(err)
	}
	l := &lateTable{cluster: cluster, lives: make(map[int64][]life)}
	l.table, err = cluster.CreateTable(kudufake.TableSpec{Name: "t", Columns: []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "v", Type: kudu.String, Nullable: true}, {Name: "due", Type: kudu.Int64},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l.tablet = l.table.Tablets()[0].ID
	config := cluster.Config()
	if l.client, err = kudu.New(config); err != nil {
		t.Fatal(err)
	}
	l.cfg = DefaultConfig()
	l.cfg.KuduTable, l.cfg.Topic, l.cfg.LateRows, l.cfg.SnapshotGuard, l.cfg.StreamingKey = "t", "t", lateRepair, guard, streaming
	table, err := l.client.OpenTable(context.Background(), "t")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planRead(l.cfg, table.Schema())
	if err != nil {
		t.Fatal(err)
	}
	l.source = &offsetSource{read: reading{
		table: table, client: l.client, plan: plan, batchBytes: 1024, logger: hclog.NewNullLogger(),
		late: lateRows{repair: true, interval: time.Hour, guard: guard},
	}}
	l.restart(t)
	return l
}

func (l *lateTable) close() {
	_ = l.client.Close()
	l.cluster.Close()
}

func (l *lateTable) live(id int64) bool {
	all := l.lives[id]
	return len(all) > 0 && all[len(all)-1].to == 0
}

// write inserts a row that isn't there, and updates or deletes one that is.
func (l *lateTable) write(t failer, id int64, remove bool) {
	t.Helper()
	op := kudufake.Insert(kudufake.Row{"id": id, "v": "new", "due": id})
	switch {
	case l.live(id) && remove:
		op = kudufake.Delete(kudufake.Row{"id": id})
	case l.live(id):
		op = kudufake.Update(kudufake.Row{"id": id, "v": "changed"})
	case remove:
		return
	}
	at, err := l.table.Apply(0, op)
	if err != nil {
		t.Fatal(err)
	}
	all := l.lives[id]
	switch {
	case !l.live(id):
		l.lives[id] = append(all, life{from: at})
	case remove:
		all[len(all)-1].to = at
	}
}

// commit makes what is published so far last.
func (l *lateTable) commit(t failer) {
	t.Helper()
	if l.openPoint == nil {
		return
	}
	pos, err := l.source.Position(*l.openPoint)
	if err != nil {
		t.Fatal(err)
	}
	text, err := pos.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if pos, err = offsets.ParsePosition(text); err != nil {
		t.Fatal(err)
	}
	l.stored = &pos
	l.topic = append(l.topic, l.open...)
	l.open, l.openPoint = nil, nil
}

// restart forgets everything but what was committed.
func (l *lateTable) restart(t failer) {
	t.Helper()
	l.open, l.openPoint = nil, nil
	l.reader = &tabletReader{id: l.tablet, repairAt: time.Now().Add(time.Hour)}
	if l.stored == nil {
		return
	}
	err := l.source.restore(l.reader, *l.stored)
	if err == nil {
		err = l.source.restoreCovered(l.reader, *l.stored)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var errCrash = errors.New("crash")

// poll polls once. Row is called with each row before it is published, end after
// each batch; they say whether to commit or to crash there.
func (l *lateTable) poll(t failer, row, end func() (commit, crash bool)) {
	t.Helper()
	l.run(t, row, end, l.pollWith)
}

// run has a way of polling hand out batches.
func (l *lateTable) run(t failer, row, end func() (commit, crash bool), how func(ctx context.Context, emit func(*batch) bool) (more bool, err error)) {
	t.Helper()
	if err := l.attempt(t, row, end, how); err != nil {
		t.Fatal(err)
	}
}

// attempt is a run that may fail, and then is over as by a crash.
func (l *lateTable) attempt(t failer, row, end func() (commit, crash bool), how func(ctx context.Context, emit func(*batch) bool) (more bool, err error)) error {
	t.Helper()
	ctx, crash := context.WithCancelCause(context.Background())
	defer crash(nil)
	step := func(ask func() (bool, bool)) bool {
		commit, dies := ask()
		if commit {
			l.commit(t)
		}
		if dies {
			crash(errCrash)
		}
		return !dies
	}
	emit := func(b *batch) bool {
		if b.end != nil {
			l.openPoint = b.end
			return step(end)
		}
		for i := range b.published() {
			if !step(row) {
				return false
			}
			at := b.row(i)
			id := b.rows.Column(0).Int64(at)
			if !l.thereAt(id, b.snapshot) {
				t.Fatalf("row %d is published as of %s, when it wasn't there", id, b.snapshot)
			}
			l.open = append(l.open, publication{id, b.snapshot, b.late, l.mark(b, at)})
			if l.emitted != nil {
				l.emitted(t, b, at)
			}
			pt := b.pointAt(at)
			l.openPoint = &pt
		}
		pt := b.pointAt(b.rows.NumRows() - 1)
		l.openPoint = &pt
		return step(end)
	}
	_, err := how(ctx, emit)
	if context.Cause(ctx) != nil {
		l.restart(t)
		return nil
	}
	if err != nil {
		l.restart(t)
	}
	return err
}

// mark is the order key up to which rows are published once this one is.
func (l *lateTable) mark(b *batch, row int) string {
	return max(string(l.reader.hwm), string(b.order.appendKey(nil, b.rows, row)))
}

func (l *lateTable) pollWith(ctx context.Context, emit func(*batch) bool) (more bool, err error) {
	all := &tabletReader{id: "all"}
	switch whole := []*tabletReader{l.reader}; {
	case l.source.read.plan.order.prefix && l.merged:
		return (&mergePoller{l.source.read, whole}).poll(ctx, all, emit)
	case l.source.read.plan.order.prefix:
		return (&prefixPoller{l.source.read}).poll(ctx, l.reader, emit)
	case l.merged:
		return (&sortedPoller{l.source.read, l.sorting(), whole}).poll(ctx, all, emit)
	}
	return (&sortedPoller{l.source.read, l.sorting(), nil}).poll(ctx, l.reader, emit)
}

// sorting is of the least memory there is.
func (l *lateTable) sorting() sorting { return sorting{budget: extsort.NewBudget(0)} }

func (l *lateTable) thereAt(id int64, at kudu.Timestamp) bool {
	return slices.ContainsFunc(l.lives[id], func(f life) bool { return f.from < at && (f.to == 0 || at <= f.to) })
}

func never() (bool, bool) { return false, false }

// settle polls, repairs and commits until nothing more comes.
func (l *lateTable) settle(t failer) {
	t.Helper()
	for range 3 {
		l.reader.repairAt = time.Time{}
		l.poll(t, never, never)
	}
	l.commit(t)
}

// check compares the topic with the history: of each row that is there at the
// end the present life is published, and no life is published twice.
func (l *lateTable) check(t failer) {
	t.Helper()
	times := make(map[int64][]kudu.Timestamp)
	for _, p := range l.topic {
		times[p.id] = append(times[p.id], p.at)
	}
	for _, id := range slices.Sorted(maps.Keys(l.lives)) {
		lives, at := l.lives[id], times[id]
		if l.live(id) && len(at) == 0 {
			t.Fatalf("row %d is there since %s, but isn't published", id, lives[len(lives)-1].from)
		}
		for i := 1; i < len(at); i++ {
			deleted := slices.ContainsFunc(lives, func(f life) bool { return f.to != 0 && at[i-1] <= f.to && f.to < at[i] })
			if !deleted {
				t.Fatalf("row %d is published as of %s and again as of %s, and wasn't deleted in between", id, at[i-1], at[i])
			}
		}
	}
}

// Rows come, change and go in any order at any time, also in the middle of scans
// and repairs; the task commits and crashes anywhere; leaders are deposed without
// noticing.
func TestEachRowIsPublishedOnceHoweverLateItComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLateTable(t, guardBarrier)
		defer l.close()
		l.merged = rapid.Bool().Draw(t, "order.scope table")
		keys := rapid.Int64Range(0, rapid.SampledFrom([]int64{12, 60, 400}).Draw(t, "keys"))
		ids, remove := rapid.SliceOfN(keys, 1, 40), rapid.IntRange(0, 4)
		write := func() {
			for _, id := range ids.Draw(t, "ids") {
				l.write(t, id, remove.Draw(t, "remove") == 0)
			}
		}
		// dice are drawn once, not for each row: a row is an event in 1 of so many.
		anywhere := func(name string, n int) func() (bool, bool) {
			at, what := rapid.IntRange(1, n).Draw(t, name), rapid.IntRange(0, 3).Draw(t, name+" what")
			return func() (commit, crash bool) {
				if at--; at != 0 {
					return false, false
				}
				if what == 0 {
					write()
				}
				return what == 1 || what == 3, what >= 2
			}
		}
		growing := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(*rapid.T) { write() },
			"write in order": func(*rapid.T) {
				for range 5 {
					growing++
					if !l.live(growing) {
						l.write(t, growing, false)
					}
				}
			},
			"poll": func(*rapid.T) {
				l.poll(t, anywhere("row", 60), anywhere("end", 4))
			},
			"poll on": func(*rapid.T) { l.poll(t, never, never) },
			"repair": func(*rapid.T) {
				l.reader.repairAt = time.Time{}
				l.poll(t, anywhere("row", 20), anywhere("end", 4))
			},
			"commit": func(*rapid.T) { l.commit(t) },
			"crash":  func(*rapid.T) { l.restart(t) },
			"depose": func(*rapid.T) {
				_ = l.cluster.Thaw(l.tablet)
				to := l.cluster.TabletServer(rapid.IntRange(0, 2).Draw(t, "leader"))
				_ = l.cluster.DeposeLeader(l.tablet, to) // refused if it leads already
			},
			"heal": func(*rapid.T) { _ = l.cluster.Thaw(l.tablet) },
		})
		l.settle(t)
		l.check(t)
	})
}

// story drives a table by hand.
func story(t *testing.T, guard string) *lateTable {
	t.Helper()
	l := newLateTable(t, guard)
	t.Cleanup(l.close)
	return l
}

func (l *lateTable) published() string {
	var all []string
	for _, p := range l.topic {
		mark := ""
		if p.late {
			mark = "late "
		}
		all = append(all, fmt.Sprintf("%s%d", mark, p.id))
	}
	return fmt.Sprint(all)
}

func (l *lateTable) want(t *testing.T, want ...string) {
	t.Helper()
	l.commit(t)
	if got := l.published(); got != fmt.Sprint(want) {
		t.Errorf("published %v, want %v", got, want)
	}
}

func TestRepairPublishesLateRowsAndNothingElse(t *testing.T) {
	for _, guard := range []string{guardBarrier, guardLag, guardNone} {
		t.Run(guard, func(t *testing.T) {
			l := story(t, guard)
			pass := func() {
				if guard == guardLag {
					l.cluster.Advance(3 * time.Second)
				}
			}
			poll := func() { pass(); l.poll(t, never, never); l.poll(t, never, never) }
			repair := func() { poll(); l.reader.repairAt = time.Time{}; poll() }
			for id := int64(10); id <= 50; id += 10 {
				l.write(t, id, false)
			}
			poll()
			l.write(t, 15, false) // late
			l.write(t, 60, false) // not: above, and found by the next scan
			l.write(t, 20, false) // an update
			l.write(t, 30, true)  // a delete
			l.write(t, 16, false)
			l.write(t, 16, true) // gone before anybody looks
			poll()
			l.write(t, 55, false) // late: behind 50, below 60
			l.write(t, 60, false) // an update
			l.want(t, "10", "20", "30", "40", "50", "60")
			l.restart(t) // what to repair is stored
			repair()
			l.want(t, "10", "20", "30", "40", "50", "60", "late 15", "late 55")
			l.write(t, 30, false) // deleted when it was repaired last: a new row
			repair()
			l.want(t, "10", "20", "30", "40", "50", "60", "late 15", "late 55", "late 30")
		})
	}
}

func TestMainScanAtADeposedLeaderLosesNothing(t *testing.T) {
	l := story(t, guardBarrier)
	for id := int64(10); id <= 40; id += 10 {
		l.write(t, id, false)
	}
	l.poll(t, never, never)
	var old, other *kudufake.Server
	for i := range l.cluster.NumTabletServers() {
		s := l.cluster.TabletServer(i)
		if s.Addr() == l.leader(t) {
			old = s
		} else {
			other = s
		}
	}
	l.write(t, 60, false)
	if err := l.cluster.DeposeLeader(l.tablet, other); err != nil {
		t.Fatal(err)
	}
	// The client still asks the old leader, which shows 60 but not 45 and 50.
	l.write(t, 45, false)
	l.write(t, 50, false)
	l.poll(t, never, never)
	l.reader.repairAt = time.Time{}
	l.poll(t, never, never)
	l.commit(t)
	l.check(t)
	if old.Addr() == l.leader(t) {
		t.Error("the old leader leads again")
	}
}

// A scan that ends before its time would show some of the rows, and the others would be
// taken for published from then on.
func TestScanThatBreaksLosesNoRow(t *testing.T) {
	for cut := range 6 {
		t.Run(fmt.Sprintf("call %d", cut), func(t *testing.T) {
			l := story(t, guardBarrier)
			for id := int64(10); id <= 3000; id += 10 {
				l.write(t, id, false)
			}
			calls := 0
			l.cluster.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
				if !c.Opens() && !c.Continues() {
					return kudufake.Decision{}
				}
				calls++
				return kudufake.Decision{CutAfter: calls == 1+cut}
			})
			settle := func() {
				calls = 0
				for range 5 {
					l.reader.repairAt = time.Time{}
					if err := l.attempt(t, never, never, l.pollWith); err != nil && !kudu.Retriable(err) {
						t.Fatal(err)
					}
					l.commit(t)
				}
				if calls <= cut {
					t.Fatalf("%d calls, too few", calls)
				}
				l.check(t)
			}
			settle()
			for id := int64(15); id <= 3000; id += 10 {
				l.write(t, id, false)
			}
			settle()
		})
	}
}

func (l *lateTable) leader(t *testing.T) string {
	t.Helper()
	_, addr, err := l.source.read.table.BarrierAt(t.Context(), l.tablet)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestRepairBeyondKudusHistoryFailsWithTheRemedy(t *testing.T) {
	l := story(t, guardBarrier)
	l.write(t, 1, false)
	l.poll(t, never, never)
	l.cluster.Advance(8 * 24 * time.Hour)
	l.reader.repairAt = time.Time{}
	_, err := l.pollWith(t.Context(), func(*batch) bool { return true })
	if !fatal(err) || !errors.Is(err, kudu.ErrSnapshotTooOld) {
		t.Errorf("got %v", err)
	}
}

func TestRepairChoosesRowsByWhere(t *testing.T) {
	l := newLateTable(t, guardBarrier)
	t.Cleanup(l.close)
	l.cfg.Where = "v <> 'changed' AND id < 60"
	plan, err := planRead(l.cfg, l.source.read.table.Schema())
	if err != nil {
		t.Fatal(err)
	}
	l.source.read.plan = plan
	for id := int64(10); id <= 70; id += 10 {
		l.write(t, id, false)
	}
	l.poll(t, never, never)
	l.write(t, 15, false)
	l.write(t, 25, false)
	l.write(t, 25, false) // no longer meets it
	l.write(t, 65, false) // never did
	l.settle(t)
	l.want(t, "10", "20", "30", "40", "50", "late 15")
}

func TestProgressOfRepairsThatFindNothingIsStoredInTheEnd(t *testing.T) {
	l := story(t, guardBarrier)
	l.write(t, 1, false)
	l.poll(t, never, never)
	l.commit(t)
	before := *l.stored
	l.settle(t)
	if before.Covered[0].Snapshot != l.stored.Covered[0].Snapshot {
		t.Errorf("it was stored at once")
	}
	l.reader.unsaved = time.Now().Add(-2 * saveAfter)
	l.settle(t)
	if len(l.stored.Covered) != 1 || l.stored.Covered[0].Snapshot <= before.Covered[0].Snapshot {
		t.Errorf("%v became %v", before.Covered, l.stored.Covered)
	}
}

func TestRepairTakenUpLaterBeginsThere(t *testing.T) {
	l := story(t, guardBarrier)
	for id := int64(10); id <= 50; id += 10 {
		l.write(t, id, false)
	}
	l.poll(t, never, never)
	l.write(t, 15, false)
	l.commit(t)
	l.stored.Covered = nil // as late.rows: ignore stores it
	l.restart(t)
	l.poll(t, never, never)
	l.write(t, 25, false)
	l.settle(t)
	l.want(t, "10", "20", "30", "40", "50", "late 25")
	l.source.read.late.repair = false
	l.source.initial = nil
	l.restart(t)
	if n := len(l.source.initial); n != 1 || l.source.initial[0].pos.Covered != nil {
		t.Errorf("with late.rows: ignore %d positions are stored, want 1 that covers nothing", n)
	}
}

// A tablet whose only row has the empty key has a high-water mark all the same.
func TestCoverageHoldsTheEmptyKey(t *testing.T) {
	c := coverage(nil).extend([]byte{}, 5).extend([]byte("b"), 7)
	if got := c.older(nil, 9); len(got) != 2 || got[0].at != 5 {
		t.Errorf("got %v", got)
	}
	c = c.raise(nil, []byte{}, 9)
	if len(c) != 2 || c[0].at != 9 || c[1].at != 7 {
		t.Errorf("got %v", c)
	}
	if c = c.raise([]byte{}, []byte("b"), 9); len(c) != 1 || c[0].at != 9 {
		t.Errorf("got %v", c)
	}
}

func TestTheEmptyKeyIsAPosition(t *testing.T) {
	schema, err := kudu.NewSchema([]kudu.Column{{Name: "id", Type: kudu.String, Key: true}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOrder([]string{"id"}, schema, []string{"id"})
	if err != nil {
		t.Fatal(err)
	}
	rows := kudu.NewBatchBuilder(schema)
	if err := rows.Append(""); err != nil {
		t.Fatal(err)
	}
	key := o.appendKey(nil, rows.Batch(), 0)
	var pos offsets.Position
	if err := o.store(&pos, key); err != nil {
		t.Fatal(err)
	}
	restored, err := o.restore(pos)
	if err != nil || key == nil || restored == nil || len(restored) > 0 {
		t.Errorf("the empty key became %v, and %v, %v after a restart: nil is before all rows", key, restored, err)
	}
}

// Raising against a map of all places.
func TestCoverageKnowsEachPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c coverage
		var model []kudu.Timestamp // by place
		place := func(i int) []byte { return []byte{byte(i)} }
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			at := kudu.Timestamp(rapid.IntRange(1, 9).Draw(t, "at"))
			if len(model) == 0 || rapid.Bool().Draw(t, "extend") {
				for range rapid.IntRange(1, 5).Draw(t, "places") {
					model = append(model, at)
				}
				c = c.extend(place(len(model)-1), at)
			} else {
				from, to := rapid.IntRange(-1, len(model)-1).Draw(t, "after"), rapid.IntRange(0, len(model)-1).Draw(t, "upTo")
				var after []byte
				if from >= 0 {
					after = place(from)
				}
				c = c.raise(after, place(to), at)
				for i := from + 1; i <= to; i++ {
					model[i] = max(model[i], at)
				}
			}
			for i, want := range model {
				n, _ := slices.BinarySearchFunc(c, place(i), func(s stretch, key []byte) int { return slices.Compare(s.upTo, key) })
				if c[n].at != want {
					t.Fatalf("place %d is covered at %d, want %d: %v", i, c[n].at, want, c)
				}
			}
			if !slices.Equal(c[len(c)-1].upTo, place(len(model)-1)) {
				t.Fatalf("it ends at %v of %d", c[len(c)-1].upTo, len(model))
			}
		}
	})
}
