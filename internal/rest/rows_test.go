package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// row is a call and what it must give.
type row struct {
	method, path, body string
	header             string // "Name: value"
	status             int
	want               string // the whole body, or its beginning with "..." at its end
}

func (s *site) check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		var headers []string
		if r.header != "" {
			headers = append(headers, r.header)
		}
		got := s.call(t, r.method, r.path, r.body, headers...)
		head, open := strings.CutSuffix(r.want, "...")
		if got.status != r.status || !open && got.body != r.want || !strings.HasPrefix(got.body, head) {
			t.Errorf("%s %s %s %s\n got %d %s\nwant %d %s", r.method, r.path, r.body, r.header, got.status, got.body, r.status, r.want)
		}
		if kind := got.header.Get("Content-Type"); (got.body == "") != (kind == "") && r.method != http.MethodHead {
			t.Errorf("%s %s has the type %q and the body %q", r.method, r.path, kind, got.body)
		}
		if got.status >= 400 && r.method != http.MethodHead {
			var body errorBody
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Code != got.status || body.Message == "" {
				t.Errorf("%s %s gives the error %q: %v", r.method, r.path, got.body, err)
			}
		}
	}
}

func refusalBody(status, message string) string {
	return `{"error_code":` + status + `,"message":"` + message + `"}`
}

func TestEveryRowAnswersAsKafkaConnect(t *testing.T) {
	s := serve(t, newFake())
	const (
		info   = `{"name":"a","config":{"name":"a","topic":"t"},"tasks":[{"connector":"a","task":0},{"connector":"a","task":1}],"type":"source"}`
		status = `{"name":"a","connector":{"state":"RUNNING","worker_id":"w:1","version":"1"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"w:1","version":"1"},{"id":1,"state":"RUNNING","worker_id":"w:1","version":"1"}],"type":"source"}`
	)
	s.check(t, []row{
		{"GET", "/", "", "", 200, `{"version":"1","commit":"c","kafka_cluster_id":"k"}`},
		{"GET", "/health", "", "", 200, `{"status":"healthy","message":"is healthy"}`},
		{"GET", "/connectors", "", "", 200, `[]`},
		{"POST", "/connectors", `{"name":"a","config":{"topic":"t"}}`, "", 201, info},
		{"POST", "/connectors", `{"name":"a","config":{"topic":"t"}}`, "", 409, refusalBody("409", "Connector a already exists")},
		{"GET", "/connectors", "", "", 200, `["a"]`},
		{"GET", "/connectors?expand=status&expand=info", "", "", 200, `{"a":{"status":` + status + `,"info":` + info + `}}`},
		{"GET", "/connectors?expand=info", "", "", 200, `{"a":{"info":` + info + `}}`},
		{"GET", "/connectors?expand=unknown", "", "", 200, `{"a":{}}`},
		{"GET", "/connectors?expand=", "", "", 200, `{"a":{}}`},
		{"GET", "/connectors?other=x", "", "", 200, `["a"]`},
		{"GET", "/connectors/a", "", "", 200, info},
		{"GET", "/connectors/a/config", "", "", 200, `{"name":"a","topic":"t"}`},
		{"PUT", "/connectors/a/config", `{"topic":"t","x":"1"}`, "", 200, `{"name":"a","config":{"name":"a","topic":"t","x":"1"}...`},
		{"PATCH", "/connectors/a/config", `{"x":null,"y":2}`, "", 200, `{"name":"a","config":{"name":"a","topic":"t","y":"2"}...`},
		{"PATCH", "/connectors/a/config", `{"y":null}`, "", 200, info},
		{"PATCH", "/connectors/a/config", `{}`, "", 200, info},
		{"PUT", "/connectors/b/config", `{}`, "", 201, `{"name":"b","config":{"name":"b"}...`},
		{"DELETE", "/connectors/b", "", "", 204, ""},
		{"DELETE", "/connectors/b", "", "", 404, refusalBody("404", "Connector b not found")},
		{"GET", "/connectors/a/status", "", "", 200, status},
		{"POST", "/connectors/a/restart", "", "", 204, ""},
		{"POST", "/connectors/a/restart?includeTasks=true", "", "", 202, strings.ReplaceAll(status, "RUNNING", "RESTARTING")},
		{"POST", "/connectors/a/restart?onlyFailed=TRUE&includeTasks=x", "", "", 202, `{"name":"a"...`},
		{"POST", "/connectors/a/restart?onlyFailed=&includeTasks=no", "ignored", "", 204, ""},
		{"PUT", "/connectors/a/pause", "", "", 202, ""},
		{"GET", "/connectors/a/status", "", "", 200, `{"name":"a","connector":{"state":"PAUSED"...`},
		{"PUT", "/connectors/a/resume", "", "", 202, ""},
		{"GET", "/connectors/a/tasks", "", "", 200, `[{"id":{"connector":"a","task":0},"config":{"name":"a","topic":"t"}},{"id":{"connector":"a","task":1},"config":{"name":"a","topic":"t"}}]`},
		{"GET", "/connectors/a/tasks/1/status", "", "", 200, `{"id":1,"state":"RUNNING","worker_id":"w:1","version":"1"}`},
		{"POST", "/connectors/a/tasks/1/restart", "", "", 204, ""},
		{"POST", "/connectors/a/tasks/2/restart", "", "", 404, refusalBody("404", "Unknown task: a-2")},
		{"GET", "/connectors/a/topics", "", "", 200, `{"a":{"topics":["t"]}}`},
		{"PUT", "/connectors/a/topics/reset", "", "", 202, ""},
		{"GET", "/connectors/a/topics", "", "", 200, `{"a":{"topics":[]}}`},
		{"GET", "/connectors/a/offsets", "", "", 200, `{"offsets":[]}`},
		{"PATCH", "/connectors/a/offsets", `{"offsets":[{"partition":{"p":1},"offset":{"o":2}}]}`, "", 400, refusalBody("400", "Connectors must be in the STOPPED state")},
		{"PUT", "/connectors/a/stop", "", "", 204, ""},
		{"GET", "/connectors/a/status", "", "", 200, `{"name":"a","connector":{"state":"STOPPED","worker_id":"w:1","version":"1"},"tasks":[],"type":"source"}`},
		{"GET", "/connectors/a", "", "", 200, `{"name":"a","config":{"name":"a","topic":"t"},"tasks":[],"type":"source"}`},
		{"GET", "/connectors/a/tasks", "", "", 200, `[]`},
		{"PATCH", "/connectors/a/offsets", `{"offsets":[{"partition":{"p":1},"offset":{"o":2}},{"partition":{"p":2},"offset":null},{"partition":{"p":3}}]}`, "", 200, `{"message":"altered"}`},
		{"GET", "/connectors/a/offsets", "", "", 200, `{"offsets":[{"partition":{"p":1},"offset":{"o":2}}]}`},
		{"DELETE", "/connectors/a/offsets", "", "", 200, `{"message":"reset"}`},
		{"GET", "/connector-plugins", "", "", 200, `[{"class":"p","type":"source","version":"1"}]`},
		{"GET", "/connector-plugins?connectorsOnly=", "", "", 200, `[{"class":"p","type":"source","version":"1"}]`},
		{"GET", "/connector-plugins?connectorsOnly=false", "", "", 200, `[{"class":"p","type":"source","version":"1"},{"class":"q","type":"converter","version":"1"}]`},
		{"GET", "/connector-plugins/p/config", "", "", 200, `[{"name":"topic","type":"STRING","required":true,"default_value":null,"importance":"","documentation":"","group":"","width":"","display_name":"","dependents":[],"order":0}]`},
		{"PUT", "/connector-plugins/p/config/validate", `{"connector.class":"p","topic":null}`, "", 200, `{"name":"p","error_count":1,"groups":[],"configs":[{"definition":{"name":"topic"...`},
		{"PUT", "/connector-plugins/p/config/validate", `{"connector.class":"q"}`, "", 400, refusalBody("400", "Included connector type q does not match request type p")},
		{"GET", "/admin/loggers", "", "", 200, `{"root":{"level":"INFO","last_modified":null}}`},
		{"GET", "/admin/loggers/root", "", "", 200, `{"level":"INFO","last_modified":null}`},
		{"PUT", "/admin/loggers/root", `{"level":"debug"}`, "", 200, `["root"]`},
		{"PUT", "/admin/loggers/root?scope=Worker", `{"level":"debug","more":"ignored"}`, "", 200, `[]`},
		{"PUT", "/admin/loggers/root?scope=Cluster", `{"level":"INFO"}`, "", 204, ""},
		{"PUT", "/admin/loggers/root", `{"level":"LOUD"}`, "", 404, refusalBody("404", "invalid log level 'LOUD'.")},
		{"PUT", "/admin/loggers/root", `{"level":null}`, "", 400, refusalBody("400", "Desired 'level' parameter was not specified in request.")},
		{"PUT", "/admin/loggers/root", `{}`, "", 400, refusalBody("400", "Desired 'level' parameter was not specified in request.")},
	})
	if s.api.restarted != "false false" {
		t.Errorf("the last restart was asked for with includeTasks, onlyFailed = %s", s.api.restarted)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	s := serve(t, newFake())
	if got := s.call(t, "PUT", "/connectors/a/config", `{}`); got.status != 201 {
		t.Fatalf("creating: %+v", got)
	}
	notFound := refusalBody("404", "HTTP 404 Not Found")
	connector := refusalBody("404", "Connector no not found")
	s.check(t, []row{
		{"GET", "/no", "", "", 404, notFound},
		{"OPTIONS", "/no", "", "", 404, notFound},
		{"GET", "/connectors/a/no", "", "", 404, notFound},
		{"GET", "/connectors/a/tasks-config", "", "", 404, notFound},
		{"GET", "/connectors/a/tasks/0", "", "", 404, notFound},
		{"GET", "/connectors/a/tasks/x/status", "", "", 404, notFound},
		{"GET", "/connectors/a/tasks/99999999999/status", "", "", 404, notFound},
		{"POST", "/connectors/a/tasks/x/restart", "", "", 404, notFound},
		{"GET", "/connectors/./status", "", "", 404, notFound},
		{"GET", "/connectors/%2e%2e/connectors", "", "", 404, notFound},
		{"GET", "/admin", "", "", 404, notFound},
		{"GET", "/connectors/a/tasks/-1/status", "", "", 404, refusalBody("404", "No status found for task a--1")},
		{"GET", "/connectors/no", "", "", 404, connector},
		{"GET", "/connectors/no/config", "", "", 404, connector},
		{"PATCH", "/connectors/no/config", "{}", "", 404, connector},
		{"GET", "/connectors/no/tasks", "", "", 404, connector},
		{"GET", "/connectors/no/offsets", "", "", 404, connector},
		{"DELETE", "/connectors/no/offsets", "", "", 404, connector},
		{"PATCH", "/connectors/no/offsets", `{"offsets":[{}]}`, "", 404, connector},
		{"GET", "/connectors/no/status", "", "", 404, refusalBody("404", "No status found for connector no")},
		{"GET", "/connectors/no/tasks/0/status", "", "", 404, refusalBody("404", "No status found for task no-0")},
		{"PUT", "/connectors/no/pause", "", "", 404, refusalBody("404", "Unknown connector no")},
		{"PUT", "/connectors/no/resume", "", "", 404, refusalBody("404", "Unknown connector no")},
		{"PUT", "/connectors/no/stop", "", "", 404, refusalBody("404", "Unknown connector no")},
		{"POST", "/connectors/no/restart?includeTasks=true", "", "", 404, refusalBody("404", "Unknown connector: no")},
		{"POST", "/connectors/no/tasks/0/restart", "", "", 404, refusalBody("404", "Unknown connector: no")},
		{"GET", "/connectors/no/topics", "", "", 200, `{"no":{"topics":[]}}`},
		{"PUT", "/connectors/no/topics/reset", "", "", 202, ""},
		{"GET", "/connector-plugins/no/config", "", "", 404, refusalBody("404", "Unknown plugin no.")},
		{"GET", "/admin/loggers/no", "", "", 404, refusalBody("404", "Logger no not found.")},
	})
}

func TestASlashAtTheEndMakesNoDifference(t *testing.T) {
	s := serve(t, newFake())
	s.call(t, "PUT", "/connectors/a/config/", `{"topic":"t"}`)
	for path, m := range table {
		if _, found := m[get]; !found || path == "/" {
			continue
		}
		path = strings.NewReplacer("{name}", "a", "{task}", "0").Replace(path)
		with, without := s.call(t, "GET", path+"/?x=y", ""), s.call(t, "GET", path+"?x=y", "")
		if with.status != without.status || with.body != without.body {
			t.Errorf("GET %s/ gives %+v, without the slash %+v", path, with, without)
		}
	}
}

func TestMethodsAndMediaTypesAreRefusedAsByJersey(t *testing.T) {
	s := serve(t, newFake())
	s.call(t, "PUT", "/connectors/a/config", `{}`)
	method, media, accept := refusalBody("405", "HTTP 405 Method Not Allowed"), refusalBody("415", "HTTP 415 Unsupported Media Type"), refusalBody("406", "HTTP 406 Not Acceptable")
	s.check(t, []row{
		{"POST", "/", "", "", 405, method},
		{"DELETE", "/connectors", "", "", 405, method},
		{"GET", "/connectors/a/restart", "", "", 405, method},
		{"HEAD", "/connectors/a/restart", "", "", 405, ""},
		{"TRACE", "/", "", "", 405, method},
		{"FOO", "/connectors", "", "", 405, method},
		{"GET", "/connector-plugins/p/config/validate", "", "", 405, method},
		{"POST", "/connectors", "{}", "Content-Type: text/plain", 415, media},
		{"POST", "/connectors", "{}", "Content-Type: application/x-www-form-urlencoded", 415, media},
		{"POST", "/connectors", "{}", "Content-Type: garbage", 415, media},
		{"POST", "/connectors", "{}", "Content-Type: ", 415, media},
		{"PUT", "/connectors/a/pause", "x", "Content-Type: text/plain", 415, media},
		{"PUT", "/connectors/a/pause", "x", "Content-Type: ", 202, ""},
		{"PUT", "/connectors/a/config", "{}", "Content-Type: application/json; charset=utf-8", 200, `{"name":"a"...`},
		{"GET", "/connectors", "", "Accept: text/html", 406, accept},
		{"GET", "/", "", "Accept: text/html", 406, accept},
		{"GET", "/connectors", "", "Accept: garbage", 406, accept},
		{"GET", "/connectors/no", "", "Accept: application/vnd.x+json", 406, accept},
		{"DELETE", "/connectors/a", "", "Accept: text/plain", 406, accept},
		{"GET", "/connectors", "", "Accept: text/html;q=0.9,application/json;q=0.1", 200, `["a"]`},
		{"GET", "/connectors", "", "Accept: text/html,*/*;q=0.8", 200, `["a"]`},
		{"GET", "/connectors", "", "Accept: application/*", 200, `["a"]`},
		{"GET", "/connectors", "", "Accept: application/json;q=0", 200, `["a"]`},
	})
	for path, want := range map[string]string{
		"/": "GET, HEAD, OPTIONS", "/connectors": "GET, HEAD, OPTIONS, POST", "/connectors/x/config": "GET, HEAD, OPTIONS, PATCH, PUT",
		"/connectors/x/restart": "OPTIONS, POST", "/connectors/x/offsets": "DELETE, GET, HEAD, OPTIONS, PATCH",
	} {
		if got := s.call(t, "OPTIONS", path, ""); got.status != 200 || got.header.Get("Allow") != want || got.body != want {
			t.Errorf("OPTIONS %s gives %+v", path, got)
		}
	}
	if got := s.call(t, "HEAD", "/connectors/a", ""); got.status != 200 || got.body != "" || got.header.Get("Content-Length") == "0" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD of a connector gives %+v", got)
	}
	if got := s.call(t, "HEAD", "/connectors/no", ""); got.status != 404 || got.body != "" {
		t.Errorf("HEAD of no connector gives %+v", got)
	}
}

func TestBodiesThatAreWrongAreRefusedWithASentence(t *testing.T) {
	s := serve(t, newFake())
	s.call(t, "PUT", "/connectors/a/config", `{}`)
	s.call(t, "PUT", "/connectors/a/stop", "")
	const null = `Connector configuration is invalid and contains the following 1 error(s):\nNull value can not be supplied as the configuration value.\nYou can also find the above list of errors at the endpoint ` + "`/connector-plugins/{connectorType}/config/validate`"
	const empty = `Connector configuration is invalid and contains the following 1 error(s):\nInvalid value  for configuration name: String may not be empty\nYou can also find the above list of errors at the endpoint ` + "`/connector-plugins/{connectorType}/config/validate`"
	const offsets = `Partitions / offsets need to be provided for an alter offsets request`
	for _, test := range []struct{ call, body, want string }{
		{"POST /connectors", ``, "The request has no body; a JSON object is needed"},
		{"POST /connectors", ` `, "The request has no body; a JSON object is needed"},
		{"POST /connectors", `null`, "The request must be a JSON object"},
		{"POST /connectors", `[]`, "The request must be a JSON object"},
		{"POST /connectors", `"a"`, "The request must be a JSON object"},
		{"POST /connectors", `{`, "The body is not JSON: unexpected end of JSON input at byte 1"},
		{"POST /connectors", `{"name":"b",}`, "The body is not JSON: invalid character '}' looking for beginning of object key string at byte 13"},
		{"POST /connectors", `{"name":"b"} {}`, "The body is not JSON: invalid character '{' after top-level value at byte 14"},
		{"POST /connectors", "{\"name\":\"\xff\"}", "The body is not UTF-8"},
		{"POST /connectors", `{"name":"b"}`, "The request has no config"},
		{"POST /connectors", `{"name":"b","config":null}`, "The configuration must be a JSON object"},
		{"POST /connectors", `{"config":{}}`, empty},
		{"POST /connectors", `{"name":" ","config":{}}`, empty},
		{"POST /connectors", `{"name":[],"config":{}}`, "name must be text, not an object or a list"},
		{"POST /connectors", `{"name":"b","config":{},"more":1}`, `The request has a field \"more\"; it may have name, config, initial_state, initial_offsets`},
		{"POST /connectors", `{"Name":"b","config":{}}`, `The request has a field \"Name\"; it may have name, config, initial_state, initial_offsets`},
		{"POST /connectors", `{"name":"b","config":{"name":"c"}}`, "Connector name configuration (c) doesn't match connector name in the URL (b)"},
		{"POST /connectors", `{"name":"b","config":{"x":null}}`, null},
		{"POST /connectors", `{"name":"b","config":{"x":{}}}`, "The value of x must be text, not an object or a list"},
		{"POST /connectors", `{"name":"b","config":{},"initial_state":"NO"}`, "initial_state must be RUNNING, PAUSED or STOPPED"},
		{"POST /connectors", `{"name":"b","config":{},"initial_offsets":{}}`, "initial_offsets must be a list"},
		{"PUT /connectors/a/config", ``, "The request has no body; a JSON object is needed"},
		{"PUT /connectors/a/config", `null`, "The configuration must be a JSON object"},
		{"PUT /connectors/a/config", `{"x":[]}`, "The value of x must be text, not an object or a list"},
		{"PUT /connectors/a/config", `{"x":null}`, null},
		{"PUT /connectors/a/config", `{"name":"b"}`, "Connector name configuration (b) doesn't match connector name in the URL (a)"},
		{"PATCH /connectors/a/config", `null`, "The changes of the configuration must be a JSON object"},
		{"PATCH /connectors/a/config", `{"x":{}}`, "The value of x must be text, not an object or a list"},
		{"PATCH /connectors/a/offsets", `null`, "The request must be a JSON object"},
		{"PATCH /connectors/a/offsets", `{}`, offsets},
		{"PATCH /connectors/a/offsets", `{"offsets":null}`, offsets},
		{"PATCH /connectors/a/offsets", `{"offsets":[]}`, offsets},
		{"PATCH /connectors/a/offsets", `{"offsets":{}}`, "offsets must be a list"},
		{"PATCH /connectors/a/offsets", `{"offsets":[null]}`, "An element of offsets must be a JSON object"},
		{"PATCH /connectors/a/offsets", `{"offsets":[{"partition":1}]}`, "partition must be a JSON object"},
		{"PATCH /connectors/a/offsets", `{"offsets":[{"partition":{},"offset":"x"}]}`, "offset must be a JSON object"},
		{"PATCH /connectors/a/offsets", `{"offsets":[{"partition":{},"offset":{},"more":1}]}`, `An element of offsets has a field \"more\"; it may have partition, offset`},
		{"PATCH /connectors/a/offsets", `{"offsets":[{}],"more":1}`, `The request has a field \"more\"; it may have offsets`},
		{"PUT /connector-plugins/p/config/validate", `[]`, "The configuration must be a JSON object"},
		{"PUT /admin/loggers/root", `[]`, "The request must be a JSON object"},
	} {
		method, path, _ := strings.Cut(test.call, " ")
		s.check(t, []row{{method, path, test.body, "", 400, refusalBody("400", test.want)}})
	}
	if names := s.call(t, "GET", "/connectors", "").body; names != `["a"]` {
		t.Errorf("a refused request made a connector: %s", names)
	}
}

func TestValuesOfAConfigurationAreTakenAsTheyAreWritten(t *testing.T) {
	s := serve(t, newFake())
	got := s.call(t, "POST", "/connectors", `{"name":7,"config":{"name":"7","a":5,"b":true,"c":1.50,"d":"<&>\u00e4"},"initial_state":"stopped"}`)
	want := `{"name":"7","config":{"a":"5","b":"true","c":"1.50","d":"<&>ä","name":"7"},"tasks":[],"type":"source"}`
	if got.status != 201 || got.body != want {
		t.Errorf("got %d %s\nwant %s", got.status, got.body, want)
	}
}

func TestLocationIsWhereTheCallerReachedTheWorker(t *testing.T) {
	s := serve(t, newFake())
	for name, want := range map[string]string{"a": "a", "a b": "a%20b", "ü": "%C3%BC", "x.y_z-1": "x.y_z-1"} {
		got := s.call(t, "POST", "/connectors", `{"name":"`+name+`","config":{}}`, "Host: k.example.org:1")
		if location := got.header.Get("Location"); got.status != 201 || location != "http://k.example.org:1/connectors/"+want {
			t.Errorf("the connector %q was made at %q: %d", name, location, got.status)
		}
		if got := s.call(t, "GET", "/connectors/"+want, ""); got.status != 200 || !strings.HasPrefix(got.body, `{"name":"`+name+`"`) {
			t.Errorf("the connector %q is %+v", name, got)
		}
		if got := s.call(t, "PUT", "/connectors/"+want+"/config", "{}"); got.status != 200 || got.header.Get("Location") != "" {
			t.Errorf("a changed connector has the location %q", got.header.Get("Location"))
		}
	}
	if got := s.call(t, "PUT", "/connectors/new/config", "{}"); got.header.Get("Location") != s.url+"/connectors/new" {
		t.Errorf("a new connector has the location %q", got.header.Get("Location"))
	}
}

func TestPathsThatCanBeReadInTwoWaysAreRefused(t *testing.T) {
	s := serve(t, newFake())
	s.check(t, []row{
		{"GET", "//connectors", "", "", 400, refusalBody("400", "Ambiguous URI empty segment")},
		{"GET", "/connectors//status", "", "", 400, refusalBody("400", "Ambiguous URI empty segment")},
		{"GET", "/connectors/a%2Fb", "", "", 400, refusalBody("400", "Ambiguous URI path separator")},
		{"GET", "/connectors/a%5cb", "", "", 400, refusalBody("400", "Ambiguous URI path separator")},
		{"GET", "/connectors/a%00b", "", "", 400, refusalBody("400", "Illegal character in the URI")},
		{"GET", "/connectors/a%0Ab", "", "", 400, refusalBody("400", "Illegal character in the URI")},
		{"GET", "/connectors?" + strings.Repeat("x", 9000), "", "", 414, refusalBody("414", "HTTP 414 Request URI Too Long")},
	})
}

func TestHealthTellsLifeAndReadinessApart(t *testing.T) {
	s := serve(t, newFake())
	for _, test := range []struct {
		status                    string
		health, ready             int
		healthMessage, liveStatus string
	}{
		{"healthy", 200, 200, "is healthy", "alive"},
		{"starting", 503, 503, "is starting", "alive"},
		{"unhealthy", 500, 503, "is unhealthy", "alive"},
	} {
		s.api.status = test.status
		body := `{"status":"` + test.status + `","message":"is ` + test.status + `"}`
		for path, want := range map[string]int{"/health": test.health, "/health/ready": test.ready} {
			if got := s.call(t, "GET", path, ""); got.status != want || got.body != body {
				t.Errorf("when %s, %s gives %+v", test.status, path, got)
			}
		}
		if got := s.call(t, "GET", "/health/live", ""); got.status != 200 || !strings.HasPrefix(got.body, `{"status":"alive"`) {
			t.Errorf("when %s, /health/live gives %+v", test.status, got)
		}
	}
}

func TestPageAndFurtherHandlersAreServedBesideTheTable(t *testing.T) {
	answerWith := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	}
	s := serve(t, newFake(), withOptions(Options{Page: answerWith("page"), Handlers: map[string]http.Handler{"GET /metrics": answerWith("metrics")}}))
	for accept, want := range map[string]string{
		"": `{"version"`, "*/*": `{"version"`, "application/json": `{"version"`, "application/json, text/html;q=0.5": `{"version"`,
		"text/html": "page", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "page",
	} {
		if got := s.call(t, "GET", "/", "", "Accept: "+accept); got.status != 200 || !strings.HasPrefix(got.body, want) {
			t.Errorf("for %q / gives %+v", accept, got)
		}
	}
	if got := s.call(t, "GET", "/metrics", "", "Accept: text/plain"); got.body != "metrics" {
		t.Errorf("/metrics gives %+v", got)
	}
}
