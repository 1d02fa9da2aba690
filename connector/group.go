package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// group is this worker's membership in a connector's consumer group. The group
// subscribes to the offsets topic; owning its partition p is being task p. No
// record is consumed through it: tasks read their partition themselves, after
// fencing.
type group struct {
	id       string
	kafka    kafka.Options
	topic    string
	client   *kgo.Client
	cut      context.CancelFunc // ends whatever the client is waiting for
	instance string
	session  time.Duration
	logger   hclog.Logger

	// runTask runs one task until its context ends. It is called on a goroutine
	// that the group owns.
	runTask func(ctx context.Context, task int32)
	rounds  *rounds

	mu     sync.Mutex
	tasks  map[int32]*runningTask
	closed bool
}

type runningTask struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

type groupOptions struct {
	kafka      kafka.Options
	id         string
	topic      string
	tasks      int32 // tasks.max; the topic may have more partitions
	session    time.Duration
	heartbeat  time.Duration
	rebalance  time.Duration
	instance   string // static membership when not empty
	logger     hclog.Logger
	runTask    func(ctx context.Context, task int32)
	rebalanced func(took time.Duration) // nil: nobody wants to know
	joined     func()                   // the group has given this member its share, which may be none; may be nil
}

// joinGroup begins to take part. Partitions come and go until leave.
func joinGroup(o groupOptions) (*group, error) {
	ctx, cut := context.WithCancel(context.Background())
	g := &group{id: o.id, kafka: o.kafka, topic: o.topic, cut: cut, logger: o.logger, runTask: o.runTask, rounds: &rounds{over: o.rebalanced}, instance: o.instance, session: o.session, tasks: make(map[int32]*runningTask)}
	opts := append(o.kafka.Within(ctx),
		kgo.ConsumerGroup(o.id),
		kgo.ConsumeTopics(o.topic),
		kgo.Balancers(newTaskBalancer(o.topic, o.tasks)),
		kgo.SessionTimeout(o.session),
		kgo.HeartbeatInterval(o.heartbeat),
		kgo.RebalanceTimeout(o.rebalance),
		kgo.DisableAutoCommit(),
		// While the coordinator can't be reached the client asks again at this
		// pace, instead of one that grows to many seconds.
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(100*time.Millisecond<<min(tries, 4), time.Second)
		}),
		// How soon a partition that was added for a new task is shared out.
		kgo.MetadataMaxAge(10*time.Second),
		kgo.WithHooks(g.rounds),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			g.rounds.assigned()
			if o.joined != nil {
				o.joined()
			}
			g.assigned(parts[o.topic])
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { g.stop(parts[o.topic], errRevoked) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { g.stop(parts[o.topic], errLost) }),
	)
	if o.instance != "" {
		opts = append(opts, kgo.InstanceID(o.instance))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		cut()
		return nil, fmt.Errorf("joining group %q: %w", o.id, err)
	}
	g.client = client
	// The client would otherwise fetch what it was assigned.
	client.PauseFetchTopics(o.topic)
	return g, nil
}

// watch reports why the group makes no progress, until ctx ends. With the only
// topic paused, all that a poll can bring is errors.
func (g *group) watch(ctx context.Context, report func(error)) {
	for {
		fetches := g.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		for _, e := range fetches.Errors() {
			report(fmt.Errorf("in group %q: %w", g.id, g.denied(e.Err)))
		}
	}
}

// assigned starts the tasks of new partitions.
func (g *group) assigned(parts []int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range parts {
		if g.closed || g.tasks[p] != nil {
			continue
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		t := &runningTask{cancel: cancel, done: make(chan struct{})}
		g.tasks[p] = t
		go func() {
			defer close(t.done)
			g.runTask(ctx, p)
		}()
	}
}

// stop ends tasks and waits for them: only then may the partitions go to
// another worker.
func (g *group) stop(parts []int32, cause error) {
	g.mu.Lock()
	var stopping []*runningTask
	for _, p := range parts {
		if t := g.tasks[p]; t != nil {
			stopping = append(stopping, t)
			delete(g.tasks, p)
		}
	}
	g.mu.Unlock()
	for _, t := range stopping {
		t.cancel(cause)
	}
	for _, t := range stopping {
		<-t.done
	}
}

// leave ends all tasks, then gives the membership up. A static member keeps its
// place, for it to come back, unless it leaves for good. ctx bounds the farewell.
func (g *group) leave(ctx context.Context, forGood bool) {
	g.mu.Lock()
	g.closed = true
	var all []int32
	for p := range g.tasks {
		all = append(all, p)
	}
	g.mu.Unlock()
	g.stop(all, errRevoked)

	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, g.cut)() // requests don't all heed ctx
	if err := g.client.LeaveGroupContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		g.logger.Debug("leaving the group", "group", g.id, "error", err)
	}
	if g.instance != "" && forGood {
		_, err := kadm.NewClient(g.client).LeaveGroup(ctx, kadm.LeaveGroup(g.id).Reason("the connector is stopped").InstanceIDs(g.instance))
		if err != nil {
			g.logger.Warn("leaving the group for good: it counts this worker as a member until the session is over", "group", g.id, "error", err)
		}
	}
	// Closing leaves once more, and would wait for a broker that doesn't answer.
	g.cut()
	g.client.CloseAllowingRebalance()
}

// generation is the group's, as far as this member knows.
func (g *group) generation() int32 {
	_, generation := g.client.GroupMetadata()
	return generation
}

const (
	// leaveTimeout bounds the farewell, which only saves the others a wait.
	leaveTimeout = 2 * time.Second
	// leftWithin is when the farewell is over in any case, counted from the stop, also
	// if the tasks took their time: the process is to end within 10 s.
	leftWithin = 8 * time.Second
)

// confirm makes sure, with a heartbeat of its own, that the broker counts this
// worker as a member of the group's present generation. A worker that slept
// through its session must not fence the task's new owner: it waits here until
// the client has noticed, and its tasks are taken from it. Should that take
// longer than a session lasts, waiting is told why, once.
func (g *group) confirm(ctx context.Context, waiting func(error)) error {
	began := time.Now()
	for told := false; ; {
		err := g.heartbeat(ctx)
		// During a rebalance a member keeps what it owns until it is revoked.
		if err == nil || errors.Is(err, kerr.RebalanceInProgress) {
			return nil
		}
		err = kafka.Classify(fmt.Errorf("confirming the membership in group %q: %w", g.id, g.denied(err)))
		g.logger.Debug("membership is not confirmed", "error", err)
		switch {
		case ctx.Err() == nil && (errors.Is(err, kafka.ErrPermanent) || kafka.Refused(err) != nil):
			return err
		case ctx.Err() == nil && !told && time.Since(began) > g.session:
			told = true
			waiting(err)
		}
		if pause(ctx, confirmPause) != nil {
			return fmt.Errorf("confirming the membership in group %q: %w", g.id, context.Cause(ctx))
		}
	}
}

// denied names the right that the group's broker has missed.
func (g *group) denied(err error) error {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		err = kafka.Denied(err, kafka.TopicRights(g.topic, "READ")...)
	}
	return g.kafka.As(kafka.Denied(err, groupRight(g.id)))
}

func groupRight(id string) kafka.Right {
	return kafka.Right{Operation: "READ", Resource: kafka.ResourceGroup, Name: id}
}

// heartbeat asks the coordinator whether this worker is a member still.
func (g *group) heartbeat(ctx context.Context) error {
	member, generation := g.client.GroupMetadata()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = g.id, member, generation
	if g.instance != "" {
		req.InstanceID = &g.instance
	}
	resp, err := kafka.Heed(ctx, func() (*kmsg.HeartbeatResponse, error) { return req.RequestWith(ctx, g.client) })
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.FencedInstanceID) {
		err = fmt.Errorf("%w: another process has the group.instance.id %q too: give each its own", err, g.instance)
	}
	return err
}

const confirmPause = 200 * time.Millisecond

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
