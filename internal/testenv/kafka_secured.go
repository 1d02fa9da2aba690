package testenv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// KafkaSuper is the user of each secured broker who may do everything, where
// rights are looked at.
const (
	KafkaSuper         = "super"
	KafkaSuperPassword = "super-secret"
)

// KafkaSecurity says what a secured broker asks of its clients. Beside the
// listener without security, at Kafka.Addr, which is left for the tests' own
// clients, it has those of Kafka.Secured.
type KafkaSecurity struct {
	// Users and their passwords, good for the mechanisms PLAIN, SCRAM-SHA-256 and
	// SCRAM-SHA-512.
	Users map[string]string
	// Authorizer has rights looked at, by Kafka's StandardAuthorizer. KafkaSuper
	// and clients without security may do everything, others what they are granted.
	Authorizer bool
	// Audit has the broker's log show each of the authorizer's decisions.
	Audit bool
	// KDC, if set, adds the mechanism GSSAPI. The service is kafka/127.0.0.1.
	KDC *KDC
	// Proxy, if set, is given the address of each secured listener, and returns the one
	// that the broker advertises in its place, and that Secured has.
	Proxy func(addr string) (string, error)
}

// Secured are a secured broker's listeners, and what its clients need.
type Secured struct {
	// SASLSSL takes TLS, and each of the mechanisms PLAIN, SCRAM-SHA-256,
	// SCRAM-SHA-512, OAUTHBEARER and, with a KDC, GSSAPI.
	SASLSSL string
	// SSL takes TLS and asks for a certificate of Authority. Who shows one is the
	// user of its common name.
	SSL string
	// SASLPlaintext takes PLAIN and SCRAM-SHA-512.
	SASLPlaintext string

	// Authority issued the broker's certificate, which is for 127.0.0.1.
	Authority *Authority
	// CAFile is the authority's certificate (PEM), KeyFile the broker's key and
	// certificate (PEM), which a restarted broker reads anew.
	CAFile, KeyFile string
	// Tokens issues tokens for OAUTHBEARER; their subject is the user.
	Tokens *TokenIssuer
}

func (s *Secured) listeners() string {
	return ",SASL_SSL://" + s.SASLSSL + ",SSL://" + s.SSL + ",SASL_PLAINTEXT://" + s.SASLPlaintext
}

// secure prepares a broker of k's addresses, and gives the properties, the flags of
// the JVM and those of formatting its storage that it takes.
func (k *Kafka) secure(ctx context.Context, addr, controller string, s *KafkaSecurity) (properties map[string]string, jvm, format []string, err error) {
	secured := &Secured{CAFile: k.file("ca.pem"), KeyFile: k.file("broker.pem")}
	for _, to := range []*string{&secured.SASLSSL, &secured.SSL, &secured.SASLPlaintext} {
		if *to, err = k.ports.takeAddr(); err != nil {
			return nil, nil, nil, err
		}
	}
	bound := secured.listeners()
	if s.Proxy != nil {
		for _, to := range []*string{&secured.SASLSSL, &secured.SSL, &secured.SASLPlaintext} {
			if *to, err = s.Proxy(*to); err != nil {
				return nil, nil, nil, err
			}
		}
	}
	if secured.Authority, err = NewAuthority("kafka"); err != nil {
		return nil, nil, nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, nil, err
	}
	pair, err := secured.Authority.Issue(CertificateSpec{Name: "broker", Hosts: []string{host}})
	if err != nil {
		return nil, nil, nil, err
	}
	if secured.Tokens, err = NewTokenIssuer(); err != nil {
		return nil, nil, nil, err
	}
	keySet := "file://" + k.file("jwks.json")
	if err := errors.Join(
		os.WriteFile(secured.CAFile, secured.Authority.PEM(), 0o644), pair.Write(secured.KeyFile),
		os.WriteFile(k.file("jwks.json"), secured.Tokens.KeySet(), 0o644),
	); err != nil {
		return nil, nil, nil, fmt.Errorf("writing the broker's keys: %w", err)
	}
	users := maps.Clone(s.Users)
	if users == nil {
		users = make(map[string]string)
	}
	users[KafkaSuper] = KafkaSuperPassword
	var plain strings.Builder
	plain.WriteString("org.apache.kafka.common.security.plain.PlainLoginModule required")
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&plain, " user_%s=%q", name, users[name])
		for _, scram := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			format = append(format, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", scram, name, users[name]))
		}
	}
	plain.WriteString(";")

	const (
		scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		oauth       = "org.apache.kafka.common.security.oauthbearer."
		ssl, open   = "listener.name.sasl_ssl.", "listener.name.sasl_plaintext."
	)
	properties = map[string]string{
		"listeners":                      "PLAINTEXT://" + addr + ",CONTROLLER://" + controller + bound,
		"advertised.listeners":           "PLAINTEXT://" + addr + secured.listeners(),
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
		"inter.broker.listener.name":     "PLAINTEXT",

		"ssl.keystore.type": "PEM", "ssl.keystore.location": secured.KeyFile,
		"ssl.truststore.type": "PEM", "ssl.truststore.location": secured.CAFile,
		"listener.name.ssl.ssl.client.auth":                    "required",
		"listener.name.ssl.ssl.principal.mapping.rules":        "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
		ssl + "sasl.enabled.mechanisms":                        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		ssl + "plain.sasl.jaas.config":                         plain.String(),
		ssl + "scram-sha-256.sasl.jaas.config":                 scramModule,
		ssl + "scram-sha-512.sasl.jaas.config":                 scramModule,
		ssl + "oauthbearer.sasl.jaas.config":                   oauth + "OAuthBearerLoginModule required;",
		ssl + "oauthbearer.sasl.oauthbearer.sub.claim.name":    "sub",
		ssl + "oauthbearer.sasl.server.callback.handler.class": oauth + "OAuthBearerValidatorCallbackHandler",
		"sasl.oauthbearer.jwks.endpoint.url":                   keySet,
		// By default Kafka 4.1.1 looks at no signature.
		"sasl.oauthbearer.jwt.validator.class":  oauth + "BrokerJwtValidator",
		open + "sasl.enabled.mechanisms":        "PLAIN,SCRAM-SHA-512",
		open + "plain.sasl.jaas.config":         plain.String(),
		open + "scram-sha-512.sasl.jaas.config": scramModule,
	}
	jvm = []string{"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + keySet}
	if s.Authorizer {
		properties["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		properties["super.users"] = "User:" + KafkaSuper + ";User:ANONYMOUS"
	}
	if s.KDC != nil {
		const principal = "kafka/127.0.0.1"
		if err := s.KDC.AddService(ctx, principal, 0); err != nil {
			return nil, nil, nil, err
		}
		keytab, err := s.KDC.Keytab(ctx, principal)
		if err != nil {
			return nil, nil, nil, err
		}
		properties[ssl+"sasl.enabled.mechanisms"] += ",GSSAPI"
		properties[ssl+"sasl.kerberos.service.name"] = "kafka"
		properties[ssl+"gssapi.sasl.jaas.config"] = fmt.Sprintf(
			"com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab=%q principal=%q;", keytab, principal+"@"+Realm)
		jvm = append(jvm, "-Djava.security.krb5.conf="+s.KDC.ClientConf())
	}
	k.secured = secured
	return properties, jvm, format, nil
}

// auditLogging has nothing but the authorizer's decisions logged.
const auditLogging = `status = error
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %p %m (%c)%n
rootLogger.level = error
rootLogger.appenderRef.c.ref = C
logger.authorizer.name = kafka.authorizer.logger
logger.authorizer.level = debug
`

// audit gives what goes before a broker's class path, and a flag of its JVM: the
// broker's own jars log nothing, Connect's do.
func (k *Kafka) audit(ctx context.Context) (classPath, flag string, err error) {
	lib, err := fetchConnect(ctx)
	if err != nil {
		return "", "", err
	}
	jars, err := filepath.Glob(filepath.Join(lib, "log4j-*.jar"))
	if err == nil {
		err = os.WriteFile(k.file("log4j2.properties"), []byte(auditLogging), 0o644)
	}
	if err != nil {
		return "", "", fmt.Errorf("having the broker log rights: %w", err)
	}
	separator := string(filepath.ListSeparator)
	return strings.Join(jars, separator) + separator, "-Dlog4j2.configurationFile=" + k.file("log4j2.properties"), nil
}

// Secured gives the secured listeners of a broker that was started with some.
func (k *Kafka) Secured() *Secured { return k.secured }

func (k *Kafka) file(name string) string { return filepath.Join(k.data.path, name) }
