package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// shares asks the group's coordinator which member has which tasks, by client
// id, which the tests give to each worker. Stable says that no rebalance is
// under way.
func (s *stack) shares(t *testing.T, j *job) (shares map[string][]int32, stable bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, j.group+"-"+j.name)
	if err != nil {
		return nil, false // there is no coordinator yet
	}
	shares = make(map[string][]int32)
	for _, g := range groups {
		stable = g.State == "Stable"
		for _, m := range g.Members {
			shares[m.ClientID] = nil
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, topic := range a.Topics {
					shares[m.ClientID] = append(shares[m.ClientID], topic.Partitions...)
				}
			}
			slices.Sort(shares[m.ClientID])
		}
	}
	return shares, stable
}

// awaitShares waits until the members have so many tasks each, in any order.
func (s *stack) awaitShares(t *testing.T, j *job, within time.Duration, want ...int) map[string][]int32 {
	t.Helper()
	slices.Sort(want)
	deadline := time.Now().Add(within)
	for {
		shares, stable := s.shares(t, j)
		var sizes []int
		for _, tasks := range shares {
			sizes = append(sizes, len(tasks))
		}
		slices.Sort(sizes)
		if stable && slices.Equal(sizes, want) {
			return shares
		}
		if time.Now().After(deadline) {
			t.Fatalf("the tasks are spread as %v, stable %v, not %v", shares, stable, want)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// named gives the worker a client id, by which the group's coordinator shows it.
func (j *job) named(id string) *job {
	copied := *j
	copied.worker = maps.Clone(j.worker)
	copied.worker["client.id"] = id
	return &copied
}

// ended counts how often the worker has ended the task.
func (w *worker) ended(task int32) int {
	w.t.Helper()
	n := 0
	w.eachLine(func(line string) {
		if strings.Contains(line, ": task ended") && hasTask(line, task) {
			n++
		}
	})
	return n
}

// runs counts the lines that say that the worker runs the task.
func (w *worker) runs(task int32) int {
	w.t.Helper()
	n := 0
	w.eachLine(func(line string) {
		if strings.Contains(line, ": task runs:") && hasTask(line, task) {
			n++
		}
	})
	return n
}

func hasTask(line string, task int32) bool {
	return slices.Contains(strings.Fields(line), fmt.Sprintf("task=%d", task))
}

func (w *worker) eachLine(fn func(line string)) {
	w.t.Helper()
	_, err := w.hasLine(0, func(line string) bool { fn(line); return false })
	if err != nil {
		w.t.Fatal(err)
	}
}

// awaitRunning waits until the worker runs each of the tasks.
func (w *worker) awaitRunning(tasks []int32, within time.Duration) {
	w.t.Helper()
	deadline := time.Now().Add(within)
	for _, task := range tasks {
		if _, err := w.findLine(0, time.Until(deadline), func(line string) bool {
			return strings.Contains(line, ": task runs:") && hasTask(line, task)
		}); err != nil {
			w.t.Fatalf("waiting for task %d of %v: %v", task, tasks, err)
		}
	}
}

// TestTasksSpreadEvenlyAndStayWhereTheyAre: 8 tablets in 8 tasks on two workers,
// then three, then two, while rows are written. What needn't move isn't stopped.
func TestTasksSpreadEvenlyAndStayWhereTheyAre(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 8)
	// Nobody dies here: a heartbeat that is late must not move a task.
	j.worker["session.timeout.ms"] = "45000"
	const backlog, rate = 5_000, 500
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: j.table, Kind: "narrow", Create: true, Buckets: 8, Rows: backlog,
	}, nil); err != nil {
		t.Fatal(err)
	}
	late := s.writeLate(t, testenv.GenerateOptions{Table: j.table, Kind: "narrow", Start: backlog, Rows: rate, Rate: rate})

	workers := map[string]*worker{"a": s.start(t, j.named("a"), "a")}
	s.awaitShares(t, j, patience, 8)
	workers["b"] = s.start(t, j.named("b"), "b")
	two := s.awaitShares(t, j, patience, 4, 4)
	for name, tasks := range two {
		workers[name].awaitRunning(tasks, patience)
	}

	workers["c"] = s.start(t, j.named("c"), "c")
	three := s.awaitShares(t, j, patience, 2, 3, 3)
	workers["c"].awaitRunning(three["c"], patience)
	stayed := make(map[string][]int32)
	for _, name := range []string{"a", "b"} {
		for _, task := range three[name] {
			if !slices.Contains(two[name], task) {
				t.Errorf("task %d went to worker %s when another joined", task, name)
				continue
			}
			stayed[name] = append(stayed[name], task)
		}
	}
	mark := s.mark(t, j.topic)

	workers["c"].stop()
	again := s.awaitShares(t, j, patience, 4, 4)
	for name, tasks := range again {
		workers[name].awaitRunning(tasks, patience)
	}
	for name, tasks := range stayed {
		for _, task := range tasks {
			if n := workers[name].ended(task); n != 0 {
				t.Errorf("worker %s has ended task %d %d times, which was its own all the time", name, task, n)
			}
			if n := workers[name].runs(task); n != 1 {
				t.Errorf("worker %s has begun task %d %d times, which was its own all the time", name, task, n)
			}
			if !slices.Contains(again[name], task) {
				t.Errorf("task %d was taken from worker %s when another left", task, name)
			}
		}
	}
	for _, w := range []*worker{workers["a"], workers["b"]} {
		w.eachLine(func(line string) {
			if strings.Contains(line, ": task runs:") && !strings.Contains(line, " tablets=1 ") {
				t.Errorf("a task hasn't one tablet: %s", line)
			}
		})
	}
	s.awaitRecords(t, j.topic, backlog+late.finish(), patience)
	workers["a"].stop()
	workers["b"].stop()
	if records := s.verify(t, j, "event_time", "id"); mark.before(records) == len(records) {
		t.Error("no row was left to publish when the third worker stopped")
	}
}

// TestMoreWorkersThanTasksStandBy: a worker without a task takes one over when
// its owner dies.
func TestMoreWorkersThanTasksStandBy(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	const rows = 4_000
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: j.table, Kind: "narrow", Create: true, Buckets: 2, Rows: rows,
	}, nil); err != nil {
		t.Fatal(err)
	}
	workers := make(map[string]*worker)
	for _, name := range []string{"a", "b", "c"} {
		workers[name] = s.start(t, j.named(name), name)
	}
	shares := s.awaitShares(t, j, patience, 0, 1, 1)
	s.awaitRecords(t, j.topic, rows, patience)
	var owner, standby string
	for name, tasks := range shares {
		if len(tasks) == 0 {
			standby = name
		} else {
			owner = name
		}
	}
	if err := workers[owner].Kill(); err != nil {
		t.Fatal(err)
	}
	workers[standby].awaitRunning(shares[owner], patience)
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: j.table, Kind: "narrow", Start: rows, Rows: rows, Ordered: true,
	}, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, 2*rows, patience)
	for name, w := range workers {
		if name != owner {
			w.stop()
		}
	}
	s.verify(t, j, "event_time", "id")
}

// TestStaticMemberComesBackWithoutARebalance: a worker with a group.instance.id
// that is killed and started again within its session has its tasks back, and
// the other's tasks are not touched.
func TestStaticMemberComesBackWithoutARebalance(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 4)
	j.worker["session.timeout.ms"] = "40000"
	const rows = 4_000
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: j.table, Kind: "narrow", Create: true, Buckets: 4, Rows: rows,
	}, nil); err != nil {
		t.Fatal(err)
	}
	a, b := s.start(t, j.as("one").named("a"), "a"), s.start(t, j.as("two").named("b"), "b")
	before := s.awaitShares(t, j, patience, 2, 2)
	b.awaitRunning(before["b"], patience)
	s.awaitRecords(t, j.topic, rows, patience)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	a = s.start(t, j.as("one").named("a"), "a again")
	a.awaitRunning(before["a"], 30*time.Second) // sooner than the session ends
	if after, _ := s.shares(t, j); !slices.Equal(after["a"], before["a"]) || !slices.Equal(after["b"], before["b"]) {
		t.Errorf("the tasks are spread as %v, before the restart as %v", after, before)
	}
	for _, task := range before["b"] {
		if b.ended(task) > 0 {
			t.Errorf("the restart of one worker has ended task %d of the other", task)
		}
	}
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: j.table, Kind: "narrow", Start: rows, Rows: rows, Ordered: true,
	}, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, 2*rows, patience)
	a.stop()
	b.stop()
	s.verify(t, j, "event_time", "id")
}

// TestOneWorkerRunsManyConnectors has twelve of them, each with a topic and
// positions of its own.
func TestOneWorkerRunsManyConnectors(t *testing.T) {
	s := newStack(t)
	const connectors, tables, rows = 12, 3, 5_000
	shared := newJob(t, 2)
	var all []*job
	for n := range connectors {
		j := *shared
		j.name, j.table, j.topic = fmt.Sprintf("c%d", n), fmt.Sprintf("%s_%d", shared.table, n%tables), fmt.Sprintf("%s_%d", shared.topic, n)
		all = append(all, &j)
	}
	for n := range tables {
		if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
			Table: all[n].table, Kind: "narrow", Create: true, Buckets: 2, Rows: rows, Seed: int64(n + 1),
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	w := s.startAll(t, all, "worker")
	for _, j := range all {
		s.awaitRecords(t, j.topic, rows, patience)
	}
	t.Logf("%d connectors: %d MiB resident", connectors, residentMiB(t, w.Pid()))
	w.stop()
	for _, j := range all {
		s.verify(t, j, "event_time", "id")
	}
}
