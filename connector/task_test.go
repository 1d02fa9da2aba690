package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// scriptedSource gives what a test tells it to.
type scriptedSource struct {
	batches   chan *batch
	drained   chan struct{}
	completed chan struct{}
	failed    chan error
	initial   []storedPosition
	order     *order
}

func (s *scriptedSource) Initial() ([]storedPosition, error) { return s.initial, nil }
func (s *scriptedSource) Batches() <-chan *batch             { return s.batches }
func (s *scriptedSource) Drained() <-chan struct{}           { return s.drained }
func (s *scriptedSource) Completed() <-chan struct{}         { return s.completed }
func (s *scriptedSource) Failed() <-chan error               { return s.failed }
func (s *scriptedSource) Close()                             {}

func (s *scriptedSource) Position(p point) (offsets.Position, error) {
	pos := offsets.Position{Mode: modeOffset, Phase: phaseStreaming, Snapshot: uint64(p.snapshot)}
	return pos, s.order.store(&pos, p.key)
}

const (
	tabletA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	tabletB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// taskBench runs a task's loop on a fake broker, with a scripted source.
type taskBench struct {
	*txnBench
	task   *task
	source *scriptedSource
	schema *kudu.Schema
	// committed gets the rows of each committed transaction.
	committed chan int64
	completed chan struct{}
	changed   chan struct{}
	cancel    context.CancelCauseFunc
	ended     chan error
}

func newTaskBench(t *testing.T, l limits) *taskBench {
	t.Helper()
	b := &taskBench{
		txnBench: newTxnBench(t, nil, 1), committed: make(chan int64, 1000), completed: make(chan struct{}, 1),
		changed: make(chan struct{}), ended: make(chan error, 1),
	}
	cfg := DefaultConfig()
	var err error
	if b.schema, err = kudu.NewSchema([]kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true}, {Name: "at", Type: kudu.UnixtimeMicros},
	}); err != nil {
		t.Fatal(err)
	}
	plan, err := planRead(cfg, b.schema)
	if err != nil {
		t.Fatal(err)
	}
	b.source = &scriptedSource{
		batches: make(chan *batch), drained: make(chan struct{}), completed: make(chan struct{}), failed: make(chan error, 1),
		order: plan.order,
	}
	if l.rows == 0 {
		l.rows = 1000
	}
	if l.bytes == 0 {
		l.bytes = 1 << 30
	}
	if l.age == 0 {
		l.age = time.Hour
	}
	b.task = &task{
		id: 1, name: testKey.Connector, table: testKey.Table, topic: rowsTopic, offsets: offsetsTopic, limits: l,
		encoder: plan.encoder, tsColumn: -1, logger: hclog.NewNullLogger(), source: b.source, changed: b.changed,
		committed: func(rows int64) { b.committed <- rows },
		completed: func() { b.completed <- struct{}{} },
	}
	return b
}

func (b *taskBench) start() {
	b.t.Helper()
	b.task.producer, b.task.tx = b.open(), transaction{}
	ctx, cancel := context.WithCancelCause(context.Background())
	b.cancel = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ended <- b.task.loop(ctx)
	}()
	b.t.Cleanup(func() {
		cancel(errRevoked)
		<-done
	})
}

// rows makes a batch of the rows lo to hi-1 of a tablet.
func (b *taskBench) rows(tablet string, lo, hi int) *batch {
	b.t.Helper()
	builder := kudu.NewBatchBuilder(b.schema)
	for i := lo; i < hi; i++ {
		if err := builder.Append(int64(i), fmt.Sprint("row ", i), int64(i)*1000); err != nil {
			b.t.Fatal(err)
		}
	}
	return &batch{
		rows: builder.Build(), snapshot: kudu.Timestamp(hi), tablets: []*tabletReader{{id: tablet}},
		order: b.source.order, taken: make(chan struct{}),
	}
}

// give hands a batch to the task and waits until it is done with it.
func (b *taskBench) give(batch *batch) {
	b.t.Helper()
	select {
	case b.source.batches <- batch:
		<-batch.taken
	case err := <-b.ended:
		b.t.Fatalf("the task has ended: %v", err)
	}
}

func (b *taskBench) wantCommit(rows int64) {
	b.t.Helper()
	select {
	case got := <-b.committed:
		if got != rows {
			b.t.Errorf("a transaction of %d rows, want %d", got, rows)
		}
	case err := <-b.ended:
		b.t.Fatalf("the task ended without a commit: %v", err)
	}
}

// stop ends the task and gives the error of its run.
func (b *taskBench) stop(cause error) error {
	b.cancel(cause)
	return <-b.ended
}

// wantStored checks the rows that are visible, and that the positions cover
// exactly those: at maps a tablet to its last row.
func (b *taskBench) wantStored(rows int, at map[string]int) {
	b.t.Helper()
	visible := 0
	for key, values := range b.visible() {
		visible += len(values)
		if len(values) != 1 {
			b.t.Errorf("row %s is there %d times", key, len(values))
		}
	}
	if visible != rows {
		b.t.Errorf("%d rows are visible, want %d", visible, rows)
	}
	loaded, err := offsets.Load(b.t.Context(), b.options().Kafka.Within(b.t.Context()), offsetsTopic, 1, testKey.Connector)
	if err != nil {
		b.t.Fatal(err)
	}
	for key, pos := range loaded.Positions {
		want, ok := at[key.Tablet]
		if got := string(pos.PrimaryKey); !ok || got != fmt.Sprintf(`{"id":%d}`, want) {
			b.t.Errorf("tablet %s stands at %s, want %d", key.Tablet, got, want)
		}
	}
	if len(loaded.Positions) != len(at) {
		b.t.Errorf("%d positions, want %d", len(loaded.Positions), len(at))
	}
}

func TestTransactionEndsAtTheFirstOfItsLimits(t *testing.T) {
	t.Run("rows", func(t *testing.T) {
		b := newTaskBench(t, limits{rows: 4})
		b.start()
		b.give(b.rows(tabletA, 0, 10))
		b.wantCommit(4)
		b.wantCommit(4)
		if err := b.stop(errRevoked); err != nil {
			t.Error(err)
		}
		b.wantCommit(2)
		b.wantStored(10, map[string]int{tabletA: 9})
	})
	t.Run("bytes", func(t *testing.T) {
		b := newTaskBench(t, limits{bytes: 1})
		b.start()
		b.give(b.rows(tabletA, 0, 3))
		for range 3 {
			b.wantCommit(1)
		}
		b.wantStored(3, map[string]int{tabletA: 2})
	})
	t.Run("age", func(t *testing.T) {
		b := newTaskBench(t, limits{age: time.Millisecond})
		b.start()
		b.give(b.rows(tabletA, 0, 3))
		b.wantCommit(3)
		b.wantStored(3, map[string]int{tabletA: 2})
	})
	t.Run("nothing more to read", func(t *testing.T) {
		b := newTaskBench(t, limits{})
		b.start()
		b.give(b.rows(tabletA, 0, 3))
		b.give(b.rows(tabletB, 100, 102))
		b.source.drained <- struct{}{}
		b.wantCommit(5)
		b.source.drained <- struct{}{} // an idle task opens no transaction
		b.wantStored(5, map[string]int{tabletA: 2, tabletB: 101})
	})
}

func TestStoppedTaskCommitsWhatItHasProduced(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	b.give(b.rows(tabletA, 0, 3))
	if err := b.stop(errRevoked); err != nil {
		t.Error(err)
	}
	b.wantStored(3, map[string]int{tabletA: 2})
}

func TestTaskThatWasLostAborts(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	b.give(b.rows(tabletA, 0, 3))
	b.source.drained <- struct{}{}
	b.give(b.rows(tabletA, 3, 6))
	if err := b.stop(errLost); !errors.Is(err, errLost) {
		t.Errorf("ended with %v", err)
	}
	b.wantStored(3, map[string]int{tabletA: 2})
}

func TestStopDoesNotWaitForTheSmallTransactionsOfALargeBatch(t *testing.T) {
	b := newTaskBench(t, limits{rows: 1})
	b.task.committed = func(rows int64) {
		b.committed <- rows
		b.cancel(errRevoked)
	}
	b.start()
	const rows = 5000
	b.give(b.rows(tabletA, 0, rows))
	if err := <-b.ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	n := len(b.committed)
	if n > 2*stopCheck {
		t.Errorf("%d transactions after the stop", n)
	}
	b.wantStored(n, map[string]int{tabletA: n - 1})
}

func TestRowsBeforeOneThatIsRefusedAreKept(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	builder := kudu.NewBatchBuilder(b.schema)
	for i, text := range []string{"a", "b", "\xff", "d"} {
		if err := builder.Append(int64(i), text, int64(0)); err != nil {
			t.Fatal(err)
		}
	}
	bad := b.rows(tabletA, 0, 1)
	bad.rows = builder.Build()
	b.give(bad)
	var fatal *FatalError
	if err := <-b.ended; !errors.As(err, &fatal) || !strings.Contains(err.Error(), `encoding the row {"id":2} of tablet `+tabletA) {
		t.Errorf("ended with %v", err)
	}
	b.wantStored(2, map[string]int{tabletA: 1})
}

func TestRowsThatAreFilteredOutMoveThePositionOnlyWithOthers(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	some := b.rows(tabletA, 0, 10)
	some.keep = []int32{2, 5}
	none := b.rows(tabletB, 20, 30)
	none.keep = []int32{}
	b.give(none)
	b.give(some)
	b.source.drained <- struct{}{}
	b.wantCommit(2)
	b.wantStored(2, map[string]int{tabletA: 9})
}

func TestBatchOfSeveralTabletsCoversEachOfThem(t *testing.T) {
	b := newTaskBench(t, limits{rows: 4})
	b.start()
	merged := b.rows(tabletA, 0, 6)
	merged.tablets = append(merged.tablets, &tabletReader{id: tabletB})
	merged.from = []uint16{0, 1, 1, 0, 1, 1}
	b.give(merged)
	b.wantCommit(4)
	if err := b.stop(errLost); !errors.Is(err, errLost) { // aborts the other two
		t.Error(err)
	}
	b.wantStored(4, map[string]int{tabletA: 3, tabletB: 2})

	b.start()
	merged = b.rows(tabletA, 4, 6)
	merged.tablets = append(merged.tablets, &tabletReader{id: tabletB})
	merged.from = []uint16{1, 1}
	b.give(merged)
	b.source.drained <- struct{}{}
	b.wantCommit(2)
	b.wantStored(6, map[string]int{tabletA: 3, tabletB: 5})
}

func TestInitialPositionsAreStoredBeforeAnyRow(t *testing.T) {
	b := newTaskBench(t, limits{})
	initial := func(id int) offsets.Position {
		pos := offsets.Position{Mode: modeOffset, Phase: phaseStreaming}
		key, err := kudu.EncodeKey(b.source.order.columns, []any{int64(id)})
		if err == nil {
			err = b.source.order.store(&pos, key)
		}
		if err != nil {
			t.Fatal(err)
		}
		return pos
	}
	b.source.initial = []storedPosition{{tablet: tabletA, pos: initial(41)}, {tablet: tabletB, pos: initial(7)}}
	b.start()
	b.wantCommit(0)
	b.wantStored(0, map[string]int{tabletA: 41, tabletB: 7})
	if err := b.stop(errRevoked); err != nil {
		t.Error(err)
	}
	b.source.initial = []storedPosition{{tablet: tabletB, retire: true}}
	b.start()
	b.wantCommit(0)
	b.wantStored(0, map[string]int{tabletA: 41})
}

func TestChangedTableEndsTheRunAfterACommit(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	b.give(b.rows(tabletA, 0, 3))
	close(b.changed)
	if err := <-b.ended; !errors.Is(err, errChanged) {
		t.Errorf("ended with %v", err)
	}
	b.wantStored(3, map[string]int{tabletA: 2})
}

func TestCompletedTaskSaysSoOnceEverythingIsCommitted(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	b.give(b.rows(tabletA, 0, 3))
	close(b.source.completed)
	<-b.completed
	b.wantStored(3, map[string]int{tabletA: 2})
	if err := b.stop(errRevoked); err != nil || len(b.completed) > 0 {
		t.Errorf("ended with %v", err)
	}
}

func TestWhatCameBeforeAFailureOfTheSourceIsKept(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	b.give(b.rows(tabletA, 0, 3))
	cause := errors.New("the scan broke")
	b.source.failed <- cause
	if err := <-b.ended; !errors.Is(err, cause) {
		t.Errorf("ended with %v", err)
	}
	b.wantStored(3, map[string]int{tabletA: 2})
}

func TestFailedCommitEndsTheRunForAReload(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.start()
	b.give(b.rows(tabletA, 0, 3))
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		resp := r.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.InvalidTxnState.Code
		return resp, nil, true
	})
	b.source.drained <- struct{}{}
	var reload *errReload
	if err := <-b.ended; !errors.As(err, &reload) || reload.outcome != unknown {
		t.Errorf("ended with %v", err)
	}
	if len(b.committed) > 0 {
		t.Error("rows are counted that may not be there")
	}
}

func TestHeadersAndTimestampComeFromTheRow(t *testing.T) {
	b := newTaskBench(t, limits{})
	b.task.headers, b.task.tsColumn = true, 2
	b.start()
	b.give(b.rows(tabletA, 5, 6))
	b.source.drained <- struct{}{}
	b.wantCommit(1)
	client, err := kgo.NewClient(append(b.options().Kafka.Within(b.t.Context()), kgo.ConsumeTopics(rowsTopic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := client.PollFetches(t.Context()).Records()[0]
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	want := []string{"kudu.table=" + testKey.Table, "kudu.tablet=" + tabletA, "kudu.snapshot=6", "kudu.mode=offset"}
	if !slices.Equal(headers, want) || r.Timestamp.UnixMilli() != 5 {
		t.Errorf("headers %v at %v", headers, r.Timestamp)
	}
}

func TestSlabsAreNotUsedAgainWhileARecordIsInFlight(t *testing.T) {
	b := newTaskBench(t, limits{rows: 3 * slabRecords})
	// A broker that answers late keeps records in flight while the next slabs
	// are filled; the race detector sees a slab that is used too early.
	pace := time.NewTicker(2 * time.Millisecond) // the broker's
	defer pace.Stop()
	b.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		b.cluster.SleepControl(func() { <-pace.C })
		return nil, nil, false
	})
	b.start()
	const rows, per = 40 * slabRecords, 5000
	for lo := 0; lo < rows; lo += per {
		b.give(b.rows(tabletA, lo, min(lo+per, rows)))
	}
	if err := b.stop(errRevoked); err != nil {
		t.Fatal(err)
	}
	all := b.visible()
	for i := range rows {
		key := fmt.Sprintf(`{"id":%d}`, i)
		if got := all[key]; len(got) != 1 || !strings.Contains(got[0], fmt.Sprintf(`"text":"row %d"`, i)) {
			t.Fatalf("row %d is %q", i, got)
		}
	}
	if len(all) != rows {
		t.Errorf("%d keys", len(all))
	}
	if free := len(b.task.slabs.free); free == 0 || free > 64 {
		t.Errorf("%d slabs wait to be used again", free)
	}
}
