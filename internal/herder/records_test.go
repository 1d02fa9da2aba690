package herder

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

var rewrite = flag.Bool("rewrite", false, "write golden files that are missing")

// changes are one of each kind, by the names of their golden files, which are never
// changed: what any release has written stays readable.
var changes = map[string]change{
	"connector":    {kind: connectorKey, name: "orders-eu", properties: map[string]string{"name": "orders-eu", "where": "a < 3 AND b = '<&>'", "kudu.table": "${env:TABLE}"}},
	"target":       {kind: targetKey, name: "orders-eu", target: connector.TargetPaused},
	"restart":      {kind: restartKey, name: "orders-eu", withTasks: true, onlyFailed: true},
	"restart-task": {kind: restartTaskKey, name: "orders-eu-1", task: 12},
	"turn":         {kind: turnKey, name: "00c0ffee00c0ffee"},
	"logger":       {kind: loggerKey, name: "kudu2kafka.kafka", loggerLevel: "DEBUG"},
}

func TestChangesOfEveryReleaseStayReadable(t *testing.T) {
	for name, want := range changes {
		key, value, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "v1", name+".txt")
		if *rewrite {
			if _, err := os.Stat(path); os.IsNotExist(err) {
				if err := os.WriteFile(path, []byte(string(key)+"\n"+string(value)+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		storedKey, storedValue, _ := strings.Cut(strings.TrimSuffix(string(golden), "\n"), "\n")
		if got, err := parseChange([]byte(storedKey), []byte(storedValue)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, %v", name, got, err)
		}
		if string(key) != storedKey || string(value) != storedValue {
			t.Errorf("%s is written as\n%s\n%s", name, key, value)
		}
		want.deletes = true
		if key, value, err = want.encode(); err != nil || value != nil || string(key) != storedKey {
			t.Errorf("%s: its deletion is %s, %s, %v", name, key, value, err)
		}
		if got, err := parseChange(key, nil); err != nil || !got.deletes || got.name != want.name || got.kind != want.kind || got.task != want.task {
			t.Errorf("%s: its deletion is read as %+v, %v", name, got, err)
		}
	}
}

func TestRecordsThatAreNoneAreErrors(t *testing.T) {
	for _, r := range [][2]string{
		{"session-key", `{}`},
		{"connector-", `{"version":1,"properties":{}}`},
		{"connector-a", ``},
		{"connector-a", `{"version":1}`},
		{"connector-a", `{"version":2,"properties":{}}`},
		{"connector-a", `{"version":1,"properties":{"a":1}}`},
		{"connector-a", `{"version":1,"properties":{}} {}`},
		{"connector-a", `{"version":1,"properties":{},"more":1}`},
		{"target-state-a", `{"version":1,"state":"PAUSE"}`},
		{"restart-task-a", `{"version":1}`},
		{"restart-task-a-01", `{"version":1}`},
		{"restart-task--1", `{"version":1}`},
		{"logger-cluster-a", `"DEBUG"`},
	} {
		if got, err := parseChange([]byte(r[0]), []byte(r[1])); err == nil {
			t.Errorf("%s %s is read as %+v", r[0], r[1], got)
		}
	}
}

func FuzzChange(f *testing.F) {
	for _, c := range changes {
		key, value, err := c.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key, value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		c, err := parseChange(key, value)
		if err != nil || c.kind == barrierKey || c.deletes {
			return
		}
		k, v, err := c.encode()
		if err != nil {
			t.Fatalf("%+v was read and can't be written: %v", c, err)
		}
		again, err := parseChange(k, v)
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v comes back as %+v, %v", c, again, err)
		}
	})
}
