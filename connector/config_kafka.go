package connector

import (
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// protocols are the values of security.protocol.
var protocols = []string{kafka.Plaintext, kafka.SSL, kafka.SASLPlaintext, kafka.SASLSSL}

// mechanisms are the values of sasl.mechanism.
var mechanisms = []string{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512, kafka.OAuthBearer, kafka.GSSAPI}

// The values of ssl.endpoint.identification.algorithm.
const (
	identifyHTTPS = "https"
	identifyNone  = "none"
)

// storeTypes are the values of ssl.truststore.type and ssl.keystore.type. A file of
// Java's own format can't be read, but one that is called so since Java 9 may well be
// PKCS12.
var storeTypes = []string{"PEM", "PKCS12", "JKS"}

const callbackHandler = "names a Java class, and there are none here: write sasl.oauthbearer.token.endpoint.url for tokens"

var kafkaSecurityKeys = []Key{
	{
		Name: "security.protocol", Type: TypeString, Default: kafka.Plaintext, Importance: High, Values: protocols,
		Doc: "How the brokers of bootstrap.servers are reached: with TLS (SSL, SASL_SSL) or without, and with SASL (SASL_PLAINTEXT, SASL_SSL) or without. Nothing else is tried in its place. It holds for all clients of the worker: there are no producer., consumer. and admin. forms of these keys.",
	},
	{
		Name: "sasl.mechanism", Type: TypeString, Importance: High, Values: mechanisms,
		Doc: "With SASL, what this program proves by who it is. It must be enabled at the brokers.",
	},
	{
		Name: "sasl.username", Type: TypeString, Importance: High,
		Doc: "User, for PLAIN and SCRAM.",
	},
	{
		Name: "sasl.password", Type: TypePassword, Importance: High,
		Doc: "The user's password, for PLAIN and SCRAM. Write it as a reference, such as ${file:...}.",
	},
	{
		Name: "sasl.jaas.config", Type: TypePassword, Importance: Medium,
		Doc: "The same as Kafka's Java clients take it, instead of the other keys of the mechanism: one of their login modules with its options and a semicolon.",
	},
	{
		Name: "sasl.oauthbearer.token.endpoint.url", Type: TypeString, Importance: Medium, legal: tokenURLFault,
		Doc: "For OAUTHBEARER, where tokens come from: the https:// URL of an identity provider's token endpoint, which is asked by the grant of client credentials, or file:// and the path of a file that something else keeps filled with a token. Tokens are renewed when four fifths of their life are over; the file is read at each connection.",
	},
	{
		Name: "sasl.oauthbearer.client.credentials.client.id", Type: TypeString, Importance: Medium,
		Doc: "The client's name at the token endpoint.",
	},
	{
		Name: "sasl.oauthbearer.client.credentials.client.secret", Type: TypePassword, Importance: Medium,
		Doc: "Its secret. Write it as a reference, such as ${file:...}.",
	},
	{
		Name: "sasl.oauthbearer.scope", Type: TypeString, Importance: Low,
		Doc: "The scope that is asked for at the token endpoint, if it needs one.",
	},
	{
		Name: "sasl.oauthbearer.extensions", Type: TypeList, Importance: Low, legal: extensionFault,
		Doc: "What brokers are sent with the token, each as name=value, such as logicalCluster=lkc-1.",
	},
	{
		Name: "sasl.kerberos.service.name", Type: TypeString, Default: "kafka", Importance: Medium,
		Doc: "For GSSAPI, the first part of the names of the brokers' principals. The second is the host, as bootstrap.servers or the brokers themselves name it: names aren't looked up in the DNS.",
	},
	{
		Name: "sasl.kerberos.principal", Type: TypeString, Importance: Medium,
		Doc: "Who to be, as name or name@REALM. May be left out with a ticket cache.",
	},
	{
		Name: "sasl.kerberos.keytab", Type: TypeString, Importance: Medium,
		Doc: "File with the principal's keys. Tickets are got and renewed by it.",
	},
	{
		Name: "sasl.kerberos.password", Type: TypePassword, Importance: Medium,
		Doc: "Password of the principal, instead of a keytab. Write it as a reference, such as ${file:...}.",
	},
	{
		Name: "sasl.kerberos.ccache", Type: TypeString, Importance: Medium,
		Doc: "File of a ticket cache that something else keeps filled, instead of a keytab. With none of the three: KRB5CCNAME, or /tmp/krb5cc_ and the user's id.",
	},
	{
		Name: "sasl.kerberos.krb5.conf", Type: TypeString, Importance: Low,
		Doc: "Kerberos's configuration file. Default: KRB5_CONFIG, or /etc/krb5.conf.",
	},
	{
		Name: "ssl.truststore.location", Type: TypeString, Importance: High,
		Doc: "File with the certificates of the authorities that brokers' certificates are checked against, PEM or PKCS12. It is read again when it changes, as are the other files. Default: the system's authorities.",
	},
	{
		Name: "ssl.truststore.type", Type: TypeString, Importance: Low, Values: storeTypes,
		Doc: "What the file is. It shows by itself, so that this can be left out. Java's own format can't be read; files that Java 9 or newer has made are mostly PKCS12, also where they are called JKS.",
	},
	{
		Name: "ssl.truststore.password", Type: TypePassword, Importance: Medium,
		Doc: "Password of the file, if it is PKCS12.",
	},
	{
		Name: "ssl.truststore.certificates", Type: TypeString, Importance: Medium,
		Doc: "The certificates as text (PEM), instead of a file.",
	},
	{
		Name: "ssl.keystore.location", Type: TypeString, Importance: High,
		Doc: "File with this program's own certificate, followed by those of its issuers, and its private key, PEM or PKCS12. Brokers that ask for a certificate know this program by it.",
	},
	{
		Name: "ssl.keystore.type", Type: TypeString, Importance: Low, Values: storeTypes,
		Doc: "What the file is, see ssl.truststore.type.",
	},
	{
		Name: "ssl.keystore.password", Type: TypePassword, Importance: Medium,
		Doc: "Password of the file, if it is PKCS12.",
	},
	{
		Name: "ssl.keystore.certificate.chain", Type: TypeString, Importance: Medium,
		Doc: "The certificate and those of its issuers as text (PEM), instead of a file.",
	},
	{
		Name: "ssl.keystore.key", Type: TypePassword, Importance: Medium,
		Doc: "The private key as text (PEM), with ssl.keystore.certificate.chain.",
	},
	{
		Name: "ssl.key.password", Type: TypePassword, Importance: Medium,
		Doc: "Password of a private key that is PEM and encrypted (PKCS #8, AES).",
	},
	{
		Name: "ssl.endpoint.identification.algorithm", Type: TypeString, Default: identifyHTTPS, Importance: Medium, Values: []string{identifyHTTPS, identifyNone},
		Doc: "https: a broker's certificate must be for the name or address that it is reached by. none: any name will do, so that whoever has any certificate of a trusted authority can pass for a broker.",
	},
	{Name: "sasl.login.callback.handler.class", Type: TypeString, Absent: callbackHandler},
	{Name: "sasl.client.callback.handler.class", Type: TypeString, Absent: callbackHandler},
}

// kafkaSecurity is how all Kafka clients of the worker are made.
func (c WorkerConfig) kafkaSecurity() kafka.Security {
	if !c.SASLJAAS.Empty() {
		if module, err := parseJAAS(c.SASLJAAS.Reveal()); err == nil { // else a fault
			c = module.into(c)
		}
	}
	s := kafka.Security{
		Protocol: c.SecurityProtocol,
		TLS: kafka.TLS{
			Truststore: c.TruststoreLocation, TruststoreType: c.TruststoreType, TruststorePassword: c.TruststorePassword,
			Trusted:  c.TruststoreCertificates,
			Keystore: c.KeystoreLocation, KeystoreType: c.KeystoreType, KeystorePassword: c.KeystorePassword,
			Chain: c.KeystoreChain, Key: c.KeystoreKey, KeyPassword: c.KeyPassword,
			AnyName: c.EndpointIdentification == identifyNone,
		},
		Mechanism: c.SASLMechanism, Username: c.SASLUsername, Password: c.SASLPassword,
		OAuth: kafka.OAuth{
			Endpoint: c.OAuthEndpoint, ClientID: c.OAuthClientID, ClientSecret: c.OAuthClientSecret,
			Scope: c.OAuthScope, Extensions: kafka.JoinExtensions(c.OAuthExtensions),
		},
		Kerberos: kafka.Kerberos{
			Principal: c.KafkaKerberosPrincipal, Keytab: c.KafkaKerberosKeytab, Password: c.KafkaKerberosPassword,
			Cache: c.KafkaKerberosCache, Service: c.KafkaKerberosService, Conf: c.KafkaKerberosConf,
		},
	}
	return s
}
