package preflight

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

func TestNothingIsWrongWithASoundConfigurationBeforeAndAfterItsTopicsAreMade(t *testing.T) {
	w := newWorld(t)
	w.check().wantNoWorseThan(t, Note)
	w.makeTopics()
	r := w.check()
	r.wantNoWorseThan(t, Note)
	for _, o := range r.Checks {
		if o.State != Done {
			t.Errorf("%s: %s (%s)", o.Check, o.State, o.Why)
		}
	}
}

func TestSecretsThatCanBeReadOnTheNetworkAreAWarning(t *testing.T) {
	w := newWorld(t)
	w.w.RESTUsers = secret.New("ann:secret")
	w.w.Listeners = []string{"http://127.0.0.1:8083"}
	w.check().wantNoWorseThan(t, Note)
	w.w.Listeners = []string{"http://0.0.0.0:8083"}
	w.check().want(t, Warning, "worker.secrets", "listeners", "http://0.0.0.0:8083 is sent the passwords of rest.basic.auth.users without encryption")
}

func TestCheckWritesNothing(t *testing.T) {
	w := newWorld(t)
	writes := w.kafka.Fault(kfake.Fault{Observe: true, Count: -1, Keys: []kmsg.Key{
		kmsg.Produce, kmsg.CreateTopics, kmsg.CreatePartitions, kmsg.InitProducerID, kmsg.IncrementalAlterConfigs, kmsg.AlterConfigs, kmsg.JoinGroup, kmsg.OffsetCommit,
	}})
	w.check()
	if _, err := MakePlans(t.Context(), w.options()); err != nil {
		t.Fatal(err)
	}
	if n := writes.Hits(); n > 0 {
		t.Errorf("%d requests were sent that write", n)
	}
	adm, done := w.admin()
	defer done()
	topics, err := adm.ListTopics(t.Context())
	if err != nil || len(topics) > 0 {
		t.Errorf("there are topics %v (%v)", topics.Names(), err)
	}
}

func TestKafkaThatIsAwayIsOneErrorAndSkipsWhatNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.w.BootstrapServers = []string{"127.0.0.1:1"} // nothing ever listens there
	r := w.check()
	r.want(t, Error, "kafka.brokers", "bootstrap.servers", "no Kafka broker answers")
	for _, o := range r.Checks {
		if strings.HasPrefix(o.Check, "kafka.") && o.Check != "kafka.brokers" && o.State != Skipped {
			t.Errorf("%s is %s", o.Check, o.State)
		}
		if strings.HasPrefix(o.Check, "kudu.") && o.State != Done {
			t.Errorf("%s is %s", o.Check, o.State)
		}
	}
}

func TestABootstrapAddressWithoutABrokerIsAWarning(t *testing.T) {
	w := newWorld(t)
	w.w.BootstrapServers = append(w.w.BootstrapServers, "127.0.0.1:1")
	w.check().want(t, Warning, "kafka.brokers", "bootstrap.servers", "127.0.0.1:1 doesn't answer")
}

func TestTimeoutsBeyondTheBrokersLimitsAreErrors(t *testing.T) {
	limits := map[string]string{"transaction.max.timeout.ms": "50000"}
	w := newWorld(t, kfake.BrokerConfigs(limits))
	w.check().want(t, Error, "kafka.timeouts", "transaction.timeout.ms", "60000 is more than the brokers take (transaction.max.timeout.ms is 50000)")
	w.c.TransactionTimeout = 50 * time.Second
	w.check().wantNoWorseThan(t, Note)
	w.w.SessionTimeout = 5 * time.Second
	w.check().want(t, Error, "kafka.limits", "session.timeout.ms", "5000 is less than the brokers take")
	w.w.SessionTimeout = time.Hour
	w.check().want(t, Error, "kafka.limits", "session.timeout.ms", "3600000 is more than the brokers take")
}

func TestOldTransactionsAreAWarning(t *testing.T) {
	w := newWorld(t)
	w.kafka.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		r := req.(*kmsg.ApiVersionsRequest)
		if r.ClientSoftwareName != "kudu2kafka" {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.ApiVersionsResponse)
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MaxVersionLevel = "transaction.version", 1
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
		return resp, nil, true
	})
	w.check().want(t, Warning, "kafka.brokers", "", "transaction.version is 1")
}

func TestTheTopicOfRowsIsComparedWithTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		name      string
		settings  map[string]string
		change    func(*world)
		severity  Severity
		key, says string
		factor    int16 // 0: three replicas
		missing   bool
	}{
		{name: "missing and not to be made", missing: true, change: func(w *world) { w.w.TopicCreationEnable = false }, severity: Error, key: "topic", says: `there is no topic "rows"`},
		{name: "too many replicas", missing: true, change: func(w *world) { w.c.TopicReplicationFactor = 5 }, severity: Error, key: "topic.creation.default.replication.factor", says: "with 5 replicas, but there are 3 brokers"},
		{name: "more in sync than replicas", missing: true, change: func(w *world) {
			w.c.TopicReplicationFactor, w.c.TopicConfigs = 1, map[string]string{"min.insync.replicas": "2"}
		}, severity: Error, key: "topic.creation.default.replication.factor", says: "nothing could be written"},
		{name: "one replica", factor: 1, severity: Warning, says: "has one replica in a cluster of 3 brokers"},
		{name: "min in sync", settings: map[string]string{"min.insync.replicas": "3"}, factor: 2, severity: Error, says: "fewer replicas in sync than min.insync.replicas (3)"},
		{name: "small messages", settings: map[string]string{"max.message.bytes": "1000"}, severity: Error, key: "producer.override.batch.size", says: "max.message.bytes is 1000"},
		{name: "small messages, compressed", settings: map[string]string{"max.message.bytes": "1000"}, change: func(w *world) { w.c.ProducerCompression = "lz4" },
			severity: Warning, key: "producer.override.batch.size", says: "a batch that compresses badly"},
		{name: "compacted by another key", settings: map[string]string{"cleanup.policy": "compact"}, change: func(w *world) { w.c.KeyColumns = []string{"at"} },
			severity: Warning, key: "key.columns", says: "of rows that differ only in id Kafka keeps one"},
		{name: "rows older than retention", settings: map[string]string{"retention.ms": "86400000"}, change: func(w *world) { w.c.TimestampColumn = "at" },
			severity: Warning, key: "timestamp.column", says: "older rows vanish soon"},
		{name: "the broker's timestamps", settings: map[string]string{"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}, change: func(w *world) { w.c.TimestampColumn = "at" },
			severity: Warning, key: "timestamp.column", says: "Kafka replaces the timestamps"},
		{name: "timestamps refused", settings: map[string]string{"message.timestamp.before.max.ms": "3600000", "retention.ms": "-1"}, change: func(w *world) { w.c.TimestampColumn = "at" },
			severity: Warning, key: "timestamp.column", says: "refuses records whose timestamp is older"},
		{name: "order over partitions", change: func(w *world) { w.c.OrderScope, w.c.TasksMax = "table", 1 }, severity: Note, key: "order.scope", says: "all of them together aren't"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.change != nil {
				c.change(w)
			}
			if !c.missing {
				factor := c.factor
				if factor == 0 {
					factor = 3
				}
				w.makeTopic("rows", 3, factor, c.settings)
			}
			w.check().want(t, c.severity, "kafka.topic", c.key, c.says)
		})
	}
}

func TestTheOffsetsTopicIsComparedWithTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.w.OffsetsReplicationFactor = 4
	w.check().want(t, Error, "kafka.offsets", "offsets.storage.replication.factor", "with 4 replicas")
	w.makeTopic("g-orders-offsets", 1, 3, map[string]string{"cleanup.policy": "delete", "segment.bytes": "1073741824"})
	r := w.check()
	r.want(t, Error, "kafka.offsets", "offsets.storage.topic", "cleanup.policy=delete")
	r.want(t, Note, "kafka.offsets", "tasks.max", "has 1 partition, and tasks.max is 2", "kafka.offsets")
	r.want(t, Note, "kafka.offsets", "offsets.storage.topic", "segment.bytes=1073741824", "kafka.offsets")
}

func TestTheTopicsOfTheGroupAreComparedWithTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.w.StatusReplicationFactor = 9
	w.check().want(t, Error, "kafka.group-topics", "status.storage.replication.factor", "with 9 replicas")
	w.makeTopic("g-configs", 2, 3, map[string]string{"cleanup.policy": "compact"})
	w.makeTopic("g-status", 1, 3, nil)
	r := w.check()
	r.want(t, Error, "kafka.group-topics", "config.storage.topic", "has 2 partitions and must have one", "kafka.group-topics")
	r.want(t, Error, "kafka.group-topics", "status.storage.topic", "cleanup.policy=delete", "kafka.group-topics")
	w.makeTopic("elsewhere", 1, 3, map[string]string{"cleanup.policy": "compact"})
	w.w.ConfigStorageTopic, w.w.StatusStorageTopic = "elsewhere", "elsewhere-2"
	w.w.StatusReplicationFactor = -1
	w.check().wantNoWorseThan(t, Note)
}

func TestStoredPositionsAreComparedWithTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.makeTopics()
	plan := offsets.Plan{Table: "orders", TableID: w.table.ID(), Tasks: 7, OrderScope: "tablet", Ready: true}
	stored, err := offsets.PlanRecord("g-orders-offsets", 0, "orders", plan)
	if err != nil {
		t.Fatal(err)
	}
	w.store(stored)
	w.check().want(t, Note, "kafka.positions", "tasks.max", "tasks.max 7")

	pos, err := offsets.Record("g-orders-offsets", 1, offsets.Key{Connector: "orders", Table: "orders", Tablet: w.table.Tablets()[0].ID},
		offsets.Position{Mode: "sweep", TableID: w.table.ID()})
	if err != nil {
		t.Fatal(err)
	}
	w.store(pos)
	w.check().want(t, Error, "kafka.positions", "mode", `stored in mode "sweep"`)

	w.store(&kgo.Record{Topic: "g-orders-offsets", Partition: 1, Key: pos.Key, Value: []byte("{}")})
	w.check().want(t, Error, "kafka.positions", "offsets.storage.topic", "reading the position at g-orders-offsets-1")

	plan.TableID = "another"
	if stored, err = offsets.PlanRecord("g-orders-offsets", 0, "orders", plan); err != nil {
		t.Fatal(err)
	}
	w.store(stored)
	w.check().want(t, Error, "kafka.positions", "kudu.table", "belong to another table")
}

func TestAGroupOfAnotherProgramIsAnError(t *testing.T) {
	w := newWorld(t)
	w.makeTopic("other", 1, 3, nil)
	joined := make(chan struct{}, 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.ConsumerGroup("g-orders"), kgo.ConsumeTopics("other"), kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { joined <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	<-joined
	w.check().want(t, Error, "kafka.group", "group.id", "of another program")
}

func TestCoordinatorsThatComeLateAreWaitedForAndThoseThatDoNotAreWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTopics()
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Group: "g-orders", Err: kerr.CoordinatorNotAvailable, Count: 3})
	w.check().wantNoWorseThan(t, Note)
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Group: "g-orders", Err: kerr.CoordinatorNotAvailable, Count: -1})
	w.patience = time.Millisecond
	w.check().want(t, Warning, "kafka.group", "", `Kafka has no coordinator for group "g-orders"`)
}

func TestACheckThatCannotRunIsToldAsSuch(t *testing.T) {
	w := newWorld(t)
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Group: "g-orders", Err: kerr.UnknownServerError, Count: -1})
	r := w.check()
	if r.Count(Error) != 0 || r.Failed() == 0 || !strings.Contains(r.text(t), "NOT RUN  orders: kafka.group") {
		t.Errorf("the report is\n%s", r.text(t))
	}
}
