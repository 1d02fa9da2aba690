package connector

import (
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func TestSecretsThatAreSentUnencryptedAreTold(t *testing.T) {
	const rest, endpoint, protocol = "listeners", "sasl.oauthbearer.token.endpoint.url", "security.protocol"
	with := func(change func(*WorkerConfig)) WorkerConfig {
		w := goodWorker()
		change(&w)
		return w
	}
	users := func(listeners ...string) WorkerConfig {
		return with(func(w *WorkerConfig) {
			w.Listeners, w.RESTUsers = listeners, secret.New("ann:hidden")
			w.ListenerCertificate, w.ListenerKey = "c.pem", "k.pem"
		})
	}
	tokens := func(protocol, url, servers string) WorkerConfig {
		return with(func(w *WorkerConfig) {
			w.BootstrapServers = strings.Split(servers, ",")
			w.SecurityProtocol, w.SASLMechanism, w.OAuthEndpoint = protocol, "OAUTHBEARER", url
			w.OAuthClientID, w.OAuthClientSecret = "me", secret.New("hidden")
		})
	}
	password := func(protocol, mechanism, server string) WorkerConfig {
		return with(func(w *WorkerConfig) {
			w.BootstrapServers = []string{server}
			w.SecurityProtocol, w.SASLMechanism, w.SASLUsername, w.SASLPassword = protocol, mechanism, "ann", secret.New("hidden")
		})
	}
	for name, test := range map[string]struct {
		w    WorkerConfig
		want string // keys
	}{
		"nothing is configured":                  {goodWorker(), ""},
		"users on the default address":           {users(), ""},
		"users on the loopback address":          {users("http://127.0.0.1:8083", "http://[::1]:8083", "http://localhost:8083"), ""},
		"users on all addresses":                 {users("http://:8083"), rest},
		"users on a name":                        {users("http://k.example.org:8083"), rest},
		"users with TLS":                         {users("https://0.0.0.0:8443"), ""},
		"users on two of three":                  {users("https://0.0.0.0:8443", "http://0.0.0.0:8083", "http://10.0.0.1:80"), rest + " " + rest},
		"users without a listener":               {users("none"), ""},
		"nobody on all addresses":                {with(func(w *WorkerConfig) { w.Listeners, w.RESTInsecureBind = []string{"http://0.0.0.0:8083"}, true }), ""},
		"a token endpoint":                       {tokens("SASL_SSL", "http://idp.example.org/token?k=hidden", "kafka:9093"), endpoint},
		"a token endpoint with TLS":              {tokens("SASL_SSL", "https://idp.example.org/token", "kafka:9093"), ""},
		"a token endpoint on this host":          {tokens("SASL_SSL", "http://127.0.0.1:8080/token", "kafka:9093"), ""},
		"a file of tokens":                       {tokens("SASL_SSL", "file:///run/token", "kafka:9093"), ""},
		"tokens to brokers":                      {tokens("SASL_PLAINTEXT", "file:///run/token", "localhost:9092,kafka:9092"), protocol},
		"tokens to and fro":                      {tokens("SASL_PLAINTEXT", "http://idp/token", "kafka:9092"), endpoint + " " + protocol},
		"an endpoint that another mechanism has": {with(func(w *WorkerConfig) { w.OAuthEndpoint = "http://idp/token" }), ""},
		"PLAIN":                                  {password("SASL_PLAINTEXT", "PLAIN", "kafka:9092"), protocol},
		"PLAIN on this host":                     {password("SASL_PLAINTEXT", "PLAIN", "127.0.0.1:9092"), ""},
		"PLAIN with TLS":                         {password("SASL_SSL", "PLAIN", "kafka:9093"), ""},
		"SCRAM":                                  {password("SASL_PLAINTEXT", "SCRAM-SHA-512", "kafka:9092"), ""},
		"a login module": {with(func(w *WorkerConfig) {
			w.BootstrapServers, w.SecurityProtocol, w.SASLMechanism = []string{"kafka:9092"}, "SASL_PLAINTEXT", "PLAIN"
			w.SASLJAAS = secret.New(plainModule + ` required username="ann" password="hidden";`)
		}), protocol},
	} {
		var keys []string
		for _, f := range test.w.Exposed() {
			keys = append(keys, f.Key)
			if strings.Contains(f.String(), "hidden") || f.Remedy == "" {
				t.Errorf("%s: %s", name, f)
			}
		}
		if got := strings.Join(keys, " "); got != test.want {
			t.Errorf("%s: told of %q, want %q", name, got, test.want)
		}
	}
}
