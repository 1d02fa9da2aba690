package kafka

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// longPause has what was refused stay so for an hour.
func (g *gate) longPause(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pauses) == 0 {
		t.Fatal("nothing was refused")
	}
	for _, p := range g.pauses {
		p.until = time.Now().Add(time.Hour)
	}
}

// takesToken has the broker take OAUTHBEARER with one token.
func (b *fakeBroker) takesToken(token string) {
	b.ControlKey(keyHandshake, func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		response := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		response.SupportedMechanisms = []string{OAuthBearer}
		return response, nil, true
	})
	b.ControlKey(keyAuthenticate, func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl() // newBroker counts
		response := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if !bytes.Contains(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, []byte("auth=Bearer "+token+"\x01")) {
			response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		}
		return response, nil, true
	})
}

func TestNewTokenInItsFileIsTriedDuringThePauseAndAnOldOneIsNot(t *testing.T) {
	b := newBroker(t, nil)
	b.takesToken("good")
	path := tokenFile(t, "bad")
	o := Options{BootstrapServers: []string{b.addr()}, Security: Security{
		Protocol: SASLPlaintext, Mechanism: OAuthBearer, OAuth: OAuth{Endpoint: "file://" + path},
	}}
	refused := func(shown int64) {
		t.Helper()
		if err := ask(t, o); Refused(err) == nil {
			t.Errorf("got %v", err)
		}
		if n := b.shown.Load(); n != shown {
			t.Errorf("tokens were shown %d times, and not %d times", n, shown)
		}
		accessOf(o).gate.longPause(t)
	}
	put := func(token string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(t, o); Refused(err) == nil {
		t.Errorf("got %v", err)
	}
	accessOf(o).gate.longPause(t)
	shown := b.shown.Load()
	refused(shown)
	put("bad\n") // written anew, and the same
	refused(shown)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(shown) // about to be replaced
	put("worse")
	refused(2 * shown)
	refused(2 * shown)
	put("good")
	if err := ask(t, o); err != nil {
		t.Error(err)
	}
}

func TestWhatAnOperatorHasMendedIsTriedAtOnce(t *testing.T) {
	b := newBroker(t, nil, kfake.EnableSASL(), kfake.Superuser(Plain, testUser, testPassword))
	var refusing atomic.Bool
	b.refuse(&refusing)
	o := Options{BootstrapServers: []string{b.addr()}, Security: Security{
		Protocol: SASLPlaintext, Mechanism: Plain, Username: testUser, Password: secret.New(testPassword),
	}}
	if err := ask(t, o); Refused(err) == nil {
		t.Errorf("got %v", err)
	}
	accessOf(o).gate.longPause(t)
	refusing.Store(false)
	if err := ask(t, o); Refused(err) == nil {
		t.Errorf("got %v", err)
	}
	o.AskAgain()
	if err := ask(t, o); err != nil {
		t.Error(err)
	}

	// So is a token endpoint that has refused.
	p := newProvider(t)
	p.status.Store(401)
	_, logger := testenv.NewJournal()
	tokens := p.tokens(logger)
	for range 2 {
		if _, err := tokens.get(t.Context()); Refused(err) == nil {
			t.Errorf("got %v", err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("the endpoint was asked %d times", n)
	}
	p.status.Store(200)
	(&bearer{tokens: tokens}).askAgain()
	if token, err := tokens.get(t.Context()); err != nil || token != "token-1" {
		t.Errorf("got %q, %v", token, err)
	}

	// And with GSSAPI it is all the same whether there can be a login.
	newKerberos(Kerberos{Principal: "alice", Keytab: filepath.Join(t.TempDir(), "none"), Password: secret.New("too")}, nil, logger).askAgain()
}
