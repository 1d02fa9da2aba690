package connector

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// SweepCounts tells what has become of rows that were published in mode sweep.
type SweepCounts struct {
	Swept   int64 // deleted or updated, as sweep.action says
	Gone    int64 // somebody else had done so already
	Changed int64 // changed before their sweep, and left where they are
	Again   int64 // changed in the moment of their sweep: published anew
	Failed  int64 // refused by Kudu
}

func (c *SweepCounts) add(o SweepCounts) {
	c.Swept += o.Swept
	c.Gone += o.Gone
	c.Changed += o.Changed
	c.Again += o.Again
	c.Failed += o.Failed
}

const (
	// sweepsAtOnce is how many journals of a task are finished at a time, and
	// sweepsBehind how many while a backlog is published: that goes first. None is
	// as long as the journal is less than half full.
	sweepsAtOnce = 4
	sweepsBehind = 1
	// replayTrust is for how long after its rows were read a journal's write is
	// sent again under its request id. Servers remember the answers of writes for
	// ten minutes (--remember_responses_ttl_ms in kudu-1.18.1
	// src/kudu/rpc/result_tracker.cc).
	replayTrust = 5 * time.Minute
	// lookTrust is for how long after the look a write may be sent. It is far less
	// than replayTrust, after which a successor no longer relies on the request id.
	lookTrust = 30 * time.Second
)

// sweptEntry is a journal that is finished: its rows are swept and audited.
type sweptEntry struct {
	*sweepEntry
	counts SweepCounts
	// again are rows that were changed between their publishing and their sweep,
	// as they were just before it; nil when there are none.
	again    *kudu.BatchBuilder
	snapshot kudu.Timestamp // of again
	written  kudu.Timestamp // the sweep's; 0 without
	// refused are rows that Kudu won't sweep, for the reason that failure tells.
	refused publishedRows
	failure error
}

// sweeper finishes journals: it sweeps their rows, and reads what they were just
// before. It has goroutines of its own between start and close.
type sweeper struct {
	keys   keyReader
	action string
	every  time.Duration
	pace   *throttle
	trust  time.Duration

	in     chan *sweepEntry
	work   chan *sweepEntry
	ready  chan struct{} // signalled when there is something finished
	failed chan error
	cancel context.CancelFunc
	wg     sync.WaitGroup

	refused atomic.Int64 // rows that can't be swept

	active atomic.Int32  // journals that are being finished
	most   atomic.Int32  // that may be
	turn   chan struct{} // signalled when active or most has changed

	mu   sync.Mutex
	done []*sweptEntry
}

func startSweeper(rd reading, p *sweepPlan, pace *throttle, trust time.Duration) *sweeper {
	s := &sweeper{
		keys: keyReader{rd, p.set, &sync.Pool{}}, action: p.action, every: p.interval, pace: pace, trust: trust,
		in: make(chan *sweepEntry), work: make(chan *sweepEntry), ready: make(chan struct{}, 1), failed: make(chan error, 1),
		turn: make(chan struct{}, 1),
	}
	s.most.Store(sweepsAtOnce)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.dispatch(ctx) })
	for range sweepsAtOnce {
		s.wg.Go(func() { s.run(ctx) })
	}
	return s
}

// close ends the goroutines and waits for them. A write that is under way has
// an unknown outcome then; the journal tells the next run of it.
func (s *sweeper) close() {
	s.cancel()
	s.wg.Wait()
}

// finish hands a journal over. Its rows must be committed in Kafka (I8).
func (s *sweeper) finish(e *sweepEntry) { s.in <- e }

// take gives what is finished.
func (s *sweeper) take() []*sweptEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.done
	s.done = nil
	return done
}

// allow says how many journals may be finished at a time.
func (s *sweeper) allow(n int32) {
	if s.most.Swap(n) != n {
		s.signal()
	}
}

func (s *sweeper) signal() {
	select {
	case s.turn <- struct{}{}:
	default:
	}
}

// dispatch holds journals back until their time has come. It always takes the
// next one, so that finish doesn't block.
func (s *sweeper) dispatch(ctx context.Context) {
	var waiting, due []*sweepEntry
	var tick <-chan time.Time
	if s.every > 0 {
		t := time.NewTicker(s.every)
		defer t.Stop()
		tick = t.C
	}
	for {
		var out chan<- *sweepEntry
		var next *sweepEntry
		if len(due) > 0 && s.active.Load() < s.most.Load() {
			out, next = s.work, due[0]
		}
		select {
		case e := <-s.in:
			if tick == nil || e.restored {
				due = append(due, e)
			} else {
				waiting = append(waiting, e)
			}
		case <-tick:
			due, waiting = append(due, waiting...), nil
		case out <- next:
			s.active.Add(1)
			due = due[1:]
		case <-s.turn:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sweeper) run(ctx context.Context) {
	for {
		select {
		case e := <-s.work:
			out, err := s.sweep(ctx, e)
			if err != nil {
				if ctx.Err() == nil {
					err = fmt.Errorf("sweeping %d published rows of tablet %s: %w", e.len(), e.key.Tablet, forGood(err))
					if fatal(err) {
						s.refused.Add(int64(e.len())) // none of them was written
					}
					select {
					case s.failed <- err:
					default: // one failure ends the task's run
					}
				}
				return
			}
			s.mu.Lock()
			s.done = append(s.done, out)
			s.mu.Unlock()
			s.active.Add(-1)
			s.signal()
			select {
			case s.ready <- struct{}{}:
			default:
			}
		case <-ctx.Done():
			return
		}
	}
}

// forGood marks failures that stay until somebody acts: they must not be met
// again and again.
func forGood(err error) error {
	var e *kudu.Error
	if errors.As(err, &e) && (e.Code == "NOT_AUTHORIZED" || e.Code == "FATAL_UNAUTHORIZED") {
		return &FatalError{fmt.Errorf("%w: grant the worker's user the right to write to the table; what was published and not swept stays in the journal until then", err)}
	}
	return err
}

// sweep finishes one journal.
//
// A look at the present first: rows that were changed since stay where they are,
// and are new rows to the next pass. Then the write, at a timestamp W that its
// server chooses; then the audit: a read at W, which shows each row as it was
// just before. So a change between the look and the write isn't lost either.
//
// If another run has stored the journal, its write may have been sent, see
// resume.
func (s *sweeper) sweep(ctx context.Context, e *sweepEntry) (*sweptEntry, error) {
	if err := s.pace.wait(ctx, e.len()); err != nil {
		return nil, err
	}
	out := &sweptEntry{sweepEntry: e}
	e.unpack()
	defer func() { e.rows, e.whole = journalledRows{}, nil }()
	if err := s.refresh(ctx, e); err != nil {
		return nil, err
	}
	p, err := s.look(ctx, e)
	if err != nil {
		return nil, err
	}
	if e.restored {
		return out, s.resume(ctx, out, p)
	}
	out.counts.Changed += int64(len(p.changed))
	out.counts.Gone += int64(len(p.gone))
	return out, s.writeAndAudit(ctx, out, e.journal.Request, p.unchanged, p.deadline)
}

// presence is what has become of a journal's rows by now, by their places.
type presence struct {
	view                     view
	unchanged, changed, gone []int
	// deadline is until when a write may rely on it.
	deadline time.Time
}

// look reads all rows of a journal.
func (s *sweeper) look(ctx context.Context, e *sweepEntry) (*presence, error) {
	p := &presence{deadline: time.Now().Add(lookTrust)}
	var err error
	if p.view, err = s.keys.look(ctx, e); err != nil {
		return nil, err
	}
	now, at, err := s.keys.read(ctx, e, e.all(), p.view, nil)
	if err != nil {
		return nil, err
	}
	p.view.at = at
	for i, st := range now {
		switch {
		case st.gone(s.action):
			p.gone = append(p.gone, i)
		case st.digest == e.rows.digests[i]:
			p.unchanged = append(p.unchanged, i)
		default:
			p.changed = append(p.changed, i)
		}
	}
	return p, nil
}

// writeAndAudit sweeps rows that were found unchanged.
func (s *sweeper) writeAndAudit(ctx context.Context, out *sweptEntry, id offsets.Request, rows []int, deadline time.Time) error {
	if len(rows) == 0 {
		return nil
	}
	w, err := s.write(ctx, out.sweepEntry, id, rows, deadline)
	if err != nil {
		return err
	}
	return s.settle(ctx, out, rows, w)
}

// settle audits the rows of a write, but for those that Kudu refused: they stay
// in a journal of their own.
func (s *sweeper) settle(ctx context.Context, out *sweptEntry, rows []int, w kudu.Written) error {
	out.written = max(out.written, w.Timestamp)
	if len(w.Refused) > 0 {
		refused := make(map[int]bool)
		for _, r := range w.Refused {
			key, err := kudu.EncodeKey(s.keys.plan.order.primary, r.Key)
			if err != nil {
				return fmt.Errorf("sweeping %d rows: %w", len(rows), r)
			}
			i, ours := out.rows.place(key)
			if !ours {
				return fmt.Errorf("sweeping %d rows: Kudu refuses another one: %w", len(rows), r)
			}
			if refused[i] {
				continue
			}
			refused[i] = true
			out.refused.add(out.rows.key(i), out.rows.digests[i])
		}
		out.counts.Failed += int64(out.refused.n)
		out.failure = &FatalError{fmt.Errorf("sweeping %d published rows of tablet %s: Kudu refuses %d of them, which stay in the journal; the first: %w", len(rows), out.key.Tablet, len(w.Refused), w.Refused[0])}
		rows = slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return refused[i] })
	}
	before, err := s.before(ctx, out, rows, viewOf(w), nil)
	if err != nil {
		return err
	}
	for _, i := range rows {
		out.count(i, before[i], s.action)
	}
	return nil
}

// count notes what a write that swept a row has met.
func (o *sweptEntry) count(row int, before rowState, action string) {
	switch {
	case before.gone(action):
		o.counts.Gone++
	case before.digest != o.rows.digests[row]:
		o.counts.Again++
	default:
		o.counts.Swept++
	}
}

// viewOf is what a write has met: the rows just before it, at a server that has
// all of what came before.
func viewOf(w kudu.Written) view { return view{at: w.Timestamp, server: w.Server} }

// newRequest makes an id that no write has had.
func newRequest() offsets.Request {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return offsets.Request{Client: hex.EncodeToString(id[:]), Seq: 1}
}

// write sweeps the rows, all in one operation of their tablet. It isn't sent
// after the deadline: a process that was asleep must not act on what it saw
// before.
func (s *sweeper) write(ctx context.Context, e *sweepEntry, id offsets.Request, rows []int, deadline time.Time) (kudu.Written, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	s.keys.logger.Trace("sweep begins", "rows", len(rows), "restored", e.restored)
	row := s.keys.table.NewRow()
	w, err := s.keys.table.WriteBatch(ctx, e.key.Tablet, kudu.RequestID(id), func(yield func(kudu.OpKind, *kudu.Row) bool) {
		for _, i := range rows {
			row.Reset()
			values, err := kudu.DecodeKey(s.keys.plan.order.primary, e.rows.key(i))
			if err != nil {
				panic(err) // our own bytes
			}
			row.SetAll(values...)
			kind := kudu.OpDeleteIgnore
			if s.action == sweepUpdate {
				kind = kudu.OpUpdateIgnore
				for _, c := range s.keys.set {
					row.SetAt(c.place, c.value)
				}
			}
			if !yield(kind, row) {
				return
			}
		}
	})
	if err == nil {
		s.keys.logger.Trace("sweep written", "rows", len(rows))
	}
	return w, err
}

// before reads the rows just before a write, and keeps those for publishing anew
// that differ from what was published and were swept, as counts tells.
func (s *sweeper) before(ctx context.Context, out *sweptEntry, rows []int, v view, counts func(i int) bool) ([]rowState, error) {
	var d *digester
	states, _, err := s.keys.read(ctx, out.sweepEntry, rows, v, func(i int, b *kudu.RowBatch, row int) {
		if counts != nil && !counts(i) {
			return
		}
		if d == nil {
			d, _ = newDigester(out.journal.Hash, out.journal.Columns, b.Schema()) // read has made one
		}
		if d.of(b, row) == out.rows.digests[i] || s.action == sweepUpdate && s.keys.marked(b, row) {
			return
		}
		if out.again == nil {
			out.again = kudu.NewBatchBuilder(b.Schema())
		}
		out.again.AppendFrom(b, row)
		out.snapshot = v.at
	})
	return states, err
}

// throttles are those of a connector's tasks, which outlive their runs: a task whose runs
// fail mustn't sweep faster than one that goes on.
type throttles struct {
	rate int64 // rows per second; 0: no limit

	mu     sync.Mutex
	byTask map[int32]*throttle
}

func (t *throttles) of(task int32) *throttle {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.byTask[task]
	if one == nil {
		one = &throttle{rate: t.rate}
		if t.byTask == nil {
			t.byTask = make(map[int32]*throttle)
		}
		t.byTask[task] = one
	}
	return one
}

// throttle spreads rows over time.
type throttle struct {
	rate int64 // per second; 0: no limit

	mu   sync.Mutex
	next time.Time
}

// wait returns when n more rows may be written, or ctx ends; then others may write
// instead.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t.rate == 0 || n == 0 {
		return ctx.Err()
	}
	takes := time.Duration(n) * time.Second / time.Duration(t.rate)
	t.mu.Lock()
	at := t.next
	if now := time.Now(); at.Before(now) {
		at = now
	}
	t.next = at.Add(takes)
	t.mu.Unlock()
	err := pause(ctx, time.Until(at))
	if err != nil {
		t.mu.Lock()
		t.next = t.next.Add(-takes)
		t.mu.Unlock()
	}
	return err
}
