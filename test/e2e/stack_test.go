package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// patience is how long what must come may take on a busy machine. It only keeps a test
// from hanging: what is promised in time has bounds of its own.
const patience = 3 * time.Minute

// stack is what a test runs against: servers, and the official Java client.
type stack struct {
	kudu  *testenv.Kudu
	kafka *testenv.Kafka
	tool  *testenv.KuduTool
}

// newStack uses the servers that the tests of this package share.
func newStack(t *testing.T) *stack {
	t.Helper()
	return newStackOn(t, testenv.SharedKudu(t), testenv.SharedKafka(t))
}

// newStackOn is for tests that want servers of their own.
func newStackOn(t *testing.T, kudu *testenv.Kudu, kafka *testenv.Kafka) *stack {
	t.Helper()
	tool, err := testenv.StartKuduTool(t.Context(), kudu.Masters())
	return newStackBy(t, kudu, kafka, tool, err)
}

// newStackBy takes a Java client that was started by the caller, or why it wasn't.
func newStackBy(t *testing.T, kudu *testenv.Kudu, kafka *testenv.Kafka, tool *testenv.KuduTool, err error) *stack {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{kudu: kudu, kafka: kafka, tool: tool}
	t.Cleanup(func() {
		if err := tool.Close(); err != nil {
			t.Errorf("closing the Java tool: %v", err)
		}
	})
	return s
}

// job is one connector's configuration in a test: keys and values of its YAML.
// Each test has names of its own, since servers are shared.
type job struct {
	name, table, topic, group string
	worker, connector         map[string]string
	bare                      bool // the worker gets no file of a connector
}

var jobs atomic.Int32

func newJob(t *testing.T, tasks int) *job {
	t.Helper()
	n := fmt.Sprintf("%s_%d", strings.ToLower(strings.NewReplacer("/", "_", "Test", "").Replace(t.Name())), jobs.Add(1))
	n = n[:min(len(n), 80)]
	return &job{
		name: "c", table: n, topic: n, group: n,
		worker: map[string]string{"log.level": "debug", "session.timeout.ms": "6000", "heartbeat.interval.ms": "500"},
		connector: map[string]string{
			"tasks.max": fmt.Sprint(tasks), "poll.interval.ms": "20", "transaction.boundary.interval.ms": "100",
			"topic.creation.default.partitions": "3", "errors.retry.delay.max.ms": "1000",
		},
	}
}

// as is the job on a worker of that name, which stays over its restarts.
func (j *job) as(instance string) *job {
	named := *j
	named.worker = maps.Clone(j.worker)
	named.worker["group.instance.id"] = instance
	return &named
}

// worker is a running process of the binary.
type worker struct {
	*testenv.Process
	t   *testing.T
	log string
}

// start runs a worker of the job. Its log is shown if the test fails.
func (s *stack) start(t *testing.T, j *job, name string) *worker {
	t.Helper()
	return s.startAll(t, []*job{j}, name)
}

// startAll runs one worker of several jobs, as the first of them says.
func (s *stack) startAll(t *testing.T, jobs []*job, name string) *worker {
	t.Helper()
	dir := t.TempDir()
	files := s.files(t, dir, jobs)
	log := filepath.Join(dir, "log")
	p, err := testenv.StartProcess(testenv.Command{
		Name: name, Path: binary, Args: append([]string{"run"}, files...), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{Process: p, t: t, log: log}
	t.Cleanup(func() {
		if w.Running() {
			_ = w.Kill()
		}
		w.checkLog()
		lines := 60
		if w.ExitCode() == -1 {
			lines = 8 // it was killed, as one of many
		}
		testenv.ShowLog(t, name, log, lines)
	})
	return w
}

// files writes the worker's file, as the first of the jobs says, and the
// connectors'.
func (s *stack) files(t *testing.T, dir string, jobs []*job) []string {
	t.Helper()
	j := jobs[0]
	workerKeys := map[string]string{"bootstrap.servers": s.kafka.BootstrapServers(), "group.id": j.group}
	maps.Copy(workerKeys, j.worker)
	if workerKeys["group.instance.id"] == "" {
		delete(workerKeys, "group.instance.id")
	}
	files := []string{writeYAML(t, dir, "worker.yaml", workerKeys)}
	for n, j := range jobs {
		if j.bare {
			continue
		}
		connectorKeys := map[string]string{
			"name": j.name, "kudu.masters": strings.Join(s.kudu.Masters(), ","), "kudu.table": j.table,
			"mode": "offset", "topic": j.topic,
		}
		maps.Copy(connectorKeys, j.connector)
		files = append(files, writeYAML(t, dir, fmt.Sprintf("connector%d.yaml", n), connectorKeys))
	}
	return files
}

// checkLog fails the test if the process told of a bug that no exit code shows, or a
// secret.
func (w *worker) checkLog() {
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Errorf("reading the log of a worker: %v", err)
	}
	for _, bug := range []string{"WARNING: DATA RACE", "\npanic: ", "\nfatal error: ", limitedPassword} {
		if at := strings.Index(string(text), bug); at >= 0 {
			w.t.Errorf("in the log of a worker:\n%.4000s", text[at:])
		}
	}
}

func writeYAML(t *testing.T, dir, name string, keys map[string]string) string {
	t.Helper()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&b, "%s: %q\n", k, keys[k])
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitLine waits until the worker has logged a line with the text.
func (w *worker) awaitLine(text string, within time.Duration) {
	w.t.Helper()
	if _, err := w.findLine(0, within, func(line string) bool { return strings.Contains(line, text) }); err != nil {
		w.t.Fatalf("waiting for %q: %v", text, err)
	}
}

// findLine waits for a line that matches, from an offset in the log on.
func (w *worker) findLine(from int64, within time.Duration, match func(line string) bool) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	line, _, err := w.WaitLineFrom(ctx, from, match)
	return line, err
}

// stop ends the worker with SIGTERM, as an operator would: exit code 0, within
// 10 s. A process that was started just now may not listen yet, and dies of the
// signal.
func (w *worker) stop() {
	w.t.Helper()
	w.awaitLine("starting", patience)
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 12*time.Second)
	defer cancel()
	code, err := w.Terminate(ctx)
	if err != nil || code != 0 {
		w.t.Fatalf("after SIGTERM the worker exited with code %d: %v", code, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		w.t.Fatalf("the worker took %v to stop", took)
	}
}
