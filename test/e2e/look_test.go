package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

// command runs the binary to its end, and gives what it printed and its exit code.
func command(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Logf("%s: %s", strings.Join(args[:2], " "), log.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func commandJSON(t *testing.T, into any, args ...string) (code int) {
	t.Helper()
	out, code := command(t, args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%v: %s\n%s", args, err, out)
	}
	return code
}

func TestChecksAndPlansAreThoseOfTheRunThatFollows(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 3)
	j.connector["where"] = "id >= 10 AND v LIKE '%x'"
	j.connector["headers.enable"] = "true"
	files := s.files(t, t.TempDir(), []*job{j})

	var report preflight.Report
	if code := commandJSON(t, &report, append([]string{"check", "--json"}, files...)...); code != 2 || report.Count(preflight.Error) != 1 || report.Findings[len(report.Findings)-1].Key == "" {
		t.Errorf("without a table check exits with %d: %+v", code, report.Findings)
	}
	if _, code := command(t, append([]string{"plan"}, files...)...); code != 2 {
		t.Errorf("without a table plan exits with %d", code)
	}

	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	s.events(t, j.table, midnight, 0, 400)
	report = preflight.Report{}
	if code := commandJSON(t, &report, append([]string{"check", "--json"}, files...)...); code != 0 || report.Failed() > 0 {
		t.Errorf("check exits with %d: %+v, %+v", code, report.Findings, report.Checks)
	}
	var plans []preflight.Plan
	if code := commandJSON(t, &plans, append([]string{"plan", "--json"}, files...)...); code != 0 || len(plans) != 1 {
		t.Fatalf("plan exits with %d: %+v", code, plans)
	}
	before := plans[0]
	if before.Topics[0].Exists || before.Topics[0].Partitions != 3 || before.Topics[1].Partitions != 3 || before.Topics[0].Replicas != 1 {
		t.Errorf("the topics are %+v", before.Topics)
	}
	if before.Example == nil {
		t.Fatalf("there is no example: %s", before.ExampleNote)
	}

	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, 390, patience)
	// While it runs, all is well, and nothing is disturbed.
	report = preflight.Report{}
	if code := commandJSON(t, &report, append([]string{"check", "--json"}, files...)...); code != 0 || report.Failed() > 0 {
		t.Errorf("beside a worker check exits with %d: %+v, %+v", code, report.Findings, report.Checks)
	}
	running := false
	for _, f := range report.Findings {
		running = running || f.Check == "kafka.group" && strings.Contains(f.Problem, "runs now, on 1 worker")
	}
	if !running {
		t.Errorf("the worker isn't seen: %+v", report.Findings)
	}
	w.stop()

	found := false
	for _, r := range s.consume(t, j.topic) {
		found = found || string(r.key) == before.Example.Key && string(r.value) == before.Example.Value && int(r.partition) == before.Example.Partition
	}
	if !found {
		t.Errorf("the example isn't in the topic: %+v", before.Example)
	}
	plans = nil
	if code := commandJSON(t, &plans, append([]string{"plan", "--json"}, files...)...); code != 0 {
		t.Errorf("plan exits with %d", code)
	}
	positions := s.positions(t, j)
	for _, task := range plans[0].Tasks {
		for _, tablet := range task.Tablets {
			stored, is := positions[tablet.ID]
			if !is || tablet.Stored == nil || int(stored.partition) != task.Task || tablet.Scan.After == nil || tablet.Leader == "" {
				t.Errorf("task %d, tablet %+v; stored in partition %d (%t)", task.Task, tablet, stored.partition, is)
			}
		}
	}
	if p := plans[0]; p.Example != nil || len(positions) != 4 {
		t.Errorf("after all is published the example is %+v; there are %d positions", p.Example, len(positions))
	}
	text, code := command(t, append([]string{"plan"}, files...)...)
	if code != 0 || !strings.Contains(text, "example  none: there is no row to publish now") || !strings.Contains(text, "first scan: behind {") {
		t.Errorf("plan exits with %d:\n%s", code, text)
	}
}
