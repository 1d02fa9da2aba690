package connector

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// joined makes a member of a group that has both partitions.
func joined(t *testing.T, instance string) (*txnBench, *group) {
	t.Helper()
	b := newTxnBench(t, nil, 1)
	running := make(chan int32, 2)
	g, err := joinGroup(groupOptions{
		kafka: b.options().Kafka, id: "g-orders", topic: offsetsTopic, tasks: 2, session: 30 * time.Second, heartbeat: time.Second,
		rebalance: 10 * time.Second, instance: instance, logger: hclog.NewNullLogger(),
		runTask: func(ctx context.Context, task int32) {
			running <- task
			<-ctx.Done()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.leave(context.WithoutCancel(t.Context()), false) })
	<-running
	<-running
	return b, g
}

func TestRoundIsCountedOnceHoweverOftenItsSyncIsRefused(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	refused := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, Err: kerr.RebalanceInProgress, Count: 3})
	took := make(chan time.Duration, 100)
	began := time.Now()
	g, err := joinGroup(groupOptions{
		kafka: b.options().Kafka, id: "g-orders", topic: offsetsTopic, tasks: 2, session: 30 * time.Second, heartbeat: time.Second,
		rebalance: 10 * time.Second, logger: hclog.NewNullLogger(),
		runTask:    func(ctx context.Context, _ int32) { <-ctx.Done() },
		rebalanced: func(d time.Duration) { took <- d },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.leave(context.WithoutCancel(t.Context()), false)
	if d := <-took; d <= 0 || d > time.Since(began) {
		t.Errorf("the round took %v, since its begin it is %v", d, time.Since(began))
	}
	if n := refused.Hits(); n < 3 {
		t.Errorf("only %d syncs were refused", n)
	}
	// Whoever asks for another round gets one, and it counts from there.
	again := time.Now()
	g.client.ForceRebalance()
	if d := <-took; d <= 0 || d > time.Since(again) {
		t.Errorf("the second round took %v, since it was asked for it is %v", d, time.Since(again))
	}
	if n := len(took); n > 0 {
		t.Errorf("%d rounds more were counted", n)
	}
}

func TestMembershipIsConfirmedByTheCoordinator(t *testing.T) {
	never := func(err error) { t.Errorf("told to wait: %v", err) }
	for _, instance := range []string{"", "worker-1"} {
		b, g := joined(t, instance)
		if err := g.confirm(t.Context(), never); err != nil {
			t.Errorf("instance %q: %v", instance, err)
		}
		// In a rebalance a member keeps what it has.
		fault := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress, Count: -1})
		if err := g.confirm(t.Context(), never); err != nil {
			t.Errorf("instance %q: %v", instance, err)
		}
		fault.Remove()
		b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.GroupAuthorizationFailed, Count: -1})
		if err := g.confirm(t.Context(), never); !errors.Is(err, kafka.ErrPermanent) {
			t.Errorf("instance %q: %v", instance, err)
		}
	}
}

func TestUnconfirmedMemberWaitsAndSaysWhy(t *testing.T) {
	b, g := joined(t, "worker-1")
	g.session = 0
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.FencedInstanceID, Count: -1})
	ctx, cancel := context.WithCancelCause(t.Context())
	var told []error
	err := g.confirm(ctx, func(err error) {
		told = append(told, err)
		time.AfterFunc(2*confirmPause, func() { cancel(errLost) })
	})
	if !errors.Is(err, errLost) {
		t.Errorf("ended with %v", err)
	}
	if len(told) != 1 || !strings.Contains(told[0].Error(), `another process has the group.instance.id "worker-1" too`) {
		t.Errorf("told %v", told)
	}
}

func TestLeavingDoesNotWaitForACoordinatorThatIsSilent(t *testing.T) {
	for _, instance := range []string{"", "worker-1"} {
		b, g := joined(t, instance)
		joining := make(chan struct{}, 1)
		b.cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			if kmsg.Key(r.Key()) == kmsg.JoinGroup {
				select {
				case joining <- struct{}{}:
				default:
				}
			}
			return nil, nil, true // handled without an answer
		})
		g.client.ForceRebalance()
		<-joining
		began := time.Now()
		g.leave(context.WithoutCancel(t.Context()), false)
		// Without a bound of our own it takes the client's 10 s for a request.
		if took := time.Since(began); took > 2*leaveTimeout {
			t.Errorf("instance %q: leaving took %v", instance, took)
		}
	}
}

func TestStoppedTasksHaveEndedBeforeTheirPartitionsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		causes, started := make(map[int32]error), 0
		g := &group{tasks: make(map[int32]*runningTask), runTask: func(ctx context.Context, task int32) {
			mu.Lock()
			started++
			mu.Unlock()
			<-ctx.Done()
			time.Sleep(time.Second) // ends its transaction
			mu.Lock()
			defer mu.Unlock()
			causes[task] = context.Cause(ctx)
		}}
		g.assigned([]int32{1, 2})
		g.assigned([]int32{2, 3}) // 2 goes on
		synctest.Wait()
		if started != 3 {
			t.Errorf("%d tasks were started", started)
		}
		g.stop([]int32{1, 7}, errRevoked)
		g.stop([]int32{2}, errLost)
		if len(causes) != 2 || !errors.Is(causes[1], errRevoked) || !errors.Is(causes[2], errLost) {
			t.Errorf("ended: %v", causes)
		}
		g.assigned([]int32{1})
		synctest.Wait()
		g.closed = true
		g.assigned([]int32{4})
		g.stop([]int32{1, 3, 4}, errRevoked)
		if started != 4 || len(causes) != 3 {
			t.Errorf("%d started, ended: %v", started, causes)
		}
	})
}

func TestTabletsAreTakenAsTheyFallDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := func(id string, d time.Duration) *tabletReader { return &tabletReader{id: id, due: began.Add(d)} }
		q := newDueQueue([]*tabletReader{at("c", 3*time.Second), at("a", 0), at("b", time.Second)})
		ctx, cancel := context.WithCancel(t.Context())
		for i, want := range []string{"a", "b"} {
			if r := q.take(ctx); r.id != want || time.Since(began) != time.Duration(i)*time.Second {
				t.Errorf("took %s after %v", r.id, time.Since(began))
			}
		}
		// One that is put back and due earlier wakes who waits for another.
		go func() {
			time.Sleep(time.Second)
			q.put(at("d", 2*time.Second))
		}()
		if r := q.take(ctx); r.id != "d" || time.Since(began) != 2*time.Second {
			t.Errorf("took %s after %v", r.id, time.Since(began))
		}
		q.take(ctx)
		time.AfterFunc(time.Hour, cancel)
		if r := q.take(ctx); r != nil {
			t.Errorf("took %s of an empty queue", r.id)
		}
	})
}

func TestConnectorWhoseGroupIsDeniedFailsAndAsksNoMore(t *testing.T) {
	s := newStack(t)
	s.insert(50)
	i := s.instance(1)
	denial := s.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Count: -1, Err: kerr.GroupAuthorizationFailed})
	w := s.work(true, i.cfg)
	s.awaitStatus(w, "the failure", func(one Status) bool {
		return one.State == Failed && strings.HasSuffix(one.Cause, "this needs the right READ on GROUP g-"+testKey.Connector) && strings.Contains(one.Remedy, "grant")
	})
	asked := denial.Hits()
	<-time.After(2500 * time.Millisecond) // the client's pause is at most a second
	if more := denial.Hits() - asked; more > 1 {
		t.Errorf("it asked %d times more", more)
	}
	denial.Remove()
	w.Restart(i.cfg.Name, true, true)
	s.await(i)
	s.awaitStatus(w, "running", inState(Running, Running))
}

// A member that gets no tasks, since there are too few, has no other way to know that
// the group takes it again.
func TestMemberWithoutAShareIsToldThatItHasJoined(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	join := func(running chan<- int32) (heard <-chan struct{}, leave func()) {
		joined := make(chan struct{}, 100)
		g, err := joinGroup(groupOptions{
			kafka: b.options().Kafka, id: "g-orders", topic: offsetsTopic, tasks: 1, session: 30 * time.Second, heartbeat: time.Second,
			rebalance: 10 * time.Second, logger: hclog.NewNullLogger(),
			runTask: func(ctx context.Context, task int32) {
				running <- task
				<-ctx.Done()
			},
			joined: func() { joined <- struct{}{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		return joined, func() { g.leave(context.WithoutCancel(t.Context()), false) }
	}
	all := make(chan int32, 100)
	first, leave := join(all)
	defer leave()
	<-first
	// Of a topic with two partitions and one task, the first member has all.
	<-all
	<-all
	spare := make(chan int32, 100)
	var told int
	for range 2 {
		heard, leave := join(spare)
		<-heard
		told++
		defer leave()
	}
	if told != 2 || len(spare) > 1 {
		t.Errorf("%d members were told, and they run %d tasks", told, len(spare))
	}
}

func TestTroubleAfterARefusalLeavesTheConnectorRestarting(t *testing.T) {
	b := newStatusBoard()
	b.set(Running, nil)
	b.note(errors.New("the broker is away"))
	if s := b.snapshot("orders"); s.State != Running || s.Cause != "the broker is away" {
		t.Errorf("%s: %s", s.State, s.Cause)
	}
	b.set(Restarting, &kafka.RefusedError{What: "wrong password"})
	b.note(errors.New("no answer in time"))
	if s := b.snapshot("orders"); s.State != Restarting || s.Cause != "no answer in time" {
		t.Errorf("%s: %s", s.State, s.Cause)
	}
}
