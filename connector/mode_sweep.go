package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

const (
	phasePass = "pass"

	// A journal record holds at most so many rows of one tablet, which are swept
	// by one write, and about so many bytes, far below what brokers take.
	journalChunkRows  = 2000
	journalChunkBytes = 256 << 10
	// journalsAtOnce are written as soon as there are rows for as many, where these
	// come in the order of the primary key: one by one, each would be a batch of its
	// own to the broker.
	journalsAtOnce = 8
	// With sweep.max.rows.per.second, a journal is what one second's worth of
	// sweeping may be, but not fewer rows than this.
	journalLeastRows = 100
	// lookShare is how many times as long as it took to find nothing a task waits
	// before it looks again: what waits for its sweep is looked at in vain.
	lookShare = 4

	// sweepHeader marks a record whose row was changed between its publishing and
	// its sweep: it has the last values.
	sweepHeader  = "kudu.sweep"
	sweepChanged = "changed"

	sweepLogInterval = 10 * time.Second

	// idleCommit is after how long without a transaction a task commits its
	// positions alone.
	idleCommit = time.Minute
)

// sweepTask is one run of a task in mode sweep. In rounds it picks rows that
// meet where, publishes them and journals them in one transaction (I1), has them
// swept after the commit (I8), and deletes the journal in a later transaction,
// together with what the audit wants published anew.
//
// Way of one row: sweep_pick.go picks it; this file has the task encode it into
// a record (task.go) and sends it (txn.go); sweeper.go sweeps it.
type sweepTask struct {
	*task
	plan     *sweepPlan
	reading  reading
	picker   *picker
	digest   *digester
	groups   []*queueGroup
	pace     pollPace
	sweeper  *sweeper
	throttle *throttle
	counted  func(SweepCounts)

	restored []*sweepEntry
	// finishing says that the journal is being finished, before anything is picked.
	finishing bool
	retired   []retiredTablet
	live      map[offsets.JournalKey]*sweepEntry
	liveRows  int
	done      []*sweptEntry // finished, and not yet deleted from the journal
	// released are finished and deleted; the passes of the round that is under way
	// must not see their rows yet.
	released []*sweptEntry
	turn     int // which tablets the next round begins with

	// What the open transaction holds.
	rows      map[string]*openRows // published and not yet in a journal, by tablet
	fresh     []*sweepEntry        // the journals of the others
	snapshots map[string]kudu.Timestamp
	// Memory for the next ones.
	spareRows publishedRows
	places    []uint64 // for entries
	packing   offsets.JournalRows
	key       []byte

	counts SweepCounts
	logged time.Time

	committedAt  time.Time
	chunkRows    int           // journalChunkRows, but for tests
	journalAfter int           // rows of a stream: journalsAtOnce*journalChunkRows, but for tests
	trust        time.Duration // replayTrust, but for tests
	idleCommit   time.Duration // idleCommit, but for tests
}

// retiredTablet is something stored of a tablet that is gone with its range
// partition: a journal, or the position.
type retiredTablet struct {
	tombstone *kgo.Record
	rows      int
}

type sweepOptions struct {
	reading
	sorting
	sweep    *sweepPlan
	tablets  []*kudu.Tablet
	stored   map[string]offsets.Position // by tablet id
	journals map[offsets.JournalKey]offsets.Journal
	gone     func(tablet string) bool
	scope    string
	pace     pollPace
	throttle *throttle // of the task, for all of its runs
	counted  func(SweepCounts)
}

// newSweepTask looks at what is stored. What doesn't fit the table or the
// configuration is an error, and nothing is published or swept.
func newSweepTask(t *task, o sweepOptions) (*sweepTask, error) {
	s := &sweepTask{
		task: t, plan: o.sweep, reading: o.reading, pace: o.pace, throttle: o.throttle, counted: o.counted,
		live: make(map[offsets.JournalKey]*sweepEntry),
		rows: make(map[string]*openRows), snapshots: make(map[string]kudu.Timestamp), logged: time.Now(), chunkRows: journalChunkRows, journalAfter: journalsAtOnce * journalChunkRows, trust: replayTrust,
		committedAt: time.Now(), idleCommit: idleCommit,
	}
	for tablet, pos := range o.stored {
		if pos.Mode != modeSweep {
			return nil, &FatalError{fmt.Errorf("the position of tablet %s was stored in mode %q, but the connector runs in mode %q: reset the connector's offsets, or give the connector another name", tablet, pos.Mode, modeSweep)}
		}
		if o.gone(tablet) && !slices.ContainsFunc(o.tablets, func(t *kudu.Tablet) bool { return t.ID == tablet }) {
			r, err := offsets.Tombstone(t.offsets, t.id, offsets.Key{Connector: t.name, Table: t.table, Tablet: tablet})
			if err != nil {
				return nil, err
			}
			s.retired = append(s.retired, retiredTablet{tombstone: r})
		}
	}
	var err error
	if s.picker, err = newPicker(o.reading, o.sorting, o.sweep, o.tablets); err != nil {
		return nil, err
	}
	if s.digest, err = newDigester(offsets.HashXX64, digestColumns(o.table.Schema()), s.picker.schema); err != nil {
		return nil, err
	}
	var readers []*tabletReader
	for _, tablet := range o.tablets {
		readers = append(readers, &tabletReader{id: tablet.ID})
	}
	if o.scope == scopeTable && len(readers) > 0 {
		s.groups = []*queueGroup{{tablets: readers}}
	} else {
		for _, r := range readers {
			s.groups = append(s.groups, &queueGroup{tablets: []*tabletReader{r}})
		}
	}
	if err := s.restore(o); err != nil {
		return nil, err
	}
	s.beginProgress(readers, func(tablet string) kudu.Timestamp { return kudu.Timestamp(o.stored[tablet].Snapshot) })
	return s, nil
}

// restore takes up the journals that are stored.
func (s *sweepTask) restore(o sweepOptions) error {
	for key, j := range o.journals {
		// Not by the name: the master may have another one for the table than the
		// configuration, and a table may be renamed.
		if j.TableID != o.table.ID() {
			if key.Table == s.table {
				return anotherTable(o.table, j.TableID)
			}
			continue
		}
		switch {
		case !slices.ContainsFunc(o.tablets, func(t *kudu.Tablet) bool { return t.ID == key.Tablet }):
			if !o.gone(key.Tablet) {
				return &FatalError{fmt.Errorf("a journal of tablet %s is stored with a task that doesn't read it", key.Tablet)}
			}
			s.logger.Warn("a tablet is gone with its range partition, and with it published rows that had yet to be swept", "tablet", key.Tablet, "rows", j.NumRows())
			r, err := offsets.JournalTombstone(s.offsets, s.id, key)
			if err != nil {
				return err
			}
			s.retired = append(s.retired, retiredTablet{tombstone: r, rows: j.NumRows()})
			continue
		case j.Action != o.sweep.action && !o.sweep.dry:
			return &FatalError{fmt.Errorf("%d rows of tablet %s were published with sweep.action %q and have yet to be swept, but sweep.action is %q now: put it back until the journal is empty", j.NumRows(), key.Tablet, j.Action, o.sweep.action)}
		case j.Action == sweepUpdate && j.Set != nil && !maps.Equal(j.Set, o.sweep.texts) && !o.sweep.dry:
			return &FatalError{fmt.Errorf("%d rows of tablet %s were published with sweep.set %v and have yet to be swept, but sweep.set is %v now: put it back until the journal is empty", j.NumRows(), key.Tablet, j.Set, o.sweep.texts)}
		}
		e, err := newEntry(key, j, o.plan.order)
		if err != nil {
			return err
		}
		s.restored = append(s.restored, e)
		s.hold(e)
	}
	return nil
}

// hold keeps the rows of a journal out of the passes.
func (s *sweepTask) hold(e *sweepEntry) {
	s.picker.tablets[e.key.Tablet].held.hold(e)
	s.live[e.key] = e
	s.liveRows += e.len()
}

// releaseAll releases what was finished; no pass may be under way.
func (s *sweepTask) releaseAll() {
	for _, e := range s.released {
		s.release(e)
	}
	if len(s.released) > 0 {
		s.tellJournal()
	}
	s.released = nil
}

// release lets the passes see the rows again. They are gone, or they are other
// ones now.
func (s *sweepTask) release(e *sweptEntry) {
	t := s.picker.tablets[e.key.Tablet]
	t.held.release(e.sweepEntry)
	t.sweptAt = max(t.sweptAt, e.written)
	delete(s.live, e.key)
	s.liveRows -= e.len()
}

// loop publishes and sweeps until ctx ends or something fails.
func (s *sweepTask) loop(ctx context.Context) error {
	s.tx.timer = time.NewTimer(time.Hour) // a round ends its transactions itself
	defer s.tx.timer.Stop()
	defer s.dropBacklogs()
	s.slabs = newSlabPool(s.producer.done)
	s.slab = s.slabs.get()
	if s.plan.dry {
		return s.rehearse(ctx)
	}
	s.sweeper = startSweeper(s.reading, s.plan, s.throttle, s.trust)
	defer s.sweeper.close()
	return s.stopped(ctx, s.rounds(ctx))
}

func (s *sweepTask) dropBacklogs() {
	for _, g := range s.groups {
		g.drop()
	}
}

// rounds finishes the journal, and then publishes in rounds.
func (s *sweepTask) rounds(ctx context.Context) error {
	if err := s.finishJournal(ctx); err != nil {
		return err
	}
	idle := s.pace.interval
	for {
		began := time.Now()
		rows, more, err := s.round(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		s.report()
		if rows > 0 {
			idle = s.pace.interval
		}
		wait := time.Duration(0)
		switch {
		case s.plan.action == sweepNone:
			wait = max(s.plan.interval, s.pace.interval)
		case s.full():
			wait = s.whileFull()
		case more:
		case rows > 0:
			wait = max(idle, min(s.longestReading(), s.pace.max))
		default:
			wait = max(idle, lookShare*took)
			idle = min(2*idle, max(s.pace.max, s.pace.interval))
		}
		if err := s.await(ctx, wait); err != nil {
			return err
		}
	}
}

// longestReading is the most that it took to read a group's tablets. After a round that
// has published what there was, those rows are read once more in vain unless they are
// swept by then.
func (s *sweepTask) longestReading() (most time.Duration) {
	for _, g := range s.groups {
		most = max(most, g.reading)
	}
	return most
}

// whileFull is how long to wait for something to be swept. What is left of passes
// doesn't wait longer than it lives: it may hold memory that others wait for.
func (s *sweepTask) whileFull() time.Duration {
	wait := time.Hour
	for _, g := range s.groups {
		if g.live() {
			wait = min(wait, time.Until(g.backlog.ends())+time.Millisecond)
		}
	}
	return wait
}

// stopped is how a run ends: with nothing open. When the context has ended that
// is what was asked for.
func (s *sweepTask) stopped(ctx context.Context, err error) error {
	err = s.giveUp(ctx, err)
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return err
	case errors.Is(cause, errLost):
		return cause
	case errors.Is(err, cause), errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// await waits until the next round is due.
func (s *sweepTask) await(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-s.sweeper.ready:
			s.done = append(s.done, s.sweeper.take()...)
			if s.finishing || s.full() || s.anew() {
				return nil
			}
		case err := <-s.sweeper.failed:
			return s.sweepFailed(ctx, err)
		case <-s.changed:
			return errChanged
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// anew reports whether rows wait to be published anew.
func (s *sweepTask) anew() bool {
	return slices.ContainsFunc(s.done, func(e *sweptEntry) bool { return e.again != nil })
}

// sweepFailed ends a run in which a journal can't be swept. What was finished
// before is taken from the journal.
func (s *sweepTask) sweepFailed(ctx context.Context, cause error) error {
	s.counted(SweepCounts{Failed: s.sweeper.refused.Load()})
	s.done = append(s.done, s.sweeper.take()...)
	if len(s.done) == 0 || !fatal(cause) {
		return cause
	}
	return errors.Join(cause, s.commitDone(ctx))
}

// finishJournal sweeps what an earlier run has published, before anything is
// picked.
func (s *sweepTask) finishJournal(ctx context.Context) error {
	if len(s.restored) > 0 {
		s.logger.Info("rows that were published before have yet to be swept", "journals", len(s.restored), "rows", s.liveRows)
	}
	for _, e := range s.restored {
		s.sweeper.finish(e)
	}
	s.restored = nil
	s.finishing = true
	defer func() { s.finishing = false }()
	for {
		if len(s.done) > 0 || len(s.retired) > 0 {
			if err := s.commitDone(ctx); err != nil {
				return err
			}
			s.releaseAll()
			s.report()
		}
		if len(s.live) == 0 {
			s.logger.Trace("journal finished")
			return nil
		}
		if err := s.await(ctx, time.Hour); err != nil {
			return err
		}
	}
}

// commitDone deletes finished journals in a transaction of their own.
func (s *sweepTask) commitDone(ctx context.Context) error {
	if err := s.ensureOpen(ctx); err != nil {
		return err
	}
	return s.close(ctx)
}

func (s *sweepTask) ensureOpen(ctx context.Context) error {
	if s.tx.open {
		return nil
	}
	return s.begin(ctx)
}

// report logs what was swept, now and then.
func (s *sweepTask) report() {
	if s.counts == (SweepCounts{}) || time.Since(s.logged) < sweepLogInterval {
		return
	}
	logCounts(s.logger, s.counts)
	s.counts, s.logged = SweepCounts{}, time.Now()
}

func logCounts(logger hclog.Logger, c SweepCounts) {
	logger.Info("swept", "rows", c.Swept, "already_gone", c.Gone, "changed_since", c.Changed, "published_anew", c.Again)
}
