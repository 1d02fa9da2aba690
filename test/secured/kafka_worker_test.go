package secured

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// waiting has a worker wait for Kafka however long that takes to answer: on a busy machine
// a broker may need more than the time that a worker's first look has.
const waiting = "startup.wait.ms: -1\n"

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
		testenv.ShowLog(t, "the program", w.log, 60)
	})
	return w
}

// kuduTable makes a table with rows on the shared cluster.
func kuduTable(t *testing.T, name string, rows int) *kudu.Table {
	t.Helper()
	c, _ := newClient(t, kudu.Config{Masters: testenv.SharedKudu(t).Masters()})
	return newTable(t, c, name, rows)
}

// awaitAll reads until each of the topics has so many ids, and for a second more.
func awaitAll(t *testing.T, readers map[string]*reader, ids int, patience time.Duration) {
	t.Helper()
	began := time.Now()
	for topic, r := range readers {
		for len(r.seen) < ids {
			if time.Since(began) > patience {
				t.Fatalf("%d of %d rows were published in %s", len(r.seen), ids, topic)
			}
			r.poll(t, time.Second)
		}
	}
	for began = time.Now(); time.Since(began) < time.Second; {
		for _, r := range readers {
			r.poll(t, 20*time.Millisecond)
		}
	}
	for topic, r := range readers {
		for id, times := range r.seen {
			if times != 1 || id >= int64(ids) {
				t.Errorf("row %d was published %d times in %s", id, times, topic)
			}
		}
	}
}

// stop ends the program in order, once it listens to signals.
func (w *worker) stop(t *testing.T) {
	t.Helper()
	if _, err := w.process.WaitLine(within(t, patience), func(line string) bool { return strings.Contains(line, "starting") }); err != nil {
		t.Error(err)
	}
	if code, err := w.process.Terminate(within(t, 15*time.Second)); err != nil || code != 0 {
		t.Errorf("the program ended with %d, %v", code, err)
	}
}

// provider is a token endpoint, which gives tokens of the user.
type provider struct {
	*httptest.Server
	asked atomic.Int64
}

func newProvider(t *testing.T, issuer *testenv.TokenIssuer, life time.Duration) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		client, secret, _ := r.BasicAuth()
		if client != "kudu2kafka" || secret != password {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		token, err := issuer.Token(kafkaUser, time.Now(), life)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, token, int(life.Seconds()))
	}))
	t.Cleanup(p.Close)
	return p
}

// keys are those of a worker's file.
func (p *provider) keys() string {
	return "sasl.oauthbearer.token.endpoint.url: " + p.URL + "/token\nsasl.oauthbearer.client.credentials.client.id: kudu2kafka\n" +
		"sasl.oauthbearer.client.credentials.client.secret: ${env:PASSWORD}\n"
}
