package connector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

const (
	modeOffset     = "offset"
	phaseStreaming = "streaming"
	phaseWalk      = "walk"  // see walkPoller
	phaseStart     = "start" // see start_latest.go

	// The values of order.
	orderKey  = "key"
	orderNone = "none"

	// scanTurn is how long a tablet with a backlog is read before the task's
	// other tablets get their turn.
	scanTurn = 5 * time.Second
)

// offsetSource is the source of mode offset: rows above each tablet's
// high-water mark, in the order of the streaming key.
//
// Way of one row: kudu/rowbatch.go shows its cells; scan_prefix.go, or for keys
// that Kudu can't order by scan_sorted.go, picks the order; task.go publishes.
type offsetSource struct {
	pollingSource
	read    reading
	initial []storedPosition
}

// reading is what every way of polling needs to know of the table and the
// configuration.
type reading struct {
	table      *kudu.Table
	client     *kudu.Client
	plan       *readPlan
	batchBytes int
	settle     time.Duration
	late       lateRows
	// leftOutRows is what its constant says, or 0: a position is stored with rows
	// only.
	leftOutRows int
	logger      hclog.Logger
	waits       *waits
	seen        observed
}

// next is the scanner's next batch, with the wait for it noted.
func (rd *reading) next(ctx context.Context, sc *kudu.Scanner, tablet string) (*kudu.RowBatch, error) {
	defer rd.waits.beginCounted("Kudu's answer to a scan of tablet "+tablet, sc.Answers).end()
	began := time.Now()
	rows, err := sc.Next(ctx)
	n := 0
	if rows != nil {
		n = rows.NumRows()
	}
	rd.seen.task().Read(n, time.Since(began))
	return rows, err
}

type offsetOptions struct {
	reading
	tablets []*kudu.Tablet
	stored  map[string]offsets.Position // by tablet id
	// gone reports whether a tablet with a stored position has left the table.
	gone  func(tablet string) bool
	scope string // order.scope
	order string // key or none
	sorting
	pace pollPace
}

// startOffsetSource begins to read. A stored position that doesn't fit the
// table is an error: nothing is read.
func startOffsetSource(ctx context.Context, o offsetOptions) (*offsetSource, error) {
	s := &offsetSource{read: o.reading, pollingSource: pollingSource{pace: o.pace, progress: o.seen.progress}}
	var readers []*tabletReader
	for _, t := range o.tablets {
		r := &tabletReader{id: t.ID}
		pos, stored := o.stored[t.ID]
		switch {
		case stored && pos.Phase == phaseStart:
			if err := s.startLatest(ctx, r, pos); err != nil {
				return nil, fmt.Errorf("beginning with tablet %s: %w", t.ID, err)
			}
		case stored:
			if err := s.restore(r, pos); err != nil {
				return nil, fmt.Errorf("restoring the position of tablet %s: %w", t.ID, err)
			}
			if r.walk != nil && o.scope == scopeTable {
				return nil, &FatalError{fmt.Errorf("tablet %s is in the middle of a walk with order: none: let it end with order.scope: tablet", t.ID)}
			}
			if r.walk != nil && o.late.repair {
				return nil, &FatalError{fmt.Errorf("tablet %s is in the middle of a walk with order: none: let it end with late.rows: ignore", t.ID)}
			}
			if err := s.restoreCovered(r, pos); err != nil {
				return nil, fmt.Errorf("restoring the position of tablet %s: %w", t.ID, err)
			}
		case o.plan.start.latest:
			// A range partition that was added since the connector began.
		default:
			r.from = o.plan.start.key
		}
		if o.late.repair {
			r.floor = o.plan.start.key
			r.repairAt = time.Now().Add(rand.N(o.late.interval)) // not all tablets at once
		}
		readers = append(readers, r)
	}
	for tablet := range o.stored {
		switch {
		case tablet == startMarker || slices.ContainsFunc(o.tablets, func(t *kudu.Tablet) bool { return t.ID == tablet }):
		case !o.gone(tablet):
			return nil, &FatalError{fmt.Errorf("the position of tablet %s is stored with a task that doesn't read it: it was stored under another tasks.max or order.scope", tablet)}
		default:
			o.logger.Info("a tablet is gone with its range partition; its position is retired", "tablet", tablet)
			s.initial = append(s.initial, storedPosition{tablet: tablet, retire: true})
		}
	}
	s.progress.begin(readers, o.plan.order, historyOf(o.table), time.Now(), func(tablet string) kudu.Timestamp {
		return kudu.Timestamp(o.stored[tablet].Snapshot)
	})
	s.poller, readers = choosePoller(o, readers)
	s.startPolling(readers, o.plan.stop.key != nil)
	return s, nil
}

// choosePoller gives the way of polling that the order asks for, and what is to
// be polled.
func choosePoller(o offsetOptions, readers []*tabletReader) (poller, []*tabletReader) {
	whole := o.scope == scopeTable && len(readers) > 0
	all := []*tabletReader{{id: "all", marks: o.seen.progress.allMarks()}}
	switch {
	case o.plan.order.prefix && whole:
		return &mergePoller{o.reading, readers}, all
	case o.plan.order.prefix:
		return &prefixPoller{o.reading}, readers
	case whole:
		return &sortedPoller{o.reading, o.sorting, readers}, all
	}
	return &elsewherePoller{
		sorted: &sortedPoller{o.reading, o.sorting, nil}, walk: &walkPoller{o.reading}, walks: o.order == orderNone,
	}, readers
}

// elsewherePoller is for keys that aren't a prefix of the primary key. A walk
// that was begun is finished, whatever the configuration says now.
type elsewherePoller struct {
	sorted *sortedPoller
	walk   *walkPoller
	walks  bool
}

func (p *elsewherePoller) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	if p.walks || r.walk != nil {
		return p.walk.poll(ctx, r, emit)
	}
	return p.sorted.poll(ctx, r, emit)
}

func (s *offsetSource) Initial() ([]storedPosition, error) { return s.initial, nil }

// restore puts the reader where a stored position says.
func (s *offsetSource) restore(r *tabletReader, pos offsets.Position) (err error) {
	if err := s.checkStored(pos); err != nil {
		return err
	}
	o := s.read.plan.order
	if pos.PrimaryKey != nil {
		if r.hwm, err = o.restore(pos); err != nil {
			return err
		}
	}
	if pos.Phase == phaseStreaming {
		return nil
	}
	if o.prefix {
		return &FatalError{fmt.Errorf("it is in the middle of a walk with order: none, by another streaming key: reset the connector's offsets, or put that key back")}
	}
	r.walk, err = o.restoreWalk(pos, r.hwm)
	return err
}

// checkStored refuses a position that this connector can't have stored.
func (s *offsetSource) checkStored(pos offsets.Position) error {
	if pos.Mode != modeOffset || pos.Phase != phaseStreaming && pos.Phase != phaseWalk && pos.Phase != phaseStart {
		return &FatalError{fmt.Errorf("it was stored in mode %q, phase %q, but the connector runs in mode %q: reset the connector's offsets, or give the connector another name", pos.Mode, pos.Phase, modeOffset)}
	}
	if pos.TableID != s.read.table.ID() {
		return anotherTable(s.read.table, pos.TableID)
	}
	return nil
}

// anotherTable is the failure of a table that was dropped and made anew.
func anotherTable(t *kudu.Table, id string) error {
	return &FatalError{fmt.Errorf("the stored positions belong to another table (id %s) that was dropped; table %q is new (id %s): reset the connector's offsets to read it from the start", id, t.Name(), t.ID())}
}

func (s *offsetSource) position() offsets.Position {
	return offsets.Position{Mode: modeOffset, Phase: phaseStreaming, TableID: s.read.table.ID()}
}

// Position renders a point as it is stored.
func (s *offsetSource) Position(p point) (offsets.Position, error) {
	pos := s.position()
	pos.Snapshot = uint64(p.snapshot)
	o := s.read.plan.order
	if p.key != nil || p.walk != nil {
		pos.Columns = o.ids
	}
	if p.key != nil {
		if err := o.store(&pos, p.key); err != nil {
			return pos, err
		}
	}
	switch {
	case p.walk != nil:
		return pos, o.storeWalk(&pos, p.walk)
	case s.read.late.repair && p.key != nil:
		if p.repairing != nil {
			if err := o.storeRepair(&pos, p.repairing); err != nil {
				return pos, err
			}
		}
		return pos, o.storeCovered(&pos, p.covered.extend(p.key, p.snapshot))
	}
	return pos, nil
}

// restoreCovered takes up what is known of late rows. Without repair it is
// forgotten, also in what is stored, so that a later repair doesn't take it up
// where much has happened since.
func (s *offsetSource) restoreCovered(r *tabletReader, pos offsets.Position) (err error) {
	switch {
	case pos.Covered == nil || r.hwm == nil:
	case s.read.late.repair:
		if r.covered, err = s.read.plan.order.restoreCovered(pos, r.hwm); err == nil {
			r.repairing, err = s.read.plan.order.restoreRepair(pos, r.covered)
		}
	default:
		pos.Covered, pos.Repair = nil, nil
		s.initial = append(s.initial, storedPosition{tablet: r.id, pos: pos})
	}
	return err
}

// columnsOf names the columns of an order once each.
func columnsOf(o *order) []string {
	var names []string
	for _, c := range o.columns {
		if indexOf(names, c.Name) < 0 {
			names = append(names, c.Name)
		}
	}
	return names
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}
