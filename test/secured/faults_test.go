package secured

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// ask sends a request to the worker's REST interface.
func (w *worker) ask(t *testing.T, method, path string) (code int, body []byte) {
	t.Helper()
	line, err := w.process.WaitLine(within(t, patience), func(line string) bool {
		return strings.Contains(line, "REST interface listens")
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(within(t, 20*time.Second), method, listening.FindString(line)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, body
}

// task tells the state of the worker's one task, and why.
func (w *worker) task(t *testing.T) (state, trace string) {
	t.Helper()
	var status struct {
		Tasks []struct{ State, Trace string }
	}
	if _, body := w.ask(t, http.MethodGet, "/connectors/orders/status"); json.Unmarshal(body, &status) != nil || len(status.Tasks) != 1 {
		return "", ""
	}
	return status.Tasks[0].State, status.Tasks[0].Trace
}

// restartTask has the worker's one task run again.
func (w *worker) restartTask(t *testing.T) {
	t.Helper()
	testenv.Await(t, patience, "the task is restarted", func() bool {
		code, _ := w.ask(t, http.MethodPost, "/connectors/orders/tasks/0/restart")
		return code/100 == 2
	})
}

// becomes waits for a state of the task with a reason, and gives the reason whole.
func (w *worker) becomes(t *testing.T, within time.Duration, state, says string) (trace string) {
	t.Helper()
	now := ""
	testenv.Await(t, within, "the task is "+state+" for "+says, func() bool {
		now, trace = w.task(t)
		return now == state && strings.Contains(trace, says)
	})
	return trace
}

// behind is a cluster with all demands whose servers, KDC included, can be held up.
type behind struct {
	kdc      *testenv.KDC
	cluster  *testenv.Kudu
	conf     string // krb5.conf
	acl      string // the file of the flag --user_acl
	way      *gate  // to the KDC
	master   *gate
	tservers func() []*gate
	writer   *kudu.Client // goes past the gates
}

// newBehind has tickets of a user that last so long, and tokens that last less.
func newBehind(t *testing.T, life time.Duration) *behind {
	t.Helper()
	b := &behind{kdc: testenv.NewKDC(t), acl: t.TempDir() + "/flags"}
	b.way = newGate(t, b.kdc.Addr())
	b.conf = confBehind(t, b.kdc, b.way)
	b.admit(t, user)
	var proxy func(string) (string, error)
	proxy, b.tservers = gates(t)
	b.cluster = testenv.NewKudu(t, testenv.KuduConfig{
		Kerberos: b.kdc, Proxy: proxy,
		Flags:             []string{"--flagfile=" + b.acl, "--rpc_encrypt_loopback_connections=true", "--rpc_default_keepalive_time_ms=1000"},
		MasterFlags:       []string{"--authn_token_validity_seconds=6", "--authz_token_validity_seconds=3"},
		TabletServerFlags: []string{"--tserver_enforce_access_control=true"},
	})
	b.master = newGate(t, b.cluster.Masters()[0])
	if err := b.kdc.AddUser(t.Context(), user, password, life); err != nil {
		t.Fatal(err)
	}
	owner, err := b.kdc.Keytab(t.Context(), testenv.KuduAdmin)
	if err != nil {
		t.Fatal(err)
	}
	b.writer, _ = newClient(t, kudu.Config{
		Masters:  b.cluster.Masters(),
		Security: kudu.Security{Kerberos: &kudu.Kerberos{Principal: testenv.KuduAdmin, Keytab: owner, Conf: b.kdc.ClientConf()}},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			for _, g := range b.tservers() {
				if addr == g.addr {
					addr = g.server
				}
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	return b
}

// servers are the addresses by which the worker knows Kudu's servers. Which of them
// is the first to refuse it depends on what a task was about to do.
func (b *behind) servers() []string {
	all := []string{b.master.addr}
	for _, g := range b.tservers() {
		all = append(all, g.addr)
	}
	return all
}

// admit says which users the servers let in from their next start on.
func (b *behind) admit(t *testing.T, users string) {
	t.Helper()
	if err := os.WriteFile(b.acl, []byte("--user_acl="+users+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hold holds up Kudu's servers, or lets them go.
func (b *behind) hold(at point) {
	for _, g := range append(b.tservers(), b.master) {
		g.hold(at)
	}
}

// cut breaks the connections to Kudu's servers.
func (b *behind) cut() {
	for _, g := range append(b.tservers(), b.master) {
		g.cut()
	}
}

// credentials are keys for the user with the password.
func (b *behind) credentials() string {
	return "kudu.authentication: kerberos\nkudu.kerberos.principal: " + user + "\nkudu.kerberos.password: ${env:PASSWORD}\nkudu.kerberos.krb5.conf: " + b.conf + "\n"
}

// TestFaultsOfARunningTaskAreNamedWithoutAStormAndMended breaks what a task
// authenticates by while it runs, and mends it again. Rows that are written
// meanwhile are published once.
func TestFaultsOfARunningTaskAreNamedWithoutAStormAndMended(t *testing.T) {
	t.Parallel()
	const life = 6 * time.Second
	b := newBehind(t, life)
	kafka := testenv.SharedKafka(t)
	table := newTable(t, b.writer, "faults", 0)
	w := newWorker(t, kafka, []string{b.master.addr}, table.Name(), b.credentials())
	w.start(t)
	r := newReader(t, kafka, table.Name())
	written := 0
	write := func() {
		t.Helper()
		insert(t, table, written, 5)
		written += 5
	}
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	restartServers := func() {
		for _, s := range b.cluster.Servers() {
			try(s.Restart(t.Context()))
		}
	}
	for _, tc := range []struct {
		name        string
		spoil, mend func()
		state       string // that it comes to
		says        []string
		whom        []string // it was asked; one of these is named
	}{
		{
			"changed password",
			func() { try(b.kdc.ChangePassword(t.Context(), user, "another-"+password)) },
			func() { try(b.kdc.ChangePassword(t.Context(), user, password)) },
			"FAILED", []string{"not authenticated", "wrong password or keytab for alice@KUDU.TEST (KDC_ERR_PREAUTH_FAILED)"}, b.servers(),
		},
		{
			"locked user",
			func() { try(b.kdc.Lock(t.Context(), user)) }, func() { try(b.kdc.Unlock(t.Context(), user)) },
			"FAILED", []string{"not authenticated", "the KDC has locked or revoked the principal alice@KUDU.TEST"}, b.servers(),
		},
		{
			"KDC without an answer",
			func() { b.way.hold(atAccept) }, func() { b.way.hold(nowhere) },
			"RESTARTING", []string{"no Kerberos KDC answers for realm KUDU.TEST"}, []string{b.way.addr},
		},
		{
			"revoked user",
			func() { b.admit(t, "nobody"); restartServers() }, func() { b.admit(t, user); restartServers() },
			"FAILED", []string{"not authorized: alice@KUDU.TEST lacks the right: Not authorized: unauthorized access to method"}, b.servers(),
		},
	} {
		write()
		r.await(t, written, patience)
		began := time.Now()
		tc.spoil()
		b.cut()
		write()
		trace := w.becomes(t, patience, tc.state, tc.says[0])
		for _, text := range tc.says {
			if !strings.Contains(trace, text) {
				t.Errorf("%s: %q isn't in the task's trace: %s", tc.name, text, trace)
			}
		}
		if !slices.ContainsFunc(tc.whom, func(who string) bool { return strings.Contains(trace, who) }) {
			t.Errorf("%s: none of %q is in the task's trace: %s", tc.name, tc.whom, trace)
		}
		came := time.Since(began)
		// It stays so, quietly.
		<-time.After(2 * time.Second)
		took := time.Since(began)
		atKDC, atMaster := b.way.since(began), b.master.since(began)
		// A few come soon after one another, at the beginning.
		if float64(atKDC) > 12+took.Seconds() || float64(atMaster) > 10+2*took.Seconds() {
			t.Errorf("%s: %d connections to the KDC and %d to the master in %s", tc.name, atKDC, atMaster, took)
		}
		t.Logf("%s: %s after %s; %d connections to the KDC and %d to the master in %s: %s", tc.name, tc.state, came, atKDC, atMaster, took, trace)
		// What is RESTARTING may just be trying again.
		w.becomes(t, patience, tc.state, tc.says[0])
		tc.mend()
		if tc.state == "FAILED" {
			w.restartTask(t)
		}
		mended := time.Now()
		write()
		r.await(t, written, patience)
		t.Logf("%s: rows again %s after it was mended", tc.name, time.Since(mended))
	}
}

// TestServersThatStallCostAWorkerABoundedWait holds up Kudu at each point of a
// negotiation, and the KDC, under a worker that runs, that starts and that is to
// end.
func TestServersThatStallCostAWorkerABoundedWait(t *testing.T) {
	t.Parallel()
	const (
		life = 5 * time.Second
		// An operation has 5 s, a KDC 3 s; the machine has other things to do.
		stallBound = 30 * time.Second
	)
	b := newBehind(t, life)
	kafka := testenv.SharedKafka(t)
	table := newTable(t, b.writer, "stalls", 0)
	w := newWorker(t, kafka, []string{b.master.addr}, table.Name(), b.credentials())
	r := newReader(t, kafka, table.Name())
	written := 0
	write := func() {
		t.Helper()
		insert(t, table, written, 5)
		written += 5
	}
	for at, name := range points {
		write()
		w.start(t)
		r.await(t, written, patience)
		b.hold(at)
		if at == atAccept {
			b.way.hold(at) // of all, nobody says anything
		}
		b.cut()
		write()
		began := time.Now()
		// The servers have no other names than these.
		w.becomes(t, stallBound, "RESTARTING", "127.0.0.1:")
		failed := time.Since(began)
		began = time.Now()
		if err := w.process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		code, err := w.process.Wait(within(t, 20*time.Second))
		if took := time.Since(began); err != nil || code != 0 || took > 10*time.Second {
			t.Errorf("held up at %s: exit code %d, %v, %s after SIGTERM", name, code, err, took)
		} else {
			t.Logf("held up at %s: the task says so after %s, the worker ends %s after SIGTERM", name, failed, took)
		}
		b.way.hold(nowhere)
		b.hold(nowhere)
	}
	w.start(t)
	r.await(t, written, patience)

	// Real servers that stand still, with the worker's connections open.
	for _, s := range b.cluster.Servers() {
		if err := s.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.becomes(t, stallBound, "RESTARTING", "127.0.0.1:")
	began := time.Now()
	code, err := w.process.Terminate(t.Context())
	if took := time.Since(began); err != nil || code != 0 || took > 10*time.Second {
		t.Errorf("with paused servers: exit code %d, %v, %s after SIGTERM", code, err, took)
	}
	for _, s := range b.cluster.Servers() {
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWorkerThatStartsBeforeServersThatStallEndsInTime starts one for each point
// at which a master or the KDC may stand still.
func TestWorkerThatStartsBeforeServersThatStallEndsInTime(t *testing.T) {
	t.Parallel()
	b := newBehind(t, 0)
	kafka := testenv.SharedKafka(t)
	table := newTable(t, b.writer, "starts", 0)
	keys := func(kdc *gate) string {
		return strings.Replace(b.credentials(), b.conf, confBehind(t, b.kdc, kdc), 1)
	}
	workers := map[string]*worker{}
	says := map[string][]string{}
	for at, name := range points {
		g := newGate(t, b.cluster.Masters()[0])
		g.hold(at)
		workers[name] = newWorker(t, kafka, []string{g.addr}, table.Name(), keys(b.way))
		says[name] = []string{"kudu.masters: ", g.addr, "start Kudu, or correct the addresses"}
	}
	silent := newGate(t, b.kdc.Addr())
	silent.hold(atAccept)
	workers["KDC"] = newWorker(t, kafka, []string{b.master.addr}, table.Name(), keys(silent))
	says["KDC"] = []string{"kudu.kerberos.krb5.conf: ", "no Kerberos KDC answers for realm KUDU.TEST: asking " + silent.addr, "start the KDC, or correct its address in krb5.conf"}
	// This one waits for the KDC as long as it takes.
	patient := newWorker(t, kafka, []string{b.master.addr}, table.Name(), keys(silent))
	if err := replaceIn(patient.dir+"/worker.yaml", "startup.wait.ms: 1000", "startup.wait.ms: -1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	patient.start(t)
	for _, w := range workers {
		w.start(t)
	}
	for name, w := range workers {
		code, err := w.process.Wait(within(t, patience))
		text := w.read(t)
		if err != nil || code != 2 {
			t.Errorf("%s: exit code %d, %v", name, code, err)
		}
		for _, part := range says[name] {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q isn't in the log:\n%s", name, part, text)
			}
		}
	}
	// The check has 15 s, after startup.wait.ms of 1 s.
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the last worker ended after %s", took)
	} else {
		t.Logf("the last worker ended after %s", took)
	}
	insert(t, table, 0, 10)
	silent.hold(nowhere)
	newReader(t, kafka, table.Name()).await(t, 10, patience)
}

func replaceIn(path, old, by string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), old) {
		return fmt.Errorf("%q isn't in %s", old, path)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), old, by, 1)), 0o600)
}
