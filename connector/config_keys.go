package connector

import (
	"slices"
	"time"
)

// KeyType says how the text of a value is read.
type KeyType string

// The types of keys. Kafka Connect's names, but for the units: a value in
// bytes or milliseconds is a plain whole number.
const (
	TypeString   KeyType = "string"
	TypePassword KeyType = "password"
	TypeList     KeyType = "list"
	TypeBoolean  KeyType = "boolean"
	TypeInt      KeyType = "int"
	TypeBytes    KeyType = "bytes"
	TypeMillis   KeyType = "milliseconds"
	TypeMap      KeyType = "map" // all keys that begin with Key.Prefix
)

// Importance tells who should look at a key.
type Importance string

// Kafka Connect's levels of importance.
const (
	High   Importance = "high"
	Medium Importance = "medium"
	Low    Importance = "low"
)

// Key defines one configuration key. The two tables of keys are the only place
// where keys are listed: loading, checking, the search for the nearest name
// and the reference are all made from them.
type Key struct {
	Name       string
	Type       KeyType
	Importance Importance
	Doc        string

	Default  any  // string, []string, bool, int64 or time.Duration; nil: none
	Required bool // must be given, and not be empty

	Min, Max int64    // range of an int, of bytes, and of milliseconds
	Also     []int64  // values outside the range that are right too
	Values   []string // the only right values of a string

	// ReadsFile marks a string that is the path of a file which the worker reads.
	// Of a configuration that comes by REST the worker's file must allow it.
	ReadsFile bool

	// Absent marks a key that is known to be missing from this release, with
	// the sentence that says so.
	Absent string

	// withheld are values of other releases, with the sentence that says so.
	withheld map[string]string
	// legal looks at a string, or at each element of a list, and says what is
	// wrong with it and what to do.
	legal func(value string) (what, remedy string)
	// tidy rewrites an element of a list as it is read.
	tidy func(value string) string
}

// WorkerKeys are the keys of a worker's file, in the order of the reference.
func WorkerKeys() []Key { return slices.Clone(workerKeys) }

// ConnectorKeys are the keys of a connector's file, in the order of the
// reference.
func ConnectorKeys() []Key { return slices.Clone(connectorKeys) }

const (
	brokerDefault = "; -1 takes the broker's default"

	second = int64(1000) // in milliseconds
	minute = 60 * second
	hour   = 60 * minute
	kib    = int64(1024)
	mib    = 1024 * kib
	gib    = 1024 * mib
)

var workerKeys = slices.Concat(processKeys, kafkaSecurityKeys, listenerKeys, providerKeys)

var processKeys = []Key{
	{
		Name: "bootstrap.servers", Type: TypeList, Required: true, Importance: High, legal: addressFault,
		Doc: "Kafka brokers to begin with, each as host:port. The others are learnt from them.",
	},
	{
		Name: "group.id", Type: TypeString, Required: true, Importance: High, legal: groupFault,
		Doc: "Name of the cluster of workers. Workers with one group.id share out the tasks of their connectors. Part of the names of consumer groups, transactional ids and offsets topics: to change it is to begin anew.",
	},
	{
		Name: "client.id", Type: TypeString, Default: "kudu2kafka", Importance: Low,
		Doc: "Name that this process gives to Kafka's servers, for their logs, metrics and quotas.",
	},
	{
		Name: "group.instance.id", Type: TypeString, Importance: Low,
		Doc: "A name of this process that stays over its restarts and no other process has. With it a worker that comes back within session.timeout.ms takes up its tasks at once, without a rebalance. Default: none.",
	},
	{
		Name: "startup.wait.ms", Type: TypeMillis, Default: 8 * time.Second, Min: 0, Max: hour, Also: []int64{-1}, Importance: Medium,
		Doc: "How long a worker that starts tries to reach Kafka and Kudu before it ends with exit code 2. -1: it starts without them, and each connector waits for its table, also for one that has yet to be made; the REST interface tells what is waited for.",
	},
	{
		Name: "log.level", Type: TypeString, Default: "info", Importance: Low, Values: []string{"trace", "debug", "info", "warn", "error"},
		Doc: "Least severe messages to log. At info only changes of state are told.",
	},
	{
		Name: "log.format", Type: TypeString, Default: "text", Importance: Low, Values: []string{"text", "json"},
		Doc: "Lines for people, or one JSON object for each message.",
	},
	{
		Name: "session.timeout.ms", Type: TypeMillis, Default: 10 * time.Second, Min: second, Max: 30 * minute, Importance: Medium,
		Doc: "How long a worker may be silent before Kafka gives its tasks to others. Kafka's brokers have a least and a greatest value of their own.",
	},
	{
		Name: "heartbeat.interval.ms", Type: TypeMillis, Default: 3 * time.Second, Min: 1, Max: 10 * minute, Importance: Low,
		Doc: "Time between two signs of life to Kafka's group coordinator. At most a third of session.timeout.ms is usual.",
	},
	{
		Name: "rebalance.timeout.ms", Type: TypeMillis, Default: time.Minute, Min: second, Max: hour, Importance: Low,
		Doc: "How long a worker has to give up tasks and rejoin when tasks are shared out anew.",
	},
	{
		Name: "task.shutdown.graceful.timeout.ms", Type: TypeMillis, Default: 5 * time.Second, Min: 0, Max: 8 * second, Importance: Low,
		Doc: "How long a task may take to end its transaction when it is stopped. After that the transaction is aborted. The whole process ends within 10 seconds of SIGTERM.",
	},
	{
		Name: "topic.creation.enable", Type: TypeBoolean, Default: true, Importance: Low,
		Doc: "Whether missing topics are created, as topic.creation.default.* of the connector says.",
	},
	{
		Name: "offsets.storage.replication.factor", Type: TypeInt, Default: int64(-1), Min: 1, Max: 32767, Also: []int64{-1}, Importance: Low,
		Doc: "Replicas of the offsets topics that are created" + brokerDefault + ".",
	},
	{
		Name: "metrics.tablets.max", Type: TypeInt, Default: int64(100), Min: 0, Max: 100_000, Importance: Low,
		Doc: "How many tablets of each connector have metrics of their own: those furthest behind. What is said of a task covers all of its tablets. 0: none.",
	},
	{
		Name: "config.storage.topic", Type: TypeString, Importance: Low, legal: topicFault,
		Doc: "Compacted topic of one partition that holds the connectors made by REST, and what operators ask of any connector. All workers of a group follow it. Empty: <group.id>-configs.",
	},
	{
		Name: "config.storage.replication.factor", Type: TypeInt, Default: int64(-1), Min: 1, Max: 32767, Also: []int64{-1}, Importance: Low,
		Doc: "Replicas of that topic when it is created" + brokerDefault + ".",
	},
	{
		Name: "status.storage.topic", Type: TypeString, Importance: Low, legal: topicFault,
		Doc: "Compacted topic in which workers tell each other what their connectors and tasks do. Empty: <group.id>-status.",
	},
	{
		Name: "status.storage.replication.factor", Type: TypeInt, Default: int64(-1), Min: 1, Max: 32767, Also: []int64{-1}, Importance: Low,
		Doc: "Replicas of that topic when it is created" + brokerDefault + ".",
	},
	{
		Name: "topic.tracking.enable", Type: TypeBoolean, Default: true, Importance: Low,
		Doc: "Whether the topics that a connector has written to are remembered, for GET /connectors/{name}/topics.",
	},
	{
		Name: "topic.tracking.allow.reset", Type: TypeBoolean, Default: true, Importance: Low,
		Doc: "Whether they may be forgotten by PUT /connectors/{name}/topics/reset.",
	},
}

// ConnectorClass is the value of connector.class.
const ConnectorClass = "io.kudu2kafka.KuduSourceConnector"

var connectorKeys = []Key{
	{
		Name: "name", Type: TypeString, Required: true, Importance: High, legal: nameFault,
		Doc: "Name of the connector. Part of its offsets topic, its consumer group and its transactional ids: to change it is to begin anew.",
	},
	{
		Name: "connector.class", Type: TypeString, Default: ConnectorClass, Importance: Low, Values: []string{ConnectorClass, "KuduSourceConnector", "KuduSource"},
		Doc: "Kind of the connector, for clients of Kafka Connect that ask for one. There is one kind.",
	},
	{
		Name: "tasks.max", Type: TypeInt, Default: int64(1), Min: 1, Max: 1000, Importance: High,
		Doc: "Number of tasks that the table's tablets are spread over, each with a transaction of its own. It becomes the number of partitions of the offsets topic.",
	},
	{
		Name: "kudu.masters", Type: TypeList, Required: true, Importance: High, legal: addressFault, tidy: withMasterPort,
		Doc: "All masters of the Kudu cluster, each as host:port. The port may be left out if it is 7051.",
	},
	{
		Name: "kudu.table", Type: TypeString, Required: true, Importance: High,
		Doc: "Name of the table, as Kudu shows it; for one made by Impala, with its database, such as impala::default.orders.",
	},
	{
		Name: "kudu.operation.timeout.ms", Type: TypeMillis, Default: 30 * time.Second, Min: 100, Max: hour, Importance: Low,
		Doc: "How long one operation on Kudu may take, retries included, before it counts as failed.",
	},
	{
		Name: "kudu.authentication", Type: TypeString, Default: "none", Importance: Medium, Values: []string{kuduNone, kuduKerberos, kuduJWT},
		Doc: "How Kudu and this program prove to each other who they are. With kerberos or jwt, servers that offer less are refused and TLS is required; with none, TLS is used where servers offer it.",
	},
	{
		Name: "kudu.kerberos.principal", Type: TypeString, Importance: Medium,
		Doc: "Who to be, as name or name@REALM. May be left out with a ticket cache.",
	},
	{
		Name: "kudu.kerberos.keytab", Type: TypeString, ReadsFile: true, Importance: Medium,
		Doc: "File with the principal's keys. Tickets are got and renewed by it.",
	},
	{
		Name: "kudu.kerberos.password", Type: TypePassword, Importance: Medium,
		Doc: "Password of the principal, instead of a keytab. Write it as a reference, such as ${file:...}.",
	},
	{
		Name: "kudu.kerberos.ccache", Type: TypeString, ReadsFile: true, Importance: Medium,
		Doc: "File of a ticket cache that something else keeps filled, instead of a keytab. It is read again when its ticket is about to expire. With none of the three: KRB5CCNAME, or /tmp/krb5cc_ and the user's id.",
	},
	{
		Name: "kudu.kerberos.service.name", Type: TypeString, Default: "kudu", Importance: Low,
		Doc: "First part of the names of the Kudu servers' principals. The second is the host, as kudu.masters or the servers themselves name it: names aren't looked up in the DNS.",
	},
	{
		Name: "kudu.kerberos.krb5.conf", Type: TypeString, ReadsFile: true, Importance: Low,
		Doc: "Kerberos's configuration file. Default: KRB5_CONFIG, or /etc/krb5.conf.",
	},
	{
		Name: "kudu.jwt", Type: TypePassword, Importance: Medium,
		Doc: "A JSON Web Token. Write it as a reference, such as ${env:...}.",
	},
	{
		Name: "kudu.jwt.file", Type: TypeString, ReadsFile: true, Importance: Medium,
		Doc: "File with a JSON Web Token, which something else keeps fresh; it is read at each connection.",
	},
	{
		Name: "kudu.tls.ca.file", Type: TypeString, ReadsFile: true, Importance: Medium,
		Doc: "File with the certificates (PEM) of the authorities that servers' certificates are checked against, read at each connection. Required with jwt. With kerberos it is needed only where certificates aren't Kudu's own. Names in certificates aren't checked, as by Kudu's own clients.",
	},
	{
		Name: "kudu.scan.batch.bytes", Type: TypeBytes, Default: mib, Min: kib, Max: 8 * mib, Importance: Low,
		Doc: "About how many bytes of rows Kudu sends in one answer.",
	},
	{
		Name: "mode", Type: TypeString, Default: "offset", Importance: High, Values: []string{"offset", "sweep"},
		withheld: map[string]string{
			"changelog": "this release does not have changelog mode",
		},
		Doc: "How the table is read. offset: rows above a high-water mark, in the order of the streaming key. sweep: rows that meet where, in the order of sweep.order.by, which are deleted or marked once they are committed in Kafka.",
	},
	{
		Name: "streaming.key", Type: TypeList, Importance: High,
		Doc: "Columns that give the rows their order and record how far a tablet has been read, NOT NULL each. At the head of the primary key they cost nothing; rows that are new by any other columns are found by a scan of the first one's values and sorted, see order. Rows that come later with a smaller key are not seen, but see late.rows. Empty: the primary key.",
	},
	{
		Name: "where", Type: TypeString, Importance: Medium,
		Doc: "Which rows are published, as a condition such as: status IN ('NEW','RETRY') AND amount >= 10.5. It knows = <> < <= > >=, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL and now() - INTERVAL 90 MINUTE. What Kudu can evaluate it does; the rest is evaluated on what it sends. In mode offset a row that doesn't meet it when it is come to is passed for good; in mode sweep, where it is required, it is looked at anew in each pass, and now() is the time of the pass.",
	},
	{
		Name: "columns", Type: TypeList, Importance: Medium,
		Doc: "The columns of the value, in this order, such as id, due AS due_time. Default: all columns of the table, those that are added later too.",
	},
	{
		Name: "poll.interval.ms", Type: TypeMillis, Default: 100 * time.Millisecond, Min: 1, Max: hour, Importance: Medium,
		Doc: "Time between two looks at a tablet that had nothing new.",
	},
	{
		Name: "poll.interval.max.ms", Type: TypeMillis, Default: time.Second, Min: 1, Max: hour, Importance: Low,
		Doc: "What the pause between two looks at a tablet grows to while nothing new is found; it doubles from poll.interval.ms, and is back there with the first new row. Many idle tablets cost less with a longer one.",
	},
	{
		Name: "kudu.table.refresh.interval.ms", Type: TypeMillis, Default: 10 * time.Second, Min: 100, Max: hour, Importance: Low,
		Doc: "How often the master is asked whether columns or range partitions were added or dropped.",
	},
	{
		Name: "order.scope", Type: TypeString, Default: "tablet", Values: []string{"tablet", "table"}, Importance: Medium,
		Doc: "Whether rows are in the order of the streaming key within each tablet, which lets all tasks read, or within the table: then one task merges all tablets, and a topic of one partition carries the table's order.",
	},
	{
		Name: "order", Type: TypeString, Default: "key", Values: []string{"key", "none"}, Importance: Medium,
		Doc: "In which order rows are published that are new at a look at a tablet, when the streaming key is not the head of the primary key. key: in that of the streaming key, for which they are sorted. none: in that of the primary key, without a sort; a large backlog then costs neither memory nor disk. Either way each row is published once.",
	},
	{
		Name: "sort.memory.bytes", Type: TypeBytes, Default: 64 * mib, Min: mib, Max: 64 * gib, Importance: Medium,
		Doc: "Memory that all sorts of the connector in one worker share, when the streaming key is not the head of the primary key. However large the backlog, no more is used: the rest of it is in files in sort.directory meanwhile, about as large as the rows.",
	},
	{
		Name: "sort.directory", Type: TypeString, Importance: Low,
		Doc: "Folder for the files of sorts that need more than sort.memory.bytes. They vanish when the worker ends, however it ends. Empty: the system's folder for temporary files.",
	},
	{
		Name: "offset.start", Type: TypeString, Default: "earliest", Values: []string{"earliest", "latest"}, Importance: Medium,
		Doc: "Where a connector without stored positions begins: at the first row, or behind the last one that was there when the connector was started first. That moment is stored before any task runs, and holds for all of them.",
	},
	{
		Name: "offset.start.*", Type: TypeMap, Importance: Medium,
		Doc: "Where a connector without stored positions begins, as values of the first columns of the streaming key, such as offset.start.event_time: 2026-01-02T00:00:00Z. Rows from there on are read, that one included.",
	},
	{
		Name: "offset.stop.*", Type: TypeMap, Importance: Low,
		Doc: "Where the connector stops and is COMPLETED, as values of the first columns of the streaming key. Rows from there on are not read. When the key begins with a time that has not come yet, the connector goes on until it has passed; otherwise it completes when no more rows below the bound are there.",
	},
	{
		Name: "settle.delay.ms", Type: TypeMillis, Default: time.Duration(0), Min: 0, Max: 24 * hour, Importance: Low,
		Doc: "How old, by the cluster's clock, a row's time must be before it is read, when the streaming key begins with a time: rows that are written out of order within this delay are read in order and none of them is missed. Default: 0, rows are read as soon as they are there.",
	},
	{
		Name: "sweep.order.by", Type: TypeList, Importance: Medium,
		Doc: "In mode sweep, the order in which the rows that meet where are published, such as: due, priority DESC. Any columns, ASC or DESC; NULLs come last; rows that are equal are in the order of the primary key. Empty, or the first columns of the primary key ascending: the rows are streamed; otherwise a pass looks at all rows that meet where, or of a large backlog of one tablet at its head. With order.scope: table it is the order across all tablets.",
	},
	{
		Name: "sweep.batch.max.rows", Type: TypeInt, Default: int64(10_000), Min: 1, Max: 1_000_000, Importance: Medium,
		Doc: "Most rows that are taken at a time, of a tablet, or with order.scope: table of the table. A few batches, each of about 8 MiB at most, are held in memory; with order.scope: table and an order that is the head of the primary key, twice as many rows whatever their size.",
	},
	{
		Name: "sweep.action", Type: TypeString, Default: "delete", Values: []string{"delete", "update", "none"}, Importance: High,
		Doc: "What is done to rows once they are committed in Kafka. delete: they are deleted. update: sweep.set is written to them. none: nothing; each pass publishes anew the first sweep.batch.max.rows rows that meet where.",
	},
	{
		Name: "sweep.set.*", Type: TypeMap, Importance: Medium,
		Doc: "With sweep.action: update, the values that mark a row as done, such as sweep.set.status: DONE. They must make it no longer meet where.",
	},
	{
		Name: "sweep.interval.ms", Type: TypeMillis, Default: time.Duration(0), Min: 0, Max: hour, Importance: Low,
		Doc: "How often published rows are swept, and with sweep.action: none how often rows are published. Default: 0, at once.",
	},
	{
		Name: "sweep.max.rows.per.second", Type: TypeInt, Default: int64(0), Min: 0, Max: 10_000_000, Importance: Low,
		Doc: "How many rows a task sweeps in a second at most. 0: no limit.",
	},
	{
		Name: "sweep.journal.max.rows", Type: TypeInt, Default: int64(100_000), Min: 1, Max: 10_000_000, Importance: Low,
		Doc: "How many rows of a task may be published and not yet swept. Publishing waits when there are as many; they take about 60 bytes of memory each, besides their key.",
	},
	{
		Name: "sweep.dry.run", Type: TypeBoolean, Default: false, Importance: Medium,
		Doc: "Whether mode sweep only logs how many rows it would publish and sweep, and touches neither Kudu nor the topic.",
	},
	{
		Name: "late.rows", Type: TypeString, Default: lateIgnore, Values: []string{lateIgnore, lateRepair}, Importance: Medium,
		Doc: "What becomes of rows that are inserted below the place up to which their tablet has been read. ignore: they are not published. repair: they are looked for every late.rows.interval.ms and published, each once, with a header kudu.late. So are rows that an update of the streaming key moves there and that haven't been published. Not with order: none, unless the streaming key is at the head of the primary key.",
	},
	{
		Name: "late.rows.interval.ms", Type: TypeMillis, Default: time.Minute, Min: 10, Max: 24 * hour, Importance: Low,
		Doc: "Time between two repairs of a tablet. One takes some 50 to 100 ms for each million rows of the tablet, also when it finds nothing, and the tablet is not read meanwhile. It must stay well below the table's kudu.table.history_max_age_sec.",
	},
	{
		Name: "snapshot.guard", Type: TypeString, Default: guardBarrier, Values: []string{guardBarrier, guardLag, guardNone}, Importance: Low,
		Doc: "With late.rows: repair, how a snapshot is kept from being read at a tablet's former leader, which doesn't know yet that there is another one and lacks rows. barrier: an empty write to the tablet goes before, which needs the right to write to the table. lag: followers are read, 2 seconds in the past, which also delays all rows by that. none: rows can be missed when a leader is paused or cut off. In mode sweep it keeps rows that were swept from being read and published again, lag isn't for it, and with sweep.action: none and in a dry run nothing is guarded.",
	},
	{
		Name: "topic", Type: TypeString, Importance: High, legal: topicFault,
		Doc: "Topic that the rows go to. Exactly one of topic and topic.prefix is given.",
	},
	{
		Name: "topic.prefix", Type: TypeString, Importance: High, legal: topicCharactersFault,
		Doc: "What stands before the table's name in the name of the topic.",
	},
	{
		Name: "key.columns", Type: TypeList, Importance: Medium,
		Doc: "Columns that make up the record's key, which chooses its partition. Empty: the streaming key.",
	},
	{
		Name: "transaction.max.rows", Type: TypeInt, Default: int64(100_000), Min: 1, Max: 100_000_000, Importance: Medium,
		Doc: "A transaction ends when it has this many rows.",
	},
	{
		Name: "transaction.max.bytes", Type: TypeBytes, Default: 64 * mib, Min: kib, Max: 4 * gib, Importance: Medium,
		Doc: "A transaction ends when its records have this many bytes before compression.",
	},
	{
		Name: "transaction.boundary.interval.ms", Type: TypeMillis, Default: time.Second, Min: 1, Max: hour, Importance: Medium,
		Doc: "A transaction ends when it is this old. Consumers that read committed records wait for that long at most.",
	},
	{
		Name: "transaction.timeout.ms", Type: TypeMillis, Default: time.Minute, Min: second, Max: 24 * hour, Importance: Low,
		Doc: "How old a transaction may get before Kafka aborts it, as it does with one whose worker has died. At most the brokers' transaction.max.timeout.ms, and at least twice transaction.boundary.interval.ms.",
	},
	{
		Name: "offsets.storage.topic", Type: TypeString, Importance: Low, legal: topicFault,
		Doc: "Compacted topic of the connector's positions. Empty: <group.id>-<name>-offsets. When it is created it gets small segments and frequent cleaning, so that tasks restore within seconds; one that is there already keeps its settings.",
	},
	{
		Name: "topic.creation.default.partitions", Type: TypeInt, Default: int64(-1), Min: 1, Max: 100_000, Also: []int64{-1}, Importance: Medium,
		Doc: "Partitions of the topic when it is created" + brokerDefault + ".",
	},
	{
		Name: "topic.creation.default.replication.factor", Type: TypeInt, Default: int64(-1), Min: 1, Max: 32767, Also: []int64{-1}, Importance: Medium,
		Doc: "Replicas of the topic when it is created" + brokerDefault + ".",
	},
	{
		Name: "topic.creation.default.*", Type: TypeMap, Importance: Low,
		Doc: "Any further setting of the topic when it is created, by Kafka's name for it, such as topic.creation.default.cleanup.policy.",
	},
	{
		Name: "key.converter", Type: TypeString, Default: "json", Importance: Medium, Values: []string{"json"},
		withheld: notYetFormats,
		Doc:      "Format of record keys.",
	},
	{
		Name: "value.converter", Type: TypeString, Default: "json", Importance: Medium, Values: []string{"json"},
		withheld: notYetFormats,
		Doc:      "Format of record values.",
	},
	{
		Name: "value.converter.schemas.enable", Type: TypeBoolean, Default: false, Importance: Low,
		withheld: map[string]string{"true": "this release writes JSON without a schema in each record"},
		Doc:      "Whether each JSON value carries its schema.",
	},
	{
		Name: "decimal.handling.mode", Type: TypeString, Default: "string", Importance: Medium, Values: []string{"string", "precise", "double"},
		Doc: "How decimals are written. string: all digits, as text. precise: base64 of the unscaled value, as Kafka Connect's Decimal. double: a number; a reader that takes numbers as doubles gets the nearest one.",
	},
	{
		Name: "time.precision.mode", Type: TypeString, Default: "isostring", Importance: Medium, Values: []string{"isostring", "microseconds", "connect"},
		Doc: "How times are written. isostring: ISO 8601, UTC, with microseconds. microseconds: microseconds since 1970. connect: milliseconds since 1970, as Kafka Connect's Timestamp; finer times are cut in values, and an error in keys.",
	},
	{
		Name: "timestamp.column", Type: TypeString, Importance: Medium,
		Doc: "Column of type UNIXTIME_MICROS that gives the record its timestamp. Empty: the time of producing.",
	},
	{
		Name: "headers.enable", Type: TypeBoolean, Default: false, Importance: Low,
		Doc: "Whether records carry headers that name table, tablet, snapshot and mode.",
	},
	{
		Name: "producer.override.compression.type", Type: TypeString, Default: "none", Importance: Medium, Values: []string{"none", "gzip", "snappy", "lz4", "zstd"},
		Doc: "How batches of records are compressed.",
	},
	{
		Name: "producer.override.linger.ms", Type: TypeMillis, Default: 5 * time.Millisecond, Min: 0, Max: minute, Importance: Low,
		Doc: "How long a batch waits for more records. The end of a transaction sends what is waiting.",
	},
	{
		Name: "producer.override.batch.size", Type: TypeBytes, Default: mib, Min: kib, Max: gib, Importance: Low,
		Doc: "Greatest size of a batch of records, and so of a record. The topic's max.message.bytes must allow it.",
	},
	{
		Name: "producer.override.max.request.size", Type: TypeBytes, Default: mib, Min: kib, Max: gib, Importance: Medium,
		Doc: "Greatest size of a request to produce, which holds a batch for each of several partitions. producer.override.batch.size counts instead if it is more.",
	},
	{
		Name: "errors.retry.delay.max.ms", Type: TypeMillis, Default: time.Minute, Min: 1, Max: hour, Importance: Low,
		Doc: "Longest pause between two attempts while Kudu or Kafka cannot be reached.",
	},
}

var notYetFormats = map[string]string{
	"avro":     "this release does not have Avro",
	"protobuf": "this release does not have Protobuf",
}
