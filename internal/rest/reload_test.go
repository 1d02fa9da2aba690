package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const (
	readAgain  = "certificates of the REST interface were read again"
	keptBefore = "cannot be used; the ones before stay"
)

// nameOf is who a certificate is for.
func nameOf(t *testing.T, config *tls.Config) string {
	t.Helper()
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Subject.CommonName
}

// watched reads the files of a listener that asks for no client's certificate, and
// logs what becomes of them.
func watched(t *testing.T, a *authority) (*certificates, connector.WorkerConfig, *testenv.Journal) {
	t.Helper()
	var config connector.WorkerConfig
	secured(t, a, "none")(&config, nil)
	log, logger := testenv.NewJournal()
	c, err := newCertificates(config, logger)
	if err != nil {
		t.Fatal(err)
	}
	return c, config, log
}

func TestFilesAreComparedByWhatIsInThem(t *testing.T) {
	a := newAuthority(t)
	c, config, log := watched(t, a)
	now := time.Now()
	// look tells the certificate in use after a look, and how often files have been
	// taken and refused so far.
	look := func(what, want string, taken, refused int) {
		t.Helper()
		now = now.Add(reloadInterval)
		if got := nameOf(t, c.newest(now)); got != want {
			t.Errorf("%s: the certificate is %s, want %s", what, got, want)
		}
		if log.Count(readAgain) != taken || log.Count(keptBefore) != refused {
			t.Errorf("%s: %d were taken and %d refused, want %d and %d:\n%s", what, log.Count(readAgain), log.Count(keptBefore), taken, refused, log)
		}
	}
	stat := func() os.FileInfo {
		info, err := os.Stat(config.ListenerCertificate)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	look("at the start", "first", 0, 0)
	before := stat()
	certificate, key := a.server(t, "second")
	save(t, config.ListenerCertificate, certificate)
	if after := stat(); after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		t.Fatal("the test's files can be told apart without reading them")
	}
	look("with half of a new pair", "first", 0, 1)
	look("and again", "first", 0, 1)
	save(t, config.ListenerKey, key)
	look("with the new pair", "second", 1, 1)

	third, thirdKey := a.server(t, "third")
	save(t, config.ListenerKey, thirdKey)
	save(t, config.ListenerCertificate, third[:len(third)/2])
	look("with half of a file", "second", 1, 2)
	save(t, config.ListenerCertificate, append(bytes.Clone(third), a.pem[:len(a.pem)/2]...))
	look("with half of the issuer behind it", "second", 1, 3)
	save(t, config.ListenerCertificate, append(bytes.Clone(third), a.pem...))
	look("with all of it", "third", 2, 3)

	save(t, config.ListenerCA, append(bytes.Clone(a.pem), newAuthority(t).pem[:100]...))
	look("with half of an authority", "third", 2, 4)
	save(t, config.ListenerCA, append(bytes.Clone(a.pem), newAuthority(t).pem...))
	look("with all of it", "third", 3, 4)

	if err := os.Remove(config.ListenerKey); err != nil {
		t.Fatal(err)
	}
	look("without the key", "third", 3, 5)
	look("and again", "third", 3, 5)
	save(t, config.ListenerKey, thirdKey)
	look("as it was before", "third", 4, 5)

	inUse := c.newest(now)
	save(t, config.ListenerCertificate, []byte("no PEM"))
	if got := c.newest(now.Add(reloadInterval / 2)); got != inUse || log.Count(keptBefore) != 5 {
		t.Error("the files are looked at more often than the interval says")
	}
}

func TestStateOfTheListenersFilesIsTold(t *testing.T) {
	a := newAuthority(t)
	config := connector.DefaultWorkerConfig()
	secured(t, a, "none")(&config, nil)
	config.Listeners = []string{"https://127.0.0.1:0", "http://127.0.0.1:0", "https://127.0.0.1:0"}
	l, err := Listen(t.Context(), config, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want := func(what string, failures int64, faulty bool) {
		t.Helper()
		l.certificates.mu.Lock()
		l.certificates.looked = time.Time{}
		l.certificates.mu.Unlock()
		got, is := l.Certificate()
		left := time.Until(got.NotAfter)
		if !is || got.Kind != "listener" || got.Failures != failures || got.Faulty != faulty || left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s: %+v, %v", what, got, is)
		}
	}
	want("at the start", 0, false)
	certificate, key := a.server(t, "second")
	save(t, config.ListenerKey, key)
	want("with half of a new pair", 1, true)
	want("and again", 1, true)
	save(t, config.ListenerCertificate, certificate)
	want("with all of it", 1, false)

	config.Listeners = []string{"http://127.0.0.1:0"}
	plain, err := Listen(t.Context(), config, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if got, is := plain.Certificate(); is {
		t.Errorf("without TLS there is %+v", got)
	}
}

func TestFileThatIsTooLargeIsRefused(t *testing.T) {
	a := newAuthority(t)
	var config connector.WorkerConfig
	secured(t, a, "none")(&config, nil)
	if err := os.Truncate(config.ListenerKey, maxPEM+1); err != nil {
		t.Fatal(err)
	}
	if _, err := newCertificates(config, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "key.location: is larger than 8388608 bytes") {
		t.Errorf("error is %v", err)
	}
}

// greet makes one connection and tells whose certificate it was shown.
func (s *site) greet(config *tls.Config) (string, error) {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestHandshakesShowTheCertificateThatIsInTheFilesByNow(t *testing.T) {
	a := newAuthority(t)
	arrange := secured(t, a, "none")
	log, logger := testenv.NewJournal()
	var config connector.WorkerConfig
	s := serve(t, newFake(), func(c *connector.WorkerConfig, o *Options) {
		o.Logger = logger
		arrange(c, o)
		config = *c
	})
	// A cache of sessions, since one that is resumed would go by what it began with.
	client := &tls.Config{RootCAs: a.pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if got, err := s.greet(client); err != nil || got != "first" {
		t.Fatalf("the first handshake shows %q: %v", got, err)
	}
	certificate, key := a.server(t, "second")
	save(t, config.ListenerCertificate, certificate[:len(certificate)/2])
	testenv.Await(t, 30*time.Second, "the half of a file to be told of", func() bool {
		got, err := s.greet(client)
		if err != nil || got != "first" {
			t.Fatalf("with half of a file a handshake shows %q: %v", got, err)
		}
		return log.Count(keptBefore) == 1
	})
	save(t, config.ListenerCertificate, certificate)
	save(t, config.ListenerKey, key)
	testenv.Await(t, 30*time.Second, "the new certificate to be shown", func() bool {
		got, err := s.greet(client)
		if err != nil {
			t.Fatal(err)
		}
		return got == "second"
	})
	s.trust(t, client)
	if got := s.call(t, "GET", "/", ""); got.status != 200 {
		t.Errorf("with the new certificate: %+v", got)
	}
}

func TestClientsOfAnAuthorityThatIsReplacedAreRefused(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	arrange := secured(t, before, "required")
	var config connector.WorkerConfig
	s := serve(t, newFake(), func(c *connector.WorkerConfig, o *Options) {
		arrange(c, o)
		config = *c
	})
	as := func(a *authority) *http.Client {
		shown := a.client(t)
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: before.pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil },
		}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	// ask gives the status, or 0 if the handshake fails.
	ask := func(client *http.Client) int {
		s.client = client
		got, err := s.try(t.Context(), "GET", "/", nil)
		if err != nil {
			return 0
		}
		return got.status
	}
	kept, old, fresh := as(before), as(before), as(after)
	if got := []int{ask(kept), ask(old), ask(fresh)}; got[0] != 200 || got[1] != 200 || got[2] != 0 {
		t.Fatalf("before the change clients get %v", got)
	}
	old.CloseIdleConnections()

	save(t, config.ListenerCA, after.pem)
	testenv.Await(t, 30*time.Second, "a client of the new authority to be let in", func() bool { return ask(fresh) == 200 })
	if got := ask(old); got != 0 {
		t.Errorf("a handshake with a certificate of the old authority ends in %d", got)
	}
	// A connection from before is there still, for one answer.
	if got := ask(kept); got != 403 {
		t.Errorf("over a connection from before a client of the old authority gets %d", got)
	}
	if got := ask(kept); got != 0 {
		t.Errorf("and then %d", got)
	}

	// Both, while certificates are exchanged.
	save(t, config.ListenerCA, append(bytes.Clone(after.pem), before.pem...))
	testenv.Await(t, 30*time.Second, "both to be let in", func() bool { return ask(old) == 200 && ask(fresh) == 200 })
}

func TestClientCertificateThatExpiresEndsItsConnection(t *testing.T) {
	a := newAuthority(t)
	var config connector.WorkerConfig
	secured(t, a, "required")(&config, nil)
	c, err := newCertificates(config, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(shown tls.Certificate) *tls.ConnectionState {
		cert, err := x509.ParseCertificate(shown.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	}
	state := leaf(a.client(t))
	if end := state.PeerCertificates[0].NotAfter; !c.trusts(state, end.Add(-time.Minute)) || c.trusts(state, end.Add(time.Minute)) {
		t.Error("a certificate isn't trusted until its end, and no longer")
	}
	if c.trusts(leaf(newAuthority(t).client(t)), time.Now()) {
		t.Error("a certificate of a stranger is trusted")
	}
	for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.VerifyClientCertIfGiven} {
		c.clientAuth = auth
		if !c.trusts(&tls.ConnectionState{}, time.Now()) {
			t.Errorf("a connection without a certificate isn't trusted with %v", auth)
		}
	}
}

func TestFilesThatCannotBeUsedAreToldOfWithoutAConnection(t *testing.T) {
	a := newAuthority(t)
	c, config, log := watched(t, a)
	save(t, config.ListenerCertificate, []byte("no PEM"))
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(ctx, 10*time.Millisecond) })
	testenv.Await(t, 30*time.Second, "the file to be told of", func() bool { return log.Count(keptBefore) == 1 })
	cancel()
	watching.Wait()
}
