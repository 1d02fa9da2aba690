package secured

import (
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// TestJSONWebTokensAreTakenFromTheirFileWhileTheProgramRuns has tokens of 8 s, and
// nobody who replaces them for a while.
func TestJSONWebTokensAreTakenFromTheirFileWhileTheProgramRuns(t *testing.T) {
	t.Parallel()
	// They are replaced each second; a machine may stand still for the rest.
	const life = 8 * time.Second
	issuer, err := testenv.NewTokenIssuer()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys, file, ca := dir+"/jwks.json", dir+"/token", dir+"/ca.pem"
	if err := os.WriteFile(keys, issuer.KeySet(), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy, tservers := gates(t)
	cluster := testenv.NewKudu(t, testenv.KuduConfig{Proxy: proxy, Flags: []string{
		"--enable_jwt_token_auth=true", "--jwks_file_path=" + keys, "--rpc_encryption=required",
		"--rpc_encrypt_loopback_connections=true", "--user_acl=" + user + ",writer", "--rpc_default_keepalive_time_ms=1000",
	}, MasterFlags: []string{"--server_dump_info_path=" + dir + "/info", "--server_dump_info_format=json"},
		TabletServerFlags: []string{"--tserver_enforce_access_control=true"}})
	master := newGate(t, cluster.Masters()[0])
	saveAuthority(t, dir+"/info", ca)
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{CAFile: ca, JWT: func() (string, error) {
		return issuer.Token("writer", time.Now(), time.Hour)
	}}})
	table := newTable(t, c, "tokens", 0)

	token := ""
	renew := func() {
		t.Helper()
		var err error
		token, err = issuer.Token(user, time.Now(), life)
		if err := errors.Join(err, os.WriteFile(file+".next", []byte(token), 0o600), os.Rename(file+".next", file)); err != nil {
			t.Error(err)
		}
	}
	// renewing does so until the function that it returns is called, however long
	// everything else takes.
	renewing := func() (stop func()) {
		ended, end := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-end:
					return
				case <-time.After(time.Second):
					renew()
				}
			}
		}()
		stop = sync.OnceFunc(func() { close(end); <-ended })
		t.Cleanup(stop)
		return stop
	}
	renew()
	stop := renewing()
	kafka := testenv.SharedKafka(t)
	w := newWorker(t, kafka, []string{master.addr}, table.Name(), "kudu.authentication: jwt\nkudu.jwt.file: "+file+"\nkudu.tls.ca.file: "+ca+"\n")
	w.start(t)
	r := newReader(t, kafka, table.Name())
	cut := func() {
		for _, g := range append(tservers(), master) {
			g.cut()
		}
	}
	written := 0
	for began := time.Now(); time.Since(began) < 2*life; <-time.After(time.Second) {
		cut()
		insert(t, table, written, 5)
		written += 5
	}
	r.await(t, written, patience)
	stop()

	<-time.After(life + time.Second)
	began := time.Now()
	cut()
	insert(t, table, written, 5)
	written += 5
	trace := w.becomes(t, patience, "FAILED", "not authenticated")
	if !strings.Contains(trace, "JWT verification failed: token expired") || !strings.Contains(trace, " at 127.0.0.1:") {
		t.Errorf("the task's trace is %s", trace)
	}
	took := time.Since(began)
	if n := master.since(began); float64(n) > 10+2*took.Seconds() {
		t.Errorf("%d connections to the master in %s", n, took)
	}
	renew()
	stop = renewing()
	testenv.Await(t, patience, "the task is restarted", func() bool {
		code, _ := w.ask(t, http.MethodPost, "/connectors/orders/tasks/0/restart")
		return code/100 == 2
	})
	r.await(t, written, patience)
	stop()
	if text := w.read(t); strings.Contains(text, token) || strings.Contains(text, strings.Split(token, ".")[1]) {
		t.Error("a token is in the program's log")
	}
}

var webPort = regexp.MustCompile(`(?s)bound_http_addresses.*?"port":\s*(\d+)`)

// saveAuthority gets the authority of the cluster's own certificates from the
// master's web server, as docs/security.md tells operators.
func saveAuthority(t *testing.T, info, path string) {
	t.Helper()
	text, err := os.ReadFile(info)
	if err != nil {
		t.Fatal(err)
	}
	port := webPort.FindSubmatch(text)
	if port == nil {
		t.Fatalf("no web server in %s", text)
	}
	req, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodGet, "http://127.0.0.1:"+string(port[1])+"/ipki-ca-cert-pem", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, os.WriteFile(path, body, 0o600)); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", resp.StatusCode, err, body)
	}
}
