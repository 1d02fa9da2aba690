package connector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// Example is a row of the table as it would be published.
type Example struct {
	Tablet string
	// Row is the row's primary key, as a JSON object.
	Row string
	// Record is what would be sent; nil when the row can't be encoded.
	Record *kgo.Record
	// Err says why it can't.
	Err error
}

// ExampleOptions says which rows to read for examples.
type ExampleOptions struct {
	Client *kudu.Client
	// Tablets are read one after the other until there are enough rows.
	Tablets []*kudu.Tablet
	// Stored are the positions to begin behind, by tablet id.
	Stored map[string]offsets.Position
	// Rows is how many examples are wanted, Looked how many rows may be read for
	// them: where may let few of them pass.
	Rows, Looked int
}

// Examples reads the first rows that would be published, in the order of the
// primary key within a tablet, and encodes them. It writes nothing. Fewer come
// back when there are no more.
func (o *Outlook) Examples(ctx context.Context, opts ExampleOptions) ([]Example, error) {
	read, err := planRead(o.cfg, o.table.Schema()) // an encoder is for one goroutine
	if err != nil {
		return nil, err
	}
	e := &exampler{
		outlook: o, opts: opts, left: opts.Looked,
		reading: reading{table: o.table, client: opts.Client, plan: read, batchBytes: 64 << 10, logger: hclog.NewNullLogger()},
	}
	_, begun := opts.Stored[startMarker]
	for _, t := range opts.Tablets {
		if len(e.found) >= opts.Rows || e.left <= 0 {
			break
		}
		var stored *offsets.Position
		if pos, is := opts.Stored[t.ID]; is {
			stored = &pos
		}
		if err := e.tablet(ctx, t.ID, stored, begun); err != nil {
			return e.found, fmt.Errorf("reading rows of tablet %s: %w", t.ID, err)
		}
	}
	return e.found, nil
}

type exampler struct {
	reading
	outlook *Outlook
	opts    ExampleOptions
	found   []Example
	left    int // rows that may still be looked at
}

// tablet reads the tablet's first rows.
func (e *exampler) tablet(ctx context.Context, id string, stored *offsets.Position, begun bool) error {
	where, err := e.pass(ctx, id)
	if err != nil {
		return ignoreNothing(err)
	}
	first, err := e.outlook.FirstScan(stored, begun, time.Now())
	if err != nil {
		return err
	}
	r, err := e.outlook.begin(stored, begun)
	if err != nil {
		return err
	}
	bounds := keyBounds{after: r.hwm, from: r.from}
	scan := first.Options
	scan.Ordered, scan.BatchBytes, scan.Predicates = true, e.batchBytes, pushed(where)
	if e.outlook.sweep == nil && !e.plan.order.prefix {
		more, err := e.plan.order.pushed(bounds)
		if err != nil {
			return err
		}
		scan.Predicates = append(scan.Predicates, more...)
	}
	if where == nil || !where.Residual() {
		scan.Limit = uint64(e.opts.Rows)
	}
	sc, err := e.table.Scan(id, scan)
	if err != nil {
		return err
	}
	defer sc.Close()
	var sel []int32
	for len(e.found) < e.opts.Rows && e.left > 0 {
		rows, err := e.next(ctx, sc, id)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e.left -= rows.NumRows()
		sel = e.keep(where, rows, sel)
		b := &batch{rows: rows, keep: sel, snapshot: sc.Snapshot(), order: e.plan.order, tablets: []*tabletReader{r}}
		r.id = id
		e.take(b, bounds)
	}
	return nil
}

// take encodes rows of the batch until there are enough.
func (e *exampler) take(b *batch, bounds keyBounds) {
	var headers []kgo.RecordHeader
	if cfg := e.outlook.cfg; cfg.HeadersEnable {
		headers = rowHeaders(cfg.KuduTable, b.tablets[0].id, b.snapshot, cfg.Mode)
	}
	for n := 0; n < b.published() && len(e.found) < e.opts.Rows; n++ {
		row := b.row(n)
		key := e.plan.order.appendKey(nil, b.rows, row)
		if e.outlook.sweep == nil && !bounds.hold(key) {
			continue
		}
		ex := Example{Tablet: b.tablets[0].id}
		var pos offsets.Position
		if ex.Err = e.plan.order.store(&pos, key); ex.Err == nil {
			ex.Row = string(pos.PrimaryKey)
			ex.Record, ex.Err = e.record(b, row, headers)
		}
		e.found = append(e.found, ex)
	}
}

func (e *exampler) record(b *batch, row int, headers []kgo.RecordHeader) (*kgo.Record, error) {
	key, err := e.plan.encoder.AppendKey(nil, b.rows, row)
	if err != nil {
		return nil, err
	}
	value, err := e.plan.encoder.AppendValue(nil, b.rows, row)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{
		Topic: e.outlook.cfg.TopicName(), Key: key, Value: value, Headers: headers,
		Timestamp: timestampOf(b, row, e.plan.timestamp, time.Now()),
	}, nil
}

// RecordBytes is what a record counts for against producer.override.batch.size.
func RecordBytes(r *kgo.Record) int { return int(recordSize(r)) - recordBytes }

// PartitionOf is the partition of the topic that a record goes to; -1 when the
// producer chooses one for each batch.
func (o *Outlook) PartitionOf(r *kgo.Record, offsetsTopic string, partitions int) int {
	if r.Key == nil || partitions < 1 {
		return -1
	}
	return kafka.TaskPartitioner(offsetsTopic).ForTopic(r.Topic).Partition(r, partitions)
}
