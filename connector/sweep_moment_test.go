package connector

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// atWrite has fn run when a sweep's write reaches its server, before it is
// handled, the first time.
func (b *sweepBench) atWrite(fn func() kudufake.Decision) {
	var once sync.Once
	b.kudu.Control("Write", func(c *kudufake.Call) (d kudufake.Decision) {
		if !c.Barrier() {
			once.Do(func() { d = fn() })
		}
		return d
	})
}

func past() time.Time { return time.Now().Add(-time.Hour) }

func (b *sweepBench) markedRecords() (n int) {
	for _, r := range b.published() {
		if r.changed {
			n++
		}
	}
	return n
}

func TestRowChangedInTheMomentOfItsSweepIsPublishedAnew(t *testing.T) {
	b := newSweepBench(t, 1)
	l := b.insert(past(), 1)
	b.atWrite(func() kudufake.Decision {
		if !b.update(l) {
			t.Error("the row was swept before its sweep")
		}
		return kudufake.Decision{}
	})
	b.drain()
	b.verify()
	if got := b.published(); len(got) != 2 || got[0].changed || !got[1].changed {
		t.Errorf("published %+v, want the row, and its last version with the header", got)
	}
}

func TestRowChangedBeforeTheWorkerDiedBetweenSweepAndAuditIsPublishedAnew(t *testing.T) {
	for name, trust := range map[string]time.Duration{"by the server's memory": 0, "by the history": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			b := newSweepBench(t, 1)
			b.trust = trust
			l := b.insert(past(), 2)
			b.add(30, past())
			err := b.crash(func(kill func()) func() {
				return b.kudu.Control("Write", func(c *kudufake.Call) kudufake.Decision {
					for _, tablet := range b.table.Tablets() {
						if !c.Barrier() && tablet.ID == c.Tablet() && b.update(l) {
							defer kill()
							return kudufake.Decision{Drop: true} // carried out, and never answered
						}
					}
					return kudufake.Decision{}
				})
			}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if trust != 0 {
				b.kudu.ForgetWrites()
			}
			b.drain()
			b.verify()
		})
	}
}

// dieAtLateSweep runs the task until its sweep of the tablet that has l, which comes
// that much late. The sweep is carried out, with before just before it, and
// forgotten.
func (b *sweepBench) dieAtLateSweep(l *rowLife, late time.Duration, before func()) {
	b.t.Helper()
	tablet := b.tabletOf(l)
	var once sync.Once
	err := b.crash(func(kill func()) func() {
		return b.kudu.Control("Write", func(c *kudufake.Call) (d kudufake.Decision) {
			if !c.Barrier() && c.Tablet() == tablet {
				once.Do(func() {
					b.kudu.Advance(late)
					before()
					kill()
					d.Drop = true
				})
			}
			return d
		})
	}, time.Minute)
	if err != nil {
		b.t.Fatal(err)
	}
	b.kudu.ForgetWrites()
}

// finish runs the task until there is no journal, and tells what became of the rows.
func (b *sweepBench) finish() SweepCounts {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	defer cancel(nil)
	late := time.AfterFunc(time.Minute, func() { cancel(errRevoked) })
	defer late.Stop()
	var counts SweepCounts
	if err := b.run(ctx, func(c SweepCounts) {
		counts.add(c)
		if b.journals() == 0 {
			cancel(errRevoked)
		}
	}); err != nil {
		b.t.Error(err)
	}
	return counts
}

func oneTablet() kudufake.TableSpec {
	spec := queueSpec()
	spec.Hash = nil
	return spec
}

// Most of the time since the rows were read is before the history that Kudu keeps,
// but not their sweep.
func TestSweepWithinTheHistoryIsAuditedThoughItsRowsWereReadBefore(t *testing.T) {
	for _, away := range []time.Duration{time.Minute, 12 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			b := newSweepBenchOn(t, 1, kudufake.Options{HistoryMaxAge: 15 * time.Minute}, oneTablet())
			l := b.insert(past(), 2)
			b.dieAtLateSweep(l, 20*time.Minute, func() { b.update(l) })
			b.kudu.Advance(away)
			b.drain()
			b.verify()
		})
	}
}

func TestOnlyRowsThatWentBeforeTheHistoryAreNotAudited(t *testing.T) {
	b := newSweepBenchOn(t, 1, kudufake.Options{HistoryMaxAge: 15 * time.Minute}, oneTablet())
	var early []*rowLife
	for id := range int64(5) { // the first of the journal
		early = append(early, b.insert(past().Add(-time.Minute), id))
	}
	l := b.insert(past(), 1000)
	b.ids = 1000
	b.add(9, past())
	b.dieAtLateSweep(l, 0, func() {
		for _, e := range early {
			b.remove(e)
		}
		b.kudu.Advance(20 * time.Minute)
		b.update(l)
	})
	b.kudu.Advance(time.Minute)
	if got, want := b.finish(), (SweepCounts{Gone: 5, Again: 1, Swept: 9}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	b.verify()
}

func TestRowsThatWentBeforeTheHistoryAreNotLookedForOneByOne(t *testing.T) {
	b := newSweepBenchOn(t, 1, kudufake.Options{HistoryMaxAge: 15 * time.Minute}, oneTablet())
	b.cfg.SweepBatchRows = 1000
	l := b.insert(past(), 1000)
	b.add(500, past())
	b.dieAtLateSweep(l, 0, func() {})
	b.kudu.Advance(20 * time.Minute)
	before := b.kudu.Calls("Scan")
	if got, want := b.finish(), (SweepCounts{Gone: 501}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if n := b.kudu.Calls("Scan") - before; n > 250 {
		t.Errorf("%d scans for 501 rows", n)
	}
}

func TestRowInsertedAnewUnderASweptKeyIsPublishedAgain(t *testing.T) {
	b := newSweepBench(t, 1)
	l := b.insert(past(), 1)
	b.drain()
	b.insert(l.due, 1)
	b.drain()
	b.verify()
	if got := len(b.published()); got != 2 {
		t.Errorf("%d records, want 2", got)
	}
}

func TestRowInsertedAnewWhileItsFirstLifeIsInTheJournalIsNeitherLostNorSweptUnpublished(t *testing.T) {
	for _, when := range []string{"before the look", "before the write"} {
		t.Run(when, func(t *testing.T) {
			b := newSweepBench(t, 1)
			l := b.insert(past(), 1)
			again := sync.OnceFunc(func() {
				if b.remove(l) {
					b.insert(l.due, 1)
				}
			})
			if when == "before the write" {
				b.atWrite(func() kudufake.Decision { again(); return kudufake.Decision{} })
			} else {
				var over atomic.Bool
				// Two of the passes over two tablets, each with the server's time
				// first, are over with the first look of the sweeper.
				b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
					// Asking Kafka ends with the row's second life: the last scans may be
					// handled when the test has ended.
					if c.Opens() && !over.Load() && b.journals() > 0 {
						again()
						over.Store(true)
					}
					return kudufake.Decision{}
				})
			}
			b.drain()
			b.verify()
			if got := len(b.published()); got != 2 {
				t.Errorf("%d records, want 2", got)
			}
		})
	}
}

func TestJournalThatCannotBeSweptFailsTheTaskAndStays(t *testing.T) {
	b := newSweepBench(t, 1)
	b.add(10, past())
	remove := b.kudu.Control("Write", func(c *kudufake.Call) (d kudufake.Decision) {
		if !c.Barrier() {
			d = notAuthorized
		}
		return d
	})
	var counts SweepCounts
	err := b.run(t.Context(), func(c SweepCounts) { counts.add(c) })
	if err == nil || !fatal(err) || !strings.Contains(err.Error(), "grant") {
		t.Errorf("the task ends with %v, want a fatal error that says what to do", err)
	}
	if counts.Failed == 0 || b.journals() == 0 {
		t.Errorf("counts %+v, %d journals", counts, b.journals())
	}
	if err := b.run(t.Context(), nil); !fatal(err) {
		t.Errorf("the next run ends with %v", err)
	}
	if got := len(b.published()); got != 10 {
		t.Errorf("%d records, want 10: nothing is published while the journal can't be finished", got)
	}
	remove()
	b.drain()
	b.verify()
}

var notAuthorized = kudufake.Decision{AppError: 21, AppStatus: 10, Text: "Not authorized"}

func TestNothingIsPublishedWithoutTheRightToSweep(t *testing.T) {
	b := newSweepBench(t, 1)
	b.add(10, past())
	b.kudu.Control("Write", func(*kudufake.Call) kudufake.Decision { return notAuthorized })
	if err := b.run(t.Context(), nil); !fatal(err) || !strings.Contains(err.Error(), "grant") {
		t.Errorf("the task ends with %v, want a fatal error that says what to do", err)
	}
	if got := len(b.published()); got != 0 {
		t.Errorf("%d records", got)
	}
}

func TestJournalOfATableThatIsGoneFailsTheTask(t *testing.T) {
	b := newSweepBench(t, 1)
	b.add(4, past())
	if err := b.crash(func(kill func()) func() {
		return b.kudu.Control("Write", func(c *kudufake.Call) kudufake.Decision {
			if c.Barrier() {
				return kudufake.Decision{}
			}
			defer kill()
			return kudufake.Decision{CutBefore: true}
		})
	}, time.Minute); err != nil {
		t.Fatal(err)
	}
	b.kudu.DropTable("shop.queue")
	if err := b.run(t.Context(), nil); !fatal(err) {
		t.Errorf("without the table the task ends with %v", err)
	}
	if _, err := b.kudu.CreateTable(queueSpec()); err != nil {
		t.Fatal(err)
	}
	if err := b.run(t.Context(), nil); !fatal(err) || !strings.Contains(err.Error(), "another table") {
		t.Errorf("with a new table of the name the task ends with %v", err)
	}
}

func TestSweptRowsCanBeMarkedInsteadOfDeleted(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepAction, b.cfg.SweepSet = sweepUpdate, map[string]string{"status": "DONE"}
	l := b.insert(past(), 1)
	b.add(100, past())
	b.add(10, time.Now().Add(time.Hour))
	// The row must be in the write: one that is changed before the sweeper looks
	// stays where it is, and the next pass publishes it without the header.
	tablet := b.tabletOf(l)
	var once sync.Once
	b.kudu.Control("Write", func(c *kudufake.Call) kudufake.Decision {
		if c.Tablet() == tablet && !c.Barrier() {
			once.Do(func() { b.update(l) })
		}
		return kudufake.Decision{}
	})
	b.drain()
	if got, marked := len(b.published()), b.markedRecords(); got != 102 || marked != 1 {
		t.Errorf("%d records, %d of them anew, want 102 and 1", got, marked)
	}
	if got := len(b.rowsLeft("")); got != 111 {
		t.Errorf("%d rows are there, want 111", got)
	}
}

func TestSettingThatLeavesRowsMatchingIsRefused(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepAction, b.cfg.SweepSet = sweepUpdate, map[string]string{"payload": "DONE"}
	if err := b.run(t.Context(), nil); !fatal(err) || !strings.Contains(err.Error(), "sweep.set") {
		t.Errorf("the task ends with %v", err)
	}
}

func TestWithoutSweepingEachPassPublishesAnew(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepAction = sweepNone
	b.add(6, past())
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, nil) }()
	testenv.Await(t, time.Minute, "three passes are published", func() bool { return len(b.published()) >= 18 })
	cancel(errRevoked)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if b.journals() != 0 || len(b.rowsLeft("")) != 6 || b.kudu.Calls("Write") != 0 {
		t.Errorf("%d journals, %d rows, %d writes", b.journals(), len(b.rowsLeft("")), b.kudu.Calls("Write"))
	}
}

func TestDryRunTouchesNothing(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepDryRun = true
	b.add(6, past())
	ctx, cancel := context.WithCancelCause(t.Context())
	b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		if c.N > 12 {
			cancel(errRevoked)
		}
		return kudufake.Decision{}
	})
	if err := b.run(ctx, nil); err != nil {
		t.Error(err)
	}
	if len(b.published()) != 0 || b.kudu.Calls("Write") != 0 || len(b.rowsLeft("")) != 6 {
		t.Errorf("%d records, %d writes, %d rows", len(b.published()), b.kudu.Calls("Write"), len(b.rowsLeft("")))
	}
}

func TestLargePassIsJournalledInRecordsOfBoundedSize(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepBatchRows = 10_000
	b.add(9000, past())
	b.drain()
	b.verify()
	journals, rows := 0, 0
	for _, r := range b.consumeAll(offsetsTopic) {
		if len(r.Value) > 2*journalChunkBytes {
			t.Errorf("a record of %d bytes", len(r.Value))
		}
		if _, err := offsets.ParseJournalKey(r.Key); err == nil && r.Value != nil {
			j, err := offsets.ParseJournal(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			journals, rows = journals+1, rows+j.NumRows()
		}
	}
	if journals < 5 || rows != 9000 {
		t.Errorf("%d journals with %d rows", journals, rows)
	}
}

func TestOutcomesOfASweepAreCounted(t *testing.T) {
	b := newSweepBench(t, 1)
	changed, gone := b.insert(past(), 1), b.insert(past(), 2)
	b.add(50, past())
	b.cfg.SweepInterval = 20 * time.Millisecond
	ctx, cancel := context.WithCancelCause(t.Context())
	late := time.AfterFunc(time.Minute, func() { cancel(errRevoked) })
	defer late.Stop()
	var counts SweepCounts
	committed := false
	if err := b.run(ctx, func(c SweepCounts) {
		// The first time, all rows are committed, and their sweeps not yet begun.
		if !committed && (!b.update(changed) || !b.remove(gone)) {
			t.Error("the rows were swept before their sweep")
		}
		committed = true
		if counts.add(c); counts.Swept == 51 {
			cancel(errRevoked)
		}
	}); err != nil {
		t.Error(err)
	}
	if want := (SweepCounts{Swept: 51, Gone: 1, Changed: 1}); counts != want {
		t.Errorf("counted %+v, want %+v", counts, want)
	}
	b.verify()
}

func TestOffsetModeDoesNotLeaveAJournalUnfinished(t *testing.T) {
	loaded := &offsets.Loaded{Journals: map[offsets.JournalKey]offsets.Journal{{ID: "a"}: {}}}
	if err := noJournals(loaded); !fatal(err) {
		t.Errorf("%v", err)
	}
	if err := noJournals(&offsets.Loaded{}); err != nil {
		t.Error(err)
	}
}
