package secured

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// worker is the program, on a connector of its own.
type worker struct {
	binary, dir, log string
	env              []string
	process          *testenv.Process
}

func (w *worker) start(t *testing.T) {
	t.Helper()
	process, err := testenv.StartProcess(testenv.Command{
		Name: "kudu2kafka", Path: w.binary, Args: []string{"run", w.dir + "/worker.yaml", w.dir + "/orders.yaml"}, Env: w.env, Log: w.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.process = process
}

func (w *worker) read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newWorker writes the files of a program as it is shipped.
func newWorker(t *testing.T, kafka *testenv.Kafka, masters []string, table, authentication string) *worker {
	t.Helper()
	dir := t.TempDir()
	w := &worker{binary: testenv.Program(t, true), dir: dir, log: filepath.Join(dir, "log"), env: []string{"PASSWORD=" + password}}
	for name, text := range map[string]string{
		"worker.yaml": fmt.Sprintf("bootstrap.servers: %s\ngroup.id: %s\nlisteners: http://127.0.0.1:0\nsession.timeout.ms: 6000\nheartbeat.interval.ms: 1000\nstartup.wait.ms: 1000\nlog.level: debug\n",
			kafka.BootstrapServers(), table),
		"orders.yaml": fmt.Sprintf(`name: orders
tasks.max: 1
kudu.masters: %s
kudu.table: %s
topic: %s
streaming.key: id
poll.interval.ms: 100
poll.interval.max.ms: 200
kudu.operation.timeout.ms: 5000
errors.retry.delay.max.ms: 1000
%s`, strings.Join(masters, ","), table, table, authentication),
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

// reader counts the committed records of each id.
type reader struct {
	client *kgo.Client
	seen   map[int64]int
}

func newReader(t *testing.T, kafka *testenv.Kafka, topic string) *reader {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.BootstrapServers()), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.UnknownTopicRetries(-1),
		kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &reader{client: client, seen: map[int64]int{}}
}

// poll takes what comes within the time.
func (r *reader) poll(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r.client.PollFetches(ctx).EachRecord(func(record *kgo.Record) {
		var row struct{ ID int64 }
		if err := json.Unmarshal(record.Value, &row); err != nil {
			t.Fatalf("record %s: %v", record.Value, err)
		}
		r.seen[row.ID]++
	})
}

// await reads until so many ids are there, and for a second more.
func (r *reader) await(t *testing.T, ids int, patience time.Duration) {
	t.Helper()
	for began := time.Now(); len(r.seen) < ids; r.poll(t, time.Second) {
		if time.Since(began) > patience {
			t.Fatalf("%d of %d rows were published", len(r.seen), ids)
		}
	}
	r.poll(t, time.Second)
	for id, times := range r.seen {
		if times != 1 || id >= int64(ids) {
			t.Errorf("row %d was published %d times", id, times)
		}
	}
}

// lacksKDC tells whether a line of the program's log says that a task doesn't run for
// want of a KDC; that tickets can't be renewed is told before.
func lacksKDC(line string) bool {
	return strings.Contains(line, "task restarts") && strings.Contains(line, "no Kerberos KDC answers for realm KUDU.TEST")
}

// logins is how often the user has got a ticket-granting ticket.
func logins(t *testing.T, kdc *testenv.KDC) int {
	t.Helper()
	n, err := kdc.Logins(user)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRowsArePublishedOnceWhileEverythingExpires runs the program on a cluster
// with all that Kudu can demand, by tickets of 15 s and tokens of 10 s and 5 s.
// It is killed twice, and is without a KDC for longer than its tickets last.
func TestRowsArePublishedOnceWhileEverythingExpires(t *testing.T) {
	t.Parallel()
	const life = 15 * time.Second
	kdc := testenv.NewKDC(t)
	proxy, behind := gates(t)
	cluster := strictBehind(t, kdc, proxy, "--authn_token_validity_seconds=10", "--authz_token_validity_seconds=5")
	kafka := testenv.SharedKafka(t)
	// The writer has tickets that last.
	if err := kdc.AddUser(t.Context(), user, password, life); err != nil {
		t.Fatal(err)
	}
	owner, err := kdc.Keytab(t.Context(), testenv.KuduAdmin)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{
		Kerberos: &kudu.Kerberos{Principal: testenv.KuduAdmin, Keytab: owner, Conf: kdc.ClientConf()},
	}})
	table := newTable(t, c, "expiring", 0)
	w := newWorker(t, kafka, cluster.Masters(), table.Name(), `kudu.authentication: kerberos
kudu.kerberos.principal: `+user+`
kudu.kerberos.password: ${env:PASSWORD}
kudu.kerberos.krb5.conf: `+kdc.ClientConf()+"\n")
	w.start(t)
	r := newReader(t, kafka, table.Name())
	written := 0
	flow := func(d time.Duration) {
		for began := time.Now(); time.Since(began) < d; <-time.After(200 * time.Millisecond) {
			insert(t, table, written, 5)
			written += 5
		}
	}
	for range 2 {
		flow(life)
		if err := w.process.Kill(); err != nil {
			t.Fatal(err)
		}
		w.start(t)
	}
	flow(life / 2)
	r.await(t, written, patience)

	// A worker goes on without the KDC while it has a ticket, and says what it lacks
	// when that has expired. This one has just been got, and lasts longer than what a slow
	// machine takes for two times five rows.
	if err := kdc.SetLife(t.Context(), user, 40*time.Second); err != nil {
		t.Fatal(err)
	}
	before := logins(t, kdc)
	testenv.Await(t, patience, "the ticket is renewed", func() bool { return logins(t, kdc) > before })
	insert(t, table, written, 5)
	written += 5
	r.await(t, written, patience)
	if err := kdc.Kill(); err != nil {
		t.Fatal(err)
	}
	from := w.process.LogSize()
	for _, g := range behind() {
		g.cut()
	}
	insert(t, table, written, 5)
	written += 5
	r.await(t, written, patience)
	for line := range strings.Lines(w.read(t)[from:]) {
		if lacksKDC(line) {
			t.Errorf("rows came only after the ticket had expired: %s", line)
		}
	}
	if _, _, err := w.process.WaitLineFrom(within(t, patience), from, lacksKDC); err != nil {
		t.Fatal(err)
	}
	if err := kdc.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, table, written, 5)
	written += 5
	r.await(t, written, patience)
	t.Logf("%d rows, each once", written)
}

// TestProgramNamesTheKeyOfAFaultInItsCredentials starts the program on faults.
func TestProgramNamesTheKeyOfAFaultInItsCredentials(t *testing.T) {
	kdc := testenv.NewKDC(t)
	cluster := strict(t, kdc)
	kafka := testenv.SharedKafka(t)
	if err := kdc.AddUser(t.Context(), user, "another-"+password, 0); err != nil {
		t.Fatal(err)
	}
	keytab, err := kdc.Keytab(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ keys, says string }{
		// The credentials are right.
		"plain build": {"kudu.authentication: kerberos\nkudu.kerberos.principal: " + user + "\nkudu.kerberos.keytab: " + keytab + "\nkudu.kerberos.krb5.conf: " + kdc.ClientConf(),
			"this program was built without what it takes to read the certificates that a Kudu server with Kerberos makes for itself: build it by make build"},
		"wrong password": {"kudu.authentication: kerberos\nkudu.kerberos.principal: " + user + "\nkudu.kerberos.password: ${env:PASSWORD}\nkudu.kerberos.krb5.conf: " + kdc.ClientConf(),
			"wrong password or keytab for alice@KUDU.TEST"},
		"no authentication": {"kudu.authentication: none", "write kudu.authentication: kerberos or jwt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, kafka, cluster.Masters(), "none", tc.keys+"\n")
			if name == "plain build" {
				w.binary = testenv.Program(t, false)
			}
			w.start(t)
			code, err := w.process.Wait(within(t, patience))
			text := w.read(t)
			if err != nil || code != 2 || !strings.Contains(text, "kudu.authentication: ") || !strings.Contains(text, tc.says) {
				t.Errorf("exit code %d, %v:\n%s", code, err, text)
			}
		})
	}
}
