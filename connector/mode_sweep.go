package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

const (
	phasePass = "pass"

	// A journal record holds at most so many rows of one tablet, which are swept
	// by one write, and about so many bytes, far below what brokers take.
	journalChunkRows  = 2000
	journalChunkBytes = 256 << 10

	// sweepHeader marks a record whose row was changed between its publishing and
	// its sweep: it has the last values.
	sweepHeader  = "kudu.sweep"
	sweepChanged = "changed"

	sweepLogInterval = 10 * time.Second
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
	plan    *sweepPlan
	reading reading
	picker  *picker
	digest  *digester
	groups  [][]*tabletReader // the tablets of each pass
	pace    pollPace
	sweeper *sweeper
	counted func(SweepCounts)

	restored []*sweepEntry
	// finishing says that the journal is being finished, before anything is picked.
	finishing bool
	retired   []offsets.JournalKey // of tablets that are gone
	live      map[offsets.JournalKey]*sweepEntry
	liveRows  int
	done      []*sweptEntry // finished, and not yet deleted from the journal
	serial    int           // of journals

	// What the open transaction holds.
	rows      map[string][]entryRow // published, by tablet
	snapshots map[string]kudu.Timestamp

	counts SweepCounts
	logged time.Time

	trust time.Duration // replayTrust, but for tests
}

type sweepOptions struct {
	reading
	sweep    *sweepPlan
	tablets  []*kudu.Tablet
	stored   map[string]offsets.Position // by tablet id
	journals map[offsets.JournalKey]offsets.Journal
	gone     func(tablet string) bool
	scope    string
	pace     pollPace
	counted  func(SweepCounts)
}

// newSweepTask looks at what is stored. What doesn't fit the table or the
// configuration is an error, and nothing is published or swept.
func newSweepTask(t *task, o sweepOptions) (*sweepTask, error) {
	s := &sweepTask{
		task: t, plan: o.sweep, reading: o.reading, pace: o.pace, counted: o.counted,
		live: make(map[offsets.JournalKey]*sweepEntry),
		rows: make(map[string][]entryRow), snapshots: make(map[string]kudu.Timestamp), logged: time.Now(), trust: replayTrust,
	}
	for tablet, pos := range o.stored {
		if pos.Mode != modeSweep {
			return nil, &FatalError{fmt.Errorf("the position of tablet %s was stored in mode %q, but the connector runs in mode %q: reset the connector's offsets, or give the connector another name", tablet, pos.Mode, modeSweep)}
		}
	}
	var err error
	if s.picker, err = newPicker(o.reading, o.sweep); err != nil {
		return nil, err
	}
	if s.digest, err = newDigester(digestColumns(o.table.Schema()), s.picker.schema); err != nil {
		return nil, err
	}
	var readers []*tabletReader
	for _, tablet := range o.tablets {
		readers = append(readers, &tabletReader{id: tablet.ID})
	}
	if o.scope == scopeTable && len(readers) > 0 {
		s.groups = [][]*tabletReader{readers}
	} else {
		for _, r := range readers {
			s.groups = append(s.groups, []*tabletReader{r})
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
		if key.Table != o.table.Name() {
			continue
		}
		switch {
		case j.TableID != o.table.ID():
			return anotherTable(o.table, j.TableID)
		case !slices.ContainsFunc(o.tablets, func(t *kudu.Tablet) bool { return t.ID == key.Tablet }):
			if !o.gone(key.Tablet) {
				return &FatalError{fmt.Errorf("a journal of tablet %s is stored with a task that doesn't read it", key.Tablet)}
			}
			s.logger.Info("a tablet is gone with its range partition; its journal is retired", "tablet", key.Tablet, "rows", len(j.Rows))
			s.retired = append(s.retired, key)
			continue
		case j.Action != o.sweep.action && !o.sweep.dry:
			return &FatalError{fmt.Errorf("%d rows of tablet %s were published with sweep.action %q and have yet to be swept, but sweep.action is %q now: put it back until the journal is empty", len(j.Rows), key.Tablet, j.Action, o.sweep.action)}
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
	keys := s.picker.journal[e.key.Tablet]
	if keys == nil {
		keys = make(map[string]struct{})
		s.picker.journal[e.key.Tablet] = keys
	}
	for _, r := range e.rows {
		keys[r.key] = struct{}{}
	}
	s.live[e.key] = e
	s.liveRows += len(e.rows)
}

// release lets the passes see the rows again. They are gone, or they are other
// ones now.
func (s *sweepTask) release(e *sweptEntry) {
	for _, r := range e.rows {
		delete(s.picker.journal[e.key.Tablet], r.key)
	}
	s.picker.passedAt[e.key.Tablet] = max(s.picker.passedAt[e.key.Tablet], e.written)
	delete(s.live, e.key)
	s.liveRows -= len(e.rows)
}

// loop publishes and sweeps until ctx ends or something fails.
func (s *sweepTask) loop(ctx context.Context) error {
	s.tx.timer = time.NewTimer(time.Hour) // a round ends its transactions itself
	defer s.tx.timer.Stop()
	s.slabs = newSlabPool(s.producer.done)
	s.slab = s.slabs.get()
	if s.plan.dry {
		return s.rehearse(ctx)
	}
	s.sweeper = startSweeper(s.reading, s.plan, s.trust)
	defer s.sweeper.close()
	if err := s.finishJournal(ctx); err != nil {
		return s.stopped(ctx, err)
	}
	idle := s.pace.interval
	for {
		rows, more, err := s.round(ctx)
		if err != nil {
			return s.stopped(ctx, err)
		}
		s.report()
		wait := time.Duration(0)
		switch {
		case s.plan.action == sweepNone:
			wait = max(s.plan.interval, s.pace.interval)
		case s.liveRows >= s.plan.journalRows:
			wait = time.Hour // something finishes before
		case more:
		case rows > 0:
			idle = s.pace.interval
			wait = idle
		default:
			wait = idle
			idle = min(2*idle, max(s.pace.max, s.pace.interval))
		}
		if err := s.await(ctx, wait); err != nil {
			return s.stopped(ctx, err)
		}
	}
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
			if s.finishing || s.liveRows >= s.plan.journalRows || s.anew() {
				return nil
			}
		case err := <-s.sweeper.failed:
			s.counted(SweepCounts{Failed: s.sweeper.refused.Load()})
			return err
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
	for len(s.done) < len(s.live) {
		if err := s.await(ctx, time.Hour); err != nil {
			return err
		}
	}
	if len(s.done) == 0 && len(s.retired) == 0 {
		return nil
	}
	if err := s.ensureOpen(ctx); err != nil {
		return err
	}
	if err := s.close(ctx); err != nil {
		return err
	}
	s.logger.Trace("journal finished")
	return nil
}

func (s *sweepTask) ensureOpen(ctx context.Context) error {
	if s.tx.open {
		return nil
	}
	return s.begin(ctx)
}

// round is one pass over all tablets. More says that there may be more at once.
func (s *sweepTask) round(ctx context.Context) (rows int, more bool, err error) {
	limit := s.plan.batchRows
	for _, group := range s.groups {
		if ctx.Err() != nil {
			return rows, false, context.Cause(ctx)
		}
		if room := s.plan.journalRows - s.liveRows - s.unswept(); s.plan.action != sweepNone && room < limit {
			limit = room
		}
		if limit <= 0 {
			break
		}
		b, err := s.picker.pass(ctx, group, limit)
		if err != nil {
			return rows, false, err
		}
		if b == nil {
			s.passed(group, false)
			continue
		}
		s.picked(group, b)
		n := b.published()
		rows += n
		more = more || n == limit
		if err := s.publishPicked(ctx, b, nil); err != nil {
			return rows, false, s.keepWhole(ctx, err)
		}
		s.passed(group, n == limit)
	}
	s.done = append(s.done, s.sweeper.take()...)
	// An entry's end waits for the next rows, or a moment without any.
	if s.tx.open || len(s.done) > 0 {
		if err := s.ensureOpen(ctx); err != nil {
			return rows, false, err
		}
		err = s.close(ctx)
	}
	return rows, more, err
}

// unswept is the number of rows of the open transaction.
func (s *sweepTask) unswept() int {
	n := 0
	for _, rows := range s.rows {
		n += len(rows)
	}
	return n
}

// publishPicked produces the rows, ending transactions on the way when they are
// full.
func (s *sweepTask) publishPicked(ctx context.Context, b *batch, mark []kgo.RecordHeader) error {
	now := time.Now()
	headers := s.headersFor(b, mark)
	for row := range b.published() {
		if row%stopCheck == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.ensureOpen(ctx); err != nil {
			return err
		}
		tablet := b.tablet(row).id
		size, err := s.produce(ctx, b, row, now, headers.of(b, row))
		if err != nil {
			return err
		}
		s.tx.rows++
		s.tx.bytes += int64(size)
		if mark != nil {
			continue // close is at work
		}
		s.snapshots[tablet] = b.snapshot
		if s.plan.action != sweepNone {
			s.rows[tablet] = append(s.rows[tablet], entryRow{key: string(s.reading.plan.order.appendKey(nil, b.rows, row)), digest: s.digest.of(b.rows, row)})
		}
		if s.tx.rows >= s.limits.rows || s.tx.bytes >= s.limits.bytes {
			if err := s.close(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepWhole commits the rows before one that was refused.
func (s *sweepTask) keepWhole(ctx context.Context, cause error) error {
	var refused *FatalError
	if !errors.As(cause, &refused) || !s.tx.open || s.tx.rows == 0 {
		return cause
	}
	if err := s.close(ctx); err != nil {
		return err
	}
	return cause
}

// close ends the transaction with the journal of its rows (I1), deletes the
// journals that are finished, and hands the new ones over to be swept (I8).
func (s *sweepTask) close(ctx context.Context) error {
	var records []*kgo.Record
	add := func(r *kgo.Record, err error) error {
		records = append(records, r)
		return err
	}
	for _, e := range s.done {
		if e.again != nil {
			b := &batch{rows: e.again.Batch(), snapshot: e.snapshot, tablets: []*tabletReader{{id: e.key.Tablet}}, order: s.reading.plan.order}
			if err := s.publishPicked(ctx, b, []kgo.RecordHeader{{Key: sweepHeader, Value: []byte(sweepChanged)}}); err != nil {
				return err
			}
		}
		if err := add(offsets.JournalTombstone(s.offsets, s.id, e.key)); err != nil {
			return err
		}
	}
	for _, key := range s.retired {
		if err := add(offsets.JournalTombstone(s.offsets, s.id, key)); err != nil {
			return err
		}
	}
	var fresh []*sweepEntry
	for tablet, rows := range s.rows {
		entries, err := s.entries(tablet, rows)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := add(offsets.JournalRecord(s.offsets, s.id, e.key, e.journal)); err != nil {
				return err
			}
		}
		fresh = append(fresh, entries...)
	}
	for tablet, snapshot := range s.snapshots {
		pos := offsets.Position{Mode: modeSweep, Phase: phasePass, TableID: s.reading.table.ID(), Snapshot: uint64(snapshot)}
		if err := add(offsets.Record(s.offsets, s.id, offsets.Key{Connector: s.name, Table: s.table, Tablet: tablet}, pos)); err != nil {
			return err
		}
	}
	s.logger.Trace("sweep commits", "rows", s.tx.rows, "journals", len(fresh), "finished", len(s.done))
	if err := s.end(ctx, records); err != nil {
		return err
	}
	s.logger.Trace("sweep committed", "journals", len(fresh), "finished", len(s.done))
	for _, e := range s.done {
		s.release(e)
		s.counts.add(e.counts)
		s.counted(e.counts)
	}
	s.done, s.retired = nil, nil
	clear(s.rows)
	clear(s.snapshots)
	for _, e := range fresh {
		s.hold(e)
	}
	s.committedRound()
	for _, e := range fresh {
		s.sweeper.finish(e)
	}
	return nil
}

// entries splits a tablet's rows into journals.
func (s *sweepTask) entries(tablet string, rows []entryRow) ([]*sweepEntry, error) {
	slices.SortFunc(rows, func(a, b entryRow) int { return compareText(a.key, b.key) })
	o := s.reading.plan.order
	var all []*sweepEntry
	var e *sweepEntry
	size := 0
	for _, r := range rows {
		values, err := kudu.DecodeKey(o.primary, []byte(r.key))
		if err != nil {
			return nil, err
		}
		text, err := serde.MarshalValues(o.primary, values)
		if err != nil {
			return nil, err
		}
		if e == nil || len(e.rows) == journalChunkRows || size+len(text) > journalChunkBytes {
			s.serial++
			request := newRequest()
			e = &sweepEntry{
				key: offsets.JournalKey{Connector: s.name, Table: s.table, Tablet: tablet, ID: request.Client},
				journal: offsets.Journal{
					TableID: s.reading.table.ID(), Snapshot: uint64(s.snapshots[tablet]), Action: s.plan.action,
					Request: request, Columns: s.digest.columns,
				},
			}
			all = append(all, e)
			size = 0
		}
		size += len(text) + 64
		e.journal.Rows = append(e.journal.Rows, offsets.JournalRow{PrimaryKey: text, Digest: r.digest})
		e.rows = append(e.rows, entryRow{key: r.key, values: values, digest: r.digest})
	}
	for _, e := range all {
		e.arrange()
	}
	return all, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// headersFor are the headers of a batch's records.
func (s *sweepTask) headersFor(b *batch, mark []kgo.RecordHeader) batchHeaders {
	all := make(batchHeaders, len(b.tablets))
	for n, tablet := range b.tablets {
		if s.headers {
			all[n] = rowHeaders(s.table, tablet.id, b.snapshot, modeSweep)
		}
		all[n] = append(all[n], mark...)
	}
	return all
}

// rehearse counts what passes would publish and sweep.
func (s *sweepTask) rehearse(ctx context.Context) error {
	if s.liveRows > 0 {
		s.logger.Warn("dry run: rows that were published before have yet to be swept; they stay in the journal", "rows", s.liveRows)
	}
	last := -1
	for {
		n := 0
		for _, group := range s.groups {
			b, err := s.picker.pass(ctx, group, s.plan.batchRows)
			if err != nil {
				return s.stopped(ctx, err)
			}
			if b != nil {
				n += b.published()
			}
		}
		if n != last {
			s.logger.Info("dry run: a pass would publish and sweep these rows", "rows", n, "action", s.plan.action)
			last = n
		}
		select {
		case <-time.After(max(s.pace.max, s.plan.interval)):
		case <-s.changed:
			return errChanged
		case <-ctx.Done():
			return nil
		}
	}
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
