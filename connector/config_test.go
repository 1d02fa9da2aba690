package connector

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func goodConfig() Config {
	c := DefaultConfig()
	c.Name, c.KuduMasters, c.KuduTable, c.Topic = "orders", []string{"m:7051"}, "orders", "orders"
	return c
}

func goodWorker() WorkerConfig {
	w := DefaultWorkerConfig()
	w.BootstrapServers, w.GroupID = []string{"k:9092"}, "g"
	return w
}

func texts(faults []Fault) string {
	var lines []string
	for _, f := range faults {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

func TestEveryKeyHasAFieldAndEveryFieldAKey(t *testing.T) {
	for _, set := range []struct {
		of   reflect.Type
		keys []Key
	}{
		{reflect.TypeFor[WorkerConfig](), WorkerKeys()},
		{reflect.TypeFor[Config](), ConnectorKeys()},
	} {
		var tags, names []string
		for i := range set.of.NumField() {
			tags = append(tags, set.of.Field(i).Tag.Get("koanf"))
		}
		for _, k := range set.keys {
			if k.Absent == "" {
				names = append(names, k.Name)
			}
		}
		slices.Sort(tags)
		slices.Sort(names)
		if !slices.Equal(tags, names) {
			t.Errorf("%s has fields for\n%v\nbut keys\n%v", set.of, tags, names)
		}
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	kinds := map[KeyType][]reflect.Kind{
		TypeString: {reflect.String}, TypePassword: {reflect.Struct}, TypeList: {reflect.Slice}, TypeBoolean: {reflect.Bool},
		TypeInt: {reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64}, TypeBytes: {reflect.Int64},
		TypeMillis: {reflect.Int64}, TypeMap: {reflect.Map},
	}
	worker, conn := reflect.ValueOf(DefaultWorkerConfig()), reflect.ValueOf(DefaultConfig())
	for i, k := range append(WorkerKeys(), ConnectorKeys()...) {
		if k.Absent != "" {
			continue
		}
		if !strings.HasSuffix(k.Doc, ".") || k.Importance == "" {
			t.Errorf("%s lacks a sentence of documentation or an importance", k.Name)
		}
		if strings.HasSuffix(k.Name, ".ms") != (k.Type == TypeMillis) {
			t.Errorf("%s is of type %s", k.Name, k.Type)
		}
		if k.Required == (k.Default != nil) && k.Required {
			t.Errorf("%s is required and has a default", k.Name)
		}
		of := worker
		if i >= len(workerKeys) {
			of = conn
		}
		field := fieldOf(of, k.Name)
		if !slices.Contains(kinds[k.Type], field.Kind()) || (k.Type == TypeMillis) != (field.Type() == reflect.TypeFor[time.Duration]()) {
			t.Errorf("%s is of type %s, but its field is %s", k.Name, k.Type, field.Type())
		}
		if k.Type == TypeInt || k.Type == TypeBytes || k.Type == TypeMillis {
			if k.Min >= k.Max {
				t.Errorf("%s has the range %s", k.Name, k.Range())
			}
			if k.Type != TypeMillis && (field.OverflowInt(k.Min) || field.OverflowInt(k.Max)) {
				t.Errorf("%s has a range that its field cannot hold: %s", k.Name, k.Range())
			}
		}
		if k.Default != nil {
			if faults := k.check(reflect.ValueOf(k.Default), ""); len(faults) > 0 {
				t.Errorf("default is faulty: %s", texts(faults))
			}
		}
	}
}

func TestDefaultsAreThoseOfTheDesign(t *testing.T) {
	c := DefaultConfig()
	if c.TasksMax != 1 || c.Mode != "offset" || c.PollInterval != 100*time.Millisecond || c.TransactionMaxRows != 100_000 ||
		c.TransactionMaxBytes != 64<<20 || c.TransactionBoundaryInterval != time.Second || c.TransactionTimeout != time.Minute ||
		c.KuduScanBatchBytes != 1<<20 || c.TopicPartitions != -1 || c.TopicReplicationFactor != -1 || c.TopicConfigs != nil {
		t.Errorf("connector's defaults are %+v", c)
	}
	w := DefaultWorkerConfig()
	if w.ClientID != "kudu2kafka" || w.SessionTimeout != 10*time.Second || w.HeartbeatInterval != 3*time.Second ||
		!w.TopicCreationEnable || w.OffsetsReplicationFactor != -1 || w.TaskShutdownTimeout != 5*time.Second {
		t.Errorf("worker's defaults are %+v", w)
	}
}

func TestDefaultsLackOnlyWhatIsRequired(t *testing.T) {
	if got, want := texts(DefaultWorkerConfig().Validate()), "bootstrap.servers: is required: give bootstrap.servers\ngroup.id: is required: give group.id"; got != want {
		t.Errorf("worker's faults are\n%s", got)
	}
	want := "name: is required: give name\nkudu.masters: is required: give kudu.masters\nkudu.table: is required: give kudu.table\n" +
		"topic: is required, unless topic.prefix is given: name the Kafka topic that the rows go to"
	if got := texts(DefaultConfig().Validate()); got != want {
		t.Errorf("connector's faults are\n%s", got)
	}
	if got := texts(goodWorker().Validate()) + texts(goodConfig().Validate()); got != "" {
		t.Errorf("good configurations have faults:\n%s", got)
	}
}

func TestValidateFindsWhatFieldsHold(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`tasks.max: "1001" is out of range: write a number in 1..1000`:                                   func(c *Config) { c.TasksMax = 1001 },
		`poll.interval.ms: "0" is out of range: write a number in 1..3600000`:                            func(c *Config) { c.PollInterval = time.Microsecond },
		`topic: "a b" has ' ', which topic names cannot have: ` + topicRemedy:                            func(c *Config) { c.Topic = "a b" },
		`topic: ".." is not a legal topic name: ` + topicRemedy:                                          func(c *Config) { c.Topic = ".." },
		`topic.prefix: cannot be given together with topic: keep one of the two`:                         func(c *Config) { c.TopicPrefix = "p" },
		`mode: this release does not have changelog mode: write offset or sweep`:                         func(c *Config) { c.Mode = "changelog" },
		`kudu.masters: "m" is not host:port: write it as 10.0.0.1:9092, name.example:9092 or [::1]:9092`: func(c *Config) { c.KuduMasters = []string{"m"} },
		`kudu.table: "a\x00" is not text: write valid UTF-8 without zero bytes`:                          func(c *Config) { c.KuduTable = "a\x00" },
		`decimal.handling.mode: "exact" is not a value it takes: write string, precise or double`:        func(c *Config) { c.DecimalHandlingMode = "exact" },
		`transaction.boundary.interval.ms: 600 is more than half of transaction.timeout.ms (1000), so that Kafka could abort a transaction before it is ended: lower it, or raise transaction.timeout.ms`: func(c *Config) {
			c.TransactionBoundaryInterval, c.TransactionTimeout = 600*time.Millisecond, time.Second
		},
	} {
		c := goodConfig()
		change(&c)
		if got := texts(c.Validate()); got != want {
			t.Errorf("faults are\n%s\nwant\n%s", got, want)
		}
	}
	w := goodWorker()
	w.HeartbeatInterval = w.SessionTimeout
	if got, want := texts(w.Validate()), "heartbeat.interval.ms: 10000 is not below session.timeout.ms (10000): write at most a third of session.timeout.ms"; got != want {
		t.Errorf("faults are\n%s", got)
	}
	w.SessionTimeout = 0
	if got := w.Validate(); len(got) != 1 || got[0].Key != "session.timeout.ms" {
		t.Errorf("a fault that follows from another is told too:\n%s", texts(got))
	}
}

func TestAddressesAreHostAndPort(t *testing.T) {
	for address, good := range map[string]bool{
		"a:1": true, "10.0.0.1:65535": true, "[::1]:9092": true, "broker-1.example.org:9092": true,
		"": false, "a": false, ":1": false, "a:": false, "a:0": false, "a:65536": false, "a:x": false, "a:-1": false,
		"::1:9092": false, "http://a:1": false, "a b:1": false, "a:1:2": false,
	} {
		if what, _ := addressFault(address); (what == "") != good {
			t.Errorf("%q: %s", address, what)
		}
	}
}

func TestNamesAreDerivedFromGroupAndConnector(t *testing.T) {
	c := goodConfig()
	for got, want := range map[string]string{
		c.OffsetsTopic("g"):        "g-orders-offsets",
		c.GroupID("g"):             "g-orders",
		c.TransactionalID("g", 12): "g-orders-12",
		c.TopicName():              "orders",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c.Topic, c.TopicPrefix, c.OffsetsStorageTopic = "", "kudu.", "positions"
	if c.TopicName() != "kudu.orders" || c.OffsetsTopic("g") != "positions" {
		t.Errorf("got %s and %s", c.TopicName(), c.OffsetsTopic("g"))
	}
}

func TestOffsetsTopicThatGetsTooLongIsAFault(t *testing.T) {
	c := goodConfig()
	c.Name = strings.Repeat("n", 240)
	if got := texts(c.Validate()); got != "" {
		t.Fatalf("faults are\n%s", got)
	}
	got := ValidateTogether(goodWorker(), []Config{c})
	if len(got[0]) != 1 || !strings.Contains(got[0][0].What, "is longer than the 249 characters of a topic name") || len(got[0][0].String()) > 300 {
		t.Errorf("faults are\n%s", texts(got[0]))
	}
}

func TestFaultsTellWhereTheyAre(t *testing.T) {
	for want, f := range map[string]Fault{
		"f.yaml:3: k: w: r": {File: "f.yaml", Line: 3, Key: "k", What: "w", Remedy: "r"},
		"f.yaml: w: r":      {File: "f.yaml", What: "w", Remedy: "r"},
		"k: w":              {Key: "k", What: "w"},
		"k: one; two: r":    {Key: "k", What: "one\ntwo", Remedy: "r"},
	} {
		if f.String() != want {
			t.Errorf("fault is %q, want %q", f, want)
		}
	}
	err := &ConfigError{Faults: []Fault{{Key: "a", What: "b"}, {Key: "c", What: "d"}}}
	if err.Error() != "a: b\nc: d" {
		t.Errorf("error is %q", err)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	s := secret.New("hunter2")
	holder := struct{ Password Secret }{s}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", holder, holder, &holder),
		fmt.Errorf("logging in with %v", s).Error(), string(encoded),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e") || !strings.Contains(text, "***") {
			t.Errorf("secret prints as %s", text)
		}
	}
	if s.Reveal() != "hunter2" || fmt.Sprint(secret.New("")) != "" {
		t.Error("a secret does not give its text, or hides that it is empty")
	}
	parsed, faults := Key{Name: "password", Type: TypePassword}.Parse(Value{Items: []string{" p "}})
	if parsed != secret.New(" p ") || len(faults) > 0 {
		t.Errorf("password was read as %#v, %v", parsed, faults)
	}
}

func TestMessagesShowReferencesInsteadOfValues(t *testing.T) {
	for _, k := range append(WorkerKeys(), ConnectorKeys()...) {
		if k.Absent != "" {
			continue
		}
		_, faults := k.Parse(Value{Items: []string{"hunter2 %!,hunter2 %!"}, Shown: "${file:secret}"})
		if strings.Contains(texts(faults), "hunter") {
			t.Errorf("message shows the value: %s", texts(faults))
		}
	}
}
