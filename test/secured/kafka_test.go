package secured

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// TestEachWayIntoKafkaPublishesEachRowOnce runs the program by each protocol and
// mechanism, and kills it on the way. Then it is started with faults.
func TestEachWayIntoKafkaPublishesEachRowOnce(t *testing.T) {
	kdc := testenv.NewKDC(t)
	kafka := testenv.NewKafka(t, testenv.KafkaConfig{Security: &testenv.KafkaSecurity{Users: map[string]string{kafkaUser: password}, KDC: kdc}})
	if err := kdc.AddUser(t.Context(), kafkaUser, password, 0); err != nil {
		t.Fatal(err)
	}
	keytab, err := kdc.Keytab(t.Context(), kafkaUser)
	if err != nil {
		t.Fatal(err)
	}
	s := kafka.Secured()
	pair, err := s.Authority.Issue(testenv.CertificateSpec{Name: kafkaUser})
	if err != nil {
		t.Fatal(err)
	}
	keystore := filepath.Join(t.TempDir(), "worker.pem")
	if err := pair.Write(keystore); err != nil {
		t.Fatal(err)
	}
	encrypted := "bootstrap.servers: " + s.SASLSSL + "\nsecurity.protocol: SASL_SSL\nssl.truststore.location: " + s.CAFile + "\n"
	user := "sasl.username: " + kafkaUser + "\nsasl.password: ${env:PASSWORD}\n"
	token, err := s.Tokens.Token(kafkaUser, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	provider := newProvider(t, s.Tokens, time.Hour)
	ways := map[string]string{
		"kerberos":       encrypted + "sasl.mechanism: GSSAPI\nsasl.kerberos.principal: " + kafkaUser + "\nsasl.kerberos.keytab: " + keytab + "\nsasl.kerberos.krb5.conf: " + kdc.ClientConf() + "\n",
		"token-file":     encrypted + "sasl.mechanism: OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url: file://" + tokenFile + "\n",
		"token-endpoint": encrypted + "sasl.mechanism: OAUTHBEARER\n" + provider.keys(),
		"plain":          encrypted + user + "sasl.mechanism: PLAIN\n",
		"scram-256":      encrypted + user + "sasl.mechanism: SCRAM-SHA-256\n",
		"scram-512":      encrypted + user + "sasl.mechanism: SCRAM-SHA-512\n",
		"certificate":    "bootstrap.servers: " + s.SSL + "\nsecurity.protocol: SSL\nssl.truststore.location: " + s.CAFile + "\nssl.keystore.location: " + keystore + "\n",
		"without-tls":    "bootstrap.servers: " + s.SASLPlaintext + "\nsecurity.protocol: SASL_PLAINTEXT\nsasl.mechanism: SCRAM-SHA-512\n" + user,
		"jaas": encrypted + "sasl.mechanism: PLAIN\nsasl.jaas.config: org.apache.kafka.common.security.plain.PlainLoginModule required" +
			" username=\"" + kafkaUser + "\" password=\"${env:PASSWORD}\";\n",
	}
	const rows = 300
	table := kuduTable(t, "ways", rows)
	workers, readers := map[string]*worker{}, map[string]*reader{}
	for name, security := range ways {
		workers[name] = newKafkaWorker(t, name, table, waiting+security)
		workers[name].start(t)
		readers[name] = newReader(t, kafka, name)
	}
	awaitAll(t, readers, rows, patience)
	for _, w := range workers {
		if err := w.process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	insert(t, table, rows, 10)
	for _, w := range workers {
		w.start(t)
	}
	awaitAll(t, readers, rows+10, patience)
	for _, w := range workers {
		w.stop(t)
	}
	if n := provider.asked.Load(); n < 2 {
		t.Errorf("the token endpoint was asked %d times by two programs", n)
	}
	refusals(t, kdc, kafka, table)
}
