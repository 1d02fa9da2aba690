package kerberos

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newLogin(t *testing.T, cfg Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Login {
	t.Helper()
	l, err := NewLogin(cfg, dial, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConfigurationsThatContradictThemselvesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		says string
	}{
		{Config{Principal: "alice", Keytab: "k", Password: secret.New("p")}, "more than one"},
		{Config{Principal: "alice", Keytab: "k", Cache: "c"}, "more than one"},
		{Config{Keytab: "k"}, "needs a principal"},
		{Config{Password: secret.New("p")}, "needs a principal"},
		{Config{Cache: "KEYRING:persistent:0"}, "isn't a file"},
		{Config{Cache: "DIR:/tmp/x"}, "isn't a file"},
	} {
		if _, err := NewLogin(tc.cfg, nil, hclog.NewNullLogger()); !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%+v: %v", tc.cfg, err)
		}
	}
	t.Setenv("KRB5CCNAME", "FILE:/some/cache")
	t.Setenv("KRB5_CONFIG", "/some/krb5.conf")
	if cfg := newLogin(t, Config{}, nil).cfg; cfg.Cache != "/some/cache" || cfg.Conf != "/some/krb5.conf" || cfg.Service != "kudu" {
		t.Errorf("%+v", cfg)
	}
	t.Setenv("KRB5CCNAME", "")
	if cfg := newLogin(t, Config{}, nil).cfg; !strings.HasPrefix(cfg.Cache, "/tmp/krb5cc_") {
		t.Errorf("%+v", cfg)
	}
}

func TestConfigurationFilesThatOthersIncludeAreRead(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "d")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(sub, "realms"), []byte("[realms]\n  A.TEST = {\n    kdc = kdc.a.test\n  }\n"))
	write(t, filepath.Join(sub, "left out~"), []byte("[libdefaults]\n  default_realm = WRONG\n"))
	more := write(t, filepath.Join(dir, "more"), []byte("[libdefaults]\n  default_realm = A.TEST\n"))
	main := write(t, filepath.Join(dir, "krb5.conf"), []byte("includedir "+sub+"\ninclude "+more+"\nincludedir "+dir+"/absent\n"))
	conf, err := loadConf(main)
	if err != nil {
		t.Fatal(err)
	}
	count, kdcs, err := conf.GetKDCs("A.TEST", true)
	if err != nil || count != 1 || kdcs[1] != "kdc.a.test:88" || conf.LibDefaults.DefaultRealm != "A.TEST" {
		t.Errorf("%v, %d %v, realm %s", err, count, kdcs, conf.LibDefaults.DefaultRealm)
	}
	if conf, err = loadConf(dir + "/absent:" + main); err != nil || conf.LibDefaults.DefaultRealm != "A.TEST" {
		t.Errorf("of two files, one absent: %v", err)
	}
	for _, path := range []string{
		dir + "/absent",
		write(t, filepath.Join(dir, "loop"), []byte("include "+dir+"/loop\n")),
		write(t, filepath.Join(dir, "bad"), []byte("[libdefaults]\n  ticket_lifetime = forever\n")),
	} {
		if _, err := loadConf(path); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// realm is a KDC with the user alice and the service kudu/127.0.0.1.
type realm struct {
	*testenv.KDC
	keytab, cache string
	asked         atomic.Int64 // connections made by dial
}

const alicePassword = "Geheim-4711"

func newRealm(t *testing.T, life time.Duration) *realm {
	t.Helper()
	r := &realm{KDC: testenv.NewKDC(t)}
	ctx := t.Context()
	err := errors.Join(r.AddUser(ctx, "alice", alicePassword, life), r.AddService(ctx, "kudu/127.0.0.1", 0))
	if err == nil {
		r.keytab, err = r.Keytab(ctx, "alice")
	}
	if err == nil {
		r.cache, err = r.Kinit(ctx, "alice", alicePassword)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// dial counts who asks the KDC.
func (r *realm) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.asked.Add(1)
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func TestTicketsComeByKeytabPasswordAndCache(t *testing.T) {
	r := newRealm(t, 0)
	for name, cfg := range map[string]Config{
		"keytab":         {Principal: "alice", Keytab: r.keytab},
		"with realm":     {Principal: "alice@" + testenv.Realm, Keytab: r.keytab},
		"password":       {Principal: "alice", Password: secret.New(alicePassword)},
		"cache":          {Cache: r.cache},
		"named cache":    {Principal: "alice", Cache: "FILE:" + r.cache},
		"of SHA-2 types": {Principal: "alice", Password: secret.New(alicePassword)},
	} {
		cfg.Conf = r.ClientConf()
		if name == "of SHA-2 types" {
			text, err := os.ReadFile(cfg.Conf)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Conf = write(t, filepath.Join(t.TempDir(), "krb5.conf"), []byte(strings.Replace(string(text), "[libdefaults]",
				"[libdefaults]\n  default_tkt_enctypes = aes256-cts-hmac-sha384-192\n  default_tgs_enctypes = aes256-cts-hmac-sha384-192", 1)))
		}
		l := newLogin(t, cfg, r.dial)
		before := r.asked.Load()
		got, id, err := l.ticketFor(t.Context(), "127.0.0.1")
		if err != nil || id.String() != "alice@"+testenv.Realm || time.Until(got.ends) < 23*time.Hour {
			t.Errorf("%s: %v, %v", name, id, err)
			continue
		}
		if strings.HasPrefix(name, "of SHA-2") && (id.tgt.key.KeyType != 20 || got.key.KeyType != 20) {
			t.Errorf("%s: types %d and %d", name, id.tgt.key.KeyType, got.key.KeyType)
		}
		first := r.asked.Load() - before
		if _, _, err := l.ticketFor(t.Context(), "127.0.0.1"); err != nil || r.asked.Load() != before+first {
			t.Errorf("%s: the ticket is not kept: %v", name, err)
		}
	}
}

// TestEachFaultGivesOneClearErrorAndFewQuestions has a client with a fault ask
// for tickets all the time, from several places at once.
func TestEachFaultGivesOneClearErrorAndFewQuestions(t *testing.T) {
	r := newRealm(t, 0)
	conf := func(replace, by string) string {
		text, err := os.ReadFile(r.ClientConf())
		if err != nil {
			t.Fatal(err)
		}
		return write(t, filepath.Join(t.TempDir(), "krb5.conf"), []byte(strings.ReplaceAll(string(text), replace, by)))
	}
	other, err := r.Keytab(t.Context(), "kudu/127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddUser(t.Context(), "bob", "old", 0); err != nil {
		t.Fatal(err)
	}
	outdated, err := r.Keytab(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ChangePassword(t.Context(), "bob", "new"); err != nil {
		t.Fatal(err)
	}
	good := func(change func(*Config)) Config {
		cfg := Config{Principal: "alice", Keytab: r.keytab, Conf: r.ClientConf()}
		change(&cfg)
		return cfg
	}
	if err := errors.Join(r.AddUser(t.Context(), "carol", alicePassword, 0), r.Lock(t.Context(), "carol")); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(t.TempDir(), "absent")
	var cases sync.WaitGroup // they mostly wait: all at once
	for name, tc := range map[string]struct {
		cfg  Config
		host string
		kind error
		says string
	}{
		"wrong password": {good(func(c *Config) { c.Keytab, c.Password = "", secret.New("wrong-"+alicePassword) }), "", ErrCredentials,
			"wrong password or keytab for alice@KUDU.TEST (KDC_ERR_PREAUTH_FAILED)"},
		"outdated keytab": {good(func(c *Config) { c.Principal, c.Keytab = "bob", outdated }), "", ErrCredentials, "wrong password or keytab for bob@KUDU.TEST"},
		"missing keytab":  {good(func(c *Config) { c.Keytab = absent }), "", ErrCredentials, "reading the keytab: open " + absent},
		"keytab of another": {good(func(c *Config) { c.Keytab = other }), "", ErrCredentials,
			"has no key of alice@KUDU.TEST"},
		"damaged keytab":    {good(func(c *Config) { c.Keytab = write(t, absent+"2", []byte("\x05\x02\x00\x00\x01")) }), "", ErrCredentials, "reading the keytab"},
		"unknown principal": {good(func(c *Config) { c.Principal, c.Keytab, c.Password = "nobody", "", secret.New("x") }), "", ErrCredentials, "the KDC doesn't know the principal nobody@KUDU.TEST"},
		"locked principal": {good(func(c *Config) { c.Principal, c.Keytab, c.Password = "carol", "", secret.New(alicePassword) }), "", ErrCredentials,
			"the KDC has locked or revoked the principal carol@KUDU.TEST (KDC_ERR_CLIENT_REVOKED)"},
		"wrong realm": {good(func(c *Config) { c.Principal, c.Keytab, c.Password = "alice@OTHER.TEST", "", secret.New("x") }), "", ErrCredentials,
			"krb5.conf names no KDC of the realm OTHER.TEST"},
		"a KDC of another realm": {good(func(c *Config) {
			c.Principal, c.Keytab, c.Password, c.Conf = "alice@OTHER.TEST", "", secret.New("x"), conf(testenv.Realm, "OTHER.TEST")
		}), "", ErrCredentials, "OTHER.TEST"},
		"no configuration": {good(func(c *Config) { c.Conf = absent }), "", ErrCredentials, "reading the Kerberos configuration"},
		"unknown service":  {good(func(c *Config) { c.Service = "hive" }), "", ErrCredentials, "doesn't know the service hive/127.0.0.1"},
		"unknown host":     {good(func(*Config) {}), "db.test", ErrCredentials, "doesn't know the service kudu/db.test"},
		"missing cache":    {Config{Cache: absent, Conf: r.ClientConf()}, "", ErrCredentials, "reading the ticket cache " + absent},
		"cache of another": {Config{Principal: "bob", Cache: r.cache, Conf: r.ClientConf()}, "", ErrCredentials, "is of alice@KUDU.TEST, not of bob"},
		"damaged cache":    {Config{Cache: write(t, absent+"3", []byte{5}), Conf: r.ClientConf()}, "", ErrCredentials, "reading the ticket cache"},
		"KDC is down": {good(func(c *Config) { c.Conf = conf(r.Addr(), "127.0.0.1:1") }), "", ErrUnreachable,
			"no Kerberos KDC answers for realm KUDU.TEST: "},
	} {
		cases.Go(func() {
			r := &realm{KDC: r.KDC} // counts for itself
			l := newLogin(t, tc.cfg, r.dial)
			host := tc.host
			if host == "" {
				host = "127.0.0.1"
			}
			const asking = 3 * time.Second
			ctx, cancel := context.WithTimeout(t.Context(), asking)
			defer cancel()
			var attempts atomic.Int64
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for ctx.Err() == nil {
						_, _, err := l.ticketFor(t.Context(), host)
						if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), alicePassword) {
							t.Errorf("%s: got %v, want %q", name, err, tc.says)
							return
						}
						attempts.Add(1)
						timer := time.NewTimer(10 * time.Millisecond)
						<-timer.C
					}
				})
			}
			wg.Wait()
			// Each attempt is at most three questions (two to prove the password,
			// one for the service), and pauses begin at half a second and double:
			// at 0, 0.5 and 1.5 s.
			if asked := r.asked.Load(); asked > 9 {
				t.Errorf("%s: %d questions to the KDC in %s", name, asked, asking)
			} else {
				t.Logf("%s: %d attempts, %d questions to the KDC in %s", name, attempts.Load(), asked, asking)
			}
		})
	}
	cases.Wait()
}

func TestClocksThatDifferAreNamed(t *testing.T) {
	r := newRealm(t, 0)
	// Within the bubble it is the year 2000.
	synctest.Test(t, func(t *testing.T) {
		for name, cfg := range map[string]Config{
			"with proof":    {Principal: "alice", Password: secret.New(alicePassword)},
			"without proof": {Principal: "kudu/127.0.0.1", Keytab: r.Dir() + "/service.keytab"},
		} {
			if name == "without proof" {
				kt, err := r.Keytab(context.Background(), "kudu/127.0.0.1")
				if err != nil {
					t.Fatal(err)
				}
				cfg.Keytab = kt
			}
			cfg.Conf = r.ClientConf()
			_, _, err := newLogin(t, cfg, nil).ticketFor(context.Background(), "127.0.0.1")
			if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "the clocks of this machine and the KDC differ too much") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestTicketServesToItsEndWhenItsRenewalIsRefused(t *testing.T) {
	r := newRealm(t, 0)
	strange, err := r.StartIntolerant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := ""
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, cmp.Or(to, addr))
	}
	l := newLogin(t, Config{Principal: "alice", Keytab: r.keytab, Conf: r.ClientConf()}, dial)
	first, who, err := l.ticketFor(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	to = strange.Addr()
	if _, _, err := l.obtain(t.Context(), "127.0.0.1"); !errors.Is(err, ErrCredentials) {
		t.Fatalf("the renewal gives %v", err)
	}
	got, id, err := l.ticketFor(t.Context(), "127.0.0.1")
	if err != nil || got != first || id != who {
		t.Fatalf("%v of %v, %v, want %v of %v", got, id, err, first, who)
	}
	if _, _, err := newInitiator(got, id); err != nil {
		t.Error(err)
	}
}

func TestTicketsAreRenewedBeforeTheyExpireAndOutliveAKDCThatIsAway(t *testing.T) {
	t.Parallel()
	// A third of it is left when a renewal begins: that is what the machine may stand still.
	const life = 18 * time.Second
	r := newRealm(t, life)
	l := newLogin(t, Config{Principal: "alice", Keytab: r.keytab, Conf: r.ClientConf()}, r.dial)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	defer running.Wait()
	defer cancel()
	ask := func() (*ticket, error) {
		got, _, err := l.ticketFor(t.Context(), "127.0.0.1")
		return got, err
	}
	first, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	// Nobody asks meanwhile: Run renews by itself, twice at least.
	last := first
	for renewed := 0; renewed < 2; {
		now, _ := l.kept("127.0.0.1")
		switch {
		case now == nil:
			t.Fatalf("no ticket is kept %s after the first", time.Since(first.got))
		case now != last:
			renewed++
			if !now.ends.After(last.ends) {
				t.Errorf("a ticket that ends at %s after one until %s", now.ends, last.ends)
			}
			last = now
		}
		timer := time.NewTimer(20 * time.Millisecond)
		<-timer.C
	}
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	// It goes on until the last ticket expires, and not longer.
	for {
		asked := time.Now()
		got, err := ask()
		if err != nil {
			if !errors.Is(err, ErrUnreachable) || time.Now().Before(last.ends) {
				t.Errorf("%s before the ticket's end: %v", time.Until(last.ends), err)
			}
			break
		}
		last = got
		if asked.After(got.ends) {
			t.Fatal("an expired ticket is given")
		}
		timer := time.NewTimer(20 * time.Millisecond)
		<-timer.C
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for {
		if _, err := ask(); err == nil {
			break
		} else if time.Since(began) > 2*mostPauseUnreachable {
			t.Fatalf("no ticket %s after the KDC is back: %v", time.Since(began), err)
		}
		timer := time.NewTimer(20 * time.Millisecond)
		<-timer.C
	}
	t.Logf("a ticket again %s after the KDC is back", time.Since(began))
}

func TestTicketCacheThatOthersRenewIsReadAgain(t *testing.T) {
	t.Parallel()
	r := newRealm(t, 6*time.Second)
	l := newLogin(t, Config{Cache: r.cache, Conf: r.ClientConf()}, r.dial)
	got, _, err := l.ticketFor(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(got.ends) + 10*time.Millisecond)
	_, _, err = l.ticketFor(t.Context(), "127.0.0.1")
	if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "has expired at") || !strings.Contains(err.Error(), "run kinit") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Kinit(t.Context(), "alice", alicePassword); err != nil {
		t.Fatal(err)
	}
	// Until the pause is over, or somebody says that it is mended.
	if _, _, again := l.ticketFor(t.Context(), "127.0.0.1"); again != nil && !errors.Is(again, err) {
		t.Errorf("got %v", again)
	}
	l.AskAgain()
	if _, _, err = l.ticketFor(t.Context(), "127.0.0.1"); err != nil || l.Trouble() != nil {
		t.Errorf("%v; trouble is %v", err, l.Trouble())
	}
}

// TestKDCThatDoesNotAnswerCostsABoundedWait has one that takes the connection
// and is silent, and one whose answer has no end.
func TestKDCThatDoesNotAnswerCostsABoundedWait(t *testing.T) {
	conf := write(t, filepath.Join(t.TempDir(), "krb5.conf"), []byte("[libdefaults]\n default_realm = X.TEST\n[realms]\n X.TEST = {\n  kdc = kdc.x.test\n }\n"))
	synctest.Test(t, func(t *testing.T) {
		var serving sync.WaitGroup
		defer serving.Wait()
		conns := 0
		l := newLogin(t, Config{Principal: "alice", Password: secret.New("x"), Conf: conf}, func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			serving.Go(func() { _, _ = io.Copy(io.Discard, server) })
			if conns++; conns%2 == 0 {
				serving.Go(func() { _, _ = server.Write([]byte{0xff, 0xff, 0xff, 0xff, 1}) })
			}
			return client, nil
		})
		ask := func(ctx context.Context, want time.Duration) {
			t.Helper()
			began := time.Now()
			if _, _, err := l.ticketFor(ctx, "h"); !errors.Is(err, ErrUnreachable) || time.Since(began) != want {
				t.Errorf("%v after %s, want it after %s", err, time.Since(began), want)
			}
			if !errors.Is(l.Trouble(), ErrUnreachable) {
				t.Errorf("trouble is %v", l.Trouble())
			}
		}
		ask(t.Context(), kdcPatience)
		<-time.After(firstPause)
		ask(t.Context(), 0)
		<-time.After(2 * firstPause)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		ask(ctx, 100*time.Millisecond)
	})
}

// TestFilesThatChangeEndThePause has a KDC refuse a keytab that is replaced then.
func TestFilesThatChangeEndThePause(t *testing.T) {
	r := newRealm(t, 0)
	if err := r.ChangePassword(t.Context(), "alice", "another"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "alice.keytab")
	put := func(from string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(path+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(r.keytab) // of before
	l := newLogin(t, Config{Principal: "alice", Keytab: path, Conf: r.ClientConf()}, r.dial)
	refused := func() {
		t.Helper()
		if _, _, err := l.ticketFor(t.Context(), "127.0.0.1"); !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "wrong password or keytab") {
			t.Errorf("got %v", err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pauses[""].until = time.Now().Add(time.Hour)
	}
	refused()
	asked := r.asked.Load()
	refused()
	if n := r.asked.Load(); n != asked {
		t.Errorf("the KDC was asked during the pause, %d times", n-asked)
	}
	put(r.keytab)
	refused()
	if n := r.asked.Load(); n == asked {
		t.Error("another file was not tried")
	}
	if next := l.pauses[""].next; next != 2*firstPause {
		t.Errorf("after the first refusal of another file the next pause is %v", next)
	}
	fresh, err := r.Keytab(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	put(fresh)
	if _, _, err := l.ticketFor(t.Context(), "127.0.0.1"); err != nil {
		t.Error(err)
	}
}
