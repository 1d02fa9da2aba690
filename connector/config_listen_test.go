package connector

import (
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func TestListenersAreURLsOfHostAndPort(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:8083": "http://127.0.0.1:8083", "https://k.example.org:443/": "https://k.example.org:443",
		"http://[::1]:0": "http://[::1]:0", "http://:8083": "http://:8083", "HTTP://localhost:1": "http://localhost:1",
		"": "", "8083": "", "127.0.0.1:8083": "", "http://127.0.0.1": "", "ftp://a:1": "", "http://a:x": "", "http://a:65536": "",
		"http://a:-1": "", "http://u:p@a:1": "", "http://a:1/path": "", "http://a:1?q": "", "http://a:1#f": "", "http://[::1:1": "",
	} {
		l, ok := parseListener(text)
		if ok != (want != "") || ok && l.String() != want {
			t.Errorf("%q is read as %q, %v; want %q", text, l, ok, want)
		}
	}
}

func TestOnlyLoopbackAddressesAreLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.1.2.3": true, "::1": true, "localhost": true, "LocalHost": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.org": false, "127.0.0.1.example.org": false,
	} {
		if got := (Listener{Host: host}).Loopback(); got != want {
			t.Errorf("%q counts as loopback: %v", host, got)
		}
	}
}

func TestListenersDefaultToLoopbackAndCanBeSwitchedOff(t *testing.T) {
	w := goodWorker()
	listeners, byDefault := w.RESTListeners()
	if len(listeners) != 1 || listeners[0].String() != DefaultListener || !listeners[0].Loopback() || !byDefault {
		t.Errorf("without the key the listeners are %v, by default: %v", listeners, byDefault)
	}
	w.Listeners = []string{"none"}
	if listeners, byDefault = w.RESTListeners(); len(listeners) != 0 || byDefault {
		t.Errorf("with none the listeners are %v, by default: %v", listeners, byDefault)
	}
	if got := texts(w.Validate()); got != "" {
		t.Errorf("faults are\n%s", got)
	}
}

func TestListenersThatOthersReachNeedAuthenticationOrPermission(t *testing.T) {
	open := func(listeners ...string) WorkerConfig {
		w := goodWorker()
		w.Listeners = listeners
		if strings.HasPrefix(listeners[0], "https") {
			w.ListenerCertificate, w.ListenerKey = "c.pem", "k.pem"
		}
		return w
	}
	for _, test := range []struct {
		w    WorkerConfig
		want string // a part of the only fault; empty: none
	}{
		{open("http://0.0.0.0:8083"), "listeners: http://0.0.0.0:8083 would let anyone on the network change connectors"},
		{open("http://127.0.0.1:8083", "http://:8084"), "listeners: http://:8084 would let anyone"},
		{open("https://0.0.0.0:8443"), "listeners: https://0.0.0.0:8443 would let anyone"},
		{open("http://127.0.0.1:8083", "none"), "listeners: has none beside others"},
	} {
		if got := texts(test.w.Validate()); !strings.HasPrefix(got, test.want) || strings.Contains(got, "\n") {
			t.Errorf("faults are\n%s\nwant\n%s", got, test.want)
		}
		for name, change := range map[string]func(*WorkerConfig){
			"a password": func(w *WorkerConfig) { w.RESTUsers = secret.New("ann:secret") },
			"permission": func(w *WorkerConfig) { w.RESTInsecureBind = true },
			"a certificate": func(w *WorkerConfig) {
				w.ListenerClientAuth, w.ListenerCA = "required", "ca.pem"
			},
		} {
			if name == "a certificate" && !strings.HasPrefix(test.w.Listeners[0], "https") || strings.Contains(test.want, "none") {
				continue
			}
			w := test.w
			change(&w)
			if got := texts(w.Validate()); got != "" {
				t.Errorf("%v with %s has faults:\n%s", w.Listeners, name, got)
			}
		}
	}
	w := open("https://0.0.0.0:8443")
	w.ListenerClientAuth, w.ListenerCA = "requested", "ca.pem"
	if got := texts(w.Validate()); !strings.Contains(got, "would let anyone") {
		t.Errorf("a certificate that needn't be shown counts as authentication:\n%s", got)
	}
}

func TestKeysOfHTTPSListenersBelongTogether(t *testing.T) {
	w := goodWorker()
	w.Listeners = []string{"https://127.0.0.1:8443"}
	want := "listeners.https.ssl.certificate.location: is required by an https listener: name a PEM file with the certificate\n" +
		"listeners.https.ssl.key.location: is required by an https listener: name a PEM file with the private key"
	if got := texts(w.Validate()); got != want {
		t.Errorf("faults are\n%s", got)
	}
	w.ListenerCertificate, w.ListenerKey, w.ListenerClientAuth = "c.pem", "k.pem", "required"
	if got := texts(w.Validate()); !strings.HasPrefix(got, "listeners.https.ssl.ca.location: is required by listeners.https.ssl.client.auth: required") {
		t.Errorf("faults are\n%s", got)
	}
	w.Listeners, w.ListenerCA = nil, "ca.pem"
	if got := texts(w.Validate()); strings.Count(got, "has no use without an https listener") != 4 {
		t.Errorf("faults are\n%s", got)
	}
}

func TestUsersAreReadAsNamesAndPasswords(t *testing.T) {
	w := goodWorker()
	w.RESTUsers = secret.New("ann:a:b, bob:secret\n\r\ncleo:x y\n")
	users := w.BasicAuthUsers()
	if len(users) != 3 || users["ann"].Reveal() != "a:b" || users["bob"].Reveal() != "secret" || users["cleo"].Reveal() != "x y" {
		t.Errorf("users are %d, ann's password %q", len(users), users["ann"].Reveal())
	}
	if got := texts(w.Validate()); got != "" {
		t.Errorf("faults are\n%s", got)
	}
	for _, bad := range []string{"hunter2", ":hunter2", "hunter2:", "ann:hunter2,hunter2", "ann:x,ann:hunter2", " , "} {
		w.RESTUsers = secret.New(bad)
		if got := texts(w.Validate()); !strings.HasPrefix(got, "rest.basic.auth.users: has an entry that is not name:password") || strings.Contains(got, "hunter2") {
			t.Errorf("faults of %q are\n%s", bad, got)
		}
	}
}
