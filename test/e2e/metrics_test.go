package e2e

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// listening has the worker of the job listen where there is room.
func (j *job) listening() *job {
	j.worker["listeners"] = "http://127.0.0.1:0"
	return j
}

var listensAt = regexp.MustCompile(`REST interface listens: .*at=(\S+)`)

// address is the base of the worker's REST interface.
func (w *worker) address() string {
	w.t.Helper()
	line, err := w.findLine(0, patience, listensAt.MatchString)
	if err != nil {
		w.t.Fatalf("waiting for the REST interface: %v", err)
	}
	return strings.Trim(listensAt.FindStringSubmatch(line)[1], `"`)
}

// metrics reads the worker's metrics: the value of each series.
func (w *worker) metrics() map[string]float64 {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.address()+"/metrics", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		w.t.Fatalf("status %d, %v: %.300s", response.StatusCode, err, text)
	}
	all := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		cut := strings.LastIndexByte(line, ' ')
		if line[0] == '#' || cut < 0 {
			continue
		}
		series := line[:cut]
		v, err := strconv.ParseFloat(strings.TrimSpace(line[cut:]), 64)
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		all[series] = v
	}
	return all
}

// sum adds up the series of a metric that have all of these labels, each as
// name="value".
func sum(all map[string]float64, metric string, labels ...string) (sum float64) {
next:
	for series, v := range all {
		name, rest, _ := strings.Cut(series, "{")
		if name != "kudu2kafka_"+metric {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue next
			}
		}
		sum += v
	}
	return sum
}

// awaitMetrics reads the metrics until something is the case.
func (w *worker) awaitMetrics(within time.Duration, what string, is func(map[string]float64) bool) map[string]float64 {
	w.t.Helper()
	until := time.Now().Add(within)
	looks := time.NewTicker(50 * time.Millisecond)
	defer looks.Stop()
	for {
		all := w.metrics()
		switch {
		case is(all):
			return all
		case time.Now().After(until):
			for series, v := range all {
				if strings.HasPrefix(series, "kudu2kafka_task") || strings.HasPrefix(series, "kudu2kafka_kudu_retries") {
					w.t.Logf("%s %v", series, v)
				}
			}
			w.t.Fatalf("waited in vain until %s", what)
		}
		<-looks.C
	}
}

func TestMetricsEqualTheRowsInTheTopicAndShowAKilledTabletServer(t *testing.T) {
	s := newStackOn(t, testenv.NewKudu(t, testenv.KuduConfig{}), testenv.SharedKafka(t))
	j := newJob(t, 2).listening()
	const loaded, later = 50_000, 5_000
	rows := s.backlog(t, j, loaded)
	w := s.start(t, j, "worker")
	drained := func(n float64) func(map[string]float64) bool {
		return func(all map[string]float64) bool {
			return sum(all, "rows_total") >= n && sum(all, "task_tablets_behind") == 0 && sum(all, "task_tablets") == 4
		}
	}
	w.awaitMetrics(patience, "the backlog is drained", drained(loaded))
	all := w.metrics() // those that are read at a time may be of before and after a commit
	records := s.consume(t, j.topic)
	bytes := 0
	for _, r := range records {
		bytes += len(r.key) + len(r.value)
	}
	for metric, want := range map[string]float64{
		"rows_total": float64(len(records)), "bytes_total": float64(bytes), "transaction_rows_sum": loaded, "task_lag_seconds": 0,
		"task_key_lag_seconds": 0, "late_rows_total": 0, "sweep_rows_total": 0,
	} {
		if got := sum(all, metric); got != want {
			t.Errorf("%s is %v, want %v", metric, got, want)
		}
	}
	for _, metric := range []string{"build_info", "rebalances_total", "kafka_requests_total", "rows_read_total", "task_history_headroom_seconds"} {
		if sum(all, metric) == 0 {
			t.Errorf("%s is 0", metric)
		}
	}
	if n := sum(all, "connector_tasks", `state="RUNNING"`); n != 2 {
		t.Errorf("%v tasks are shown as running", n)
	}

	before := sum(all, "kudu_retries_total")
	server := s.kudu.TabletServers()[0]
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	w.awaitMetrics(patience, "retries are counted, and tablets are behind", func(all map[string]float64) bool {
		return sum(all, "kudu_retries_total") > before && sum(all, "task_tablets_behind") > 0 && sum(all, "task_lag_seconds") > 1 &&
			sum(all, "kudu_calls_total", `outcome="error"`) > 0
	})
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows.Rows = later
	if _, err := s.tool.Generate(t.Context(), rows, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, loaded+later, patience)
	all = w.awaitMetrics(patience, "the later rows are counted and nothing is behind", drained(loaded+later))
	if n := sum(all, "rows_total"); n != loaded+later {
		t.Errorf("%v rows are counted, want %d", n, loaded+later)
	}
	w.stop()
	s.verify(t, j, "event_time", "id")
}
