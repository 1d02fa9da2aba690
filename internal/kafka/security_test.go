package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

const (
	testUser     = "alice"
	testPassword = "Geheim-4711"
)

func derOf(t testing.TB, name string) []byte {
	t.Helper()
	rest := []byte(testdata(t, name))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("%s has no key", name)
		} else if block.Type == "ENCRYPTED PRIVATE KEY" {
			return block.Bytes
		}
	}
}

// fakeBroker is a fake cluster of one broker that counts its connections.
type fakeBroker struct {
	*kfake.Cluster
	accepted atomic.Int64
	shown    atomic.Int64 // credentials, by SASL
}

// newBroker starts one with TLS as its configuration has it, which may be nil.
func newBroker(t *testing.T, config *tls.Config, opts ...kfake.Opt) *fakeBroker {
	t.Helper()
	b := &fakeBroker{}
	opts = append(opts, kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if err == nil {
			l = &countingListener{l, &b.accepted}
			if config != nil {
				l = tls.NewListener(l, config)
			}
		}
		return l, err
	}))
	var err error
	if b.Cluster, err = kfake.NewCluster(opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	b.KeepControl()
	b.ControlKey(keyAuthenticate, func(kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		b.shown.Add(1)
		return nil, nil, false
	})
	return b
}

func (b *fakeBroker) addr() string { return b.ListenAddrs()[0] }

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}

// issued is an authority with a configuration of a server, in files too.
type issued struct {
	authority *testenv.Authority
	caFile    string
	server    *tls.Config
}

func issue(t *testing.T, spec testenv.CertificateSpec) issued {
	t.Helper()
	authority, err := testenv.NewAuthority("test authority")
	if err != nil {
		t.Fatal(err)
	}
	i := issued{authority: authority, caFile: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(i.caFile, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(spec)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	i.server = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: roots}
	return i
}

// client writes a certificate of a client, and gives its file.
func (i issued) client(t *testing.T, name string) string {
	t.Helper()
	pair, err := i.authority.Issue(testenv.CertificateSpec{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".pem")
	if err := pair.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

var local = testenv.CertificateSpec{Name: "broker", Hosts: []string{"127.0.0.1"}}

// ask makes a client and asks for the brokers.
func ask(t *testing.T, o Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := kgo.NewClient(append(o.Within(ctx), kgo.RequestRetries(1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = kadm.NewClient(client).BrokerMetadata(ctx)
	return err
}

func TestEachProtocolAndMechanismReachesABroker(t *testing.T) {
	i, other := issue(t, local), issue(t, testenv.CertificateSpec{Name: "x", Hosts: []string{"other.example"}})
	mutual := i.server.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	user := func(protocol, mechanism string) Security {
		return Security{Protocol: protocol, Mechanism: mechanism, Username: testUser, Password: secret.New(testPassword), TLS: TLS{Truststore: i.caFile}}
	}
	sasl := func() []kfake.Opt {
		opts := []kfake.Opt{kfake.EnableSASL()}
		for _, mechanism := range []string{Plain, ScramSHA256, ScramSHA512} {
			opts = append(opts, kfake.Superuser(mechanism, testUser, testPassword))
		}
		return opts
	}
	for name, tc := range map[string]struct {
		server   *tls.Config
		opts     []kfake.Opt
		security Security
	}{
		"nothing":       {nil, nil, Security{}},
		"TLS":           {i.server, nil, Security{Protocol: SSL, TLS: TLS{Truststore: i.caFile}}},
		"TLS, any name": {other.server, nil, Security{Protocol: SSL, TLS: TLS{Truststore: other.caFile, AnyName: true}}},
		"certificate":   {mutual, nil, Security{Protocol: SSL, TLS: TLS{Truststore: i.caFile, Keystore: i.client(t, testUser)}}},
		"PLAIN":         {nil, sasl(), user(SASLPlaintext, Plain)},
		"SCRAM-SHA-256": {i.server, sasl(), user(SASLSSL, ScramSHA256)},
		"SCRAM-SHA-512": {i.server, sasl(), user(SASLSSL, ScramSHA512)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, tc.server, tc.opts...)
			if err := ask(t, Options{BootstrapServers: []string{b.addr()}, Security: tc.security}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRefusalsNameTheBrokerTheKeyAndTheRemedy(t *testing.T) {
	i, strange := issue(t, local), issue(t, local)
	mutual := i.server.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	expired := testenv.CertificateSpec{Name: "old", Hosts: local.Hosts, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}
	future := testenv.CertificateSpec{Name: "new", Hosts: local.Hosts, NotBefore: time.Now().Add(time.Hour)}
	elsewhere := testenv.CertificateSpec{Name: "elsewhere", Hosts: []string{"kafka.example", "10.1.2.3"}}
	old := issue(t, expired)
	next := issue(t, future)
	other := issue(t, elsewhere)
	trusting := func(i issued) Security { return Security{Protocol: SSL, TLS: TLS{Truststore: i.caFile}} }
	user := Security{Protocol: SASLPlaintext, Mechanism: ScramSHA512, Username: testUser, Password: secret.New(testPassword)}
	bearing := user
	bearing.Mechanism, bearing.OAuth = OAuthBearer, OAuth{Endpoint: "file://" + tokenFile(t, "a.b.c")}
	overTLS := func(s Security) Security { s.Protocol, s.TLS.Truststore = SASLSSL, i.caFile; return s }
	withSASL := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(ScramSHA512, testUser, testPassword)}
	for name, tc := range map[string]struct {
		server       *tls.Config
		opts         []kfake.Opt
		security     Security
		key          string
		what, remedy string
		verdict      Verdict
	}{
		"unknown authority": {strange.server, nil, trusting(i), "ssl.truststore.location", "issued by an authority that isn't trusted here (CN=test authority)", "add the authority's certificate", Passing},
		"expired":           {old.server, nil, trusting(old), "bootstrap.servers", "its certificate (CN=old) has expired at " + expired.NotAfter.UTC().Format("2006-01-02T15:04"), "renew the broker's certificate, or correct this machine's clock", Passing},
		"not yet valid":     {next.server, nil, trusting(next), "bootstrap.servers", "its certificate (CN=new) is good from " + future.NotBefore.UTC().Format("2006-01-02T15:04"), "this machine's clock", Passing},
		"another host":      {other.server, nil, trusting(other), "ssl.endpoint.identification.algorithm", "its certificate isn't for 127.0.0.1, but for kafka.example, 10.1.2.3", "advertised.listeners", Passing},
		"no certificate":    {mutual, nil, trusting(i), "ssl.keystore.location", "it asks for a certificate of this program, which has none", "name a file with a certificate", Lasting},
		"its certificate":   {mutual, nil, Security{Protocol: SSL, TLS: TLS{Truststore: i.caFile, Keystore: strange.client(t, "worker")}}, "ssl.keystore.location", "it doesn't take this program's certificate", "issued by an authority that the broker trusts", Passing},
		"none to TLS":       {i.server, nil, Security{}, "security.protocol", "closes the connection at the first request, as a listener with TLS does, and security.protocol is PLAINTEXT", "write security.protocol: SSL", Unclear},
		"SASL to TLS":       {i.server, withSASL, user, "security.protocol", "as a listener with TLS does, and security.protocol is SASL_PLAINTEXT", "write security.protocol: SASL_SSL", Unclear},
		"no SASL":           {nil, withSASL, Security{}, "security.protocol", "closes the connection at the first request, as a listener with SASL does", "write security.protocol: SASL_PLAINTEXT", Unclear},
		"mechanism":         {i.server, withSASL, overTLS(bearing), "sasl.mechanism", "it takes PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, and sasl.mechanism is OAUTHBEARER", "enable OAUTHBEARER at the brokers", Lasting},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, tc.server, tc.opts...)
			err := ask(t, Options{BootstrapServers: []string{b.addr()}, Security: tc.security})
			got := Refused(err)
			if got == nil {
				t.Fatalf("got %v", err)
			}
			if got.Broker != b.addr() || got.Key != tc.key || got.Verdict != tc.verdict || !strings.Contains(got.What, tc.what) || !strings.Contains(got.Remedy, tc.remedy) {
				t.Errorf("got broker %s, key %s, verdict %d: %v", got.Broker, got.Key, got.Verdict, got)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, tc.security, tc.security); strings.Contains(text, testPassword) {
				t.Errorf("the password is in %s", text)
			}
			if !strings.Contains(err.Error(), b.addr()) || !strings.Contains(err.Error(), got.Remedy) {
				t.Errorf("the text lacks broker or remedy: %v", err)
			}
		})
	}
}

// TestListenersOfAnotherProtocolAreRecognizedByTheirAnswer has servers answer the
// first bytes as others do.
func TestListenersOfAnotherProtocolAreRecognizedByTheirAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		answer   string // what comes back; empty: the connection is closed
		security Security
		what     string
		verdict  Verdict
	}{
		"an alert of TLS":       {"\x15\x03\x01\x00\x02\x02\x46", Security{}, "this listener speaks TLS, and security.protocol is PLAINTEXT", Lasting},
		"closed without TLS":    {"", Security{Protocol: SSL}, "closes the connection in the TLS handshake, as a listener without TLS does", Unclear},
		"a page of a webserver": {"HTTP/1.1 400 Bad Request\r\n\r\n", Security{Protocol: SASLSSL, Mechanism: Plain}, "this listener doesn't speak TLS, and security.protocol is SASL_SSL", Lasting},
		"an old version of TLS": {"\x15\x03\x01\x00\x02\x02\x46", Security{Protocol: SSL}, "it takes other versions of TLS only", Lasting},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					_, _ = conn.Write([]byte(tc.answer))
					_ = conn.Close()
				}
			})
			defer serving.Wait()
			defer listener.Close()
			err = ask(t, Options{BootstrapServers: []string{listener.Addr().String()}, Security: tc.security})
			if got := Refused(err); got == nil || got.Key != "security.protocol" || got.Verdict != tc.verdict || !strings.Contains(got.What, tc.what) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// refuse has the broker refuse all credentials in Kafka's words, until it is told
// otherwise.
func (b *fakeBroker) refuse(on *atomic.Bool) {
	on.Store(true)
	b.ControlKey(keyAuthenticate, func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		if !on.Load() {
			return nil, nil, false
		}
		response := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		response.ErrorMessage = kmsg.StringPtr("Authentication failed during\nauthentication")
		return response, nil, true
	})
}

// mayShow is how often refused credentials may be shown within a time: at once and
// after each pause, and by one more for each answer that takes too long.
func mayShow(within time.Duration) (n int64) {
	for at, pause := time.Duration(0), firstPause; at <= within; at, pause = at+pause, min(2*pause, mostPause) {
		n++
	}
	return n + int64(within/turnWait)
}

// left is how much there is left of the pause after credentials were refused.
func (g *gate) left() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pauses[ofCredentials]; p != nil {
		return time.Until(p.until)
	}
	return 0
}

// TestRefusedCredentialsAreShownSeldomHoweverManyClientsThereAre has forty clients
// ask as fast as they can for the length of the first pauses, or longer on a machine
// that is slow.
func TestRefusedCredentialsAreShownSeldomHoweverManyClientsThereAre(t *testing.T) {
	b := newBroker(t, nil, kfake.EnableSASL(), kfake.Superuser(Plain, testUser, testPassword))
	var refusing atomic.Bool
	b.refuse(&refusing)
	o := Options{BootstrapServers: []string{b.addr()}, Security: Security{Protocol: SASLPlaintext, Mechanism: Plain, Username: testUser, Password: secret.New(testPassword)}}
	const length = 2500 * time.Millisecond
	began := time.Now()
	var asking sync.WaitGroup
	var asked, told atomic.Int64
	for range 40 {
		asking.Go(func() {
			for took := time.Since(began); took < length || took < time.Minute && (asked.Load() < 1000 || b.shown.Load() < 2); took = time.Since(began) {
				asked.Add(1)
				if refused := Refused(ask(t, o)); refused != nil && strings.Contains(refused.Error(), `it doesn't take the user "alice" with the password given, by PLAIN (Authentication failed during authentication)`) &&
					refused.Broker == b.addr() && refused.Key == "sasl.password" && refused.Verdict == Lasting {
					told.Add(1)
				}
			}
		})
	}
	asking.Wait()
	took := time.Since(began)
	// At 0, 0.5 and 1.5 s.
	if n := b.shown.Load(); n < 2 || n > mayShow(took) {
		t.Errorf("credentials were shown %d times within %v", n, took)
	}
	if asked.Load() != told.Load() || asked.Load() < 1000 {
		t.Errorf("of %d attempts %d were told what is wrong", asked.Load(), told.Load())
	}
	t.Logf("%d attempts of 40 clients within %v, credentials shown %d times in %d connections", asked.Load(), took, b.shown.Load(), b.accepted.Load())

	// Once they are taken, no client waits longer than the pause.
	refusing.Store(false)
	testenv.Await(t, accessOf(o).gate.left()+5*time.Second, "the credentials to be taken", func() bool { return ask(t, o) == nil })
}

func TestAHandshakeEndsWithTheContextOfItsClient(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{BootstrapServers: []string{listener.Addr().String()}, Security: Security{Protocol: SSL}}
	client, err := kgo.NewClient(o.Within(ctx)...)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		_, err := kadm.NewClient(client).BrokerMetadata(context.WithoutCancel(ctx))
		asked <- err
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the handshake has begun, and is never answered
		t.Fatal(err)
	}
	began := time.Now()
	cancel()
	if err := <-asked; err == nil {
		t.Error("a broker that never answers has answered")
	}
	client.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end of the context was heeded after %v", took)
	}
}

// TestSessionsThatEndAreRenewedOnTheirConnection has sessions of a broker end after
// two seconds (KIP-368), for which franz-go takes the first away.
func TestSessionsThatEndAreRenewedOnTheirConnection(t *testing.T) {
	b := newBroker(t, nil, kfake.EnableSASL(), kfake.Superuser(ScramSHA256, testUser, testPassword),
		kfake.BrokerConfigs(map[string]string{"connections.max.reauth.ms": "2000"}))
	o := Options{BootstrapServers: []string{b.addr()}, Security: Security{Protocol: SASLPlaintext, Mechanism: ScramSHA256, Username: testUser, Password: secret.New(testPassword)}}
	client, err := kgo.NewClient(append(o.Within(t.Context()), kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// Until the session has ended, and longer if nobody was there to renew it then.
	for began := time.Now(); time.Since(began) < 2500*time.Millisecond || b.shown.Load() < 4 && time.Since(began) < time.Minute; <-time.After(50 * time.Millisecond) {
		if _, err := kmsg.NewPtrDescribeClusterRequest().RequestWith(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.accepted.Load(); n > 2 { // to the seed, and to the broker by its name
		t.Errorf("%d connections were made", n)
	}
	if n := b.shown.Load(); n < 4 { // two rounds each time
		t.Errorf("%d rounds of authentication", n)
	}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
