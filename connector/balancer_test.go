package connector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balanced is a group as its coordinator sees it: what each member owns.
type balanced struct {
	t          *testing.T
	owned      map[string][]int32
	generation int32
}

// rebalance is one round: a leader plans, members give up what they have lost. It
// reports whether anything has moved.
func (g *balanced) rebalance(leader kgo.GroupBalancer, partitions int32) (moved bool) {
	g.t.Helper()
	var members []kmsg.JoinGroupResponseMember
	for _, id := range sortedKeys(g.owned) {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID = id
		m.ProtocolMetadata = leader.JoinGroupMetadata([]string{"offsets"}, map[string][]int32{"offsets": g.owned[id]}, g.generation)
		members = append(members, m)
	}
	b, topics, err := leader.MemberBalancer(members)
	if err != nil || len(topics) != 1 {
		g.t.Fatal(topics, err)
	}
	plan, err := b.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"offsets": partitions})
	if err != nil {
		g.t.Fatal(err)
	}
	owner := make(map[int32]string)
	for id, owned := range g.owned {
		for _, p := range owned {
			owner[p] = id
		}
	}
	planned := make(map[int32]string)
	next := make(map[string][]int32)
	for _, a := range plan.IntoSyncAssignment() {
		parts, err := leader.ParseSyncAssignment(a.MemberAssignment)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, p := range parts["offsets"] {
			if by, twice := planned[p]; twice {
				g.t.Errorf("partition %d is given to %s and %s", p, by, a.MemberID)
			}
			if by, has := owner[p]; has && by != a.MemberID {
				g.t.Errorf("partition %d is given to %s while %s has it", p, a.MemberID, by)
			}
			planned[p] = a.MemberID
		}
		slices.Sort(parts["offsets"])
		next[a.MemberID] = parts["offsets"]
	}
	for id := range g.owned {
		slices.Sort(g.owned[id])
		moved = moved || !slices.Equal(g.owned[id], next[id])
		g.owned[id] = next[id]
	}
	g.generation++
	return moved
}

// settle rebalances until nothing moves.
func (g *balanced) settle(leader kgo.GroupBalancer, partitions int32) {
	g.t.Helper()
	for round := 0; g.rebalance(leader, partitions); round++ {
		if round > 4 {
			g.t.Fatalf("it doesn't settle: %v", g.owned)
		}
	}
}

// uneven is the difference of the members' numbers of partitions in a range.
func (g *balanced) uneven(from, to int32) int {
	g.t.Helper()
	var counts []int
	total := 0
	for _, owned := range g.owned {
		n := 0
		for _, p := range owned {
			if p >= from && p < to {
				n++
			}
		}
		counts = append(counts, n)
		total += n
	}
	if total != int(to-from) {
		g.t.Errorf("%d of the partitions from %d to %d are given out: %v", total, from, to, g.owned)
	}
	return slices.Max(counts) - slices.Min(counts)
}

func sortedKeys(m map[string][]int32) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestTasksSpreadEvenlyBesidePartitionsThatAreLeft(t *testing.T) {
	g := &balanced{t: t, owned: map[string][]int32{"a": {0, 1, 2, 3}, "b": {4, 5, 6, 7}}}
	g.settle(newTaskBalancer("offsets", 2), 8)
	if g.uneven(0, 2) != 0 || g.uneven(2, 8) != 0 {
		t.Errorf("two tasks, two workers: %v", g.owned)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		workers, partitions := 1+dice.IntN(6), 1+dice.Int32N(20)
		g := &balanced{t: t, owned: make(map[string][]int32), generation: 5}
		for n := range workers {
			g.owned[fmt.Sprint("worker-", n)] = nil
		}
		for p := range partitions {
			if n := dice.IntN(workers + 1); n < workers { // or nobody has it
				id := fmt.Sprint("worker-", n)
				g.owned[id] = append(g.owned[id], p)
			}
		}
		// Leaders of other plans, and of releases without this balancer, lead in
		// between.
		for _, leader := range []kgo.GroupBalancer{
			newTaskBalancer("offsets", 1+dice.Int32N(25)), kgo.CooperativeStickyBalancer(), newTaskBalancer("offsets", 1+dice.Int32N(partitions)),
		} {
			g.rebalance(leader, partitions)
			g.settle(leader, partitions)
			if b, ok := leader.(*taskBalancer); ok {
				tasks := min(b.tasks, partitions)
				if g.uneven(0, tasks) > 1 || g.uneven(tasks, partitions) > 1 {
					t.Errorf("%d tasks of %d partitions: %v", tasks, partitions, g.owned)
				}
			}
			delete(g.owned, sortedKeys(g.owned)[0]) // a worker goes, another comes
			g.owned[fmt.Sprint("worker-", 10+g.generation)] = nil
		}
	}
}

func TestTwoWorkersHaveOneTaskEachAfterTasksMaxWasLowered(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	if err := b.cluster.CreateTopic("offsets-8", 8, nil); err != nil {
		t.Fatal(err)
	}
	type owned struct {
		worker int
		task   int32
		delta  int
	}
	changes := make(chan owned, 100)
	join := func(worker int, tasks int32) *group {
		g, err := joinGroup(groupOptions{
			kafka: b.options().Kafka, id: "g-orders", topic: "offsets-8", tasks: tasks, session: 30 * time.Second,
			heartbeat: 100 * time.Millisecond, rebalance: 10 * time.Second, logger: hclog.NewNullLogger(),
			runTask: func(ctx context.Context, task int32) {
				changes <- owned{worker, task, 1}
				<-ctx.Done()
				changes <- owned{worker, task, -1}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.leave(context.WithoutCancel(t.Context()), false) })
		return g
	}
	has := make(map[int]map[int32]bool)
	await := func(what string, done func() bool) {
		t.Helper()
		late := time.After(time.Minute)
		for !done() {
			select {
			case c := <-changes:
				if has[c.worker] == nil {
					has[c.worker] = make(map[int32]bool)
				}
				if c.delta > 0 {
					has[c.worker][c.task] = true
				} else {
					delete(has[c.worker], c.task)
				}
			case <-late:
				t.Fatalf("%s: %v", what, has)
			}
		}
	}
	join(1, 2)
	await("the first worker has all", func() bool { return len(has[1]) == 8 })
	join(2, 2)
	await("each has one task", func() bool {
		tasks := func(w int) (n int) {
			for p := range has[w] {
				if p < 2 {
					n++
				}
			}
			return n
		}
		return len(has[1])+len(has[2]) == 8 && tasks(1) == 1 && tasks(2) == 1
	})
}
