package rest

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func basic(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestOnlyUsersWithTheirPasswordAreAdmitted(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, newFake(), func(_ *connector.WorkerConfig, o *Options) {
		o.Users = map[string]connector.Secret{"ann": secret.New("secret:1"), "bob": secret.New("other")}
		o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
	})
	for header, want := range map[string]int{
		basic("ann", "secret:1"): 200, basic("bob", "other"): 200,
		"": 401, basic("ann", "other"): 401, basic("bob", "secret:1"): 401, basic("ann", ""): 401, basic("", ""): 401, basic("cleo", "secret:1"): 401,
		basic("ann", "secret:1 "): 401, "Authorization: Bearer x": 401, "Authorization: Basic !": 401,
	} {
		for _, path := range []string{"/", "/connectors", "/no", "/health", "/health/live/x"} {
			got := s.call(t, "GET", path, "", header)
			admitted := got.status != 401
			if admitted != (want == 200) {
				t.Errorf("%s with %q gives %d", path, header, got.status)
			}
			if !admitted && (got.header.Get("WWW-Authenticate") == "" || got.body != refusalBody("401", "User cannot access the resource.")) {
				t.Errorf("refusal is %+v", got)
			}
		}
	}
	for _, path := range []string{"/health/live", "/health/ready", "/health/live/", "/health/ready/"} {
		if got := s.call(t, "GET", path, ""); got.status != 200 {
			t.Errorf("%s needs a password: %+v", path, got)
		}
	}
	if got := s.call(t, "POST", "/connectors", `{"name":"a","config":{}}`); got.status != 401 {
		t.Errorf("a connector is made without a password: %+v", got)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"secret:1", "other", base64.StdEncoding.EncodeToString([]byte("ann:secret:1"))} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the password %q", secret)
		}
	}
	if !strings.Contains(log.String(), "user=ann") {
		t.Error("the log doesn't tell who called")
	}
}

func TestPagesOfOtherSitesCannotChangeAnything(t *testing.T) {
	s := serve(t, newFake())
	s.call(t, "PUT", "/connectors/a/config", "{}")
	for _, header := range []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"} {
		if got := s.call(t, "POST", "/connectors/a/restart", "", header); got.status != 403 {
			t.Errorf("a restart with %s gives %+v", header, got)
		}
	}
	for _, header := range []string{"Origin: " + s.url, "Sec-Fetch-Site: same-origin", "X: y"} {
		if got := s.call(t, "POST", "/connectors/a/restart", "", header); got.status != 204 {
			t.Errorf("a restart with %s gives %+v", header, got)
		}
	}
}
