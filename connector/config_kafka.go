package connector

import (
	"reflect"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// protocols are the values of security.protocol.
var protocols = []string{kafka.Plaintext, kafka.SSL, kafka.SASLPlaintext, kafka.SASLSSL}

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
		Doc: "The same as Kafka's Java clients take it, instead of the other keys of the mechanism: one of Kafka's own login modules with its options and a semicolon.",
	},
	{
		Name: "ssl.truststore.location", Type: TypeString, Importance: High,
		Doc: "PEM file with the certificates of the authorities that brokers' certificates are checked against. It is read again when it changes, as are the other files. Default: the system's authorities.",
	},
	{
		Name: "ssl.truststore.certificates", Type: TypeString, Importance: Medium,
		Doc: "The same as text, instead of a file.",
	},
	{
		Name: "ssl.keystore.location", Type: TypeString, Importance: High,
		Doc: "PEM file with this program's own certificate, followed by those of its issuers, and its private key. Brokers that ask for one know this program by it.",
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
		Name: "ssl.endpoint.identification.algorithm", Type: TypeString, Default: identifyHTTPS, Importance: Medium, Values: []string{identifyHTTPS, identifyNone},
		Doc: "https: a broker's certificate must be for the name or address that it is reached by. none: any name will do, so that whoever has any certificate of a trusted authority can pass for a broker.",
	},
}

var mechanisms = []string{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512}

const (
	identifyHTTPS = "https"
	identifyNone  = "none"
)

// kafkaSecurity is how all Kafka clients of the worker are made.
func (c WorkerConfig) kafkaSecurity() kafka.Security {
	s := kafka.Security{
		Protocol: c.SecurityProtocol,
		TLS: kafka.TLS{
			Truststore: c.TruststoreLocation, Trusted: c.TruststoreCertificates,
			Keystore: c.KeystoreLocation, Chain: c.KeystoreChain, Key: c.KeystoreKey.Reveal(),
			AnyName: c.EndpointIdentification == identifyNone,
		},
		Mechanism: c.SASLMechanism, Username: c.SASLUsername, Password: c.SASLPassword.Reveal(),
	}
	if c.SASLJAAS != "" {
		if module, err := parseJAAS(c.SASLJAAS.Reveal()); err == nil { // else a fault
			s.Username, s.Password = module.options["username"], module.options["password"]
		}
	}
	return s
}

// given tells whether a key has a value.
func (c WorkerConfig) given(key string) bool { return !fieldOf(reflect.ValueOf(c), key).IsZero() }

// kafkaSecurityFaults are the faults of the keys of Kafka's security.
func (c WorkerConfig) kafkaSecurityFaults() []Fault {
	var faults []Fault
	fault := func(key, what, remedy string, others ...string) {
		faults = addFault(faults, Fault{Key: key, What: what, Remedy: remedy, others: others})
	}
	withTLS := c.SecurityProtocol == kafka.SSL || c.SecurityProtocol == kafka.SASLSSL
	withSASL := c.SecurityProtocol == kafka.SASLPlaintext || c.SecurityProtocol == kafka.SASLSSL
	set := c.given

	for _, k := range kafkaSecurityKeys {
		if k.Name == "security.protocol" || k.Name == "ssl.endpoint.identification.algorithm" || !set(k.Name) {
			continue
		}
		of, used := "SASL_SSL or SASL_PLAINTEXT", withSASL
		if strings.HasPrefix(k.Name, "ssl.") {
			of, used = "SSL or SASL_SSL", withTLS
		}
		if !used {
			fault(k.Name, "has no use with security.protocol: "+c.SecurityProtocol, "write security.protocol: "+of+", or remove it", "security.protocol")
		}
	}
	if withSASL {
		c.saslFaults(fault)
	}
	// one says that two ways of giving the same can't be mixed.
	one := func(file, text string) {
		if set(file) && set(text) {
			fault(text, "cannot be given together with "+file, "keep one of the two", file)
		}
	}
	one("ssl.truststore.location", "ssl.truststore.certificates")
	one("ssl.keystore.location", "ssl.keystore.certificate.chain")
	one("ssl.keystore.location", "ssl.keystore.key")
	if !set("ssl.keystore.location") && set("ssl.keystore.certificate.chain") != set("ssl.keystore.key") {
		missing, given := "ssl.keystore.key", "ssl.keystore.certificate.chain"
		if set(missing) {
			missing, given = given, missing
		}
		fault(missing, "is required by "+given, "give both, or a file by ssl.keystore.location", given)
	}
	return faults
}

// saslFaults are those of the mechanism and what belongs to it.
func (c WorkerConfig) saslFaults(fault func(key, what, remedy string, others ...string)) {
	if c.SASLMechanism == "" {
		fault("sasl.mechanism", "is required with security.protocol: "+c.SecurityProtocol, "write "+orList(mechanisms), "security.protocol")
		return
	}
	if c.SASLJAAS != "" {
		module, err := parseJAAS(c.SASLJAAS.Reveal())
		if err != nil {
			fault("sasl.jaas.config", err.Error(), "write it as Kafka's documentation has it, such as: "+plainModule+` required username="name" password="secret";`)
			return
		}
		if !slices.Contains(module.mechanisms(), c.SASLMechanism) {
			fault("sasl.jaas.config", "has the login module of "+orList(module.mechanisms())+", and sasl.mechanism is "+c.SASLMechanism, "correct one of the two", "sasl.mechanism")
		}
		for _, key := range []string{"sasl.username", "sasl.password"} {
			if c.given(key) {
				fault(key, "cannot be given together with sasl.jaas.config", "keep one of the two", "sasl.jaas.config")
			}
		}
	} else {
		if c.SASLUsername == "" {
			fault("sasl.username", "is required by sasl.mechanism: "+c.SASLMechanism, "name the user", "sasl.mechanism")
		}
		if c.SASLPassword == "" {
			fault("sasl.password", "is required by sasl.mechanism: "+c.SASLMechanism, "give the user's password, best as ${file:PATH}", "sasl.mechanism")
		}
	}
}
