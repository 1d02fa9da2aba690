package connector

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// WorkerConfig is what one process needs to know before it looks at any
// connector. The koanf tags are the keys of the worker's YAML file; what each
// means, its default and its range stand in the table that [WorkerKeys]
// returns. Build one from [DefaultWorkerConfig] and ask Validate.
type WorkerConfig struct {
	BootstrapServers []string `koanf:"bootstrap.servers"` // host:port each
	GroupID          string   `koanf:"group.id"`
	ClientID         string   `koanf:"client.id"`
	GroupInstanceID  string   `koanf:"group.instance.id"` // empty: dynamic membership

	SecurityProtocol string `koanf:"security.protocol"`
	SASLMechanism    string `koanf:"sasl.mechanism"`
	SASLUsername     string `koanf:"sasl.username"`
	SASLPassword     Secret `koanf:"sasl.password"`
	SASLJAAS         Secret `koanf:"sasl.jaas.config"` // instead of the keys of the mechanism

	OAuthEndpoint     string   `koanf:"sasl.oauthbearer.token.endpoint.url"` // https://, http:// or file://
	OAuthClientID     string   `koanf:"sasl.oauthbearer.client.credentials.client.id"`
	OAuthClientSecret Secret   `koanf:"sasl.oauthbearer.client.credentials.client.secret"`
	OAuthScope        string   `koanf:"sasl.oauthbearer.scope"`
	OAuthExtensions   []string `koanf:"sasl.oauthbearer.extensions"` // name=value each

	KafkaKerberosService   string `koanf:"sasl.kerberos.service.name"`
	KafkaKerberosPrincipal string `koanf:"sasl.kerberos.principal"`
	KafkaKerberosKeytab    string `koanf:"sasl.kerberos.keytab"`
	KafkaKerberosPassword  Secret `koanf:"sasl.kerberos.password"`
	KafkaKerberosCache     string `koanf:"sasl.kerberos.ccache"`
	KafkaKerberosConf      string `koanf:"sasl.kerberos.krb5.conf"`

	TruststoreLocation     string `koanf:"ssl.truststore.location"` // empty: the system's authorities
	TruststoreType         string `koanf:"ssl.truststore.type"`     // empty: as the file shows
	TruststorePassword     Secret `koanf:"ssl.truststore.password"`
	TruststoreCertificates string `koanf:"ssl.truststore.certificates"` // PEM, instead of a file
	KeystoreLocation       string `koanf:"ssl.keystore.location"`       // empty: no certificate of our own
	KeystoreType           string `koanf:"ssl.keystore.type"`           // empty: as the file shows
	KeystorePassword       Secret `koanf:"ssl.keystore.password"`
	KeystoreChain          string `koanf:"ssl.keystore.certificate.chain"` // PEM, instead of a file
	KeystoreKey            Secret `koanf:"ssl.keystore.key"`
	KeyPassword            Secret `koanf:"ssl.key.password"`
	EndpointIdentification string `koanf:"ssl.endpoint.identification.algorithm"` // https or none

	StartupWait time.Duration `koanf:"startup.wait.ms"` // -1 ms: as long as it takes

	LogLevel  string `koanf:"log.level"`  // trace, debug, info, warn or error
	LogFormat string `koanf:"log.format"` // text or json

	SessionTimeout      time.Duration `koanf:"session.timeout.ms"`
	HeartbeatInterval   time.Duration `koanf:"heartbeat.interval.ms"`
	RebalanceTimeout    time.Duration `koanf:"rebalance.timeout.ms"`
	TaskShutdownTimeout time.Duration `koanf:"task.shutdown.graceful.timeout.ms"`

	TopicCreationEnable      bool  `koanf:"topic.creation.enable"`
	OffsetsReplicationFactor int16 `koanf:"offsets.storage.replication.factor"` // -1: the broker's default
	MetricsTabletsMax        int   `koanf:"metrics.tablets.max"`                // of each connector

	ConfigStorageTopic      string `koanf:"config.storage.topic"`              // empty: see ConfigTopic
	ConfigReplicationFactor int16  `koanf:"config.storage.replication.factor"` // -1: the broker's default
	StatusStorageTopic      string `koanf:"status.storage.topic"`              // empty: see StatusTopic
	StatusReplicationFactor int16  `koanf:"status.storage.replication.factor"` // -1: the broker's default
	TopicTrackingEnable     bool   `koanf:"topic.tracking.enable"`
	TopicTrackingAllowReset bool   `koanf:"topic.tracking.allow.reset"`

	Listeners           []string `koanf:"listeners"`                 // see RESTListeners
	RESTAdvertisedHost  string   `koanf:"rest.advertised.host.name"` // empty: the first listener's
	RESTAdvertisedPort  int      `koanf:"rest.advertised.port"`      // 0: the first listener's
	RESTUsers           Secret   `koanf:"rest.basic.auth.users"`     // see BasicAuthUsers
	RESTInsecureBind    bool     `koanf:"rest.insecure.bind"`
	ListenerCertificate string   `koanf:"listeners.https.ssl.certificate.location"` // a PEM file
	ListenerKey         string   `koanf:"listeners.https.ssl.key.location"`         // a PEM file
	ListenerCA          string   `koanf:"listeners.https.ssl.ca.location"`          // a PEM file; empty: no client certificates
	ListenerClientAuth  string   `koanf:"listeners.https.ssl.client.auth"`          // none, requested or required

	ProvidersAllowedPaths []string `koanf:"config.providers.allowed.paths"`         // files and folders; empty: none
	ProvidersEnvPattern   string   `koanf:"config.providers.env.allowlist.pattern"` // empty: no variable
}

// Config is one connector: one Kudu table read into one topic. The koanf tags
// are the keys of the connector's YAML file, described by [ConnectorKeys].
// Build one from [DefaultConfig] and ask Validate.
type Config struct {
	Name     string `koanf:"name"`
	Class    string `koanf:"connector.class"`
	TasksMax int    `koanf:"tasks.max"` // partitions of the offsets topic, 1..1000

	KuduMasters          []string      `koanf:"kudu.masters"` // host:port each
	KuduTable            string        `koanf:"kudu.table"`
	KuduOperationTimeout time.Duration `koanf:"kudu.operation.timeout.ms"`

	KuduAuthentication    string `koanf:"kudu.authentication"` // none, kerberos or jwt
	KuduKerberosPrincipal string `koanf:"kudu.kerberos.principal"`
	KuduKerberosKeytab    string `koanf:"kudu.kerberos.keytab"`
	KuduKerberosPassword  Secret `koanf:"kudu.kerberos.password"`
	KuduKerberosCache     string `koanf:"kudu.kerberos.ccache"`
	KuduKerberosService   string `koanf:"kudu.kerberos.service.name"`
	KuduKerberosConf      string `koanf:"kudu.kerberos.krb5.conf"`
	KuduJWT               Secret `koanf:"kudu.jwt"`
	KuduJWTFile           string `koanf:"kudu.jwt.file"`
	KuduCAFile            string `koanf:"kudu.tls.ca.file"`

	KuduScanBatchBytes int64         `koanf:"kudu.scan.batch.bytes"`
	KuduRefresh        time.Duration `koanf:"kudu.table.refresh.interval.ms"`

	Mode         string        `koanf:"mode"`
	StreamingKey []string      `koanf:"streaming.key"` // empty: the primary key
	Where        string        `koanf:"where"`         // empty: all rows
	Columns      []string      `koanf:"columns"`       // empty: all columns
	PollInterval time.Duration `koanf:"poll.interval.ms"`
	PollMax      time.Duration `koanf:"poll.interval.max.ms"`

	OrderScope    string `koanf:"order.scope"`       // tablet or table
	Order         string `koanf:"order"`             // key or none
	SortMemory    int64  `koanf:"sort.memory.bytes"` // of all sorts of the connector in this process
	SortDirectory string `koanf:"sort.directory"`    // empty: the system's folder for temporary files

	OffsetStart       string            `koanf:"offset.start"`    // earliest or latest
	OffsetStartValues map[string]string `koanf:"offset.start.*"`  // by column; instead of OffsetStart
	OffsetStopValues  map[string]string `koanf:"offset.stop.*"`   // by column; empty: never
	SettleDelay       time.Duration     `koanf:"settle.delay.ms"` // 0: none

	SweepOrderBy     []string          `koanf:"sweep.order.by"` // empty: the primary key
	SweepBatchRows   int64             `koanf:"sweep.batch.max.rows"`
	SweepAction      string            `koanf:"sweep.action"` // delete, update or none
	SweepSet         map[string]string `koanf:"sweep.set.*"`  // by column; with SweepAction update
	SweepInterval    time.Duration     `koanf:"sweep.interval.ms"`
	SweepRate        int64             `koanf:"sweep.max.rows.per.second"` // 0: no limit
	SweepJournalRows int64             `koanf:"sweep.journal.max.rows"`
	SweepDryRun      bool              `koanf:"sweep.dry.run"`

	LateRows         string        `koanf:"late.rows"` // ignore or repair
	LateRowsInterval time.Duration `koanf:"late.rows.interval.ms"`
	SnapshotGuard    string        `koanf:"snapshot.guard"` // barrier, lag or none

	Topic       string   `koanf:"topic"`        // exactly one of Topic and
	TopicPrefix string   `koanf:"topic.prefix"` // TopicPrefix is set; see TopicName
	KeyColumns  []string `koanf:"key.columns"`  // empty: the streaming key

	TransactionMaxRows          int64         `koanf:"transaction.max.rows"`
	TransactionMaxBytes         int64         `koanf:"transaction.max.bytes"`
	TransactionBoundaryInterval time.Duration `koanf:"transaction.boundary.interval.ms"`
	TransactionTimeout          time.Duration `koanf:"transaction.timeout.ms"`

	OffsetsStorageTopic string `koanf:"offsets.storage.topic"` // empty: see OffsetsTopic

	TopicPartitions        int32             `koanf:"topic.creation.default.partitions"`         // -1: the broker's default
	TopicReplicationFactor int16             `koanf:"topic.creation.default.replication.factor"` // -1: the broker's default
	TopicConfigs           map[string]string `koanf:"topic.creation.default.*"`                  // by Kafka's names, such as cleanup.policy

	KeyConverter         string `koanf:"key.converter"`
	ValueConverter       string `koanf:"value.converter"`
	ValueSchemasEnable   bool   `koanf:"value.converter.schemas.enable"`
	DecimalHandlingMode  string `koanf:"decimal.handling.mode"`
	TimePrecisionMode    string `koanf:"time.precision.mode"`
	TimestampColumn      string `koanf:"timestamp.column"` // empty: the time of producing
	HeadersEnable        bool   `koanf:"headers.enable"`
	ProducerCompression  string `koanf:"producer.override.compression.type"`
	ProducerBatchBytes   int64  `koanf:"producer.override.batch.size"`
	ProducerRequestBytes int64  `koanf:"producer.override.max.request.size"`

	ProducerLinger time.Duration `koanf:"producer.override.linger.ms"`

	RetryDelayMax time.Duration `koanf:"errors.retry.delay.max.ms"`
}

// Secret is a value that must not reach a log, an error or a reply.
type Secret = secret.Text

// Fault is one thing that is wrong with a configuration: where, what, and what
// to do about it. File and Line are filled in by whoever read the file.
type Fault struct {
	File   string // empty when the configuration did not come from a file
	Line   int    // 1-based; 0 when unknown or when the fault is an absence
	Key    string // empty when the fault is about the file as a whole
	What   string
	Remedy string

	// absent: what is configured isn't there, and may yet come.
	absent bool
	// others are further keys that the fault rests on. When one of them has a
	// fault of its own, this one would only repeat it.
	others []string
}

// String is "FILE:LINE: key: what: remedy", without the parts that are unknown,
// in one line: what a server said may have had several.
func (f Fault) String() string {
	parts := make([]string, 0, 4)
	switch {
	case f.File != "" && f.Line > 0:
		parts = append(parts, f.File+":"+strconv.Itoa(f.Line))
	case f.File != "":
		parts = append(parts, f.File)
	}
	for _, s := range []string{f.Key, f.What, f.Remedy} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.ReplaceAll(strings.Join(parts, ": "), "\n", "; ")
}

// RestsOn reports whether the fault is about key or follows from its value.
func (f Fault) RestsOn(key string) bool {
	return f.Key == key || slices.Contains(f.others, key)
}

// ConfigError is a configuration that cannot be run: found while reading it,
// or by looking at Kafka and Kudu before anything is written. It holds every
// fault that was found, not the first.
type ConfigError struct {
	Faults []Fault
}

// Error has one line for each fault.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// DefaultWorkerConfig has every default of [WorkerKeys]. What is required and
// has no default is left empty.
func DefaultWorkerConfig() WorkerConfig {
	var c WorkerConfig
	setDefaults(reflect.ValueOf(&c).Elem(), workerKeys)
	return c
}

// DefaultConfig has every default of [ConnectorKeys]. What is required and has
// no default is left empty.
func DefaultConfig() Config {
	var c Config
	setDefaults(reflect.ValueOf(&c).Elem(), connectorKeys)
	return c
}

// Validate returns every fault of c, none if it can be run.
func (c WorkerConfig) Validate() []Fault {
	faults := checkKeys(reflect.ValueOf(c), workerKeys)
	if c.HeartbeatInterval >= c.SessionTimeout {
		faults = addFault(faults, Fault{
			Key:    "heartbeat.interval.ms",
			What:   fmt.Sprintf("%d is not below session.timeout.ms (%d)", c.HeartbeatInterval.Milliseconds(), c.SessionTimeout.Milliseconds()),
			Remedy: "write at most a third of session.timeout.ms",
			others: []string{"session.timeout.ms"},
		})
	}
	for _, topic := range []struct{ key, name string }{{"config.storage.topic", c.ConfigTopic()}, {"status.storage.topic", c.StatusTopic()}} {
		if what := topicNameFault(topic.name); what != "" && c.GroupID != "" {
			faults = addFault(faults, Fault{
				Key: topic.key, What: fmt.Sprintf("defaults to %s, which %s", quote(topic.name), what),
				Remedy: "give a topic name, or a shorter group.id", others: []string{"group.id"},
			})
		}
	}
	if c.ConfigTopic() == c.StatusTopic() {
		faults = addFault(faults, Fault{
			Key: "status.storage.topic", What: "is the same topic as config.storage.topic",
			Remedy: "give each a topic of its own", others: []string{"config.storage.topic"},
		})
	}
	for _, f := range append(c.listenerFaults(), c.kafkaSecurityFaults()...) {
		faults = addFault(faults, f)
	}
	return faults
}

// Validate returns every fault that c has by itself, none if it can be run.
// What depends on the worker and on its other connectors is found by
// [ValidateTogether].
func (c Config) Validate() []Fault {
	faults := checkKeys(reflect.ValueOf(c), connectorKeys)
	switch {
	case c.Topic == "" && c.TopicPrefix == "":
		faults = addFault(faults, Fault{
			Key:    "topic",
			What:   "is required, unless topic.prefix is given",
			Remedy: "name the Kafka topic that the rows go to",
			others: []string{"topic.prefix"},
		})
	case c.Topic != "" && c.TopicPrefix != "":
		faults = addFault(faults, Fault{
			Key:    "topic.prefix",
			What:   "cannot be given together with topic",
			Remedy: "keep one of the two",
			others: []string{"topic"},
		})
	case c.Topic == "":
		if what := topicNameFault(c.TopicName()); what != "" {
			faults = addFault(faults, Fault{
				Key:    "topic.prefix",
				What:   fmt.Sprintf("with the table's name gives %s, which %s", quote(c.TopicName()), what),
				Remedy: "name the topic with topic",
				others: []string{"kudu.table"},
			})
		}
	}
	for _, f := range append(c.sweepFaults(), c.kuduSecurityFaults()...) {
		faults = addFault(faults, f)
	}
	if c.Order == orderNone && c.OrderScope == scopeTable {
		faults = addFault(faults, Fault{
			Key:    "order",
			What:   "cannot be none with order.scope: table",
			Remedy: "leave one of the two out",
			others: []string{"order.scope"},
		})
	}
	if 2*c.TransactionBoundaryInterval > c.TransactionTimeout {
		faults = addFault(faults, Fault{
			Key: "transaction.boundary.interval.ms",
			What: fmt.Sprintf("%d is more than half of transaction.timeout.ms (%d), so that Kafka could abort a transaction before it is ended",
				c.TransactionBoundaryInterval.Milliseconds(), c.TransactionTimeout.Milliseconds()),
			Remedy: "lower it, or raise transaction.timeout.ms",
			others: []string{"transaction.timeout.ms"},
		})
	}
	return faults
}

// ValidateTogether returns, for each connector, the faults that show only when
// it is seen with its worker and the connectors before it: names and topics
// that collide or get too long.
func ValidateTogether(w WorkerConfig, connectors []Config) [][]Fault {
	faults := make([][]Fault, len(connectors))
	names := map[string]bool{}
	offsets := map[string]string{} // offsets topic -> connector
	reserved := map[string]string{w.ConfigTopic(): "config.storage.topic", w.StatusTopic(): "status.storage.topic"}
	for i, c := range connectors {
		if c.Name == "" || w.GroupID == "" {
			continue // a fault already, and nothing can be derived
		}
		if names[c.Name] {
			faults[i] = append(faults[i], Fault{
				Key:    "name",
				What:   fmt.Sprintf("%s is the name of another connector of this worker", quote(c.Name)),
				Remedy: "give each connector a name of its own",
			})
			continue // its offsets topic collides too, for the same reason
		}
		names[c.Name] = true
		topic := c.OffsetsTopic(w.GroupID)
		if what := topicNameFault(topic); what != "" {
			faults[i] = append(faults[i], Fault{
				Key:    "offsets.storage.topic",
				What:   fmt.Sprintf("defaults to %s, which %s", quote(topic), what),
				Remedy: "give a topic name, or a shorter name or group.id",
				others: []string{"name", "group.id"},
			})
		}
		if other, taken := offsets[topic]; taken {
			faults[i] = append(faults[i], Fault{
				Key:    "offsets.storage.topic",
				What:   fmt.Sprintf("%s is the offsets topic of connector %s", quote(topic), other),
				Remedy: "give each connector an offsets topic of its own, or leave the key out",
				others: []string{"name"},
			})
		}
		if key, taken := reserved[topic]; taken {
			faults[i] = append(faults[i], Fault{
				Key:    "offsets.storage.topic",
				What:   fmt.Sprintf("%s is the worker's %s", quote(topic), key),
				Remedy: "give the connector an offsets topic of its own",
				others: []string{"name"},
			})
		}
		offsets[topic] = c.Name
	}
	for i, c := range connectors {
		topic := c.TopicName()
		key := "topic"
		if c.Topic == "" {
			key = "topic.prefix"
		}
		if of, taken := reserved[topic]; taken {
			faults[i] = append(faults[i], Fault{
				Key:    key,
				What:   fmt.Sprintf("%s is the worker's %s", quote(topic), of),
				Remedy: "send the rows to another topic",
				others: []string{"kudu.table"},
			})
		}
		if owner, taken := offsets[topic]; taken {
			faults[i] = append(faults[i], Fault{
				Key:    key,
				What:   fmt.Sprintf("%s is the offsets topic of connector %s", quote(topic), owner),
				Remedy: "send the rows to another topic",
				others: []string{"offsets.storage.topic", "kudu.table"},
			})
		}
	}
	return faults
}

// OffsetsTopic is the compacted topic that holds the positions of this
// connector under a worker's group.id.
func (c Config) OffsetsTopic(workerGroup string) string {
	if c.OffsetsStorageTopic != "" {
		return c.OffsetsStorageTopic
	}
	return c.GroupID(workerGroup) + "-offsets"
}

// StartsAlone tells whether the worker starts though Kafka, Kudu or tables aren't
// there yet.
func (c WorkerConfig) StartsAlone() bool { return c.StartupWait < 0 }

// ConfigTopic is the compacted topic that holds the connectors made by REST and
// what operators ask for.
func (c WorkerConfig) ConfigTopic() string {
	if c.ConfigStorageTopic != "" {
		return c.ConfigStorageTopic
	}
	return c.GroupID + "-configs"
}

// StatusTopic is the compacted topic in which the workers of a group tell each
// other what they do.
func (c WorkerConfig) StatusTopic() string {
	if c.StatusStorageTopic != "" {
		return c.StatusStorageTopic
	}
	return c.GroupID + "-status"
}

// TopicName is the topic that the rows go to.
func (c Config) TopicName() string {
	if c.Topic != "" {
		return c.Topic
	}
	return c.TopicPrefix + c.KuduTable
}

// GroupID is the consumer group whose members share out this connector's
// tasks: one for each connector, so that one's rebalance leaves the others be.
func (c Config) GroupID(workerGroup string) string {
	return workerGroup + "-" + c.Name
}

// TransactionalID is the transactional.id of one task, which fences the task's
// earlier owners (I3). It must never change for a connector that has positions.
func (c Config) TransactionalID(workerGroup string, task int32) string {
	return c.GroupID(workerGroup) + "-" + strconv.Itoa(int(task))
}

// addFault appends f unless it follows from a fault that is there already.
func addFault(faults []Fault, f Fault) []Fault {
	for _, g := range faults {
		if f.RestsOn(g.Key) {
			return faults
		}
	}
	return append(faults, f)
}

// fieldOf finds the field of a config struct that carries a key. A key without
// a field, or the other way round, is a bug that the package's tests catch.
func fieldOf(v reflect.Value, key string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("koanf") == key {
			return v.Field(i)
		}
	}
	panic("config struct has no field for key " + key)
}

func setDefaults(v reflect.Value, keys []Key) {
	for _, k := range keys {
		if k.Default == nil {
			continue
		}
		field := fieldOf(v, k.Name)
		field.Set(reflect.ValueOf(k.Default).Convert(field.Type()))
	}
}

func checkKeys(v reflect.Value, keys []Key) []Fault {
	var faults []Fault
	for _, k := range keys {
		if k.Absent != "" {
			continue
		}
		faults = append(faults, k.check(fieldOf(v, k.Name), "")...)
	}
	return faults
}
