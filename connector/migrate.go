package connector

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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
//  4. It reads all positions. Nobody can change them now.
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
func (i *instance) checkPlan(ctx context.Context, task int32, stored *offsets.Plan) error {
	want, table, err := i.plan(ctx)
	if err != nil {
		return err
	}
	if same, err := comparePlan(stored, want, table); same || err != nil {
		return err
	}
	unready := want
	unready.Ready = false
	switch {
	case stored == nil || *stored == unready:
		i.migrating.Lock()
		defer i.migrating.Unlock()
		// Another task may have done it while this one waited.
		now, err := offsets.LoadPlan(ctx, i.kafka.ClientOpts(), i.cfg.OffsetsTopic(i.worker.GroupID), task, i.cfg.Name)
		if err != nil {
			return kafka.Classify(err)
		}
		if now == nil || *now != want {
			if err := i.migrate(ctx, stored); err != nil {
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
	plan, err := offsets.LoadPlan(ctx, i.kafka.ClientOpts(), i.cfg.OffsetsTopic(i.worker.GroupID), 0, i.cfg.Name)
	if err != nil {
		return kafka.Classify(err)
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

// planProducer is for the transactional id that one migration has at a time.
func (i *instance) planProducer() producerOptions {
	opts := i.producerOptions(0)
	opts.TransactionalID = i.cfg.PlanTransactionalID(i.worker.GroupID)
	return opts
}

func (i *instance) migrate(ctx context.Context, from *offsets.Plan) error {
	partitions, err := i.offsetsPartitions(ctx)
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
	announced := want
	announced.Ready = false
	records, err := i.planRecords(partitions, announced)
	if err != nil {
		return err
	}
	if err := commitRecords(ctx, p, records); err != nil {
		return err
	}
	for task := range partitions {
		if err := i.fence(ctx, i.producerOptions(task)); err != nil {
			return err
		}
	}
	moves, err := i.moves(ctx, partitions)
	if err != nil {
		return err
	}
	ready, err := i.planRecords(partitions, want)
	if err != nil {
		return err
	}
	return commitRecords(ctx, p, append(moves, ready...))
}

// offsetsPartitions is the number of partitions of the offsets topic, which may
// be more than tasks.max.
func (i *instance) offsetsPartitions(ctx context.Context) (int32, error) {
	client, err := kgo.NewClient(i.kafka.ClientOpts()...)
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
		return 0, kafka.Classify(fmt.Errorf("looking up offsets topic %q: %w", name, err))
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
// the plan has it.
func (i *instance) moves(ctx context.Context, partitions int32) ([]*kgo.Record, error) {
	state, err := i.catalog.get(ctx)
	if err != nil {
		return nil, err
	}
	owner := make(map[string]int32)
	for task := range int32(i.cfg.TasksMax) {
		for _, t := range state.tabletsOf(task, i.cfg) {
			owner[t.ID] = task
		}
	}
	topic := i.cfg.OffsetsTopic(i.worker.GroupID)
	var records []*kgo.Record
	for n := range partitions {
		stored, err := offsets.LoadRecords(ctx, i.kafka.ClientOpts(), topic, n, i.cfg.Name)
		if err != nil {
			return nil, kafka.Classify(err)
		}
		for _, r := range stored {
			table, tablet, ok := offsets.TabletOf(r.Key)
			if !ok || table != i.cfg.KuduTable {
				continue
			}
			if tablet == startMarker {
				// Each task has begun, whichever did so before.
				for task := range int32(i.cfg.TasksMax) {
					records = append(records, &kgo.Record{Topic: topic, Partition: task, Key: r.Key, Value: r.Value})
				}
				continue
			}
			// The positions of another table must stay for the tasks to refuse.
			if pos, err := offsets.ParsePosition(r.Value); err == nil && pos.TableID != "" && pos.TableID != state.table.ID() {
				return nil, anotherTable(state.table, pos.TableID)
			}
			to, there := owner[tablet]
			if there && to == n {
				continue
			}
			// The position of a tablet that is gone isn't worth moving.
			records = append(records, &kgo.Record{Topic: topic, Partition: n, Key: r.Key})
			if there {
				records = append(records, &kgo.Record{Topic: topic, Partition: to, Key: r.Key, Value: r.Value})
			}
		}
	}
	return records, nil
}

// commitRecords stores the records in one transaction.
func commitRecords(ctx context.Context, p *producer, records []*kgo.Record) error {
	if err := p.begin(ctx); err != nil {
		return err
	}
	began := time.Now()
	out, err := p.end(ctx, records)
	if out != committed {
		return fmt.Errorf("storing %d records, %v after their transaction began: %w", len(records), time.Since(began).Round(time.Millisecond), &errReload{outcome: out, err: err})
	}
	return nil
}
