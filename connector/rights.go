package connector

import (
	"fmt"
	"slices"
)

// This file says what a connector's user has to be allowed. What is listed is
// what the code sends: a request more or less somewhere is a line more or less
// here.

// ResourceType is a kind of resource that Kafka's access control lists name.
type ResourceType string

// The types of resources, by Kafka's names.
const (
	ResourceTopic           ResourceType = "TOPIC"
	ResourceGroup           ResourceType = "GROUP"
	ResourceTransactionalID ResourceType = "TRANSACTIONAL_ID"
	ResourceCluster         ResourceType = "CLUSTER"
)

// KafkaRight is one operation on one resource.
type KafkaRight struct {
	Resource  ResourceType
	Name      string // of the resource; kafka-cluster for the cluster
	Operation string // by Kafka's name: READ, WRITE, CREATE, DESCRIBE, ALTER, DESCRIBE_CONFIGS
	// For says what needs it.
	For string
	// Optional: without it the connector runs, and knows less.
	Optional bool
	// Instead is another right that does as well: CREATE on the cluster for that on
	// a topic.
	Instead *KafkaRight
}

func (r KafkaRight) String() string {
	return fmt.Sprintf("%s on %s %s", r.Operation, r.Resource, r.Name)
}

// ClusterResource is the name of the resource of type CLUSTER.
const ClusterResource = "kafka-cluster"

// rightsList collects rights.
type rightsList []KafkaRight

func (l *rightsList) add(resource ResourceType, name, operation, what string) *KafkaRight {
	*l = append(*l, KafkaRight{Resource: resource, Name: name, Operation: operation, For: what})
	return &(*l)[len(*l)-1]
}

func (l *rightsList) create(topic, what string) {
	l.add(ResourceTopic, topic, "CREATE", what).Instead = &KafkaRight{Resource: ResourceCluster, Name: ClusterResource, Operation: "CREATE", For: what}
}

// WorkerRights lists what a worker's user needs for the topics that the workers of
// a group steer their connectors by.
func WorkerRights(w WorkerConfig) []KafkaRight {
	var l rightsList
	for _, t := range []struct{ name, what string }{
		{w.ConfigTopic(), "what operators ask of connectors"}, {w.StatusTopic(), "what workers tell each other"},
	} {
		l.add(ResourceTopic, t.name, "WRITE", "storing "+t.what)
		l.add(ResourceTopic, t.name, "READ", "following "+t.what)
		l.create(t.name, "making the topic of "+t.what)
		l.add(ResourceTopic, t.name, "DESCRIBE_CONFIGS", "making sure that the topic is compacted").Optional = true
	}
	l.add(ResourceCluster, ClusterResource, "DESCRIBE_CONFIGS", "comparing timeouts with the brokers' limits before the start").Optional = true
	return l
}

// KafkaRights lists what a worker's user needs for a connector, beside
// WorkerRights. Tasks is the number of transactional ids: tasks.max, or the
// partitions that the offsets topic has, if they are more. READ, WRITE, CREATE and
// ALTER imply DESCRIBE.
func KafkaRights(w WorkerConfig, c Config, tasks int) []KafkaRight {
	var l rightsList
	rows, positions := c.TopicName(), c.OffsetsTopic(w.GroupID)
	l.add(ResourceTopic, rows, "WRITE", "publishing rows")
	if w.TopicCreationEnable {
		l.create(rows, "making the topic")
		l.add(ResourceTopic, rows, "DESCRIBE_CONFIGS", "looking at the topic's settings").Optional = true
	}
	l.add(ResourceTopic, positions, "WRITE", "storing positions")
	l.add(ResourceTopic, positions, "READ", "reading positions back")
	l.add(ResourceTopic, positions, "DESCRIBE_CONFIGS", "making sure that the topic is compacted")
	l.create(positions, "making the offsets topic")
	l.add(ResourceTopic, positions, "ALTER", "adding partitions when tasks.max grows").Optional = true
	l.add(ResourceGroup, c.GroupID(w.GroupID), "READ", "sharing out the tasks")
	for task := range int32(max(tasks, c.TasksMax)) {
		l.add(ResourceTransactionalID, c.TransactionalID(w.GroupID, task), "WRITE", fmt.Sprintf("the transactions of task %d", task))
	}
	l.add(ResourceTransactionalID, c.PlanTransactionalID(w.GroupID), "WRITE", "storing and changing the plan of tasks")
	return l
}

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
	if o.read.filter != nil {
		for i := range schema.NumColumns() {
			if name := schema.Column(i).Name; o.read.filter.Mentions(name) {
				add(name)
			}
		}
	}
	switch {
	case o.cfg.LateRows == lateRepair && o.cfg.SnapshotGuard == guardBarrier:
		r.AnyWrite = "the barriers of snapshot.guard: barrier, which write nothing"
	case o.sweep == nil || o.sweep.dry:
	case o.sweep.action == sweepDelete:
		r.Delete = "sweep.action: delete"
	case o.sweep.action == sweepUpdate:
		r.Update = "sweep.action: update"
	}
	return r
}
