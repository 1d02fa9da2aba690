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
	// sweepsAtOnce is how many journals of a task are finished at a time.
	sweepsAtOnce = 4
	// replayTrust is for how long after its rows were read a journal's write is
	// sent again under its request id. Servers remember the answers of writes for
	// ten minutes (--remember_responses_ttl_ms in kudu-1.18.1
	// src/kudu/rpc/result_tracker.cc).
	replayTrust = 5 * time.Minute
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

	mu   sync.Mutex
	done []*sweptEntry
}

func startSweeper(rd reading, p *sweepPlan, trust time.Duration) *sweeper {
	s := &sweeper{
		keys: keyReader{rd, p.set}, action: p.action, every: p.interval, pace: &throttle{rate: p.rate}, trust: trust,
		in: make(chan *sweepEntry), work: make(chan *sweepEntry), ready: make(chan struct{}, 1), failed: make(chan error, 1),
	}
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
		if len(due) > 0 {
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
			due = due[1:]
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
					err = fmt.Errorf("sweeping %d published rows of tablet %s: %w", len(e.rows), e.key.Tablet, forGood(err))
					if fatal(err) {
						s.refused.Add(int64(len(e.rows)))
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
		return &FatalError{fmt.Errorf("%w: grant the worker's user the right to write to the table; the journal keeps the rows until then", err)}
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
// If the write may have been sent by an earlier run, a row of the journal that
// is there and unchanged says that it wasn't carried out: it would have swept
// that row. Without such a row the same request id tells, as long as servers
// remember it: they answer with the first W. After that, W is searched for in
// the history of the rows.
func (s *sweeper) sweep(ctx context.Context, e *sweepEntry) (*sweptEntry, error) {
	out := &sweptEntry{sweepEntry: e}
	if err := s.refresh(ctx, e); err != nil {
		return nil, err
	}
	all := make([]int, len(e.rows))
	for i := range all {
		all[i] = i
	}
	now, present, err := s.keys.read(ctx, e, all, 0, nil)
	if err != nil {
		return nil, err
	}
	var unchanged, gone []int
	for i, st := range now {
		switch {
		case st.gone(s.action):
			gone = append(gone, i)
		case st.digest == e.rows[i].digest:
			unchanged = append(unchanged, i)
		default:
			out.counts.Changed++
		}
	}
	trusted := !e.restored || present.Time().Sub(kudu.Timestamp(e.journal.Snapshot).Time()) < s.trust
	switch {
	case len(unchanged) == 0 && !e.restored:
		out.counts.Gone += int64(len(gone))
		return out, nil
	case len(unchanged) == 0 && !trusted:
		return out, s.reconstruct(ctx, out, gone, present)
	}
	id := kudu.RequestID{Client: e.journal.Request.Client, Seq: e.journal.Request.Seq}
	if !trusted {
		id = kudu.RequestID(newRequest())
	}
	s.keys.logger.Trace("sweep begins", "rows", len(unchanged), "restored", e.restored)
	w, err := s.write(ctx, e, id, unchanged)
	if err != nil {
		return nil, err
	}
	s.keys.logger.Trace("sweep written", "rows", len(unchanged))
	out.written = w
	if w < present {
		// It was carried out before the look.
		out.counts = SweepCounts{}
		return out, s.explain(ctx, out, all, w)
	}
	if e.restored && len(unchanged) == 0 {
		// An empty write now. Either none was carried out before, or its server
		// has forgotten it.
		return out, s.reconstruct(ctx, out, gone, present)
	}
	out.counts.Gone += int64(len(gone))
	return out, s.audit(ctx, out, unchanged, w)
}

// newRequest makes an id that no write has had.
func newRequest() offsets.Request {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return offsets.Request{Client: hex.EncodeToString(id[:]), Seq: 1}
}

// refresh makes the digests anew, from the rows as they were published, when
// columns that they were made of have been dropped or renamed.
func (s *sweeper) refresh(ctx context.Context, e *sweepEntry) error {
	schema := s.keys.table.Schema()
	if !slices.ContainsFunc(e.journal.Columns, func(c string) bool { return schema.Index(c) < 0 }) {
		return nil
	}
	e.journal.Columns = digestColumns(schema)
	all := make([]int, len(e.rows))
	for i := range all {
		all[i] = i
	}
	then, _, err := s.keys.read(ctx, e, all, kudu.Timestamp(e.journal.Snapshot), nil)
	if err != nil {
		return fmt.Errorf("reading the rows as they were published, since the table's columns have changed: %w", err)
	}
	for i := range e.rows {
		e.rows[i].digest = then[i].digest
	}
	return nil
}

// write sweeps the rows, all in one operation of their tablet.
func (s *sweeper) write(ctx context.Context, e *sweepEntry, id kudu.RequestID, rows []int) (kudu.Timestamp, error) {
	if err := s.pace.wait(ctx, len(rows)); err != nil {
		return 0, err
	}
	row := s.keys.table.NewRow()
	w, err := s.keys.table.WriteBatch(ctx, e.key.Tablet, id, func(yield func(kudu.OpKind, *kudu.Row) bool) {
		for _, i := range rows {
			row.Reset()
			row.SetAll(e.rows[i].values...)
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
	if err != nil {
		return 0, err
	}
	if len(w.Refused) > 0 {
		return 0, &FatalError{fmt.Errorf("sweeping %d rows is refused by Kudu, the first: %w", len(w.Refused), w.Refused[0])}
	}
	return w.Timestamp, nil
}

// audit looks at the rows of a write just before it.
func (s *sweeper) audit(ctx context.Context, out *sweptEntry, rows []int, w kudu.Timestamp) error {
	before, err := s.before(ctx, out, rows, w, nil)
	if err != nil {
		return err
	}
	s.judge(out, rows, before, nil)
	return nil
}

// explain finds out what a write did that another run has sent, and so which
// rows it was about: those that it changed.
func (s *sweeper) explain(ctx context.Context, out *sweptEntry, rows []int, w kudu.Timestamp) error {
	after, _, err := s.keys.read(ctx, out.sweepEntry, rows, w+1, nil)
	if err != nil {
		return err
	}
	before, err := s.before(ctx, out, rows, w, func(i int) bool { return after[i].gone(s.action) })
	if err != nil {
		return err
	}
	s.judge(out, rows, before, after)
	return nil
}

// before reads the rows just before w, and keeps those for publishing anew that
// differ from what was published and were swept, as counts tells.
func (s *sweeper) before(ctx context.Context, out *sweptEntry, rows []int, w kudu.Timestamp, counts func(i int) bool) ([]rowState, error) {
	var d *digester
	states, _, err := s.keys.read(ctx, out.sweepEntry, rows, w, func(i int, b *kudu.RowBatch, row int) {
		if counts != nil && !counts(i) {
			return
		}
		if d == nil {
			d, _ = newDigester(out.journal.Columns, b.Schema()) // read has made one
		}
		if d.of(b, row) == out.rows[i].digest || s.action == sweepUpdate && s.keys.marked(b, row) {
			return
		}
		if out.again == nil {
			out.again = kudu.NewBatchBuilder(b.Schema())
		}
		out.again.AppendFrom(b, row)
		out.snapshot = w
	})
	return states, err
}

// judge counts the rows. Without after, all were in the write.
func (s *sweeper) judge(out *sweptEntry, rows []int, before, after []rowState) {
	for _, i := range rows {
		switch {
		case before[i].gone(s.action):
			out.counts.Gone++
		case after != nil && !after[i].gone(s.action):
			out.counts.Changed++ // the write left it alone
		case before[i].digest != out.rows[i].digest:
			out.counts.Again++
		default:
			out.counts.Swept++
		}
	}
}

// reconstruct finds out when rows went that a forgotten write may have swept,
// and what they were just before. Rows that go at one timestamp were in one
// write. Whose write it was can't be told: the last values of a row that
// somebody else changed and deleted meanwhile are published too.
func (s *sweeper) reconstruct(ctx context.Context, out *sweptEntry, gone []int, present kudu.Timestamp) error {
	e := out.sweepEntry
	for len(gone) > 0 {
		lo, hi := kudu.Timestamp(e.journal.Snapshot), present
		for hi-lo > 1 {
			mid := lo + (hi-lo)/2
			states, _, err := s.keys.read(ctx, e, gone[:1], mid, nil)
			if errors.Is(err, kudu.ErrSnapshotTooOld) {
				s.keys.logger.Warn("published rows went before the history that Kudu keeps: they can't be audited", "tablet", e.key.Tablet, "rows", len(gone))
				out.counts.Gone += int64(len(gone))
				return nil
			}
			if err != nil {
				return err
			}
			if states[gone[0]].gone(s.action) {
				hi = mid
			} else {
				lo = mid
			}
		}
		after, _, err := s.keys.read(ctx, e, gone, lo+1, nil)
		if err != nil {
			return err
		}
		then, _, err := s.keys.read(ctx, e, gone, lo, nil)
		if err != nil {
			return err
		}
		went := func(i int) bool { return !then[i].gone(s.action) && after[i].gone(s.action) }
		var together, rest []int
		for n, i := range gone {
			if n == 0 || went(i) {
				together = append(together, i)
			} else {
				rest = append(rest, i)
			}
		}
		before, err := s.before(ctx, out, together, lo, went)
		if err != nil {
			return err
		}
		s.judge(out, together, before, after)
		out.written = max(out.written, lo)
		gone = rest
	}
	return nil
}

// throttle spreads rows over time.
type throttle struct {
	rate int64 // per second; 0: no limit

	mu   sync.Mutex
	next time.Time
}

// wait returns when n more rows may be written, or ctx ends.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t.rate == 0 || n == 0 {
		return ctx.Err()
	}
	t.mu.Lock()
	at := t.next
	if now := time.Now(); at.Before(now) {
		at = now
	}
	t.next = at.Add(time.Duration(n) * time.Second / time.Duration(t.rate))
	t.mu.Unlock()
	return pause(ctx, time.Until(at))
}
