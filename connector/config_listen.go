package connector

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// The defaults of the key listeners, and the word for none.
const (
	DefaultListener = "http://127.0.0.1:8083"
	noListener      = "none"
)

var listenerKeys = []Key{
	{
		Name: "listeners", Type: TypeList, Importance: Medium, legal: listenerFault,
		Doc: "Where the REST interface listens, each as http://host:port or https://host:port; port 0 takes any free one, and none switches it off. Default: " + DefaultListener + ", or another port of 127.0.0.1 if that one is taken.",
	},
	{
		Name: "rest.advertised.host.name", Type: TypeString, Importance: Low,
		Doc: "Name of this worker's host in the status of connectors (worker_id). Default: the first listener's.",
	},
	{
		Name: "rest.advertised.port", Type: TypeInt, Default: int64(0), Min: 1, Max: 65535, Also: []int64{0}, Importance: Low,
		Doc: "Port of this worker in the status of connectors (worker_id). 0: the first listener's.",
	},
	{
		Name: "rest.basic.auth.users", Type: TypePassword, Importance: Medium,
		Doc: "Users that may use the REST interface, each as name:password, apart by commas or line ends; best kept in a file, as ${file:PATH}. Default: none, no password is asked for.",
	},
	{
		Name: "rest.insecure.bind", Type: TypeBoolean, Default: false, Importance: Medium,
		Doc: "Whether a listener may be reached from other hosts though it asks for neither a password nor a client certificate. Whoever reaches it can read and change all connectors.",
	},
	{
		Name: "listeners.https.ssl.certificate.location", Type: TypeString, Importance: Medium,
		Doc: "PEM file with the certificate of https listeners, followed by those of its issuers. It is read again when it changes, as are the other files.",
	},
	{
		Name: "listeners.https.ssl.key.location", Type: TypeString, Importance: Medium,
		Doc: "PEM file with the private key of the certificate, not encrypted. It may be the same file.",
	},
	{
		Name: "listeners.https.ssl.ca.location", Type: TypeString, Importance: Medium,
		Doc: "PEM file with the certificates of those who issue client certificates.",
	},
	{
		Name: "listeners.https.ssl.client.auth", Type: TypeString, Default: clientAuthNone, Importance: Medium, Values: []string{clientAuthNone, clientAuthRequested, clientAuthRequired},
		Doc: "Whether clients of https listeners show a certificate of their own: required, or requested, which checks those that are shown. Either needs listeners.https.ssl.ca.location.",
	},
}

const (
	clientAuthNone      = "none"
	clientAuthRequested = "requested"
	clientAuthRequired  = "required"
)

// Listener is one address of the REST interface.
type Listener struct {
	TLS  bool
	Host string // empty: all addresses of the host
	Port int    // 0: any free one
}

// Addr is the address as net.Listen takes it.
func (l Listener) Addr() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// String is the listener as the key listeners takes it.
func (l Listener) String() string {
	if l.TLS {
		return "https://" + l.Addr()
	}
	return "http://" + l.Addr()
}

// Loopback tells whether only processes of this host reach the listener. Names
// other than localhost aren't looked up: they count as reached from outside.
func (l Listener) Loopback() bool { return loopback(l.Host) }

// RESTListeners are the addresses of the REST interface, none if it is switched
// off. byDefault tells that the configuration doesn't name any, so that another
// port is as good.
func (c WorkerConfig) RESTListeners() (listeners []Listener, byDefault bool) {
	given := c.Listeners
	if len(given) == 0 {
		given, byDefault = []string{DefaultListener}, true
	}
	for _, text := range given {
		if l, ok := parseListener(text); ok {
			listeners = append(listeners, l)
		}
	}
	return listeners, byDefault
}

// BasicAuthUsers gives the passwords by name; nil: none is asked for.
func (c WorkerConfig) BasicAuthUsers() map[string]Secret {
	users, _ := c.basicAuthUsers()
	return users
}

func (c WorkerConfig) basicAuthUsers() (users map[string]Secret, faulty bool) {
	apart := func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }
	for entry := range strings.FieldsFuncSeq(c.RESTUsers.Reveal(), apart) {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		name, password, found := strings.Cut(entry, ":")
		if !found || name == "" || password == "" {
			faulty = true
			continue
		}
		if users == nil {
			users = map[string]Secret{}
		}
		if _, twice := users[name]; twice {
			faulty = true
		}
		users[name] = secret.New(password)
	}
	return users, faulty || users == nil && !c.RESTUsers.Empty()
}

func parseListener(text string) (Listener, bool) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return Listener{}, false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return Listener{}, false
	}
	return Listener{TLS: u.Scheme == "https", Host: u.Hostname(), Port: int(port)}, true
}

func listenerFault(text string) (what, remedy string) {
	if _, ok := parseListener(text); !ok && text != noListener {
		return "is not a listener", "write it as " + DefaultListener + " or https://name.example:8443, or none for no REST interface"
	}
	return "", ""
}

// listenerFaults looks at the keys of the REST interface together.
func (c WorkerConfig) listenerFaults() []Fault {
	var faults []Fault
	fault := func(key, what, remedy string, others ...string) {
		faults = append(faults, Fault{Key: key, What: what, Remedy: remedy, others: append(others, "listeners")})
	}
	const certificate, key, ca, clientAuth = "listeners.https.ssl.certificate.location", "listeners.https.ssl.key.location", "listeners.https.ssl.ca.location", "listeners.https.ssl.client.auth"

	if slices.Contains(c.Listeners, noListener) && len(c.Listeners) > 1 {
		fault("listeners", "has none beside others", "write none alone, or leave it out")
	}
	users, faulty := c.basicAuthUsers()
	if faulty {
		fault("rest.basic.auth.users", "has an entry that is not name:password, or a name twice", "write name:password for each user, apart by commas or line ends")
	}
	listeners, _ := c.RESTListeners()
	authenticated := func(l Listener) bool {
		return len(users) > 0 || l.TLS && c.ListenerClientAuth == clientAuthRequired
	}
	secure := slices.ContainsFunc(listeners, func(l Listener) bool { return l.TLS })
	for _, l := range listeners {
		if !l.Loopback() && !authenticated(l) && !c.RESTInsecureBind {
			fault("listeners", l.String()+" would let anyone on the network change connectors",
				"set rest.basic.auth.users, or an https listener with "+clientAuth+": required, or bind 127.0.0.1, or say rest.insecure.bind: true", "rest.basic.auth.users", clientAuth)
		}
	}
	if secure && c.ListenerCertificate == "" {
		fault(certificate, "is required by an https listener", "name a PEM file with the certificate")
	}
	if secure && c.ListenerKey == "" {
		fault(key, "is required by an https listener", "name a PEM file with the private key")
	}
	asks := c.ListenerClientAuth == clientAuthRequested || c.ListenerClientAuth == clientAuthRequired
	if secure && asks && c.ListenerCA == "" {
		fault(ca, fmt.Sprintf("is required by %s: %s", clientAuth, c.ListenerClientAuth), "name a PEM file with the certificates of those who issue client certificates", clientAuth)
	}
	for _, unused := range []struct {
		key   string
		given bool
	}{{certificate, c.ListenerCertificate != ""}, {key, c.ListenerKey != ""}, {ca, c.ListenerCA != ""}, {clientAuth, asks}} {
		if unused.given && !secure {
			fault(unused.key, "has no use without an https listener", "write https:// in listeners, or remove it")
		}
	}
	return faults
}
