package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// As many scans as there are pieces would read most rows again and again.
func TestLargeBacklogIsReadOnce(t *testing.T) {
	for _, scope := range []string{scopeTablet, scopeTable} {
		for _, order := range []string{"due", "payload DESC"} {
			if scope == scopeTable && order == "due" {
				continue // each piece is merged of scans that begin behind the last one
			}
			t.Run(scope+" by "+order, func(t *testing.T) {
				b := newSweepBench(t, 1)
				b.cfg.OrderScope, b.cfg.SweepOrderBy, b.cfg.SweepBatchRows = scope, []string{order}, 20
				b.cfg.SweepInterval, b.cfg.SweepJournalRows = time.Hour, 2000
				// Nobody looks for more rows once all are read.
				b.cfg.PollInterval, b.cfg.PollMax, b.life = time.Hour, time.Hour, patient
				b.add(1500, past())
				var opened atomic.Int64
				b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
					if c.Opens() {
						opened.Add(1)
					}
					return kudufake.Decision{}
				})
				ctx, cancel := context.WithCancelCause(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- b.run(ctx, nil) }()
				testenv.Await(t, time.Minute, "all rows are in the journal", func() bool {
					n := 0
					for _, j := range b.stored() {
						n += j.NumRows()
					}
					return n == 1500
				})
				scans := opened.Load()
				cancel(errRevoked)
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				if scans != 2 {
					t.Errorf("%d scans of two tablets, for %d pieces", scans, 1500/20)
				}
			})
		}
	}
}

// What is published waits for its sweep, and is read in vain until then: after a round
// that took all there was a task waits for as long as reading it took, within bounds.
func TestWhatIsPublishedIsNotReadAgainAtOnce(t *testing.T) {
	const reading = 300 * time.Millisecond
	for _, order := range []string{"due", "payload DESC"} {
		t.Run(order, func(t *testing.T) {
			spec := queueSpec()
			spec.Hash = nil
			b := newSweepBenchOn(t, 1, kudufake.Options{}, spec)
			b.cfg.SweepOrderBy, b.cfg.SweepBatchRows, b.cfg.SweepInterval = []string{order}, 20, time.Hour
			b.life, b.cfg.PollMax = patient, time.Minute
			b.add(100, past())
			opened := make(chan time.Time, 100)
			b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
				if !c.Opens() {
					return kudufake.Decision{}
				}
				opened <- time.Now()
				return kudufake.Decision{Delay: reading}
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- b.run(ctx, nil) }()
			first, second := <-opened, <-opened
			cancel(errRevoked)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if between := second.Sub(first); between < 2*reading {
				t.Errorf("the tablet was read again %s after reading it began, which took %s", between, reading)
			}
		})
	}
}

// Who has published most of a backlog doesn't read it anew for the rest.
func TestSmallerHalfOfABacklogTakesAsLongAgain(t *testing.T) {
	born := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		total, left int64
		lives       time.Duration
	}{{1000, 1000, 2 * time.Second}, {1000, 500, 2 * time.Second}, {1000, 499, 4 * time.Second}, {1000, 1, 4 * time.Second}, {0, 0, 2 * time.Second}} {
		b := &backlog{born: born, life: 2 * time.Second, total: c.total, left: c.left}
		if got := b.ends().Sub(born); got != c.lives {
			t.Errorf("with %d of %d rows left it lives for %s, want %s", c.left, c.total, got, c.lives)
		}
	}
}

// What a backlog was read of is in the journal or swept when its next pieces are
// taken, or it is read anew: rows are published once in any case.
func TestBacklogIsPublishedOnceWhileItIsSwept(t *testing.T) {
	for _, impatient := range []bool{false, true} {
		for _, scope := range []string{scopeTablet, scopeTable} {
			for _, order := range []string{"due", "priority DESC"} {
				t.Run(fmt.Sprintf("%s by %s, read anew %t", scope, order, impatient), func(t *testing.T) {
					b := newSweepBench(t, 1)
					if impatient {
						b.life = anew
					}
					b.cfg.OrderScope, b.cfg.SweepOrderBy = scope, []string{order}
					b.cfg.SweepBatchRows, b.cfg.SweepJournalRows, b.cfg.TransactionMaxRows = 20, 90, 30
					b.add(600, past())
					b.drain()
					b.verify()
					if got := len(b.published()); got != 600 {
						t.Errorf("%d records, want 600", got)
					}
				})
			}
		}
	}
}

// Of two tablets one may be sorted first, and hold the memory that the other one
// waits for.
func TestTabletsOfATaskAreSortedThoughMemoryIsShort(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepOrderBy, b.cfg.SweepBatchRows, b.cfg.SweepJournalRows = []string{"priority DESC"}, 10, 20
	for id := range int64(400) {
		l := &rowLife{due: past(), id: id, versions: []string{b.payload() + strings.Repeat("x", 5000)}}
		if _, err := b.table.Insert(b.row(l)); err != nil {
			t.Fatal(err)
		}
	}
	b.drain()
	if got := len(b.published()); got != 400 {
		t.Errorf("%d records, want 400", got)
	}
}

func TestJournalHasNeverMoreRowsThanItMayHave(t *testing.T) {
	for _, order := range []string{"due", "priority DESC"} {
		for _, scope := range []string{scopeTablet, scopeTable} {
			t.Run(scope+" by "+order, func(t *testing.T) {
				b := newSweepBench(t, 1)
				b.cfg.OrderScope, b.cfg.SweepOrderBy = scope, []string{order}
				b.cfg.SweepBatchRows, b.cfg.SweepJournalRows = 100, 100
				b.add(600, past())
				b.drain()
				rows := make(map[offsets.JournalKey]int)
				for _, r := range b.consumeAll(offsetsTopic) {
					key, err := offsets.ParseJournalKey(r.Key)
					if err != nil {
						continue // a position
					}
					delete(rows, key)
					if r.Value != nil {
						j, err := offsets.ParseJournal(r.Value)
						if err != nil {
							t.Fatal(err)
						}
						rows[key] = j.NumRows()
					}
					sum := 0
					for _, n := range rows {
						sum += n
					}
					if sum > 100 {
						t.Fatalf("%d rows are in the journal, and 100 may be", sum)
					}
				}
			})
		}
	}
}

// A round that has no room, or leaves rows for want of it, isn't one that has found
// nothing.
func TestTaskDoesNotRestWhileABacklogIsLeft(t *testing.T) {
	b := newSweepBench(t, 1)
	rests := b.cfg
	b.cfg.PollInterval, b.cfg.PollMax = time.Hour, time.Hour
	b.cfg.OrderScope, b.cfg.SweepOrderBy = scopeTable, []string{"priority DESC"}
	b.cfg.SweepBatchRows, b.cfg.SweepJournalRows = 100, 200
	b.add(3000, past())
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, nil) }()
	testenv.Await(t, 2*time.Minute, "all rows are published", func() bool { return len(b.published()) >= 3000 })
	cancel(errRevoked)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	b.cfg.PollInterval, b.cfg.PollMax = rests.PollInterval, rests.PollMax
	b.drain() // of the last ones, which it rests after
	b.verify()
}

// Reading another tablet may take longer than a transaction may be open.
func TestRowsAreCommittedWhileAnotherTabletIsRead(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepOrderBy, b.age = []string{"priority DESC"}, time.Second
	b.add(100, past())
	var mu sync.Mutex
	first := ""
	read := make(chan struct{})
	b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		mu.Lock()
		defer mu.Unlock()
		if first == "" {
			first = c.Tablet()
		}
		if c.Opens() && c.Tablet() != first {
			return kudufake.Decision{Wait: read}
		}
		return kudufake.Decision{}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, nil) }()
	testenv.Await(t, time.Minute, "rows of the first tablet are committed", func() bool { return len(b.published()) > 0 })
	if got := len(b.published()); got == 100 {
		t.Error("the other tablet was read, too")
	}
	close(read)
	cancel(errRevoked)
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPieceOfLargeRowsEndsEarly(t *testing.T) {
	schema, err := kudu.NewSchema([]kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String}})
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]int{10: 1000, 10_000: 2 * sizeCheck, 1_000_000: sizeCheck} {
		s := newSelection(schema)
		s.reset(1000, 200_000)
		for id := int64(0); !s.whole(); id++ {
			if err := s.best.Append(id, strings.Repeat("x", size)); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.best.NumRows(); got != want {
			t.Errorf("a piece of rows of %d bytes has %d, want %d", size, got, want)
		}
	}
}

func TestLargeBacklogIsPublishedInItsOrder(t *testing.T) {
	for _, order := range []string{"payload", "payload DESC", "priority DESC, payload", "priority, payload DESC", "due DESC"} {
		t.Run(order, func(t *testing.T) {
			b := newSweepBench(t, 1)
			b.cfg.SweepOrderBy, b.cfg.SweepBatchRows = []string{order}, 60
			b.add(1500, past())
			tablets := make(map[int64]string)
			b.eachRow(func(tablet string, rows *kudu.RowBatch, i int) { tablets[rows.Column(1).Int64(i)] = tablet })
			b.drain()
			b.verify()
			last := make(map[string]sweepRecord)
			for _, r := range b.published() {
				l, some := last[tablets[r.ID]]
				if some && compareRecords(order, l, r) > 0 {
					t.Fatalf("%+v comes behind %+v", r, l)
				}
				last[tablets[r.ID]] = r
			}
		})
	}
}

func compareRecords(order string, a, b sweepRecord) int {
	switch order {
	case "payload":
		return cmp.Compare(a.Payload, b.Payload)
	case "payload DESC":
		return cmp.Compare(b.Payload, a.Payload)
	case "priority DESC, payload":
		return cmp.Or(cmp.Compare(b.ID%7, a.ID%7), cmp.Compare(a.Payload, b.Payload))
	case "priority, payload DESC":
		return cmp.Or(cmp.Compare(a.ID%7, b.ID%7), cmp.Compare(b.Payload, a.Payload))
	}
	return cmp.Compare(b.Due, a.Due)
}

func TestRowsThatComeWhileABacklogIsTakenAreTakenInOrder(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepOrderBy, b.cfg.SweepBatchRows = []string{"priority DESC", "due"}, 40
	b.add(1200, past())
	inserted := 0
	b.cfg.SweepInterval = 20 * time.Millisecond
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; inserted < 300; inserted++ {
			select {
			case <-stop:
				return
			default:
				b.disturb()
			}
		}
	}()
	b.drain()
	close(stop)
	<-ended
	b.drain()
	b.verify()
}

// TestBacklogOlderThanKudusHistoryIsReadAnew has Kudu refuse the backlog's snapshot
// in the middle of it.
func TestBacklogOlderThanKudusHistoryIsReadAnew(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.OrderScope, b.cfg.SweepOrderBy, b.cfg.SweepBatchRows = scopeTable, []string{"due"}, 20
	b.cfg.SweepInterval, b.life = time.Hour, patient // so that all scans are those of passes over one backlog
	b.add(400, past())
	var opened, refused atomic.Int64
	b.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		// A fixed number of scans reads the queue at first, and two each piece.
		if !c.Opens() || opened.Add(1) != 15 {
			return kudufake.Decision{}
		}
		refused.Add(1)
		return kudufake.Decision{
			AppError: kudufake.TabletInvalidSnapshot, AppStatus: kudufake.StatusInvalidArgument,
			Text: "snapshot scan end timestamp is earlier than the ancient history mark",
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, nil) }()
	testenv.Await(t, time.Minute, "all rows are published", func() bool { return len(b.published()) >= 400 })
	cancel(errRevoked)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	b.cfg.SweepInterval = 0
	b.drain()
	b.verify()
	if got := len(b.published()); got != 400 || refused.Load() != 1 {
		t.Errorf("%d records, %d scans refused; want 400 and 1", got, refused.Load())
	}
}
