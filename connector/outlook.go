package connector

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// Outlook is what a connector would do with its table as it is now, worked out
// without doing any of it: for checks before the start, and for people. It is
// made by CheckTable, and immutable.
type Outlook struct {
	cfg   Config
	table *kudu.Table
	read  *readPlan
	sweep *sweepPlan // nil in other modes
}

// newOutlook checks the configuration against the table; the error joins all
// faults, each beginning with its key.
func newOutlook(cfg Config, table *kudu.Table) (*Outlook, error) {
	o := &Outlook{cfg: cfg, table: table}
	var err error
	if o.read, err = planRead(cfg, table.Schema()); err != nil {
		return nil, err
	}
	if cfg.Mode == modeSweep {
		o.sweep, err = planSweep(cfg, table.Schema(), o.read)
	}
	return o, err
}

// Way is how a tablet's rows are found.
type Way string

// The ways, from the cheapest on.
const (
	// WaySeek: one seek behind the last row published; the streaming key leads the
	// primary key.
	WaySeek Way = "seek"
	// WayMerge: the same in all tablets at once, merged into the table's order.
	WayMerge Way = "merge"
	// WayStream is mode sweep in the order of the primary key.
	WayStream Way = "stream"
	// WayWalk: a scan with a predicate on the streaming key, without a sort.
	WayWalk Way = "walk"
	// WaySort: the same, and what it finds is sorted.
	WaySort Way = "sort"
	// WayPick is mode sweep in another order: each pass looks at all rows that meet
	// where.
	WayPick Way = "pick"
)

// Way is how the connector finds rows.
func (o *Outlook) Way() Way {
	whole := o.cfg.OrderScope == scopeTable
	switch {
	case o.sweep != nil && o.sweep.streams:
		return WayStream
	case o.sweep != nil:
		return WayPick
	case o.read.order.prefix && whole:
		return WayMerge
	case o.read.order.prefix:
		return WaySeek
	case o.cfg.Order == orderNone:
		return WayWalk
	}
	return WaySort
}

// Table is the table as it was looked at.
func (o *Outlook) Table() *kudu.Table { return o.table }

// StreamingKey are the columns that order the rows.
func (o *Outlook) StreamingKey() []string { return names(o.read.order.streaming) }

// KeyColumns are the columns of the record's key.
func (o *Outlook) KeyColumns() []string {
	if len(o.cfg.KeyColumns) > 0 {
		return o.cfg.KeyColumns
	}
	return o.StreamingKey()
}

// Columns are what scans read, each once.
func (o *Outlook) Columns() []string { return o.read.columns }

// Outputs are the value's members, by name, with the column of each.
func (o *Outlook) Outputs() []predicate.Output { return o.read.outputs }

// Where says for each part of where whether Kudu evaluates it; nil without one.
func (o *Outlook) Where() []predicate.Conjunct {
	if o.read.filter == nil {
		return nil
	}
	return o.read.filter.Explain()
}

// WhereOfRepairs is Where for the diff scans of late.rows=repair.
func (o *Outlook) WhereOfRepairs() []predicate.Conjunct {
	if o.read.diffFilter == nil {
		return nil
	}
	return o.read.diffFilter.Explain()
}

// Never reports that no row can meet where at that time, whatever the table
// holds.
func (o *Outlook) Never(now time.Time) bool {
	return o.read.filter != nil && o.read.filter.At(now).Never()
}

// UsesNow reports whether where names now().
func (o *Outlook) UsesNow() bool { return o.read.filter != nil && o.read.filter.UsesNow() }

// Empty reports that offset.stop isn't behind offset.start: nothing will be read.
func (o *Outlook) Empty() bool {
	return o.read.start.key != nil && o.read.stop.key != nil && string(o.read.start.key) >= string(o.read.stop.key)
}

// TaskOf is the task that reads a tablet.
func (o *Outlook) TaskOf(t *kudu.Tablet) int32 {
	if o.cfg.OrderScope == scopeTable {
		return 0
	}
	return taskOf(t.Partition, o.table.PartitionSchema(), o.cfg.TasksMax)
}

// StoredPlan is what the offsets topic holds once the connector runs.
func (o *Outlook) StoredPlan() offsets.Plan {
	return offsets.Plan{Table: o.cfg.KuduTable, TableID: o.table.ID(), Tasks: o.cfg.TasksMax, OrderScope: o.cfg.OrderScope, Ready: true}
}

// ComparePlan reports whether what is stored is what the connector wants. The
// error says that the table was made anew since, which keeps it from running.
func (o *Outlook) ComparePlan(stored *offsets.Plan) (same bool, err error) {
	return comparePlan(stored, o.StoredPlan(), o.table)
}

// Check reports why a stored position keeps the connector from running, nil if
// it doesn't.
func (o *Outlook) Check(pos offsets.Position) error {
	if pos.TableID != "" && pos.TableID != o.table.ID() {
		return anotherTable(o.table, pos.TableID)
	}
	if pos.Mode != o.cfg.Mode {
		return fmt.Errorf("it was stored in mode %q, but the connector runs in mode %q: reset the connector's offsets, or give the connector another name", pos.Mode, o.cfg.Mode)
	}
	if o.sweep != nil {
		return nil
	}
	src := &offsetSource{read: reading{table: o.table, plan: o.read, late: lateRows{repair: o.cfg.LateRows == lateRepair}}}
	r := &tabletReader{}
	if err := src.restore(r, pos); err != nil {
		return err
	}
	return src.restoreCovered(r, pos)
}

// FirstScan is what the first look at a tablet asks Kudu for. Bounds are JSON
// objects of columns, for people; nil is none.
type FirstScan struct {
	Ordered    bool
	From       json.RawMessage // inclusive
	After      json.RawMessage // exclusive
	To         json.RawMessage // exclusive
	Predicates []string
	// Latest: the last row that is there is looked for first, by reading the key
	// columns of all rows.
	Latest bool
	// Never: no row can meet where, so that nothing is asked.
	Never bool

	// Options are what Table.Prune goes by.
	Options kudu.ScanOptions
}

// FirstScan works out the first look at a tablet, from its stored position or
// without one, at a time of the cluster. begun says that the connector has stored
// positions already.
func (o *Outlook) FirstScan(stored *offsets.Position, begun bool, now time.Time) (FirstScan, error) {
	var f FirstScan
	r, err := o.begin(stored, begun)
	if err != nil {
		return f, err
	}
	f.Latest = stored == nil && !begun && o.read.start.latest || stored != nil && stored.Phase == phaseStart
	if err := o.bound(&f, r, now); err != nil {
		return f, err
	}
	if o.read.filter != nil {
		b := o.read.filter.At(now)
		f.Never = b.Never()
		f.Options.Predicates = append(f.Options.Predicates, b.ScanPredicates()...)
	}
	for _, p := range f.Options.Predicates {
		f.Predicates = append(f.Predicates, o.predicateText(p))
	}
	f.Options.Columns, f.Options.Ordered = o.read.columns, f.Ordered
	return f, nil
}

// begin is the reader of a tablet as a task that starts would have it.
func (o *Outlook) begin(stored *offsets.Position, begun bool) (*tabletReader, error) {
	r := &tabletReader{}
	switch {
	case o.sweep != nil:
	case stored != nil:
		src := &offsetSource{read: reading{table: o.table, plan: o.read}}
		return r, src.restore(r, *stored)
	case o.read.start.latest && begun:
		// A range partition that was added since: from its first row.
	default:
		r.from = o.read.start.key
	}
	return r, nil
}

// bound fills in where the scan begins and ends.
func (o *Outlook) bound(f *FirstScan, r *tabletReader, now time.Time) (err error) {
	if o.sweep != nil {
		f.Ordered = o.sweep.streams
		return nil
	}
	f.Ordered = true
	upper := o.read.stop.key
	if o.cfg.SettleDelay > 0 {
		settled, err := o.read.order.bound([]any{timeValue(o.read.order.columns[0], now.Add(-o.cfg.SettleDelay))})
		if err != nil {
			return err
		}
		if upper == nil || string(settled) < string(upper) {
			upper = settled
		}
	}
	for _, b := range []struct {
		key  []byte
		text *json.RawMessage
	}{{r.from, &f.From}, {r.hwm, &f.After}, {upper, &f.To}} {
		if b.key != nil {
			if *b.text, err = o.keyText(b.key); err != nil {
				return err
			}
		}
	}
	if o.read.order.prefix {
		f.Options.From, f.Options.After, f.Options.To = r.from, r.hwm, upper
		return nil
	}
	f.Options.Predicates, err = o.read.order.pushed(keyBounds{after: r.hwm, from: r.from, before: upper})
	return err
}

// keyText renders an order key.
func (o *Outlook) keyText(key []byte) (json.RawMessage, error) {
	streaming, primary, err := o.read.order.split(key)
	if err != nil {
		return nil, err
	}
	if o.read.order.prefix {
		return serde.MarshalValues(o.read.order.primary, primary)
	}
	return serde.MarshalValues(o.read.order.streaming, streaming)
}

// predicateText renders a predicate with its values as records show them.
func (o *Outlook) predicateText(p kudu.Predicate) string {
	schema := o.table.Schema()
	i := schema.Index(p.Column)
	if i < 0 {
		return p.String()
	}
	var values []string
	for _, v := range p.Values() {
		text, err := valueText(*schema.Column(i), v)
		if err != nil {
			return p.String()
		}
		values = append(values, text)
	}
	switch {
	case len(values) == 0:
		return p.Column + " " + p.Sign()
	case p.Sign() == "IN":
		const most = 10
		if n := len(values); n > most {
			values = append(values[:most], fmt.Sprintf("and %d more", n-most))
		}
		return fmt.Sprintf("%s IN (%s)", p.Column, strings.Join(values, ", "))
	}
	return fmt.Sprintf("%s %s %s", p.Column, p.Sign(), values[0])
}

// valueText renders one value as JSON.
func valueText(col kudu.Column, v any) (string, error) {
	if t, is := v.(time.Time); is {
		v = t.UnixMicro()
		if col.Type == kudu.Date {
			v = t.Unix() / 86400
		}
	}
	object, err := serde.MarshalValues([]kudu.Column{col}, []any{v})
	if err != nil {
		return "", err
	}
	var member map[string]json.RawMessage
	if err := json.Unmarshal(object, &member); err != nil {
		return "", err
	}
	return string(member[col.Name]), nil
}

// RangeText renders an encoded range key of the table's partitioning, nil when it
// is unbounded.
func (o *Outlook) RangeText(key []byte) (json.RawMessage, error) {
	if len(key) == 0 {
		return nil, nil
	}
	schema := o.table.Schema()
	var cols []kudu.Column
	for _, name := range o.table.PartitionSchema().Range {
		cols = append(cols, *schema.Column(schema.Index(name)))
	}
	values, err := kudu.DecodeKey(cols, key)
	if err != nil {
		return nil, fmt.Errorf("reading a bound of a range partition: %w", err)
	}
	return serde.MarshalValues(cols, values)
}
