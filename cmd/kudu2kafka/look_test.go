package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
)

func findings(severities ...preflight.Severity) *preflight.Report {
	r := &preflight.Report{Findings: []preflight.Finding{}, Checks: []preflight.Outcome{{Check: "kafka.brokers", State: preflight.Done}}}
	for _, s := range severities {
		r.Findings = append(r.Findings, preflight.Finding{Severity: s, Check: "kafka.topic", Connector: "orders", Key: "topic", Problem: "it is <small>", Remedy: "make it larger"})
	}
	return r
}

func TestExitCodeOfCheckIsThatOfTheWorstFinding(t *testing.T) {
	failed := findings(preflight.Warning)
	failed.Checks = append(failed.Checks, preflight.Outcome{Check: "kafka.group", State: preflight.Failed, Why: "no answer"})
	both := findings(preflight.Error)
	both.Checks = failed.Checks
	for _, c := range []struct {
		name   string
		report *preflight.Report
		err    error
		code   int
		said   string
	}{
		{"nothing", findings(), nil, exitOK, "1 check, 0 errors, 0 warnings, 0 notes\n"},
		{"a warning", findings(preflight.Note, preflight.Warning), nil, exitOK, "WARNING  orders: kafka.topic: topic\n         it is <small>\n         -> make it larger\n"},
		{"an error", findings(preflight.Error), nil, exitUsage, "ERROR    orders: kafka.topic: topic\n"},
		{"a check that could not run", failed, nil, exitFailed, "NOT RUN  kafka.group\n         no answer\n"},
		{"both", both, nil, exitUsage, "1 error, 0 warnings, 0 notes, 1 could not run\n"},
		{"no report", nil, errors.New("interrupted"), exitFailed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, nil, "")
			h.look.check = func(_ context.Context, o preflight.Options) (*preflight.Report, error) {
				if o.Worker.GroupID != "g" || len(o.Connectors) != 1 {
					t.Errorf("checked %+v", o)
				}
				return c.report, c.err
			}
			h.want(t, h.execute(append([]string{"check"}, h.files...)), c.code)
			if !strings.Contains(h.out.String(), c.said) {
				t.Errorf("printed\n%s", h.out.String())
			}
		})
	}
}

func TestFindingsAreErrorsFirst(t *testing.T) {
	h := newHarness(t, nil, "")
	h.look.check = func(context.Context, preflight.Options) (*preflight.Report, error) {
		return findings(preflight.Note, preflight.Warning, preflight.Error), nil
	}
	h.execute(append([]string{"check"}, h.files...))
	text := h.out.String()
	if e, w, n := strings.Index(text, "ERROR"), strings.Index(text, "WARNING"), strings.Index(text, "NOTE"); e < 0 || e > w || w > n {
		t.Errorf("printed\n%s", text)
	}
}

func TestCheckPrintsJSON(t *testing.T) {
	h := newHarness(t, nil, "")
	h.look.check = func(context.Context, preflight.Options) (*preflight.Report, error) {
		return findings(preflight.Warning), nil
	}
	h.want(t, h.execute(append([]string{"check", "--json"}, h.files...)), exitOK)
	var got struct {
		Findings []map[string]string
		Checks   []map[string]string
		Summary  map[string]int
	}
	if err := json.Unmarshal([]byte(h.out.String()), &got); err != nil {
		t.Fatalf("%v:\n%s", err, h.out.String())
	}
	if f := got.Findings; len(f) != 1 || f[0]["severity"] != "warning" || f[0]["problem"] != "it is <small>" || f[0]["connector"] != "orders" ||
		got.Checks[0]["state"] != "done" || got.Summary["warnings"] != 1 || got.Summary["errors"] != 0 {
		t.Errorf("printed\n%s", h.out.String())
	}
	if !strings.Contains(h.out.String(), "<small>") {
		t.Errorf("text is escaped as for HTML:\n%s", h.out.String())
	}
}

func TestASignalEndsALook(t *testing.T) {
	h := newHarness(t, nil, "")
	h.look.check = func(ctx context.Context, _ preflight.Options) (*preflight.Report, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	h.signals <- syscall.SIGINT
	h.want(t, h.execute(append([]string{"check"}, h.files...)), exitFailed, "context canceled")
}

func TestPlansArePrintedOneAfterTheOther(t *testing.T) {
	plans := []preflight.Plan{{Connector: "a", Mode: "offset"}, {Connector: "b", Mode: "sweep"}}
	h := newHarness(t, nil, "")
	h.look.plan = func(context.Context, preflight.Options) ([]preflight.Plan, error) { return plans, nil }
	h.want(t, h.execute(append([]string{"plan"}, h.files...)), exitOK)
	if text := h.out.String(); !strings.HasPrefix(text, "connector a, mode offset\n") || !strings.Contains(text, "\n\nconnector b, mode sweep\n") {
		t.Errorf("printed\n%s", text)
	}
	h.out.Reset()
	h.want(t, h.execute(append([]string{"plan", "--json"}, h.files...)), exitOK)
	var got []preflight.Plan
	if err := json.Unmarshal([]byte(h.out.String()), &got); err != nil || len(got) != 2 || got[1].Connector != "b" {
		t.Errorf("printed %s (%v)", h.out.String(), err)
	}
}

func TestPlanOfAFaultyConfigurationExitsWithTwo(t *testing.T) {
	h := newHarness(t, nil, "")
	h.look.plan = func(context.Context, preflight.Options) ([]preflight.Plan, error) {
		return nil, &connector.ConfigError{Faults: []connector.Fault{{Key: "kudu.table", What: "no table", Remedy: "make it"}}}
	}
	h.want(t, h.execute(append([]string{"plan"}, h.files...)), exitUsage, "kudu.table: no table: make it\n")
	h = newHarness(t, nil, "")
	h.look.plan = func(context.Context, preflight.Options) ([]preflight.Plan, error) {
		return nil, errors.New("no answer")
	}
	h.want(t, h.execute(append([]string{"plan"}, h.files...)), exitFailed, "no answer\n")
	h = newHarness(t, nil, "")
	h.want(t, h.execute([]string{"plan", h.files[0]}), exitUsage, "the worker's file and a connector's are needed")
}

func TestConfigReferenceIsTheDocument(t *testing.T) {
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"config", "reference"}), exitOK)
	want, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(h.out.String())) {
		t.Error("docs/configuration.md is not what config reference prints: run make generate")
	}
}

func TestConfigValidateTellsEveryFault(t *testing.T) {
	h := newHarness(t, nil, "")
	h.want(t, h.execute(append([]string{"config", "validate"}, h.files...)), exitOK)
	h.want(t, h.execute(append([]string{"config", "validate", "--json"}, h.files...)), exitOK)
	if h.out.String() != "[]\n" {
		t.Errorf("printed %q", h.out.String())
	}
	h = newHarness(t, nil, "log.levle: info\nsession.timeout.ms: 5s\n")
	h.want(t, h.execute(append([]string{"config", "validate"}, h.files...)), exitUsage, "did you mean log.level?\n", "write 5000\n")
	h.want(t, h.execute(append([]string{"config", "validate", "--json"}, h.files...)), exitUsage)
	var faults []configFault
	if err := json.Unmarshal([]byte(h.out.String()), &faults); err != nil || len(faults) != 2 || faults[0].Line != 3 || faults[0].Key != "log.levle" || faults[0].Remedy == "" {
		t.Errorf("printed %s (%v)", h.out.String(), err)
	}
}

func TestConfigPrintShowsWhatHolds(t *testing.T) {
	h := newHarness(t, nil, "log.level: warn\n")
	h.want(t, h.execute(append([]string{"config", "print"}, h.files...)), exitOK)
	for _, line := range []string{"# " + h.files[0] + "\nbootstrap.servers: ['k:9092']\n", "log.level: warn\n", "log.format: text # default\n", "---\n# " + h.files[1] + "\nname: orders\n", "topic: orders\n"} {
		if !strings.Contains(h.out.String(), line) {
			t.Errorf("no %q in\n%s", line, h.out.String())
		}
	}
}

func TestHelpExplainsExitCodesAndFiles(t *testing.T) {
	for topic, says := range map[string]string{"exit-codes": "2  wrong arguments or configuration", "files": "${file:PATH:KEY}"} {
		h := newHarness(t, nil, "")
		h.want(t, h.execute([]string{"help", topic}), exitOK)
		if !strings.Contains(h.out.String(), says) {
			t.Errorf("help of %s is\n%s", topic, h.out.String())
		}
	}
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"--help"}), exitOK)
	for _, command := range []string{"check", "completion", "config", "plan", "run", "exit-codes"} {
		if !strings.Contains(h.out.String(), "  "+command+" ") && !strings.Contains(h.out.String(), "kudu2kafka "+command) {
			t.Errorf("help does not name %s:\n%s", command, h.out.String())
		}
	}
}

func TestRightsArePrintedForAPrincipal(t *testing.T) {
	h := newHarness(t, nil, "")
	h.look.rights = func(_ context.Context, o preflight.Options, principal string) (*preflight.RightsList, error) {
		if o.Worker.GroupID != "g" || len(o.Connectors) != 1 {
			t.Errorf("the rights of %+v", o)
		}
		return &preflight.RightsList{Principal: principal, Needed: []string{"kafka-acls.sh --add"}}, nil
	}
	h.want(t, h.execute(append([]string{"rights", "--principal", "User:x"}, h.files...)), exitOK)
	if text := h.out.String(); !strings.Contains(text, "what User:x needs") || !strings.Contains(text, "\nkafka-acls.sh --add\n") {
		t.Errorf("printed\n%s", text)
	}
	h.out.Reset()
	h.want(t, h.execute(append([]string{"rights", "--json"}, h.files...)), exitOK)
	var list preflight.RightsList
	if err := json.Unmarshal([]byte(h.out.String()), &list); err != nil || len(list.Needed) != 1 {
		t.Errorf("printed %s: %v", h.out.String(), err)
	}
	h.look.rights = func(context.Context, preflight.Options, string) (*preflight.RightsList, error) {
		return nil, errors.New("interrupted")
	}
	h.want(t, h.execute(append([]string{"rights"}, h.files...)), exitFailed)
}
