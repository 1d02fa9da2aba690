package connector

import (
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// This file says what a connector's user has to be allowed. What is listed is
// what the code sends: a request more or less somewhere is a line more or less
// here.

// KafkaRight is a right in Kafka that something needs.
type KafkaRight struct {
	kafka.Right
	// For says what needs it.
	For string
	// Optional: without it the connector runs, and knows less.
	Optional bool
	// Instead is another right that does as well: CREATE on the cluster for that on
	// a topic.
	Instead *kafka.Right
}

// rightsList collects rights.
type rightsList []KafkaRight

func (l *rightsList) add(resource kafka.ResourceType, name, operation, what string) *KafkaRight {
	*l = append(*l, KafkaRight{Right: kafka.Right{Operation: operation, Resource: resource, Name: name}, For: what})
	return &(*l)[len(*l)-1]
}

// create is of use while the topic isn't there.
func (l *rightsList) create(topic, what string) {
	l.add(kafka.ResourceTopic, topic, "CREATE", what).Instead = &kafka.Right{Operation: "CREATE", Resource: kafka.ResourceCluster, Name: kafka.ClusterName}
}

// WorkerRights lists what a worker's user needs for the topics that the workers of
// a group steer their connectors by.
func WorkerRights(w WorkerConfig) []KafkaRight {
	var l rightsList
	for _, t := range []struct{ name, what string }{
		{w.ConfigTopic(), "what operators ask of connectors"}, {w.StatusTopic(), "what workers tell each other"},
	} {
		l.add(kafka.ResourceTopic, t.name, "WRITE", "storing "+t.what)
		l.add(kafka.ResourceTopic, t.name, "READ", "following "+t.what)
		l.create(t.name, "making the topic of "+t.what+", if it isn't there")
		l.add(kafka.ResourceTopic, t.name, "DESCRIBE_CONFIGS", "making sure that the topic is compacted").Optional = true
	}
	l.add(kafka.ResourceCluster, kafka.ClusterName, "DESCRIBE_CONFIGS", "comparing timeouts with the brokers' limits before the start").Optional = true
	return l
}

// KafkaRights lists what a worker's user needs for a connector, beside
// WorkerRights. Tasks is the number of transactional ids: tasks.max, or the
// partitions that the offsets topic has, if they are more. READ, WRITE and ALTER
// imply DESCRIBE. Producers' ids take IDEMPOTENT_WRITE on the cluster from brokers
// before 3.0, which isn't listed.
func KafkaRights(w WorkerConfig, c Config, tasks int) []KafkaRight {
	var l rightsList
	rows, positions := c.TopicName(), c.OffsetsTopic(w.GroupID)
	l.add(kafka.ResourceTopic, rows, "WRITE", "publishing rows")
	if w.TopicCreationEnable {
		l.create(rows, "making the topic, if it isn't there")
		l.add(kafka.ResourceTopic, rows, "DESCRIBE_CONFIGS", "looking at the topic's settings").Optional = true
	}
	l.add(kafka.ResourceTopic, positions, "WRITE", "storing positions")
	l.add(kafka.ResourceTopic, positions, "READ", "reading positions back")
	l.add(kafka.ResourceTopic, positions, "DESCRIBE_CONFIGS", "making sure that the topic is compacted").Optional = true
	l.create(positions, "making the offsets topic, if it isn't there")
	l.add(kafka.ResourceTopic, positions, "ALTER", "adding partitions when tasks.max grows").Optional = true
	l.add(kafka.ResourceGroup, c.GroupID(w.GroupID), "READ", "sharing out the tasks")
	for task := range int32(max(tasks, c.TasksMax)) {
		l.add(kafka.ResourceTransactionalID, c.TransactionalID(w.GroupID, task), "WRITE", fmt.Sprintf("the transactions of task %d", task))
	}
	l.add(kafka.ResourceTransactionalID, c.PlanTransactionalID(w.GroupID), "WRITE", "storing and changing the plan of tasks")
	return l
}

// KafkaPrincipal is the worker's user as Kafka's access control lists have it; empty
// when it isn't known here, since it follows from a certificate, or there is none.
func KafkaPrincipal(w WorkerConfig) string { return KafkaOptions(w, hclog.NewNullLogger()).Principal() }

// PlanTransactionalID is the transactional.id under which positions are moved
// when the tasks change.
func (c Config) PlanTransactionalID(workerGroup string) string {
	return c.GroupID(workerGroup) + "-plan"
}

// KuduRights are the rights to a table's rows that a connector needs, by the names
// that Apache Ranger has for them.
type KuduRights struct {
	// Select lists the columns that are read, and named in predicates.
	Select []string
	// Insert, Update and Delete say what needs the right; empty: nothing does.
	Insert, Update, Delete string
	// AnyWrite says what needs any of the three.
	AnyWrite string
}

// KuduRights lists what the connector's user needs of Kudu, beside METADATA on the
// table.
func (o *Outlook) KuduRights() KuduRights {
	r := KuduRights{Select: slices.Clone(o.read.columns)}
	// A scan of what has changed has a column of its own that says what was deleted,
	// and for that Kudu wants the right to all of the table's.
	all := o.cfg.LateRows == lateRepair
	add := func(name string) {
		if !slices.Contains(r.Select, name) {
			r.Select = append(r.Select, name)
		}
	}
	// A scan with key bounds needs all key columns; predicates need theirs.
	for _, name := range o.table.Schema().KeyNames() {
		add(name)
	}
	schema := o.table.Schema()
	for i := range schema.NumColumns() {
		if name := schema.Column(i).Name; all || o.read.filter != nil && o.read.filter.Mentions(name) {
			add(name)
		}
	}
	writes := WritesOf(o.cfg)
	writes.Select = r.Select
	return writes
}

// WritesOf lists the rights to write that a configuration needs, whatever the table
// is.
func WritesOf(c Config) (r KuduRights) {
	switch {
	case c.LateRows == lateRepair && c.SnapshotGuard == guardBarrier:
		r.AnyWrite = "the barriers of snapshot.guard: barrier, which write nothing"
	case c.Mode != modeSweep || c.SweepDryRun:
	case c.SweepAction == sweepDelete:
		r.Delete = "sweep.action: delete"
	case c.SweepAction == sweepUpdate:
		r.Update = "sweep.action: update"
	}
	return r
}
