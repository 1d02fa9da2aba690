package kerberos

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"go.uber.org/goleak"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.ClosingShared(m)) }

// certificate is a server's own, and its hash.
func certificate(t testing.TB) (*tls.Config, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, sum[:]
}

// whoAmI answers each call with the client's name.
func whoAmI(_ context.Context, call *krpc.ServerCall) {
	_ = call.Reply(&pb.JwtRawPB{JwtData: []byte(call.User)})
}

// dialTo connects the login to a server with these options, and asks it who the
// client is. No network is used.
func dialTo(t testing.TB, opts krpc.ServerOptions, l *Login, mode krpc.TLSMode) (string, error) {
	t.Helper()
	srv := krpc.NewServer(opts, whoAmI)
	defer srv.Close()
	served := make(chan error, 1)
	conn, err := krpc.Dial(t.Context(), testHost+":7051", krpc.Options{
		TLS: mode, Authenticators: []krpc.Authenticator{l.Authenticator(nil)},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { served <- srv.ServeConn(server) }()
			return client, nil
		},
	})
	defer func() { srv.Close(); <-served }()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	var me pb.JwtRawPB
	p, err := conn.Call(t.Context(), &krpc.Request{Service: krpc.MasterService, Method: "WhoAmI"}, &me)
	p.Release()
	return string(me.GetJwtData()), err
}

func TestKerberosAuthenticatesBothSides(t *testing.T) {
	config, hash := certificate(t)
	for _, etype := range []int32{
		// gokrb5 makes no tickets of the type with SHA-384: the tests with a KDC
		// have one.
		aes256, etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA256_128,
	} {
		for name, lies := range map[string]lies{"": {}, "no subkey": {noSubkey: true}, "rotated": {rotate: 28}, "rotated around": {rotate: 1000}} {
			for _, withTLS := range []bool{false, true} {
				keys := serviceKeys(t, etype)
				opts := krpc.ServerOptions{NoPlain: true}
				mode := krpc.TLSOff
				if withTLS {
					opts.TLS, opts.RequireTLS, mode = config, true, krpc.TLSRequired
				}
				opts.GSSAPI = func(state *tls.ConnectionState) krpc.Acceptor {
					a := &acceptor{keys: keys, lies: lies}
					if state != nil {
						a.hash = hash
					}
					return a
				}
				user, err := dialTo(t, opts, holding(t, keys, etype), mode)
				if err != nil || user != "alice@"+testRealm {
					t.Errorf("encryption type %d, TLS %t, %s: %q, %v", etype, withTLS, name, user, err)
				}
			}
		}
	}
}

func TestServersThatDoNotProveThemselvesAreRefused(t *testing.T) {
	config, hash := certificate(t)
	other := sha256.Sum256([]byte("another certificate"))
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	cut := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { return b[:min(n, len(b))] }
	}
	for name, tc := range map[string]struct {
		lies lies
		says string
	}{
		"no ticket's key":         {lies{otherKey: true}, "isn't encrypted with the ticket's key"},
		"an old answer":           {lies{late: -time.Second}, "answers another request"},
		"an AP-REQ as answer":     {lies{kind: tokenAPReq}, "a token of kind 01 00"},
		"an error as answer":      {lies{kind: tokenError}, "not prove"},
		"a spoilt answer":         {lies{spoil: flip(-1)}, "isn't encrypted with the ticket's key"},
		"no token":                {lies{spoil: cut(0)}, "not a token of GSSAPI"},
		"half a token":            {lies{spoil: cut(40)}, "not a token of Kerberos"},
		"another mechanism":       {lies{spoil: flip(9)}, "not a token of Kerberos"},
		"no integrity":            {lies{offer: []byte{1, 0, 0, 0}}, "no protection of integrity"},
		"privacy only":            {lies{offer: []byte{4, 0, 4, 0}}, "no protection of integrity"},
		"a short offer":           {lies{offer: []byte{2}}, "no protection of integrity"},
		"an empty offer":          {lies{offer: []byte{}}, "no protection of integrity"},
		"a sealed message":        {lies{flags: sealed}, "with flags 0x7"},
		"flags of no subkey":      {lies{flags: acceptorSubkey}, "with flags 0x1"},
		"a message of the client": {lies{flags: fromAcceptor}, "not prove"},
		"a message again":         {lies{skip: ^uint64(0)}, "wrapped message"},
		"a message left out":      {lies{skip: 1}, "wrapped message"},
		"a spoilt message":        {lies{spoilWrap: flip(16)}, "wrong checksum"},
		"a spoilt checksum":       {lies{spoilWrap: flip(-1)}, "wrong checksum"},
		"half a message":          {lies{spoilWrap: cut(20)}, "not prove"},
		"another certificate":     {lies{bindings: other[:]}, "somebody is in between"},
		"no bindings":             {lies{noBindings: true}, "sends no channel bindings"},
		"bindings of odd length":  {lies{prefix: 1}, "channel bindings of 61 bytes in 60"},
		"success at once":         {lies{early: 1}, "after 1 of 3 rounds"},
		"success after one round": {lies{early: 2}, "after 2 of 3 rounds"},
		"rounds without end":      {lies{more: true}, "a further round"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := serviceKeys(t, aes256)
			_, err := dialTo(t, krpc.ServerOptions{TLS: config, NoPlain: true, GSSAPI: func(*tls.ConnectionState) krpc.Acceptor {
				return &acceptor{keys: keys, hash: hash, lies: tc.lies}
			}}, holding(t, keys, aes256), krpc.TLSRequired)
			if !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

func TestServersThatOfferLessThanKerberosAreRefused(t *testing.T) {
	config, hash := certificate(t)
	keys := serviceKeys(t, aes256)
	gssapi := func(*tls.ConnectionState) krpc.Acceptor { return &acceptor{keys: keys, hash: hash} }
	l := holding(t, keys, aes256)
	_, err := dialTo(t, krpc.ServerOptions{TLS: config}, l, krpc.TLSRequired)
	if !errors.Is(err, krpc.ErrNoCommonAuthentication) ||
		!strings.Contains(err.Error(), "this client is to authenticate by sasl GSSAPI, and the server takes sasl PLAIN only") {
		t.Errorf("got %v", err)
	}
	_, err = dialTo(t, krpc.ServerOptions{GSSAPI: gssapi}, l, krpc.TLSRequired)
	if !errors.Is(err, krpc.ErrTLSUnavailable) {
		t.Errorf("got %v", err)
	}
	// It takes the better of the two that this one offers.
	if user, err := dialTo(t, krpc.ServerOptions{TLS: config, GSSAPI: gssapi}, l, krpc.TLSRequired); err != nil || user != "alice@"+testRealm {
		t.Errorf("%q, %v", user, err)
	}
}

func TestServerRefusesATicketForAnotherKey(t *testing.T) {
	config, hash := certificate(t)
	other := serviceKeys(t, aes256)
	other.Entries[0].Key.KeyValue[0] ^= 1
	_, err := dialTo(t, krpc.ServerOptions{TLS: config, GSSAPI: func(*tls.ConnectionState) krpc.Acceptor {
		return &acceptor{keys: other, hash: hash}
	}}, holding(t, serviceKeys(t, aes256), aes256), krpc.TLSRequired)
	var refused *krpc.CallError
	if !errors.As(err, &refused) || refused.Code != pb.ErrorStatusPB_FATAL_UNAUTHORIZED {
		t.Errorf("got %v", err)
	}
}

// TestServerThatStallsCostsABoundedWait has the server fall silent after each
// of its messages in turn.
func TestServerThatStallsCostsABoundedWait(t *testing.T) {
	for after := range 6 { // frames of the server without TLS: NEGOTIATE and four of SASL
		synctest.Test(t, func(t *testing.T) {
			keys := serviceKeys(t, aes256)
			l := holding(t, keys, aes256)
			srv := krpc.NewServer(krpc.ServerOptions{NegotiationTimeout: time.Hour, GSSAPI: func(*tls.ConnectionState) krpc.Acceptor {
				return &acceptor{keys: keys}
			}}, whoAmI)
			served := make(chan error, 1)
			began := time.Now()
			conn, err := krpc.Dial(t.Context(), testHost+":7051", krpc.Options{
				NegotiationTimeout: 5 * time.Second, Authenticators: []krpc.Authenticator{l.Authenticator(nil)},
				Dial: func(context.Context, string, string) (net.Conn, error) {
					client, server := net.Pipe()
					go func() { served <- srv.ServeConn(&stalling{Conn: server, left: after, gone: make(chan struct{})}) }()
					return client, nil
				},
			})
			took := time.Since(began)
			if whole := after >= 4; whole {
				if err != nil || took > time.Second {
					t.Errorf("after %d messages: %v in %s", after, err, took)
				} else {
					conn.Close()
				}
			} else if !errors.Is(err, krpc.ErrNegotiationTimeout) || took != 5*time.Second {
				t.Errorf("after %d messages: %v in %s", after, err, took)
			}
			srv.Close()
			<-served
		})
	}
}

// stalling is a connection that takes so many writes and then none until it is
// closed.
type stalling struct {
	net.Conn
	left int
	gone chan struct{}
}

func (s *stalling) Write(b []byte) (int, error) {
	if s.left--; s.left < 0 {
		<-s.gone
		return 0, io.ErrClosedPipe
	}
	return s.Conn.Write(b)
}

func (s *stalling) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil {
		s.Close()
	}
	return n, err
}

func (s *stalling) Close() error {
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
	return s.Conn.Close()
}
