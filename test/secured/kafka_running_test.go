package secured

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// TestRowsArePublishedOnceWhileKafkaCredentialsChange runs a program with a
// certificate, one with a password, and one with tokens, on a broker that is
// restarted with other certificates, other authorities and another password.
func TestRowsArePublishedOnceWhileKafkaCredentialsChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own, door := filepath.Join(dir, "own.pem"), filepath.Join(dir, "door.pem")
	trusted, vanishing := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "vanishing.pem")
	put := func(path string, content ...[]byte) {
		t.Helper()
		temporary := path + ".new"
		var all []byte
		for _, c := range content {
			all = append(all, c...)
		}
		if err := os.WriteFile(temporary, all, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, path); err != nil {
			t.Fatal(err)
		}
	}
	issue := func(a *testenv.Authority, path string, spec testenv.CertificateSpec) {
		t.Helper()
		pair, err := a.Issue(spec)
		if err != nil {
			t.Fatal(err)
		}
		put(path, pair.Key, pair.Certificate)
	}
	authority := func(name string) *testenv.Authority {
		t.Helper()
		a, err := testenv.NewAuthority(name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	server := testenv.CertificateSpec{Name: "broker", Hosts: []string{"127.0.0.1"}}
	first := authority("first")
	issue(first, door, server)
	const listener = "listener.name.sasl_ssl."
	kafka := testenv.NewKafka(t, testenv.KafkaConfig{
		Security: &testenv.KafkaSecurity{Users: map[string]string{kafkaUser: password}},
		Properties: map[string]string{
			// Sessions end, and so tokens must be renewed.
			listener + "connections.max.reauth.ms": "4000",
			// This listener has a certificate of its own.
			listener + "ssl.keystore.type": "PEM", listener + "ssl.keystore.location": door,
		},
	})
	s := kafka.Secured()
	issue(s.Authority, own, testenv.CertificateSpec{Name: kafkaUser})
	put(trusted, s.Authority.PEM())
	put(vanishing, first.PEM())
	provider := newProvider(t, s.Tokens, 6*time.Second)
	trust := "ssl.truststore.location: "
	ways := map[string]string{
		"certificate": "bootstrap.servers: " + s.SSL + "\nsecurity.protocol: SSL\n" + trust + trusted + "\nssl.keystore.location: " + own + "\n",
		"password": "bootstrap.servers: " + s.SASLPlaintext + "\nsecurity.protocol: SASL_PLAINTEXT\nsasl.mechanism: SCRAM-SHA-512\nsasl.username: " + kafkaUser +
			"\nsasl.password: ${env:PASSWORD}\n",
		"token": "bootstrap.servers: " + s.SASLSSL + "\nsecurity.protocol: SASL_SSL\n" + trust + vanishing + "\nsasl.mechanism: OAUTHBEARER\n" + provider.keys(),
	}
	table := kuduTable(t, "changing", 100)
	written := 100
	workers, readers := map[string]*worker{}, map[string]*reader{}
	for name, security := range ways {
		// The longest pause of a task is short, so that it comes to what is FAILED soon.
		workers[name] = newKafkaWorker(t, name, table, waiting+"log.level: trace\n"+security)
		workers[name].add(t, "errors.retry.delay.max.ms: 300\n")
		workers[name].start(t)
		readers[name] = newReader(t, kafka, name)
	}
	flow := func() {
		t.Helper()
		insert(t, table, written, 20)
		written += 20
		awaitAll(t, readers, written, patience)
	}
	flow()

	// Everything is renewed, by another authority that alone counts from then on.
	next := authority("next")
	put(trusted, s.Authority.PEM(), next.PEM())
	put(vanishing, first.PEM(), next.PEM())
	issue(next, own, testenv.CertificateSpec{Name: kafkaUser})
	put(s.CAFile, next.PEM())
	issue(next, s.KeyFile, server)
	issue(next, door, server)
	if err := kafka.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	flow()
	testenv.Await(t, patience, "tokens of 6 s are renewed", func() bool { return provider.asked.Load() > 1 })

	// What is written next to the files can't be used, or they are gone; one of the
	// broker's certificates has expired, one is of an authority that nobody knows, and the
	// user has another password.
	put(own, []byte("-----BEGIN CERTIFICATE-----\nhalf"))
	issue(next, s.KeyFile, testenv.CertificateSpec{Name: "broker", Hosts: server.Hosts, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Minute)})
	issue(authority("strange"), door, server)
	if err := os.Remove(vanishing); err != nil {
		t.Fatal(err)
	}
	setPassword(t, kafka, "another")
	began, from := time.Now(), map[string]int64{}
	for name, w := range workers {
		from[name] = w.process.LogSize()
	}
	if err := kafka.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, table, written, 20)
	written += 20
	faults := map[string]string{
		"certificate": "its certificate (CN=broker) has expired at",
		"token":       "its certificate is issued by an authority that isn't trusted here (CN=strange)",
		"password":    `it doesn't take the user "worker" with the password given, by SCRAM-SHA-512`,
	}
	for name, what := range faults {
		workers[name].awaitTrace(t, what, patience)
	}
	// For as long as a client that asks at each turn would have asked some thirty times.
	<-time.After(10 * time.Second)
	for name, w := range workers {
		w.says(t, patience, "RESTARTING", "")
		if !w.process.Running() {
			t.Errorf("%s: the program has ended", name)
		}
	}
	took := time.Since(began)
	text := workers["password"].read(t)[from["password"]:]
	shown, told := strings.Count(text, "beginning sasl authentication"), strings.Count(text, "[WARN]")
	t.Logf("within %v credentials were shown %d times, and there were %d warnings", took, shown, told)
	// At 0, 0.5, 1.5, 3.5, 7.5 and 15.5 s after the first answer; and should one of the
	// answers take 5 s, another connection goes on without it.
	most := 1
	for at := 500 * time.Millisecond; at < took; at = 2*at + 500*time.Millisecond {
		most++
	}
	most += int(took / (5 * time.Second))
	if shown < 2 || shown > most {
		t.Errorf("credentials were shown %d times within %v, and not 2 to %d times", shown, took, most)
	}

	// Certificates that are refused are looked at again for each part of the program that
	// would connect, one to three a second in all.
	for _, name := range []string{"certificate", "token"} {
		refused := 0
		for line := range strings.Lines(workers[name].read(t)[from[name]:]) {
			if strings.Contains(line, "unable to open connection to broker") && strings.Contains(line, faults[name]) {
				refused++
			}
		}
		took := time.Since(began)
		t.Logf("%s: the broker was refused %d times within %v", name, refused, took)
		if refused == 0 || float64(refused) > 10+4*took.Seconds() {
			t.Errorf("%s: the broker was refused %d times within %v", name, refused, took)
		}
	}

	// All is well again, and goes on by itself.
	issue(next, s.KeyFile, server)
	issue(next, door, server)
	setPassword(t, kafka, password)
	if err := kafka.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, table, written, 20)
	written += 20
	awaitAll(t, readers, written, patience)
	for name, file := range map[string]string{
		"certificate": "ssl.keystore.location: ",
		"token":       "ssl.truststore.location: the file " + vanishing + " cannot be read (no such file",
	} {
		told := false
		for line := range strings.Lines(workers[name].read(t)) {
			told = told || strings.Contains(line, "cannot be used; the ones before stay") && strings.Contains(line, file)
		}
		if !told {
			t.Errorf("%s: the log doesn't tell that %q", name, file)
		}
	}
	for _, w := range workers {
		w.stop(t)
	}
}

// setPassword gives the user another password, for SCRAM.
func setPassword(t *testing.T, kafka *testenv.Kafka, to string) {
	t.Helper()
	setPasswordOf(t, kafka, kafkaUser, to)
}

// setPasswordOf makes a user, or gives one another password.
func setPasswordOf(t *testing.T, kafka *testenv.Kafka, user, to string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	altered, err := kadm.NewClient(client).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: to}})
	if err != nil || altered.Error() != nil {
		t.Fatalf("%v, %v", err, altered.Error())
	}
}

// add puts a line into the connector's file.
func (w *worker) add(t *testing.T, line string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(w.dir, "orders.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(line); err != nil {
		t.Fatal(err)
	}
}

// connectorStatus is what REST tells of the connector.
type connectorStatus struct {
	Connector struct{ State, Trace string }
	Tasks     []struct{ State, Trace string }
}

func (s connectorStatus) String() string {
	text := s.Connector.State + " " + s.Connector.Trace
	for _, t := range s.Tasks {
		text += "; " + t.State + " " + t.Trace
	}
	return text
}

// at is the address of the program's REST interface.
func (w *worker) at(t *testing.T) string {
	t.Helper()
	line, err := w.process.WaitLine(within(t, patience), func(line string) bool { return strings.Contains(line, "REST interface listens: at=") })
	if err != nil {
		t.Fatal(err)
	}
	_, at, _ := strings.Cut(line, "at=")
	return strings.TrimSpace(at)
}

func (w *worker) status(t *testing.T) connectorStatus {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.at(t)+"/connectors/orders/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := restClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var s connectorStatus
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	keepsSecrets(t, "the status", s.String())
	return s
}

var restClient = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func (w *worker) awaitTrace(t *testing.T, what string, patience time.Duration) {
	t.Helper()
	var last connectorStatus
	if !testenv.Eventually(t.Context(), patience, func() bool { last = w.status(t); return strings.Contains(last.String(), what) }) {
		t.Fatalf("the status doesn't tell %q: %v", what, last)
	}
}
