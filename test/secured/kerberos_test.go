package secured

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// strict is a cluster with all that Kudu can demand.
func strict(t *testing.T, kdc *testenv.KDC, masterFlags ...string) *testenv.Kudu {
	t.Helper()
	return strictBehind(t, kdc, nil, masterFlags...)
}

// strictBehind is strict with a proxy in front of the tablet servers.
func strictBehind(t *testing.T, kdc *testenv.KDC, proxy func(string) (string, error), masterFlags ...string) *testenv.Kudu {
	t.Helper()
	return testenv.NewKudu(t, testenv.KuduConfig{
		Kerberos: kdc, MasterFlags: masterFlags, Proxy: proxy,
		Flags:             []string{"--rpc_encrypt_loopback_connections=true", "--user_acl=" + user, "--rpc_default_keepalive_time_ms=1000"},
		TabletServerFlags: []string{"--tserver_enforce_access_control=true"},
	})
}

// insert writes rows with ids from first on.
func insert(t *testing.T, table *kudu.Table, first, rows int) {
	t.Helper()
	session := table.NewSession(kudu.SessionOptions{})
	defer session.Close()
	row := table.NewRow()
	for id := first; id < first+rows; id++ {
		row.Reset()
		row.SetAll(id, "text")
		if err := session.Apply(t.Context(), kudu.OpInsert, row); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := session.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// count reads the whole table.
func count(t *testing.T, table *kudu.Table) (rows int, err error) {
	t.Helper()
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		return 0, err
	}
	for _, tablet := range tablets {
		scan, err := table.Scan(tablet.ID, kudu.ScanOptions{})
		if err != nil {
			return 0, err
		}
		defer scan.Close()
		for {
			batch, err := scan.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return 0, err
			}
			rows += batch.NumRows()
		}
	}
	return rows, nil
}

func TestEachSourceOfTicketsOpensAClusterWithAllDemands(t *testing.T) {
	kdc := testenv.NewKDC(t)
	cluster := strict(t, kdc)
	keytab := addUser(t, kdc, 0)
	cache, err := kdc.Kinit(t.Context(), user, password)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*kudu.Kerberos{
		"keytab":   {Principal: user, Keytab: keytab},
		"password": {Principal: user, Password: secret.New(password)},
		"cache":    {Cache: cache},
	} {
		t.Run(name, func(t *testing.T) {
			k.Conf = kdc.ClientConf()
			c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{Kerberos: k}})
			table := newTable(t, c, name, 100)
			if table.Owner() != user {
				t.Errorf("the table's owner is %q", table.Owner())
			}
			if rows, err := count(t, table); err != nil || rows != 100 {
				t.Errorf("%d rows, %v", rows, err)
			}
		})
	}
	t.Run("restarted servers", func(t *testing.T) {
		c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{
			Kerberos: &kudu.Kerberos{Principal: user, Keytab: keytab, Conf: kdc.ClientConf()},
		}})
		table := newTable(t, c, "restarted", 10)
		for _, server := range cluster.Servers() {
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if rows, err := count(t, table); err != nil || rows != 10 {
				t.Errorf("%d rows, %v", rows, err)
			}
		}
	})
}

// TestRefusalsAreNamedAndNotRepeated connects in ways that the cluster doesn't
// let in.
func TestRefusalsAreNamedAndNotRepeated(t *testing.T) {
	kdc := testenv.NewKDC(t)
	cluster := strict(t, kdc)
	keytab := addUser(t, kdc, 0)
	if err := kdc.AddUser(t.Context(), "mallory", "secret", 0); err != nil {
		t.Fatal(err)
	}
	if err := kdc.AddService(t.Context(), "other/127.0.0.1", 0); err != nil {
		t.Fatal(err)
	}
	good := kudu.Kerberos{Principal: user, Keytab: keytab, Conf: kdc.ClientConf()}
	with := func(change func(*kudu.Kerberos)) kudu.Security {
		k := good
		change(&k)
		return kudu.Security{Kerberos: &k}
	}
	for name, tc := range map[string]struct {
		security kudu.Security
		says     string
		kind     error
	}{
		"no authentication": {kudu.Security{}, "this client is to authenticate by sasl PLAIN, and the server takes sasl GSSAPI only", kudu.ErrNotAuthenticated},
		"wrong password": {with(func(k *kudu.Kerberos) { k.Keytab, k.Password = "", secret.New("x"+password) }),
			"wrong password or keytab for alice@KUDU.TEST", kudu.ErrNotAuthenticated},
		"missing keytab": {with(func(k *kudu.Kerberos) { k.Keytab += "x" }), "reading the keytab: open " + keytab + "x", kudu.ErrNotAuthenticated},
		"wrong service":  {with(func(k *kudu.Kerberos) { k.Service = "other" }), "Request ticket server other/127.0.0.1@KUDU.TEST not found in keytab", kudu.ErrNotAuthenticated},
		"user without rights": {with(func(k *kudu.Kerberos) { k.Principal, k.Keytab, k.Password = "mallory", "", secret.New("secret") }),
			"Not authorized: unauthorized access to method", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: tc.security})
			began := time.Now()
			_, err := c.OpenTable(within(t, 20*time.Second), "table")
			if err == nil || !strings.Contains(err.Error(), tc.says) || (tc.kind != nil && !errors.Is(err, tc.kind)) {
				t.Fatalf("got %v, want %q", err, tc.says)
			}
			keepsSecrets(t, "the error", err.Error())
			if kudu.Retriable(err) || time.Since(began) > 10*time.Second {
				t.Errorf("after %s, and to be tried again: %v", time.Since(began), err)
			}
			t.Logf("%s: %v", time.Since(began), err)
		})
	}
}

func TestClientWithKerberosRefusesAClusterWithout(t *testing.T) {
	kdc := testenv.NewKDC(t)
	keytab := addUser(t, kdc, 0)
	if err := kdc.AddService(t.Context(), "kudu/127.0.0.1", 0); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, kudu.Config{Masters: testenv.SharedKudu(t).Masters(), Security: kudu.Security{
		Kerberos: &kudu.Kerberos{Principal: user, Keytab: keytab, Conf: kdc.ClientConf()},
	}})
	_, err := c.OpenTable(within(t, 20*time.Second), "table")
	if !errors.Is(err, kudu.ErrNotAuthenticated) || kudu.Retriable(err) ||
		!strings.Contains(err.Error(), "this client is to authenticate by sasl GSSAPI, and the server takes sasl PLAIN only") {
		t.Errorf("got %v", err)
	}
}

// TestRenewalsGoOnWhileRowsFlow writes and reads for some lifetimes of
// everything that expires: tickets of 12 s, authentication tokens of 10 s,
// authorization tokens of 5 s. Connections that are idle for a second are
// closed by the servers, so that each round makes new ones.
func TestRenewalsGoOnWhileRowsFlow(t *testing.T) {
	t.Parallel()
	const life = 12 * time.Second
	kdc := testenv.NewKDC(t)
	cluster := strict(t, kdc, "--authn_token_validity_seconds=10", "--authz_token_validity_seconds=5")
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), OperationTimeout: 15 * time.Second, Security: kudu.Security{
		Kerberos: &kudu.Kerberos{Principal: user, Keytab: addUser(t, kdc, life), Conf: kdc.ClientConf()},
	}})
	table := newTable(t, c, "flow", 10)
	written := 10
	round := func() error {
		rows, err := count(t, table)
		if err == nil && rows != written {
			t.Fatalf("%d rows, want %d", rows, written)
		}
		return err
	}
	pause := func() { <-time.After(2500 * time.Millisecond) }

	// It ends with a ticket that has most of its life before it.
	known, renewed := 0, false
	for began := time.Now(); time.Since(began) < 2*life || !renewed; pause() {
		insert(t, table, written, 10)
		written += 10
		if err := round(); err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		n := logins(t, kdc)
		known, renewed = n, n > known
	}

	// Without the KDC it goes on until the last ticket expires.
	if err := kdc.Kill(); err != nil {
		t.Fatal(err)
	}
	died := time.Now()
	var failure error
	for failure == nil {
		pause()
		began := time.Now()
		if failure = round(); failure == nil && began.Sub(died) > 2*life {
			t.Fatal("connections are made with expired tickets")
		}
	}
	lasted := time.Since(died)
	if lasted < life/4 || !strings.Contains(failure.Error(), "no Kerberos KDC answers for realm KUDU.TEST") || !kudu.Retriable(failure) {
		t.Errorf("%s after the KDC's death: %v", lasted, failure)
	}
	t.Logf("%s after the KDC's death: %v", lasted, failure)

	if err := kdc.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	for err := round(); err != nil; err = round() {
		if time.Since(back) > patience {
			t.Fatalf("%s after the KDC's return: %v", time.Since(back), err)
		}
	}
	t.Logf("serves again %s after the KDC's return", time.Since(back))
	insert(t, table, written, 10)
	written += 10
	if err := round(); err != nil {
		t.Error(err)
	}
}

func TestFileOfAuthoritiesThatCannotBeReadIsNamed(t *testing.T) {
	kdc := testenv.NewKDC(t)
	cluster := strict(t, kdc)
	keytab := addUser(t, kdc, 0)
	security := kudu.Security{Kerberos: &kudu.Kerberos{Principal: user, Keytab: keytab, Conf: kdc.ClientConf()}}
	security.CAFile = t.TempDir() + "/ca.pem"
	// A file of authorities that isn't there is named where it is needed.
	c, _ := newClient(t, kudu.Config{Masters: cluster.Masters(), Security: security})
	_, err := c.CreateTable(t.Context(), kudu.TableSpec{
		Name: "t", Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}}, Range: []string{"id"}, Replicas: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := c.OpenTable(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := count(t, table); err == nil || !strings.Contains(err.Error(), "reading the certificate authorities: open "+security.CAFile) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(security.CAFile, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := count(t, table); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
		t.Errorf("got %v", err)
	}
}
