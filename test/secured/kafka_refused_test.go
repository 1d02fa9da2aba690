package secured

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// refusals starts the program with what the broker, or the program, refuses.
func refusals(t *testing.T, kdc *testenv.KDC, kafka *testenv.Kafka, table *kudu.Table) {
	s := kafka.Secured()
	dir := t.TempDir()
	strange, err := testenv.NewAuthority("strange")
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	issue := func(a *testenv.Authority, name string, spec testenv.CertificateSpec) string {
		t.Helper()
		pair, err := a.Issue(spec)
		if err != nil {
			t.Fatal(err)
		}
		return put(name, append(pair.Key, pair.Certificate...))
	}
	token := func(name string, issuer *testenv.TokenIssuer, issued time.Time) string {
		t.Helper()
		text, err := issuer.Token(kafkaUser, issued, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return "sasl.mechanism: OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url: file://" + put(name, []byte(text)) + "\n"
	}
	impostor, err := testenv.NewTokenIssuer()
	if err != nil {
		t.Fatal(err)
	}
	provider := newProvider(t, s.Tokens, time.Hour)
	_, port, _ := strings.Cut(s.SASLSSL, ":")
	const user = "sasl.username: " + kafkaUser + "\nsasl.password: ${env:PASSWORD}\n"
	const scram = "sasl.mechanism: SCRAM-SHA-512\n"
	wrong := strings.ReplaceAll(user, "${env:PASSWORD}", "wrong-${env:PASSWORD}")
	trust := "ssl.truststore.location: " + s.CAFile + "\n"
	to := func(addr, protocol string) string {
		return "bootstrap.servers: " + addr + "\nsecurity.protocol: " + protocol + "\n"
	}
	saslSSL := to(s.SASLSSL, "SASL_SSL") + trust
	kerberos := "sasl.mechanism: GSSAPI\nsasl.kerberos.krb5.conf: " + kdc.ClientConf() + "\nsasl.kerberos.principal: " + kafkaUser + "\n"
	for name, tc := range map[string]struct{ security, key, what, remedy string }{
		"wrong password, scram": {saslSSL + scram + wrong, "sasl.password", `it doesn't take the user "worker" with the password given, by SCRAM-SHA-512`, "correct sasl.username or sasl.password"},
		"wrong password, plain": {saslSSL + "sasl.mechanism: PLAIN\n" + wrong, "sasl.password", `it doesn't take the user "worker" with the password given, by PLAIN`, "correct sasl.username or sasl.password"},
		"mechanism":             {to(s.SASLPlaintext, "SASL_PLAINTEXT") + "sasl.mechanism: SCRAM-SHA-256\n" + user, "sasl.mechanism", "and sasl.mechanism is SCRAM-SHA-256", "enable SCRAM-SHA-256 at the brokers"},
		"ssl to plaintext":      {to(kafka.BootstrapServers(), "SSL") + trust, "security.protocol", "as a listener without TLS does", "write security.protocol: PLAINTEXT"},
		"plaintext to ssl":      {to(s.SSL, "PLAINTEXT"), "security.protocol", "and security.protocol is PLAINTEXT", "write security.protocol: SSL"},
		"sasl to plaintext":     {to(kafka.BootstrapServers(), "SASL_PLAINTEXT") + scram + user, "security.protocol", "this listener takes no SASL", "write security.protocol: PLAINTEXT"},
		"plaintext to sasl":     {to(s.SASLPlaintext, "PLAINTEXT"), "security.protocol", "as a listener with SASL does", "write security.protocol: SASL_PLAINTEXT"},
		"ssl to sasl":           {to(s.SASLSSL, "SSL") + trust, "security.protocol", "as a listener with SASL does", "write security.protocol: SASL_SSL"},
		"authority":             {to(s.SASLSSL, "SASL_SSL") + scram + user + "ssl.truststore.location: " + put("strange.pem", strange.PEM()) + "\n", "ssl.truststore.location", "issued by an authority that isn't trusted here (CN=kafka)", "add the authority's certificate"},
		"name":                  {to("localhost:"+port, "SASL_SSL") + trust + scram + user, "ssl.endpoint.identification.algorithm", "its certificate isn't for localhost, but for 127.0.0.1", "address it by a name of its certificate"},
		"no certificate":        {to(s.SSL, "SSL") + trust, "ssl.keystore.location", "it asks for a certificate of this program, which has none", "name a file with a certificate"},
		"strange certificate":   {to(s.SSL, "SSL") + trust + "ssl.keystore.location: " + issue(strange, "own.pem", testenv.CertificateSpec{Name: kafkaUser}) + "\n", "ssl.keystore.location", "it doesn't take this program's certificate", "replace it"},
		"expired certificate": {to(s.SSL, "SSL") + trust + "ssl.keystore.location: " +
			issue(s.Authority, "expired.pem", testenv.CertificateSpec{Name: kafkaUser, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}) + "\n",
			"ssl.keystore.location", "it doesn't take this program's certificate", "replace it"},
		"no truststore":      {to(s.SASLSSL, "SASL_SSL") + scram + user + "ssl.truststore.location: " + dir + "/none.pem\n", "ssl.truststore.location", "cannot be read (no such file", "check the path"},
		"no keystore":        {to(s.SSL, "SSL") + trust + "ssl.keystore.location: " + dir + "/none.pem\n", "ssl.keystore.location", "cannot be read (no such file", "check the path"},
		"expired token":      {saslSSL + token("expired", s.Tokens, time.Now().Add(-2*time.Hour)), "sasl.oauthbearer.token.endpoint.url", "which has expired at", "have the file renewed"},
		"forged token":       {saslSSL + token("forged", impostor, time.Now()), "sasl.oauthbearer.token.endpoint.url", "it doesn't take the token of file://", "have the file renewed"},
		"no token":           {saslSSL + "sasl.mechanism: OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url: file://" + dir + "/none\n", "sasl.oauthbearer.token.endpoint.url", "cannot be read (no such file", "check the path"},
		"client's secret":    {saslSSL + "sasl.mechanism: OAUTHBEARER\n" + strings.Replace(provider.keys(), "${env:PASSWORD}", "wrong-${env:PASSWORD}", 1), "sasl.oauthbearer.client.credentials.client.secret", `doesn't take the client "kudu2kafka" (invalid_client)`, "correct the client's id, secret or scope"},
		"kerberos, password": {saslSSL + kerberos + "sasl.kerberos.password: wrong-${env:PASSWORD}\n", "sasl.kerberos.password", "wrong password or keytab for worker@KUDU.TEST", "correct sasl.kerberos.principal or sasl.kerberos.password"},
		"kerberos, service":  {saslSSL + kerberos + "sasl.kerberos.password: ${env:PASSWORD}\nsasl.kerberos.service.name: other\n", "sasl.kerberos.service.name", "the KDC doesn't know the service other/127.0.0.1", "correct sasl.kerberos.service.name"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newKafkaWorker(t, "none", table, "startup.wait.ms: 300\n"+tc.security)
			began := time.Now()
			w.start(t)
			code, err := w.process.Wait(within(t, patience))
			text := w.read(t)
			if err != nil || code != 2 {
				t.Fatalf("exit code %d, %v:\n%s", code, err, text)
			}
			told := 0
			for line := range strings.Lines(text) {
				if strings.Contains(line, "[ERROR] kudu2kafka: "+tc.key+": ") && strings.Contains(line, tc.what) && strings.Contains(line, tc.remedy) {
					told++
				}
			}
			// A file of this machine is no broker's matter.
			named := strings.Contains(text, "127.0.0.1:") || strings.Contains(text, "localhost:") || strings.Contains(tc.what, "no such file")
			if told != 1 || !named {
				t.Errorf("told %d times:\n%s", told, text)
			}
			// It comes by itself in less than a second; a check that waits has 15 s.
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("told after %v", took)
			}
		})
	}
}
