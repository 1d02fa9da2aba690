package connector

import (
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// mechanismKeys are the keys that belong to single mechanisms.
var mechanismKeys = []struct {
	prefix     string
	mechanisms []string
}{
	{"sasl.username", []string{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512}},
	{"sasl.password", []string{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512}},
	{"sasl.oauthbearer.", []string{kafka.OAuthBearer}},
	{"sasl.kerberos.", []string{kafka.GSSAPI}},
}

// given tells whether a key has a value.
func (c WorkerConfig) given(key string) bool {
	v := fieldOf(reflect.ValueOf(c), key)
	return !v.IsZero() && (v.Kind() != reflect.Slice || v.Len() > 0)
}

// kafkaSecurityFaults are the faults of the keys of Kafka's security.
func (c WorkerConfig) kafkaSecurityFaults() []Fault {
	var faults []Fault
	fault := func(key, what, remedy string, others ...string) {
		faults = addFault(faults, Fault{Key: key, What: what, Remedy: remedy, others: others})
	}
	withTLS := c.SecurityProtocol == kafka.SSL || c.SecurityProtocol == kafka.SASLSSL
	withSASL := c.SecurityProtocol == kafka.SASLPlaintext || c.SecurityProtocol == kafka.SASLSSL
	for _, k := range kafkaSecurityKeys {
		if k.Absent != "" || k.Default != nil || !c.given(k.Name) {
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
	c.storeFaults(fault)
	return faults
}

// storeFaults are those of the files of keys and certificates.
func (c WorkerConfig) storeFaults(fault func(key, what, remedy string, others ...string)) {
	// Two ways of giving the same can't be mixed.
	for _, pair := range [][2]string{
		{"ssl.truststore.location", "ssl.truststore.certificates"},
		{"ssl.keystore.location", "ssl.keystore.certificate.chain"}, {"ssl.keystore.location", "ssl.keystore.key"},
	} {
		if c.given(pair[0]) && c.given(pair[1]) {
			fault(pair[1], "cannot be given together with "+pair[0], "keep one of the two", pair[0])
		}
	}
	needs := func(key, what string, there bool, others ...string) {
		if c.given(key) && !there {
			fault(key, "has no use without "+what, "give that too, or remove it", others...)
		}
	}
	const trusted, own, chain, key = "ssl.truststore.location", "ssl.keystore.location", "ssl.keystore.certificate.chain", "ssl.keystore.key"
	needs("ssl.truststore.type", trusted, c.given(trusted), trusted)
	needs("ssl.truststore.password", trusted, c.given(trusted), trusted)
	needs("ssl.keystore.type", own, c.given(own), own)
	needs("ssl.keystore.password", own, c.given(own), own)
	needs(chain, key, c.given(key), key, own)
	needs(key, chain, c.given(chain), chain, own)
	needs("ssl.key.password", own+" or "+key, c.given(own) || c.given(key), own, key)
}

// saslFaults are those of the mechanism and what belongs to it.
func (c WorkerConfig) saslFaults(fault func(key, what, remedy string, others ...string)) {
	if c.SASLMechanism == "" {
		fault("sasl.mechanism", "is required with security.protocol: "+c.SecurityProtocol, "write "+orList(mechanisms), "security.protocol")
		return
	}
	for _, k := range kafkaSecurityKeys {
		for _, group := range mechanismKeys {
			if k.Absent == "" && k.Default == nil && strings.HasPrefix(k.Name, group.prefix) && c.given(k.Name) && !slices.Contains(group.mechanisms, c.SASLMechanism) {
				fault(k.Name, "belongs to sasl.mechanism: "+orList(group.mechanisms)+", but that is "+c.SASLMechanism, "remove it, or correct sasl.mechanism", "sasl.mechanism")
			}
		}
	}
	if !c.SASLJAAS.Empty() {
		module, err := parseJAAS(c.SASLJAAS.Reveal())
		if err != nil {
			fault("sasl.jaas.config", err.Error(), "write it as Kafka's documentation has it, such as: "+plainModule+` required username="name" password="secret";`)
			return
		}
		if !slices.Contains(module.mechanisms(), c.SASLMechanism) {
			fault("sasl.jaas.config", "has the login module of "+orList(module.mechanisms())+", and sasl.mechanism is "+c.SASLMechanism, "correct one of the two", "sasl.mechanism")
			return
		}
		for _, key := range module.keys() {
			if c.given(key) {
				fault(key, "cannot be given together with sasl.jaas.config, which has it too", "keep one of the two", "sasl.jaas.config")
			}
		}
		c = module.into(c)
	}
	needs := func(key, remedy string) {
		if !c.given(key) {
			fault(key, "is required by sasl.mechanism: "+c.SASLMechanism, remedy, "sasl.mechanism", "sasl.jaas.config")
		}
	}
	switch c.SASLMechanism {
	case kafka.GSSAPI:
		const keytab, password, cache = "sasl.kerberos.keytab", "sasl.kerberos.password", "sasl.kerberos.ccache" //nolint:gosec // names of keys, not secrets
		first := ""
		for _, key := range []string{keytab, password, cache} {
			switch {
			case c.given(key) && first != "":
				fault(key, "cannot be given together with "+first, "keep one of the two", first, "sasl.jaas.config")
			case c.given(key):
				first = key
			}
		}
		if first == keytab || first == password {
			needs("sasl.kerberos.principal", "name whose "+strings.TrimPrefix(first, "sasl.kerberos.")+" it is")
		}
		needs("sasl.kerberos.service.name", "leave it out, or name the brokers' service")
	case kafka.OAuthBearer:
		needs("sasl.oauthbearer.token.endpoint.url", "name the token endpoint, or file:// and the path of a file that has a token")
		u, err := url.Parse(c.OAuthEndpoint)
		if c.OAuthEndpoint == "" || err != nil {
			return
		}
		const id, secret = "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.credentials.client.secret" //nolint:gosec // names of keys, not secrets
		if u.Scheme != "file" {
			needs(id, "give the client's name at the token endpoint")
			needs(secret, "give the client's secret, best as ${file:PATH}")
			return
		}
		for _, key := range []string{id, secret, "sasl.oauthbearer.scope"} {
			if c.given(key) {
				fault(key, "has no use with a file of tokens", "remove it, or name a token endpoint", "sasl.oauthbearer.token.endpoint.url")
			}
		}
	default:
		needs("sasl.username", "name the user")
		needs("sasl.password", "give the user's password, best as ${file:PATH}")
	}
}

func tokenURLFault(text string) (what, remedy string) {
	remedy = "write it as https://name.example/token or file:///path/of/token"
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is no URL", remedy
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.Fragment == "":
		return "", ""
	case u.Scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return "", ""
	}
	return "is neither the address of a token endpoint nor that of a file", remedy
}

func extensionFault(text string) (what, remedy string) {
	if !kafka.ValidExtension(text) {
		return "is no extension", "write each as name=value"
	}
	return "", ""
}
