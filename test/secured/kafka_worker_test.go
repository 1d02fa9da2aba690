package secured

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// kafkaUser is whom tests are in Kafka; its password is that of the other tests.
const kafkaUser = "worker"

// program is built once for all tests that need no Kudu with Kerberos.
var program struct {
	sync.Mutex
	path string
}

// binary builds the program.
func binary(t *testing.T) string {
	t.Helper()
	program.Lock()
	defer program.Unlock()
	if program.path != "" {
		return program.path
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("kudu2kafka-secured-%d", os.Getpid()))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/kudu2kafka/kudu2kafka/cmd/kudu2kafka")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	program.path = path
	return path
}

// removeBinary is for the end of all tests.
func removeBinary() {
	if program.path != "" {
		_ = os.Remove(program.path)
	}
}

// newKafkaWorker writes the files of a worker that reads the table into a topic of
// the group's name.
func newKafkaWorker(t *testing.T, group string, table *kudu.Table, security string) *worker {
	t.Helper()
	dir := t.TempDir()
	w := &worker{binary: binary(t), dir: dir, log: filepath.Join(dir, "log"), env: []string{"PASSWORD=" + password}}
	for name, text := range map[string]string{
		"worker.yaml": fmt.Sprintf("group.id: %s\ngroup.instance.id: one\nlisteners: http://127.0.0.1:0\nsession.timeout.ms: 6000\nheartbeat.interval.ms: 1000\n%s", group, security),
		"orders.yaml": fmt.Sprintf("name: orders\ntasks.max: 1\nkudu.masters: %s\nkudu.table: %s\ntopic: %s\nstreaming.key: id\npoll.interval.ms: 50\npoll.interval.max.ms: 100\n",
			strings.Join(testenv.SharedKudu(t).Masters(), ","), table.Name(), group),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if w.process != nil {
			if err := w.process.Kill(); err != nil {
				t.Error(err)
			}
			keepsSecrets(t, "the program's log", w.read(t))
		}
		if t.Failed() {
			t.Logf("the program's log:\n%s", testenv.Tail(w.log, 60))
		}
	})
	return w
}

// kuduTable makes a table with rows on the shared cluster.
func kuduTable(t *testing.T, name string, rows int) *kudu.Table {
	t.Helper()
	c, _ := newClient(t, kudu.Config{Masters: testenv.SharedKudu(t).Masters()})
	return newTable(t, c, name, rows)
}

// stop ends the program in order.
func (w *worker) stop(t *testing.T) {
	t.Helper()
	if code, err := w.process.Terminate(within(t, 15*time.Second)); err != nil || code != 0 {
		t.Errorf("the program ended with %d, %v", code, err)
	}
}
