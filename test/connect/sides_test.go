package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// patience is how long what must come may take on a machine that has much else to do.
const patience = 2 * time.Minute

// side is one of the two workers that are compared.
type side struct {
	name  string // in messages
	url   string
	class string            // of its connector
	good  map[string]string // a configuration that works, with one task
	bad   map[string]string // one whose task fails
}

// sides starts both workers on one Kafka.
func sides(t *testing.T) (theirs, ours *side) {
	t.Helper()
	testenv.RequireConnect(t)
	kafka := testenv.SharedKafka(t)
	return startTheirs(t, kafka), startOurs(t, kafka)
}

func startTheirs(t *testing.T, kafka *testenv.Kafka) *side {
	t.Helper()
	c := testenv.NewConnect(t, testenv.ConnectConfig{BootstrapServers: kafka.BootstrapServers()})
	file := filepath.Join(c.Dir(), "lines")
	if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &side{name: "Kafka Connect", url: c.URL(), class: "org.apache.kafka.connect.file.FileStreamSourceConnector"}
	s.good = map[string]string{"connector.class": s.class, "tasks.max": "1", "file": file, "topic": "theirs"}
	s.bad = maps.Clone(s.good)
	// The lines are no maps to take a field out of.
	maps.Copy(s.bad, map[string]string{"transforms": "x", "transforms.x.type": "org.apache.kafka.connect.transforms.ExtractField$Value", "transforms.x.field": "y"})
	return s
}

func startOurs(t *testing.T, kafka *testenv.Kafka) *side {
	t.Helper()
	kudu := testenv.SharedKudu(t)
	tool := testenv.NewKuduTool(t, kudu)
	for table, text := range map[string]any{"good": "text", "bad": testenv.RawString{0xff}} {
		spec := testenv.TableSpec{
			Name:    table,
			Columns: []testenv.ColumnSpec{{Name: "id", Type: "INT64", Key: true}, {Name: "text", Type: "STRING"}},
			Hash:    []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 2}},
		}
		if err := tool.CreateTable(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if _, err := tool.Write(t.Context(), table, "insert", testenv.Row{"id": 1, "text": text}, testenv.Row{"id": 2, "text": text}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "worker.yaml")
	config := fmt.Sprintf("bootstrap.servers: %s\ngroup.id: ours\nlisteners: http://127.0.0.1:0\nlog.level: debug\n", kafka.BootstrapServers())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	p, err := testenv.StartProcess(testenv.Command{Name: "kudu2kafka", Path: testenv.Program(t, false), Args: []string{"run", file}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
		defer cancel()
		if code, err := p.Terminate(ctx); err != nil || code != 0 {
			t.Errorf("after SIGTERM the worker exited with code %d: %v", code, err)
		}
		testenv.ShowLog(t, "the worker", log, 60)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at := regexp.MustCompile(`REST interface listens: at=(http://\S+)`)
	line, err := p.WaitLine(ctx, at.MatchString)
	if err != nil {
		t.Fatal(err)
	}
	s := &side{name: "kudu2kafka", url: at.FindStringSubmatch(line)[1]}
	s.awaitHealthy(t)
	s.class = s.sourceClass(t)
	s.good = map[string]string{
		"connector.class": s.class, "tasks.max": "1", "kudu.masters": strings.Join(kudu.Masters(), ","), "kudu.table": "good",
		"topic": "ours", "transaction.boundary.interval.ms": "100",
	}
	s.bad = maps.Clone(s.good)
	s.bad["kudu.table"] = "bad"
	return s
}

func (s *side) awaitHealthy(t *testing.T) {
	t.Helper()
	s.await(t, "/health", func(a answer) bool { return a.status == 200 })
}

// sourceClass is the first source among the plugins.
func (s *side) sourceClass(t *testing.T) string {
	t.Helper()
	var plugins []struct{ Class, Type string }
	if err := json.Unmarshal([]byte(s.send(t, step{method: "GET", path: "/connector-plugins"}).body), &plugins); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(plugins, func(p struct{ Class, Type string }) bool { return p.Type == "source" })
	if i < 0 {
		t.Fatalf("there is no source among the plugins: %v", plugins)
	}
	return plugins[i].Class
}

// fill puts what differs between the sides into a text of a step.
func (s *side) fill(t *testing.T, text string) string {
	t.Helper()
	members := func(config map[string]string) string {
		data, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Trim(string(data), "{}")
	}
	return strings.NewReplacer("{CLASS}", s.class, "{GOOD}", members(s.good), "{BAD}", members(s.bad)).Replace(text)
}

// answer is what a call gave.
type answer struct {
	status int
	header http.Header
	body   string
}

// rebalancing is what Connect says for an instant after its connectors changed, and ours
// after it was stopped, if its broker was slow to hear of that.
var rebalancing = regexp.MustCompile(`rebalance|stale configuration|no known leader|is still run by`)

// send makes the call, again while the worker says that it is rebalancing.
func (s *side) send(t *testing.T, c step) answer {
	t.Helper()
	var got answer
	poll(t, s.name+" to take "+c.String(), func(ctx context.Context) bool {
		got = s.try(ctx, t, c)
		return got.status != http.StatusConflict || !rebalancing.MatchString(got.body)
	})
	return got
}

func (s *side) try(ctx context.Context, t *testing.T, c step) answer {
	t.Helper()
	body := s.fill(t, c.body)
	request, err := http.NewRequestWithContext(ctx, c.method, s.url+s.fill(t, c.path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.header != "" {
		name, value, _ := strings.Cut(c.header, ": ")
		request.Header.Set(name, value)
		if value == "" {
			request.Header.Del(name)
		}
	}
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, c, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, c, err)
	}
	return answer{response.StatusCode, response.Header, string(bytes.TrimSpace(data))}
}

// await calls until the answer is as it should be.
func (s *side) await(t *testing.T, path string, good func(answer) bool) {
	t.Helper()
	var last answer
	poll(t, s.name+" to show another "+path, func(ctx context.Context) bool {
		last = s.try(ctx, t, step{method: "GET", path: path})
		return good(last)
	})
}

// awaitState waits for the state of a connector, and of its one task unless it is
// stopped.
func (s *side) awaitState(t *testing.T, name, state, task string) {
	t.Helper()
	s.await(t, "/connectors/"+name+"/status", func(a answer) bool {
		var status struct {
			Connector struct{ State string }
			Tasks     []struct{ State string }
		}
		if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &status) != nil || status.Connector.State != state {
			return false
		}
		if task == "" {
			return len(status.Tasks) == 0
		}
		return len(status.Tasks) == 1 && status.Tasks[0].State == task
	})
}

// poll tries until it is done, or the test has waited long enough.
func poll(t *testing.T, what string, done func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
