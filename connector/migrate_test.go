package connector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// latest has the instance begin with what is inserted from now on.
func latest(i *instance) *instance {
	i.cfg.OffsetStart = "latest"
	return i
}

// from is how often each row is visible of which those from the first on are
// published.
func from(first int) func(id int) int {
	return func(id int) int {
		if id < first {
			return 0
		}
		return 1
	}
}

// rowsOf are the rows in the tablets of a task.
func (s *stack) rowsOf(i *instance, task int32) map[int]bool {
	s.t.Helper()
	state, err := i.catalog.get(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	ids := make(map[int]bool)
	for _, tablet := range state.tabletsOf(task, i.cfg) {
		sc, err := state.table.Scan(tablet.ID, kudu.ScanOptions{Columns: []string{"id"}, Ordered: true})
		if err != nil {
			s.t.Fatal(err)
		}
		for {
			rows, err := sc.Next(s.t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				s.t.Fatal(err)
			}
			for row := range rows.NumRows() {
				ids[int(rows.Column(0).Int64(row))] = true
			}
		}
		_ = sc.Close()
	}
	return ids
}

// forget deletes the positions that a partition has, but for the marker.
func (s *stack) forget(i *instance, partition int32) {
	s.t.Helper()
	topic := i.cfg.OffsetsTopic("g")
	stored, err := offsets.LoadRecords(s.t.Context(), i.kafka.Within(s.t.Context()), topic, partition, i.cfg.Name)
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := kgo.NewClient(append(i.kafka.Within(s.t.Context()), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	for _, r := range stored {
		if _, tablet, ok := offsets.TabletOf(r.Key); !ok || tablet == startMarker {
			continue
		}
		if err := client.ProduceSync(s.t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: r.Key}).FirstErr(); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestConnectorThatBeginsWithTheLatestRowsBeginsAtOneTimeWhateverTasksHaveRun(t *testing.T) {
	for name, change := range map[string]struct {
		scope string
		tasks int
	}{"as many tasks": {scopeTablet, 4}, "fewer": {scopeTablet, 1}, "more": {scopeTablet, 7}, "the whole table": {scopeTable, 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.insert(200)
			first := latest(s.instance(4))
			if err := first.prepare(t.Context()); err != nil { // from now on
				t.Fatal(err)
			}
			s.insert(100)
			stop := s.runSome(first, 1)
			began := 0
			for id := range s.rowsOf(first, 0) {
				if id >= 200 {
					began++
				}
			}
			s.awaitRows(first, began)
			stop()
			s.insert(100)

			second := latest(s.instance(change.tasks))
			second.cfg.OrderScope = change.scope
			stop = s.run(second)
			s.awaitRows(second, 200)
			s.insert(50)
			s.awaitRows(second, 250)
			stop()
			s.want(from(200))
		})
	}
}

func TestRangeAddedToAConnectorThatBeganWithTheLatestRowsIsReadFromItsFirst(t *testing.T) {
	s := newStack(t)
	s.insert(200)
	i := latest(s.instance(2))
	stop := s.run(i)
	s.insert(10)
	s.awaitRows(i, 10)
	stop()
	// A tablet without a position, in a partition with the marker, is one that was
	// added since.
	added := s.rowsOf(i, 1)
	s.forget(i, 1)
	i = latest(s.instance(3))
	stop = s.run(i)
	s.awaitRows(i, 10+len(added))
	stop()
	seen := s.seen(false)
	for id := range s.rows {
		want := from(200)(id)
		if added[id] {
			want++
		}
		if seen[id] != want {
			t.Errorf("row %d is there %d times, want %d", id, seen[id], want)
		}
	}
}

func TestConnectorThatIsToBeginWithTheLatestRowsAfterAllHasItsPlanStoredAnew(t *testing.T) {
	s := newStack(t)
	i := s.instance(4) // earliest: no markers, and no positions of empty tablets
	stop := s.runSome(i, 1)
	stop()
	s.insert(100)
	i = latest(s.instance(4))
	stop = s.runSome(i, 1)
	for marked := false; !marked; {
		// The first task's run has the plan stored anew, for all tasks.
		stored, err := offsets.Load(t.Context(), i.kafka.Within(t.Context()), i.cfg.OffsetsTopic("g"), 3, i.cfg.Name)
		if err != nil {
			t.Fatal(err)
		}
		marked = i.begun(stored)
	}
	s.insert(100)
	stop()
	i = latest(s.instance(3))
	stop = s.run(i)
	s.awaitRows(i, 100)
	s.insert(20)
	s.awaitRows(i, 120)
	stop()
	s.want(from(100))
}

func TestStartThatKuduHasForgottenIsRefused(t *testing.T) {
	s := newStack(t)
	s.insert(100)
	i := latest(s.instance(1))
	if err := i.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		if !c.Opens() {
			return kudufake.Decision{}
		}
		return kudufake.Decision{AppError: kudufake.TabletInvalidSnapshot, AppStatus: 4, Text: "earlier than the ancient history mark"}
	})
	err := i.runTask(t.Context(), 0, func() {}, nil, observed{})
	if !fatal(err) || !strings.Contains(err.Error(), "reset the connector's offsets to begin now") {
		t.Errorf("got %v", err)
	}
}

func TestWorkersThatStoreThePlanTogetherWarnOfNothing(t *testing.T) {
	s := newStack(t)
	s.insert(200)
	i := s.instance(8)
	stop := s.run(i)
	s.await(i)
	stop()
	var mu sync.Mutex
	var log bytes.Buffer
	workers := make([]*instance, 3)
	for n := range workers {
		workers[n] = s.instance(5)
		workers[n].logger = hclog.New(&hclog.LoggerOptions{Output: &log, Mutex: &mu, Level: hclog.Info})
	}
	var preparing sync.WaitGroup
	for _, w := range workers {
		preparing.Go(func() {
			if err := w.prepare(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	preparing.Wait()
	if strings.Contains(log.String(), "[WARN]") || strings.Contains(log.String(), "[ERROR]") {
		t.Errorf("logged:\n%s", &log)
	}
	stop = s.run(s.instance(5))
	stop()
	s.wantAll()
}

func TestMigrationFencesSeveralTasksAtATime(t *testing.T) {
	s := newStack(t)
	i := s.instance(6)
	var mu sync.Mutex
	waiting := 0
	all := make(chan struct{})
	s.kafka.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id == nil || strings.HasSuffix(*id, "-plan") {
			return nil, nil, false
		}
		mu.Lock()
		if waiting++; waiting == 6 {
			close(all)
		}
		mu.Unlock()
		s.kafka.SleepControl(func() {
			select {
			case <-all:
			case <-s.t.Context().Done():
			}
		})
		return nil, nil, false
	})
	if err := i.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan, err := offsets.LoadPlan(t.Context(), i.kafka.Within(t.Context()), i.cfg.OffsetsTopic("g"), 5, i.cfg.Name)
	if err != nil || plan == nil || !plan.Ready {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestConnectorWhoseNamesAreAnothersIsRefusedBeforeItTakesItsTasks(t *testing.T) {
	s := newStack(t)
	s.insert(100)
	i := s.instance(2)
	i.worker.GroupID, i.cfg.Name = "g", "a-b"
	stop := s.run(i)
	s.await(i)
	other := s.instance(2)
	other.worker.GroupID, other.cfg.Name = "g-a", "b"
	if i.cfg.OffsetsTopic("g") != other.cfg.OffsetsTopic("g-a") || i.cfg.TransactionalID("g", 0) != other.cfg.TransactionalID("g-a", 0) {
		t.Fatal("their names differ")
	}
	var fenced atomic.Bool
	s.kafka.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		fenced.Store(true)
		return nil, nil, false
	})
	if err := other.prepare(t.Context()); !fatal(err) || !strings.Contains(err.Error(), `holds positions of connector ["a-b"]`) {
		t.Errorf("got %v", err)
	}
	if fenced.Load() {
		t.Error("it has taken the other's transactional ids")
	}
	s.insert(100)
	s.await(i)
	stop()
	s.wantAll()
	if err := other.runTask(t.Context(), 1, func() {}, nil, observed{}); !fatal(err) || !strings.Contains(err.Error(), "change the name or the group.id") {
		t.Errorf("its task got %v", err)
	}
	other.cfg.OffsetsStorageTopic = i.cfg.OffsetsTopic("g") // by hand
	if err := other.checkNames([]string{"a-b"}); err != nil {
		t.Error(err)
	}
}

// A plan that a later release has stored must not be overwritten by the one before it.
func TestPlanThatCannotBeReadIsNotReplaced(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	s.published(i, 40)
	topic := i.cfg.OffsetsTopic("g")
	client, err := kgo.NewClient(append(i.kafka.Within(t.Context()), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	later := []byte(`{"version":2,"tasks":3,"spread":"other"}`)
	for n := range int32(2) {
		r, err := offsets.PlanRecord(topic, n, i.cfg.Name, offsets.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		r.Value = later
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	err = s.instance(3).prepare(t.Context())
	if !fatal(err) || !errors.As(err, new(*offsets.UnreadableError)) {
		t.Errorf("another tasks.max gives %v", err)
	}
	records, err := offsets.LoadRecords(t.Context(), i.kafka.Within(t.Context()), topic, 0, i.cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(records, func(r *kgo.Record) bool { return bytes.Equal(r.Value, later) }) {
		t.Error("the plan was replaced")
	}
}

// A worker has looked at the table just before a range partition was added, of which
// another worker has stored a position since: it isn't that of a tablet that is gone.
func TestTabletThatIsNewerThanTheLastLookIsNotGone(t *testing.T) {
	for how, tasks := range map[string]int{"handed over": 1, "migrated": 2} {
		t.Run(how, func(t *testing.T) {
			s := newStack(t)
			var err error
			if s.table, err = s.kudu.CreateTable(kudufake.TableSpec{
				Name: "ranged", Replicas: 3, Range: []string{"id"}, Ranges: []kudufake.RangeSpec{{Lower: []any{int64(0)}, Upper: []any{int64(1000)}}},
				Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true}},
			}); err != nil {
				t.Fatal(err)
			}
			add := func(from int) {
				for n := range 50 {
					if _, err := s.table.Insert(kudufake.Row{"id": int64(from + n), "text": "x"}); err != nil {
						t.Fatal(err)
					}
				}
			}
			worker := func(tasks int) *instance {
				i := s.instance(tasks)
				i.cfg.KuduTable = "ranged"
				i.catalog = newCatalog(i.kudu, "ranged")
				ctx, cancel := context.WithCancel(t.Context())
				t.Cleanup(cancel)
				go i.catalog.watch(ctx, 20*time.Millisecond)
				return i
			}
			add(0)
			first, second := worker(1), worker(tasks)
			stop := s.run(first)
			s.awaitRows(first, 50)
			before := mustGet(t, second.catalog)
			table, err := first.kudu.OpenTable(t.Context(), "ranged")
			if err == nil {
				_, err = table.Alter(t.Context(), kudu.AddRange(kudu.RangePartition{Lower: []any{int64(1000)}, Upper: []any{int64(2000)}}))
			}
			if err != nil {
				t.Fatal(err)
			}
			add(1000)
			s.awaitRows(first, 100)
			stop()
			// It is as if all of that had taken no time.
			second.catalog.mu.Lock()
			second.catalog.current = &tableState{table: before.table, tablets: before.tablets, taken: time.Now(), changed: make(chan struct{})}
			second.catalog.mu.Unlock()
			add(50)
			stop = s.run(second)
			s.awaitRows(second, 150)
			add(1050)
			s.awaitRows(second, 200)
			stop()
			for id, n := range s.seen(false) {
				if n != 1 {
					t.Errorf("row %d is there %d times", id, n)
				}
			}
		})
	}
}
