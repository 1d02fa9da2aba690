package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// movingTable is a lateTable whose streaming key is the column due, so that an
// update can move a row.
type movingTable struct {
	*lateTable
	moves map[int64][]move // by id
}

type move struct {
	due int64
	at  kudu.Timestamp
}

func newMovingTable(t failer, guard string) *movingTable {
	t.Helper()
	l := &movingTable{lateTable: newLateTable(t, guard, "due"), moves: make(map[int64][]move)}
	l.emitted = l.emits
	return l
}

// put inserts a row, or moves it; it changes another column too.
func (l *movingTable) put(t failer, id, due int64) {
	t.Helper()
	row := kudufake.Row{"id": id, "due": due, "v": fmt.Sprint(due)}
	op := kudufake.Update(row)
	if !l.live(id) {
		op = kudufake.Insert(row)
	}
	at, err := l.table.Apply(0, op)
	if err != nil {
		t.Fatal(err)
	}
	if !l.live(id) {
		l.lives[id] = append(l.lives[id], life{from: at})
	}
	l.moves[id] = append(l.moves[id], move{due, at})
}

// key is a row's order key.
func (l *movingTable) key(t failer, due, id int64) string {
	t.Helper()
	key, err := kudu.EncodeKey(l.source.read.plan.order.columns, []any{due, id})
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// dueAt is the column of a row as of a snapshot.
func (l *movingTable) dueAt(id int64, at kudu.Timestamp) (due int64) {
	for _, m := range l.moves[id] {
		if m.at < at {
			due = m.due
		}
	}
	return due
}

// emits checks a row on its way.
func (l *movingTable) emits(t failer, b *batch, row int) {
	t.Helper()
	id, key := b.rows.Column(0).Int64(row), string(b.order.appendKey(nil, b.rows, row))
	if due := l.dueAt(id, b.snapshot); key != l.key(t, due, id) {
		t.Fatalf("row %d is published as of %s, but with other values than then", id, b.snapshot)
	}
	if below := l.reader.hwm != nil && key <= string(l.reader.hwm); below != b.late {
		t.Fatalf("row %d is late: %v; is it below the mark: %v", id, b.late, below)
	}
}

// check compares the topic with the history: each row that is there has been
// published, and twice only if it was deleted or above the mark in between.
func (l *movingTable) check(t failer) {
	t.Helper()
	all := make(map[int64][]publication)
	for _, p := range l.topic {
		all[p.id] = append(all[p.id], p)
	}
	for _, id := range slices.Sorted(maps.Keys(l.lives)) {
		if l.live(id) && len(all[id]) == 0 {
			t.Fatalf("row %d is there, but isn't published", id)
		}
		moves := l.moves[id]
		if due := moves[len(moves)-1].due; l.live(id) && l.key(t, due, id) > string(l.reader.hwm) {
			t.Fatalf("row %d lies above the mark", id)
		}
		for i := 1; i < len(all[id]); i++ {
			before, again := all[id][i-1], all[id][i]
			deleted := slices.ContainsFunc(l.lives[id], func(f life) bool { return f.to != 0 && before.at <= f.to && f.to < again.at })
			above := slices.ContainsFunc(moves, func(m move) bool {
				return before.at <= m.at && m.at < again.at && l.key(t, m.due, id) > before.mark
			})
			if !deleted && !above {
				t.Fatalf("row %d is published as of %s and again as of %s, and was neither deleted nor above the mark in between", id, before.at, again.at)
			}
		}
	}
}

// repair repairs, without a main scan.
func (l *movingTable) repair(t failer, row func() (commit, crash bool)) {
	t.Helper()
	if l.reader.covered == nil {
		return
	}
	p := &sortedPoller{l.source.read, l.sorting(), nil}
	l.run(t, row, never, func(ctx context.Context, emit func(*batch) bool) (bool, error) {
		return false, p.repairAll(ctx, l.reader, p, emit)
	})
}

// stopAt has the main scan leave rows from there on.
func (l *movingTable) stopAt(t failer, due int64) {
	t.Helper()
	var err error
	if l.source.read.plan.stop.key, err = l.source.read.plan.order.bound([]any{due}); err != nil {
		t.Fatal(err)
	}
}

// Rows come, change, move and go, as in TestEachRowIsPublishedOnceHoweverLateItComes.
func TestEachRowIsPublishedOnceHoweverItMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newMovingTable(t, guardBarrier)
		defer l.close()
		l.merged = rapid.Bool().Draw(t, "order.scope table")
		size := rapid.SampledFrom([]int64{6, 60, 400}).Draw(t, "keys")
		ids, dues, kinds := rapid.SliceOfN(rapid.Int64Range(0, size), 1, 30), rapid.Int64Range(0, size), rapid.IntRange(0, 5)
		write := func() {
			for _, id := range ids.Draw(t, "ids") {
				switch kind := kinds.Draw(t, "kind"); {
				case l.live(id) && kind == 0:
					l.write(t, id, true)
				case l.live(id) && kind == 1:
					l.write(t, id, false)
				default:
					l.put(t, id, dues.Draw(t, "due"))
				}
			}
		}
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
		growing := size
		t.Repeat(map[string]func(*rapid.T){
			"write": func(*rapid.T) { write() },
			"write in order": func(*rapid.T) {
				for range 3 {
					growing++
					l.put(t, ids.Draw(t, "ids")[0], growing)
				}
			},
			"poll":    func(*rapid.T) { l.poll(t, anywhere("row", 60), anywhere("end", 4)) },
			"poll on": func(*rapid.T) { l.poll(t, never, never) },
			"repair": func(*rapid.T) {
				l.reader.repairAt = time.Time{}
				l.poll(t, anywhere("row", 20), anywhere("end", 4))
			},
			"repair alone": func(*rapid.T) { l.repair(t, never) },
			"repair and die": func(*rapid.T) {
				at := rapid.IntRange(1, 10).Draw(t, "row")
				l.repair(t, func() (bool, bool) { at--; return at == 0, at == 0 })
			},
			"stop there": func(*rapid.T) { l.stopAt(t, dues.Draw(t, "stop")) },
			"go on":      func(*rapid.T) { l.source.read.plan.stop.key = nil },
			"commit":     func(*rapid.T) { l.commit(t) },
			"crash":      func(*rapid.T) { l.restart(t) },
			"depose": func(*rapid.T) {
				_ = l.cluster.Thaw(l.tablet)
				to := l.cluster.TabletServer(rapid.IntRange(0, 2).Draw(t, "leader"))
				_ = l.cluster.DeposeLeader(l.tablet, to) // refused if it leads already
			},
			"heal": func(*rapid.T) { _ = l.cluster.Thaw(l.tablet) },
		})
		l.source.read.plan.stop.key = nil
		l.settle(t)
		l.check(t)
	})
}

func movingStory(t *testing.T, guard string) *movingTable {
	t.Helper()
	l := newMovingTable(t, guard)
	t.Cleanup(l.close)
	return l
}

// turn polls, repairs or not, and polls.
func (l *movingTable) turn(t *testing.T, repair bool) {
	t.Helper()
	if l.source.read.late.guard == guardLag {
		l.cluster.Advance(3 * time.Second)
	}
	l.poll(t, never, never)
	l.poll(t, never, never) // knows the time
	if repair {
		l.reader.repairAt = time.Time{}
		l.poll(t, never, never)
		l.reader.repairAt = time.Now().Add(time.Hour)
	}
}

func TestRepairByAnyKeyPublishesWhatCameBelowTheMark(t *testing.T) {
	for _, guard := range []string{guardBarrier, guardLag, guardNone} {
		for _, merged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s merged=%v", guard, merged), func(t *testing.T) {
				l := movingStory(t, guard)
				l.merged = merged
				for id := int64(1); id <= 5; id++ {
					l.put(t, 6-id, 10*(6-id))
				}
				l.turn(t, false)
				l.want(t, "1", "2", "3", "4", "5")
				l.put(t, 6, 15)       // late
				l.put(t, 7, 10)       // late, behind row 1 with the same key
				l.put(t, 0, 50)       // late: before row 5 with the same key
				l.put(t, 9, 50)       // not: behind it
				l.put(t, 8, 60)       // not
				l.write(t, 2, false)  // an update
				l.write(t, 3, true)   // a delete
				l.put(t, 4, 5)        // moved below the mark
				l.put(t, 5, 70)       // moved above it: as good as new
				l.put(t, 11, 20)      // late, and
				l.write(t, 11, true)  // gone before anybody looks
				l.turn(t, false)      // they are above the mark of that time
				l.write(t, 11, false) // late, and
				l.put(t, 11, 90)      // moved on before anybody looks
				l.want(t, "1", "2", "3", "4", "5", "9", "8", "5")
				l.restart(t) // what to repair is stored
				l.turn(t, true)
				want := []string{"1", "2", "3", "4", "5", "9", "8", "5", "11", "late 7", "late 6", "late 0"}
				l.want(t, want...)
				l.put(t, 3, 25)  // deleted when it was repaired last: a new row
				l.put(t, 6, 45)  // moved below the mark
				l.put(t, 11, 15) // likewise
				l.turn(t, true)
				l.turn(t, true)
				l.want(t, append(want, "late 3")...)
			})
		}
	}
}

// Whether a row was there says nothing: it is what lay below the mark that has
// been published.
func TestRowThatCameFromAboveTheMarkIsLate(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.put(t, 1, 10)
	l.put(t, 2, 20)
	l.turn(t, false)
	l.stopAt(t, 100)
	l.put(t, 3, 200)
	l.put(t, 4, 200)
	l.put(t, 5, 200)
	l.poll(t, never, never)
	l.repair(t, never) // sees them above the mark
	l.poll(t, never, never)
	l.want(t, "1", "2")
	l.put(t, 3, 12) // it was there, and nobody has published it
	l.put(t, 4, 300)
	l.put(t, 1, 21) // published, and not seen above the mark
	l.put(t, 1, 9)
	l.repair(t, never)
	l.put(t, 3, 13)
	l.repair(t, never)
	l.restart(t) // nothing of it is committed
	l.repair(t, never)
	l.repair(t, never)
	l.want(t, "1", "2", "late 3")
	l.source.read.plan.stop.key = nil
	l.turn(t, true)
	l.want(t, "1", "2", "late 3", "5", "4")
}

// Rows move from stretch to stretch, some of which are repaired, some not.
func TestRowsThatMoveBelowTheMarkAreNotPublishedAgain(t *testing.T) {
	l := movingStory(t, guardBarrier)
	var want []string
	for id := int64(1); id <= 6; id++ {
		l.put(t, id, 10*id)
		l.turn(t, false)
		want = append(want, fmt.Sprint(id))
	}
	if len(l.reader.covered) != 6 {
		t.Fatalf("%d stretches", len(l.reader.covered))
	}
	l.put(t, 1, 35)
	l.put(t, 6, 5)
	l.put(t, 4, 11)
	l.put(t, 100, 36)
	l.turn(t, true)
	want = append(want, "late 100")
	if len(l.reader.covered) != 1 {
		t.Errorf("%d stretches after a repair", len(l.reader.covered))
	}
	for id := int64(7); id <= 9; id++ {
		l.put(t, id, 10*id)
		l.turn(t, false)
		want = append(want, fmt.Sprint(id))
	}
	l.put(t, 100, 75)
	l.put(t, 9, 36)
	l.put(t, 7, 1)
	l.turn(t, true)
	l.put(t, 1, 80)
	l.put(t, 9, 81)
	l.put(t, 7, 82)
	l.turn(t, true)
	l.want(t, want...)
}

// The worker dies in the middle of a repair, and before the next one rows move
// from what it has done to what it hasn't, and back.
func TestRepairThatWasKilledIsEndedAtItsSnapshot(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.put(t, 1, 10)
	l.put(t, 2, 20)
	l.turn(t, false)
	for id := int64(11); id <= 15; id++ {
		l.put(t, id, id)
	}
	rows := 0
	l.repair(t, func() (commit, crash bool) { rows++; return rows == 3, rows == 4 })
	want := []string{"1", "2", "late 11", "late 12"}
	l.want(t, want...)
	if p := l.stored.Repair; p == nil || string(p.Key) != `{"due":12}` || string(p.PrimaryKey) != `{"id":12}` {
		t.Fatalf("stored is the repair %+v", p)
	}
	l.put(t, 11, 16) // published, and now behind where the repair is
	l.put(t, 14, 9)  // not published, and now before it
	l.put(t, 13, 30) // not published, and now above the mark
	l.write(t, 15, true)
	l.put(t, 16, 8) // new
	l.turn(t, false)
	if l.commit(t); l.reader.repairing != nil || l.stored.Repair != nil {
		t.Error("the repair isn't ended")
	}
	// 13 is published as it was below the mark, and as it is above.
	want = append(want, "late 13", "late 14", "late 15", "late 16", "13")
	slices.Sort(want[4:])
	l.turn(t, true)
	l.commit(t)
	got := strings.Fields(strings.Trim(strings.ReplaceAll(l.published(), "late ", "late_"), "[]"))
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "_", " ")
	}
	slices.Sort(got[4:])
	if !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
	l.restart(t)
	l.turn(t, true)
	l.turn(t, true)
	if l.commit(t); len(l.topic) != len(want) {
		t.Errorf("more is published: %s", l.published())
	}
}

func TestManyStretchesAreRepairedToOne(t *testing.T) {
	l := movingStory(t, guardBarrier)
	most, n := 0, int64(2*mostStretches)
	for id := range n {
		l.reader.repaired, l.reader.repairTook = time.Now(), time.Minute // repairs take long
		l.put(t, id, 10*id)
		l.put(t, 1000+id, 10*id-15) // late
		l.poll(t, never, never)
		most = max(most, len(l.reader.covered))
	}
	if most != mostStretches+1 {
		t.Errorf("there were %d stretches, want %d", most, mostStretches+1)
	}
	for id := range int64(maxStretches + 1) {
		l.reader.repairTook = 0
		l.put(t, n+id, 10*(n+id))
		l.poll(t, never, never)
	}
	if len(l.reader.covered) > maxStretches {
		t.Errorf("%d stretches are left though repairs are quick", len(l.reader.covered))
	}
	l.settle(t)
	l.check(t)
	if want := 2*int(n) + maxStretches + 1; len(l.topic) != want {
		t.Errorf("%d rows are published, want %d", len(l.topic), want)
	}
}

func TestRepairByAnyKeyKeepsToWhereAndStart(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.cfg.Where = "v <> 'changed' AND due < 60"
	l.cfg.OffsetStartValues = map[string]string{"due": "10"}
	plan, err := planRead(l.cfg, l.source.read.table.Schema())
	if err != nil {
		t.Fatal(err)
	}
	l.source.read.plan = plan
	l.reader.from, l.reader.floor = plan.start.key, plan.start.key
	for id := int64(0); id <= 7; id++ {
		l.put(t, id, 10*id)
	}
	l.turn(t, true)
	l.want(t, "1", "2", "3", "4", "5")
	l.put(t, 15, 15)
	l.put(t, 25, 25)
	l.write(t, 25, false) // no longer meets where
	l.put(t, 9, 9)        // before the start
	l.put(t, 0, 12)       // was before it
	l.put(t, 7, 14)       // was left out by where; it has come below the mark
	l.turn(t, true)
	l.turn(t, true)
	l.want(t, "1", "2", "3", "4", "5", "late 0", "late 7", "late 15")
}

func TestSortedScanAtADeposedLeaderLosesNothing(t *testing.T) {
	l := movingStory(t, guardBarrier)
	for id := int64(1); id <= 4; id++ {
		l.put(t, id, 10*id)
	}
	l.poll(t, never, never)
	old := l.leader(t)
	var other *kudufake.Server
	for i := range l.cluster.NumTabletServers() {
		if s := l.cluster.TabletServer(i); s.Addr() != old {
			other = s
		}
	}
	l.put(t, 6, 60)
	if err := l.cluster.DeposeLeader(l.tablet, other); err != nil {
		t.Fatal(err)
	}
	// The client still asks the old leader, which shows 6 but neither of these.
	l.put(t, 5, 45)
	l.put(t, 4, 15)
	l.turn(t, true)
	l.commit(t)
	l.check(t)
	if old == l.leader(t) {
		t.Error("the old leader leads again")
	}
	l.want(t, "1", "2", "3", "4", "5", "6")
}

func TestIdleTabletIsNotWrittenTo(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.put(t, 1, 10)
	l.turn(t, false) // there are rows
	l.turn(t, false) // there may be more
	writes := l.cluster.Calls("Write")
	for range 5 {
		l.turn(t, false)
	}
	if n := l.cluster.Calls("Write") - writes; n != 0 {
		t.Errorf("%d barriers in 5 polls that found nothing", n)
	}
}

func TestRepairByAnyKeyBeyondKudusHistoryFailsWithTheRemedy(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.put(t, 1, 10)
	l.poll(t, never, never)
	l.cluster.Advance(8 * 24 * time.Hour)
	l.reader.repairAt = time.Time{}
	_, err := l.pollWith(t.Context(), func(*batch) bool { return true })
	if !fatal(err) || !errors.Is(err, kudu.ErrSnapshotTooOld) || !strings.Contains(err.Error(), "late.rows: ignore") {
		t.Errorf("got %v", err)
	}
}

func TestStoredRepairThatDoesNotFitIsRefused(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.put(t, 1, 10)
	l.turn(t, false)
	l.put(t, 2, 5)
	l.put(t, 3, 6)
	rows := 0
	l.repair(t, func() (commit, crash bool) { rows++; return rows == 2, rows == 2 })
	pos := *l.stored
	if pos.Repair == nil {
		t.Fatal("no repair is stored")
	}
	earlier := *pos.Repair
	earlier.Snapshot = 1
	pos.Repair = &earlier
	if err := l.source.restoreCovered(&tabletReader{hwm: l.reader.hwm}, pos); !fatal(err) || !strings.Contains(err.Error(), "earlier state") {
		t.Errorf("got %v", err)
	}
	prefix := newLateTable(t, guardBarrier)
	t.Cleanup(prefix.close)
	if err := prefix.source.restoreCovered(&tabletReader{hwm: []byte{1}}, *l.stored); !fatal(err) {
		t.Errorf("got %v", err)
	}
}

func TestWalksAndRepairsExcludeEachOther(t *testing.T) {
	l := movingStory(t, guardBarrier)
	l.cfg.Order = orderNone
	if _, err := planRead(l.cfg, l.source.read.table.Schema()); err == nil || !strings.Contains(err.Error(), "late.rows: order: none") {
		t.Errorf("with order: none: %v", err)
	}
	l.cfg.StreamingKey = []string{"id"} // such a key has no walks
	if _, err := planRead(l.cfg, l.source.read.table.Schema()); err != nil {
		t.Error(err)
	}
	l.put(t, 1, 10)
	pos := l.source.position()
	pos.Phase = phaseWalk
	w := &walk{snapshot: 1, after: []byte(l.key(t, 10, 1))[8:]}
	if err := l.source.read.plan.order.storeWalk(&pos, w); err != nil {
		t.Fatal(err)
	}
	tablets, err := l.source.read.table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = startOffsetSource(t.Context(), offsetOptions{
		reading: l.source.read, tablets: tablets, stored: map[string]offsets.Position{l.tablet: pos}, scope: scopeTablet, order: orderKey,
	})
	if !fatal(err) || !strings.Contains(err.Error(), "let it end with late.rows: ignore") {
		t.Errorf("in the middle of a walk: %v", err)
	}
}

// Raising a stretch by itself, as in repair.go, would forget rows: the check of
// these tests says so.
func TestNaiveRepairsOfRowsThatMoveAreCaught(t *testing.T) {
	story := func(t *testing.T, spoil func(l *movingTable)) string {
		l := movingStory(t, guardBarrier)
		for id := int64(1); id <= 3; id++ {
			l.put(t, 10+id, id)
			l.put(t, id, 10*id)
			l.turn(t, false)
		}
		l.put(t, 11, 25) // from the first stretch to another
		l.put(t, 4, 5)
		l.put(t, 5, 12)
		rows := 0
		l.repair(t, func() (commit, crash bool) { rows++; return rows == 4, rows == 4 })
		l.put(t, 4, 22) // from what is done to what isn't
		spoil(l)
		l.turn(t, true)
		l.turn(t, true)
		l.commit(t)
		return l.published()
	}
	right := fmt.Sprint([]string{"11", "1", "2", "3", "late 12", "late 13", "late 4", "late 5"})
	if got := story(t, func(*movingTable) {}); got != right {
		t.Errorf("published %s, want %s", got, right)
	}
	for name, spoil := range map[string]func(l *movingTable){
		"forgetting how far a repair has come": func(l *movingTable) { l.reader.repairing = nil },
		"raising what a repair has done": func(l *movingTable) {
			l.reader.covered = l.reader.covered.raise(nil, l.reader.repairing.upTo, l.reader.repairing.at)
			l.reader.repairing = nil
		},
		"raising a stretch": func(l *movingTable) {
			l.reader.covered = l.reader.covered.raise(nil, l.reader.covered[0].upTo, l.reader.repairing.at)
			l.reader.repairing = nil
		},
	} {
		if got := story(t, spoil); got == right {
			t.Errorf("%s is taken for right", name)
		}
	}
}

func TestStretchesOfSortedRowsAreFoundByTheirPlaces(t *testing.T) {
	c := coverage(nil).extend([]byte("b"), 5).extend([]byte("d"), 3).extend([]byte("f"), 9)
	if oldest, latest := c.span(); oldest != 3 || latest != 9 {
		t.Errorf("from %d to %d", oldest, latest)
	}
	parts := c.parts()
	if len(parts) != 3 || parts[0].after != nil || !bytes.Equal(parts[1].after, []byte("b")) || !bytes.Equal(parts[2].upTo, []byte("f")) {
		t.Errorf("got %v", parts)
	}
}
