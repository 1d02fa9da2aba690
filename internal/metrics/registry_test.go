package metrics

import (
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// read serves the metrics once, and gives their text.
func read(t *testing.T, r *Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// series reads the project's own metrics: the value of each series, by name and
// labels as they are written.
func series(t *testing.T, r *Registry) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for line := range strings.Lines(read(t, r)) {
		if !strings.HasPrefix(line, namespace) {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[cut:]), 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all[line[:cut]] = v
	}
	return all
}

// want compares some series with what they should be.
func want(t *testing.T, r *Registry, values map[string]float64) {
	t.Helper()
	all := series(t, r)
	for name, v := range values {
		if got, is := all[namespace+name]; !is || got != v {
			t.Errorf("%s%s is %v (there: %t), want %v", namespace, name, got, is, v)
		}
	}
}

// with lists the series that have a label.
func with(t *testing.T, r *Registry, label, value string) (names []string) {
	t.Helper()
	for name := range series(t, r) {
		if strings.Contains(name, fmt.Sprintf("%s=%q", label, value)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func running(tasks ...int32) func() connector.Status {
	s := connector.Status{State: connector.Running}
	for _, id := range tasks {
		s.Tasks = append(s.Tasks, connector.TaskStatus{Task: id, State: connector.Running})
	}
	return func() connector.Status { return s }
}

func standing(tablets ...connector.TabletProgress) func(time.Time, func(connector.TabletProgress)) {
	return func(_ time.Time, each func(connector.TabletProgress)) {
		for _, p := range tablets {
			each(p)
		}
	}
}

func TestMetricsAddUpWhatTasksTell(t *testing.T) {
	r := New(Options{Version: "v1", Commit: "c", GoVersion: "go"})
	c := r.Connector("orders", running(0, 3))
	task := c.Task(3, standing())
	task.Read(70, 2*time.Second)
	task.Read(40, time.Second)
	task.Filtered(10)
	task.Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 60, Late: 2, Bytes: 6000, Took: 20 * time.Millisecond})
	task.Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 40, Bytes: 4000, Took: 30 * time.Millisecond})
	task.Transaction(connector.TransactionEnd{Outcome: connector.OutcomeUnknown, Rows: 40, Bytes: 4000, Took: time.Second})
	task.Restart(connector.RestartTransaction)
	task.State(connector.Restarting)
	task.State(connector.Running)
	task.Swept(connector.SweepCounts{Swept: 5, Gone: 4, Changed: 3, Again: 2, Failed: 1})
	task.Journal(17)
	hook := c.KuduHook()
	hook.Call(kudu.CallInfo{Method: "Scan", Took: time.Millisecond})
	hook.Call(kudu.CallInfo{Method: "Scan", Took: time.Millisecond, Err: io.ErrUnexpectedEOF})
	hook.Retry(kudu.ClassReconnect)
	want(t, r, map[string]float64{
		`build_info{commit="c",goversion="go",version="v1"}`:                   1,
		`connector_state{connector="orders",state="RUNNING"}`:                  1,
		`connector_tasks{connector="orders",state="RUNNING"}`:                  2,
		`connector_tasks{connector="orders",state="FAILED"}`:                   0,
		`task_state{connector="orders",state="RUNNING",task="3"}`:              1,
		`task_state_changes_total{connector="orders",state="RESTARTING"}`:      1,
		`task_restarts_total{cause="transaction",connector="orders",task="3"}`: 1,
		`task_restarts_total{cause="stalled",connector="orders",task="3"}`:     0,
		`rows_total{connector="orders",task="3"}`:                              100,
		`bytes_total{connector="orders",task="3"}`:                             10_000,
		`late_rows_total{connector="orders",task="3"}`:                         2,
		`rows_read_total{connector="orders",task="3"}`:                         110,
		`rows_filtered_total{connector="orders",task="3"}`:                     10,
		`read_wait_seconds_total{connector="orders",task="3"}`:                 3,
		`transactions_total{connector="orders",outcome="committed",task="3"}`:  2,
		`transactions_total{connector="orders",outcome="aborted",task="3"}`:    0,
		`transactions_total{connector="orders",outcome="unknown",task="3"}`:    1,
		`transaction_duration_seconds_count{connector="orders"}`:               3,
		`transaction_duration_seconds_bucket{connector="orders",le="0.05"}`:    2,
		`transaction_rows_sum{connector="orders"}`:                             100,
		`transaction_size_bytes_sum{connector="orders"}`:                       10_000,
		`sweep_rows_total{connector="orders",outcome="swept",task="3"}`:        5,
		`sweep_rows_total{connector="orders",outcome="gone",task="3"}`:         4,
		`sweep_rows_total{connector="orders",outcome="changed",task="3"}`:      3,
		`sweep_rows_total{connector="orders",outcome="republished",task="3"}`:  2,
		`sweep_rows_total{connector="orders",outcome="failed",task="3"}`:       1,
		`sweep_journal_rows{connector="orders",task="3"}`:                      17,
		`kudu_calls_total{connector="orders",method="Scan",outcome="ok"}`:      1,
		`kudu_calls_total{connector="orders",method="Scan",outcome="error"}`:   1,
		`kudu_call_duration_seconds_count{connector="orders",method="Scan"}`:   2,
		`kudu_retries_total{class="reconnect",connector="orders"}`:             1,
		`kudu_retries_total{class="relocate",connector="orders"}`:              0,
	})
	text := read(t, r)
	for _, family := range []string{"go_goroutines ", "process_cpu_seconds_total ", "promhttp_metric_handler_requests_total{"} {
		if !strings.Contains(text, "\n"+family) {
			t.Errorf("%s isn't there", family)
		}
	}
}

func TestCertificatesAreShownByKind(t *testing.T) {
	var files []connector.CertificateFiles
	r := New(Options{Certificates: func() []connector.CertificateFiles { return files }})
	if text := read(t, r); strings.Contains(text, "\nkudu2kafka_certificate") {
		t.Errorf("without certificates there are metrics of them:\n%s", text)
	}
	files = []connector.CertificateFiles{
		{Kind: connector.CertificateOfListener, NotAfter: time.Unix(1_800_000_000, 0), Failures: 3, Faulty: true},
		{Kind: connector.CertificateOfKafka, Failures: 1},
	}
	want(t, r, map[string]float64{
		`certificate_not_after_timestamp_seconds{kind="listener"}`: 1_800_000_000,
		`certificate_files_faulty{kind="listener"}`:                1,
		`certificate_reload_failures_total{kind="listener"}`:       3,
		`certificate_files_faulty{kind="kafka"}`:                   0,
		`certificate_reload_failures_total{kind="kafka"}`:          1,
	})
	if text := read(t, r); strings.Contains(text, `not_after_timestamp_seconds{kind="kafka"}`) {
		t.Errorf("the end of no certificate is shown:\n%s", text)
	}
}

func TestLagOfATaskIsThatOfItsWorstTablet(t *testing.T) {
	r := New(Options{TabletsMax: 10})
	c := r.Connector("orders", running(0, 1))
	c.Task(0, standing(
		connector.TabletProgress{Tablet: "a", Headroom: time.Hour, History: time.Hour},
		connector.TabletProgress{Tablet: "b", Behind: true, Lag: 5 * time.Second, KeyLag: 7 * time.Second, HasKey: true, Headroom: time.Minute, History: time.Hour},
		connector.TabletProgress{Tablet: "c", Behind: true, Lag: 6 * time.Second, Headroom: time.Hour, History: time.Hour},
	))
	c.Task(1, standing(connector.TabletProgress{Tablet: "d", Headroom: -time.Second}))
	want(t, r, map[string]float64{
		`task_tablets{connector="orders",task="0"}`:                               3,
		`task_tablets_behind{connector="orders",task="0"}`:                        2,
		`task_lag_seconds{connector="orders",task="0"}`:                           6,
		`task_key_lag_seconds{connector="orders",task="0"}`:                       7,
		`task_history_headroom_seconds{connector="orders",task="0"}`:              60,
		`task_history_seconds{connector="orders",task="0"}`:                       3600,
		`task_lag_seconds{connector="orders",task="1"}`:                           0,
		`task_history_headroom_seconds{connector="orders",task="1"}`:              -1,
		`tablet_behind{connector="orders",tablet="b",task="0"}`:                   1,
		`tablet_lag_seconds{connector="orders",tablet="b",task="0"}`:              5,
		`tablet_key_lag_seconds{connector="orders",tablet="b",task="0"}`:          7,
		`tablet_history_headroom_seconds{connector="orders",tablet="b",task="0"}`: 60,
		`tablet_behind{connector="orders",tablet="d",task="1"}`:                   0,
	})
	for _, name := range with(t, r, "task", "1") {
		if strings.Contains(name, "key_lag") {
			t.Errorf("%s is there, though the key has no time", name)
		}
	}
}

func TestSeriesVanishWithTheirTaskAndTheirConnector(t *testing.T) {
	r := New(Options{TabletsMax: 10})
	before := slices.Sorted(maps.Keys(series(t, r)))
	orders, items := r.Connector("orders", running(0, 1)), r.Connector("items", running())
	tasks := []connector.TaskObserver{
		orders.Task(0, standing(connector.TabletProgress{Tablet: "a"})), orders.Task(1, standing(connector.TabletProgress{Tablet: "b"})),
	}
	for _, task := range tasks {
		task.Swept(connector.SweepCounts{Swept: 1})
		task.State(connector.Running)
	}
	orders.KuduHook().Call(kudu.CallInfo{Method: "Scan"})
	if len(with(t, r, "tablet", "b")) == 0 {
		t.Error("tablet b isn't there")
	}
	tasks[1].Close()
	orders.(*connectorMetrics).look = running(0)
	for label, value := range map[string]string{"task": "1", "tablet": "b"} {
		if left := with(t, r, label, value); len(left) > 0 {
			t.Errorf("the task has moved away, and %d series are left: %v", len(left), left)
		}
	}
	if len(with(t, r, "task", "0")) == 0 {
		t.Error("the other task's series are gone too")
	}
	tasks[0].Close()
	orders.Close()
	// What comes late, from clients on their way out, makes no new series.
	tasks[0].Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 1})
	tasks[0].Journal(1)
	tasks[0].State(connector.Failed)
	orders.KuduHook().Call(kudu.CallInfo{Method: "Scan"})
	if left := with(t, r, "connector", "orders"); len(left) > 0 {
		t.Errorf("the connector is gone, and %d series are left: %v", len(left), left)
	}
	if len(with(t, r, "connector", "items")) == 0 {
		t.Error("the other connector's series are gone too")
	}
	items.Close()
	if after := slices.Sorted(maps.Keys(series(t, r))); !slices.Equal(before, after) {
		t.Errorf("with all connectors gone there are %v, want %v", after, before)
	}
}

func TestAConnectorThatIsReplacedKeepsItsNewSeries(t *testing.T) {
	r := New(Options{})
	old := r.Connector("orders", running(0))
	old.Task(0, standing()).Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 5})
	fresh := r.Connector("orders", running(0))
	fresh.Task(0, standing()).Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 3})
	old.Close()
	want(t, r, map[string]float64{`rows_total{connector="orders",task="0"}`: 3, `connector_state{connector="orders",state="RUNNING"}`: 1})
	// The same for a task that comes back.
	fresh.Task(0, standing()).Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 2})
	want(t, r, map[string]float64{`rows_total{connector="orders",task="0"}`: 2})
}

func TestSeriesAreBoundedAtTenThousandTablets(t *testing.T) {
	const tasks, tabletsOfEach, shown = 10, 1000, 100
	r := New(Options{TabletsMax: shown})
	ids := make([]int32, tasks)
	for i := range ids {
		ids[i] = int32(i)
	}
	c := r.Connector("orders", running(ids...))
	for task := range int32(tasks) {
		tablets := make([]connector.TabletProgress, tabletsOfEach)
		for i := range tablets {
			n := int(task)*tabletsOfEach + i
			tablets[i] = connector.TabletProgress{
				Tablet: fmt.Sprintf("%032x", n), Behind: true, Lag: time.Duration(n*7919%(tasks*tabletsOfEach)) * time.Second, HasKey: true, Headroom: time.Hour,
			}
		}
		c.Task(task, standing(tablets...))
	}
	began := time.Now()
	text := read(t, r)
	took := time.Since(began)
	all := series(t, r)
	var lags []float64
	for name, v := range all {
		if strings.HasPrefix(name, namespace+"tablet_lag_seconds{") {
			lags = append(lags, v)
		}
	}
	slices.Sort(lags)
	if len(lags) != shown || lags[0] != tasks*tabletsOfEach-shown || lags[shown-1] != tasks*tabletsOfEach-1 {
		t.Errorf("%d tablets are shown, with lags from %v to %v: want the %d furthest behind", len(lags), lags[0], lags[len(lags)-1], shown)
	}
	t.Logf("%d series, %d bytes, read in %v", len(all), len(text), took)
	if len(all) > 800 || len(text) > 150_000 {
		t.Errorf("%d series in %d bytes", len(all), len(text))
	}
	if took > 2*time.Second {
		t.Errorf("reading took %v", took)
	}
	// None at all, if so wished; what is said of tasks stays.
	r.opts.TabletsMax = 0
	for name := range series(t, r) {
		if strings.Contains(name, "tablet=") {
			t.Errorf("%s is there", name)
		}
	}
	want(t, r, map[string]float64{`task_tablets_behind{connector="orders",task="9"}`: tabletsOfEach})
}

func TestNothingIsAllocatedForATransactionOrABatch(t *testing.T) {
	var observer connector.Observer = New(Options{})
	task := observer.Connector("orders", running(0)).Task(0, standing())
	task.Journal(1) // makes the series of mode sweep
	if n := testing.AllocsPerRun(100, func() {
		task.Read(1000, time.Millisecond)
		task.Filtered(10)
		task.Transaction(connector.TransactionEnd{Outcome: connector.OutcomeCommitted, Rows: 1000, Bytes: 100_000, Took: time.Millisecond})
		task.Swept(connector.SweepCounts{Swept: 1000})
		task.Journal(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNamesFollowThePrometheusConventions(t *testing.T) {
	r := New(Options{TabletsMax: 1})
	c := r.Connector("orders", running(0))
	task := c.Task(0, standing(connector.TabletProgress{Tablet: "a", HasKey: true}))
	task.Journal(1)
	c.KuduHook().Call(kudu.CallInfo{Method: "Scan"})
	problems, err := promlint.New(strings.NewReader(read(t, r))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, d := range r.instruments.definitions {
		if !strings.HasSuffix(d.help, ".") || d.help[0] < '0' || d.help[0] > 'Z' {
			t.Errorf("%s: the help is no sentence: %q", d.name, d.help)
		}
		if (d.kind == "counter") != strings.HasSuffix(d.name, "_total") {
			t.Errorf("%s is a %s", d.name, d.kind)
		}
	}
}

func TestMetricsAreReadWhileTasksComeAndGo(t *testing.T) {
	r := New(Options{TabletsMax: 2})
	var working sync.WaitGroup
	for n := range 4 {
		working.Go(func() {
			for range 50 {
				c := r.Connector(fmt.Sprint("c", n%2), running(0))
				task := c.Task(0, standing(connector.TabletProgress{Tablet: "a"}))
				task.Read(1, time.Millisecond)
				task.Journal(1)
				task.State(connector.Running)
				c.KuduHook().Retry(kudu.ClassRetry)
				task.Close()
				c.Close()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		working.Wait()
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		if _, err := r.Gatherer().Gather(); err != nil {
			t.Error(err) // a series is there twice
		}
	}
	if left := slices.Concat(with(t, r, "connector", "c0"), with(t, r, "connector", "c1")); len(left) > 0 {
		t.Errorf("all are gone, and %d series are left: %v", len(left), left)
	}
}
