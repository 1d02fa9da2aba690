package rest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// FuzzBodies sends a body to each endpoint that takes one: whatever it is, the
// answer is JSON, and never an error of the server's.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"name":"a","config":{"x":1.5,"y":null}}`, `{"name":"b","config":{},"initial_state":"paused","initial_offsets":[{}]}`,
		`{"offsets":[{"partition":{"a":1},"offset":{"b":[2]}},{"partition":{},"offset":null}]}`, `{"level":"DEBUG"}`, `{"connector.class":"p","topic":"t"}`,
		`{"a":{"b":` + strings.Repeat(`[`, 200), "{\"\xff\":1}", `{"name":"\ud800"}`, `{"a":1}{"b":2}`,
	} {
		f.Add([]byte(seed))
	}
	listeners, err := Listen(f.Context(), connector.WorkerConfig{Listeners: []string{"none"}}, hclog.NewNullLogger())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		api := newFake()
		api.connectors["s"] = &fakeConnector{config: map[string]string{}, target: "STOPPED"}
		s := New(listeners, api, Options{})
		for path, m := range table {
			path = strings.NewReplacer("/connectors/{name}", "/connectors/s", "{name}", "p", "{task}", "0").Replace(path)
			for method, e := range m {
				if !e.body {
					continue
				}
				r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(string(body)))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code >= 500 || w.Code != http.StatusNoContent && !json.Valid(w.Body.Bytes()) {
					t.Errorf("%s %s gives %d %s", method, path, w.Code, w.Body)
				}
				if w.Code >= 400 && w.Body.Len() > 1000 {
					t.Errorf("%s %s answers at length: %s", method, path, w.Body)
				}
			}
		}
	})
}

// FuzzRequests sends any method, path and headers.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/connectors/a%2fb/../x", "text/html;q=x", "application/json", "Basic YTpi")
	f.Add("OPTIONS", "/connectors/%C3%BC/tasks/0/status/", "*/*,", ";", "")
	f.Add("POST", "/connectors//?expand", "", "", "")
	f.Add("GET", "", "", "", "")
	listeners, err := Listen(f.Context(), connector.WorkerConfig{Listeners: []string{"none"}}, hclog.NewNullLogger())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, accept, kind, authorization string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://h"+target, http.NoBody)
		if err != nil {
			return
		}
		r.RequestURI = target
		r.Header.Set("Accept", accept)
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		New(listeners, newFake(), Options{}).ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %q gives %d %s", method, target, w.Code, w.Body)
		}
		if location := w.Header().Get("Location"); w.Code >= 300 && w.Code < 400 || location != "" {
			t.Errorf("%s %q redirects to %q", method, target, location)
		}
	})
}

// FuzzCertificateFiles writes the files of https listeners: they are taken as a whole, or
// not at all.
func FuzzCertificateFiles(f *testing.F) {
	a := &authority{}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "fuzz"}, IsCA: true, BasicConstraintsValid: true}
	certificate, key := a.issue(f, template)
	f.Add(certificate, key, certificate)
	f.Add(slices.Concat(certificate, certificate[:len(certificate)/2]), key, certificate)
	f.Add(slices.Concat(certificate, key), slices.Concat(key, certificate), slices.Concat(certificate, certificate))
	f.Add(certificate, key, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add(certificate[:10], key[:10], []byte{})
	c := &certificates{files: [3]pemFile{{"certificate.location", "c"}, {"key.location", "k"}, {"ca.location", "a"}}}
	f.Fuzz(func(t *testing.T, chain, key, authorities []byte) {
		config, ends, err := c.parse([3][]byte{chain, key, authorities})
		if err != nil {
			return
		}
		if ends.IsZero() {
			t.Error("nothing is known of the certificate's end")
		}
		begun := func(text []byte) int { return strings.Count("\n"+string(text), "\n-----BEGIN CERTIFICATE-----") }
		if taken := len(config.Certificates[0].Certificate); taken != begun(chain) {
			t.Errorf("of %d certificates %d were taken", begun(chain), taken)
		}
		if taken := len(config.ClientCAs.Subjects()); taken == 0 { //nolint:staticcheck // the pool isn't the system's
			t.Error("there are no authorities")
		}
	})
}
