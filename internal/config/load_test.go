package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

func variables(set map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := set[name]
		return value, ok
	}
}

// write puts files into a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const (
	plainWorker = "bootstrap.servers: k:9092\ngroup.id: g\n"
	plainOrders = "name: orders\nkudu.masters: m:7051\nkudu.table: orders\ntopic: orders\n"
)

// loadOrders loads one connector's text beside a plain worker.
func loadOrders(t *testing.T, text string, env map[string]string) (connector.Config, error) {
	t.Helper()
	folder := write(t, map[string]string{"w.yaml": plainWorker, "c.yaml": text})
	_, connectors, err := Load(filepath.Join(folder, "w.yaml"), []string{filepath.Join(folder, "c.yaml")}, variables(env))
	if err != nil {
		return connector.Config{}, trimmed{err, folder + "/"}
	}
	return connectors[0], nil
}

// trimmed leaves the test's folder out of messages.
type trimmed struct {
	error
	folder string
}

func (t trimmed) Error() string { return strings.ReplaceAll(t.error.Error(), t.folder, "") }
func (t trimmed) Unwrap() error { return t.error }

func sameConfig(t *testing.T, got, want connector.Config) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if a, b := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %#v, want %#v", g.Type().Field(i).Name, a, b)
		}
	}
}

func wantFault(t *testing.T, err error, want string) {
	t.Helper()
	var configError *connector.ConfigError
	if !errors.As(err, &configError) {
		t.Fatalf("error is %v, want a ConfigError", err)
	}
	if err.Error() != want {
		t.Errorf("faults are\n%s\nwant\n%s", err, want)
	}
}

func TestLeastFilesTakeTheDefaults(t *testing.T) {
	folder := write(t, map[string]string{"w.yaml": plainWorker, "c.yaml": plainOrders})
	worker, connectors, err := Load(folder+"/w.yaml", []string{folder + "/c.yaml"}, variables(nil))
	if err != nil {
		t.Fatal(err)
	}
	wantWorker := connector.DefaultWorkerConfig()
	wantWorker.BootstrapServers, wantWorker.GroupID = []string{"k:9092"}, "g"
	if !reflect.DeepEqual(worker, wantWorker) {
		t.Errorf("worker is %+v, want %+v", worker, wantWorker)
	}
	want := connector.DefaultConfig()
	want.Name, want.KuduMasters, want.KuduTable, want.Topic = "orders", []string{"m:7051"}, "orders", "orders"
	sameConfig(t, connectors[0], want)
}

func TestDottedAndNestedKeysMeanTheSame(t *testing.T) {
	dotted, err := loadOrders(t, plainOrders+`
transaction.max.rows: 7
transaction.max.bytes: 4096
topic.creation.default.partitions: 3
topic.creation.default.cleanup.policy: compact,delete
value.converter: json
value.converter.schemas.enable: false
streaming.key: a, b
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	nested, err := loadOrders(t, `
name: orders
kudu:
  masters: [m:7051]
  table: orders
topic: orders
topic.creation:
  default: {partitions: 3, cleanup: {policy: [compact, delete]}}
transaction: {max: {rows: "7"}, max.bytes: 4096}
value.converter: json
value:
  converter.schemas: {enable: "FALSE"}
streaming.key:
- a
- b
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameConfig(t, nested, dotted)
	if dotted.TransactionMaxRows != 7 || dotted.TopicPartitions != 3 || dotted.TopicConfigs["cleanup.policy"] != "compact,delete" {
		t.Errorf("values did not arrive: %+v", dotted)
	}
}

func TestEveryKeyOfKuduAuthenticationReachesItsField(t *testing.T) {
	got, err := loadOrders(t, plainOrders+`
kudu.authentication: kerberos
kudu.kerberos.principal: p
kudu.kerberos.password: ${env:PW}
`, map[string]string{"PW": "geheim"})
	if err != nil || got.KuduKerberosPassword.Reveal() != "geheim" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = loadOrders(t, plainOrders+"kudu.authentication: kerberos\nkudu.kerberos.ccache: /c\n", nil); err != nil || got.KuduKerberosCache != "/c" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = loadOrders(t, plainOrders+"kudu.authentication: jwt\nkudu.jwt: ${env:T}\nkudu.tls.ca.file: /a\n", map[string]string{"T": "geheim"})
	if err != nil || got.KuduJWT.Reveal() != "geheim" || got.KuduCAFile != "/a" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = loadOrders(t, plainOrders+"kudu.authentication: jwt\nkudu.jwt.file: /f\nkudu.tls.ca.file: /a\n", nil)
	if err != nil || got.KuduJWTFile != "/f" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEverySweepKeyReachesItsField(t *testing.T) {
	got, err := loadOrders(t, plainOrders+`
mode: sweep
where: due <= now()
sweep.order.by: due, priority DESC
sweep.batch.max.rows: 2
sweep.action: update
sweep.set: {status: DONE}
sweep.interval.ms: 3
sweep.max.rows.per.second: 4
sweep.journal.max.rows: 5
sweep.dry.run: true
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := loadOrders(t, plainOrders, nil)
	if err != nil {
		t.Fatal(err)
	}
	want.Mode, want.Where = "sweep", "due <= now()"
	want.SweepOrderBy, want.SweepBatchRows, want.SweepAction = []string{"due", "priority DESC"}, 2, "update"
	want.SweepSet, want.SweepInterval, want.SweepRate = map[string]string{"status": "DONE"}, 3*time.Millisecond, 4
	want.SweepJournalRows, want.SweepDryRun = 5, true
	sameConfig(t, got, want)
}

func TestEveryKeyOfKafkaSecurityReachesItsField(t *testing.T) {
	load := func(text string) connector.WorkerConfig {
		t.Helper()
		folder := write(t, map[string]string{"w.yaml": plainWorker + text, "c.yaml": plainOrders})
		worker, _, err := Load(folder+"/w.yaml", []string{folder + "/c.yaml"}, variables(map[string]string{"PW": "geheim"}))
		if err != nil {
			t.Fatal(err)
		}
		return worker
	}
	want := load("")
	want.SecurityProtocol, want.SASLMechanism, want.SASLUsername, want.SASLPassword = "SASL_SSL", "SCRAM-SHA-512", "alice", secret.New("geheim")
	want.TruststoreLocation, want.TruststoreType, want.TruststorePassword = "/t", "PKCS12", secret.New("geheim")
	want.KeystoreLocation, want.KeystoreType, want.KeystorePassword, want.KeyPassword = "/k", "PEM", secret.New("geheim"), secret.New("geheim")
	want.EndpointIdentification = "none"
	got := load(`
security.protocol: SASL_SSL
sasl: {mechanism: SCRAM-SHA-512, username: alice, password: "${env:PW}"}
ssl.truststore: {location: /t, type: PKCS12, password: "${env:PW}"}
ssl.keystore: {location: /k, type: PEM, password: "${env:PW}"}
ssl.key.password: ${env:PW}
ssl.endpoint.identification.algorithm: none
`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("worker is %+v, want %+v", got, want)
	}

	want = load("")
	want.SecurityProtocol, want.SASLMechanism, want.OAuthEndpoint = "SASL_SSL", "OAUTHBEARER", "https://id.example/token"
	want.OAuthClientID, want.OAuthClientSecret, want.OAuthScope, want.OAuthExtensions = "i", secret.New("geheim"), "s", []string{"a=1", "b=2"}
	want.TruststoreCertificates, want.KeystoreChain, want.KeystoreKey = "-----BEGIN T", "-----BEGIN C", secret.New("-----BEGIN K")
	got = load(`
security.protocol: SASL_SSL
sasl.mechanism: OAUTHBEARER
sasl.oauthbearer:
  token.endpoint.url: https://id.example/token
  client.credentials.client: {id: i, secret: "${env:PW}"}
  scope: s
  extensions: [a=1, b=2]
ssl.truststore.certificates: "-----BEGIN T"
ssl.keystore.certificate.chain: "-----BEGIN C"
ssl.keystore.key: "-----BEGIN K"
`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("worker is %+v, want %+v", got, want)
	}

	want = load("")
	want.SecurityProtocol, want.SASLMechanism, want.KafkaKerberosService = "SASL_PLAINTEXT", "GSSAPI", "k"
	want.KafkaKerberosPrincipal, want.KafkaKerberosKeytab, want.KafkaKerberosConf = "alice", "/kt", "/conf"
	got = load("security.protocol: SASL_PLAINTEXT\nsasl.mechanism: GSSAPI\nsasl.kerberos: {service.name: k, principal: alice, keytab: /kt, krb5.conf: /conf}\n")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("worker is %+v, want %+v", got, want)
	}
	got = load("security.protocol: SASL_PLAINTEXT\nsasl.mechanism: GSSAPI\nsasl.kerberos: {principal: alice, password: '${env:PW}'}\n")
	if got.KafkaKerberosPassword.Reveal() != "geheim" {
		t.Errorf("worker is %+v", got)
	}
	got = load("security.protocol: SASL_PLAINTEXT\nsasl.mechanism: GSSAPI\nsasl.kerberos.ccache: /c\n")
	if got.KafkaKerberosCache != "/c" {
		t.Errorf("worker is %+v", got)
	}
	const module = `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="${env:PW}";`
	got = load("security.protocol: SASL_PLAINTEXT\nsasl.mechanism: PLAIN\nsasl.jaas.config: '" + module + "'\n")
	if got.SASLJAAS.Reveal() != strings.Replace(module, "${env:PW}", "geheim", 1) {
		t.Errorf("worker is %+v", got)
	}
}

func TestEveryListenerAndProviderKeyReachesItsField(t *testing.T) {
	folder := write(t, map[string]string{"users": "ann:secret\nbob:c\n", "w.yaml": plainWorker + `
listeners:
- http://127.0.0.1:1
- https://0.0.0.0:2
listeners.https.ssl:
  certificate.location: c.pem
  key.location: k.pem
  ca.location: ca.pem
  client.auth: requested
rest.advertised.host.name: h
rest.advertised.port: 3
rest.basic.auth.users: ${file:users}
rest.insecure.bind: true
config.providers.allowed.paths: /run/secrets, /etc/kudu2kafka/kudu.properties
config.providers.env.allowlist.pattern: KUDU_.*
`})
	got, _, err := Load(folder+"/w.yaml", nil, variables(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := connector.DefaultWorkerConfig()
	want.BootstrapServers, want.GroupID = []string{"k:9092"}, "g"
	want.Listeners, want.RESTAdvertisedHost, want.RESTAdvertisedPort = []string{"http://127.0.0.1:1", "https://0.0.0.0:2"}, "h", 3
	want.ListenerCertificate, want.ListenerKey, want.ListenerCA, want.ListenerClientAuth = "c.pem", "k.pem", "ca.pem", "requested"
	want.RESTUsers, want.RESTInsecureBind = secret.New("ann:secret\nbob:c"), true
	want.ProvidersAllowedPaths, want.ProvidersEnvPattern = []string{"/run/secrets", "/etc/kudu2kafka/kudu.properties"}, "KUDU_.*"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("worker is %+v, want %+v", got, want)
	}
}

func TestKeysOfTheOtherModeAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"sweep.set.a: b": "belongs to mode sweep",
		"mode: sweep":    "where: is required in mode sweep",
		"mode: sweep\nwhere: a > 1\nsweep.action: update": "sweep.set.*: is required with sweep.action: update",
		"mode: sweep\nwhere: a > 1\nsweep.set.a: b":       "needs sweep.action: update",
		"mode: sweep\nwhere: a > 1\nstreaming.key: [a]":   "streaming.key: belongs to mode offset",
		"mode: sweep\nwhere: a > 1\nsweep.action: burn":   "sweep.action: \"burn\"",
	} {
		_, err := loadOrders(t, plainOrders+text+"\n", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestEveryConnectorKeyReachesItsField(t *testing.T) {
	got, err := loadOrders(t, `
name: n
connector.class: KuduSource
tasks.max: 2
kudu.masters: a, b:1, [::1]:2, [::1]
kudu.table: impala::d.t
kudu.operation.timeout.ms: 101
kudu.authentication: kerberos
kudu.kerberos.principal: p@R
kudu.kerberos.keytab: /k
kudu.kerberos.service.name: s
kudu.kerberos.krb5.conf: /e
kudu.tls.ca.file: /t
kudu.scan.batch.bytes: 1025
mode: offset
streaming.key: [k]
poll.interval.ms: 3
poll.interval.max.ms: 11
order.scope: table
order: key
sort.memory.bytes: 1048577
sort.directory: /d
where: a > 1
columns: a, b AS c
kudu.table.refresh.interval.ms: 115
offset.start: latest
offset.start.k: 12
offset.stop: {k: "13"}
settle.delay.ms: 14
late.rows: repair
late.rows.interval.ms: 116
snapshot.guard: lag
topic: t
key.columns: [c]
transaction.max.rows: 4
transaction.max.bytes: 1026
transaction.boundary.interval.ms: 5
transaction.timeout.ms: 1006
offsets.storage.topic: o
topic.creation.default.partitions: 7
topic.creation.default.replication.factor: 8
topic.creation.default.retention.ms: 9
key.converter: json
value.converter: json
decimal.handling.mode: double
time.precision.mode: microseconds
timestamp.column: ts
headers.enable: true
producer.override.compression.type: zstd
producer.override.linger.ms: 0
producer.override.batch.size: 1027
producer.override.max.request.size: 1028
errors.retry.delay.max.ms: 10
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameConfig(t, got, connector.Config{
		Name: "n", Class: "KuduSource", TasksMax: 2,
		SweepAction: "delete", SweepBatchRows: 10_000, SweepJournalRows: 100_000, // see TestEverySweepKeyReachesItsField
		KuduMasters: []string{"a:7051", "b:1", "[::1]:2", "[::1]:7051"}, KuduTable: "impala::d.t",
		KuduOperationTimeout: 101 * time.Millisecond, KuduScanBatchBytes: 1025,
		KuduAuthentication: "kerberos", KuduKerberosPrincipal: "p@R", KuduKerberosKeytab: "/k", KuduKerberosService: "s",
		KuduKerberosConf: "/e", KuduCAFile: "/t", // see also TestEveryKeyOfKuduAuthenticationReachesItsField
		Mode: "offset", StreamingKey: []string{"k"}, PollInterval: 3 * time.Millisecond,
		PollMax: 11 * time.Millisecond, OrderScope: "table", Order: "key", SortMemory: 1048577, SortDirectory: "/d", Where: "a > 1", Columns: []string{"a", "b AS c"}, KuduRefresh: 115 * time.Millisecond, OffsetStart: "latest",
		OffsetStartValues: map[string]string{"k": "12"}, OffsetStopValues: map[string]string{"k": "13"}, SettleDelay: 14 * time.Millisecond,
		LateRows: "repair", LateRowsInterval: 116 * time.Millisecond, SnapshotGuard: "lag",
		Topic: "t", KeyColumns: []string{"c"},
		TransactionMaxRows: 4, TransactionMaxBytes: 1026,
		TransactionBoundaryInterval: 5 * time.Millisecond, TransactionTimeout: 1006 * time.Millisecond,
		OffsetsStorageTopic: "o", TopicPartitions: 7, TopicReplicationFactor: 8,
		TopicConfigs: map[string]string{"retention.ms": "9"},
		KeyConverter: "json", ValueConverter: "json",
		DecimalHandlingMode: "double", TimePrecisionMode: "microseconds", TimestampColumn: "ts",
		HeadersEnable: true, ProducerCompression: "zstd", ProducerBatchBytes: 1027, ProducerRequestBytes: 1028,
		RetryDelayMax: 10 * time.Millisecond,
	})
}

func TestUnknownKeyNamesTheNearest(t *testing.T) {
	for wrong, want := range map[string]string{
		"taks.max":          "did you mean tasks.max?",
		"kudu.master":       "did you mean kudu.masters?",
		"table":             "did you mean kudu.table?",
		"compression.type":  "did you mean producer.override.compression.type?",
		"poll.interval":     "did you mean poll.interval.ms?",
		"bootstrap.servers": "move it to the worker's file",
		"zzzzzzzzzz":        "remove it",
	} {
		_, err := loadOrders(t, plainOrders+wrong+": x\n", nil)
		wantFault(t, err, "c.yaml:5: "+wrong+": unknown key: "+want)
	}
	_, err := loadOrders(t, plainOrders+"topic.creation.default.partition: 3\n", nil)
	wantFault(t, err, "c.yaml:5: topic.creation.default.partition: unknown key: did you mean topic.creation.default.partitions?")
}

func TestProvidersNeedNoDeclaration(t *testing.T) {
	folder := write(t, map[string]string{"w.yaml": plainWorker + "config.providers: env,file\n"})
	_, _, err := Load(folder+"/w.yaml", nil, variables(nil))
	wantFault(t, err, folder+"/w.yaml:3: config.providers: the providers env, file and dir are always there: remove it")
}

func TestOneKeyTwiceIsAFault(t *testing.T) {
	_, err := loadOrders(t, plainOrders+"kudu: {table: x}\n", nil)
	wantFault(t, err, "c.yaml:5: kudu.table: is given twice, dotted and nested, first on line 3: remove one")
	_, err = loadOrders(t, plainOrders+"topic: x\n", nil)
	wantFault(t, err, "c.yaml:5: topic: is given twice, first on line 4: remove one")
}

func TestValuesSayTheirUnit(t *testing.T) {
	for text, want := range map[string]string{
		`poll.interval.ms: 100ms`:              `poll.interval.ms: "100ms" is not a whole number: the unit is milliseconds: write 100`,
		`poll.interval.ms: 1m`:                 `poll.interval.ms: "1m" is not a whole number: the unit is milliseconds: write 60000`,
		`poll.interval.ms: soon`:               `poll.interval.ms: "soon" is not a whole number: the unit is milliseconds: write a plain number in 1..3600000`,
		`poll.interval.ms: 1.5`:                `poll.interval.ms: "1.5" is not a whole number: the unit is milliseconds: write a plain number in 1..3600000`,
		`poll.interval.ms: 0`:                  `poll.interval.ms: "0" is out of range: write a number in 1..3600000`,
		`poll.interval.ms: 9e9`:                `poll.interval.ms: "9e9" is not a whole number: the unit is milliseconds: write a plain number in 1..3600000`,
		`poll.interval.ms: 9223372036854775`:   `poll.interval.ms: "9223372036854775" is out of range: write a number in 1..3600000`,
		`poll.interval.ms: ""`:                 `poll.interval.ms: has no value: write a number in 1..3600000`,
		`poll.interval.ms:`:                    `poll.interval.ms: has no value: give one, or remove the key`,
		`poll.interval.ms: [1]`:                `poll.interval.ms: takes one value, not a list: write the value alone`,
		`kudu.scan.batch.bytes: 1MiB`:          `kudu.scan.batch.bytes: "1MiB" is not a whole number: the unit is bytes: write a plain number in 1024..8388608`,
		`topic.creation.default.partitions: 0`: `topic.creation.default.partitions: "0" is out of range: write a number in -1 or 1..100000`,
		`headers.enable: yes`:                  `headers.enable: "yes" is neither true nor false: write true or false`,
		`mode: changelog`:                      `mode: this release does not have changelog mode: write offset or sweep`,
		`mode: ""`:                             `mode: has no value: write offset or sweep, or leave the key out`,
		`value.converter: avro`:                `value.converter: this release does not have Avro: write json`,
		`value.converter.schemas.enable: true`: `value.converter.schemas.enable: this release writes JSON without a schema in each record: write false, or leave the key out`,
		`streaming.key: [a, b, a]`:             `streaming.key: "a" is there twice: remove one`,
		`streaming.key: "a,,b"`:                `streaming.key: has an empty element: remove it`,
		`streaming.key: [{a: b}]`:              `streaming.key: has an element that is not a plain value: write a list of plain values, such as [a, b]`,
		`key.columns: &x [a]`:                  `key.columns: YAML anchors and aliases are not followed: write the value itself`,
	} {
		_, err := loadOrders(t, plainOrders+text+"\n", nil)
		wantFault(t, err, "c.yaml:5: "+want)
	}
	got, err := loadOrders(t, plainOrders+"poll.interval.ms: \"250\"\n", nil)
	if err != nil || got.PollInterval != 250*time.Millisecond {
		t.Errorf("quoted number gave %v, %v", got.PollInterval, err)
	}
}

func TestFilesThatAreNoConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "c.yaml: the file is empty: give keys and values, as the examples in configs/ do",
		"# nothing\n":                       "c.yaml: the file is empty: give keys and values, as the examples in configs/ do",
		"---\n":                             "c.yaml: the file is empty: give keys and values, as the examples in configs/ do",
		"- name: a\n":                       "c.yaml:1: the file is not a map of keys and values: write lines such as name: orders",
		"orders\n":                          "c.yaml:1: the file is not a map of keys and values: write lines such as name: orders",
		"kudu:\n\ttable: x\n":               "c.yaml:2: a tab stands at the beginning of the line: indent with spaces",
		"name: a\n---\nname: b":             "c.yaml:2: a second YAML document begins here: keep one document in a file",
		"name: a: b\n":                      "c.yaml: not YAML: mapping values are not allowed in this context: correct the YAML",
		strings.Repeat("#", maxFileBytes+1): "c.yaml: the file is larger than 1 MiB: name a smaller file",
	} {
		_, err := loadOrders(t, text, nil)
		wantFault(t, err, want)
	}
	folder := write(t, nil)
	_, _, err := Load(folder, []string{folder + "/none.yaml"}, variables(nil))
	wantFault(t, trimmed{err, folder}, ": is a folder, not a file: name a file in it\n/none.yaml: there is no such file: check the path")
}

func TestConnectorsMustNotCollide(t *testing.T) {
	folder := write(t, map[string]string{
		"w.yaml": plainWorker, "a.yaml": plainOrders, "b.yaml": plainOrders,
		"c.yaml": "name: c\nkudu.masters: m:7051\nkudu.table: t\ntopic: g-orders-offsets\noffsets.storage.topic: g-orders-offsets\n",
		"d.yaml": "name: d\nkudu.masters: m:7051\nkudu.table: \"impala::t\"\ntopic.prefix: p.\n",
	})
	var files []string
	for _, name := range []string{"a", "b", "c", "d"} {
		files = append(files, filepath.Join(folder, name+".yaml"))
	}
	_, _, err := Load(folder+"/w.yaml", files, variables(nil))
	wantFault(t, trimmed{err, folder + "/"}, strings.Join([]string{
		`b.yaml:1: name: "orders" is the name of another connector of this worker: give each connector a name of its own`,
		`c.yaml:4: topic: "g-orders-offsets" is the offsets topic of connector c: send the rows to another topic`,
		`c.yaml:5: offsets.storage.topic: "g-orders-offsets" is the offsets topic of connector orders: give each connector an offsets topic of its own, or leave the key out`,
		`d.yaml:4: topic.prefix: with the table's name gives "p.impala::t", which has ':', which topic names cannot have: name the topic with topic`,
	}, "\n"))
}

func TestAllFaultsOfAllFilesAtOnce(t *testing.T) {
	folder := "testdata/faults"
	_, _, err := Load(folder+"/worker.yaml", []string{folder + "/orders.yaml", folder + "/users.yaml", folder + "/none.yaml"},
		variables(map[string]string{"SECRET": "hunter2"}))
	if err == nil {
		t.Fatal("faulty files were loaded")
	}
	const golden = "testdata/faults/golden.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, readErr := os.ReadFile(golden)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if got := err.Error() + "\n"; got != string(want) {
		t.Errorf("faults are\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the message shows a value that came from the environment")
	}
}
