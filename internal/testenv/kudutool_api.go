package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ColumnSpec describes a column to create. Type is Kudu's name: INT64, STRING,
// DECIMAL ...
type ColumnSpec struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Key         bool   `json:"key,omitempty"`
	Nullable    bool   `json:"nullable,omitempty"`
	Immutable   bool   `json:"immutable,omitempty"`
	Precision   int    `json:"precision,omitempty"` // of DECIMAL
	Scale       int    `json:"scale,omitempty"`     // of DECIMAL
	Length      int    `json:"length,omitempty"`    // of VARCHAR, in characters
	Default     any    `json:"default,omitempty"`   // a value, see Row
	Comment     string `json:"comment,omitempty"`
	Encoding    string `json:"encoding,omitempty"`
	Compression string `json:"compression,omitempty"`
}

// MarshalJSON renders the default as the tool takes values.
func (c ColumnSpec) MarshalJSON() ([]byte, error) {
	type plain ColumnSpec // without this method
	c.Default = toolValue(c.Default)
	return json.Marshal(plain(c))
}

// HashSpec is one level of hash partitions.
type HashSpec struct {
	Columns []string `json:"columns"`
	Buckets int      `json:"buckets"`
	Seed    int      `json:"seed,omitempty"`
}

// RangeSpec is the range partitions of a table: of all rows, if there are no
// bounds.
type RangeSpec struct {
	Columns []string    `json:"columns"`
	Bounds  []BoundSpec `json:"bounds,omitempty"`
}

// BoundSpec is one range partition, [lower,upper) unless told otherwise; a nil
// bound is open. Hash replaces the table's hash partitions in this range.
type BoundSpec struct {
	Lower          Row        `json:"lower,omitempty"`
	Upper          Row        `json:"upper,omitempty"`
	LowerExclusive bool       `json:"lower_exclusive,omitempty"`
	UpperInclusive bool       `json:"upper_inclusive,omitempty"`
	Hash           []HashSpec `json:"hash,omitempty"`
}

// TableSpec describes a table to create.
type TableSpec struct {
	Name     string       `json:"name"`
	Columns  []ColumnSpec `json:"columns"` // the key columns first
	Hash     []HashSpec   `json:"hash,omitempty"`
	Range    *RangeSpec   `json:"range,omitempty"`
	Replicas int          `json:"replicas,omitempty"` // default 1
	Comment  string       `json:"comment,omitempty"`
	// AutoIncrementing makes the key columns a non-unique key, to which Kudu
	// adds the column auto_incrementing_id.
	AutoIncrementing bool              `json:"auto_incrementing,omitempty"`
	ExtraConfigs     map[string]string `json:"extra_configs,omitempty"`
}

// AlterStep is a change of a table; exactly one member is set.
type AlterStep struct {
	AddColumn    *ColumnSpec       `json:"add_column,omitempty"`
	DropColumn   string            `json:"drop_column,omitempty"`
	RenameColumn *Rename           `json:"rename_column,omitempty"`
	RenameTable  string            `json:"rename_table,omitempty"`
	AddRange     *BoundSpec        `json:"add_range,omitempty"`
	DropRange    *BoundSpec        `json:"drop_range,omitempty"`
	ExtraConfigs map[string]string `json:"extra_configs,omitempty"`
}

// Rename gives a column another name.
type Rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Row is values by column: nil, bool, integers, floats (all bits are kept),
// string, RawString, []byte, time.Time for UNIXTIME_MICROS, and strings for
// decimals and dates (2026-01-02).
type Row map[string]any

// RawString is a STRING of any bytes, which needn't be text.
type RawString []byte

// MarshalJSON renders the values as the tool takes them.
func (r Row) MarshalJSON() ([]byte, error) {
	values := make(map[string]any, len(r))
	for name, value := range r {
		values[name] = toolValue(value)
	}
	return json.Marshal(values)
}

func toolValue(value any) any {
	switch v := value.(type) {
	case float64:
		return map[string]string{"bits": strconv.FormatUint(math.Float64bits(v), 16)}
	case float32:
		return map[string]string{"bits": strconv.FormatUint(uint64(math.Float32bits(v)), 16)}
	case RawString:
		return map[string][]byte{"base64": v}
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.999999999Z")
	default:
		return value
	}
}

// CreateTable creates a table and returns when its tablets are there.
func (t *KuduTool) CreateTable(ctx context.Context, spec TableSpec) error {
	return t.call(ctx, []string{"create"}, []any{spec}, nil)
}

// DropTable drops a table.
func (t *KuduTool) DropTable(ctx context.Context, table string) error {
	return t.call(ctx, []string{"drop", table}, nil, nil)
}

// AlterTable does the steps one after another, each for all tablets.
func (t *KuduTool) AlterTable(ctx context.Context, table string, steps ...AlterStep) error {
	input := make([]any, len(steps))
	for i, step := range steps {
		input[i] = step
	}
	return t.call(ctx, []string{"alter", table}, input, nil)
}

// RowError is a row that Kudu refused.
type RowError struct {
	Index   int    `json:"index"`  // in its batch, from 0
	Status  string `json:"status"` // such as ALREADY_PRESENT, NOT_FOUND
	Message string `json:"message"`
}

// Written is the outcome of a batch.
type Written struct {
	Rows      int64      `json:"rows"`      // written
	Timestamp int64      `json:"timestamp"` // the newest of their hybrid times; 0: none
	Errors    []RowError `json:"errors"`
}

// Writer gathers rows and writes them in batches. It is not safe for concurrent
// use, but several Writers are.
type Writer struct {
	tool    *KuduTool
	table   string
	pending []any
	known   bool // the tool's client was made after this Writer
}

// NewWriter returns a Writer of the table.
func (t *KuduTool) NewWriter(table string) *Writer { return &Writer{tool: t, table: table} }

// Write adds a row to the batch. The operation is insert, upsert, update or
// delete, or one of them with "_ignore". The row must not be changed before
// Flush.
func (w *Writer) Write(op string, row Row) {
	w.pending = append(w.pending, struct {
		Op  string `json:"op"`
		Row Row    `json:"row"`
	}{op, row})
}

// Pending returns how many rows Flush would write.
func (w *Writer) Pending() int { return len(w.pending) }

// Flush writes the batch and waits for the answers. Rows of one tablet are
// written in their order, with one timestamp, before those of the next batch. A
// refused row is no error but an entry in Written.Errors. After an error, any
// part of the batch may have been written.
func (w *Writer) Flush(ctx context.Context) (Written, error) {
	var written Written
	if len(w.pending) == 0 {
		return written, nil
	}
	args := []string{"write", w.table, "--batch=" + strconv.Itoa(len(w.pending))}
	if !w.known {
		args = append(args, "--fresh")
	}
	input := w.pending
	w.pending = nil
	err := w.tool.call(ctx, args, input, func(line []byte) error { return json.Unmarshal(line, &written) })
	w.known = err == nil
	return written, err
}

// Write writes rows with one operation, in one batch. A refused row is an error.
func (t *KuduTool) Write(ctx context.Context, table, op string, rows ...Row) (Written, error) {
	w := t.NewWriter(table)
	for _, row := range rows {
		w.Write(op, row)
	}
	written, err := w.Flush(ctx)
	if err == nil && len(written.Errors) > 0 {
		first := written.Errors[0]
		err = fmt.Errorf("writing row %d to table %s: %s (%d rows were refused)", first.Index, table, first.Message, len(written.Errors))
	}
	return written, err
}

// ReadOptions says what Read reads.
type ReadOptions struct {
	Table   string
	Columns []string // default: all
	// Snapshot is the hybrid time that the rows are read at: those written
	// strictly before it. 0: a time after all writes that have been answered.
	Snapshot int64
	// Since makes it a diff scan: the rows changed in [Since,Snapshot).
	Since int64
}

// ReadRow is a row of the oracle.
type ReadRow struct {
	Tablet  string `json:"tablet"`
	Deleted bool   `json:"deleted"` // in a diff scan
	// Row is the row as a JSON object, in column order, in the form that the
	// product publishes, except for floats: {"bits":"7ff8000000000000"}.
	Row json.RawMessage `json:"row"`
}

// Cells decodes the row; numbers are json.Number, floats float64 or float32.
func (r ReadRow) Cells() (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(r.Row))
	decoder.UseNumber()
	var cells map[string]any
	if err := decoder.Decode(&cells); err != nil {
		return nil, fmt.Errorf("decoding row: %w", err)
	}
	for name, cell := range cells {
		bits, isFloat := cell.(map[string]any)
		if !isFloat {
			continue
		}
		digits, _ := bits["bits"].(string)
		value, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("decoding column %s: %w", name, err)
		}
		if len(digits) == 8 {
			cells[name] = math.Float32frombits(uint32(value))
		} else {
			cells[name] = math.Float64frombits(value)
		}
	}
	return cells, nil
}

// ReadEnd is what Read tells after the last row.
type ReadEnd struct {
	Rows     int64 `json:"rows"`
	Snapshot int64 `json:"snapshot"` // the hybrid time that was read at
}

// Read gives each row to fn, tablet by tablet, each in primary key order.
func (t *KuduTool) Read(ctx context.Context, options ReadOptions, fn func(ReadRow) error) (ReadEnd, error) {
	args := []string{"read", options.Table}
	if len(options.Columns) > 0 {
		args = append(args, "--columns="+strings.Join(options.Columns, ","))
	}
	if options.Snapshot != 0 {
		args = append(args, "--snapshot="+strconv.FormatInt(options.Snapshot, 10))
	}
	if options.Since != 0 {
		args = append(args, "--diff="+strconv.FormatInt(options.Since, 10))
	}
	var end ReadEnd
	err := t.call(ctx, args, nil, func(line []byte) error {
		if bytes.HasPrefix(line, []byte(`{"end":`)) {
			return json.Unmarshal(line, &end)
		}
		var row ReadRow
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("decoding %s: %w", line, err)
		}
		return fn(row)
	})
	return end, err
}

// ToolReplica is where a copy of a tablet is.
type ToolReplica struct {
	Addr string `json:"addr"`
	Role string `json:"role"` // LEADER, FOLLOWER ...
}

// ToolTablet is a tablet; its keys are hex.
type ToolTablet struct {
	Tablet      string        `json:"tablet"`
	HashBuckets []int         `json:"hash_buckets"`
	Lower       string        `json:"lower"` // partition keys, [lower,upper)
	Upper       string        `json:"upper"`
	RangeLower  string        `json:"range_lower"`
	RangeUpper  string        `json:"range_upper"`
	Replicas    []ToolReplica `json:"replicas"`
}

// Locate returns the table's tablets in the order of their partition keys.
func (t *KuduTool) Locate(ctx context.Context, table string) ([]ToolTablet, error) {
	var tablets []ToolTablet
	err := t.call(ctx, []string{"locate", table}, nil, func(line []byte) error {
		var tablet ToolTablet
		err := json.Unmarshal(line, &tablet)
		tablets = append(tablets, tablet)
		return err
	})
	return tablets, err
}

// Placement is where a row belongs.
type Placement struct {
	Tablet       string `json:"tablet"` // "": in no range partition
	PartitionKey string `json:"partition_key"`
}

// Which tells where each row would go; a row needs only the partition columns.
func (t *KuduTool) Which(ctx context.Context, table string, rows ...Row) ([]Placement, error) {
	input := make([]any, len(rows))
	for i, row := range rows {
		input[i] = row
	}
	var placements []Placement
	err := t.call(ctx, []string{"which", table}, input, func(line []byte) error {
		var placement Placement
		err := json.Unmarshal(line, &placement)
		placements = append(placements, placement)
		return err
	})
	return placements, err
}

// GenerateOptions says what Generate writes. Row n of a kind and seed is always
// the same.
type GenerateOptions struct {
	Table string
	// Kind is narrow (event_time, id, user, amount), demo (orders), queue (for
	// sweeps) or wide (20 columns of all types); all are keyed by (event_time,
	// id) or, queue, by id.
	Kind     string
	Create   bool // the table, when it is missing
	Buckets  int  // of hash partitions on id; default 4
	Replicas int  // default 1

	Rows  int64
	Start int64  // number of the first row
	Seed  int64  // default 1
	Op    string // default insert

	// Rate is rows per second; 0: as quickly as possible. With a rate, Clock or
	// Ordered, rows are written in order, in batches.
	Rate    int64
	Ordered bool
	Batch   int  // default 1000
	Clock   bool // event times are the clock's, not row numbers times Step
	Threads int  // when not in order; default: processors
	Base    time.Time
	Step    time.Duration // default 1 ms
}

func (o GenerateOptions) args() []string {
	args := []string{"generate", o.Table, "--rows=" + strconv.FormatInt(o.Rows, 10), "--start=" + strconv.FormatInt(o.Start, 10)}
	add := func(name, value string, given bool) {
		if given {
			args = append(args, "--"+name+"="+value)
		}
	}
	add("kind", o.Kind, o.Kind != "")
	add("create", "true", o.Create)
	add("buckets", strconv.Itoa(o.Buckets), o.Buckets != 0)
	add("replicas", strconv.Itoa(o.Replicas), o.Replicas != 0)
	add("seed", strconv.FormatInt(o.Seed, 10), o.Seed != 0)
	add("op", o.Op, o.Op != "")
	add("rate", strconv.FormatInt(o.Rate, 10), o.Rate != 0)
	add("ordered", "true", o.Ordered)
	add("batch", strconv.Itoa(o.Batch), o.Batch != 0)
	add("clock", "true", o.Clock)
	add("threads", strconv.Itoa(o.Threads), o.Threads != 0)
	add("base-micros", strconv.FormatInt(o.Base.UnixMicro(), 10), !o.Base.IsZero())
	add("step-micros", strconv.FormatInt(o.Step.Microseconds(), 10), o.Step != 0)
	return args
}

// Generate fills a table. It gives progress, unless that is nil, the total so
// far: after each batch when rows are written in order, else each second. An
// error from progress, or the end of ctx, stops it; rows that were under way
// may then be written or not. The total is returned also with an error.
func (t *KuduTool) Generate(ctx context.Context, options GenerateOptions, progress func(total Written) error) (Written, error) {
	var total Written
	err := t.call(ctx, options.args(), nil, func(line []byte) error {
		var step struct {
			Total *int64 `json:"total"`
			Written
		}
		if err := json.Unmarshal(line, &step); err != nil {
			return fmt.Errorf("decoding %s: %w", line, err)
		}
		if step.Total != nil {
			total.Rows = *step.Total
		} else {
			total.Rows += step.Rows
			total.Errors = append(total.Errors, step.Errors...)
		}
		total.Timestamp = max(total.Timestamp, step.Timestamp)
		if progress == nil {
			return nil
		}
		return progress(total)
	})
	return total, err
}
