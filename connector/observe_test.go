package connector

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// witness is an observer that adds up what it is told of all tasks.
type witness struct {
	mu         sync.Mutex
	rows       map[Outcome]int64
	ends       map[Outcome]int
	restarts   map[RestartCause]int
	states     map[State]int
	read       int
	filtered   int
	late       int64
	swept      SweepCounts
	journal    int
	calls      int
	open       int // tasks and connectors that are not closed
	rebalances int
	looks      map[int32]func(time.Time, func(TabletProgress))

	told chan struct{} // signalled whenever something is told
}

func newWitness() *witness {
	return &witness{
		rows: make(map[Outcome]int64), ends: make(map[Outcome]int), restarts: make(map[RestartCause]int),
		states: make(map[State]int), looks: make(map[int32]func(time.Time, func(TabletProgress))), told: make(chan struct{}, 1),
	}
}

func (w *witness) note(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case w.told <- struct{}{}:
	default:
	}
}

// until waits until something is the case, which is looked at whenever something
// is told: each poll of a tablet tells of what it has read.
func (w *witness) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !is() {
		select {
		case <-w.told:
		case <-late.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (w *witness) committed() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows[OutcomeCommitted]
}

func (w *witness) Connector(string, func() Status) ConnectorObserver {
	w.note(func() { w.open++ })
	return connectorWitness{w}
}

type connectorWitness struct{ w *witness }

func (c connectorWitness) KafkaHooks() []kgo.Hook   { return nil }
func (c connectorWitness) KuduHook() kudu.Hook      { return c }
func (c connectorWitness) Rebalanced(time.Duration) { c.w.note(func() { c.w.rebalances++ }) }
func (c connectorWitness) Call(kudu.CallInfo)       { c.w.note(func() { c.w.calls++ }) }
func (c connectorWitness) Retry(kudu.Class)         {}
func (c connectorWitness) Close()                   { c.w.note(func() { c.w.open-- }) }
func (c connectorWitness) Task(id int32, look func(time.Time, func(TabletProgress))) TaskObserver {
	c.w.note(func() {
		c.w.open++
		c.w.looks[id] = look
	})
	return taskWitness(c)
}

type taskWitness struct{ w *witness }

func (t taskWitness) State(s State)                  { t.w.note(func() { t.w.states[s]++ }) }
func (t taskWitness) Restart(c RestartCause)         { t.w.note(func() { t.w.restarts[c]++ }) }
func (t taskWitness) Read(rows int, _ time.Duration) { t.w.note(func() { t.w.read += rows }) }
func (t taskWitness) Filtered(rows int)              { t.w.note(func() { t.w.filtered += rows }) }
func (t taskWitness) Swept(c SweepCounts)            { t.w.note(func() { t.w.swept.add(c) }) }
func (t taskWitness) Journal(rows int)               { t.w.note(func() { t.w.journal = rows }) }
func (t taskWitness) Close()                         { t.w.note(func() { t.w.open-- }) }
func (t taskWitness) Transaction(e TransactionEnd) {
	t.w.note(func() {
		t.w.rows[e.Outcome] += e.Rows
		t.w.ends[e.Outcome]++
		t.w.late += e.Late
	})
}

// tablets asks where the tablets of all tasks stand at a time.
func (w *witness) tablets(now time.Time) (all []TabletProgress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, look := range w.looks {
		look(now, func(p TabletProgress) { all = append(all, p) })
	}
	return all
}

// behind counts the tablets that are behind, and gives the greatest lag.
func (w *witness) behind(now time.Time) (n int, lag time.Duration) {
	for _, p := range w.tablets(now) {
		if p.Behind {
			n++
			lag = max(lag, p.Lag)
		}
	}
	return n, lag
}

func TestObserversAreToldOfEachCommittedRowOnce(t *testing.T) {
	s, w := newStack(t), newWitness()
	s.observer = w
	s.insert(2000)
	var n atomic.Int32
	s.kafka.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		if k := n.Add(1); k%4 != 3 || k > 20 {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.InvalidTxnState.Code
		return resp, nil, true
	})
	i := s.instance(2)
	stop := s.run(i)
	s.await(i)
	w.until(t, "all rows are told as committed", func() bool { return w.committed() >= int64(s.rows) })
	stop()
	i.close()
	s.wantAll()
	w.mu.Lock()
	defer w.mu.Unlock()
	failed := w.ends[OutcomeUnknown] + w.ends[OutcomeAborted]
	if w.rows[OutcomeCommitted] != int64(s.rows) || failed == 0 {
		t.Errorf("transactions %v with the rows %v, want %d committed and some that failed", w.ends, w.rows, s.rows)
	}
	if w.restarts[RestartTransaction] != failed || w.states[Restarting] != failed {
		t.Errorf("restarts %v and states %v, want one for each of %d transactions that failed", w.restarts, w.states, failed)
	}
	if w.read < s.rows || w.calls == 0 || w.states[Running] < 2 {
		t.Errorf("%d rows read, %d calls, states %v", w.read, w.calls, w.states)
	}
	if w.open != 0 {
		t.Errorf("%d observers of tasks and connectors are not closed", w.open)
	}
}

func TestATabletIsBehindUntilItsRowsAreCommitted(t *testing.T) {
	s, w := newStack(t), newWitness()
	s.observer = w
	s.insert(100)
	release, held := make(chan struct{}), make(chan struct{}, 100)
	var holding atomic.Bool
	s.kafka.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		if holding.Load() {
			held <- struct{}{}
			s.kafka.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	i := s.instance(1)
	stop := s.run(i)
	defer stop()
	s.await(i)
	drained := func() bool {
		n, _ := w.behind(time.Now())
		return n == 0 && len(w.tablets(time.Now())) == 4
	}
	w.until(t, "all tablets are drained", drained)
	holding.Store(true)
	s.insert(100)
	<-held
	// What is being committed has been read: the look that has found it has ended.
	if n, _ := w.behind(time.Now()); n == 0 {
		t.Error("no tablet is behind while their rows are not committed")
	}
	holding.Store(false)
	close(release)
	s.await(i)
	w.until(t, "all tablets are drained again", drained)
}

func TestTabletsThatAreGoneOnWithAreTold(t *testing.T) {
	s, w := newStack(t), newWitness()
	s.observer = w
	s.insert(100)
	for n, what := range []string{"from its start", "behind stored positions"} {
		i := s.instance(1)
		stop := s.run(i)
		w.until(t, "all tablets are drained", func() bool {
			behind, _ := w.behind(time.Now())
			return behind == 0 && len(w.tablets(time.Now())) == 4
		})
		for _, p := range w.tablets(time.Now()) {
			if p.Resumed != (n > 0) {
				t.Errorf("tablet %s, which is read %s, is told as resumed: %v", p.Tablet, what, p.Resumed)
			}
		}
		stop()
		i.close()
		clear(w.looks)
	}
}

func TestObserversAreToldOfFilteredRows(t *testing.T) {
	s, w := newStack(t), newWitness()
	s.observer = w
	s.insert(300)
	i := s.instance(1)
	i.cfg.Where = "text LIKE '%y' OR id >= 200"
	stop := s.run(i)
	w.until(t, "the rows that meet where are committed", func() bool { return w.committed() >= 100 })
	stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.filtered != 200 || w.rows[OutcomeCommitted] != 100 {
		t.Errorf("%d rows are told as filtered, and %d as committed, of 300 of which 100 meet where", w.filtered, w.rows[OutcomeCommitted])
	}
}

func TestObserversAreToldWhyTasksRestart(t *testing.T) {
	for want, err := range map[RestartCause]error{
		RestartStalled:     &stalledError{what: "Kudu"},
		RestartTable:       errChanged,
		RestartTransaction: &errReload{outcome: aborted, err: kerr.InvalidTxnState},
		RestartFenced:      &errReload{outcome: unknown, err: errFenced},
		RestartKudu:        &kudu.Error{Op: "scanning", Err: kudu.ErrTabletNotFound},
		RestartKafka:       kerr.CoordinatorNotAvailable,
	} {
		if got := causeOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
		if !slices.Contains(RestartCauses(), want) {
			t.Errorf("%s is not listed", want)
		}
	}
}

func TestObserversAreToldOfSweepsAndTheJournal(t *testing.T) {
	w := newWitness()
	b := newSweepBench(t, 1)
	progress := newProgress()
	b.seen = observed{to: connectorWitness{w}.Task(0, progress.look), progress: progress}
	b.add(200, time.Now().Add(-time.Hour))
	var most int
	b.atWrite(func() kudufake.Decision {
		w.note(func() { most = max(most, w.journal) })
		return kudufake.Decision{}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, b.seen.to.Swept) }()
	w.until(t, "all rows are swept, and no tablet is behind", func() bool {
		w.mu.Lock()
		swept, journal := w.swept.Swept, w.journal
		w.mu.Unlock()
		n, _ := w.behind(time.Now())
		return swept >= 200 && journal == 0 && n == 0 && len(w.tablets(time.Now())) == 2
	})
	for _, p := range w.tablets(time.Now()) {
		if p.Headroom != p.History {
			t.Errorf("all is swept, and yet tablet %s needs its history: %+v", p.Tablet, p)
		}
	}
	// Nobody looks at them from now on.
	cancel(errRevoked)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n, lag := w.behind(time.Now().Add(time.Minute)); n != 2 || lag < time.Minute {
		t.Errorf("%d tablets are behind after a minute without a look, by %v", n, lag)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.swept != (SweepCounts{Swept: 200}) || w.rows[OutcomeCommitted] != 200 || most == 0 {
		t.Errorf("told of %+v, of %d rows committed, and of a journal of %d rows at most", w.swept, w.rows[OutcomeCommitted], most)
	}
}

func TestObserversAreToldOfLateRows(t *testing.T) {
	s, w := newStack(t), newWitness()
	s.observer = w
	s.insert(100)
	i := s.instance(1)
	i.cfg.LateRows, i.cfg.LateRowsInterval = lateRepair, 10*time.Millisecond
	stop := s.run(i)
	w.until(t, "the first rows are committed", func() bool { return w.committed() == 100 })
	if _, err := s.table.Insert(kudufake.Row{"id": int64(-1)}, kudufake.Row{"id": int64(-2)}, kudufake.Row{"id": int64(1000)}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the others are", func() bool { return w.committed() >= 103 })
	stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.late != 2 || w.rows[OutcomeCommitted] != 103 {
		t.Errorf("%d of %d rows committed are told as late, want 2 of 103", w.late, w.rows[OutcomeCommitted])
	}
}
