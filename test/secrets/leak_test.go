package secrets

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// given is all that the program has given away, by where.
type given struct {
	mu    sync.Mutex
	texts map[string]string
}

func (g *given) add(where, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.texts[where] += text + "\n"
}

// forms are the ways in which a secret may be written.
func forms(secret string) []string {
	return []string{
		secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
		// What it is within, at each offset that base64 knows, without what the
		// neighbours have a part in.
		base64.StdEncoding.EncodeToString([]byte(secret[1:]))[:20], base64.StdEncoding.EncodeToString([]byte(secret[2:]))[:20],
	}
}

// leaks are the places where a secret is.
func (g *given) leaks(secret string) []string {
	var where []string
	for _, name := range slices.Sorted(maps.Keys(g.texts)) {
		for _, form := range forms(secret) {
			if i := strings.Index(g.texts[name], form); i >= 0 {
				text := g.texts[name]
				where = append(where, fmt.Sprintf("%s: ...%q", name, text[max(0, i-100):min(len(text), i+len(form)+50)]))
				break
			}
		}
	}
	return where
}

func TestSecretsAreNowhereToBeRead(t *testing.T) {
	for _, p := range providers {
		t.Run(p.name, func(t *testing.T) {
			s := newSite(t, p)
			g := &given{texts: make(map[string]string)}
			s.runCommands(g)
			stored := s.runWorker(g)
			for secret, of := range s.secrets {
				for _, where := range g.leaks(secret) {
					t.Errorf("the secret of %s is in %s", of, where)
				}
			}
			if len(s.secrets) < 2*len(secretKeys(connector.ConnectorKeys())) {
				t.Errorf("only %d secrets were made", len(s.secrets))
			}
			// What is searched is there, and the search finds what there is to find.
			for where, text := range map[string]string{
				"log": "[TRACE]", "log of goroutines": "goroutine 1 ", "GET /connectors": "rest-", "GET /metrics": "kudu2kafka_",
				"GET /kudu2kafka/status": `"name":"orders"`, "status --json": `"name":"orders"`, "topic rows-orders": `"id":1`,
				"topic shop-status": "rest-", "config print": "'***'", "check --json": `"findings"`, "run with credentials": "wrong password", "plan --json": `"tablets"`,
			} {
				if !strings.Contains(strings.ReplaceAll(g.texts[where], `": "`, `":"`), text) {
					t.Errorf("%s doesn't have %q:\n%.3000s", where, text, g.texts[where])
				}
			}
			planted := s.secret("nothing")
			g.add("planted", base64.StdEncoding.EncodeToString([]byte("ann:"+planted)))
			if len(g.leaks(planted)) != 1 {
				t.Error("a secret that was planted isn't found")
			}
			s.wantStored(stored)
		})
	}
}

// wantStored looks into the config topic: a reference is there as it was given, and a
// secret that was given itself as such, as docs/secrets.md says.
func (s *site) wantStored(stored string) {
	s.t.Helper()
	for secret, of := range s.secrets {
		if literal := strings.HasSuffix(of, " by REST") && s.provider.literal; strings.Contains(stored, secret) != literal {
			s.t.Errorf("the secret of %s is in the config topic: %v", of, !literal)
		}
	}
	if marker, is := strings.CutPrefix(s.provider.keep(s, "x"), "${"); is && !strings.Contains(stored, "${"+marker[:strings.Index(marker, ":")+1]) {
		s.t.Errorf("no reference is in the config topic:\n%s", stored)
	}
}

// runCommands runs what only reads the files: with the secrets in their places, and
// with faults beside them.
func (s *site) runCommands(g *given) {
	s.t.Helper()
	orders := s.write("orders.yaml", s.orders("orders", ""))
	for _, key := range secretKeys(connector.WorkerKeys()) {
		values, _ := s.worker(key)
		values["startup.wait.ms"] = "500"
		file := s.write("worker-alone.yaml", values)
		if printed, code := s.command(g, "config print", "config", "print", file); code == 0 && !strings.Contains(printed, key+": '***'") {
			s.t.Errorf("the configuration with %s is printed as\n%s", key, printed)
		} else if code != 0 && s.companions(key) != nil && !unopened[key] {
			s.t.Errorf("the configuration with %s has faults:\n%s", key, g.texts["config print"])
		}
		if s.companions(key) == nil {
			s.t.Logf("%s has no companions: no worker is refused for it", key)
		} else {
			// Kafka doesn't take them: that ends it.
			s.refused(g, key, file, orders)
		}
		values["session.timeout.ms"] = "soon"
		s.command(g, "config validate", "config", "validate", "--json", s.write("worker-faulty.yaml", values))
	}
	values, _ := s.worker()
	worker := s.write("worker-plain.yaml", values)
	for _, key := range secretKeys(connector.ConnectorKeys()) {
		values := s.orders("alone", key)
		file := s.write("alone.yaml", values)
		if printed, code := s.command(g, "config print", "config", "print", worker, file); code == 0 && !strings.Contains(printed, key+": '***'") {
			s.t.Errorf("the configuration with %s is printed as\n%s", key, printed)
		} else if code != 0 && s.companions(key) != nil {
			s.t.Errorf("the configuration with %s has faults", key)
		}
		if s.companions(key) != nil {
			s.refused(g, key, worker, file) // by Kudu
		}
		for wrong, value := range map[string]string{"tasks.max": "many", "kudu.tabel": "x", key + "x": values[key], "kudu.masters": "", "topic.prefix": "y"} {
			faulty := maps.Clone(values)
			faulty[wrong] = value
			path := s.write("faulty.yaml", faulty)
			s.command(g, "config validate", "config", "validate", worker, path)
			s.command(g, "config validate --json", "config", "validate", "--json", worker, path)
			s.command(g, "run with faults", "run", worker, path)
		}
	}
	s.command(g, "plan --json", "plan", "--json", worker, orders)
}

// refused runs all that has to do with a server that doesn't take a credential: that
// ends it.
func (s *site) refused(g *given, key string, files ...string) {
	var running sync.WaitGroup
	defer running.Wait()
	for name, args := range map[string][]string{
		"check": {"check", "-v"}, "check --json": {"check", "--json"}, "plan": {"plan", "-v"}, "rights": {"rights", "-v"},
		"offsets": {"offsets", "list"}, "run with credentials": {"run"},
	} {
		running.Go(func() {
			if _, code := s.command(g, name, append(args, files...)...); name == "run with credentials" && code != 2 {
				s.t.Errorf("run with %s ends with exit code %d", key, code)
			}
		})
	}
}

// command runs the program to its end.
func (s *site) command(g *given, name string, args ...string) (stdout string, code int) {
	s.t.Helper()
	program := testenv.Program(s.t, false)
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env = append(os.Environ(), s.env...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()

	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Error(err)
		return "", -1
	}
	g.add(name, out.String())
	g.add(name, errs.String())
	return out.String(), c.ProcessState.ExitCode()
}

// runWorker runs a worker with all secrets that there can be, asks it whatever can be
// asked, and ends it so that it dumps its goroutines. It returns what is in the config
// topic.
func (s *site) runWorker(g *given) (stored string) {
	s.t.Helper()
	// The others are refused, each by itself, see runCommands.
	values, secrets := s.worker("rest.basic.auth.users")
	files := []string{"run", s.write("worker.yaml", values), s.write("orders.yaml", s.orders("orders", ""))}
	byREST := map[string]map[string]string{}
	for n, key := range secretKeys(connector.ConnectorKeys()) {
		if s.companions(key) == nil {
			s.t.Logf("%s has no companions: no connector runs with it", key)
			continue
		}
		name := fmt.Sprintf("rest-%d", n)
		byREST[name] = s.orders(name, key)
	}
	for secret, of := range s.secrets {
		if strings.Contains(of, " of connector rest-") {
			s.secrets[secret] = of + " by REST"
		}
	}
	logFile := filepath.Join(s.t.TempDir(), "log")
	process, err := testenv.StartProcess(testenv.Command{Name: "kudu2kafka", Path: testenv.Program(s.t, false), Args: files, Env: s.env, Log: logFile})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if process.Running() {
			_ = process.Kill()
		}
		testenv.ShowLog(s.t, "the worker", logFile, 20)
	})
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	at := regexp.MustCompile(`REST interface listens: at=(http://\S+)`)
	line, err := process.WaitLine(ctx, at.MatchString)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &caller{site: s, given: g, url: at.FindStringSubmatch(line)[1], password: secrets["rest.basic.auth.users"]}
	c.askAll(byREST)
	s.env = append(s.env, "KUDU2KAFKA_USER=ann:"+c.password)
	s.command(g, "status", "status", "--url", c.url)
	s.command(g, "status --json", "status", "--json", "--url", c.url)
	stored = s.readTopics(ctx, g)
	if err := process.Signal(syscall.SIGQUIT); err != nil {
		s.t.Fatal(err)
	}
	if _, err := process.Wait(ctx); err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(logFile)
	if err != nil {
		s.t.Fatal(err)
	}
	log, dump, _ := strings.Cut(string(text), "SIGQUIT: quit")
	g.add("log", log)
	g.add("log of goroutines", dump)
	return stored
}

// readTopics reads all records of all topics but the config topic, which it returns.
func (s *site) readTopics(ctx context.Context, g *given) (stored string) {
	s.t.Helper()
	login := kgo.SASL(plain.Auth{User: "ann", Pass: s.password}.AsMechanism())
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), login)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	left := map[string]map[int32]int64{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			if left[o.Topic] == nil {
				left[o.Topic], from[o.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
			}
			left[o.Topic][o.Partition], from[o.Topic][o.Partition] = o.Offset, kgo.NewOffset().At(0)
		}
	})
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), login, kgo.ConsumePartitions(from), kgo.KeepControlRecords())
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	for len(left) > 0 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if text := fmt.Sprintf("%s %s %v", r.Key, r.Value, r.Headers); r.Topic == "shop-configs" {
				stored += text + "\n"
			} else {
				g.add("topic "+r.Topic, text)
			}
			if r.Offset+1 >= left[r.Topic][r.Partition] {
				if delete(left[r.Topic], r.Partition); len(left[r.Topic]) == 0 {
					delete(left, r.Topic)
				}
			}
		})
	}
	if len(left) > 0 {
		s.t.Errorf("not all records were read: %v", left)
	}
	return stored
}

// caller asks a worker by REST.
type caller struct {
	*site
	given    *given
	url      string
	password string
}

// call does one request and notes its answer.
func (c *caller) call(method, path string, body any, password string) (status int, answer string) {
	c.t.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		sent = strings.NewReader(string(text))
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, sent)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth("ann", password)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	path, _, _ = strings.Cut(path, "?")
	c.given.add(method+" "+path, fmt.Sprintf("%v\n%s", response.Header, text))
	return response.StatusCode, string(text)
}

// routes are the rows of the table of REST calls, as its source has them.
func routes(t *testing.T) map[string][]string {
	t.Helper()
	source, err := os.ReadFile("../../internal/rest/routes.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(source), "var table = ")
	path, method := regexp.MustCompile(`"(/[^"]*)":`), regexp.MustCompile(`\b(get|put|post|patch|remove): \{serve`)
	rows := map[string][]string{}
	starts := path.FindAllStringSubmatchIndex(table, -1)
	for n, at := range starts {
		end := len(table)
		if n+1 < len(starts) {
			end = starts[n+1][0]
		}
		for _, m := range method.FindAllStringSubmatch(table[at[1]:end], -1) {
			rows[table[at[2]:at[3]]] = append(rows[table[at[2]:at[3]]], m[1])
		}
	}
	if len(rows) < 20 || !slices.Contains(rows["/connectors/{name}/config"], "patch") {
		t.Fatalf("the table of REST calls isn't as this test reads it: %v", rows)
	}
	return rows
}

// askAll makes the connectors, waits until those that can't run say so, and then does
// every call that there is, of each of them.
func (c *caller) askAll(byREST map[string]map[string]string) {
	c.t.Helper()
	if !testenv.Eventually(c.t.Context(), 20*time.Second, func() bool {
		status, _ := c.call(http.MethodGet, "/health/ready", nil, c.password)
		return status == http.StatusOK
	}) {
		c.t.Fatal("the worker is not ready")
	}
	if status, answer := c.call(http.MethodGet, "/connectors", nil, c.secret("a wrong password of a caller")); c.password != "" && status != http.StatusUnauthorized {
		c.t.Errorf("with a wrong password the answer is %d %s", status, answer)
	}
	for _, name := range slices.Sorted(maps.Keys(byREST)) {
		if status, answer := c.call(http.MethodPut, "/connectors/"+name+"/config", byREST[name], c.password); status != http.StatusCreated {
			c.t.Fatalf("making connector %s: %d %s", name, status, answer)
		}
	}
	for name := range byREST {
		var last string
		if !testenv.Eventually(c.t.Context(), 20*time.Second, func() bool {
			_, last = c.call(http.MethodGet, "/connectors/"+name+"/status", nil, c.password)
			return strings.Contains(last, `"trace":`)
		}) {
			c.t.Errorf("connector %s has no failure: %s", name, last)
		}
	}
	for _, path := range []string{"/metrics", "/kudu2kafka/status", "/connectors?expand=status&expand=info", "/nowhere"} {
		c.call(http.MethodGet, path, nil, c.password)
	}
	names := append(slices.Sorted(maps.Keys(byREST)), "orders")
	all := routes(c.t)
	for _, last := range []bool{false, true} { // what deletes comes last
		for _, path := range slices.Sorted(maps.Keys(all)) {
			for _, method := range all[path] {
				if (method == "remove" || strings.HasSuffix(path, "/stop")) == last {
					for _, name := range names {
						c.callRow(method, path, name, byREST[name])
					}
				}
			}
		}
	}
}

// callRow does a call of a connector, with a body that fits, and with one that has a
// fault beside the secret.
func (c *caller) callRow(method, path, name string, values map[string]string) {
	c.t.Helper()
	if values == nil {
		values = map[string]string{"kudu.table": "t"}
	}
	faulty := maps.Clone(values)
	faulty["tasks.max"], faulty["kudu.tabel"] = "many", "x"
	bodies := []any{nil}
	filled := strings.ReplaceAll(strings.ReplaceAll(path, "{name}", name), "{task}", "0")
	verb := map[string]string{"get": http.MethodGet, "put": http.MethodPut, "post": http.MethodPost, "patch": http.MethodPatch, "remove": http.MethodDelete}[method]
	switch {
	case method == "get" || method == "remove":
	case path == "/connectors":
		bodies = []any{
			map[string]any{"name": name, "config": values}, map[string]any{"name": name + "-new", "config": faulty},
			map[string]any{"name": name, "config": values, "secret": []string{"x"}}, []any{values},
		}
	case path == "/connectors/{name}/config":
		bodies = []any{values, faulty, map[string]any{"name": values}}
	case path == "/connectors/{name}/offsets":
		bodies = []any{map[string]any{"offsets": []any{map[string]any{"partition": map[string]string{"table": "shop.orders", "tablet": "x"}, "offset": nil}}}}
	case strings.HasSuffix(path, "/validate"):
		filled = strings.ReplaceAll(path, "{name}", connector.ConnectorClass)
		bodies = []any{values, faulty}
	case path == "/admin/loggers/{name}":
		filled = "/admin/loggers/kudu2kafka.kafka"
		bodies = []any{map[string]string{"level": "TRACE"}}
	}
	if path == "/connector-plugins/{name}/config" {
		filled = strings.ReplaceAll(path, "{name}", connector.ConnectorClass)
	}
	for _, body := range bodies {
		c.call(verb, filled, body, c.password)
	}
}
