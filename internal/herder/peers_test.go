package herder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// reports are records of the status topic by the names of their golden files.
func reports(t *testing.T) map[string][2]string {
	t.Helper()
	all := map[string][2]string{}
	add := func(name, key string, v any) {
		value, err := encodeJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = [2]string{key, string(value)}
	}
	add("worker", workerKey+"u1", workerV1{1, "10.0.0.1:8083"})
	add("status", statusConnectorKey+"orders:u1", report{
		Version: 1, State: connector.Running, Tasks: []taskReport{{ID: 3, State: connector.Failed, Trace: "no such column <x>", Generation: 7, Since: noon, taskCounts: taskCounts{Rows: 12}}},
		File: map[string]string{"name": "orders"},
	})
	add("topic", statusTopicKey+"rows"+ofConnector+"orders", topicV1{1, noon})
	return all
}

func TestReportsOfEveryReleaseStayReadable(t *testing.T) {
	for name, want := range reports(t) {
		path := filepath.Join("testdata", "v1", name+".txt")
		if *rewrite {
			if _, err := os.Stat(path); os.IsNotExist(err) {
				if err := os.WriteFile(path, []byte(want[0]+"\n"+want[1]+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(string(golden), "\n"), "\n")
		if key != want[0] || value != want[1] {
			t.Errorf("%s is written as\n%s\n%s", name, want[0], want[1])
		}
		if _, err := newPeers(time.Second).apply(key, []byte(value), noon); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add("worker-u1", []byte(`{"version":1,"worker_id":"a"}`))
	f.Add("status-connector-c:u1", []byte(`{"version":1,"state":"RUNNING","tasks":[{"id":0,"state":"RUNNING","generation":1,"since":"2026-01-02T12:00:00Z"}]}`))
	f.Add("status-topic-rows:connector-c", []byte(`{"version":1,"discovered":"2026-01-02T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		p := newPeers(time.Minute)
		if _, err := p.apply("worker-u1", []byte(`{"version":1,"worker_id":"a"}`), noon); err != nil {
			t.Fatal(err)
		}
		if _, err := p.apply(key, value, noon); err != nil {
			return
		}
		for tasks := range 3 {
			if s := merge("c", tasks, p.alive(noon)); len(s.Tasks) > tasks {
				t.Errorf("%d tasks of %d", len(s.Tasks), tasks)
			}
		}
		if _, err := p.apply(key, nil, noon); err != nil {
			t.Errorf("%q can be written and not be deleted: %v", key, err)
		}
	})
}

// group makes peers of what workers say of connector c: "RUNNING 0=RUNNING@3 ...".
func group(t *testing.T, says map[string]string) *peers {
	t.Helper()
	p := newPeers(10 * time.Second)
	for worker, text := range says {
		words := strings.Fields(text)
		r := report{Version: 1, State: connector.State(words[0])}
		if r.State == connector.Failed {
			r.Trace = "why"
		}
		for _, word := range words[1:] {
			task := taskReport{Since: noon}
			state, rest, _ := strings.Cut(word, "@")
			var name string
			if _, err := fmt.Sscanf(rest, "%d", &task.Generation); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(state, "%d=%s", &task.ID, &name); err != nil {
				t.Fatal(err)
			}
			task.State = connector.State(name)
			r.Tasks = append(r.Tasks, task)
		}
		value, err := encodeJSON(r)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range map[string]string{workerKey + "uid-" + worker: `{"version":1,"worker_id":"` + worker + `"}`, statusConnectorKey + "c:uid-" + worker: string(value)} {
			if _, err := p.apply(key, []byte(value), noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

func shown(s ConnectorStatus) string {
	text := string(s.Connector.State) + "@" + s.Connector.WorkerID
	for _, task := range s.Tasks {
		text += fmt.Sprintf(" %s@%s", task.State, task.WorkerID)
	}
	return text
}

func TestWorkersWordsAreMerged(t *testing.T) {
	for want, says := range map[string]map[string]string{
		"UNASSIGNED@ UNASSIGNED@ UNASSIGNED@":    {},
		"RUNNING@a RUNNING@a FAILED@b":           {"a": "RUNNING 0=RUNNING@3", "b": "RUNNING 1=FAILED@3"},
		"RUNNING@a RESTORING@b UNASSIGNED@":      {"a": "RUNNING 0=RUNNING@3", "b": "RUNNING 0=RESTORING@4"}, // the later generation has it
		"RUNNING@b RUNNING@b UNASSIGNED@":        {"a": "PAUSED 0=PAUSED@3", "b": "RUNNING 0=RUNNING@4"},     // not paused yet
		"PAUSED@a PAUSED@a PAUSED@b":             {"a": "PAUSED 0=PAUSED@3", "b": "PAUSED 1=PAUSED@3"},
		"STOPPED@a":                              {"a": "STOPPED", "b": "STOPPED"},
		"RUNNING@b UNASSIGNED@ RUNNING@b":        {"a": "STOPPED", "b": "RUNNING 1=RUNNING@9"},
		"FAILED@a UNASSIGNED@ UNASSIGNED@":       {"a": "FAILED", "b": "FAILED"},
		"COMPLETED@a COMPLETED@a COMPLETED@b":    {"a": "COMPLETED 0=COMPLETED@1", "b": "COMPLETED 1=COMPLETED@1"},
		"RUNNING@b COMPLETED@a RUNNING@b":        {"a": "COMPLETED 0=COMPLETED@1", "b": "RUNNING 1=RUNNING@1"},
		"COMPLETED@c COMPLETED@a COMPLETED@b":    {"a": "COMPLETED 0=COMPLETED@1", "b": "COMPLETED 1=COMPLETED@1", "c": "RUNNING"}, // stands by
		"RUNNING@a RUNNING@a UNASSIGNED@ (of 9)": {"a": "RUNNING 0=RUNNING@3 9=RUNNING@3"},                                         // beyond tasks.max
	} {
		want, _, _ = strings.Cut(want, " (")
		if got := shown(merge("c", 2, group(t, says).alive(noon))); got != want {
			t.Errorf("of %v comes %s, want %s", says, got, want)
		}
	}
}

func TestSilentWorkerHasNothingAfterASession(t *testing.T) {
	p := group(t, map[string]string{"a": "RUNNING 0=RUNNING@3", "b": "RUNNING 1=RUNNING@3"})
	if _, err := p.apply(workerKey+"uid-b", []byte(`{"version":1,"worker_id":"b"}`), noon.Add(5*time.Second)); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]string{
		9 * time.Second:  "RUNNING@a RUNNING@a RUNNING@b",
		11 * time.Second: "RUNNING@b UNASSIGNED@ RUNNING@b",
		16 * time.Second: "UNASSIGNED@ UNASSIGNED@ UNASSIGNED@",
	} {
		if got := shown(merge("c", 2, p.alive(noon.Add(after)))); got != want {
			t.Errorf("after %v: %s, want %s", after, got, want)
		}
	}
	if got := p.buried(noon.Add(silence + time.Second)); len(got) != 1 || got[0].id != "a" {
		t.Errorf("buried are %v", got)
	}
	if _, err := p.apply(workerKey+"uid-a", nil, noon); err != nil || len(p.all) != 1 {
		t.Errorf("%v, %d workers are left", err, len(p.all))
	}
}

func TestCountersAloneAreNoNews(t *testing.T) {
	a := report{State: connector.Running, Tasks: []taskReport{{ID: 0, State: connector.Running, taskCounts: taskCounts{Rows: 1}}}}
	b := report{State: connector.Running, Tasks: []taskReport{{ID: 0, State: connector.Running, taskCounts: taskCounts{Rows: 2}}}}
	c := report{State: connector.Running, Tasks: []taskReport{{ID: 0, State: connector.Failed, taskCounts: taskCounts{Rows: 1}}}}
	if !a.shows(b) || a.shows(c) || !a.counts(b) || a.counts(a) || a.Tasks[0].Rows != 1 {
		t.Errorf("%v %v", a.shows(b), a.shows(c))
	}
}

func TestForeignStatusRecordsAreNamedSo(t *testing.T) {
	p := newPeers(time.Second)
	if _, err := p.apply("status-task-a-0", []byte(`{}`), noon); !errors.Is(err, errForeign) {
		t.Errorf("got %v", err)
	}
	if !reflect.DeepEqual(p, newPeers(time.Second)) {
		t.Error("it left something")
	}
}

// The first report of a worker may come before its first sign of life.
func TestWorkerThatHasJustToldSomethingIsNotDead(t *testing.T) {
	p := newPeers(10 * time.Second)
	if _, err := p.apply(statusConnectorKey+"c:u1", []byte(`{"version":1,"state":"RUNNING"}`), noon); err != nil {
		t.Fatal(err)
	}
	if got := p.buried(noon.Add(silence - time.Second)); len(got) != 0 {
		t.Error("it is taken for dead within the time of silence")
	}
	if got := p.buried(noon.Add(silence + time.Second)); len(got) != 1 {
		t.Error("what it has left behind stays")
	}
}
