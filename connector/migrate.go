package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// When tasks.max or order.scope changes, tablets change their tasks, and their
// positions have to move to other partitions of the offsets topic. A worker does
// that when it starts with a configuration that differs from the stored plan:
//
//  1. It takes the transactional id <group.id>-<connector>-plan, so that one
//     migration runs at a time.
//  2. It stores the new plan as not ready in all partitions. A task that fences
//     its predecessor from now on finds that plan when it loads, and doesn't run.
//  3. It fences every task, so that one that was running before step 2 can't
//     commit any more (I3).
//  4. It reads all positions. Nobody can change them now. What has yet to begin
//     with offset.start=latest is given its start, see start_latest.go.
//  5. In one transaction it moves each to where the new plan has it, and stores
//     the plan as ready.
//
// Killed at any point, the next start does it again from step 1. Workers that
// still run with the old configuration keep what they are assigned, idle, and
// say why; restart them with the new one.

// plan is what this worker's configuration asks for, of the table that has its
// name now.
func (i *instance) plan(ctx context.Context) (offsets.Plan, *kudu.Table, error) {
	state, err := i.catalog.get(ctx)
	if err != nil {
		return offsets.Plan{}, nil, err
	}
	return offsets.Plan{
		Table: i.cfg.KuduTable, TableID: state.table.ID(), Tasks: i.cfg.TasksMax, OrderScope: i.cfg.OrderScope, Ready: true,
	}, state.table, nil
}

// comparePlan reports whether what is stored is what this worker wants. A table
// that was made anew under its name is fatal: its rows must not join those of
// the one that was dropped, whatever tasks have positions.
func comparePlan(stored *offsets.Plan, want offsets.Plan, table *kudu.Table) (same bool, err error) {
	if stored == nil {
		return false, nil
	}
	if stored.Table == want.Table && stored.TableID != want.TableID {
		return false, anotherTable(table, stored.TableID)
	}
	return *stored == want, nil
}

// checkPlan lets a task run only under the plan of its worker's configuration.
// A plan of this configuration that isn't ready is what a migration left that
// was cut short, so it is done again.
func (i *instance) checkPlan(ctx context.Context, task int32, loaded *offsets.Loaded) error {
	want, table, err := i.plan(ctx)
	if err != nil {
		return err
	}
	stored := loaded.Plan
	same, err := comparePlan(stored, want, table)
	if err != nil || same && i.begun(loaded) {
		return err
	}
	unready := want
	unready.Ready = false
	switch {
	case stored == nil || *stored == unready || same:
		i.migrating.Lock()
		defer i.migrating.Unlock()
		// Another task may have done it while this one waited.
		now, err := offsets.Load(ctx, i.kafka.Within(ctx), i.cfg.OffsetsTopic(i.worker.GroupID), task, i.cfg.Name)
		if err != nil {
			return kafka.Classify(i.kafka.As(err))
		}
		if now.Plan == nil || *now.Plan != want || !i.begun(now) {
			if err := i.migrate(ctx, now.Plan); errors.Is(err, errOvertaken) {
				i.logger.Info("another worker stores the plan at this moment")
				_ = pause(ctx, confirmPause) // errChanged is met at once
			} else if err != nil {
				return err
			}
		}
		return errChanged
	case !stored.Ready:
		return fmt.Errorf("positions are being moved for tasks.max %d, order.scope %s", stored.Tasks, stored.OrderScope)
	}
	return fmt.Errorf("the connector runs on table %q with tasks.max %d and order.scope %s since another worker was started so; this worker has %q, %d and %s: restart it with the same configuration",
		stored.Table, stored.Tasks, stored.OrderScope, want.Table, want.Tasks, want.OrderScope)
}

// adoptPlan makes this worker's plan the connector's.
func (i *instance) adoptPlan(ctx context.Context) error {
	want, table, err := i.plan(ctx)
	if err != nil {
		return err
	}
	plan, err := i.peek(ctx)
	if err != nil {
		return err
	}
	if same, err := comparePlan(plan, want, table); same || err != nil {
		return err
	}
	if plan != nil {
		i.logger.Info("moving positions", "from_table", plan.Table, "from_tasks", plan.Tasks, "from_scope", plan.OrderScope,
			"to_table", want.Table, "to_tasks", want.Tasks, "to_scope", want.OrderScope)
	}
	return i.migrate(ctx, plan)
}

// peek is the plan that the first partition has. A connector whose names are
// another one's is refused before it fences that one's tasks.
func (i *instance) peek(ctx context.Context) (*offsets.Plan, error) {
	plan, others, err := offsets.PeekPlan(ctx, i.kafka.Within(ctx), i.cfg.OffsetsTopic(i.worker.GroupID), 0, i.cfg.Name)
	if err != nil {
		return nil, kafka.Classify(i.kafka.As(err))
	}
	return plan, i.checkNames(others)
}

// checkNames refuses to share names with a connector of another group.id: of
// group g and name a-b comes the same as of group g-a and name b, the consumer
// group and the transactional ids too, so that either would take the other's
// tasks. An offsets topic that was named by hand may be shared.
func (i *instance) checkNames(others []string) error {
	if len(others) == 0 || i.cfg.OffsetsStorageTopic != "" {
		return nil
	}
	return &FatalError{fmt.Errorf("offsets topic %q holds positions of connector %q: it has another group.id, and group.id and name together give both the same names (%s); change the name or the group.id of one of them, or delete the topic if that connector is gone for good",
		i.cfg.OffsetsTopic(i.worker.GroupID), others, i.cfg.GroupID(i.worker.GroupID))}
}

// planProducer is for the transactional id that one migration has at a time.
func (i *instance) planProducer() producerOptions {
	opts := i.producerOptions(0)
	opts.TransactionalID = i.cfg.PlanTransactionalID(i.worker.GroupID)
	return opts
}

func (i *instance) migrate(ctx context.Context, from *offsets.Plan) error {
	partitions, err := i.offsetsPartitions(ctx, topicShown)
	if err != nil {
		return err
	}
	// A broker that lags behind may not know all of them yet. A position that is
	// not seen would be left behind, and its tablet read again.
	least := i.cfg.TasksMax
	if from != nil {
		least = max(least, from.Tasks)
	}
	if int(partitions) < least {
		return fmt.Errorf("offsets topic %q shows %d partitions, though it has at least %d", i.cfg.OffsetsTopic(i.worker.GroupID), partitions, least)
	}
	p, err := openProducer(ctx, i.planProducer())
	if err != nil {
		return err
	}
	defer p.close()

	want, _, err := i.plan(ctx)
	if err != nil {
		return err
	}
	// Whoever had the id before is through or fenced: only now is it known by which
	// plan the positions lie.
	now, err := i.peek(ctx)
	if err != nil {
		return err
	}
	if now != nil && *now == want && (from == nil || *from != want) {
		return nil // another worker has done it meanwhile
	}
	from = now
	announced := want
	announced.Ready = false
	records, err := i.planRecords(partitions, announced)
	if err != nil {
		return err
	}
	if err := commitRecords(ctx, p, records); err != nil {
		return err
	}
	err = eachPartition(ctx, partitions, func(ctx context.Context, task int32) error {
		return i.fence(ctx, i.producerOptions(task))
	})
	if err != nil {
		return err
	}
	moves, err := i.moves(ctx, partitions, from)
	if err != nil {
		return err
	}
	ready, err := i.planRecords(partitions, want)
	if err != nil {
		return err
	}
	return commitRecords(ctx, p, append(moves, ready...))
}

// A broker may be some moments behind the one that has shown a topic, and say that there
// is none. So long, at most, it is asked again: topicShown where the topic is known to be
// there, and topicMissing where that answer says that nothing is stored.
const (
	topicShown   = 15 * time.Second
	topicMissing = 2 * time.Second
)

// offsetsPartitions is the number of partitions of the offsets topic, which may be more
// than tasks.max. It is kerr.UnknownTopicOrPartition if no broker has shown the topic for
// so long.
func (i *instance) offsetsPartitions(ctx context.Context, within time.Duration) (int32, error) {
	deadline := time.Now().Add(within)
	for {
		n, err := i.shownPartitions(ctx)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || time.Now().After(deadline) || pause(ctx, 50*time.Millisecond) != nil {
			return n, err
		}
	}
}

// shownPartitions asks any one broker, with a client of its own, that has no answer left
// from before.
func (i *instance) shownPartitions(ctx context.Context) (int32, error) {
	client, err := kgo.NewClient(i.kafka.Within(ctx)...)
	if err != nil {
		return 0, fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer client.Close()
	name := i.cfg.OffsetsTopic(i.worker.GroupID)
	topics, err := kadm.NewClient(client).ListTopics(ctx, name)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		err = kafka.Denied(err, kafka.TopicRights(name, "READ", "WRITE")...)
		return 0, kafka.Classify(i.kafka.As(fmt.Errorf("looking up offsets topic %q: %w", name, err)))
	}
	return int32(len(topics[name].Partitions)), nil
}

func (i *instance) planRecords(partitions int32, p offsets.Plan) ([]*kgo.Record, error) {
	var records []*kgo.Record
	for n := range partitions {
		r, err := offsets.PlanRecord(i.cfg.OffsetsTopic(i.worker.GroupID), n, i.cfg.Name, p)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// errOvertaken says that another worker has begun to store the plan while this one
// was at it.
var errOvertaken = errors.New("another worker is storing the plan")

// overtaken tells whether a failure of the plan's producer is another worker's
// doing, which has nothing alarming: workers that are started together find the
// same to do. Which error the broker has for it depends on how far this one was.
func overtaken(err error) bool {
	return errors.Is(err, kafka.ErrFenced) || errors.Is(err, kerr.InvalidTxnState) || errors.Is(err, kerr.ConcurrentTransactions)
}

// fence takes a transactional id from whoever has it.
func (i *instance) fence(ctx context.Context, opts producerOptions) error {
	p, err := openProducer(ctx, opts)
	if err != nil {
		return err
	}
	p.close()
	return nil
}

// moves gives the records that bring everything stored to the partitions where
// the plan has it, and those of tablets that have yet to begin. Before is the plan
// by which they lie.
func (i *instance) moves(ctx context.Context, partitions int32, before *offsets.Plan) ([]*kgo.Record, error) {
	topic := i.cfg.OffsetsTopic(i.worker.GroupID)
	stored := make([][]*kgo.Record, partitions)
	err := eachPartition(ctx, partitions, func(ctx context.Context, n int32) (err error) {
		stored[n], err = offsets.LoadRecords(ctx, i.kafka.Within(ctx), topic, n, i.cfg.Name)
		return err
	})
	if err != nil {
		return nil, kafka.Classify(i.kafka.As(err))
	}
	state, err := i.catalog.since(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	owner := make(map[string]int32)
	for task := range int32(i.cfg.TasksMax) {
		for _, t := range state.tabletsOf(task, i.cfg) {
			owner[t.ID] = task
		}
	}
	found := storedStarts{markers: make(map[int32]offsets.Position), tablets: make(map[string]bool)}
	var records []*kgo.Record
	for _, r := range slices.Concat(stored...) {
		table, tablet, ok := offsets.TabletOf(r.Key)
		if !ok || table != i.cfg.KuduTable {
			continue
		}
		pos, err := offsets.ParsePosition(r.Value)
		// The positions of another table must stay for the tasks to refuse.
		if err == nil && pos.TableID != "" && pos.TableID != state.table.ID() {
			return nil, anotherTable(state.table, pos.TableID)
		}
		if tablet == startMarker {
			found.markers[r.Partition] = pos
			continue
		}
		found.tablets[tablet] = true
		to, there := owner[tablet]
		if there && to == r.Partition {
			continue
		}
		// The position of a tablet that is gone isn't worth moving.
		records = append(records, &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key})
		if there {
			records = append(records, &kgo.Record{Topic: topic, Partition: to, Key: r.Key, Value: r.Value})
		}
	}
	starts, err := i.starts(ctx, state, found, before)
	return append(records, starts...), err
}

// partitionsAtOnce bounds what a migration does at a time: each has connections of
// its own, and most of the time is waiting for brokers.
const partitionsAtOnce = 16

// eachPartition does something for all partitions, several at a time, until one
// fails.
func eachPartition(ctx context.Context, partitions int32, do func(ctx context.Context, n int32) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partitionsAtOnce)
	for n := range partitions {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return do(ctx, n)
		})
	}
	return group.Wait()
}

// commitRecords stores the records in one transaction.
func commitRecords(ctx context.Context, p *producer, records []*kgo.Record) error {
	if err := p.begin(ctx); err != nil {
		return err
	}
	began := time.Now()
	out, err := p.end(ctx, records)
	if out != committed && overtaken(err) {
		return fmt.Errorf("%w: %w", errOvertaken, err)
	}
	if out != committed {
		return fmt.Errorf("storing %d records, %v after their transaction began: %w", len(records), time.Since(began).Round(time.Millisecond), &errReload{outcome: out, err: err})
	}
	return nil
}
