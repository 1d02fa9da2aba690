package config

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

func TestMapAndFileGiveTheSameConnector(t *testing.T) {
	text := "name: orders\nkudu:\n  masters: [m, n:7]\n  table: ${env:TABLE}\ntopic: orders\nstreaming.key: [a, b]\n" +
		"offset.start: {a: \"1\"}\ntopic.creation.default.retention.ms: 9\nconnector.class: KuduSource\n"
	env := map[string]string{"TABLE": "shop.orders"}
	fromFile, err := loadOrders(t, text, env)
	if err != nil {
		t.Fatal(err)
	}
	source, err := ReadSource(filepath.Join(write(t, map[string]string{"c.yaml": text}), "c.yaml"), Full(variables(env)))
	if err != nil {
		t.Fatal(err)
	}
	values := source.Settings()
	want := map[string]string{
		"name": "orders", "kudu.masters": "m,n:7", "kudu.table": "${env:TABLE}", "topic": "orders", "streaming.key": "a,b",
		"offset.start.a": "1", "topic.creation.default.retention.ms": "9", "connector.class": "KuduSource",
	}
	if !reflect.DeepEqual(values, want) {
		t.Errorf("settings are %v", values)
	}
	fromMap, faults := FromMap(values, Full(variables(env)))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	sameConfig(t, fromMap, fromFile)
}

func TestAllFaultsOfAMapAtOnce(t *testing.T) {
	_, faults := FromMap(map[string]string{
		"name": "a b", "taks.max": "3", "tasks.max": "many", "kudu.table": "${env:NONE}", "topic": "t", "bootstrap.servers": "k:1",
		"connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", "poll.interval.ms": "",
	}, Full(variables(nil)))
	got := map[string]bool{}
	for _, f := range faults {
		if f.File != "" || f.Line != 0 || f.What == "" || f.Remedy == "" {
			t.Errorf("fault %+v", f)
		}
		got[f.Key] = true
	}
	want := map[string]bool{
		"name": true, "taks.max": true, "tasks.max": true, "kudu.table": true, "bootstrap.servers": true, "kudu.masters": true,
		"connector.class": true, "poll.interval.ms": true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("faults are %v", (&connector.ConfigError{Faults: faults}).Error())
	}
}

func TestSourceOfAFileThatIsNoneIsAnError(t *testing.T) {
	folder := write(t, map[string]string{"c.yaml": "a: [b: c]\n", "d.yaml": "\t"})
	for _, file := range []string{"d.yaml", "none.yaml"} {
		if got, err := ReadSource(filepath.Join(folder, file), Full(variables(nil))); err == nil {
			t.Errorf("%s gives %v", file, got.Settings())
		}
	}
	source, err := ReadSource(filepath.Join(folder, "c.yaml"), Full(variables(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := source.Config(); len(faults) == 0 {
		t.Error("a source with a fault has none")
	}
}
