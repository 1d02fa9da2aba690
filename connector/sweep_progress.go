package connector

import (
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// beginProgress notes which tablets the task reads, and what its journal holds.
func (s *sweepTask) beginProgress(readers []*tabletReader, committed func(tablet string) kudu.Timestamp) {
	s.seen.progress.begin(readers, s.reading.plan.order, historyOf(s.reading.table), time.Now(), committed)
	s.tellJournal()
}

// picked notes that a pass has found rows.
func (s *sweepTask) picked(group *queueGroup, b *batch) {
	for _, r := range group.tablets {
		s.seen.progress.found(r.marks, b.snapshot)
	}
}

// passed notes that what a pass has found is produced; full says that there may be
// more.
func (s *sweepTask) passed(group *queueGroup, full bool) {
	next := time.Now().Add(max(s.pace.interval, s.pace.max, s.plan.interval))
	for _, r := range group.tablets {
		if s.tx.open {
			s.seen.progress.produced(r)
		}
		s.seen.progress.looked(r, !full, next)
	}
}

// committedRound notes that what the passes have found is committed.
func (s *sweepTask) committedRound() {
	s.seen.progress.commitAll()
	s.tellJournal()
}

// tellJournal tells how many rows wait for their sweep, and how far back in their
// tablets' history they may have to be looked up.
func (s *sweepTask) tellJournal() {
	s.seen.task().Journal(s.liveRows)
	past := make(map[string]kudu.Timestamp)
	for key, e := range s.live {
		at := kudu.Timestamp(e.journal.Snapshot)
		if oldest, is := past[key.Tablet]; !is || at < oldest {
			past[key.Tablet] = at
		}
	}
	s.seen.progress.keeps(past)
}
