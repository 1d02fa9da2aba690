package connector

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// stack is a fake Kudu with one table and a fake Kafka, for whole tasks.
type stack struct {
	t     *testing.T
	kafka *kfake.Cluster
	kudu  *kudufake.Cluster
	table *kudufake.Table
	rows  int // in the table
	// observer is told what the instances do.
	observer Observer
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, kafka: kfake.MustCluster(kfake.NumBrokers(1)), observer: nobody{}}
	t.Cleanup(s.kafka.Close)
	var err error
	if s.kudu, err = kudufake.New(kudufake.Options{TabletServers: 3, Loopback: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kudu.Close)
	s.makeTable(4)
	return s
}

func (s *stack) makeTable(buckets int) {
	s.t.Helper()
	var err error
	if s.table, err = s.kudu.CreateTable(kudufake.TableSpec{
		Name: testKey.Table, Replicas: 3, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: buckets}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true}},
	}); err != nil {
		s.t.Fatal(err)
	}
}

// insert adds n rows with growing keys.
func (s *stack) insert(n int) {
	s.t.Helper()
	rows := make([]kudufake.Row, n)
	for i := range rows {
		rows[i] = kudufake.Row{"id": int64(s.rows + i), "text": strings.Repeat("x", 100)}
	}
	if _, err := s.table.Insert(rows...); err != nil {
		s.t.Fatal(err)
	}
	s.rows += n
}

func (s *stack) instance(tasks int) *instance {
	s.t.Helper()
	w := DefaultWorkerConfig()
	w.BootstrapServers, w.GroupID, w.OffsetsReplicationFactor = s.kafka.ListenAddrs(), "g", 1
	c := DefaultConfig()
	c.Name, c.TasksMax, c.KuduMasters, c.KuduTable, c.Topic = testKey.Connector, tasks, s.kudu.Masters(), testKey.Table, rowsTopic
	c.TopicPartitions, c.TopicReplicationFactor, c.HeadersEnable = 1, 1, true
	c.PollInterval, c.PollMax, c.RetryDelayMax = 5*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	c.KuduScanBatchBytes, c.TransactionMaxRows, c.KuduOperationTimeout = 4<<10, 100, 30*time.Second
	i, err := newInstance(c, w, hclog.NewNullLogger(), s.observer)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(i.close)
	return i
}

// run runs all tasks of the instance, without a group, until stop.
func (s *stack) run(i *instance) (stop func()) {
	s.t.Helper()
	return s.runSome(i, int32(i.cfg.TasksMax))
}

// runSome runs the first n tasks.
func (s *stack) runSome(i *instance, n int32) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(s.t.Context())
	if err := i.prepare(ctx); err != nil {
		s.t.Fatal(err)
	}
	var tasks sync.WaitGroup
	for id := range n {
		seen := i.observe(id)
		sup := &supervisor{
			task: id, delayMax: i.cfg.RetryDelayMax, board: i.board, logger: i.logger,
			confirm: func(context.Context, func(error)) error { return nil },
			run: func(ctx context.Context, alive func(), w *waits) error {
				return i.runTask(ctx, id, alive, w, seen)
			},
			seen: seen,
		}
		tasks.Go(func() {
			defer i.unobserve(id, seen)
			sup.supervise(ctx)
		})
	}
	return func() {
		cancel(errRevoked)
		tasks.Wait()
	}
}

func (s *stack) consumer(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.ConsumeTopics(rowsTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// await waits until so many rows are visible as the table has.
func (s *stack) await(i *instance) {
	s.t.Helper()
	s.awaitRows(i, s.rows)
}

// awaitRows waits until so many rows are visible.
func (s *stack) awaitRows(i *instance, rows int) {
	s.t.Helper()
	client := s.consumer()
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for n := 0; n < rows; {
		n += client.PollFetches(ctx).NumRecords()
		if ctx.Err() != nil {
			s.t.Fatalf("%d rows of %d are visible; the tasks are %+v", n, rows, i.board.snapshot("").Tasks)
		}
	}
}

// wantAll checks that each row of the table is visible once, and those of one
// tablet in the order of their keys. Nothing may be running.
func (s *stack) wantAll() {
	s.t.Helper()
	s.want(func(int) int { return 1 })
}

// want checks how many times each row is visible, and that those of one tablet
// are in the order of their keys. Nothing may be running.
func (s *stack) want(times func(id int) int) {
	s.t.Helper()
	seen := s.seen(true)
	for id := range s.rows {
		if seen[id] != times(id) {
			s.t.Errorf("row %d is there %d times, want %d", id, seen[id], times(id))
		}
		delete(seen, id)
	}
	if len(seen) != 0 {
		s.t.Errorf("%d rows are visible that the table doesn't have", len(seen))
	}
}

// seen is how often each row is visible. Nothing may be running.
func (s *stack) seen(inOrder bool) map[int]int {
	s.t.Helper()
	client := s.consumer(kgo.KeepControlRecords())
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(s.t.Context(), rowsTopic)
	if err != nil {
		s.t.Fatal(err)
	}
	end, _ := ends.Lookup(rowsTopic, 0)
	seen, last := make(map[int]int), make(map[string]int)
	for at := int64(0); at < end.Offset; {
		client.PollFetches(s.t.Context()).EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			var id int
			if _, err := fmt.Sscanf(string(r.Key), `{"id":%d}`, &id); err != nil {
				s.t.Fatalf("key %s: %v", r.Key, err)
			}
			seen[id]++
			tablet := string(r.Headers[1].Value)
			if before, ok := last[tablet]; inOrder && ok && id <= before {
				s.t.Errorf("tablet %s has row %d after %d", tablet, id, before)
			}
			last[tablet] = id
		})
	}
	return seen
}

func TestTasksPublishTheTableOnceWhateverKuduDoes(t *testing.T) {
	every := func(n int, d kudufake.Decision) func(*stack, *kudufake.Call) kudufake.Decision {
		return func(_ *stack, c *kudufake.Call) kudufake.Decision {
			if c.N%n == n-1 {
				return d
			}
			return kudufake.Decision{}
		}
	}
	for name, fault := range map[string]func(*stack, *kudufake.Call) kudufake.Decision{
		"connections break before":   every(4, kudufake.Decision{CutBefore: true}),
		"connections break after":    every(4, kudufake.Decision{CutAfter: true}),
		"answers are cut":            every(5, kudufake.Decision{Truncate: 30}),
		"servers are busy":           every(3, kudufake.Decision{RPCError: kudufake.RPCServerTooBusy}),
		"tablets are elsewhere":      every(4, kudufake.Decision{AppError: kudufake.TabletNotFound}),
		"disks fail":                 every(5, kudufake.Decision{AppError: 1, AppStatus: 5}),
		"sidecars are missing":       every(5, kudufake.Decision{EditSidecars: func([][]byte) [][]byte { return nil }}),
		"sidecars are of wrong size": every(5, kudufake.Decision{EditSidecars: func(s [][]byte) [][]byte { return append(s, []byte("x"))[1:] }}),
		"scanners expire": func(s *stack, c *kudufake.Call) kudufake.Decision {
			if c.N%3 == 2 {
				c.Server.ExpireScanners()
			}
			return kudufake.Decision{}
		},
		"leaders move": func(s *stack, c *kudufake.Call) kudufake.Decision {
			if tablet := c.Tablet(); tablet != "" && c.N%3 == 2 {
				if err := s.kudu.MoveLeader(tablet, s.kudu.TabletServer(c.N/3%3)); err != nil {
					return kudufake.Decision{RPCError: kudufake.RPCUnavailable}
				}
			}
			return kudufake.Decision{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.insert(3000)
			var faults atomic.Int32
			s.kudu.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
				if faults.Load() > 60 {
					return kudufake.Decision{}
				}
				faults.Add(1)
				return fault(s, c)
			})
			i := s.instance(2)
			stop := s.run(i)
			s.await(i)
			s.insert(100)
			s.await(i)
			stop()
			s.wantAll()
		})
	}
}

func TestTasksPublishTheTableOnceThoughCommitsFail(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.InvalidTxnState, kerr.InvalidProducerEpoch, kerr.UnknownServerError} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.insert(2000)
			var n atomic.Int32
			s.kafka.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
				s.kafka.KeepControl()
				if k := n.Add(1); k%4 != 3 || k > 40 {
					return nil, nil, false
				}
				resp := r.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = code.Code
				return resp, nil, true
			})
			i := s.instance(2)
			stop := s.run(i)
			s.await(i)
			stop()
			s.wantAll()
		})
	}
}

func TestMigrationThatWasKilledIsDoneAgain(t *testing.T) {
	s := newStack(t)
	s.insert(400)
	first := s.instance(2)
	stop := s.run(first)
	s.await(first)
	stop()
	tasks, old := 2, first
	for step, cut := 1, true; cut; step++ {
		tasks = 5 - tasks // 2 and 3 in turn
		cut = s.prepareUpTo(step, s.instance(tasks))

		i := s.instance(tasks)
		stop := s.run(i)
		// Workers that weren't restarted can't do any harm.
		if err := old.runTask(t.Context(), 0, func() {}, nil, observed{}); err == nil || fatal(err) || !strings.Contains(err.Error(), "restart it with the same configuration") {
			t.Errorf("a worker of the old plan got %v", err)
		}
		s.insert(30)
		s.await(i)
		stop()
		s.wantAll()
		old = i
		if step > 60 {
			t.Fatal("there is no end to the migration's steps")
		}
	}
}

// prepareUpTo has the instance prepare, and kills it at the n-th request that
// changes something. It reports whether it came to that.
func (s *stack) prepareUpTo(n int, i *instance) (cut bool) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	requests := 0
	var over atomic.Bool
	s.kafka.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		s.kafka.KeepControl()
		switch r.Key() {
		case int16(kmsg.InitProducerID), int16(kmsg.Produce), int16(kmsg.EndTxn), int16(kmsg.AddPartitionsToTxn):
			if requests++; requests == n {
				cancel()
			}
		}
		return nil, nil, false
	})
	err := i.prepare(ctx)
	over.Store(true)
	return err != nil
}

func TestTableMadeAnewIsRefusedByAMigrationToo(t *testing.T) {
	s := newStack(t)
	s.insert(100)
	i := s.instance(2)
	stop := s.run(i)
	s.await(i)
	stop()
	s.kudu.DropTable(testKey.Table)
	s.makeTable(4)
	if err := s.instance(3).prepare(t.Context()); err == nil || !fatal(err) || !strings.Contains(err.Error(), "belong to another table") {
		t.Errorf("got %v", err)
	}
}

func TestTaskBeyondTasksMaxRestsWithoutAStatus(t *testing.T) {
	s := newStack(t)
	i := s.instance(2)
	i.board.setTask(2, Restoring, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.runTask(ctx, 2, func() {}, nil, observed{}); err != nil || len(i.board.snapshot("").Tasks) != 0 {
		t.Errorf("%v, %+v", err, i.board.snapshot("").Tasks)
	}
}
