package secured

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// TestKafkaThatStallsOrCannotBeProvedToCostsABoundedWait runs programs on a broker that
// falls silent, on tickets and tokens that expire, and on a password that is mended.
func TestKafkaThatStallsOrCannotBeProvedToCostsABoundedWait(t *testing.T) {
	t.Parallel()
	kdc := testenv.NewKDC(t)
	proxy, ways := gates(t)
	kafka := testenv.NewKafka(t, testenv.KafkaConfig{
		Security: &testenv.KafkaSecurity{Users: map[string]string{kafkaUser: password}, KDC: kdc, Proxy: proxy},
		// Sessions end, so that what they are opened with is needed again and again.
		Properties: map[string]string{"listener.name.sasl_ssl.connections.max.reauth.ms": "4000"},
	})
	for _, g := range ways() {
		g.before = beforeKafka
	}
	t.Run("broker", func(t *testing.T) { t.Parallel(); stallingBroker(t, kafka, ways()) })
	t.Run("tickets", func(t *testing.T) { t.Parallel(); ticketsForKafka(t, kafka, kdc) })
	t.Run("token file", func(t *testing.T) { t.Parallel(); tokenFileForKafka(t, kafka) })
	t.Run("restart", func(t *testing.T) { t.Parallel(); restartOfWhatKafkaRefuses(t, kafka) })
}

// says waits until the connector is in that state, and the status of it or of a task has
// the text: a task may tell it before the group does.
func (w *worker) says(t *testing.T, within time.Duration, state, text string) (status connectorStatus) {
	t.Helper()
	if !testenv.Eventually(t.Context(), within, func() bool {
		status = w.status(t)
		return status.Connector.State == state && strings.Contains(status.String(), text)
	}) {
		t.Fatalf("not within %v: the connector is %s and the status tells %q: %v", within, state, text, status)
	}
	return status
}

// stallingBroker has the broker stand still at each point of opening a connection,
// and with the connections open.
func stallingBroker(t *testing.T, kafka *testenv.Kafka, ways []*gate) {
	s := kafka.Secured()
	through := func(addr string) *gate {
		for _, g := range ways {
			if g.addr == addr {
				return g
			}
		}
		t.Fatalf("no gate at %s", addr)
		return nil
	}
	pair, err := s.Authority.Issue(testenv.CertificateSpec{Name: kafkaUser})
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own.pem")
	if err := pair.Write(own); err != nil {
		t.Fatal(err)
	}
	table := kuduTable(t, "stalling", 10)
	written := 10
	gated := map[string]*gate{"by-tls": through(s.SSL), "by-password": through(s.SASLPlaintext)}
	workers, readers := map[string]*worker{}, map[string]*reader{}
	for name, security := range map[string]string{
		"by-tls": "bootstrap.servers: " + s.SSL + "\nsecurity.protocol: SSL\nssl.truststore.location: " + s.CAFile + "\nssl.keystore.location: " + own + "\n",
		"by-password": "bootstrap.servers: " + s.SASLPlaintext + "\nsecurity.protocol: SASL_PLAINTEXT\nsasl.mechanism: SCRAM-SHA-512\nsasl.username: " + kafkaUser +
			"\nsasl.password: ${env:PASSWORD}\n",
	} {
		workers[name] = newKafkaWorker(t, name, table, waiting+security)
		workers[name].add(t, "errors.retry.delay.max.ms: 500\ntransaction.timeout.ms: 5000\ntransaction.boundary.interval.ms: 500\n")
		workers[name].start(t)
		readers[name] = newReader(t, kafka, name)
	}
	for _, round := range []struct {
		at  map[string]point
		cut bool
	}{
		{map[string]point{"by-tls": atAccept, "by-password": atNegotiate}, true},
		{map[string]point{"by-tls": atTLS, "by-password": atSASL}, true},
		{map[string]point{"by-tls": atAccept, "by-password": atAccept}, false},
	} {
		insert(t, table, written, 5)
		written += 5
		awaitAll(t, readers, written, patience)
		for name, g := range gated {
			g.hold(round.at[name])
			if round.cut {
				g.cut()
			}
		}
		insert(t, table, written, 5)
		written += 5
		began := time.Now()
		for name, w := range workers {
			// The session of 6 s, a last answer to it and a connection, 10 s each, on a busy
			// machine.
			status := w.says(t, time.Minute, "RESTARTING", gated[name].addr)
			t.Logf("%s, held up before %s: after %v the status is %v", name, points[round.at[name]], time.Since(began), status)
		}
		for name, w := range workers {
			asked := time.Now()
			if err := w.process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			code, err := w.process.Wait(within(t, 20*time.Second))
			if took := time.Since(asked); err != nil || code != 0 || took > 10*time.Second {
				t.Errorf("%s, held up before %s: exit code %d, %v, %v after SIGTERM", name, points[round.at[name]], code, err, took)
			} else {
				t.Logf("%s ends %v after SIGTERM", name, took)
			}
		}
		for name, w := range workers {
			gated[name].hold(nowhere)
			w.start(t)
		}
		awaitAll(t, readers, written, patience)
	}
	for _, w := range workers {
		w.stop(t)
	}
}

// ticketsForKafka has tickets of 10 s for a while, and one of 40 s, then no KDC, and then one again.
func ticketsForKafka(t *testing.T, kafka *testenv.Kafka, kdc *testenv.KDC) {
	const life = 10 * time.Second
	if err := kdc.AddUser(t.Context(), kafkaUser, password, life); err != nil {
		t.Fatal(err)
	}
	keytab, err := kdc.Keytab(t.Context(), kafkaUser)
	if err != nil {
		t.Fatal(err)
	}
	s := kafka.Secured()
	table := kuduTable(t, "tickets", 10)
	written := 10
	w := newKafkaWorker(t, "by-tickets", table, waiting+"bootstrap.servers: "+s.SASLSSL+"\nsecurity.protocol: SASL_SSL\nssl.truststore.location: "+s.CAFile+
		"\nsasl.mechanism: GSSAPI\nsasl.kerberos.principal: "+kafkaUser+"\nsasl.kerberos.keytab: "+keytab+"\nsasl.kerberos.krb5.conf: "+kdc.ClientConf()+"\n")
	w.add(t, "errors.retry.delay.max.ms: 500\n")
	w.start(t)
	r := newReader(t, kafka, "by-tickets")
	flow := func() {
		t.Helper()
		insert(t, table, written, 5)
		written += 5
		r.await(t, written, patience)
	}
	got := func() int {
		n, err := kdc.Logins(kafkaUser)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	flow()
	for first := got(); got() < first+2; {
		flow()
	}
	// A ticket that has just been got has its life before it, longer than what a slow
	// machine takes for five rows.
	const last = 40 * time.Second
	if err := kdc.SetLife(t.Context(), kafkaUser, last); err != nil {
		t.Fatal(err)
	}
	before := got()
	testenv.Await(t, patience, "the ticket is renewed", func() bool { return got() > before })
	renewed := time.Now()
	flow() // the KDC tells of a ticket in its log before the program has its answer
	if err := kdc.Kill(); err != nil {
		t.Fatal(err)
	}
	died := time.Now()
	flow()
	if status := w.status(t); strings.Contains(status.String(), "no Kerberos KDC answers") && time.Since(renewed) < last/2 {
		t.Errorf("%v after the KDC's end: %v", time.Since(died), status)
	}
	status := w.says(t, patience, "RESTARTING", "no Kerberos KDC answers for realm KUDU.TEST")
	t.Logf("%v after the KDC's end: %v", time.Since(died), status)
	insert(t, table, written, 5)
	written += 5
	if err := kdc.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	r.await(t, written, patience)
	t.Logf("rows again %v after the KDC is back", time.Since(back))
	w.stop(t)
}

// tokenFileForKafka has tokens of 5 s, and nobody who replaces them for a while.
func tokenFileForKafka(t *testing.T, kafka *testenv.Kafka) {
	s := kafka.Secured()
	path := filepath.Join(t.TempDir(), "token")
	put := func() {
		t.Helper()
		token, err := s.Tokens.Token(kafkaUser, time.Now(), 5*time.Second)
		if err == nil {
			err = os.WriteFile(path+".new", []byte(token), 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	table := kuduTable(t, "token-file", 10)
	w := newKafkaWorker(t, "by-file", table, "bootstrap.servers: "+s.SASLSSL+"\nsecurity.protocol: SASL_SSL\nssl.truststore.location: "+s.CAFile+
		"\nsasl.mechanism: OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url: file://"+path+"\n"+waiting)
	w.add(t, "errors.retry.delay.max.ms: 500\n")
	put()
	w.start(t)
	r := newReader(t, kafka, "by-file")
	// It may take more than one token to begin with, on a slow machine.
	for written, began := 10, time.Now(); len(r.seen) < written; put() {
		if time.Since(began) > patience {
			t.Fatalf("%d of %d rows were published", len(r.seen), written)
		}
		r.poll(t, 3*time.Second)
	}
	w.awaitTrace(t, "which has expired at", patience)
	// By now the pause is longer than a session's life.
	<-time.After(6 * time.Second)
	insert(t, table, 10, 5)
	from := w.process.LogSize()
	put()
	began := time.Now()
	if _, _, err := w.process.WaitLineFrom(within(t, patience), from, func(line string) bool {
		return strings.Contains(line, "there is another token for Kafka; it is tried at once")
	}); err != nil {
		t.Error(err)
	}
	for began := time.Now(); len(r.seen) < 15; put() {
		if time.Since(began) > patience {
			t.Fatalf("%d of 15 rows were published", len(r.seen))
		}
		r.poll(t, 3*time.Second)
	}
	t.Logf("rows again %v after the file was replaced", time.Since(began))
	r.await(t, 15, patience)
	w.stop(t)
}

// restartOfWhatKafkaRefuses asks for a restart by REST, for which the worker itself needs
// Kafka, when a password is right again.
func restartOfWhatKafkaRefuses(t *testing.T, kafka *testenv.Kafka) {
	const other = "other"
	s := kafka.Secured()
	setPasswordOf(t, kafka, other, password)
	table := kuduTable(t, "restarted", 10)
	w := newKafkaWorker(t, "by-other", table, waiting+"log.level: trace\nbootstrap.servers: "+s.SASLSSL+"\nsecurity.protocol: SASL_SSL\nssl.truststore.location: "+s.CAFile+
		"\nsasl.mechanism: SCRAM-SHA-512\nsasl.username: "+other+"\nsasl.password: ${env:PASSWORD}\n")
	w.add(t, "errors.retry.delay.max.ms: 500\n")
	w.start(t)
	r := newReader(t, kafka, "by-other")
	r.await(t, 10, patience)
	setPasswordOf(t, kafka, other, "another")
	w.awaitTrace(t, `it doesn't take the user "other" with the password given, by SCRAM-SHA-512`, patience)
	<-time.After(6 * time.Second)
	insert(t, table, 10, 5)
	setPasswordOf(t, kafka, other, password)
	began := time.Now()
	testenv.Await(t, patience, "the restart is taken", func() bool {
		code, _ := w.ask(t, http.MethodPost, "/connectors/orders/restart?includeTasks=true")
		return code/100 == 2
	})
	t.Logf("the restart is taken after %v", time.Since(began))
	r.await(t, 15, patience)
	t.Logf("rows again %v after the restart was asked for", time.Since(began))
	w.stop(t)
}
