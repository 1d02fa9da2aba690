package connector

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

const geheim = "geheim=;\"x"

func TestKeysOfKafkaSecurityThatContradictEachOtherAreFaults(t *testing.T) {
	sasl := func(mechanism string) func(*WorkerConfig) {
		return func(c *WorkerConfig) { c.SecurityProtocol, c.SASLMechanism = kafka.SASLSSL, mechanism }
	}
	user := func(mechanism string) func(*WorkerConfig) {
		return func(c *WorkerConfig) {
			c.SecurityProtocol, c.SASLMechanism, c.SASLUsername, c.SASLPassword = kafka.SASLSSL, mechanism, "alice", secret.New(geheim)
		}
	}
	jaas := func(mechanism, text string) func(*WorkerConfig) {
		return func(c *WorkerConfig) {
			c.SecurityProtocol, c.SASLMechanism, c.SASLJAAS = kafka.SASLPlaintext, mechanism, secret.New(text)
		}
	}
	both := func(fs ...func(*WorkerConfig)) func(*WorkerConfig) {
		return func(c *WorkerConfig) {
			for _, f := range fs {
				f(c)
			}
		}
	}
	const endpoint = "https://id.example/token"
	for _, tc := range []struct {
		set  func(*WorkerConfig)
		want string // the faults' keys
	}{
		{func(*WorkerConfig) {}, ""},
		{func(c *WorkerConfig) { c.SecurityProtocol = kafka.SSL }, ""},
		{func(c *WorkerConfig) { c.SecurityProtocol = "TLS" }, "security.protocol"},
		{func(c *WorkerConfig) { c.TruststoreLocation = "/ca" }, "ssl.truststore.location"},
		{func(c *WorkerConfig) { c.SASLUsername, c.SASLPassword = "alice", secret.New(geheim) }, "sasl.username sasl.password"},
		{func(c *WorkerConfig) { c.SecurityProtocol, c.EndpointIdentification = kafka.SSL, "HTTP" }, "ssl.endpoint.identification.algorithm"},
		{func(c *WorkerConfig) { c.SecurityProtocol, c.EndpointIdentification = kafka.SSL, "" }, "ssl.endpoint.identification.algorithm"},

		{sasl(""), "sasl.mechanism"},
		{sasl("SCRAM"), "sasl.mechanism"},
		{user(kafka.Plain), ""},
		{user(kafka.ScramSHA256), ""},
		{sasl(kafka.ScramSHA512), "sasl.username sasl.password"},
		{both(user(kafka.OAuthBearer), func(c *WorkerConfig) { c.OAuthEndpoint = "file:///t" }), "sasl.username sasl.password"},

		{sasl(kafka.OAuthBearer), "sasl.oauthbearer.token.endpoint.url"},
		{both(sasl(kafka.OAuthBearer), func(c *WorkerConfig) { c.OAuthEndpoint = endpoint }), "sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret"},
		{both(sasl(kafka.OAuthBearer), func(c *WorkerConfig) { c.OAuthEndpoint = "ftp://x" }), "sasl.oauthbearer.token.endpoint.url sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret"},
		{both(sasl(kafka.OAuthBearer), func(c *WorkerConfig) {
			c.OAuthEndpoint, c.OAuthClientID, c.OAuthClientSecret = endpoint, "i", secret.New(geheim)
		}), ""},
		{both(sasl(kafka.OAuthBearer), func(c *WorkerConfig) { c.OAuthEndpoint, c.OAuthScope = "file:///t", "s" }), "sasl.oauthbearer.scope"},
		{both(sasl(kafka.OAuthBearer), func(c *WorkerConfig) {
			c.OAuthEndpoint, c.OAuthExtensions = "file:///t", []string{"auth=x", "logicalCluster=lkc-1"}
		}), "sasl.oauthbearer.extensions"},

		{sasl(kafka.GSSAPI), ""},
		{both(sasl(kafka.GSSAPI), func(c *WorkerConfig) { c.KafkaKerberosKeytab = "/k" }), "sasl.kerberos.principal"},
		{both(sasl(kafka.GSSAPI), func(c *WorkerConfig) {
			c.KafkaKerberosPrincipal, c.KafkaKerberosKeytab, c.KafkaKerberosPassword, c.KafkaKerberosCache = "alice", "/k", secret.New(geheim), "/c"
		}), "sasl.kerberos.password sasl.kerberos.ccache"},
		{both(user(kafka.Plain), func(c *WorkerConfig) { c.KafkaKerberosPrincipal = "alice" }), "sasl.kerberos.principal"},

		{jaas(kafka.Plain, plainModule+` required username="alice" password="geheim";`), ""},
		{jaas(kafka.ScramSHA256, plainModule+` required username="alice" password="geheim";`), "sasl.jaas.config"},
		{jaas(kafka.Plain, `required username="alice" password="geheim";`), "sasl.jaas.config"},
		{both(jaas(kafka.Plain, plainModule+` required username="alice" password="geheim";`), func(c *WorkerConfig) { c.SASLPassword = secret.New(geheim) }), "sasl.password"},
		{both(jaas(kafka.OAuthBearer, oauthModule+` required clientId="i" clientSecret="geheim" scope="s" extension_logicalCluster="lkc-1";`), func(c *WorkerConfig) { c.OAuthEndpoint = endpoint }), ""},
		{jaas(kafka.GSSAPI, kerberosModule+` required useKeyTab=true storeKey=true keyTab="/k" principal="alice@EXAMPLE.COM";`), ""},

		{func(c *WorkerConfig) {
			c.SecurityProtocol, c.TruststoreLocation, c.TruststoreCertificates = kafka.SSL, "/ca", "-----BEGIN"
		}, "ssl.truststore.certificates"},
		{func(c *WorkerConfig) { c.SecurityProtocol, c.KeystoreChain = kafka.SSL, "-----BEGIN" }, "ssl.keystore.certificate.chain"},
		{func(c *WorkerConfig) { c.SecurityProtocol, c.KeystoreKey = kafka.SSL, secret.New(geheim) }, "ssl.keystore.key"},
		{func(c *WorkerConfig) {
			c.SecurityProtocol, c.KeyPassword, c.KeystorePassword = kafka.SSL, secret.New(geheim), secret.New(geheim)
		}, "ssl.keystore.password ssl.key.password"},
		{func(c *WorkerConfig) {
			c.SecurityProtocol, c.KeystoreLocation, c.KeystorePassword, c.KeystoreType, c.TruststoreLocation, c.TruststorePassword = kafka.SSL, "/k", secret.New(geheim), "PKCS12", "/t", secret.New(geheim)
		}, ""},
		{func(c *WorkerConfig) {
			c.SecurityProtocol, c.TruststoreLocation, c.TruststoreType = kafka.SSL, "/k", "BKS"
		}, "ssl.truststore.type"},
	} {
		c := goodWorker()
		tc.set(&c)
		var keys []string
		for _, f := range c.Validate() {
			keys = append(keys, f.Key)
			if text := f.String(); strings.Contains(text, "geheim") || f.Remedy == "" {
				t.Errorf("fault %q", text)
			}
		}
		if got := strings.Join(keys, " "); got != tc.want {
			t.Errorf("faults about %q, want %q", got, tc.want)
		}
		if text := fmt.Sprintf("%+v %#v %+v", c, c, KafkaOptions(c, hclog.NewNullLogger()).Security); strings.Contains(text, "geheim") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
}

func TestKafkaClientsGetTheCredentialsOfTheConfiguration(t *testing.T) {
	c := goodWorker()
	c.SecurityProtocol, c.SASLMechanism = kafka.SASLSSL, kafka.OAuthBearer
	c.OAuthEndpoint = "https://id.example/token"
	c.SASLJAAS = secret.New(oauthModule + ` required clientId=i clientSecret='a"b' extension_b="2 3" extension_a=1;`)
	c.TruststoreLocation, c.TruststoreType, c.TruststorePassword = "/t", "PKCS12", secret.New("tp")
	c.KeystoreLocation, c.KeystoreType, c.KeystorePassword, c.KeyPassword = "/k", "PEM", secret.New("kp"), secret.New("ep")
	c.EndpointIdentification = identifyNone
	want := kafka.Security{
		Protocol: kafka.SASLSSL, Mechanism: kafka.OAuthBearer,
		TLS: kafka.TLS{
			Truststore: "/t", TruststoreType: "PKCS12", TruststorePassword: secret.New("tp"),
			Keystore: "/k", KeystoreType: "PEM", KeystorePassword: secret.New("kp"), KeyPassword: secret.New("ep"), AnyName: true,
		},
		OAuth:    kafka.OAuth{Endpoint: c.OAuthEndpoint, ClientID: "i", ClientSecret: secret.New(`a"b`), Extensions: "a=1\x01b=2 3"},
		Kerberos: kafka.Kerberos{Service: "kafka"},
	}
	if got := c.kafkaSecurity(); !reflect.DeepEqual(got, want) {
		type open kafka.Security // without the masks
		t.Errorf("got %+v, want %+v", open(got), open(want))
	}
	if c.OAuthExtensions != nil {
		t.Error("the configuration itself was changed")
	}
}

func TestEntriesOfLoginModulesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{ // options, or what is wrong
		plainModule + ` required username="alice" password="a\"b;c=d e";`:     `map[password:a"b;c=d e username:alice]`,
		"\n" + plainModule + "\n\tREQUIRED username=alice\n password='x' ;\n": `map[password:x username:alice]`,
		plainModule + ` required username="alice";`:                           "lacks the option password",
		plainModule + ` required username="alice" password="x"`:               "doesn't end with a semicolon",
		plainModule + ` username="alice" password="x";`:                       "has no flag",
		plainModule + ` required username="alice" password="geheim`:           "has a quote that isn't closed",
		plainModule + ` required username="alice" password=geheim==;`:         "something else than name=value",
		plainModule + ` required username="alice" password=geheim geheim;`:    "something else than name=value",
		plainModule + ` required username="alice" password=x geheim=y;`:       "an option that is not password or username",
		plainModule + ` required username="a" username="b" password="x";`:     "the option username twice",
		`com.example.Module required geheim="x";`:                             "a login module that is not com.sun",
		plainModule + ` required username="a" password="x"; ` + plainModule:   "doesn't end with a semicolon",
		oauthModule + ` required extension_auth="x";`:                         "an extension that can't be sent",
		"": "is no login module",
		kerberosModule + ` required useTicketCache=true ticketCache="/tmp/cc";`: "map[ticketCache:/tmp/cc useTicketCache:true]",
	} {
		m, err := parseJAAS(text)
		options := make(map[string]string)
		for name, value := range m.options {
			options[name] = value.Reveal()
		}
		got := fmt.Sprint(options)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "geheim") {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func FuzzJAAS(f *testing.F) {
	f.Add(plainModule + ` required username="alice" password='a\'b';`)
	f.Add(oauthModule + ` required extension_a=1;`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseJAAS(text)
		if err == nil && m.into(WorkerConfig{}).SecurityProtocol != "" {
			t.Error("an option has changed another key")
		}
	})
}

func TestRefusalsOfKafkaAreTriedAgainAndNotForEverIfOnlyTheConfigurationMendsThem(t *testing.T) {
	for verdict, want := range map[kafka.Verdict]bool{kafka.Unclear: false, kafka.Passing: false, kafka.Lasting: true} {
		err := fmt.Errorf("opening: %w", &kafka.RefusedError{Broker: "k:9093", Key: "sasl.password", What: "no", Remedy: "correct it", Verdict: verdict})
		if refused(err) != want || fatal(err) || fatal(kafka.Classify(err)) {
			t.Errorf("verdict %d: refused %v, fatal %v", verdict, refused(err), fatal(err))
		}
		if got := remedyOf(err); got != "" || !strings.Contains(err.Error(), "correct it") {
			t.Errorf("remedy %q beside that of the text: %v", got, err)
		}
		if errors.Is(err, kafka.ErrPermanent) {
			t.Error("it is permanent")
		}
	}
}
