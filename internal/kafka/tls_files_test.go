package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// shown is the name in the certificate that a connection would show.
func shown(t *testing.T, f *tlsFiles, now time.Time) string {
	t.Helper()
	m, fault := f.newest(now)
	if fault != nil {
		t.Fatal(fault)
	}
	if m.own == nil {
		return ""
	}
	leaf, err := x509.ParseCertificate(m.own.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Subject.CommonName
}

func TestFilesThatChangeAreReadAgainAndBrokenOnesLeaveThingsAsTheyAre(t *testing.T) {
	i := issue(t, local)
	path := filepath.Join(t.TempDir(), "own.pem")
	put := func(name string) {
		pair, err := i.authority.Issue(testenv.CertificateSpec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	log, logger := testenv.NewJournal()
	changes := 0
	f := newTLSFiles(TLS{Truststore: i.caFile, Keystore: path}, logger, func() { changes++ })

	now := time.Now()
	later := func() time.Time { now = now.Add(lookInterval); return now }
	if _, fault := f.newest(later()); fault == nil || fault.Key != "ssl.keystore.location" {
		t.Fatalf("without the file: %v", fault)
	}
	put("one")
	if got := shown(t, f, later()); got != "one" || changes != 1 {
		t.Errorf("%q is shown after %d changes", got, changes)
	}
	put("second")
	if got := shown(t, f, now.Add(lookInterval/2)); got != "one" {
		t.Errorf("%q is shown: the file was looked at too soon", got)
	}
	if got := shown(t, f, later()); got != "second" || changes != 2 || log.Count("were read again") != 1 {
		t.Errorf("%q is shown after %d changes", got, changes)
	}
	if err := os.WriteFile(path, []byte("-----BEGIN CERTIFICATE-----\nbroken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := shown(t, f, later()); got != "second" || changes != 2 {
			t.Errorf("%q is shown after %d changes", got, changes)
		}
	}
	if n := log.Count("cannot be used; the ones before stay"); n != 1 || log.Count("ssl.keystore.location") != 1 {
		t.Errorf("it was told %d times:\n%s", n, log)
	}
	put("mended")
	if got := shown(t, f, later()); got != "mended" || changes != 3 {
		t.Errorf("%q is shown after %d changes", got, changes)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, f, later()); got != "mended" {
		t.Errorf("%q is shown without the file", got)
	}
}

func TestStateOfTheFilesIsToldWithTheFirstEndOfTheChain(t *testing.T) {
	i := issue(t, local)
	path := filepath.Join(t.TempDir(), "own.pem")
	soon, late := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(9*time.Hour).Truncate(time.Second)
	put := func(ends time.Time, more ...byte) {
		pair, err := i.authority.Issue(testenv.CertificateSpec{Name: "own", NotAfter: ends})
		if err != nil {
			t.Fatal(err)
		}
		pair.Certificate = append(pair.Certificate, more...)
		if err := pair.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	f := newTLSFiles(TLS{Truststore: i.caFile, Keystore: path}, hclog.NewNullLogger(), func() {})
	now := time.Now()
	want := func(what string, ends time.Time, failures int64, faulty bool) {
		t.Helper()
		now = now.Add(lookInterval)
		if got := f.state(now); !got.NotAfter.Equal(ends) || got.Failures != failures || got.Faulty != faulty {
			t.Errorf("%s: %+v", what, got)
		}
	}
	want("without the file", time.Time{}, 1, true)
	put(late)
	want("with a certificate", late, 1, false)
	issuer, err := i.authority.Issue(testenv.CertificateSpec{Name: "issuer", NotAfter: soon})
	if err != nil {
		t.Fatal(err)
	}
	put(late, issuer.Certificate...)
	want("with an issuer that ends sooner", soon, 1, false)
	put(late, issuer.Certificate[:99]...)
	want("with half of an issuer", soon, 2, true)
	want("and again", soon, 2, true)
	put(late)
	want("mended", late, 2, false)

	plain := newTLSFiles(TLS{Truststore: i.caFile}, hclog.NewNullLogger(), func() {})
	if got := plain.state(now); got != (CertificateState{}) {
		t.Errorf("without a certificate: %+v", got)
	}
	if _, encrypted := (Options{BootstrapServers: []string{"a:1"}}).Certificate(); encrypted {
		t.Error("there is TLS without TLS")
	}
}

func TestFilesOfWhichAPartIsCutOffLeaveThingsAsTheyAre(t *testing.T) {
	i := issue(t, local)
	other, err := testenv.NewAuthority("other")
	if err != nil {
		t.Fatal(err)
	}
	own := i.client(t, "one")
	pair, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	log, logger := testenv.NewJournal()
	f := newTLSFiles(TLS{Truststore: i.caFile, Keystore: own}, logger, func() {})
	now := time.Now()
	put := func(path string, parts ...[]byte) *material {
		t.Helper()
		if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		now = now.Add(lookInterval)
		m, fault := f.newest(now)
		if fault != nil {
			t.Fatal(fault)
		}
		return m
	}
	before := put(own, pair)
	half := other.PEM()[:len(other.PEM())/2]
	if put(i.caFile, i.authority.PEM(), half) != before || log.Count("ssl.truststore.location: has 2 blocks, of which 1 are whole") != 1 {
		t.Errorf("half of an authority was taken:\n%s", log)
	}
	if got := put(i.caFile, i.authority.PEM(), other.PEM()); len(got.trusted) != 2 {
		t.Errorf("%d authorities were taken", len(got.trusted))
	}
	before = put(own, pair)
	if put(own, pair, half) != before || log.Count("ssl.keystore.location: has 3 blocks, of which 2 are whole") != 1 {
		t.Errorf("half of an issuer was taken:\n%s", log)
	}
	if got := put(own, pair, other.PEM()); len(got.own.Certificate) != 2 {
		t.Errorf("a chain of %d was taken", len(got.own.Certificate))
	}
}

// TestAnAuthorityThatIsReplacedIsTakenAtOnce has a broker with a certificate of a
// new authority, and the pause after that was refused be ended by the new file.
func TestAnAuthorityThatIsReplacedIsTakenAtOnce(t *testing.T) {
	before, after := issue(t, local), issue(t, local)
	b := newBroker(t, after.server)
	o := Options{BootstrapServers: []string{b.addr()}, Security: Security{Protocol: SSL, TLS: TLS{Truststore: before.caFile}}}
	for range 2 { // the second time without a connection
		if Refused(ask(t, o)) == nil {
			t.Fatal("the broker was taken")
		}
		accessOf(o).gate.longPause(t)
	}
	text, err := os.ReadFile(after.caFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(before.caFile, append(before.authority.PEM(), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, 10*lookInterval, "the broker to be taken", func() bool { return ask(t, o) == nil })
}

func TestClientShowsItsNewestCertificateToEachConnection(t *testing.T) {
	i := issue(t, local)
	mutual := i.server.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	var mu sync.Mutex
	var names []string
	mutual.VerifyConnection = func(state tls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, state.PeerCertificates[0].Subject.CommonName)
		return nil
	}
	path := i.client(t, "one")
	b := newBroker(t, mutual)
	o := Options{BootstrapServers: []string{b.addr()}, Security: Security{Protocol: SSL, TLS: TLS{Truststore: i.caFile, Keystore: path}}}
	if err := ask(t, o); err != nil {
		t.Fatal(err)
	}
	pair, err := i.authority.Issue(testenv.CertificateSpec{Name: "two"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Write(path); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, 30*time.Second, "the new certificate to be shown", func() bool {
		if err := ask(t, o); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		return names[0] == "one" && names[len(names)-1] == "two"
	})
}

func TestBrokenFilesAreToldOfWithoutAConnection(t *testing.T) {
	i := issue(t, local)
	log, logger := testenv.NewJournal()
	a := newAccess(Security{Protocol: SSL, TLS: TLS{Truststore: i.caFile}}, logger)
	if _, fault := a.files.newest(time.Now().Add(-time.Minute)); fault != nil {
		t.Fatal(fault)
	}
	if err := os.WriteFile(i.caFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { a.watch(ctx, 10*time.Millisecond) })
	testenv.Await(t, 30*time.Second, "the file to be told of", func() bool { return log.Count("cannot be used; the ones before stay") == 1 })
	cancel()
	watching.Wait()
}
