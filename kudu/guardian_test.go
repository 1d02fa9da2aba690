package kudu

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// cluster is a master and a tablet server that take part in what a client with
// Kerberos does after it was let in: the master gives tokens, the tablet server
// takes those that are good.
type cluster struct {
	mu     sync.Mutex
	ca     *authority
	life   time.Duration
	given  int             // tokens so far
	good   map[string]bool // by their data; nil: all
	shown  []string        // to the tablet server
	down   bool            // the master gives no answer of use
	client *Client
	tserv  string
}

func newCluster(t *testing.T, life time.Duration) *cluster {
	t.Helper()
	c := &cluster{ca: newAuthority(t), life: life}
	config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ca.server(t, time.Now().Add(time.Hour), false), nil
	}}
	serve := func(opts krpc.ServerOptions, h krpc.Handler) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		opts.NegotiationTimeout = time.Minute
		srv := krpc.NewServer(opts, h)
		done := make(chan error, 1)
		go func() { done <- srv.Serve(listener) }()
		t.Cleanup(func() { srv.Close(); <-done })
		return listener.Addr().String()
	}
	master := serve(krpc.ServerOptions{TLS: config}, func(_ context.Context, call *krpc.ServerCall) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down {
			_ = call.Fail(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY, "busy")
			return
		}
		c.given++
		data, err := proto.Marshal(&pb.TokenPB{ExpireUnixEpochSeconds: new(time.Now().Add(c.life).Unix() + 1)})
		if err != nil {
			t.Error(err)
		}
		_ = call.Reply(&pb.ConnectToMasterResponsePB{
			Role: new(int32(roleLeader)), CaCertDer: [][]byte{c.ca.cert.Raw},
			AuthnToken: &pb.SignedTokenPB{TokenData: data, Signature: []byte(fmt.Sprint(c.given))},
		})
	})
	c.tserv = serve(krpc.ServerOptions{TLS: config, NoPlain: true, VerifyToken: func(token *pb.SignedTokenPB) (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		name := string(token.GetSignature())
		c.shown = append(c.shown, name)
		if c.good != nil && !c.good[name] {
			return "", errors.New("token expired")
		}
		return "alice", nil
	}}, func(_ context.Context, call *krpc.ServerCall) { _ = call.Reply(&pb.PingResponsePB{}) })
	var err error
	c.client, err = New(Config{Masters: []string{master}, OperationTimeout: 20 * time.Second, Security: Security{
		Kerberos: &Kerberos{Principal: "alice", Password: secret.New("x"), Conf: t.TempDir() + "/none"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.client.Close() })
	// Here a master lets in who has no ticket.
	c.client.toMasters.Close()
	c.client.toMasters = krpc.NewPool(krpc.Options{TLS: krpc.TLSRequired})
	return c
}

// ping calls the tablet server over a new connection.
func (c *cluster) ping(t *testing.T) error {
	t.Helper()
	c.client.pool.Close()
	c.client.pool = krpc.NewPool(c.client.guardian.secure(krpc.Options{}, true))
	return c.client.retry(t.Context(), "pinging", func(ctx context.Context) error {
		payload, err := c.client.call(ctx, c.tserv, "pinging", &krpc.Request{Service: krpc.TabletServerService, Method: "Ping", Body: &pb.PingRequestPB{}}, &pb.PingResponsePB{})
		payload.Release()
		return err
	})
}

// age makes what was handed out older.
func (c *cluster) age(by time.Duration) {
	g := c.client.guardian
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held.got, g.held.ends = g.held.got.Add(-by), g.held.ends.Add(-by)
}

func (c *cluster) expect(t *testing.T, what string, given int, shown ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given != given || fmt.Sprint(c.shown) != fmt.Sprint(shown) {
		t.Errorf("%s: %d tokens were given, want %d; shown %v, want %v", what, c.given, given, c.shown, shown)
	}
	c.shown = nil
}

func TestTokensAreRenewedBeforeTheyExpire(t *testing.T) {
	c := newCluster(t, time.Hour)
	if err := errors.Join(c.ping(t), c.ping(t)); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "a new token", 1, "1", "1")
	c.age(39 * time.Minute)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "with more than a third left", 1, "1")
	c.age(2 * time.Minute)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "with less than a third left", 2, "2")

	// One that can't be renewed is good until its end.
	c.age(50 * time.Minute)
	c.mu.Lock()
	c.down = true
	c.mu.Unlock()
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "with no master", 2, "2")
	c.mu.Lock()
	c.down = false
	c.mu.Unlock()
	c.age(20 * time.Minute)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "after its end", 3, "3")
}

func TestTokenThatAServerRefusesIsRenewed(t *testing.T) {
	c := newCluster(t, time.Hour)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "a new token", 1, "1")
	c.mu.Lock()
	c.good = map[string]bool{"2": true}
	c.mu.Unlock()
	c.age(settled)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "a refused token", 2, "1", "2")
}

func TestClusterThatWasMadeAnewIsKnownByItsNewAuthority(t *testing.T) {
	c := newCluster(t, time.Hour)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.ca = newAuthority(t)
	c.mu.Unlock()
	// What was handed out just now can't be outdated; it stays so while this test runs.
	c.age(-time.Hour)
	if err := c.ping(t); !errors.Is(err, ErrNotAuthenticated) || Retriable(err) {
		t.Errorf("got %v", err)
	}
	c.expect(t, "of late", 1, "1")
	c.age(time.Hour + settled)
	if err := c.ping(t); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "a new authority", 2, "2")
}
