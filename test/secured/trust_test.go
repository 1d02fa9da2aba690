package secured

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// authority is one that the cluster doesn't know, with the files of a server that
// it has signed.
type authority struct{ ca, cert, key string }

func newAuthority(t *testing.T) (a authority, own tls.Certificate) {
	t.Helper()
	dir := t.TempDir()
	a = authority{ca: dir + "/ca.pem", cert: dir + "/cert.pem", key: dir + "/key.pem"}
	save := func(path, kind string, der []byte) {
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	caKey, key := newKey(), newKey()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"127.0.0.1"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	save(a.ca, "CERTIFICATE", rootDER)
	save(a.cert, "CERTIFICATE", leafDER)
	save(a.key, "PRIVATE KEY", keyDER)
	return a, tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
}

// redirect dials other addresses than it is told.
func redirect(other map[string]string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if to, there := other[addr]; there {
			addr = to
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

// refuses wants an error that stays, and says this.
func refuses(t *testing.T, err error, says ...string) {
	t.Helper()
	if !errors.Is(err, kudu.ErrNotAuthenticated) || kudu.Retriable(err) {
		t.Errorf("got %v", err)
		return
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q isn't in %v", text, err)
		}
	}
	t.Log(err)
}

// TestWhoSitsInBetweenIsNoticed has somebody end TLS between a client and real
// servers, with a certificate of his own.
func TestWhoSitsInBetweenIsNoticed(t *testing.T) {
	kdc := testenv.NewKDC(t)
	cluster := strict(t, kdc)
	tickets := &kudu.Kerberos{Principal: user, Keytab: addUser(t, kdc, 0), Conf: kdc.ClientConf()}
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{Kerberos: tickets}})
	table := newTable(t, c, "between", 10)
	_, own := newAuthority(t)
	master, tserver := cluster.Masters()[0], cluster.TabletServers()[0].Addr()

	// With a ticket, by the channel bindings: the exchange itself is passed on.
	b := newBetween(t, master, own)
	c, _ = newClient(t, kudu.Config{Masters: cluster.Masters(), Dial: redirect(map[string]string{master: b.addr}), Security: kudu.Security{Kerberos: tickets}})
	_, err := c.OpenTable(within(t, 20*time.Second), table.Name())
	refuses(t, err, "the server did not prove its identity by Kerberos: its channel bindings aren't those of the TLS connection: somebody is in between", master)
	if n, _ := b.heard(); n == 0 {
		t.Error("the exchange of tickets was not passed on")
	}

	// With a token, by the chain, and before the token is sent.
	b = newBetween(t, tserver, own)
	c, _ = newClient(t, kudu.Config{Masters: cluster.Masters(), Dial: redirect(map[string]string{tserver: b.addr}), Security: kudu.Security{Kerberos: tickets}})
	if table, err = c.OpenTable(within(t, 20*time.Second), table.Name()); err != nil {
		t.Fatal(err)
	}
	_, err = count(t, table)
	refuses(t, err, "verifying the server's certificate: x509: certificate signed by unknown authority", tserver)
	if n, _ := b.heard(); n != 0 {
		t.Errorf("%d bytes were sent to the one in between", n)
	}
}

// TestTLSWithoutAuthenticationIsVerifiedOnlyAgainstAFileOfAuthorities shows what
// kudu.authentication: none is good for on a cluster that demands encryption.
func TestTLSWithoutAuthenticationIsVerifiedOnlyAgainstAFileOfAuthorities(t *testing.T) {
	cluster := testenv.NewKudu(t, testenv.KuduConfig{
		Flags: []string{"--rpc_encryption=required", "--rpc_encrypt_loopback_connections=true"},
	})
	stranger, own := newAuthority(t)
	master := cluster.Masters()[0]
	b := newBetween(t, master, own)
	// Nothing is checked: who sits in between reads along.
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Dial: redirect(map[string]string{master: b.addr})})
	table := newTable(t, c, "unverified", 100)
	if rows, err := count(t, table); err != nil || rows != 100 {
		t.Errorf("%d rows, %v", rows, err)
	}
	heard, chain := b.heard()
	if heard == 0 || len(chain) == 0 {
		t.Fatalf("%d bytes were heard, and %d certificates seen", heard, len(chain))
	}
	ca := t.TempDir() + "/ca.pem"
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	// With the authority of the cluster's own certificates it is noticed.
	c, _ = newClient(t, kudu.Config{Masters: cluster.Masters(), Dial: redirect(map[string]string{master: b.addr}), Security: kudu.Security{CAFile: ca}})
	_, err := c.OpenTable(within(t, 20*time.Second), table.Name())
	refuses(t, err, "certificate signed by unknown authority", master)
	c, _ = newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{CAFile: ca}})
	if table, err = c.OpenTable(within(t, 20*time.Second), table.Name()); err != nil {
		t.Fatal(err)
	}
	if rows, err := count(t, table); err != nil || rows != 100 {
		t.Errorf("%d rows, %v", rows, err)
	}
	c, _ = newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{CAFile: stranger.ca}})
	_, err = c.OpenTable(within(t, 20*time.Second), table.Name())
	refuses(t, err, "certificate signed by unknown authority", master)
}

// TestCertificatesThatExpiredOrAreOfAnotherAuthorityAreRefused has servers whose
// own certificates last half a minute, and servers with certificates from
// elsewhere.
func TestCertificatesThatExpiredOrAreOfAnotherAuthorityAreRefused(t *testing.T) {
	t.Parallel()
	kdc := testenv.NewKDC(t)
	tickets := &kudu.Kerberos{Principal: user, Keytab: addUser(t, kdc, 0), Conf: kdc.ClientConf()}

	const life = 25 * time.Second
	cluster := strict(t, kdc, "--ipki_server_cert_expiration_seconds=25")
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{Kerberos: tickets}})
	table := newTable(t, c, "expired", 0)
	// However long all that took, the certificate begins with the server.
	if err := cluster.TabletServers()[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, table, 0, 10)
	if rows, err := count(t, table); err != nil || rows != 10 {
		t.Errorf("%d rows, %v", rows, err)
	}
	// Connections that are there go on; idle ones are closed after a second, so that each
	// of these is a new one.
	var err error
	for began := time.Now(); err == nil && time.Since(began) < life+patience; _, err = count(t, table) {
		<-time.After(2 * time.Second)
	}
	refuses(t, err, "certificate has expired or is not yet valid", cluster.TabletServers()[0].Addr())
	// A server gets itself a new one at its start.
	if err := cluster.TabletServers()[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, err := count(t, table); err != nil || rows != 10 {
		t.Errorf("%d rows, %v", rows, err)
	}

	a, _ := newAuthority(t)
	foreign := testenv.NewKudu(t, testenv.KuduConfig{Kerberos: kdc, Flags: []string{
		"--rpc_encrypt_loopback_connections=true", "--user_acl=" + user,
		"--rpc_certificate_file=" + a.cert, "--rpc_private_key_file=" + a.key, "--rpc_ca_certificate_file=" + a.ca,
	}})
	trusting := kudu.Security{Kerberos: tickets, CAFile: a.ca}
	c, _ = newClient(t, kudu.Config{Masters: foreign.Masters(), Security: trusting})
	table = newTable(t, c, "foreign", 10)
	if rows, err := count(t, table); err != nil || rows != 10 {
		t.Errorf("%d rows, %v", rows, err)
	}
	c, _ = newClient(t, kudu.Config{Masters: foreign.Masters(), Security: kudu.Security{Kerberos: tickets}})
	if table, err = c.OpenTable(t.Context(), table.Name()); err != nil {
		t.Fatal(err)
	}
	_, err = count(t, table)
	refuses(t, err, "certificate signed by unknown authority", foreign.TabletServers()[0].Addr())
}

// TestServersThatOfferLessAreRefused has real clusters that let in clients with
// less than what this one is to insist on.
func TestServersThatOfferLessAreRefused(t *testing.T) {
	kdc := testenv.NewKDC(t)
	tickets := &kudu.Kerberos{Principal: user, Keytab: addUser(t, kdc, 0), Conf: kdc.ClientConf()}
	// Of two ways it takes the one that proves who is there.
	easy := testenv.NewKudu(t, testenv.KuduConfig{Kerberos: kdc, Flags: []string{"--rpc_authentication=optional", "--rpc_encryption=optional"}})
	c, _ := newClient(t, kudu.Config{Masters: easy.Masters(), Security: kudu.Security{Kerberos: tickets}})
	if table := newTable(t, c, "easy", 1); table.Owner() != user {
		t.Errorf("the table's owner is %q", table.Owner())
	}

	bare := testenv.NewKudu(t, testenv.KuduConfig{Flags: []string{"--rpc_authentication=disabled", "--rpc_encryption=disabled"}})
	a, _ := newAuthority(t)
	token := func() (string, error) { return password, nil }
	for says, security := range map[string]kudu.Security{
		"this client is to authenticate by sasl GSSAPI, and the server takes sasl PLAIN only": {Kerberos: tickets},
		"no mutually supported authentication types":                                          {JWT: token, CAFile: a.ca},
		"server does not offer TLS":                                                           {CAFile: a.ca},
	} {
		c, _ := newClient(t, kudu.Config{Masters: bare.Masters(), Security: security})
		_, err := c.OpenTable(within(t, 20*time.Second), "table")
		refuses(t, err, says, bare.Masters()[0])
	}
}

// TestUsersOfATrustedRealmAreLetIn has a user of one realm, and servers of another.
func TestUsersOfATrustedRealmAreLetIn(t *testing.T) {
	kdc, office := testenv.NewKDC(t), testenv.NewRealm(t, "OFFICE.TEST")
	cluster := strict(t, kdc)
	if err := errors.Join(office.AddUser(t.Context(), user, password, 0), office.AddUser(t.Context(), "mallory", password, 0),
		office.Trust(t.Context(), kdc, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{
		Kerberos: &kudu.Kerberos{Principal: user, Password: secret.New(password), Conf: office.ClientConf()},
	}})
	table := newTable(t, c, "office", 100)
	if rows, err := count(t, table); err != nil || rows != 100 || table.Owner() != user {
		t.Errorf("%d rows, %v; the table's owner is %q", rows, err, table.Owner())
	}
	// Errors have the realm.
	c, _ = newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{
		Kerberos: &kudu.Kerberos{Principal: "mallory", Password: secret.New(password), Conf: office.ClientConf()},
	}})
	if _, err := c.OpenTable(within(t, 20*time.Second), "office"); !errors.Is(err, kudu.ErrNotAuthorized) ||
		!strings.Contains(err.Error(), "mallory@OFFICE.TEST lacks the right: ") {
		t.Errorf("got %v", err)
	}
}
