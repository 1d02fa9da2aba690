package krpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// ping asks whether a server knows the feature flags.
func ping(ctx context.Context, c *Conn, service string, features ...uint32) error {
	p, err := c.Call(ctx, &Request{Service: service, Method: "Ping", Features: features}, nil)
	p.Release()
	return err
}

// connectToMaster fails the test if the server does not lead.
func connectToMaster(t *testing.T, c *Conn) *pb.ConnectToMasterResponsePB {
	t.Helper()
	var resp pb.ConnectToMasterResponsePB
	p, err := c.Call(testContext(t), &Request{
		Service: MasterService, Method: "ConnectToMaster", Body: &pb.ConnectToMasterRequestPB{},
	}, &resp)
	if err != nil {
		t.Fatal(err)
	}
	p.Release()
	if resp.GetError() != nil || len(resp.GetMasterAddrs()) == 0 {
		t.Fatalf("got %v", &resp)
	}
	return &resp
}

func rootsOf(t *testing.T, resp *pb.ConnectToMasterResponsePB) func() *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	for _, der := range resp.GetCaCertDer() {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(ca)
	}
	return func() *x509.CertPool { return roots }
}

func TestRealServersTakeCallsAndFeatureFlags(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	ctx := testContext(t)
	c := connect(t, cluster.Masters()[0], Options{User: "alice"})
	connectToMaster(t, c)
	if err := ping(ctx, c, MasterService, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11); err != nil {
		t.Error(err)
	}
	expect := func(err error, code pb.ErrorStatusPB_RpcErrorCodePB) *CallError {
		t.Helper()
		var ce *CallError
		if !errors.As(err, &ce) || ce.Code != code {
			t.Fatalf("got %v, want %s", err, code)
		}
		return ce
	}
	ce := expect(ping(ctx, c, MasterService, 3, 99, 1000), pb.ErrorStatusPB_ERROR_INVALID_REQUEST)
	if len(ce.UnsupportedFeatures) != 2 || ce.UnsupportedFeatures[0] != 99 {
		t.Errorf("got %v", ce.UnsupportedFeatures)
	}
	expect(ping(ctx, c, TabletServerService), pb.ErrorStatusPB_ERROR_NO_SUCH_SERVICE)
	_, err := c.Call(ctx, &Request{Service: MasterService, Method: "Fly"}, nil)
	expect(err, pb.ErrorStatusPB_ERROR_NO_SUCH_METHOD)
	if err := ping(ctx, c, MasterService); err != nil || c.Err() != nil {
		t.Errorf("the connection did not outlive the errors: %v", err)
	}

	ts := connect(t, cluster.TabletServers()[0].Addr(), Options{User: "alice"})
	if err := ping(ctx, ts, TabletServerService, 1, 2, 3, 5, 6); err != nil {
		t.Error(err)
	}
}

func TestRealServersRunTLSOnLoopback(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	for _, authOnly := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			opts := Options{TLS: TLSRequired, TLSAuthOnly: authOnly, TLSConfig: &tls.Config{MaxVersion: version}}
			c := connect(t, cluster.Masters()[0], opts)
			n := c.Negotiated()
			if n.TLS == nil || n.TLS.Version != version || n.Encrypted == authOnly {
				t.Errorf("negotiated %+v", n)
			}
			resp := connectToMaster(t, c)
			if resp.GetAuthnToken() == nil || len(resp.GetCaCertDer()) == 0 {
				t.Errorf("no token or authority from a confidential connection: %v", resp)
			}
			if err := VerifyChain(rootsOf(t, resp)(), *n.TLS); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRealServersTakeTheTokenOfTheirMaster(t *testing.T) {
	cluster := testenv.SharedKudu(t)
	resp := connectToMaster(t, connect(t, cluster.Masters()[0], Options{TLS: TLSRequired}))
	token := resp.GetAuthnToken()
	opts := Options{
		TLS:            TLSRequired,
		RootCAs:        rootsOf(t, resp),
		Authenticators: []Authenticator{Token(func(context.Context) (*pb.SignedTokenPB, error) { return token, nil }), Plain("alice", "")},
	}
	c := connect(t, cluster.Masters()[0], opts)
	if c.Negotiated().Authn != AuthnToken || !c.Negotiated().Encrypted {
		t.Errorf("negotiated %+v", c.Negotiated())
	}
	if err := ping(testContext(t), c, MasterService); err != nil {
		t.Error(err)
	}

	token.Signature[0] ^= 1
	_, err := Dial(testContext(t), cluster.Masters()[0], opts)
	var ce *CallError
	if !errors.As(err, &ce) || ce.Code != pb.ErrorStatusPB_FATAL_INVALID_AUTHENTICATION_TOKEN {
		t.Errorf("got %v", err)
	}
}

func TestRealServersThatRequireEncryption(t *testing.T) {
	cluster := testenv.NewKudu(t, testenv.KuduConfig{Flags: []string{
		"--rpc_encryption=required", "--rpc_encrypt_loopback_connections=true", "--rpc_default_keepalive_time_ms=3000",
	}})
	master := cluster.Masters()[0]
	ctx := testContext(t)
	_, err := Dial(ctx, master, Options{})
	var ce *CallError
	if !errors.As(err, &ce) || ce.Code != pb.ErrorStatusPB_FATAL_UNAUTHORIZED {
		t.Errorf("got %v", err)
	}
	p := NewPool(Options{TLS: TLSRequired, TLSAuthOnly: true})
	defer p.Close()
	c, err := p.Get(ctx, master)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Negotiated().Encrypted {
		t.Errorf("negotiated %+v", c.Negotiated())
	}
	// The server closes what is idle; the pool does not mind.
	idle := time.Now()
	connectToMaster(t, c)
	select {
	case <-c.Done():
	case <-ctx.Done():
		t.Fatal("the server kept an idle connection")
	}
	if took := time.Since(idle); !errors.Is(c.Err(), ErrClosedByServer) || took < 2*time.Second {
		t.Errorf("connection ended with %v after %v", c.Err(), took)
	}
	if c, err = p.Get(ctx, master); err != nil {
		t.Fatal(err)
	}
	if err := ping(ctx, c, MasterService); err != nil {
		t.Error(err)
	}
}
