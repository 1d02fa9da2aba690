package connector

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// runSweep is one run of a task in mode sweep, once it has fenced its
// predecessor and loaded what is stored (I3).
func (i *instance) runSweep(ctx context.Context, id int32, p *producer, stored *offsets.Loaded, alive func(), logger hclog.Logger, w *waits, seen observed) error {
	waiting := w.begin("the table's tablets")
	state, err := i.catalog.since(ctx, stored.ReadAt)
	waiting.end()
	if err != nil {
		return err
	}
	plan, err := planRead(i.cfg, state.table.Schema())
	if err != nil {
		return &FatalError{err}
	}
	sweep, err := planSweep(i.cfg, state.table.Schema(), plan)
	if err != nil {
		return &FatalError{err}
	}
	byTablet := make(map[string]offsets.Position)
	for key, pos := range stored.Positions {
		if key.Table != i.cfg.KuduTable {
			continue
		}
		if pos.TableID != "" && pos.TableID != state.table.ID() {
			return anotherTable(state.table, pos.TableID)
		}
		byTablet[key.Tablet] = pos
	}
	rd := reading{table: state.table, client: i.kudu, plan: plan, batchBytes: int(i.cfg.KuduScanBatchBytes), logger: logger, waits: w, seen: seen, late: lateRows{guard: sweep.guard(i.cfg.SnapshotGuard)}}
	tablets := state.tabletsOf(id, i.cfg)
	t, err := newSweepTask(&task{
		id: id, name: i.cfg.Name, table: i.cfg.KuduTable, topic: i.cfg.TopicName(),
		offsets: i.cfg.OffsetsTopic(i.worker.GroupID),
		limits:  limits{rows: i.cfg.TransactionMaxRows, bytes: i.cfg.TransactionMaxBytes, age: i.cfg.TransactionBoundaryInterval},
		encoder: plan.encoder, headers: i.cfg.HeadersEnable, tsColumn: plan.timestamp, logger: logger,
		producer: p, source: &offsetSource{read: rd}, changed: state.changed, waits: w, seen: seen,
		committed: func(rows int64) {
			alive()
			i.board.addRows(id, rows)
		},
	}, sweepOptions{
		reading: rd, sorting: sorting{budget: i.sorts, directory: i.cfg.SortDirectory}, sweep: sweep, tablets: tablets, stored: byTablet, journals: stored.Journals, gone: state.gone,
		scope: i.cfg.OrderScope, pace: pollPace{interval: i.cfg.PollInterval, max: i.cfg.PollMax}, throttle: i.throttles.of(id),
		counted: func(c SweepCounts) {
			i.board.addSwept(id, c)
			seen.task().Swept(c)
		},
	})
	if err != nil {
		return err
	}
	i.board.setTask(id, Running, nil)
	logger.Info("task runs", "tablets", len(tablets), "journals", len(stored.Journals))
	return t.loop(ctx)
}

// noJournals keeps another mode from leaving published rows unswept for good.
func noJournals(stored *offsets.Loaded) error {
	if len(stored.Journals) == 0 {
		return nil
	}
	return &FatalError{fmt.Errorf("%d journals of mode sweep are stored, whose rows were published and have yet to be swept: run the connector in mode sweep until they are, or give it another name", len(stored.Journals))}
}
