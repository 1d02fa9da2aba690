package prometheus

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const (
	configFile = "../../deploy/prometheus/prometheus.yml"
	rulesFile  = "../../deploy/prometheus/kudu2kafka-alerts.yml"
	playFile   = "testdata/alerts.yml"
)

// promtool runs promtool, which finds fault by its exit code.
func promtool(t *testing.T, input io.Reader, args ...string) {
	t.Helper()
	run := exec.CommandContext(t.Context(), testenv.FindPrometheus(t).Promtool, args...)
	run.Stdin = input
	out, err := run.CombinedOutput()
	// It calls a metric's bad name, for one, without failing for it.
	if err != nil || bytes.Contains(out, []byte("WARNING")) || bytes.Contains(out, []byte("error")) {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestPromtoolTakesConfigurationAndRules(t *testing.T) {
	promtool(t, nil, "check", "config", "--lint-fatal", configFile)
	promtool(t, nil, "check", "rules", "--lint-fatal", rulesFile)
}

func TestAlertsFireAsTheyShouldAndOnlyThen(t *testing.T) {
	promtool(t, nil, "test", "rules", playFile)
}

// TestEachAlertIsPlayed looks that no alert is left out of what the test above plays.
func TestEachAlertIsPlayed(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert string }
		}
	}
	var plays struct {
		Tests []struct {
			Alerts []struct {
				Name     string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	for name, into := range map[string]any{rulesFile: &rules, playFile: &plays} {
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, play := range plays.Tests {
		for _, alert := range play.Alerts {
			fires[alert.Name] = fires[alert.Name] || len(alert.Expected) > 0
			rests[alert.Name] = rests[alert.Name] || len(alert.Expected) == 0
		}
	}
	known := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			known++
			if !fires[rule.Alert] || !rests[rule.Alert] {
				t.Errorf("%s is played firing: %v, and at rest: %v", rule.Alert, fires[rule.Alert], rests[rule.Alert])
			}
		}
	}
	if known < 10 || len(fires) != known {
		t.Errorf("%d rules are there, %d are played", known, len(fires))
	}
}
