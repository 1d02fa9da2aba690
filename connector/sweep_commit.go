package connector

import (
	"context"
	"errors"
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
		for _, e := range s.entries(e.key.Tablet, &e.refused, e.journal) {
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
	publishedRows
}

// journal produces the journals of a tablet's rows.
func (s *sweepTask) journal(ctx context.Context, open *openRows) error {
	for _, e := range s.entries(open.tablet, &open.publishedRows, offsets.Journal{Snapshot: uint64(s.snapshots[open.tablet]), Columns: s.digest.columns, Hash: s.digest.hash}) {
		r, err := offsets.JournalRecord(s.offsets, s.id, e.key, e.journal)
		if err != nil {
			return err
		}
		if err := s.producer.produce(ctx, r, s.producer.promise); err != nil {
			return err
		}
		s.fresh = append(s.fresh, e)
	}
	open.reset()
	return nil
}

// emptyRows forgets the rows of the transaction, and keeps the memory of one tablet's
// for the next one.
func (s *sweepTask) emptyRows() {
	for _, open := range s.rows {
		if cap(open.bytes) > cap(s.spareRows.bytes) {
			s.spareRows = open.publishedRows
		}
	}
	clear(s.rows)
}

// rowsOf are the transaction's rows of a tablet so far.
func (s *sweepTask) rowsOf(tablet string) *openRows {
	open := s.rows[tablet]
	if open == nil {
		open = &openRows{tablet, s.spareRows}
		s.rows[tablet], s.spareRows = open, publishedRows{}
	}
	return open
}

// entries splits a tablet's rows into journals, which are like the one that is
// given.
func (s *sweepTask) entries(tablet string, rows *publishedRows, like offsets.Journal) []*sweepEntry {
	most := s.chunkRows
	if rate := s.plan.rate; rate > 0 {
		most = int(min(int64(most), max(rate, journalLeastRows)))
	}
	var all []*sweepEntry
	s.places = rows.inOrder(s.places)
	for rest := s.places; len(rest) > 0; {
		request := newRequest()
		e := &sweepEntry{
			key: offsets.JournalKey{Connector: s.name, Table: s.table, Tablet: tablet, ID: request.Client},
			journal: offsets.Journal{
				TableID: s.reading.table.ID(), Snapshot: like.Snapshot, Columns: like.Columns, Hash: like.Hash,
				Action: s.plan.action, Set: s.plan.texts, Request: request,
			},
		}
		all = append(all, e)
		p := &s.packing
		p.Reset()
		for len(rest) > 0 && p.Len() < most {
			key, digest, _ := rows.row(int(rest[0]))
			if p.Len() > 0 && p.Bytes()+len(key) > journalChunkBytes {
				break
			}
			p.Add(key, digest)
			rest = rest[1:]
		}
		e.journal.Rows = p.Clone()
	}
	return all
}
