package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// The rows that docs/first-connector.md has the reader write at once.
const firstRows = 1000

// guide is docs/first-connector.md, which is followed in an empty folder: what it
// says is typed is typed, and what it says is seen must be seen. Only addresses are
// others.
type guide struct {
	t         *testing.T
	sections  map[string]string // by the number of the heading
	folder    string
	env       []string
	addresses []string // old, new, ...
}

func newGuide(t *testing.T, kudu *testenv.Kudu, kafka *testenv.Kafka) *guide {
	t.Helper()
	text, err := os.ReadFile("../../docs/first-connector.md")
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	if err := testenv.WriteTools(t.Context(), tools); err != nil {
		t.Fatal(err)
	}
	g := &guide{
		t: t, sections: make(map[string]string), folder: t.TempDir(),
		env:       append(os.Environ(), "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+tools+string(os.PathListSeparator)+os.Getenv("PATH")),
		addresses: []string{"127.0.0.1:9092", kafka.BootstrapServers(), "127.0.0.1:7051", kudu.MasterArg()},
	}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		number, _, _ := strings.Cut(section, ".")
		g.sections[number] = section
	}
	return g
}

// here is a text with the addresses of this test.
func (g *guide) here(text string) string { return strings.NewReplacer(g.addresses...).Replace(text) }

var (
	typed   = regexp.MustCompile("(?ms)^```\n(\\$ .*?)^```$")
	written = regexp.MustCompile("(?ms)^```yaml\n# ([a-z.]+)\n(.*?)^```$")
)

// commands are those of a section.
func (g *guide) commands(section string) (all []string) {
	g.t.Helper()
	for _, block := range typed.FindAllStringSubmatch(g.sections[section], -1) {
		for _, command := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			all = append(all, g.here(strings.TrimSpace(command)))
		}
	}
	if len(all) == 0 {
		g.t.Fatalf("section %s of the guide has no commands", section)
	}
	return all
}

// command is the one of a section that contains a text.
func (g *guide) command(section, text string) string {
	g.t.Helper()
	for _, c := range g.commands(section) {
		if strings.Contains(c, text) {
			return c
		}
	}
	g.t.Fatalf("section %s of the guide has no command %q", section, text)
	return ""
}

// types runs a command to its end, which must be a good one, and gives its output.
func (g *guide) types(command string) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", command)
	run.Dir, run.Env, run.WaitDelay = g.folder, g.env, time.Second
	var errors strings.Builder
	run.Stderr = &errors
	out, err := run.Output()
	if err != nil {
		g.t.Fatalf("$ %s\n%v\n%s%s", command, err, out, errors.String())
	}
	g.t.Logf("$ %s\n%.600s", command, out)
	return string(out)
}

// leaves runs a command in the background.
func (g *guide) leaves(name, command string) *worker {
	g.t.Helper()
	log := filepath.Join(g.t.TempDir(), "log")
	// testenv.Command has no folder.
	p, err := testenv.StartProcess(testenv.Command{
		Name: name, Path: "/bin/bash", Args: []string{"-c", "cd '" + g.folder + "' && exec " + command}, Env: g.env, Log: log,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	w := &worker{Process: p, t: g.t, log: log}
	g.t.Cleanup(func() {
		if w.Running() {
			_ = w.Kill()
		}
		testenv.ShowLog(g.t, name, log, 40)
	})
	return w
}

// runs types the command that runs the worker, and waits for what the guide says
// is logged.
func (g *guide) runs(name string) *worker {
	w := g.leaves(name, g.command("5", "kudu2kafka run"))
	w.awaitLine("connector started", patience)
	return w
}

// tasks counts those that the worker has run, however often.
func (g *guide) tasks(w *worker) int {
	g.t.Helper()
	all := make(map[string]bool)
	for _, run := range regexp.MustCompile(`task runs: .*\b(task=\d+) `).FindAllStringSubmatch(g.output(w), -1) {
		all[run[1]] = true
	}
	return len(all)
}

func (g *guide) output(w *worker) string {
	g.t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

func TestGuideToAFirstConnectorLeadsToOne(t *testing.T) {
	kudu, kafka := testenv.NewKudu(t, testenv.KuduConfig{}), testenv.NewKafka(t, testenv.KafkaConfig{})
	g := newGuide(t, kudu, kafka)
	began := time.Now()

	if version := g.types(g.command("1", "kudu2kafka version")); !strings.HasPrefix(version, "kudu2kafka ") {
		t.Errorf("the version is %q", version)
	}
	for _, c := range g.commands("2") {
		g.types(c)
	}
	for _, file := range written.FindAllStringSubmatch(g.sections["3"], -1) {
		if err := os.WriteFile(filepath.Join(g.folder, file[1]), []byte(g.here(file[2])), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range g.commands("4") {
		out := g.types(c)
		switch {
		case strings.Contains(c, "config validate") && out != "":
			t.Errorf("of files without a fault, validate prints %q", out)
		case strings.Contains(c, " check ") && strings.Contains(out, "ERROR"):
			t.Errorf("check finds\n%s", out)
		case strings.Contains(c, " plan ") && !strings.Contains(out, `"event_time":`):
			t.Errorf("the plan has no example of a record:\n%s", out)
		}
	}

	w := g.runs("kudu2kafka")
	testenv.Await(t, patience, "four tasks run", func() bool { return g.tasks(w) == 4 })
	consumer := g.leaves("consumer", g.command("5", "kafka-console-consumer.sh"))
	record := regexp.MustCompile(`^(\{"event_time":"[^"]+","id":\d+)\}\t(\{"event_time":"[^"]+","id":\d+),"user":"[^"]*","amount":\S+\}$`)
	testenv.Await(t, patience, "the first row", func() bool { return strings.Contains(g.output(consumer), "\n") })
	t.Logf("from the empty folder to the first row: %v", time.Since(began).Round(100*time.Millisecond))
	rows := func(w *worker) int { return strings.Count(g.output(w), `{"event_time":`) / 2 }
	testenv.Await(t, patience, "the rows", func() bool { return rows(consumer) >= firstRows })
	line, _, _ := strings.Cut(g.output(consumer), "\n")
	if found := record.FindStringSubmatch(line); found == nil || found[1] != found[2] {
		t.Errorf("a record is %q", line)
	}
	g.looksLikeTheReadme(w)

	// With loadgen, more rows.
	loadgen := g.command("2", "loadgen")
	more := regexp.MustCompile("`(--seq_start=[0-9]+)`").FindStringSubmatch(g.sections["5"])
	if more == nil {
		t.Fatal("the guide doesn't say how to write more rows")
	}
	g.types(loadgen + " " + more[1])
	testenv.Await(t, patience, "more rows", func() bool { return rows(consumer) >= 2*firstRows })
	if n := rows(consumer); n != 2*firstRows {
		t.Errorf("%d rows were consumed, want %d", n, 2*firstRows)
	}
	_ = consumer.Kill()

	// Try to break it.
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	g.types(loadgen + " --seq_start=8000")
	w = g.runs("kudu2kafka, again")
	testenv.Await(t, patience, "all tasks again", func() bool { return g.tasks(w) == 4 })
	// Whatever the guide's way to count takes for the end.
	(&stack{kafka: kafka}).awaitRecords(t, "orders", 3*firstRows, patience)
	count := func() int {
		n, err := strconv.Atoi(strings.TrimSpace(g.types(g.command("6", "| wc -l"))))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	n := count()
	for range 3 {
		if n < 3*firstRows {
			n = count() // the guide's consumer gives up after a while, on a busy machine before its first record
		}
	}
	if n != 3*firstRows {
		t.Errorf("%d records after a kill, want %d", n, 3*firstRows)
	}
	second := g.runs("second worker")
	if at := second.address(); at == w.address() {
		t.Errorf("both workers listen at %s", at)
	}
	second.awaitLine("task runs", patience)
	seen := g.tasks(second)
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	testenv.Await(t, patience, "the second worker has all tasks", func() bool { return g.tasks(second) == 4 })
	t.Logf("the second worker had %d tasks at first, and all of them %v after the first one was killed", seen, time.Since(killed).Round(100*time.Millisecond))

	// See and steer it.
	g.addresses = append(g.addresses, "localhost:8083", strings.TrimPrefix(second.address(), "http://"))
	for _, c := range g.commands("7") {
		out := g.types(c)
		for call, wants := range map[string]string{"/status'": `"state":"RUNNING"`, "/metrics": "kudu2kafka_task_lag_seconds{", "offsets list": "orders"} {
			if strings.Contains(c, call) && !strings.Contains(out, wants) {
				t.Errorf("$ %s\n%s", c, out)
			}
		}
		if strings.HasSuffix(c, "/pause") {
			second.awaitLine("paused", patience)
		}
	}

	// Take it away again.
	if err := second.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	if code, err := second.Wait(ctx); code != 0 || err != nil {
		t.Errorf("after Ctrl-C: exit code %d, %v", code, err)
	}
	for _, c := range g.commands("8") {
		g.types(c)
	}
	// The broker may list a topic for a moment when it is deleted.
	testenv.Await(t, patience, "nothing is left in Kafka", func() bool {
		left := g.types(g.here("kafka-topics.sh --bootstrap-server 127.0.0.1:9092 --list --exclude-internal; kafka-consumer-groups.sh --bootstrap-server 127.0.0.1:9092 --list"))
		for line := range strings.Lines(left) {
			// The console consumer's groups are not ours.
			if !strings.HasPrefix(line, "console-consumer-") && strings.TrimSpace(line) != "" {
				return false
			}
		}
		return true
	})
}

// looksLikeTheReadme compares the log with the lines that README.md shows of the
// same connector.
func (g *guide) looksLikeTheReadme(w *worker) {
	g.t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		g.t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^2026-\S+Z (\[INFO\]  .*)$`).FindAllStringSubmatch(string(text), -1)
	if len(lines) < 3 {
		g.t.Errorf("README.md shows %d lines of the log", len(lines))
	}
	version := regexp.MustCompile(`version=\S+`)
	log := version.ReplaceAllString(g.output(w), "version=x")
	for _, line := range lines {
		if !strings.Contains(log, version.ReplaceAllString(line[1], "version=x")) {
			g.t.Errorf("README.md shows a line that isn't in the log: %s", line[1])
		}
	}
}
