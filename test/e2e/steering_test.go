package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// steered is a worker that is asked by REST.
type steered struct {
	*worker
	url string
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startSteered runs a worker without connectors.
func (s *stack) startSteered(t *testing.T, j *job, name string) *steered {
	t.Helper()
	bare := *j
	bare.bare = true
	w := &steered{worker: s.start(t, &bare, name)}
	line, err := w.findLine(0, patience, func(line string) bool { return strings.Contains(line, "REST") && listening.MatchString(line) })
	if err != nil {
		t.Fatalf("waiting for the listener: %v", err)
	}
	w.url = listening.FindString(line)
	eventually(t, patience, name+" is healthy", func() bool {
		code, _ := w.try(http.MethodGet, "/health", nil)
		return code == http.StatusOK
	})
	return w
}

func (w *steered) try(method, path string, body any) (int, string) {
	var b io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		b = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, b)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// do asks and wants an answer of this code.
func (w *steered) do(code int, method, path string, body any) string {
	w.t.Helper()
	got, text := w.try(method, path, body)
	if got != code {
		w.t.Fatalf("%s %s at %s: %d %s, want %d", method, path, w.url, got, text, code)
	}
	return text
}

// states are those of the connector and its tasks, with their workers.
func (w *steered) states(name string) (state string, tasks []string) {
	var s struct {
		Connector struct{ State string }
		Tasks     []struct {
			State    string
			WorkerID string `json:"worker_id"`
		}
	}
	code, text := w.try(http.MethodGet, "/connectors/"+name+"/status", nil)
	if code != http.StatusOK || json.Unmarshal([]byte(text), &s) != nil {
		return text, nil
	}
	for _, task := range s.Tasks {
		tasks = append(tasks, task.State+"@"+task.WorkerID)
	}
	return s.Connector.State, tasks
}

// become waits until each of the workers shows these states, of a connector of
// two tasks.
func become(t *testing.T, state string, workers ...*steered) {
	t.Helper()
	for _, w := range workers {
		eventually(t, patience, "the connector is "+state+" at "+w.url, func() bool {
			connector, tasks := w.states("orders")
			other := slices.ContainsFunc(tasks, func(task string) bool { return !strings.HasPrefix(task, state+"@") })
			return connector == state && !other && (len(tasks) == 2) == (state != "STOPPED")
		})
	}
}

// Pause, stop, reset and restart through either of two workers, seen by both, with
// one of them killed on the way.
func TestEitherOfTwoWorkersSteersTheGroupThoughOneIsKilled(t *testing.T) {
	s := newStackOn(t, testenv.SharedKudu(t), quickGroups(t))
	s.steerEither(t, newJob(t, 2))
}

func (s *stack) steerEither(t *testing.T, j *job) {
	t.Helper()
	const rows, more = 3000, 1000
	j.worker["session.timeout.ms"], j.worker["heartbeat.interval.ms"] = "2000", "300"
	j.worker["listeners"] = "http://127.0.0.1:0"
	generate := func(start, n int64) {
		t.Helper()
		if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{Table: j.table, Kind: "narrow", Create: start == 0, Start: start, Rows: n}, nil); err != nil {
			t.Fatal(err)
		}
	}
	generate(0, rows)
	a, b := s.startSteered(t, j, "a"), s.startSteered(t, j, "b")

	config := map[string]string{"kudu.masters": strings.Join(s.kudu.Masters(), ","), "kudu.table": j.table, "topic": j.topic, "name": "orders"}
	for key, value := range j.connector {
		config[key] = value
	}
	a.do(http.StatusCreated, http.MethodPost, "/connectors", map[string]any{"name": "orders", "config": config})
	become(t, "RUNNING", a, b)
	s.awaitRecords(t, j.topic, rows, patience)

	b.do(http.StatusAccepted, http.MethodPut, "/connectors/orders/pause", nil)
	become(t, "PAUSED", a, b)
	generate(rows, more)

	// The one that was asked is killed; its tasks stay paused with the other.
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "a has both tasks, paused", func() bool {
		state, tasks := a.states("orders")
		own := strings.TrimPrefix(a.url, "http://")
		return state == "PAUSED" && slices.Equal(tasks, []string{"PAUSED@" + own, "PAUSED@" + own})
	})
	b = s.startSteered(t, j, "b again")
	become(t, "PAUSED", a, b)
	if got := len(s.consume(t, j.topic)); got != rows {
		t.Errorf("%d records while paused, want %d", got, rows)
	}
	b.do(http.StatusAccepted, http.MethodPut, "/connectors/orders/resume", nil)
	become(t, "RUNNING", a, b)
	s.awaitRecords(t, j.topic, rows+more, patience)
	b.do(http.StatusAccepted, http.MethodPost, "/connectors/orders/restart?includeTasks=true", nil)
	become(t, "RUNNING", a, b)
	s.verify(t, j, "event_time", "id")

	// All anew.
	b.do(http.StatusBadRequest, http.MethodDelete, "/connectors/orders/offsets", nil)
	a.do(http.StatusNoContent, http.MethodPut, "/connectors/orders/stop", nil)
	become(t, "STOPPED", a, b)
	var list struct {
		Offsets []struct{ Partition, Offset json.RawMessage }
	}
	if err := json.Unmarshal([]byte(b.do(http.StatusOK, http.MethodGet, "/connectors/orders/offsets", nil)), &list); err != nil || len(list.Offsets) != 4 {
		t.Fatalf("offsets are %+v, %v", list, err)
	}
	b.do(http.StatusOK, http.MethodDelete, "/connectors/orders/offsets", nil)
	a.do(http.StatusAccepted, http.MethodPut, "/connectors/orders/resume", nil)
	become(t, "RUNNING", a, b)
	s.awaitRecords(t, j.topic, 2*(rows+more), patience)
	seen := make(map[string]int)
	for _, r := range s.consume(t, j.topic) {
		seen[string(r.key)]++
	}
	for key, n := range seen {
		if n != 2 {
			t.Errorf("row %s is there %d times after the reset, want 2", key, n)
		}
	}
	if len(seen) != rows+more {
		t.Errorf("%d rows, want %d", len(seen), rows+more)
	}
	b.do(http.StatusNoContent, http.MethodDelete, "/connectors/orders", nil)
	for _, w := range []*steered{a, b} {
		eventually(t, patience, "the connector is gone", func() bool {
			code, text := w.try(http.MethodGet, "/connectors", nil)
			return code == http.StatusOK && strings.TrimSpace(text) == "[]"
		})
		w.stop()
	}
}

// What the test above leaves out: configurations, restarts of single tasks and of what
// has failed, and positions, through a worker that doesn't have the tasks, or while the
// other one is dead.
func TestEitherOfTwoWorkersChangesWhatTheGroupRunsThoughOneIsKilled(t *testing.T) {
	const rows, bad = 2000, 40
	s := newStack(t)
	j := newJob(t, 2) // of a session in which a worker that lives is heard: its tasks stay
	j.worker["listeners"] = "http://127.0.0.1:0"
	a, b := s.startSteered(t, j, "a"), s.startSteered(t, j, "b")
	config := map[string]string{"kudu.masters": strings.Join(s.kudu.Masters(), ","), "kudu.table": j.table, "topic": j.topic, "name": "orders"}
	for key, value := range j.connector {
		config[key] = value
	}

	// Rows that can't be written fail both tasks; once they are mended, what has failed
	// is restarted by whichever worker.
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	s.events(t, j.table, midnight, 0, rows-bad)
	write := func(op string, text any) {
		t.Helper()
		all := make([]testenv.Row, bad)
		for n := range all {
			all[n] = testenv.Row{"at": midnight.Add(24 * time.Hour), "id": rows - bad + n, "v": text}
		}
		if _, err := s.tool.Write(t.Context(), j.table, op, all...); err != nil {
			t.Fatal(err)
		}
	}
	write("insert", testenv.RawString{0xff})
	a.do(http.StatusCreated, http.MethodPut, "/connectors/orders/config", config)
	for _, w := range []*steered{a, b} {
		eventually(t, patience, "both tasks have failed", func() bool {
			_, tasks := w.states("orders")
			return len(tasks) == 2 && !slices.ContainsFunc(tasks, func(task string) bool { return !strings.HasPrefix(task, "FAILED@") })
		})
	}
	if text := b.do(http.StatusOK, http.MethodGet, "/connectors/orders/tasks/0/status", nil); !strings.Contains(text, "not valid UTF-8") {
		t.Errorf("the status of a task that has failed is %s", text)
	}
	write("update", "mended")
	b.do(http.StatusAccepted, http.MethodPost, "/connectors/orders/restart?includeTasks=true&onlyFailed=true", nil)
	become(t, "RUNNING", a, b)
	s.awaitRecords(t, j.topic, rows, patience)

	// Each task is restarted through the worker that doesn't have it.
	_, tasks := a.states("orders")
	for n, task := range tasks {
		owner, other := a, b
		if strings.HasSuffix(task, strings.TrimPrefix(b.url, "http://")) {
			owner, other = b, a
		}
		from := owner.LogSize()
		other.do(http.StatusNoContent, http.MethodPost, "/connectors/orders/tasks/"+strconv.Itoa(n)+"/restart", nil)
		if _, err := owner.findLine(from, patience, func(line string) bool {
			return strings.Contains(line, "task runs") && strings.Contains(line, "task="+strconv.Itoa(n)+" ")
		}); err != nil {
			t.Errorf("task %d, of %s, was restarted through the other: %v", n, owner.url, err)
		}
	}
	become(t, "RUNNING", a, b)

	// A configuration is that of both, whoever was told, and however soon after the other.
	for n := range 5 {
		rows, pause := strconv.Itoa(770+n), strconv.Itoa(30+n)
		config["transaction.max.rows"] = rows
		b.do(http.StatusOK, http.MethodPut, "/connectors/orders/config", config)
		a.do(http.StatusOK, http.MethodPatch, "/connectors/orders/config", map[string]any{"poll.interval.ms": pause})
		for _, w := range []*steered{a, b} {
			eventually(t, patience, "both changes are at "+w.url, func() bool {
				_, text := w.try(http.MethodGet, "/connectors/orders/config", nil)
				return strings.Contains(text, `"transaction.max.rows":"`+rows+`"`) && strings.Contains(text, `"poll.interval.ms":"`+pause+`"`)
			})
		}
	}
	become(t, "RUNNING", a, b)

	// One is dead: the other stops the connector, and changes its positions as soon as
	// the group has noticed the death.
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	b.do(http.StatusNoContent, http.MethodPut, "/connectors/orders/stop", nil)
	become(t, "STOPPED", b)
	var list struct {
		Offsets []struct {
			Partition json.RawMessage `json:"partition"`
			Offset    json.RawMessage `json:"offset"`
		} `json:"offsets"`
	}
	if err := json.Unmarshal([]byte(b.do(http.StatusOK, http.MethodGet, "/connectors/orders/offsets", nil)), &list); err != nil || len(list.Offsets) != 4 {
		t.Fatalf("offsets are %+v, %v", list, err)
	}
	list.Offsets = list.Offsets[:1]
	list.Offsets[0].Offset = json.RawMessage("null")
	eventually(t, patience, "the position of one tablet is taken back", func() bool {
		code, text := b.try(http.MethodPatch, "/connectors/orders/offsets", list)
		if code != http.StatusOK && !strings.Contains(text, "is still run by") {
			t.Fatalf("changing positions: %d %s", code, text)
		}
		return code == http.StatusOK
	})

	// It comes back, and finds what was asked for meanwhile.
	a = s.startSteered(t, j, "a again")
	become(t, "STOPPED", a, b)
	a.do(http.StatusAccepted, http.MethodPut, "/connectors/orders/resume", nil)
	become(t, "RUNNING", a, b)
	count := func() (once, twice int) {
		seen := make(map[string]int)
		for _, r := range s.consume(t, j.topic) {
			seen[string(r.key)]++
		}
		for key, n := range seen {
			switch n {
			case 1:
				once++
			case 2:
				twice++
			default:
				t.Fatalf("row %s is there %d times", key, n)
			}
		}
		return once, twice
	}
	var once, twice int
	var lag struct {
		Totals struct {
			Behind  int `json:"tablets_behind"`
			Tablets int `json:"tablet_count"`
		}
	}
	eventually(t, patience, "nothing is left to publish", func() bool {
		_, text := a.try(http.MethodGet, "/kudu2kafka/status", nil)
		return json.Unmarshal([]byte(text), &lag) == nil && lag.Totals.Behind == 0 && lag.Totals.Tablets == 4
	})
	if once, twice = count(); once+twice != rows || twice < rows/8 || twice > rows/2 {
		t.Errorf("after one of four tablets was taken back, %d rows are there once and %d twice, of %d", once, twice, rows)
	}
	for _, w := range []*steered{a, b} {
		w.stop()
	}
}
