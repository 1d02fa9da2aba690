package kafka

import (
	"crypto/ecdsa"
	"os"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

const storePassword = "changeit"

// The files of testdata were written by openssl 3 and Java 17's keytool, all with
// the same certificate and key.
func testdata(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeysAndCertificatesAreReadFromEachKindOfFile(t *testing.T) {
	cert := testdata(t, "cert.pem")
	for name, from := range map[string]TLS{
		"PEM with an encrypted key":   {Keystore: "testdata/keystore.pem", KeyPassword: secret.New(storePassword), Truststore: "testdata/cert.pem"},
		"PKCS12 of openssl":           {Keystore: "testdata/keystore.p12", KeystorePassword: secret.New(storePassword), Truststore: "testdata/cert.pem", TruststoreType: "PEM"},
		"PKCS12 of Java":              {Keystore: "testdata/java.p12", KeystorePassword: secret.New(storePassword), Truststore: "testdata/truststore.p12", TruststorePassword: secret.New(storePassword)},
		"PKCS12 that is called JKS":   {Keystore: "testdata/java.p12", KeystorePassword: secret.New(storePassword), KeystoreType: "JKS", Truststore: "testdata/truststore.p12", TruststorePassword: secret.New(storePassword), TruststoreType: "JKS"},
		"text":                        {Chain: cert, Key: secret.New(testdata(t, "plain.key")), Trusted: cert},
		"text with AES-128 and SHA-1": {Chain: cert, Key: secret.New(testdata(t, "aes128-sha1.key")), KeyPassword: secret.New(storePassword), Trusted: cert},
		"text with AES-192, SHA-512":  {Chain: cert, Key: secret.New(testdata(t, "aes192-sha512.key")), KeyPassword: secret.New(storePassword), Trusted: cert},
	} {
		t.Run(name, func(t *testing.T) {
			m, fault := from.read()
			if fault != nil {
				t.Fatal(fault)
			}
			if len(m.trusted) != 1 || m.trusted[0].Subject.CommonName != "worker" || m.roots == nil {
				t.Errorf("trusted are %v", m.trusted)
			}
			if _, ok := m.own.PrivateKey.(*ecdsa.PrivateKey); !ok || len(m.own.Certificate) != 1 || m.own.Leaf.Subject.CommonName != "worker" {
				t.Errorf("its own are %v with a %T", m.own.Leaf, m.own.PrivateKey)
			}
		})
	}
}

func TestFilesThatDoNotServeAreToldWithTheirKeyAndARemedy(t *testing.T) {
	cert := testdata(t, "cert.pem")
	empty := t.TempDir() + "/empty.pem"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		from              TLS
		key, what, remedy string
	}{
		"none":               {TLS{Truststore: "testdata/none.pem"}, "ssl.truststore.location", "cannot be read (no such file", "check the path"},
		"JKS":                {TLS{Truststore: "testdata/truststore.jks"}, "ssl.truststore.location", "is a Java keystore (JKS)", "keytool -importkeystore -srckeystore testdata/truststore.jks"},
		"wrong type":         {TLS{Truststore: "testdata/cert.pem", TruststoreType: "PKCS12"}, "ssl.truststore.location", "is PEM, and ssl.truststore.type is PKCS12", "write ssl.truststore.type: PEM"},
		"not PEM":            {TLS{Keystore: "testdata/java.p12", KeystoreType: "PEM"}, "ssl.keystore.location", "isn't PEM", "ssl.keystore.type"},
		"no certificate":     {TLS{Truststore: "testdata/plain.key"}, "ssl.truststore.location", "has no certificate", "BEGIN CERTIFICATE"},
		"empty":              {TLS{Truststore: empty}, "ssl.truststore.location", "is neither PEM nor a PKCS12 file", "openssl pkcs12"},
		"folder":             {TLS{Keystore: t.TempDir()}, "ssl.keystore.location", "cannot be read", "check the path"},
		"trusted, password":  {TLS{Truststore: "testdata/truststore.p12", TruststorePassword: secret.New("x")}, "ssl.truststore.location", "doesn't open with the password", "correct ssl.truststore.password"},
		"own, password":      {TLS{Keystore: "testdata/java.p12", KeystorePassword: secret.New("x")}, "ssl.keystore.location", "doesn't open with the password", "correct ssl.keystore.password"},
		"keystore, not one":  {TLS{Keystore: "testdata/truststore.p12", KeystorePassword: secret.New(storePassword)}, "ssl.keystore.location", "is neither PEM nor a PKCS12 file", "openssl pkcs12"},
		"key, no password":   {TLS{Keystore: "testdata/keystore.pem"}, "ssl.keystore.location", "has an encrypted key, and no password is given", "give ssl.key.password"},
		"key, password":      {TLS{Keystore: "testdata/keystore.pem", KeyPassword: secret.New("x")}, "ssl.keystore.location", "cannot be decrypted (wrong password)", "correct ssl.key.password"},
		"old encryption":     {TLS{Chain: cert, Key: secret.New(testdata(t, "old.key")), KeyPassword: secret.New(storePassword)}, "ssl.keystore.certificate.chain", "OpenSSL's old form", "openssl pkcs8 -topk8"},
		"3DES":               {TLS{Chain: cert, Key: secret.New(testdata(t, "des3.key")), KeyPassword: secret.New(storePassword)}, "ssl.keystore.certificate.chain", "isn't encrypted by AES", "ssl.key.password"},
		"scrypt":             {TLS{Chain: cert, Key: secret.New(testdata(t, "scrypt.key")), KeyPassword: secret.New(storePassword)}, "ssl.keystore.certificate.chain", "isn't encrypted by AES", "ssl.key.password"},
		"no key":             {TLS{Keystore: "testdata/cert.pem"}, "ssl.keystore.location", "has no certificate with its key", "PKCS #8"},
		"certificate broken": {TLS{Trusted: strings.Replace(cert, "MII", "AAA", 1)}, "ssl.truststore.certificates", "certificate 1 cannot be read", "replace it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, fault := tc.from.read()
			if fault == nil {
				t.Fatal("it was read")
			}
			if fault.Key != tc.key || !strings.Contains(fault.What, tc.what) || !strings.Contains(fault.Remedy, tc.remedy) || fault.Verdict != Passing {
				t.Errorf("got key %s, verdict %d: %v", fault.Key, fault.Verdict, fault)
			}
			if strings.Contains(fault.Error(), storePassword) {
				t.Errorf("the password is in %v", fault)
			}
		})
	}
}

// FuzzOpenKey looks for panics and for keys that take for ever.
func FuzzOpenKey(f *testing.F) {
	for _, name := range []string{"keystore.pem", "aes128-sha1.key", "aes192-sha512.key", "des3.key", "scrypt.key"} {
		f.Add(derOf(f, name))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		plain, err := openKey(der, []byte(storePassword))
		if err == nil && len(plain) == 0 {
			t.Error("a key of nothing")
		}
	})
}
