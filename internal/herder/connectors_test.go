package herder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

// file makes a connector of a file.
func (h *herd) file(name string, changes ...string) File {
	h.t.Helper()
	return fileOf(h.t, writeFile(h.t, h.properties(name, changes...)), func(string) (string, bool) { return "", false })
}

// writeFile writes properties into a connector's file.
func writeFile(t *testing.T, properties map[string]string) string {
	t.Helper()
	var lines []string
	for key, value := range properties {
		lines = append(lines, key+": "+value)
	}
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fileOf is the connector of a file.
func fileOf(t *testing.T, path string, env func(string) (string, bool)) File {
	t.Helper()
	source, err := config.ReadSource(path, config.Full(env))
	if err != nil {
		t.Fatal(err)
	}
	cfg, faults := source.Config()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return File{Config: cfg, Source: source}
}

func TestConnectorOfAFileIsSteeredButNotEdited(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	h.insert(30)
	// Only a has the file; b answers for it all the same.
	a, b := h.join("a:8083", memberOptions{files: []File{h.file("orders")}}), h.join("b:8083", memberOptions{})
	h.published(0)
	for _, m := range []*member{a, b} {
		m.become("orders", running, running, running)
		if got := must[[]string](t)(m.Connectors(ctx)); len(got) != 1 {
			t.Errorf("%s has connectors %v", m.id, got)
		}
		if got := must[ConnectorInfo](t)(m.Connector(ctx, "orders")); got.Config["kudu.table"] != tableName {
			t.Errorf("%s shows %+v", m.id, got)
		}
		_, _, err := m.PutConfig(ctx, "orders", h.properties("orders"))
		wantKind(t, err, Conflict, "comes from a file")
		_, err = m.PatchConfig(ctx, "orders", map[string]*string{"topic": nil})
		wantKind(t, err, Conflict, "comes from a file")
		wantKind(t, m.Delete(ctx, "orders"), Conflict, "comes from a file")
		_, err = m.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders")})
		wantKind(t, err, Conflict, "Connector orders already exists")
	}
	if err := b.SetTarget(ctx, "orders", TargetStopped); err != nil {
		t.Fatal(err)
	}
	a.become("orders", connector.Stopped)
	b.become("orders", connector.Stopped)
	must[string](t)(b.ResetOffsets(ctx, "orders"))
	// What is asked of it outlives its worker.
	a.stop()
	a = h.join("a:8083", memberOptions{files: []File{h.file("orders")}})
	a.become("orders", connector.Stopped)
	if err := a.SetTarget(ctx, "orders", TargetRunning); err != nil {
		t.Fatal(err)
	}
	a.become("orders", running, running, running)
	h.published(30)
}

func TestRefusalsSayWhatIsWrong(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a := h.join("a:8083", memberOptions{})
	_, err := a.Create(ctx, CreateRequest{Name: "c", Config: map[string]string{"taks.max": "2", "kudu.table": "t", "topic": "t", "mode": "fast"}})
	wantKind(t, err, Invalid, "contains the following 3 error(s):\n")
	wantKind(t, err, Invalid, "kudu.masters: is required")
	wantKind(t, err, Invalid, "/connector-plugins/io.kudu2kafka.KuduSourceConnector/config/validate")
	_, err = a.Create(ctx, CreateRequest{Name: "c", Config: h.properties("d")})
	wantKind(t, err, Invalid, "doesn't match")
	_, err = a.Create(ctx, CreateRequest{Config: map[string]string{}})
	wantKind(t, err, Invalid, "no name")
	_, err = a.Create(ctx, CreateRequest{Name: "c", Config: h.properties("c"), InitialState: "SLEEPING"})
	wantKind(t, err, Invalid, "SLEEPING")
	_, err = a.Create(ctx, CreateRequest{Name: "c", Config: h.properties("c", "topic", "g-status")})
	wantKind(t, err, Invalid, "status.storage.topic")

	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders"), InitialState: TargetStopped}))
	a.become("orders", connector.Stopped)
	_, err = a.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders")})
	wantKind(t, err, Conflict, "Connector orders already exists")
	_, err = a.Create(ctx, CreateRequest{Name: "c", Config: h.properties("c", "offsets.storage.topic", "g-orders-offsets")})
	wantKind(t, err, Invalid, "is the offsets topic of connector orders")

	for what, err := range map[string]error{
		"Connector no not found":           second(a.Connector(ctx, "no")),
		"Connector no not found (patch)":   second(a.PatchConfig(ctx, "no", nil)),
		"Connector no not found (delete)":  a.Delete(ctx, "no"),
		"Connector no not found (tasks)":   second(a.Tasks(ctx, "no")),
		"Connector no not found (offsets)": second(a.Offsets(ctx, "no")),
		"Connector no not found (reset)":   second(a.ResetOffsets(ctx, "no")),
		"No status found for connector no": second(a.Status(ctx, "no")),
		"No status found for task orders-7": second(func() (TaskStatus, error) {
			return a.TaskStatus(ctx, "orders", 7)
		}()),
		"No status found for task no-0":        second(a.TaskStatus(ctx, "no", 0)),
		"Unknown connector no":                 a.SetTarget(ctx, "no", TargetPaused),
		"Unknown connector: no":                second(a.Restart(ctx, "no", true, false)),
		"Unknown connector: no (task)":         a.RestartTask(ctx, "no", 0),
		"Unknown task: orders-0":               a.RestartTask(ctx, "orders", 0),
		"Unknown plugin no.":                   second(a.PluginConfig(ctx, "no")),
		"Unknown plugin no. (validate)":        second(a.Validate(ctx, "no", nil)),
		"Logger no not found.":                 second(a.Logger(ctx, "no")),
		"Logger no not found. (no levels set)": second(a.SetLogger(ctx, "no", "INFO", false)),
	} {
		text, _, _ := strings.Cut(what, " (")
		wantKind(t, err, NotFound, text)
	}

	// Of what isn't there, Connect has no topics, and nothing against forgetting them.
	if topics, err := a.Topics(ctx, "no"); err != nil || len(topics) != 0 || a.ResetTopics(ctx, "no") != nil {
		t.Errorf("topics of no connector are %v, %v", topics, err)
	}
	_, err = a.Validate(ctx, "no", map[string]string{"connector.class": connector.ConnectorClass})
	wantKind(t, err, Invalid, "Included connector type "+connector.ConnectorClass+" does not match request type no")
}

func TestConfigurationThatIsTooLargeIsRefused(t *testing.T) {
	f := newFakes(t)
	a := f.join("a", nil)
	_, err := a.Create(t.Context(), CreateRequest{Name: "c", Config: plain("c", "topic.creation.default.x", strings.Repeat("x", 2<<20))})
	wantKind(t, err, Invalid, "larger than a record")
}

func second[T any](_ T, err error) error { return err }

func TestSecretsAreMaskedAndTheMaskKeepsThem(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a := h.join("a:8083", memberOptions{
		env: map[string]string{"TABLE": tableName}, change: func(c *connector.WorkerConfig) { c.ProvidersEnvPattern = "TABLE" },
	})
	_, err := a.Create(ctx, CreateRequest{Name: "copy", Config: h.properties("copy", "topic.creation.default.my.password", Masked)})
	wantKind(t, err, Invalid, "topic.creation.default.my.password: [hidden] stands for a secret that is stored, and there is none")
	p := h.properties("orders", "topic.creation.default.my.password", "hunter2", "kudu.table", "${env:TABLE}", "topic.creation.default.a.token", "${env:TABLE}",
		"topic.creation.default.b.token", "${env:TABLE:-hunter2}", "topic.creation.default.c.token", "${env:TABLE}hunter2")
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "orders", Config: p, InitialState: TargetStopped}))
	shown := must[ConnectorInfo](t)(a.Connector(ctx, "orders")).Config
	if shown["topic.creation.default.my.password"] != Masked || shown["kudu.table"] != "${env:TABLE}" || shown["topic.creation.default.a.token"] != "${env:TABLE}" {
		t.Errorf("shown %v", shown)
	}
	if shown["topic.creation.default.b.token"] != Masked || shown["topic.creation.default.c.token"] != Masked {
		t.Errorf("what stands beside a reference, or is its default, is shown: %v", shown)
	}
	for _, task := range must[[]TaskInfo](t)(a.Tasks(ctx, "orders")) {
		if task.Config["topic.creation.default.my.password"] != Masked {
			t.Errorf("a task shows %v", task.Config)
		}
	}
	stored := func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.known["orders"]["topic.creation.default.my.password"]
	}
	if _, _, err := a.PutConfig(ctx, "orders", shown); err != nil || stored() != "hunter2" {
		t.Errorf("after the mask was put back %q is stored, %v", stored(), err)
	}
	hidden, other := Masked, "other"
	if _, err := a.PatchConfig(ctx, "orders", map[string]*string{"topic.creation.default.my.password": &hidden}); err != nil || stored() != "hunter2" {
		t.Errorf("after a patch with the mask %q is stored, %v", stored(), err)
	}
	if _, err := a.PatchConfig(ctx, "orders", map[string]*string{"topic.creation.default.my.password": &other}); err != nil || stored() != "other" {
		t.Errorf("after a patch %q is stored, %v", stored(), err)
	}
}
