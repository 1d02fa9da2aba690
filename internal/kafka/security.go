package kafka

import (
	"fmt"
	"io"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// The values of security.protocol and sasl.mechanism.
const (
	Plaintext     = "PLAINTEXT"
	SSL           = "SSL"
	SASLPlaintext = "SASL_PLAINTEXT"
	SASLSSL       = "SASL_SSL"

	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
	GSSAPI      = "GSSAPI"
)

// Security says how brokers and this program prove to each other who they are.
// The zero value is PLAINTEXT: nobody does. Files are read when the first
// connection needs them, and again when they have changed.
type Security struct {
	Protocol string // one of the constants; "" is PLAINTEXT
	TLS      TLS    // with SSL and SASL_SSL

	Mechanism string // with SASL_PLAINTEXT and SASL_SSL
	Username  string // of PLAIN and SCRAM
	Password  secret.Text
	OAuth     OAuth    // of OAUTHBEARER
	Kerberos  Kerberos // of GSSAPI
}

// TLS has the keys and certificates of a connection. Files are PEM or PKCS12, as
// they show by themselves; a type that is given, PEM, PKCS12 or JKS, only has to fit.
type TLS struct {
	// Truststore is the file of the authorities that brokers' certificates are
	// checked against, and Trusted the same as text (PEM). Neither: the system's.
	Truststore, TruststoreType, Trusted string
	TruststorePassword                  secret.Text
	// Keystore is the file of this program's own certificate and its key; Chain and
	// Key are the same as text (PEM). None: it has no certificate.
	Keystore, KeystoreType, Chain string
	KeystorePassword, Key         secret.Text
	KeyPassword                   secret.Text // of an encrypted key in PEM
	// AnyName leaves the names in certificates unchecked.
	AnyName bool
}

// Format keeps secrets from being printed.
func (s Security) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.describe()) }

func (s Security) describe() string {
	switch {
	case s.sasl():
		return s.Protocol + " with " + s.Mechanism
	case s.Protocol == "":
		return Plaintext
	}
	return s.Protocol
}

func (s Security) encrypted() bool { return s.Protocol == SSL || s.Protocol == SASLSSL }
func (s Security) sasl() bool      { return s.Protocol == SASLPlaintext || s.Protocol == SASLSSL }

// with gives the protocol that has TLS, or hasn't, and SASL, or hasn't.
func protocolWith(encrypted, sasl bool) string {
	switch {
	case encrypted && sasl:
		return SASLSSL
	case encrypted:
		return SSL
	case sasl:
		return SASLPlaintext
	}
	return Plaintext
}
