package connector

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// readPlan is what a configuration means for a table's schema.
type readPlan struct {
	columns []string // the projection
	outputs []predicate.Output
	filter  *predicate.Filter // nil without where
	// diffFilter is the one for diff scans, which push conditions on the key only.
	diffFilter *predicate.Filter
	order      *order
	start      startBound
	stop       stopBound
	encoder    serde.Encoder
	timestamp  int // place of timestamp.column in columns, -1 without
}

// startBound is offset.start.
type startBound struct {
	latest bool
	key    []byte // order key to begin at; nil: the first row
}

// stopBound is offset.stop.
type stopBound struct {
	key []byte // order key to stop before; nil: never
	// time is set when the streaming key begins with a time: until then rows
	// below the bound may still come.
	time time.Time
}

// planRead checks the configuration against the schema; the error joins all
// faults, each beginning with its key.
func planRead(cfg Config, schema *kudu.Schema) (*readPlan, error) {
	var faults []error
	fault := func(key string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
	}
	p := &readPlan{timestamp: -1}
	streaming := cfg.StreamingKey
	if len(streaming) == 0 {
		streaming = schema.KeyNames()
	}
	keys := cfg.KeyColumns
	if len(keys) == 0 {
		keys = streaming
	}
	fault("columns", p.setOutputs(cfg.Columns, schema))
	fault("where", p.setFilter(cfg.Where, schema))
	var missing error
	for _, k := range cfg.KeyColumns {
		if schema.Index(k) < 0 {
			missing = errors.Join(missing, noColumn(k, schema))
		}
	}
	fault("key.columns", missing)
	p.project(cfg.LateRows == lateRepair, append(append(schema.KeyNames(), streaming...), append(keys, cfg.TimestampColumn)...)...)
	if cfg.Mode == modeSweep {
		// A change of any column tells a row from the one that was published.
		p.project(false, digestColumns(schema)...)
	}
	var err error
	p.order, err = newOrder(streaming, schema, p.columns)
	fault("streaming.key", err)
	if err == nil {
		fault("offset.start", p.setStart(cfg))
		fault("offset.stop", p.setStop(cfg))
		fault("settle.delay.ms", checkSettle(cfg, p.order))
		fault("late.rows", checkLate(cfg, p.order))
		if !p.order.prefix {
			fault("sort.directory", checkSortDirectory(cfg))
		}
	}
	p.timestamp, err = timestampPlace(schema, p.columns, cfg.TimestampColumn)
	fault("timestamp.column", err)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	proj, err := schema.Project(p.columns...)
	if err != nil {
		return nil, fmt.Errorf("kudu.table: %w", err)
	}
	fields := make([]serde.Field, len(p.outputs))
	for i, o := range p.outputs {
		fields[i] = serde.Field{Column: o.Column, Name: o.Name}
	}
	p.encoder, err = serde.NewFieldEncoder(proj, keys, fields, serde.Options{
		Converter: cfg.ValueConverter, DecimalHandling: cfg.DecimalHandlingMode, TimePrecision: cfg.TimePrecisionMode,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *readPlan) setStart(cfg Config) error {
	if len(cfg.OffsetStartValues) == 0 {
		p.start.latest = cfg.OffsetStart == "latest"
		return nil
	}
	key, _, err := p.boundOf(cfg.OffsetStartValues)
	p.start.key = key
	return err
}

func (p *readPlan) setStop(cfg Config) error {
	if len(cfg.OffsetStopValues) == 0 {
		return nil
	}
	key, values, err := p.boundOf(cfg.OffsetStopValues)
	if err != nil {
		return err
	}
	p.stop.key = key
	switch c := p.order.columns[0]; c.Type {
	case kudu.UnixtimeMicros:
		p.stop.time = time.UnixMicro(values[0].(int64))
	case kudu.Date:
		p.stop.time = time.Unix(values[0].(int64)*86400, 0)
	}
	return nil
}

// boundOf reads values of the first columns of the streaming key.
func (p *readPlan) boundOf(given map[string]string) (key []byte, values []any, err error) {
	for i, c := range p.order.streaming {
		text, ok := given[c.Name]
		if !ok {
			if len(given) > i {
				return nil, nil, fmt.Errorf("column %q has no value, but later columns have: give values for the first columns of the streaming key %v", c.Name, names(p.order.streaming))
			}
			break
		}
		v, err := serde.ParseText(&c, text)
		if err != nil {
			return nil, nil, err
		}
		values = append(values, v)
	}
	if len(values) < len(given) {
		return nil, nil, fmt.Errorf("a column is named that is not in the streaming key %v", names(p.order.streaming))
	}
	key, err = p.order.bound(values)
	return key, values, err
}

func checkSettle(cfg Config, o *order) error {
	if cfg.SettleDelay == 0 {
		return nil
	}
	if t := o.columns[0].Type; t != kudu.UnixtimeMicros && t != kudu.Date {
		return fmt.Errorf("the streaming key begins with %q, a %s: only a time can settle", o.columns[0].Name, o.columns[0].TypeString())
	}
	return nil
}

// checkLate: in the middle of a walk the rows that are published are not those
// up to a place, and its snapshot, which tells them, may be lost on the way.
func checkLate(cfg Config, o *order) error {
	if cfg.LateRows == lateRepair && cfg.Order == orderNone && !o.prefix {
		return fmt.Errorf("order: none reads in no order of the streaming key %v, so that no row is below a place up to which others are published: choose order: key, or late.rows: ignore", names(o.streaming))
	}
	return nil
}

// checkSortDirectory looks whether files can be made where rows are to be
// sorted.
func checkSortDirectory(cfg Config) error {
	if cfg.Order == orderNone {
		return nil
	}
	return extsort.Check(cfg.SortDirectory)
}

func noColumn(name string, schema *kudu.Schema) error {
	return fmt.Errorf("the table has no column %q; its columns are %s", name, strings.Join(columnNames(schema), ", "))
}

func columnNames(schema *kudu.Schema) []string { return names(schema.Columns()) }

func names(cols []kudu.Column) []string {
	var all []string
	for _, c := range cols {
		all = append(all, c.Name)
	}
	return all
}

// timestampPlace finds timestamp.column in the projection.
func timestampPlace(schema *kudu.Schema, columns []string, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	i := slices.Index(columns, name)
	if i < 0 || schema.Index(name) < 0 {
		return -1, noColumn(name, schema)
	}
	if col := schema.Column(schema.Index(name)); col.Type != kudu.UnixtimeMicros {
		return -1, fmt.Errorf("column %q is a %s: only a UNIXTIME_MICROS column can be the record's timestamp", name, col.TypeString())
	}
	return i, nil
}
