package connector

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func (s *stack) workerConfig() WorkerConfig {
	cfg := DefaultWorkerConfig()
	cfg.BootstrapServers, cfg.GroupID, cfg.OffsetsReplicationFactor = s.kafka.ListenAddrs(), "g", 1
	cfg.SessionTimeout = 30 * time.Second // also of a worker that isn't run for a while
	return cfg
}

// work runs a worker with these connectors until the test ends.
func (s *stack) work(keep bool, connectors ...Config) *Worker {
	s.t.Helper()
	return s.workAs(s.workerConfig(), keep, connectors...)
}

func (s *stack) workAs(cfg WorkerConfig, keep bool, connectors ...Config) *Worker {
	s.t.Helper()
	w, err := NewWorker(cfg, connectors, hclog.NewNullLogger())
	if err != nil {
		s.t.Fatal(err)
	}
	if keep {
		w.KeepRunning()
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the worker ended with %v", err)
		}
	})
	return w
}

// awaitStatus waits until the connector is as the test wants it.
func (s *stack) awaitStatus(w *Worker, what string, fits func(Status) bool) {
	s.t.Helper()
	var last []Status
	fine := func() bool {
		last = w.Status()
		for _, one := range last {
			if one.Connector == testKey.Connector {
				return fits(one)
			}
		}
		return false
	}
	if !testenv.Eventually(s.t.Context(), time.Minute, fine) {
		s.t.Fatalf("%s did not come about: %+v", what, last)
	}
}

func inState(state State, tasks ...State) func(Status) bool {
	return func(s Status) bool {
		if s.State != state || len(s.Tasks) != len(tasks) {
			return false
		}
		for n, t := range s.Tasks {
			if t.State != tasks[n] {
				return false
			}
		}
		return true
	}
}

// members counts those of the connector's group.
func (s *stack) members() int {
	s.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(s.t.Context(), "g-"+testKey.Connector)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(groups["g-"+testKey.Connector].Members)
}

func TestConnectorsAreSteeredWhileTheWorkerRuns(t *testing.T) {
	s := newStack(t)
	s.insert(200)
	i := s.instance(2)
	cfg := i.cfg
	w := s.work(true)
	if got := w.Status(); len(got) != 0 {
		t.Fatalf("a worker without connectors shows %+v", got)
	}
	w.Put(cfg, TargetRunning)
	s.await(i)
	s.awaitStatus(w, "running", inState(Running, Running, Running))

	w.SetTarget(cfg.Name, TargetPaused)
	s.awaitStatus(w, "pause", inState(Paused, Paused, Paused))
	s.insert(100)
	if n := s.members(); n != 1 {
		t.Errorf("%d members while paused, want 1", n)
	}
	w.SetTarget(cfg.Name, TargetRunning)
	s.await(i)

	w.SetTarget(cfg.Name, TargetStopped)
	s.awaitStatus(w, "stop", inState(Stopped))
	if n := s.members(); n != 0 {
		t.Errorf("%d members once stopped, want none", n)
	}
	s.insert(100)

	// A stopped connector takes another configuration, and another target.
	cfg.TransactionMaxRows = 7
	w.Put(cfg, TargetStopped)
	w.SetTarget(cfg.Name, TargetRunning)
	s.await(i)
	s.awaitStatus(w, "running again", inState(Running, Running, Running))

	// A configuration that can't be used, and a right one after it.
	w.PutUnfit(cfg.Name, TargetRunning, errors.New("the environment variable X is not set"))
	s.awaitStatus(w, "unfit", func(s Status) bool { return s.State == Failed && strings.Contains(s.Cause, "variable X") })
	cfg.TasksMax = 1 // positions move
	s.insert(100)
	w.Put(cfg, TargetRunning)
	s.await(i)
	s.awaitStatus(w, "one task", inState(Running, Running))

	w.Restart(cfg.Name, true, false)
	s.insert(100)
	s.await(i)

	w.Remove(cfg.Name)
	if !testenv.Eventually(t.Context(), time.Minute, func() bool { return len(w.Status()) == 0 }) {
		t.Errorf("the removed connector is still shown: %+v", w.Status())
	}
	if w.SetTarget(cfg.Name, TargetPaused) || w.RestartTask(cfg.Name, 0) || w.Restart(cfg.Name, true, false) {
		t.Error("a connector that was removed can be steered")
	}
	w.Put(cfg, TargetRunning)
	s.insert(50)
	s.await(i)
	s.wantAll()
}

func TestConnectorThatFailedAsAWholeIsRestarted(t *testing.T) {
	s := newStack(t)
	s.insert(50)
	i := s.instance(1)
	cfg := i.cfg
	cfg.KuduTable = "no.such"
	w := s.work(true, cfg)
	s.awaitStatus(w, "failure", func(s Status) bool { return s.State == Failed && strings.Contains(s.Cause, "no.such") })
	w.Restart(cfg.Name, false, false)
	s.awaitStatus(w, "failure again", func(s Status) bool { return s.State == Failed })
	cfg.KuduTable = i.cfg.KuduTable
	w.Put(cfg, TargetRunning)
	s.await(i)
}

func TestWorkerGoesOnWithoutItsOnlyConnectorWhileThatCanBeMended(t *testing.T) {
	s := newStack(t)
	s.insert(50)
	i := s.instance(1)
	w := s.work(false, i.cfg)
	s.awaitStatus(w, "running", inState(Running, Running))
	w.PutUnfit(i.cfg.Name, TargetRunning, errors.New("there is no such file"))
	s.awaitStatus(w, "unfit", func(s Status) bool { return s.State == Failed && strings.Contains(s.Cause, "no such file") })
	w.Put(i.cfg, TargetRunning)
	s.insert(50)
	s.await(i)
	s.wantAll()
}

func TestWorkerThatIsNotKeptRunningEndsWithItsLastConnector(t *testing.T) {
	s := newStack(t)
	cfg := s.instance(1).cfg
	cfg.KuduTable = "no.such"
	wcfg := s.workerConfig()
	for _, connectors := range [][]Config{nil, {cfg}} {
		w, err := NewWorker(wcfg, connectors, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = w.Run(ctx)
		cancel()
		if ctx.Err() == context.DeadlineExceeded || (err != nil) != (len(connectors) == 1) {
			t.Errorf("with %d connectors Run ended with %v", len(connectors), err)
		}
	}
}

func TestStaticMemberLeavesItsGroupWhenItsConnectorIsStopped(t *testing.T) {
	s := newStack(t)
	s.insert(20)
	i := s.instance(1)
	cfg := s.workerConfig()
	cfg.GroupInstanceID = "one"
	w, err := NewWorker(cfg, []Config{i.cfg}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	w.KeepRunning()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	s.await(i)
	w.SetTarget(i.cfg.Name, TargetStopped)
	s.awaitStatus(w, "stop", inState(Stopped))
	if n := s.members(); n != 0 {
		t.Errorf("%d members, want none", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
