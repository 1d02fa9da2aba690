package kudu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// SessionOptions bound what a session gathers. The zero value takes the
// defaults.
type SessionOptions struct {
	// BatchRows and BatchBytes bound the batch of one tablet: a fuller one is
	// sent. Defaults 10 000 and 1 MiB; a server takes no request beyond 50 MiB.
	BatchRows, BatchBytes int
	// MaxErrors bounds the refused rows that are kept for Flush; those beyond
	// are only counted. Default 1000.
	MaxErrors int
}

// Session writes rows to one table. Apply gathers them into one batch per
// tablet, and batches that are full are sent in the background, one at a time
// per tablet, so that the operations on one row take effect in the order they
// were applied. At most two batches per tablet are in memory; Apply waits when
// both are full. Safe for concurrent use.
//
// Close the session at the end; Flush before, or rows that were not sent are
// lost.
type Session struct {
	t      *Table
	opts   SessionOptions
	ctx    context.Context // of the batches' goroutines; ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	queues  map[string]*queue
	closed  bool
	scratch []byte
	done    Flushed
	failed  *FlushError
}

// queue is what a session holds for one tablet.
type queue struct {
	tablet  string
	open    *batch // takes rows; nil when there are none
	sending *batch // under way; nil when there is none
	spare   *batch // to be used again
}

// batch is a number of row operations for one tablet, encoded.
type batch struct {
	rows, indirect []byte
	starts         []int         // of each operation in rows
	due            bool          // to be sent as soon as the one before is done
	done           chan struct{} // closed when it is answered
}

func (b *batch) bytes() int { return len(b.rows) + len(b.indirect) }

// NewSession starts a session that writes to the table.
func (t *Table) NewSession(opts SessionOptions) *Session {
	if opts.BatchRows <= 0 {
		opts.BatchRows = 10_000
	}
	if opts.BatchBytes <= 0 {
		opts.BatchBytes = 1 << 20
	}
	if opts.MaxErrors <= 0 {
		opts.MaxErrors = 1000
	}
	s := &Session{t: t, opts: opts, queues: make(map[string]*queue)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.forgetOutcomes()
	return s
}

// Table is the table that the session writes to.
func (s *Session) Table() *Table { return s.t }

// Apply adds the operation on the row to its tablet's batch. The row may be
// used again at once. Apply fails when the row can't be written, has no
// partition, or ctx ends while it waits for room; the row isn't written then.
// How the write itself ends is told by Flush.
func (s *Session) Apply(ctx context.Context, kind OpKind, row *Row) error {
	const op = "writing a row to"
	if !kind.writes() {
		return &Error{Op: op, Table: s.t.name, Err: fmt.Errorf("%s is no operation on rows", kind)}
	}
	if row.layout != s.t.layout {
		return &Error{Op: op, Table: s.t.name, Err: errForeignRow}
	}
	if err := row.check(kind); err != nil {
		return &Error{Op: op, Table: s.t.name, Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tablet, err := s.route(ctx, row)
	if err != nil {
		return err
	}
	q := s.queues[tablet.ID]
	if q == nil {
		q = &queue{tablet: tablet.ID}
		s.queues[tablet.ID] = q
	}
	for {
		if s.closed {
			return &Error{Op: op, Table: s.t.name, Err: ErrClosed}
		}
		if q.open == nil || !q.open.due {
			break
		}
		wait := q.sending.done
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.mu.Lock()
		if err != nil {
			return &Error{Op: op, Table: s.t.name, Tablet: q.tablet, Err: fmt.Errorf("waiting for room: %w", err)}
		}
	}
	if q.open == nil {
		q.open = q.take()
	}
	b := q.open
	b.starts = append(b.starts, len(b.rows))
	b.rows, b.indirect = appendOp(b.rows, b.indirect, kind, row)
	if len(b.starts) >= s.opts.BatchRows || b.bytes() >= s.opts.BatchBytes {
		s.send(q)
	}
	return nil
}

// route finds the row's tablet; the session's lock is let go while the master
// is asked.
func (s *Session) route(ctx context.Context, row *Row) (*Tablet, error) {
	s.t.mu.Lock()
	r := s.t.router
	s.t.mu.Unlock()
	if r != nil {
		var tablet *Tablet
		if tablet, s.scratch = r.find(row, s.scratch); tablet != nil {
			return tablet, nil
		}
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	return s.t.route(ctx, row)
}

// take gives an empty batch.
func (q *queue) take() *batch {
	b := q.spare
	q.spare = nil
	if b == nil {
		b = &batch{}
	}
	b.rows, b.indirect, b.starts, b.due = b.rows[:0], b.indirect[:0], b.starts[:0], false
	b.done = make(chan struct{})
	return b
}

// send sends the open batch, now or when the one before is done. The caller
// holds the lock.
func (s *Session) send(q *queue) {
	if q.open == nil {
		return
	}
	q.open.due = true
	if q.sending != nil {
		return
	}
	b := q.open
	q.open, q.sending = nil, b
	s.wg.Go(func() {
		resp, _, err := s.t.write(s.ctx, "writing rows to", q.tablet, &pb.RowOperationsPB{Rows: b.rows, IndirectData: b.indirect})
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.batchFailed(q, b, err)
		} else {
			s.batchDone(q, b, resp)
			q.spare = b
		}
		q.sending = nil
		close(b.done)
		if q.open != nil && q.open.due && !s.closed {
			s.send(q)
		}
	})
}

// Flush sends what was applied and waits until it is answered. It returns what
// has become of the rows since the Flush before, and a *FlushError when some
// were refused, or their outcome isn't known. When ctx ends first, the batches
// stay under way.
func (s *Session) Flush(ctx context.Context) (Flushed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waits []chan struct{}
	for _, q := range s.queues {
		if q.sending != nil {
			waits = append(waits, q.sending.done)
		}
		if q.open != nil {
			waits = append(waits, q.open.done)
			s.send(q)
		}
	}
	s.mu.Unlock()
	var err error
	for _, wait := range waits {
		select {
		case <-wait:
		case <-ctx.Done():
			err = &Error{Op: "flushing writes to", Table: s.t.name, Err: ctx.Err()}
		}
	}
	s.mu.Lock()
	if err != nil {
		return Flushed{}, err
	}
	done, failed := s.done, s.failed
	s.forgetOutcomes()
	if len(failed.Rows)+len(failed.Batches)+failed.More > 0 {
		return done, failed
	}
	return done, nil
}

// Close ends the session and waits for its goroutines. Batches under way are
// given up: whether they are written isn't known. It may be called more than
// once.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		if q.open != nil && q.open.due {
			close(q.open.done) // a Flush may wait for it
			s.batchFailed(q, q.open, &Error{Op: "writing rows to", Table: s.t.name, Tablet: q.tablet, Err: ErrClosed})
			q.open = nil
		}
	}
	return nil
}

func (s *Session) forgetOutcomes() {
	s.done = Flushed{Tablets: make(map[string]Timestamp)}
	s.failed = &FlushError{table: s.t.name}
}

// batchDone takes note of an answer. The caller holds the lock.
func (s *Session) batchDone(q *queue, b *batch, resp *pb.WriteResponsePB) {
	ts := Timestamp(resp.GetTimestamp())
	s.done.Timestamp = max(s.done.Timestamp, ts)
	s.done.Tablets[q.tablet] = max(s.done.Tablets[q.tablet], ts)
	m := resp.GetResourceMetrics()
	ignored := int(m.GetInsertIgnoreErrors() + m.GetUpdateIgnoreErrors() + m.GetDeleteIgnoreErrors() + m.GetUpsertIgnoreErrors())
	s.done.Ignored += ignored
	s.done.Rows += len(b.starts) - len(resp.GetPerRowErrors()) - ignored
	for _, e := range resp.GetPerRowErrors() {
		if len(s.failed.Rows) >= s.opts.MaxErrors {
			s.failed.More++
			continue
		}
		s.failed.Rows = append(s.failed.Rows, s.t.rowError(q.tablet, b, e))
	}
}

// rowError names the row that an answer refuses.
func (t *Table) rowError(tablet string, b *batch, e *pb.WriteResponsePB_PerRowErrorPB) *RowError {
	st := e.GetError()
	out := &RowError{Table: t.name, Tablet: tablet, Code: nameOf(statusNames, st.GetCode()), Err: errors.New(st.GetMessage())}
	switch st.GetCode() {
	case statusAlreadyPresent:
		out.Err = fmt.Errorf("%w: %s", ErrAlreadyPresent, st.GetMessage())
	case statusNotFound:
		out.Err = fmt.Errorf("%w: %s", ErrRowNotFound, st.GetMessage())
	case statusImmutable:
		out.Err = fmt.Errorf("%w: %s", ErrImmutable, st.GetMessage())
	}
	i := int(e.GetRowIndex())
	if i < 0 || i >= len(b.starts) {
		out.Err = fmt.Errorf("%w: the answer refuses row %d of %d: %w", ErrMalformed, i, len(b.starts), out.Err)
		return out
	}
	row := newRow(t.layout)
	var err error
	if out.Kind, _, err = decodeOp(row, b.rows[b.starts[i]:], b.indirect); err != nil {
		out.Err = errors.Join(out.Err, err) // our own bytes: can't happen
		return out
	}
	out.Key = row.key()
	return out
}

// batchFailed takes note of a batch that was not answered, or refused as a
// whole. The caller holds the lock.
func (s *Session) batchFailed(q *queue, b *batch, err error) {
	if errors.Is(err, ErrTabletNotFound) {
		// The range partition is gone; there may be another one.
		s.t.mu.Lock()
		s.t.router = nil
		s.t.mu.Unlock()
	}
	s.failed.Batches = append(s.failed.Batches, &BatchError{
		Tablet: q.tablet, Rows: len(b.starts), Err: err, layout: s.t.layout, ops: b.rows, indirect: b.indirect,
	})
}

// Written returns, without waiting, what has been answered since the last
// Flush; the next Flush tells it too.
func (s *Session) Written() Flushed {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.done
	out.Tablets = maps.Clone(out.Tablets)
	return out
}
