package connector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// With offset.start=latest a connector begins at one snapshot T, whichever task
// runs first, and whatever becomes of tasks.max before all have run. T is chosen
// when the plan is stored (migrate.go). The transaction that makes the plan ready
// gives each tablet of the table a position of phase start at T, and each
// partition a marker. So
//
//   - a tablet with a position of phase start begins behind the greatest row that
//     it has at T: rows that were there aren't published, and all that come later
//     above them are;
//   - one with another position goes on from there;
//   - one without a position, in a partition with the marker, is of a range
//     partition that was added since, and is read from its first row.
//
// These positions move with the tablets like all others. A partition without the
// marker is of a connector that began otherwise, or was reset by hand: a task that
// finds it has the plan stored anew, with what is missing.

// startMarker stands in the place of a tablet id in the marker.
const startMarker = "*"

// begun reports whether there is nothing to do before the tasks may run.
func (i *instance) begun(stored *offsets.Loaded) bool {
	if i.cfg.Mode != modeOffset || i.cfg.OffsetStart != "latest" || len(i.cfg.OffsetStartValues) > 0 {
		return true
	}
	_, marked := stored.Positions[offsets.Key{Connector: i.cfg.Name, Table: i.cfg.KuduTable, Tablet: startMarker}]
	return marked
}

// storedStarts is what the partitions have of the table when its plan is stored.
type storedStarts struct {
	markers map[int32]offsets.Position // by partition
	tablets map[string]bool            // those that have a position
}

// starts gives the positions of phase start that are missing, and the markers.
// Before is the plan by which the positions lie, nil if that isn't known.
func (i *instance) starts(ctx context.Context, state *tableState, stored storedStarts, before *offsets.Plan) ([]*kgo.Record, error) {
	if i.begun(&offsets.Loaded{}) {
		return nil, nil
	}
	at, err := i.startAt(ctx, state, stored.markers)
	if err != nil {
		return nil, fmt.Errorf("choosing the snapshot to begin at: %w", err)
	}
	pos := offsets.Position{Mode: modeOffset, Phase: phaseStart, TableID: state.table.ID(), Snapshot: uint64(at)}
	var records []*kgo.Record
	add := func(task int32, tablet string, pos offsets.Position) error {
		key := offsets.Key{Connector: i.cfg.Name, Table: i.cfg.KuduTable, Tablet: tablet}
		r, err := offsets.Record(i.cfg.OffsetsTopic(i.worker.GroupID), task, key, pos)
		records = append(records, r)
		return err
	}
	added := i.addedSince(state, stored, before)
	for task := range int32(i.cfg.TasksMax) {
		for _, t := range state.tabletsOf(task, i.cfg) {
			if stored.tablets[t.ID] || added[t.ID] {
				continue
			}
			if err := add(task, t.ID, pos); err != nil {
				return nil, err
			}
		}
	}
	pos.Phase = phaseStreaming
	for task := range int32(i.cfg.TasksMax) {
		if err := add(task, startMarker, pos); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// addedSince are the tablets whose partition had the marker already.
func (i *instance) addedSince(state *tableState, stored storedStarts, before *offsets.Plan) map[string]bool {
	added := make(map[string]bool)
	if before == nil || !before.Ready || before.Table != i.cfg.KuduTable {
		for _, t := range state.tablets {
			added[t.ID] = len(stored.markers) > 0
		}
		return added
	}
	then := i.cfg
	then.TasksMax, then.OrderScope = before.Tasks, before.OrderScope
	for task := range stored.markers {
		for _, t := range state.tabletsOf(task, then) {
			added[t.ID] = true
		}
	}
	return added
}

// startAt is the snapshot that the connector began at, or without a marker that
// says so the present.
func (i *instance) startAt(ctx context.Context, state *tableState, markers map[int32]offsets.Position) (kudu.Timestamp, error) {
	var known []uint64
	for m := range maps.Values(markers) {
		if m.Snapshot != 0 {
			known = append(known, m.Snapshot)
		}
	}
	if len(known) > 0 {
		return kudu.Timestamp(slices.Min(known)), nil
	}
	if len(state.tablets) == 0 {
		return 0, nil
	}
	return presentOf(ctx, state.table, state.tablets[0].ID)
}

// presentOf is the present time of the tablet's leader.
func presentOf(ctx context.Context, table *kudu.Table, tablet string) (kudu.Timestamp, error) {
	sc, err := table.Scan(tablet, kudu.ScanOptions{Columns: table.Schema().KeyNames(), Mode: kudu.ReadAtSnapshot, Limit: 1})
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	if _, err := sc.Next(ctx); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return sc.Snapshot(), nil
}

// startLatest puts the reader behind the last row that the tablet had when the
// connector began.
func (s *offsetSource) startLatest(ctx context.Context, r *tabletReader, start offsets.Position) error {
	if err := s.checkStored(start); err != nil {
		return err
	}
	at := kudu.Timestamp(start.Snapshot)
	if err := s.read.lastKey(ctx, r, at); errors.Is(err, kudu.ErrSnapshotTooOld) {
		return &FatalError{fmt.Errorf("the connector began at %s with offset.start: latest, and Kudu doesn't keep what was there then any more (kudu.table.history_max_age_sec of the table): reset the connector's offsets to begin now: %w", at, err)}
	} else if err != nil {
		return fmt.Errorf("finding its last row: %w", err)
	}
	pos := s.position()
	pos.Snapshot = start.Snapshot
	if r.hwm != nil {
		var err error
		if pos, err = s.Position(point{key: r.hwm, snapshot: at}); err != nil {
			return err
		}
		if s.read.late.repair {
			r.covered = r.covered.extend(r.hwm, at)
		}
	}
	s.initial = append(s.initial, storedPosition{tablet: r.id, pos: pos})
	return nil
}

// lastKey puts the reader behind the greatest row that the tablet has at the
// snapshot. Kudu can't read backwards, so the key columns of all rows are read;
// that happens once in a connector's life.
func (rd *reading) lastKey(ctx context.Context, r *tabletReader, at kudu.Timestamp) error {
	columns := columnsOf(rd.plan.order)
	sc, err := rd.table.Scan(r.id, kudu.ScanOptions{Columns: columns, Ordered: true, Snapshot: at, BatchBytes: rd.batchBytes})
	if err != nil {
		return err
	}
	defer sc.Close()
	places := rd.plan.order.placesIn(columns)
	var key []byte
	for {
		rows, err := rd.next(ctx, sc, r.id)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		first := 0
		if rd.plan.order.prefix {
			first = rows.NumRows() - 1 // the rows come in this order
		}
		for row := first; row < rows.NumRows(); row++ {
			if key = kudu.AppendKey(key[:0], rows, places, row); string(key) > string(r.hwm) {
				r.hwm = append(r.hwm[:0], key...)
			}
		}
	}
}
