package herder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// rotated is a file with a number that connectors take tasks.max from, in place of a
// secret, since the fake worker notes it.
type rotated struct {
	t    *testing.T
	path string
}

func newRotated(t *testing.T) *rotated {
	t.Helper()
	r := &rotated{t, filepath.Join(t.TempDir(), "tasks")}
	r.holds(1)
	return r
}

func (r *rotated) holds(n int) {
	r.t.Helper()
	if err := os.WriteFile(r.path, fmt.Appendf(nil, "%d\n", n), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rotated) gone() {
	r.t.Helper()
	if err := os.Remove(r.path); err != nil {
		r.t.Fatal(err)
	}
}

// reference is what stands in configurations.
func (r *rotated) reference() string { return "${file:" + r.path + "}" }

// count is how many lines the worker was told that begin so.
func (m *faked) count(line string) int {
	n := 0
	for _, s := range m.worker.was() {
		if strings.HasPrefix(s, line) {
			n++
		}
	}
	return n
}

// each runs a test on a connector made by REST, and on one of a file.
func (r *rotated) each(t *testing.T, test func(t *testing.T, m *faked)) {
	t.Run("by REST", func(t *testing.T) {
		r.t = t
		r.holds(1)
		m := newFakes(t).join("a", func(o *Options) { o.Config.ProvidersAllowedPaths = []string{filepath.Dir(r.path)} })
		must[ConnectorInfo](t)(m.Create(t.Context(), CreateRequest{Name: "c", Config: plain("c", "tasks.max", r.reference())}))
		m.hears(t, "put c 1 RUNNING")
		test(t, m)
	})
	t.Run("of a file", func(t *testing.T) {
		r.t = t
		r.holds(1)
		m := newFakes(t).join("a", func(o *Options) {
			o.Files = []File{fileOf(t, writeFile(t, plain("c", "tasks.max", r.reference())), o.Env)}
		})
		test(t, m)
	})
}

func TestReferencesAreReadAgainAtARestart(t *testing.T) {
	r := newRotated(t)
	r.each(t, func(t *testing.T, m *faked) {
		ctx := t.Context()
		r.holds(2)
		must[ConnectorStatus](t)(m.Restart(ctx, "c", false, false))
		m.hears(t, "put c 2 RUNNING")
		must[ConnectorStatus](t)(m.Restart(ctx, "c", true, false))
		m.hears(t, "restart c true false")
		if n := m.count("put c 2"); n != 1 {
			t.Errorf("a restart without a change has the connector begin anew: %q", m.worker.was())
		}
		r.holds(3)
		if err := m.RestartTask(ctx, "c", 0); err != nil {
			t.Fatal(err)
		}
		m.hears(t, "put c 3 RUNNING")
		r.gone()
		must[ConnectorStatus](t)(m.Restart(ctx, "c", false, false))
		m.hears(t, "unfit c RUNNING")
		if last := m.worker.was()[slices.IndexFunc(m.worker.was(), func(s string) bool { return strings.HasPrefix(s, "unfit") })]; !strings.Contains(last, "tasks.max: "+r.reference()+": "+r.path+": there is no such file") {
			t.Errorf("the worker was told %q", last)
		}
	})
}

func TestReferencesAreReadAgainAfterAStop(t *testing.T) {
	r := newRotated(t)
	r.each(t, func(t *testing.T, m *faked) {
		ctx := t.Context()
		for _, target := range []TargetState{TargetStopped, TargetRunning} {
			if err := m.SetTarget(ctx, "c", target); err != nil {
				t.Fatal(err)
			}
			r.holds(2)
		}
		m.hears(t, "put c 2 RUNNING")
	})
}

func TestReferencesOfConnectorsThatFailAreReadAgain(t *testing.T) {
	r := newRotated(t)
	r.each(t, func(t *testing.T, m *faked) {
		r.holds(2)
		m.worker.show(connector.Status{Connector: "c", State: connector.Running, Tasks: []connector.TaskStatus{{State: connector.Running}}})
		m.rereadAiling()
		if n := m.count("put c 2"); n > 0 {
			t.Errorf("a connector that runs was begun anew: %q", m.worker.was())
		}
		m.worker.show(connector.Status{Connector: "c", State: connector.Running, Tasks: []connector.TaskStatus{{State: connector.Running}, {Task: 1, State: connector.Restarting}}})
		m.rereadAiling()
		if n := m.count("put c 2 RUNNING"); n != 1 {
			t.Errorf("with the new value the connector was not begun anew: %q", m.worker.was())
		}
		// What it runs with is kept as long as nothing better is there.
		r.gone()
		m.rereadAiling()
		if n := m.count("unfit"); n > 0 {
			t.Errorf("a connector that could go on was failed: %q", m.worker.was())
		}
		must[ConnectorStatus](t)(m.Restart(t.Context(), "c", false, false))
		m.hears(t, "unfit c")
		m.worker.show(connector.Status{Connector: "c", State: connector.Failed})
		m.rereadAiling()
		if n := m.count("unfit"); n != 1 {
			t.Errorf("told %d times that it can't be run: %q", n, m.worker.was())
		}
		r.holds(3)
		m.rereadAiling()
		if n := m.count("put c 3 RUNNING"); n != 1 {
			t.Errorf("once the file is back the connector isn't run: %q", m.worker.was())
		}
	})
}

// A connector that can't run for what its reference leads to does run once that is
// replaced, without anybody's doing.
func TestConnectorRunsOnceItsReferenceLeadsToWhatIsRight(t *testing.T) {
	h := newHerd(t)
	h.insert(20)
	path := filepath.Join(t.TempDir(), "table")
	put := func(table string) {
		if err := os.WriteFile(path, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("no.such")
	m := h.join("a:8083", memberOptions{files: []File{h.file("orders", "kudu.table", "${file:"+path+"}")}})
	ails := func(state State) func() bool {
		return func() bool {
			s, err := m.Status(t.Context(), "orders")
			return err == nil && (s.Connector.State == state)
		}
	}
	h.eventually("the connector fails", ails(State(connector.Failed)))
	m.rereadAiling()
	if !ails(State(connector.Failed))() {
		t.Error("it runs though nothing was replaced")
	}
	put(tableName)
	m.rereadAiling()
	m.become("orders", connector.Running, connector.Running, connector.Running)
	h.published(0)
}

func TestConfigurationsOfRESTMayNotReadTheWorkersFiles(t *testing.T) {
	r := newRotated(t)
	m := newFakes(t).join("a", nil)
	ctx := t.Context()
	for key, value := range map[string]string{"tasks.max": r.reference(), "kudu.tls.ca.file": r.path, "kudu.table": "${env:HOME}"} {
		_, err := m.Create(ctx, CreateRequest{Name: "c", Config: plain("c", key, value)})
		wantKind(t, err, Invalid, "configurations given by REST may not read")
		infos := must[ConfigInfos](t)(m.Validate(ctx, connector.ConnectorClass, plain("c", "connector.class", connector.ConnectorClass, key, value)))
		if infos.ErrorCount != 1 {
			t.Errorf("%s: %s: validation counts %d errors", key, value, infos.ErrorCount)
		}
	}
	if got := must[[]string](t)(m.Connectors(ctx)); len(got) > 0 {
		t.Errorf("connectors %v were made", got)
	}
}
