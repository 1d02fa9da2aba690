package preflight

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// Plan is what a connector will do when it starts next, as Kudu and Kafka are now.
type Plan struct {
	Connector string      `json:"connector"`
	Mode      string      `json:"mode"`
	Table     TablePlan   `json:"table"`
	Reading   ReadingPlan `json:"reading"`
	Tasks     []TaskPlan  `json:"tasks"`
	// Moves says that positions are moved first, since they were stored under
	// another tasks.max or order.scope; empty otherwise.
	Moves  string      `json:"moves,omitempty"`
	Topics []TopicPlan `json:"topics"`
	Group  string      `json:"group"`
	// TransactionalIDs are those of the tasks and the one for moving positions.
	TransactionalIDs []string    `json:"transactional_ids"`
	KafkaRights      []RightPlan `json:"kafka_rights"`
	KuduRights       []RightPlan `json:"kudu_rights"`
	// Example is the first row that would be published, nil when none was found.
	Example     *ExamplePlan `json:"example"`
	ExampleNote string       `json:"example_note,omitempty"` // why there is none
}

// TablePlan describes the table.
type TablePlan struct {
	Name       string   `json:"name"`
	ID         string   `json:"id"`
	PrimaryKey []string `json:"primary_key"`
	Replicas   int      `json:"replicas"`
	Tablets    int      `json:"tablets"`
	Hash       []string `json:"hash"`  // each dimension, such as "id, region into 4"
	Range      []string `json:"range"` // columns
}

// ReadingPlan says how rows are found, and what of them is published.
type ReadingPlan struct {
	Order      []string       `json:"order"` // the streaming key, or sweep.order.by
	Way        connector.Way  `json:"way"`
	Cost       string         `json:"cost"`
	Columns    []string       `json:"columns"`     // what scans read
	KeyColumns []string       `json:"key_columns"` // of the record
	Where      []ConjunctPlan `json:"where"`
}

// ConjunctPlan says who evaluates a part of where.
type ConjunctPlan struct {
	Text      string `json:"text"`
	Pushed    bool   `json:"pushed"`
	Evaluated bool   `json:"evaluated"`
	Why       string `json:"why,omitempty"`
}

// TaskPlan is what one task reads.
type TaskPlan struct {
	Task            int          `json:"task"`
	TransactionalID string       `json:"transactional_id"`
	Tablets         []TabletPlan `json:"tablets"`
}

// TabletPlan is one tablet with its first scan.
type TabletPlan struct {
	ID        string      `json:"id"`
	Partition string      `json:"partition"`
	Leader    string      `json:"leader,omitempty"` // host:port
	Stored    *StoredPlan `json:"stored"`
	Scan      ScanPlan    `json:"first_scan"`
}

// StoredPlan is a stored position.
type StoredPlan struct {
	Mode       string          `json:"mode"`
	Phase      string          `json:"phase,omitempty"`
	Key        json.RawMessage `json:"key,omitempty"`
	PrimaryKey json.RawMessage `json:"primary_key,omitempty"`
	// Time is when the last row was read, by Kudu's clock.
	Time *time.Time `json:"time,omitempty"`
	// Refused says why a connector of this configuration can't go on from it.
	Refused string `json:"refused,omitempty"`
}

// ScanPlan is what the first look at a tablet asks for.
type ScanPlan struct {
	From       json.RawMessage `json:"from,omitempty"`  // inclusive
	After      json.RawMessage `json:"after,omitempty"` // exclusive
	To         json.RawMessage `json:"to,omitempty"`    // exclusive
	Predicates []string        `json:"predicates,omitempty"`
	Ordered    bool            `json:"ordered"`
	// Latest: the last row that is there is looked for first.
	Latest bool `json:"latest,omitempty"`
	// Pruned: by its partition the tablet holds no row that is asked for.
	Pruned bool `json:"pruned,omitempty"`
}

// TopicPlan is a topic that the connector writes.
type TopicPlan struct {
	Name   string `json:"name"`
	Holds  string `json:"holds"` // rows or positions
	Exists bool   `json:"exists"`
	// Partitions and Replicas are those it has, or is made with; 0: the broker's
	// default, which could not be read.
	Partitions int `json:"partitions"`
	Replicas   int `json:"replicas"`
	// Settings are those it is made with, or, of one that is there, those that
	// matter here.
	Settings map[string]string `json:"settings"`
}

// RightPlan is a right that the worker's user needs.
type RightPlan struct {
	Resource  string `json:"resource"`
	Name      string `json:"name"`
	Operation string `json:"operation"`
	For       string `json:"for"`
	Optional  bool   `json:"optional,omitempty"`
}

// ExamplePlan is a record as it would be sent. Texts that aren't UTF-8 are quoted
// as Go does.
type ExamplePlan struct {
	Tablet string `json:"tablet"`
	Topic  string `json:"topic"`
	// Partition is -1 when it isn't known how many the topic will have, and for
	// records without a key, for which the producer chooses one for each batch.
	Partition int         `json:"partition"`
	Timestamp time.Time   `json:"timestamp"`
	Key       string      `json:"key"`
	Value     string      `json:"value"`
	Headers   [][2]string `json:"headers"`
}

// MakePlans works out what each connector will do. It reads, and writes nothing.
// What keeps a connector from running is in a *connector.ConfigError.
func MakePlans(ctx context.Context, o Options) ([]Plan, error) {
	l, subjects, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer finish(l, subjects)
	faults := connector.CheckBrokers(ctx, l.client, l.worker)
	for _, s := range subjects {
		var more []connector.Fault
		if s.outlook, more = connector.CheckTable(ctx, s.client, s.cfg); len(more) > 0 {
			faults = append(faults, more...)
		}
	}
	if len(faults) > 0 {
		return nil, &connector.ConfigError{Faults: faults}
	}
	if l.brokers, err = l.adm.ListBrokers(ctx); err != nil {
		return nil, fmt.Errorf("listing the brokers: %w", err)
	}
	if len(l.brokers) > 0 {
		// Without the right to read them the defaults stay unknown.
		if l.defaults, err = l.brokerSettings(ctx, l.brokers[0].NodeID); err != nil {
			l.logger.Debug("the brokers' defaults are not known", "error", err)
		}
	}
	plans := make([]Plan, len(subjects))
	for n, s := range subjects {
		if plans[n], err = s.plan(ctx); err != nil {
			return nil, fmt.Errorf("connector %q: %w", s.cfg.Name, err)
		}
	}
	return plans, nil
}

func (s *subject) plan(ctx context.Context) (Plan, error) {
	table := s.outlook.Table()
	p := Plan{
		Connector: s.cfg.Name, Mode: s.cfg.Mode, Group: s.cfg.GroupID(s.worker.GroupID),
		Table: TablePlan{
			Name: table.Name(), ID: table.ID(), PrimaryKey: table.Schema().KeyNames(), Replicas: table.Replicas(),
			Hash: []string{}, Range: append([]string{}, table.PartitionSchema().Range...),
		},
		Reading: ReadingPlan{
			Order: s.outlook.StreamingKey(), Way: s.outlook.Way(), Cost: costs[s.outlook.Way()],
			Columns: s.outlook.Columns(), KeyColumns: s.outlook.KeyColumns(), Where: conjuncts(s.outlook.Where()),
		},
	}
	if len(s.cfg.SweepOrderBy) > 0 {
		p.Reading.Order = s.cfg.SweepOrderBy
	}
	for _, h := range table.PartitionSchema().Hash {
		p.Table.Hash = append(p.Table.Hash, fmt.Sprintf("%s into %d", strings.Join(h.Columns, ", "), h.Buckets))
	}
	var err error
	if s.tablets, err = table.Tablets(ctx); err != nil {
		return p, err
	}
	p.Table.Tablets = len(s.tablets)
	if s.rows, err = s.describe(ctx, s.cfg.TopicName()); err != nil {
		return p, err
	}
	if s.positions, err = s.describe(ctx, s.cfg.OffsetsTopic(s.worker.GroupID)); err != nil {
		return p, err
	}
	if err := s.loadStored(ctx); err != nil {
		return p, err
	}
	if p.Moves, err = s.moves(ctx); err != nil {
		return p, err
	}
	if len(s.tablets) > 0 {
		// By the cluster's clock, as where and settle.delay.ms go.
		if skew, err := s.readOne(ctx, s.tablets[0].ID); err == nil {
			s.now = time.Now().Add(skew)
		}
	}
	p.Topics = []TopicPlan{s.rowsTopic(), s.positionsTopic()}
	if p.Tasks, err = s.tasks(); err != nil {
		return p, err
	}
	s.rights(&p)
	return p, s.example(ctx, &p)
}

func conjuncts(parts []predicate.Conjunct) []ConjunctPlan {
	out := []ConjunctPlan{}
	for _, c := range parts {
		out = append(out, ConjunctPlan(c))
	}
	return out
}

// moves says whether positions are stored under another plan.
func (s *subject) moves(ctx context.Context) (string, error) {
	if !s.positions.exists {
		return "", nil
	}
	stored, err := offsets.LoadPlan(ctx, connector.KafkaClientOpts(ctx, s.worker, s.logger), s.positions.name, 0, s.cfg.Name)
	if err != nil {
		return "", err
	}
	same, err := s.outlook.ComparePlan(stored)
	switch {
	case err != nil:
		return "", err
	case stored == nil || same:
		return "", nil
	}
	return fmt.Sprintf("positions are stored for table %q with tasks.max %d and order.scope %s; they are moved first", stored.Table, stored.Tasks, stored.OrderScope), nil
}

// tasks spreads the tablets.
func (s *subject) tasks() ([]TaskPlan, error) {
	tasks := make([]TaskPlan, s.cfg.TasksMax)
	for n := range tasks {
		tasks[n] = TaskPlan{Task: n, TransactionalID: s.cfg.TransactionalID(s.worker.GroupID, int32(n)), Tablets: []TabletPlan{}}
	}
	for _, t := range s.tablets {
		plan, err := s.tablet(t)
		if err != nil {
			return nil, fmt.Errorf("tablet %s: %w", t.ID, err)
		}
		task := &tasks[s.outlook.TaskOf(t)]
		task.Tablets = append(task.Tablets, plan)
	}
	return tasks, nil
}

// startMarker is the place of a position that says that a task has begun with
// offset.start: latest.
const startMarker = "*"

func (s *subject) tablet(t *kudu.Tablet) (TabletPlan, error) {
	p := TabletPlan{ID: t.ID}
	if leader := t.Leader(); leader != nil {
		p.Leader = leader.Addr
	}
	var err error
	if p.Partition, err = s.partition(t); err != nil {
		return p, err
	}
	var from *offsets.Position
	if pos, is := s.stored[t.ID]; is {
		p.Stored = storedPlan(pos)
		if why := s.outlook.Check(pos); why != nil {
			p.Stored.Refused = why.Error()
			return p, nil
		}
		from = &pos
	}
	_, begun := s.stored[startMarker]
	first, err := s.outlook.FirstScan(from, begun, s.now)
	if err != nil {
		return p, err
	}
	p.Scan = ScanPlan{From: first.From, After: first.After, To: first.To, Predicates: first.Predicates, Ordered: first.Ordered, Latest: first.Latest, Pruned: first.Never}
	if !first.Never {
		left, err := s.outlook.Table().Prune([]*kudu.Tablet{t}, first.Options)
		if err != nil {
			return p, err
		}
		p.Scan.Pruned = len(left) == 0
	}
	return p, nil
}

func storedPlan(pos offsets.Position) *StoredPlan {
	p := &StoredPlan{Mode: pos.Mode, Phase: pos.Phase, Key: pos.Key, PrimaryKey: pos.PrimaryKey}
	if pos.Snapshot != 0 {
		at := kudu.Timestamp(pos.Snapshot).Time()
		p.Time = &at
	}
	return p
}

// partition renders which rows a tablet holds.
func (s *subject) partition(t *kudu.Tablet) (string, error) {
	schema := s.outlook.Table().PartitionSchema()
	var parts []string
	hash := schema.HashOf(t.Partition.RangeStart)
	for i, bucket := range t.Partition.HashBuckets {
		columns := "?"
		if i < len(hash) {
			columns = strings.Join(hash[i].Columns, ", ")
		}
		parts = append(parts, fmt.Sprintf("hash(%s) = %d", columns, bucket))
	}
	if len(schema.Range) > 0 {
		lower, err := s.outlook.RangeText(t.Partition.RangeStart)
		if err != nil {
			return "", err
		}
		upper, err := s.outlook.RangeText(t.Partition.RangeEnd)
		if err != nil {
			return "", err
		}
		switch {
		case lower != nil && upper != nil:
			parts = append(parts, fmt.Sprintf("%s <= range < %s", lower, upper))
		case lower != nil:
			parts = append(parts, fmt.Sprintf("%s <= range", lower))
		case upper != nil:
			parts = append(parts, fmt.Sprintf("range < %s", upper))
		}
	}
	if len(parts) == 0 {
		return "all rows", nil
	}
	return strings.Join(parts, ", "), nil
}

func (s *subject) rowsTopic() TopicPlan {
	t := TopicPlan{Name: s.cfg.TopicName(), Holds: "rows", Exists: s.rows.exists, Settings: map[string]string{}}
	if t.Exists {
		t.describe(&s.rows, "cleanup.policy", "retention.ms", "max.message.bytes", "min.insync.replicas")
		return t
	}
	t.Partitions, t.Replicas = s.orDefault(int(s.cfg.TopicPartitions), "num.partitions"), s.orDefault(int(s.cfg.TopicReplicationFactor), "default.replication.factor")
	for k, v := range s.cfg.TopicConfigs {
		t.Settings[k] = v
	}
	return t
}

func (s *subject) positionsTopic() TopicPlan {
	t := TopicPlan{Name: s.cfg.OffsetsTopic(s.worker.GroupID), Holds: "positions", Exists: s.positions.exists, Settings: map[string]string{}}
	if t.Exists {
		t.describe(&s.positions, "cleanup.policy", "segment.bytes", "min.cleanable.dirty.ratio")
		return t
	}
	t.Partitions, t.Replicas = s.cfg.TasksMax, s.orDefault(int(s.worker.OffsetsReplicationFactor), "default.replication.factor")
	t.Settings = offsets.TopicSettings()
	return t
}

func (t *TopicPlan) describe(is *topic, settings ...string) {
	t.Partitions = len(is.partitions)
	if len(is.partitions) > 0 {
		t.Replicas = len(is.partitions[0].Replicas)
	}
	for _, key := range settings {
		if v, has := is.settings[key]; has {
			t.Settings[key] = v
		}
	}
}

// orDefault is the value, or the broker's default for it.
func (l *look) orDefault(value int, key string) int {
	if value > 0 {
		return value
	}
	n, err := strconv.Atoi(l.defaults[key])
	if err != nil {
		return 0
	}
	return n
}

func rightPlan(r connector.KafkaRight) RightPlan {
	return RightPlan{Resource: string(r.Resource), Name: r.Name, Operation: r.Operation, For: r.For, Optional: r.Optional}
}

func (s *subject) rights(p *Plan) {
	p.TransactionalIDs, p.KafkaRights, p.KuduRights = []string{}, []RightPlan{}, []RightPlan{}
	for _, r := range append(connector.KafkaRights(s.worker, s.cfg, len(s.positions.partitions)), connector.WorkerRights(s.worker)...) {
		if r.Resource == kafka.ResourceTransactionalID {
			p.TransactionalIDs = append(p.TransactionalIDs, r.Name)
		}
		p.KafkaRights = append(p.KafkaRights, rightPlan(r))
	}
	table := s.outlook.Table().Name()
	rights := s.outlook.KuduRights()
	add := func(operation, what string) {
		if what != "" {
			p.KuduRights = append(p.KuduRights, RightPlan{Resource: "TABLE", Name: table, Operation: operation, For: what})
		}
	}
	add("METADATA", "opening the table")
	add("SELECT", "reading "+strings.Join(rights.Select, ", "))
	add("INSERT", rights.Insert)
	add("UPDATE", rights.Update)
	add("DELETE", rights.Delete)
	add("INSERT, UPDATE or DELETE", rights.AnyWrite)
}

// exampleLooked is how many rows are read in search of an example.
const exampleLooked = 1_000_000

// example reads the first row that would be published.
func (s *subject) example(ctx context.Context, p *Plan) error {
	for tablet, pos := range s.stored {
		if s.outlook.Check(pos) != nil && tablet != startMarker {
			p.ExampleNote = "stored positions don't fit the configuration"
			return nil
		}
	}
	found, err := s.outlook.Examples(ctx, connector.ExampleOptions{Client: s.client, Tablets: s.tablets, Stored: s.stored, Rows: 1, Looked: exampleLooked})
	if err != nil {
		return fmt.Errorf("reading an example: %w", err)
	}
	switch {
	case len(found) == 0:
		p.ExampleNote = "there is no row to publish now"
		return nil
	case found[0].Err != nil:
		p.ExampleNote = fmt.Sprintf("the row %s can't be written as a record: %v", found[0].Row, found[0].Err)
		return nil
	}
	r := found[0].Record
	e := &ExamplePlan{
		Tablet: found[0].Tablet, Topic: r.Topic, Timestamp: r.Timestamp.UTC(), Key: readable(r.Key), Value: readable(r.Value), Headers: [][2]string{},
		Partition: s.outlook.PartitionOf(r, s.positions.name, p.Topics[0].Partitions),
	}
	for _, h := range r.Headers {
		e.Headers = append(e.Headers, [2]string{h.Key, readable(h.Value)})
	}
	p.Example = e
	return nil
}

// readable shows bytes to people.
func readable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strconv.QuoteToASCII(string(b))
}
