package connector

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// Exposed lists the secrets that this configuration sends over a network where
// whoever is on the way can read them: each with the key that it is a matter of and
// what would keep it secret. They don't keep a worker from running: something that
// isn't seen here, such as a tunnel, may protect them.
func (c WorkerConfig) Exposed() []Fault {
	var all []Fault
	listeners, _ := c.RESTListeners()
	users := len(c.BasicAuthUsers()) > 0
	for _, l := range listeners {
		if users && !l.TLS && !l.Loopback() {
			all = append(all, Fault{
				Key: "listeners", What: l.String() + " is sent the passwords of rest.basic.auth.users without encryption",
				Remedy: "write https:// with listeners.https.ssl.certificate.location and listeners.https.ssl.key.location, or bind 127.0.0.1 and have a proxy on this host end TLS",
			})
		}
	}
	s := c.kafkaSecurity()
	if s.Protocol != kafka.SASLPlaintext && s.Protocol != kafka.SASLSSL {
		return all
	}
	if endpoint, err := url.Parse(s.OAuth.Endpoint); s.Mechanism == kafka.OAuthBearer && err == nil && endpoint.Scheme == "http" && !loopback(endpoint.Hostname()) {
		all = append(all, Fault{
			Key: "sasl.oauthbearer.token.endpoint.url", What: "the client's secret and the tokens go to and from http://" + endpoint.Host + " without encryption",
			Remedy: "write https://",
		})
	}
	what := map[string]string{kafka.Plain: "the password", kafka.OAuthBearer: "tokens"}[s.Mechanism]
	if s.Protocol == kafka.SASLPlaintext && what != "" {
		for _, server := range c.BootstrapServers {
			if host, _, err := net.SplitHostPort(server); err == nil && !loopback(host) {
				all = append(all, Fault{
					Key: "security.protocol", What: fmt.Sprintf("%s, and the brokers behind it, are sent %s without encryption, by %s", server, what, s.Mechanism),
					Remedy: "write security.protocol: SASL_SSL and name a listener with TLS in bootstrap.servers",
				})
				break
			}
		}
	}
	return all
}

// loopback tells whether a host is this one for certain. Names other than localhost
// aren't looked up.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
