package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// patience is how long what must come may take on a machine that has much else to do.
const patience = 2 * time.Minute

// start runs a program of this test until its end, and gives what the pattern's
// group found in its log.
func start(t *testing.T, c testenv.Command, ready string) string {
	t.Helper()
	c.Log = filepath.Join(t.TempDir(), "log")
	p, err := testenv.StartProcess(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.Running() {
			_ = p.Kill()
		}
		testenv.ShowLog(t, c.Name, c.Log, 30)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pattern := regexp.MustCompile(ready)
	line, err := p.WaitLine(ctx, pattern.MatchString)
	if err != nil {
		t.Fatalf("waiting for %s: %v", c.Name, err)
	}
	return pattern.FindStringSubmatch(line)[1]
}

// startWorker starts the built program with a connector of each mode, on fake
// servers, and gives the address of its REST interface.
func startWorker(t *testing.T) string {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	table, err := cluster.CreateTable(kudufake.TableSpec{
		Name: "orders", Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
		Columns: []kudu.Column{{Name: "at", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true}, {Name: "note", Type: kudu.String}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-time.Hour).UnixMicro()
	for i := range int64(500) {
		if _, err := table.Insert(kudufake.Row{"at": now + i, "id": i, "note": fmt.Sprint("note ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	common := fmt.Sprintf("kudu.masters: %s\nkudu.table: orders\ntasks.max: 2\ntopic.creation.default.replication.factor: 1\n", strings.Join(cluster.Masters(), ","))
	// A listener with a certificate too, so that its metrics are there.
	authority, err := testenv.NewAuthority("test authority")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(testenv.CertificateSpec{Name: "worker", Hosts: []string{"127.0.0.1"}, NotAfter: time.Now().Add(90 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	certificate := filepath.Join(dir, "worker.pem")
	if err := pair.Write(certificate); err != nil {
		t.Fatal(err)
	}
	args := []string{"run"}
	for name, text := range map[string]string{
		"worker.yaml": fmt.Sprintf("bootstrap.servers: %[1]s\ngroup.id: shop\nlisteners: [http://127.0.0.1:0, https://127.0.0.1:0]\nlisteners.https.ssl: {certificate.location: %[2]s, key.location: %[2]s}\noffsets.storage.replication.factor: 1\nconfig.storage.replication.factor: 1\nstatus.storage.replication.factor: 1\n", strings.Join(kafka.ListenAddrs(), ","), certificate),
		"orders.yaml": common + "name: orders\ntopic: orders\nstreaming.key: [at, id]\nwhere: note like '%1_'\n",
		"queue.yaml":  common + "name: queue\ntopic: queue\nmode: sweep\nsweep.order.by: at\nsweep.action: delete\nwhere: id < 100\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"worker.yaml", "orders.yaml", "queue.yaml"} {
		args = append(args, filepath.Join(dir, name))
	}
	return start(t, testenv.Command{Name: "kudu2kafka", Path: testenv.Program(t, false), Args: args}, `REST interface listens: at="(http://\S+) https://`)
}

// startServer starts a Prometheus with the example's configuration, but for the
// address of the worker and how often it is asked.
func startServer(t *testing.T, worker string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{configFile, rulesFile} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == configFile {
			for old, changed := range map[string]string{`"kudu2kafka:8083"`: `"` + worker + `"`, "_interval: 15s": "_interval: 1s"} {
				if !strings.Contains(string(text), old) {
					t.Fatalf("%s has no %s", name, old)
				}
				text = []byte(strings.ReplaceAll(string(text), old, changed))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := "http://" + start(t, testenv.Command{
		Name: "prometheus", Path: testenv.FindPrometheus(t).Server,
		Args: []string{"--config.file=" + filepath.Join(dir, filepath.Base(configFile)), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0"},
	}, `msg="Listening on" .*address=(127\.0\.0\.1:[1-9]\d*)`)
	testenv.Await(t, patience, "Prometheus ready", func() bool {
		status, _ := fetch(t, server+"/-/ready")
		return status == http.StatusOK
	})
	return server
}

// fetch gives the status and the body of an answer.
func fetch(t *testing.T, url string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return response.StatusCode, body
}

// get reads the body of an answer, which must be one of success.
func get(t *testing.T, url string) []byte {
	t.Helper()
	status, body := fetch(t, url)
	if status != http.StatusOK {
		t.Fatalf("GET %s: status %d: %.400s", url, status, body)
	}
	return body
}

// ask reads what the API of Prometheus answers.
func ask(t *testing.T, url string, into any) {
	t.Helper()
	body := get(t, url)
	if err := json.Unmarshal(body, &struct{ Data any }{into}); err != nil {
		t.Fatalf("GET %s: %v: %.400s", url, err, body)
	}
}

// query counts the results of an expression.
func query(t *testing.T, server, expr string) int {
	t.Helper()
	var answer struct{ Result []any }
	ask(t, server+"/api/v1/query?query="+url.QueryEscape(expr), &answer)
	return len(answer.Result)
}

func TestPrometheusScrapesAWorkerAndEvaluatesWhatIsDeployed(t *testing.T) {
	testenv.FindPrometheus(t)
	worker := startWorker(t)
	promtool(t, strings.NewReader(string(get(t, worker+"/metrics"))), "check", "metrics")
	server := startServer(t, strings.TrimPrefix(worker, "http://"))

	testenv.Await(t, patience, "both connectors' rows in Prometheus, swept and by rate", func() bool {
		return query(t, server, `kudu2kafka_rows_total{job="kudu2kafka",connector="orders"} > 0`) > 0 &&
			query(t, server, `sum(kudu2kafka_sweep_rows_total{outcome="swept"}) == 100`) > 0 &&
			query(t, server, `rate(kudu2kafka_rows_total[1m]) >= 0`) > 0
	})
	var targets struct {
		ActiveTargets []struct{ Health, LastError string }
	}
	// A worker that is slow to answer once is not up until the next time, and what it has
	// told is not there for so long.
	if !testenv.Eventually(t.Context(), patience, func() bool {
		ask(t, server+"/api/v1/targets", &targets)
		return len(targets.ActiveTargets) == 1 && targets.ActiveTargets[0].Health == "up"
	}) {
		t.Errorf("the targets are %+v", targets)
	}

	if n := 0; !testenv.Eventually(t.Context(), patience, func() bool {
		n = query(t, server, `kudu2kafka_certificate_not_after_timestamp_seconds{kind="listener"} - time() > 89 * 86400`)
		return n == 1
	}) {
		t.Errorf("Prometheus knows the ends of %d certificates", n)
	}

	type rule struct{ Name, Health, State, LastError string }
	var rules struct {
		Groups []struct{ Rules []rule }
	}
	// An alert whose time has not come is pending, and over again.
	wrong := func() (found []rule) {
		ask(t, server+"/api/v1/rules", &rules)
		for _, r := range rules.Groups[0].Rules {
			if r.Health != "ok" || r.State != "inactive" {
				found = append(found, r)
			}
		}
		return found
	}
	if !testenv.Eventually(t.Context(), patience, func() bool { return len(wrong()) == 0 }) {
		t.Errorf("with a worker that is well, %+v", wrong())
	}
	if n := len(rules.Groups[0].Rules); n < 10 {
		t.Errorf("Prometheus has only %d rules", n)
	}
	dashboard(t, server)
}

// dashboard sends each query of the dashboard, with its variables set as Grafana does.
func dashboard(t *testing.T, server string) {
	text, err := os.ReadFile("../../deploy/grafana/kudu2kafka.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$connector", ".*", "$instance", ".*", "$job", "kudu2kafka", "$__rate_interval", "1m")
	// What counts events that a worker that is well may not have had.
	seldom := regexp.MustCompile(`outcome="error"|_disconnects_total|_throttled_seconds_total|_rows_filtered_total`)
	asked, within := 0, patience
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			asked++
			expr := variables.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("panel %q has a variable that this test doesn't know: %s", panel.Title, target.Expr)
			}
			shows := func() bool { return query(t, server, expr) > 0 || seldom.MatchString(expr) }
			if !testenv.Eventually(t.Context(), within, shows) {
				within = time.Millisecond // it is wrong, and so may be the others
				t.Errorf("panel %q shows nothing: %s", panel.Title, expr)
			}
		}
	}
	if asked < 40 {
		t.Errorf("the dashboard has only %d queries", asked)
	}
}
