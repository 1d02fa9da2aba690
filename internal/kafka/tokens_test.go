package kafka

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func systemRoots() *x509.CertPool { return nil }

// provider is a token endpoint.
type provider struct {
	*httptest.Server
	asked  atomic.Int64
	status atomic.Int64
	answer atomic.Value // string
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.status.Store(200)
	p.answer.Store(`{"access_token":"token-1","expires_in":100}`)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		user, password, _ := r.BasicAuth()
		if user != "client" || password != testPassword || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "kafka" {
			t.Errorf("asked by %s with %v", user, r.PostForm)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(p.status.Load()))
		fmt.Fprint(w, p.answer.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) tokens(logger hclog.Logger) *tokens {
	return newTokens(OAuth{Endpoint: p.URL + "/token", ClientID: "client", ClientSecret: secret.New(testPassword), Scope: "kafka"}, systemRoots, logger)
}

// age has the token that is kept be some time older.
func (t *tokens) age(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got, t.ends, t.until = t.got.Add(-d), t.ends.Add(-d), t.until.Add(-d)
}

func TestTokensAreKeptAndRenewedBeforeTheyExpire(t *testing.T) {
	p := newProvider(t)
	log, logger := testenv.NewJournal()
	tokens := p.tokens(logger)
	get := func(want string, asked int64) {
		t.Helper()
		if got, err := tokens.get(t.Context()); err != nil || got != want || p.asked.Load() != asked {
			t.Fatalf("got %q, %v; asked %d times", got, err, p.asked.Load())
		}
	}
	get("token-1", 1)
	get("token-1", 1)
	tokens.age(60 * time.Second)
	get("token-1", 1)
	p.answer.Store(`{"access_token":"token-2","expires_in":100}`)
	tokens.age(25 * time.Second)
	get("token-2", 2)

	// While there is no successor, it serves to its end; the endpoint is asked seldom.
	p.status.Store(503)
	tokens.age(85 * time.Second)
	for range 10 {
		get("token-2", 3)
	}
	if n := log.Count("getting a token for Kafka fails"); n != 1 {
		t.Errorf("told %d times", n)
	}
	tokens.age(20 * time.Second)
	if _, err := tokens.get(t.Context()); err == nil || Refused(err).Verdict != Unclear || !strings.Contains(err.Error(), "can't answer now (token-2") && !strings.Contains(err.Error(), "status 503") {
		t.Errorf("got %v", err)
	}
	p.status.Store(200)
	p.answer.Store(`{"access_token":"token-3"}`)
	tokens.age(5 * time.Second)
	get("token-3", p.asked.Load()+1)
	if log.Count("tokens for Kafka are got again") != 1 {
		t.Error("not told that it works again")
	}

	// A broker's refusal has another one be got.
	tokens.refused()
	get("token-3", p.asked.Load()+1)
}

func TestFailuresOfTheTokenEndpointAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		status    int
		answer    string
		key, what string
		verdict   Verdict
	}{
		"wrong secret": {401, `{"error":"invalid_client","error_description":"no such\nclient"}`, "sasl.oauthbearer.client.credentials.client.secret", `doesn't take the client "client" (invalid_client no such client)`, Lasting},
		"redirect":     {302, "", "sasl.oauthbearer.client.credentials.client.secret", "(status 302)", Lasting},
		"overload":     {429, "", "sasl.oauthbearer.token.endpoint.url", "can't answer now (status 429)", Unclear},
		"page":         {200, "<html>", "sasl.oauthbearer.token.endpoint.url", "something else than a token", Passing},
		"no token":     {200, `{"access_token":"a b"}`, "sasl.oauthbearer.token.endpoint.url", "something else than a token", Passing},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.status.Store(int64(tc.status))
			p.answer.Store(tc.answer)
			tokens := p.tokens(hclog.NewNullLogger())
			for range 50 {
				_, err := tokens.get(t.Context())
				if got := Refused(err); got == nil || got.Key != tc.key || got.Verdict != tc.verdict || !strings.Contains(got.What, tc.what) || strings.Contains(err.Error(), testPassword) {
					t.Fatalf("got %v", err)
				}
			}
			if n := p.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		p := newProvider(t)
		tokens := p.tokens(hclog.NewNullLogger())
		p.Close()
		if _, err := tokens.get(t.Context()); Refused(err) == nil || Refused(err).Verdict != Unclear || !strings.Contains(err.Error(), "cannot be reached: dial tcp") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		p := newProvider(t)
		tokens := p.tokens(hclog.NewNullLogger())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := tokens.get(ctx); err == nil || Refused(err) != nil {
			t.Errorf("got %v", err)
		}
		if _, err := tokens.get(t.Context()); err != nil {
			t.Errorf("what one caller gave up, the next one is told: %v", err)
		}
	})
}

func TestTokensOfAFileAreReadAnewAndTheirEndIsTold(t *testing.T) {
	path := tokenFile(t, "e30.eyJleHAiOjE3MDAwMDAwMDB9.x") // {"exp":1700000000}
	tokens := newTokens(OAuth{Endpoint: "file://" + path}, systemRoots, hclog.NewNullLogger())
	if got, err := tokens.get(t.Context()); err != nil || got != "e30.eyJleHAiOjE3MDAwMDAwMDB9.x" {
		t.Fatalf("got %q, %v", got, err)
	}
	if refused := tokens.refused(); !strings.Contains(refused.What, "which has expired at 2023-11-14T22:13:20Z") || refused.Verdict != Passing {
		t.Errorf("got %v", refused)
	}
	for text, want := range map[string]string{"abc\n": "", "a\x01b": "has no token", "": "has no token"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := tokens.get(t.Context())
		if want == "" && err != nil || want != "" && (Refused(err) == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.get(t.Context()); Refused(err) == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
}

func TestBearerHearsTheBrokerOutAboutATokenItRefuses(t *testing.T) {
	b := &bearer{tokens: newTokens(OAuth{Endpoint: "file://" + tokenFile(t, "abc")}, systemRoots, hclog.NewNullLogger()), extensions: JoinExtensions([]string{"b=2", "a=1"})}
	session, first, err := b.Authenticate(t.Context(), "")
	if err != nil || string(first) != "n,,\x01auth=Bearer abc\x01b=2\x01a=1\x01\x01" {
		t.Fatalf("begins with %q, %v", first, err)
	}
	if done, last, err := session.Challenge([]byte(`{"status":"invalid_token"}`)); done || string(last) != "\x01" || err != nil {
		t.Errorf("%v, %q, %v", done, last, err)
	}
	if _, _, err := session.Challenge(nil); err == nil {
		t.Error("a refused token is taken for a good one")
	}
	session, _, _ = b.Authenticate(t.Context(), "")
	if done, _, err := session.Challenge(nil); !done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
}

func TestBrokersThatDoNotProveThatTheyKnowThePasswordAreRefused(t *testing.T) {
	for name, answer := range map[string]string{"rounds": "r=x,s=AAAA,i=2000000000", "nonce": "r=x,s=AAAA,i=4096", "nothing": ""} {
		var told *RefusedError
		m := newMechanism(Security{Mechanism: ScramSHA256, Username: testUser, Password: secret.New(testPassword)},
			func(_ string, r *RefusedError) *RefusedError { told = r; return r }, systemRoots, hclog.NewNullLogger())
		session, _, err := m.Authenticate(t.Context(), "k:9093")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := session.Challenge([]byte(answer)); Refused(err) == nil || told != Refused(err) || !strings.Contains(err.Error(), "it doesn't prove by SCRAM-SHA-256 that it knows the password") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
