package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// provider is a place that secrets are kept in.
type provider struct {
	name string
	// keep puts a secret there and gives what stands in the configuration.
	keep func(s *site, secret string) string
	// literal tells that the secret itself stands there.
	literal bool
}

var providers = []provider{
	{name: "literal", literal: true, keep: func(_ *site, secret string) string { return secret }},
	{name: "env", keep: func(s *site, secret string) string {
		name := s.next("K2K_SECRET_")
		s.env = append(s.env, name+"="+secret)
		return "${env:" + name + "}"
	}},
	{name: "env-default", literal: true, keep: func(s *site, secret string) string {
		return "${env:" + s.next("K2K_SECRET_NONE_") + ":-" + secret + "}"
	}},
	{name: "file", keep: func(s *site, secret string) string { return "${file:" + s.file(s.next("file"), secret+"\n") + "}" }},
	{name: "properties", keep: func(s *site, secret string) string {
		return "${file:" + s.file(s.next("p")+".properties", "# secrets\na.key = "+strings.ReplaceAll(secret, "\n", `\n`)+"\n") + ":a.key}"
	}},
	{name: "yaml", keep: func(s *site, secret string) string {
		return "${file:" + s.file(s.next("y")+".yaml", "a: {key: "+strconv.Quote(secret)+"}\n") + ":a.key}"
	}},
	{name: "dir", keep: func(s *site, secret string) string {
		// As Kubernetes mounts them.
		name, version := s.next("key"), s.next("..version")
		s.file(filepath.Join(version, name), secret)
		s.link(version, "..data_"+name)
		s.link(filepath.Join("..data_"+name, name), name)
		return "${dir:" + s.folder + ":" + name + "}"
	}},
}

// shape is how a secret stands in the value of a key; most are the value.
var shape = map[string]func(secret string) string{
	"rest.basic.auth.users": func(secret string) string { return "ann:" + secret },
	"sasl.jaas.config": func(secret string) string {
		return `org.apache.kafka.common.security.plain.PlainLoginModule required username="ann" password="` + secret + `";`
	},
}

// companions are the further keys that a configuration needs for a key to be of use,
// and those that must not be beside it, which are empty. A key that isn't here is
// looked at in what it is alone, which may be a fault.
func (s *site) companions(key string) map[string]string {
	return map[string]map[string]string{
		"sasl.password":    {"sasl.username": "ann"}, // Kafka has another password of hers
		"sasl.jaas.config": {"sasl.username": "", "sasl.password": ""},
		"ssl.keystore.key": {
			"security.protocol": "SSL", "sasl.mechanism": "", "sasl.username": "", "sasl.password": "",
			"ssl.truststore.location": s.ca, "ssl.keystore.certificate.chain": s.chain, "bootstrap.servers": s.broker,
		},
		"sasl.oauthbearer.client.credentials.client.secret": {
			"sasl.mechanism": "OAUTHBEARER", "sasl.username": "", "sasl.password": "",
			"sasl.oauthbearer.token.endpoint.url": s.tokens, "sasl.oauthbearer.client.credentials.client.id": "ann",
		},
		"sasl.kerberos.password": {
			"sasl.mechanism": "GSSAPI", "sasl.username": "", "sasl.password": "",
			"sasl.kerberos.principal": "ann@EXAMPLE.COM", "sasl.kerberos.krb5.conf": s.krb5,
		},
		"ssl.truststore.password": {
			"security.protocol": "SSL", "sasl.mechanism": "", "sasl.username": "", "sasl.password": "", "bootstrap.servers": s.broker,
			"ssl.truststore.type": "PKCS12", "ssl.truststore.location": s.store,
		},
		"ssl.keystore.password": {
			"security.protocol": "SSL", "sasl.mechanism": "", "sasl.username": "", "sasl.password": "", "bootstrap.servers": s.broker,
			"ssl.keystore.type": "PKCS12", "ssl.keystore.location": s.store,
		},
		"ssl.key.password": {
			"security.protocol": "SSL", "sasl.mechanism": "", "sasl.username": "", "sasl.password": "", "bootstrap.servers": s.broker,
			"ssl.keystore.location": s.locked,
		},
		"kudu.jwt": {"kudu.authentication": "jwt", "kudu.tls.ca.file": s.ca},
		"kudu.kerberos.password": {
			"kudu.authentication": "kerberos", "kudu.kerberos.principal": "ann@EXAMPLE.COM", "kudu.kerberos.krb5.conf": s.krb5,
		},
	}[key]
}

// unopened are keys whose passwords don't open the files that are there, which can be a
// fault of the configuration already.
var unopened = map[string]bool{"ssl.truststore.password": true, "ssl.keystore.password": true, "ssl.key.password": true}

// site is what a program finds: servers, files, variables; and what it must not tell.
type site struct {
	t        *testing.T
	provider provider
	kafka    *kfake.Cluster
	kudu     *kudufake.Cluster
	folder   string // of the files that secrets are in
	configs  string // of the configurations
	ca, krb5 string
	broker   string // one that takes no certificate
	tokens   string // gives none to anybody
	locked   string // a private key, encrypted
	store    string // what may be PKCS #12
	password string // of ann at Kafka
	// A certificate and its key, as PEM.
	chain, key string
	env        []string
	count      int
	secrets    map[string]string // what each is of
}

func newSite(t *testing.T, p provider) *site {
	t.Helper()
	s := &site{t: t, provider: p, folder: t.TempDir(), configs: t.TempDir(), secrets: make(map[string]string)}
	var err error
	s.password = s.secret("sasl.password of the worker that runs")
	if s.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "ann", s.password)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kafka.Close)
	if s.kudu, err = kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kudu.Close)
	table, err := s.kudu.CreateTable(kudufake.TableSpec{
		Name: "shop.orders", Replicas: 1, Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Insert(kudufake.Row{"id": int64(1)}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(nil)
	s.ca = s.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	s.broker = serve(t, func(conn net.Conn) {
		_ = tls.Server(conn, &tls.Config{Certificates: server.TLS.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
	})
	server.Close()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
	}))
	t.Cleanup(tokens.Close)
	s.tokens = tokens.URL + "/token"
	s.store = s.file("store.p12", "\x30\x10"+strings.Repeat("\x02", 16))
	chain, _ := certificate(t)
	s.locked = s.file("locked.pem", chain+string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: make([]byte, 100)})))
	s.krb5 = s.file("krb5.conf", "[libdefaults]\ndefault_realm = EXAMPLE.COM\n[realms]\nEXAMPLE.COM = {\n kdc = "+serve(t, refuse)+"\n}\n")
	return s
}

func (s *site) next(prefix string) string {
	s.count++
	return prefix + strconv.Itoa(s.count)
}

func (s *site) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) link(to, name string) {
	s.t.Helper()
	if err := os.Symlink(to, filepath.Join(s.folder, name)); err != nil {
		s.t.Fatal(err)
	}
}

// secret makes one that is nowhere else.
func (s *site) secret(of string) string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	secret := "Geheim" + hex.EncodeToString(b)
	s.secrets[secret] = of
	return secret
}

// value gives a key a new secret, and what stands for it in a configuration.
func (s *site) value(key, of string) (written, secret string) {
	if key == "ssl.keystore.key" {
		s.chain, s.key = certificate(s.t)
		lines := strings.Split(s.key, "\n")
		s.secrets[lines[1]] = key + " " + of
		return s.provider.keep(s, s.key), lines[1]
	}
	secret = s.secret(key + " " + of)
	text := secret
	if f := shape[key]; f != nil {
		text = f(secret)
	}
	return s.provider.keep(s, text), secret
}

// certificate makes one and its private key, as PEM.
func certificate(t *testing.T) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// secretKeys are those of the type password.
func secretKeys(keys []connector.Key) []string {
	var names []string
	for _, k := range keys {
		if k.Type == connector.TypePassword && k.Absent == "" {
			names = append(names, k.Name)
		}
	}
	return names
}

// worker is the configuration of a worker with a secret in each of the keys. Without
// any, Kafka takes it.
func (s *site) worker(keys ...string) (values, secrets map[string]string) {
	s.t.Helper()
	values, secrets = map[string]string{
		"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ann", "sasl.password": s.provider.keep(s, s.password),
		"bootstrap.servers": strings.Join(s.kafka.ListenAddrs(), ","), "group.id": "shop", "listeners": "http://127.0.0.1:0",
		"log.level": "trace", "startup.wait.ms": "-1", "offsets.storage.replication.factor": "1",
		"config.storage.replication.factor": "1", "status.storage.replication.factor": "1",
		"config.providers.allowed.paths": s.folder, "config.providers.env.allowlist.pattern": "K2K_SECRET_.*",
	}, make(map[string]string)
	for _, key := range keys {
		written, secret := s.value(key, "of the worker")
		maps.Copy(values, s.companions(key))
		values[key], secrets[key] = written, secret
	}
	maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
	return values, secrets
}

// orders is the configuration of a connector with a secret in a key, "" for none.
func (s *site) orders(name, key string) map[string]string {
	values := map[string]string{
		"name": name, "kudu.masters": strings.Join(s.kudu.Masters(), ","), "kudu.table": "shop.orders", "topic": "rows-" + name,
		"poll.interval.ms": "20", "transaction.boundary.interval.ms": "100", "topic.creation.default.replication.factor": "1",
		"errors.retry.delay.max.ms": "200", "kudu.operation.timeout.ms": "300",
	}
	if key != "" {
		maps.Copy(values, s.companions(key))
		values[key], _ = s.value(key, "of connector "+name)
	}
	return values
}

// write puts a configuration into a file.
func (s *site) write(name string, values map[string]string) string {
	s.t.Helper()
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, fmt.Sprintf("%s: %q\n", key, values[key]))
	}
	path := filepath.Join(s.configs, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
