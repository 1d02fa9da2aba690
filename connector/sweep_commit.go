package connector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/offsets"
)

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
		if len(e.refused) == 0 {
			continue
		}
		for _, e := range s.entries(e.key.Tablet, e.refused, e.journal) {
			if err := add(offsets.JournalRecord(s.offsets, s.id, e.key, e.journal)); err != nil {
				return err
			}
		}
	}
	gone := SweepCounts{}
	for _, r := range s.retired {
		records = append(records, r.tombstone)
		gone.Gone += int64(r.rows)
	}
	for _, open := range s.rows {
		if err := s.journal(ctx, open); err != nil {
			return err
		}
	}
	for tablet, snapshot := range s.snapshots {
		pos := offsets.Position{Mode: modeSweep, Phase: phasePass, TableID: s.reading.table.ID(), Snapshot: uint64(snapshot)}
		if err := add(offsets.Record(s.offsets, s.id, offsets.Key{Connector: s.name, Table: s.table, Tablet: tablet}, pos)); err != nil {
			return err
		}
	}
	s.logger.Trace("sweep commits", "rows", s.tx.rows, "journals", len(s.fresh), "finished", len(s.done))
	if err := s.end(ctx, records); err != nil {
		return err
	}
	s.logger.Trace("sweep committed", "journals", len(s.fresh), "finished", len(s.done))
	s.committedAt = time.Now()
	var failed []error
	for _, e := range s.done {
		gone.add(e.counts)
		failed = append(failed, e.failure)
	}
	s.counts.add(gone)
	s.counted(gone)
	s.released = append(s.released, s.done...)
	s.done, s.retired = nil, nil
	s.emptyRows()
	clear(s.snapshots)
	for _, e := range s.fresh {
		s.hold(e)
	}
	s.committedRound()
	for _, e := range s.fresh {
		s.sweeper.finish(e)
	}
	s.fresh = nil
	return errors.Join(failed...)
}

// openRows are a tablet's rows in the open transaction that have no journal yet.
type openRows struct {
	tablet string
	rows   []entryRow
}

// journal produces the journals of a tablet's rows.
func (s *sweepTask) journal(ctx context.Context, open *openRows) error {
	for _, e := range s.entries(open.tablet, open.rows, offsets.Journal{Snapshot: uint64(s.snapshots[open.tablet]), Columns: s.digest.columns}) {
		r, err := offsets.JournalRecord(s.offsets, s.id, e.key, e.journal)
		if err != nil {
			return err
		}
		if err := s.producer.produce(ctx, r, s.producer.promise); err != nil {
			return err
		}
		s.fresh = append(s.fresh, e)
	}
	clear(open.rows) // of their keys
	open.rows = open.rows[:0]
	return nil
}

// emptyRows forgets the rows of the transaction, and keeps the memory of one tablet's
// for the next one.
func (s *sweepTask) emptyRows() {
	for _, open := range s.rows {
		if cap(open.rows) > cap(s.spareRows) {
			s.spareRows = open.rows
		}
	}
	clear(s.rows)
}

// rowsOf are the transaction's rows of a tablet so far.
func (s *sweepTask) rowsOf(tablet string) *openRows {
	open := s.rows[tablet]
	if open == nil {
		open = &openRows{tablet: tablet, rows: s.spareRows}
		s.rows[tablet], s.spareRows = open, nil
	}
	return open
}

// entries splits a tablet's rows into journals, which are like the one that is
// given.
func (s *sweepTask) entries(tablet string, rows []entryRow, like offsets.Journal) []*sweepEntry {
	if !slices.IsSortedFunc(rows, compareEntryRows) {
		slices.SortFunc(rows, compareEntryRows)
	}
	most := s.chunkRows
	if rate := s.plan.rate; rate > 0 {
		most = int(min(int64(most), max(rate, journalLeastRows)))
	}
	var all []*sweepEntry
	var e *sweepEntry
	for len(rows) > 0 {
		request := newRequest()
		e = &sweepEntry{
			key: offsets.JournalKey{Connector: s.name, Table: s.table, Tablet: tablet, ID: request.Client},
			journal: offsets.Journal{
				TableID: s.reading.table.ID(), Snapshot: like.Snapshot, Columns: like.Columns,
				Action: s.plan.action, Set: s.plan.texts, Request: request,
			},
		}
		all = append(all, e)
		n := 0
		e.journal.Rows.Grow(min(min(most, len(rows))*(len(rows[0].key)+journalRowBytes), journalChunkBytes))
		for n < min(most, len(rows)) && (n == 0 || e.journal.Rows.Bytes()+len(rows[n].key) <= journalChunkBytes) {
			e.journal.Rows.Add(rows[n].key, rows[n].digest)
			n++
		}
		e.journal.Rows.Clip()
		rows = rows[n:]
	}
	return all
}
