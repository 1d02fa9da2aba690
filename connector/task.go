package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/grace"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// task is one run of one task, from fencing to its end. It joins source,
// encoder and transaction; nothing else does.
//
// Way of one row: mode_offset.go gives its batch; this file has serde encode
// it into a record (records.go) and sends it (txn.go).
type task struct {
	id       int32
	name     string // of the connector
	table    string
	topic    string
	offsets  string // topic
	limits   limits
	encoder  serde.Encoder
	headers  bool
	tsColumn int // place of timestamp.column in the projection; -1 without
	logger   hclog.Logger
	// committed is told the rows of each committed transaction.
	committed func(rows int64)
	// completed is told when everything up to offset.stop is committed.
	completed func()
	// changed is closed when the table is no longer what the task reads.
	changed <-chan struct{}
	waits   *waits
	seen    observed

	producer *producer
	source   source
	slabs    *slabPool
	slab     *slab
	tx       transaction
}

// patience is the part of task.shutdown.graceful.timeout.ms that a row may wait
// for room in the producer's buffer; the rest is for ending the transaction.
const patience = 2

// limits end a transaction, whichever is reached first.
type limits struct {
	rows, bytes int64
	age         time.Duration
}

// transaction is what the open transaction holds so far.
type transaction struct {
	open        bool
	began       time.Time
	rows, bytes int64
	late        int64            // of the rows
	points      map[string]point // by tablet id: the last row produced
	timer       *time.Timer      // fires when the transaction is old enough

	before int64     // rows of the one before
	ended  time.Time // when that was committed
}

// After EndTxn has answered, the coordinator still writes the markers for some
// milliseconds. What a next transaction sends meanwhile is held by the broker for
// 20 ms and more (add.partitions.to.txn.retry.backoff.ms, Kafka 4.0). So a small
// transaction that follows a small one waits for markersPause; measured with 1000
// rows per second, that takes a transaction from 27 ms to 10. In a large one
// neither matters.
const (
	markersPause = 5 * time.Millisecond
	fewRows      = 5_000
)

// loop publishes what the source gives until ctx ends or something fails. It
// returns nil when ctx has ended and everything produced is committed.
func (t *task) loop(ctx context.Context) error {
	t.tx.timer = time.NewTimer(time.Hour)
	t.tx.timer.Stop()
	defer t.tx.timer.Stop()
	t.tx.points = make(map[string]point)
	t.slabs = newSlabPool(t.producer.done)
	t.slab = t.slabs.get()
	if err := t.storeInitial(ctx); err != nil {
		return err
	}
	// A row that waits for room when the task is stopped isn't given up at once:
	// then the whole transaction would be.
	patient, cancel := grace.Outlive(ctx, context.WithoutCancel(ctx), t.producer.opts.StopTimeout/patience)
	defer cancel()
	completed := t.source.Completed()
	for {
		select {
		case b := <-t.source.Batches():
			if err := t.publish(ctx, patient, b); errors.Is(err, errStopped) {
				return t.finish(ctx)
			} else if err != nil {
				return t.giveUp(ctx, err)
			}
		case <-t.source.Drained():
			if err := t.commit(ctx); err != nil {
				return err
			}
		case <-t.tx.timer.C:
			if err := t.commit(ctx); err != nil {
				return err
			}
		case <-t.changed:
			if err := t.commit(ctx); err != nil {
				return err
			}
			return errChanged
		case <-completed:
			completed = nil
			if err := t.commit(ctx); err != nil {
				return err
			}
			t.completed()
		case err := <-t.source.Failed():
			// What came before the failure is whole.
			return errors.Join(err, t.commit(ctx))
		case <-ctx.Done():
			return t.finish(ctx)
		}
	}
}

// errStopped says that the task's context has ended between two rows: what was
// produced is whole.
var errStopped = errors.New("stopped between two rows")

// finish ends the task's run once its context has ended: what is open is
// committed, unless the task belongs to somebody else by now.
func (t *task) finish(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errLost) {
		return t.giveUp(ctx, cause)
	}
	return t.commit(ctx)
}

// stopCheck is after how many rows a task looks whether it is to stop.
const stopCheck = 64

// storeInitial commits positions that must be there before the first row.
func (t *task) storeInitial(ctx context.Context) error {
	initial, err := t.source.Initial()
	if err != nil || len(initial) == 0 {
		return err
	}
	var records []*kgo.Record
	for _, p := range initial {
		key := offsets.Key{Connector: t.name, Table: t.table, Tablet: p.tablet}
		var r *kgo.Record
		if p.retire {
			r, err = offsets.Tombstone(t.offsets, t.id, key)
		} else {
			r, err = offsets.Record(t.offsets, t.id, key, p.pos)
		}
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	return t.end(ctx, records)
}

// publish produces the rows of a batch, ending transactions on the way when
// they are full.
func (t *task) publish(ctx, patient context.Context, b *batch) error {
	defer b.done()
	if b.end != nil {
		return t.store(ctx, b)
	}
	now := time.Now()
	headers := t.headersOf(b)
	for i := range b.published() {
		row := b.row(i)
		if i%stopCheck == 0 && ctx.Err() != nil {
			if i > 0 && t.tx.open {
				t.cover(b, b.row(i-1))
			}
			return errStopped
		}
		if !t.tx.open {
			if err := t.begin(ctx); err != nil {
				return err
			}
		}
		size, err := t.produce(patient, b, row, now, headers.of(b, row))
		if err != nil {
			return t.keepBefore(ctx, b, row, err)
		}
		t.tx.rows++
		t.tx.bytes += int64(size)
		if b.late {
			t.tx.late++
		}
		if t.tx.rows >= t.limits.rows || t.tx.bytes >= t.limits.bytes {
			t.cover(b, row)
			if err := t.commit(ctx); err != nil {
				return err
			}
		}
	}
	if t.tx.open {
		t.cover(b, b.rows.NumRows()-1)
	}
	return nil
}

// store puts a position into the transaction that stands for no row.
func (t *task) store(ctx context.Context, b *batch) error {
	if !t.tx.open {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	t.tx.points[b.tablets[0].id] = *b.end
	return nil
}

// keepBefore commits the rows before one that was refused: they are whole, and
// would be produced and aborted in each run until somebody mends that row. It
// returns why the run ends.
func (t *task) keepBefore(ctx context.Context, b *batch, row int, cause error) error {
	var refused *FatalError
	if !errors.As(cause, &refused) || t.tx.rows == 0 {
		return cause
	}
	if row > 0 {
		t.cover(b, row-1) // it is in this transaction, since that is not empty
	}
	if err := t.commit(ctx); err != nil {
		return err // the next run meets the row again
	}
	return cause
}

// cover notes that the transaction holds the batch's rows up to this one.
func (t *task) cover(b *batch, row int) {
	b.last(row, func(r *tabletReader, row int) {
		t.tx.points[r.id] = b.pointAt(row)
		t.seen.progress.produced(r)
	})
}

// produce encodes one row and hands it to the producer. It gives the bytes of
// key and value.
func (t *task) produce(ctx context.Context, b *batch, row int, now time.Time, headers []kgo.RecordHeader) (int, error) {
	if t.slab.full() {
		t.slab.unref()
		t.slab = t.slabs.get()
	}
	s := t.slab
	start := len(s.bytes)
	buf, err := t.encoder.AppendKey(s.bytes, b.rows, row)
	if err != nil {
		return 0, t.refuse(b, row, err)
	}
	mid := len(buf)
	if buf, err = t.encoder.AppendValue(buf, b.rows, row); err != nil {
		return 0, t.refuse(b, row, err)
	}
	end := len(buf)
	s.bytes = buf
	r := s.add()
	*r = kgo.Record{
		Key: buf[start:mid:mid], Value: buf[mid:end:end], Headers: headers, Timestamp: timestampOf(b, row, t.tsColumn, now), Topic: t.topic,
	}
	if err := t.producer.produce(ctx, r, s.promise); err != nil {
		return 0, err
	}
	return end - start, nil
}

// timestampOf is a record's timestamp: that of the column, if there is one and it
// has a value.
func timestampOf(b *batch, row, column int, now time.Time) time.Time {
	if column >= 0 {
		if cell := b.rows.Column(column); !cell.IsNull(row) {
			return time.UnixMicro(cell.Int64(row))
		}
	}
	return now
}

// refuse names the row that can't be encoded (I5).
func (t *task) refuse(b *batch, row int, err error) error {
	var pos offsets.Position
	if posErr := b.order.store(&pos, b.order.appendKey(nil, b.rows, row)); posErr != nil {
		return &FatalError{errors.Join(err, posErr)}
	}
	return &FatalError{fmt.Errorf("encoding the row %s of tablet %s: %w", pos.PrimaryKey, b.tablet(row).id, err)}
}

func (t *task) begin(ctx context.Context) error {
	if wait := time.Until(t.tx.ended.Add(markersPause)); wait > 0 && t.tx.before < fewRows {
		_ = pause(ctx, wait) // who is stopped goes on at once
	}
	if err := t.producer.begin(ctx); err != nil {
		return err
	}
	t.tx.open, t.tx.began = true, time.Now()
	t.tx.timer.Reset(t.limits.age)
	t.logger.Trace("transaction begun")
	return nil
}

// commit ends the open transaction, if there is one, with the positions of all
// tablets that have rows in it (I1).
func (t *task) commit(ctx context.Context) error {
	if !t.tx.open {
		return nil
	}
	records, err := t.positions()
	if err != nil {
		return t.giveUp(ctx, err)
	}
	return t.end(ctx, records)
}

// end commits the open transaction with these positions.
func (t *task) end(ctx context.Context, records []*kgo.Record) error {
	t.logger.Trace("transaction ends", "rows", t.tx.rows, "bytes", t.tx.bytes)
	waiting := t.waits.begin("Kafka's commit of a transaction")
	out, err := t.producer.end(ctx, records)
	waiting.end()
	t.tellEnd(out)
	if out != committed {
		// Aborted or unknown: what the offsets topic says is the truth. The next
		// run reads it, after fencing.
		t.tx.open = false
		return &errReload{outcome: out, err: err}
	}
	t.logger.Trace("transaction committed", "rows", t.tx.rows)
	t.seen.progress.commit(t.tx.points)
	t.committed(t.tx.rows)
	t.tx.before, t.tx.ended = t.tx.rows, time.Now()
	t.reset()
	return nil
}

// tellEnd tells how the transaction has ended.
func (t *task) tellEnd(out outcome) {
	t.seen.task().Transaction(TransactionEnd{
		Outcome: out.told(), Rows: t.tx.rows, Late: t.tx.late, Bytes: t.tx.bytes, Took: time.Since(t.tx.began),
	})
}

// positions renders where the tablets stand that have rows in the transaction.
func (t *task) positions() ([]*kgo.Record, error) {
	records := make([]*kgo.Record, 0, len(t.tx.points))
	for tablet, p := range t.tx.points {
		pos, err := t.source.Position(p)
		if err != nil {
			return nil, err
		}
		r, err := offsets.Record(t.offsets, t.id, offsets.Key{Connector: t.name, Table: t.table, Tablet: tablet}, pos)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func (t *task) reset() {
	t.tx.open, t.tx.rows, t.tx.bytes, t.tx.late = false, 0, 0, 0
	clear(t.tx.points)
	t.tx.timer.Stop()
}

// giveUp aborts the open transaction, so that Kafka need not wait for it to
// time out, and returns why.
func (t *task) giveUp(ctx context.Context, cause error) error {
	if t.tx.open {
		t.tx.open = false
		defer t.waits.begin("Kafka's abort of a transaction").end()
		out, err := t.producer.abort(ctx)
		t.tellEnd(out)
		if out != aborted {
			t.logger.Debug("aborting the transaction", "outcome", out, "error", err)
		}
	}
	return cause
}

// lateHeader marks the rows of a repair, also without headers.enable.
var lateHeader = kgo.RecordHeader{Key: "kudu.late", Value: []byte("true")}

// batchHeaders are the headers of a batch's records, by tablet; nil when they
// have none.
type batchHeaders [][]kgo.RecordHeader

func (h batchHeaders) of(b *batch, row int) []kgo.RecordHeader {
	switch {
	case h == nil:
		return nil
	case b.from == nil:
		return h[0]
	}
	return h[b.from[row]]
}

func (t *task) headersOf(b *batch) batchHeaders {
	if !t.headers {
		if b.late {
			return batchHeaders{{lateHeader}}
		}
		return nil
	}
	all := make(batchHeaders, len(b.tablets))
	for n, tablet := range b.tablets {
		all[n] = rowHeaders(t.table, tablet.id, b.snapshot, modeOffset)
		if b.late {
			all[n] = append(all[n], lateHeader)
		}
	}
	return all
}

// rowHeaders are what headers.enable adds to the records of a tablet's rows.
func rowHeaders(table, tablet string, at kudu.Timestamp, mode string) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: "kudu.table", Value: []byte(table)},
		{Key: "kudu.tablet", Value: []byte(tablet)},
		{Key: "kudu.snapshot", Value: []byte(fmt.Sprint(uint64(at)))},
		{Key: "kudu.mode", Value: []byte(mode)},
	}
}
