package connector

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

const modeSweep = "sweep"

// The values of sweep.action.
const (
	sweepDelete = "delete"
	sweepUpdate = "update"
	sweepNone   = "none"
)

// sweepPlan is what the configuration of mode sweep means for a table's schema.
type sweepPlan struct {
	order   *predicate.Order // sweep.order.by; nil without
	streams bool             // the order is that of the primary key
	action  string
	set     []setCell         // what sweep.action=update writes
	texts   map[string]string // the same as configured

	batchRows, journalRows int
	interval               time.Duration
	rate                   int64 // rows per second; 0: no limit
	dry                    bool
}

// guard is snapshot.guard as it serves the mode. A barrier takes the right to
// write, which who only looks may not have.
func (p *sweepPlan) guard(configured string) string {
	if p.dry || p.action == sweepNone {
		return guardNone
	}
	return configured
}

// setCell is one column of sweep.set.
type setCell struct {
	column kudu.Column
	place  int // in the table
	value  any // as a row's cell gives it
}

// planSweep checks the keys of mode sweep against the schema; the error joins
// all faults, each beginning with its key.
func planSweep(cfg Config, schema *kudu.Schema, read *readPlan) (*sweepPlan, error) {
	p := &sweepPlan{
		action: cfg.SweepAction, batchRows: int(cfg.SweepBatchRows), journalRows: int(cfg.SweepJournalRows),
		interval: cfg.SweepInterval, rate: cfg.SweepRate, dry: cfg.SweepDryRun, texts: cfg.SweepSet,
	}
	var faults []error
	fault := func(key string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
	}
	p.streams = true
	if len(cfg.SweepOrderBy) > 0 {
		order, err := predicate.OrderBy(schema, cfg.SweepOrderBy...)
		fault("sweep.order.by", err)
		if err == nil {
			p.order = order
			for i, k := range order.Keys() {
				p.streams = p.streams && k.Index == i && i < schema.NumKeys() && !k.Desc
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.SweepSet)) {
		cell, err := setCellOf(schema, name, cfg.SweepSet[name])
		fault("sweep.set."+name, err)
		p.set = append(p.set, cell)
	}
	if p.action == sweepUpdate && read.filter != nil && !slices.ContainsFunc(p.set, func(c setCell) bool { return read.filter.Mentions(c.column.Name) }) {
		fault("sweep.set", fmt.Errorf("changes no column that where looks at, so that swept rows would be published again and again: set one that makes them no longer meet %s", read.filter))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return p, nil
}

func setCellOf(schema *kudu.Schema, name, text string) (setCell, error) {
	place := schema.Index(name)
	if place < 0 {
		return setCell{}, noColumn(name, schema)
	}
	col := schema.Column(place)
	switch {
	case col.Key:
		return setCell{}, fmt.Errorf("column %q is of the primary key, which an update can't change", name)
	case col.Immutable:
		return setCell{}, fmt.Errorf("column %q is immutable", name)
	}
	v, err := serde.ParseText(col, text)
	if err != nil {
		return setCell{}, err
	}
	// As a cell gives it, to be compared with cells.
	one, err := kudu.NewSchema([]kudu.Column{*col})
	if err != nil {
		return setCell{}, err
	}
	b := kudu.NewBatchBuilder(one)
	if err := b.Append(v); err != nil {
		return setCell{}, err
	}
	return setCell{column: *col, place: place, value: b.Batch().Column(0).Value(0)}, nil
}

// sweepFaults are what is wrong with the keys of mode sweep by themselves.
func (c Config) sweepFaults() []Fault {
	var faults []Fault
	given := func(key string, is bool) {
		if is {
			faults = addFault(faults, Fault{Key: key, What: "belongs to mode sweep, but mode is " + c.Mode, Remedy: "remove it, or write mode: sweep", others: []string{"mode"}})
		}
	}
	if c.Mode != modeSweep {
		given("sweep.order.by", len(c.SweepOrderBy) > 0)
		given("sweep.set.*", len(c.SweepSet) > 0)
		given("sweep.dry.run", c.SweepDryRun)
		return faults
	}
	if c.Where == "" {
		faults = addFault(faults, Fault{Key: "where", What: "is required in mode sweep", Remedy: "say which rows are to be published and swept, such as: due <= now()"})
	}
	foreign := func(key string, is bool) {
		if is {
			faults = addFault(faults, Fault{Key: key, What: "belongs to mode offset, but mode is sweep", Remedy: "remove it; sweep.order.by orders, where chooses", others: []string{"mode"}})
		}
	}
	foreign("streaming.key", len(c.StreamingKey) > 0)
	foreign("offset.start", len(c.OffsetStartValues) > 0 || c.OffsetStart == "latest")
	foreign("offset.stop.*", len(c.OffsetStopValues) > 0)
	foreign("settle.delay.ms", c.SettleDelay > 0)
	foreign("late.rows", c.LateRows == lateRepair)
	foreign("order", c.Order == orderNone)
	if c.SnapshotGuard == guardLag {
		faults = addFault(faults, Fault{Key: "snapshot.guard", What: "lag isn't for mode sweep, which looks for what has just been swept", Remedy: "write barrier or none"})
	}
	switch {
	case c.SweepAction == sweepUpdate && len(c.SweepSet) == 0:
		faults = addFault(faults, Fault{Key: "sweep.set.*", What: "is required with sweep.action: update", Remedy: "say what marks a row as done, such as sweep.set.status: DONE"})
	case c.SweepAction != sweepUpdate && len(c.SweepSet) > 0:
		faults = addFault(faults, Fault{Key: "sweep.set.*", What: "needs sweep.action: update", Remedy: "remove it, or write sweep.action: update", others: []string{"sweep.action"}})
	}
	return faults
}
