package connect

import (
	"strings"
	"testing"
)

// step is one call, made on both sides. {CLASS}, {GOOD} and {BAD} in path and body
// are the side's own: its connector's class, and members of configurations.
type step struct {
	method, path, body string
	header             string // "Name: value"
	differs            string // a name in differences; empty: nothing may differ
	flat               bool   // the names of the body's members are data
	await              func(*testing.T, *side)
	// follows says that it shows a failure that a restart before it leads to once more, and
	// for an instant leaves behind, on each side at another time.
	follows bool
}

func (s step) String() string {
	text := s.method + " " + s.path
	if s.body != "" {
		text += " " + s.body
	}
	if s.header != "" {
		text += " with " + s.header
	}
	return text
}

// difference is one that is allowed, where a step names it.
type difference struct {
	why          string
	theirs, ours int  // status codes; 0: the same on both sides
	text         bool // the text of the error differs
	headers      bool
	shape        []string // what compare says
}

var differences = map[string]difference{
	"wrong body":       {theirs: 500, ours: 400, text: true, why: "a body that is wrong is the caller's fault; Connect shows an exception of its JSON library"},
	"wrong offset":     {theirs: 500, ours: 400, text: true, why: "a partition or an offset that is wrong is the caller's fault; Connect shows its connector's exception"},
	"no offset":        {theirs: 200, ours: 400, text: true, why: "FileStreamSource takes an element without a partition, and does nothing; we refuse it"},
	"our words":        {text: true, why: "faults of a configuration are told in each connector's own words"},
	"no such class":    {theirs: 500, ours: 404, text: true, why: "a class that isn't there isn't found; Connect wraps a refusal of its own in a 500"},
	"no class":         {theirs: 500, ours: 200, text: true, why: "there is one class, so that it needn't be named; Connect wraps a refusal of its own in a 500"},
	"tasks at once":    {shape: []string{"$.tasks: is an empty list on one side"}, why: "our tasks are known from the configuration; Connect's are made after the answer"},
	"no trace":         {shape: []string{"$.tasks[]: lacks trace"}, why: "a task that is being restarted has left its failure behind; Connect shows it once more"},
	"wrong level":      {theirs: 500, ours: 404, text: true, why: "an empty level is an unknown one; Connect shows an exception of its log library"},
	"own page":         {theirs: 400, ours: 400, text: true, headers: true, why: "Jetty refuses some paths with a page of HTML; all our errors are JSON"},
	"names of classes": {text: true, why: "the list of classes is the side's own"},
}

func running(t *testing.T, s *side) { s.awaitState(t, "src", "RUNNING", "RUNNING") }
func paused(t *testing.T, s *side)  { s.awaitState(t, "src", "PAUSED", "PAUSED") }
func stopped(t *testing.T, s *side) { s.awaitState(t, "src", "STOPPED", "") }
func failed(t *testing.T, s *side)  { s.awaitState(t, "bad", "RUNNING", "FAILED") }

// published waits until the connector has written to its topic, and its position is
// stored.
func published(t *testing.T, s *side) {
	running(t, s)
	for _, path := range []string{"/connectors/src/offsets", "/connectors/src/topics"} {
		s.await(t, path, func(a answer) bool { return a.status == 200 && !strings.Contains(a.body, "[]") })
	}
}

var rootSteps = []step{
	{method: "GET", path: "/"},
	{method: "GET", path: "/health"},
	{method: "GET", path: "/health/"},
	{method: "HEAD", path: "/"},
	{method: "OPTIONS", path: "/"},
	{method: "POST", path: "/"},
	{method: "POST", path: "/health"},
	{method: "GET", path: "/", header: "Accept: text/plain"},
	{method: "GET", path: "/nope"},
	{method: "OPTIONS", path: "/nope"},
	{method: "GET", path: "//connectors", differs: "own page"},
	{method: "GET", path: "/connectors/a%2Fb", differs: "own page"},
	{method: "GET", path: "/connectors/a%00b", differs: "own page"},
	{method: "GET", path: "/connectors"},
	{method: "GET", path: "/connectors?expand=status"},
	{method: "DELETE", path: "/connectors"},
	{method: "PUT", path: "/connectors", body: "{}"},
	{method: "TRACE", path: "/connectors"},
}

var createSteps = []step{
	{method: "POST", path: "/connectors", differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `[]`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `null`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `"a"`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{}`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{"name":"src"}`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD}}} x`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD}},"unknown":1}`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD},"x":{}}}`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD}},"initial_state":"NO"}`, differs: "wrong body"},
	{method: "POST", path: "/connectors", body: `{"config":{{GOOD}}}`},
	{method: "POST", path: "/connectors", body: `{"name":" ","config":{{GOOD}}}`},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD},"name":"other"}}`},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD},"errors.retry.delay.max.ms":null}}`},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD},"tasks.max":"many"}}`, differs: "our words"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{"connector.class":"{CLASS}"}}`, differs: "our words"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{}}`, differs: "our words"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD},"connector.class":"nope"}}`, differs: "names of classes"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{}}`, header: "Content-Type: text/plain"},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{}}`, header: "Content-Type: "},
	{method: "GET", path: "/connectors"},
	{method: "POST", path: "/connectors", body: `{"name":" src ","config":{{GOOD},"tasks.max":1}}`, differs: "tasks at once", await: published},
	{method: "POST", path: "/connectors", body: `{"name":"src","config":{{GOOD}}}`},
	{method: "POST", path: "/connectors", body: `{"name":"still","config":{{GOOD}},"initial_state":"stopped"}`, header: "Content-Type: application/json; charset=utf-8"},
	{method: "DELETE", path: "/connectors/still"},
	{method: "DELETE", path: "/connectors/still"},
}

var readSteps = []step{
	{method: "GET", path: "/connectors"},
	{method: "GET", path: "/connectors/"},
	{method: "GET", path: "/connectors?other=x"},
	{method: "GET", path: "/connectors?expand=status"},
	{method: "GET", path: "/connectors?expand=info"},
	{method: "GET", path: "/connectors/?expand=info&expand=status"},
	{method: "GET", path: "/connectors?expand=unknown"},
	{method: "GET", path: "/connectors?expand=status,info"},
	{method: "GET", path: "/connectors?expand="},
	{method: "GET", path: "/connectors", header: "Accept: text/html"},
	{method: "GET", path: "/connectors", header: "Accept: garbage"},
	{method: "GET", path: "/connectors", header: "Accept: text/html;q=0.9,*/*;q=0.1"},
	{method: "GET", path: "/connectors", header: "Accept: application/json;q=0"},
	{method: "OPTIONS", path: "/connectors"},
	{method: "HEAD", path: "/connectors"},
	{method: "GET", path: "/connectors/src"},
	{method: "GET", path: "/connectors/src/"},
	{method: "HEAD", path: "/connectors/src"},
	{method: "OPTIONS", path: "/connectors/src"},
	{method: "GET", path: "/connectors/src/nope"},
	{method: "GET", path: "/connectors/src/config", flat: true},
	{method: "OPTIONS", path: "/connectors/src/config"},
	{method: "GET", path: "/connectors/src/status"},
	{method: "GET", path: "/connectors/src/status/"},
	{method: "OPTIONS", path: "/connectors/src/status"},
	{method: "GET", path: "/connectors/src/tasks"},
	{method: "GET", path: "/connectors/src/tasks-config"},
	{method: "GET", path: "/connectors/src/tasks/0"},
	{method: "GET", path: "/connectors/src/tasks/0/status"},
	{method: "GET", path: "/connectors/src/tasks/0/status/"},
	{method: "GET", path: "/connectors/src/tasks/9/status"},
	{method: "GET", path: "/connectors/src/tasks/-1/status"},
	{method: "GET", path: "/connectors/src/tasks/x/status"},
	{method: "GET", path: "/connectors/src/topics"},
	{method: "GET", path: "/connectors/src/offsets"},
	{method: "OPTIONS", path: "/connectors/src/offsets"},
	{method: "PUT", path: "/connectors/src/offsets", body: "{}"},
	{method: "GET", path: "/connectors/src/restart"},
	{method: "HEAD", path: "/connectors/src/pause"},
	{method: "PUT", path: "/connectors/src/topics"},
	{method: "GET", path: "/connectors/nope"},
	{method: "HEAD", path: "/connectors/nope"},
	{method: "GET", path: "/connectors/no%20pe"},
	{method: "GET", path: "/connectors/nope", header: "Accept: text/plain"},
	{method: "GET", path: "/connectors/nope/config"},
	{method: "GET", path: "/connectors/nope/status"},
	{method: "GET", path: "/connectors/nope/tasks"},
	{method: "GET", path: "/connectors/nope/tasks/0/status"},
	{method: "GET", path: "/connectors/nope/topics"},
	{method: "GET", path: "/connectors/nope/offsets"},
}

var configSteps = []step{
	{method: "PUT", path: "/connectors/src/config", body: `{{GOOD},"tasks.max":"1"}`, await: running},
	{method: "PUT", path: "/connectors/src/config/", body: `{{GOOD},"name":"src"}`, await: running},
	{method: "PUT", path: "/connectors/src/config", body: `{{GOOD},"name":"other"}`},
	{method: "PUT", path: "/connectors/src/config", differs: "wrong body"},
	{method: "PUT", path: "/connectors/src/config", body: `null`, differs: "wrong body"},
	{method: "PUT", path: "/connectors/src/config", body: `[]`, differs: "wrong body"},
	{method: "PUT", path: "/connectors/src/config", body: `{"a":{}}`, differs: "wrong body"},
	{method: "PUT", path: "/connectors/src/config", body: `{"a":1,}`, differs: "wrong body"},
	{method: "PUT", path: "/connectors/src/config", body: `{{GOOD},"x":null}`},
	{method: "PUT", path: "/connectors/src/config", body: `{{GOOD},"tasks.max":"0"}`, differs: "our words"},
	{method: "PATCH", path: "/connectors/src/config", body: `{"errors.retry.delay.max.ms":"2000"}`, await: running},
	{method: "PATCH", path: "/connectors/src/config", body: `{"errors.retry.delay.max.ms":null}`, await: running},
	{method: "PATCH", path: "/connectors/src/config", body: `{}`, await: running},
	{method: "PATCH", path: "/connectors/src/config", differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/config", body: `null`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/config", body: `{"topic":null}`, differs: "our words"},
	{method: "PATCH", path: "/connectors/nope/config", body: `{"a":"b"}`},
	{method: "PUT", path: "/connectors/second/config", body: `{{GOOD}}`, differs: "tasks at once", await: func(t *testing.T, s *side) { s.awaitState(t, "second", "RUNNING", "RUNNING") }},
	{method: "DELETE", path: "/connectors/second/"},
	{method: "GET", path: "/connectors/second"},
}

var actionSteps = []step{
	{method: "POST", path: "/connectors/src/restart", await: running},
	{method: "POST", path: "/connectors/src/restart/", await: running},
	{method: "POST", path: "/connectors/src/restart?includeTasks=false&onlyFailed=false", await: running},
	{method: "POST", path: "/connectors/src/restart?includeTasks=true", await: running},
	{method: "POST", path: "/connectors/src/restart?onlyFailed=TRUE", await: running},
	{method: "POST", path: "/connectors/src/restart?includeTasks=true&onlyFailed=true", await: running},
	{method: "POST", path: "/connectors/src/restart?includeTasks=x&onlyFailed=", await: running},
	{method: "POST", path: "/connectors/src/restart", body: "ignored", await: running},
	{method: "POST", path: "/connectors/src/restart", body: "ignored", header: "Content-Type: text/plain"},
	{method: "POST", path: "/connectors/src/restart", header: "Accept: text/html"},
	{method: "OPTIONS", path: "/connectors/src/restart"},
	{method: "POST", path: "/connectors/nope/restart"},
	{method: "POST", path: "/connectors/nope/restart?includeTasks=true"},
	{method: "POST", path: "/connectors/src/tasks/0/restart", await: running},
	{method: "POST", path: "/connectors/src/tasks/9/restart"},
	{method: "POST", path: "/connectors/src/tasks/x/restart"},
	{method: "POST", path: "/connectors/nope/tasks/0/restart"},
	{method: "PUT", path: "/connectors/src/topics/reset"},
	{method: "GET", path: "/connectors/src/topics/reset"},
	{method: "OPTIONS", path: "/connectors/src/topics/reset"},
	{method: "PUT", path: "/connectors/nope/topics/reset"},
	{method: "PUT", path: "/connectors/src/pause", await: paused},
	{method: "PUT", path: "/connectors/src/pause", await: paused},
	{method: "GET", path: "/connectors/src/status"},
	{method: "GET", path: "/connectors/src"},
	{method: "POST", path: "/connectors/src/restart?includeTasks=true", await: paused},
	{method: "DELETE", path: "/connectors/src/offsets"},
	{method: "PUT", path: "/connectors/src/resume", await: running},
	{method: "PUT", path: "/connectors/src/resume", await: running},
	{method: "OPTIONS", path: "/connectors/src/resume"},
	{method: "PUT", path: "/connectors/nope/pause"},
	{method: "PUT", path: "/connectors/nope/resume"},
	{method: "PUT", path: "/connectors/nope/stop"},
}

var failureSteps = []step{
	{method: "PUT", path: "/connectors/bad/config", body: `{{BAD}}`, differs: "tasks at once", await: failed},
	{method: "GET", path: "/connectors/bad/status"},
	{method: "GET", path: "/connectors/bad/tasks/0/status"},
	{method: "POST", path: "/connectors/bad/restart?includeTasks=true&onlyFailed=true", differs: "no trace", await: failed},
	{method: "POST", path: "/connectors/bad/tasks/0/restart", await: failed},
	{method: "GET", path: "/connectors?expand=status&expand=info", follows: true},
	{method: "DELETE", path: "/connectors/bad"},
}

var offsetSteps = []step{
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[{"partition":{"a":"b"},"offset":{"c":1}}]}`},
	{method: "DELETE", path: "/connectors/src/offsets"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[]}`},
	{method: "PATCH", path: "/connectors/nope/offsets", body: `{"offsets":[{"partition":{"a":"b"},"offset":{"c":1}}]}`},
	{method: "DELETE", path: "/connectors/nope/offsets"},
	{method: "PUT", path: "/connectors/src/stop", await: stopped},
	{method: "PUT", path: "/connectors/src/stop", await: stopped},
	{method: "GET", path: "/connectors/src/status"},
	{method: "GET", path: "/connectors/src"},
	{method: "GET", path: "/connectors/src/tasks"},
	{method: "GET", path: "/connectors/src/tasks/0/status"},
	{method: "POST", path: "/connectors/src/restart"},
	{method: "POST", path: "/connectors/src/restart?includeTasks=true"},
	{method: "GET", path: "/connectors/src/offsets"},
	{method: "PATCH", path: "/connectors/src/offsets", differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `null`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `[]`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{}`},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":null}`},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":{}}`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[null]}`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[{"partition":{"a":"b"},"offset":"x"}]}`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[{"partition":{"a":"b"},"offset":null,"more":1}]}`, differs: "wrong body"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[{"partition":{"a":"b"},"offset":{"c":1}}]}`, differs: "wrong offset"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[{"partition":null,"offset":{"c":1}}]}`, differs: "wrong offset"},
	{method: "PATCH", path: "/connectors/src/offsets", body: `{"offsets":[{}]}`, differs: "no offset"},
	// What GET gave is taken back, see alter.
	{method: "DELETE", path: "/connectors/src/offsets"},
	{method: "GET", path: "/connectors/src/offsets"},
	{method: "DELETE", path: "/connectors/src/offsets", body: "ignored"},
	{method: "PUT", path: "/connectors/src/resume", await: published},
	{method: "DELETE", path: "/connectors/src", await: func(t *testing.T, s *side) {
		s.await(t, "/connectors/src/status", func(a answer) bool { return a.status == 404 })
	}},
	{method: "GET", path: "/connectors/src/status"},
	{method: "GET", path: "/connectors"},
}

var pluginSteps = []step{
	{method: "GET", path: "/connector-plugins"},
	{method: "GET", path: "/connector-plugins/"},
	{method: "GET", path: "/connector-plugins?connectorsOnly=true"},
	{method: "GET", path: "/connector-plugins?connectorsOnly=false"},
	{method: "GET", path: "/connector-plugins/{CLASS}/config"},
	{method: "GET", path: "/connector-plugins/{CLASS}"},
	{method: "GET", path: "/connector-plugins/nope/config"},
	{method: "GET", path: "/connector-plugins/{CLASS}/config/validate"},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `{{GOOD},"name":"x"}`},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate/", body: `{{GOOD}}`},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `{{GOOD},"tasks.max":"many"}`},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `{"connector.class":"{CLASS}"}`},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `{{GOOD},"topic":null}`},
	{method: "PUT", path: "/connector-plugins/nope/config/validate", body: `{{GOOD}}`},
	{method: "PUT", path: "/connector-plugins/nope/config/validate", body: `{{GOOD},"connector.class":"nope"}`, differs: "no such class"},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `{}`, differs: "no class"},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", differs: "wrong body"},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `[]`, differs: "wrong body"},
	{method: "PUT", path: "/connector-plugins/{CLASS}/config/validate", body: `{"a":{}}`, differs: "wrong body"},
	{method: "OPTIONS", path: "/connector-plugins/x/config/validate"},
}

var loggerSteps = []step{
	{method: "GET", path: "/admin"},
	{method: "PUT", path: "/admin/loggers/root", body: `{"level":"WARN"}`},
	{method: "PUT", path: "/admin/loggers/root", body: `{"level":"warn"}`},
	{method: "GET", path: "/admin/loggers", flat: true},
	{method: "GET", path: "/admin/loggers/", flat: true},
	{method: "GET", path: "/admin/loggers/root"},
	{method: "GET", path: "/admin/loggers/nope"},
	{method: "PUT", path: "/admin/loggers/root?scope=worker", body: `{"level":"DEBUG","x":"y"}`},
	{method: "PUT", path: "/admin/loggers/root?scope=cluster", body: `{"level":"INFO"}`},
	{method: "PUT", path: "/admin/loggers/root?scope=Cluster", body: `{"level":"INFO"}`},
	{method: "PUT", path: "/admin/loggers/root?scope=cluster", body: `{"level":"LOUD"}`},
	{method: "PUT", path: "/admin/loggers/root", body: `{"level":"LOUD"}`},
	{method: "PUT", path: "/admin/loggers/root", body: `{"level":5}`},
	{method: "PUT", path: "/admin/loggers/root", body: `{"level":""}`, differs: "wrong level"},
	{method: "PUT", path: "/admin/loggers/root", body: `{}`},
	{method: "PUT", path: "/admin/loggers/root", body: `{"level":null}`},
	{method: "PUT", path: "/admin/loggers/root", differs: "wrong body"},
	{method: "PUT", path: "/admin/loggers/root", body: `[]`, differs: "wrong body"},
	{method: "PUT", path: "/admin/loggers", body: `{}`},
	{method: "DELETE", path: "/admin/loggers/root"},
	{method: "OPTIONS", path: "/admin/loggers/x"},
}
