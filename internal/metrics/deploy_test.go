package metrics

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// existing are the metrics that a worker shows, with their labels.
func existing(t *testing.T) map[string][]string {
	t.Helper()
	r := New(Options{})
	all := make(map[string][]string)
	for _, d := range r.instruments.definitions {
		if d.kind == "histogram" {
			all[d.name+"_bucket"] = append(slices.Clone(d.labels), "le")
			all[d.name+"_sum"], all[d.name+"_count"] = d.labels, d.labels
			continue
		}
		all[d.name] = d.labels
	}
	families, err := r.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace) {
			all[f.GetName()] = []string{"quantile"}
		}
	}
	all["up"] = nil // Prometheus' own
	return all
}

// values are those that a label can have, for the labels of which all are known.
func values() map[string][]string {
	text := func(all []string, s string) []string { return append(all, s) }
	known := map[string][]string{}
	for _, s := range connector.States() {
		known["state"] = text(known["state"], string(s))
	}
	for _, o := range connector.Outcomes() {
		known["outcome"] = text(known["outcome"], string(o))
	}
	known["outcome"] = append(known["outcome"], "swept", "gone", "changed", "republished", "failed", "ok", "error", "cancelled")
	known["kind"] = connector.CertificateKinds()
	for _, c := range connector.RestartCauses() {
		known["cause"] = text(known["cause"], string(c))
	}
	for _, c := range []kudu.Class{kudu.ClassRetry, kudu.ClassReconnect, kudu.ClassRelocate, kudu.ClassReauth} {
		known["class"] = text(known["class"], c.String())
	}
	return known
}

// check compares an expression with what there is; it gives the labels that its
// result may have.
func check(t *testing.T, where, expr string) []string {
	t.Helper()
	q, err := parsePromQL(expr)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
		return nil
	}
	metrics, known := existing(t), values()
	all := []string{"job", "instance"} // which Prometheus adds
	for _, s := range q.selectors {
		labels, is := metrics[s.metric]
		if !is {
			t.Errorf("%s: %s: there is no metric %s", where, expr, s.metric)
			continue
		}
		for _, m := range s.matchers {
			if !slices.Contains(labels, m.label) && m.label != "job" && m.label != "instance" {
				t.Errorf("%s: %s: %s has no label %s", where, expr, s.metric, m.label)
			}
			for value := range strings.SplitSeq(m.value, "|") {
				if choice, is := known[m.label]; is && !slices.Contains(choice, value) {
					t.Errorf("%s: %s: %s is never %q", where, expr, m.label, value)
				}
			}
		}
		if counts := strings.HasSuffix(s.metric, "_total") || strings.HasSuffix(s.metric, "_bucket") || strings.HasSuffix(s.metric, "_sum") || strings.HasSuffix(s.metric, "_count"); counts != s.ranged {
			t.Errorf("%s: %s: %s is looked at as what it isn't", where, expr, s.metric)
		}
		all = append(all, labels...)
	}
	if q.result == nil {
		return all
	}
	for _, l := range q.result {
		if !slices.Contains(all, l) {
			t.Errorf("%s: %s: no metric has the label %s", where, expr, l)
		}
	}
	return q.result
}

// TestExamplesNameTheFilesBesideThem reads the YAML of deploy/ that is not rules.
func TestExamplesNameTheFilesBesideThem(t *testing.T) {
	folder := filepath.Join("..", "..", "deploy")
	var prometheus struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrapes   []struct {
			Job string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	for path, into := range map[string]any{
		"prometheus/prometheus.yml": &prometheus, "grafana/provisioning/datasources/prometheus.yml": &struct{}{}, "grafana/provisioning/dashboards/kudu2kafka.yml": &struct{}{},
	} {
		text, err := os.ReadFile(filepath.Join(folder, path))
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, name := range prometheus.RuleFiles {
		if _, err := os.Stat(filepath.Join(folder, "prometheus", name)); err != nil {
			t.Error(err)
		}
	}
	// The job by which a rule tells that a worker doesn't answer.
	if len(prometheus.RuleFiles) == 0 || len(prometheus.Scrapes) != 1 || prometheus.Scrapes[0].Job != "kudu2kafka" {
		t.Errorf("prometheus.yml has the rules %v and the jobs %v", prometheus.RuleFiles, prometheus.Scrapes)
	}
}

var templateLabels = regexp.MustCompile(`\$labels\.([a-z_]+)`)

func TestAlertRulesNameWhatThereIs(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "prometheus", "kudu2kafka-alerts.yml")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(file)
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			labels := check(t, r.Alert, r.Expr)
			if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Kudu2Kafka") {
				t.Errorf("%s: its name is wrong, or is there twice", r.Alert)
			}
			seen[r.Alert] = true
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if !slices.Equal(slices.Sorted(maps.Keys(r.Annotations)), []string{"description", "summary"}) {
				t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
			}
			for _, text := range r.Annotations {
				for _, m := range templateLabels.FindAllStringSubmatch(text, -1) {
					if !slices.Contains(labels, m[1]) {
						t.Errorf("%s: the result has no label %s, only %v", r.Alert, m[1], labels)
					}
				}
			}
		}
	}
	// What a worker can suffer from has an alert.
	for _, metric := range []string{
		"build_info", "connector_tasks", "task_lag_seconds", "task_restarts_total", "task_history_headroom_seconds", "sweep_rows_total", "transactions_total",
		"certificate_not_after_timestamp_seconds", "certificate_files_faulty",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), namespace+metric) {
			t.Errorf("no alert looks at %s", metric)
		}
	}
}

// panel is what a dashboard's panels have that is looked at here.
type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ RefID, Expr, LegendFormat string }
}

var legendLabels = regexp.MustCompile(`{{ *([a-z_]+) *}}`)

func TestTheDashboardNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "grafana", "kudu2kafka.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title, UID string
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Panels []panel
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var variables []string
	for _, v := range dashboard.Templating.List {
		variables = append(variables, v.Name)
		if v.Definition == "" {
			continue
		}
		m := regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`).FindStringSubmatch(v.Definition)
		if m == nil {
			t.Errorf("variable %s: %s", v.Name, v.Definition)
			continue
		}
		if labels := check(t, "variable "+v.Name, m[1]); !slices.Contains(labels, m[2]) {
			t.Errorf("variable %s: no label %s", v.Name, m[2])
		}
	}
	used := map[string]bool{}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %q has no title, or its id twice", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panels %q and %q lie upon each other, or beside the board", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			labels := check(t, p.Title, target.Expr)
			for _, m := range legendLabels.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, m[1]) {
					t.Errorf("panel %q: the result has no label %s, only %v", p.Title, m[1], labels)
				}
			}
			for _, m := range regexp.MustCompile(`\$([a-z]+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(variables, m[1]) {
					t.Errorf("panel %q: no variable %s", p.Title, m[1])
				}
			}
			q, err := parsePromQL(target.Expr)
			if err == nil {
				for _, s := range q.selectors {
					used[s.metric] = true
				}
			}
		}
	}
	// Every metric can be seen, but for states of single tasks and what a title or
	// another panel says as well.
	spare := []string{"connector_table_rows", "task_state", "task_state_changes_total", "tablet_behind", "tablet_key_lag_seconds", "tablet_history_headroom_seconds"}
	for _, d := range New(Options{}).instruments.definitions {
		if !used[d.name] && !used[d.name+"_bucket"] && !used[d.name+"_sum"] && !slices.Contains(spare, strings.TrimPrefix(d.name, namespace)) {
			t.Errorf("no panel shows %s", d.name)
		}
	}
}
