package connector

import (
	"regexp"
	"strings"
	"testing"
)

// A key of a connector that names a file lets whoever may use REST have the worker
// read it, and perhaps send it away.
func TestConnectorKeysThatNameFilesAreMarked(t *testing.T) {
	named := regexp.MustCompile(`(\.file|\.location|\.path|keytab|ccache|\.conf)$`)
	marked := 0
	for _, k := range connectorKeys {
		if named.MatchString(k.Name) != k.ReadsFile {
			t.Errorf("%s: ReadsFile is %v", k.Name, k.ReadsFile)
		}
		if k.ReadsFile {
			marked++
			if k.Type != TypeString {
				t.Errorf("%s names a file and is a %s", k.Name, k.Type)
			}
		}
	}
	if marked == 0 {
		t.Error("no key names a file")
	}
}

func TestKeysThatHoldSecretsAreOfTheTypeOfSecrets(t *testing.T) {
	secretive := regexp.MustCompile(`(?i)(passw|secret|token|credential|jaas|\.jwt$|auth\.users$|\.key$)`)
	for _, k := range append(WorkerKeys(), ConnectorKeys()...) {
		if secretive.MatchString(k.Name) && !strings.HasSuffix(k.Name, ".location") && k.Type != TypePassword {
			switch k.Name {
			case "streaming.key": // columns
			case "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.client.credentials.client.id": // an address, a name
			default:
				t.Errorf("%s is a %s, not a %s", k.Name, k.Type, TypePassword)
			}
		}
	}
}

func TestAllowedPathsAreAbsoluteAndPatternsAreExpressions(t *testing.T) {
	w := goodWorker()
	w.ProvidersAllowedPaths, w.ProvidersEnvPattern = []string{"/run/secrets", "secrets"}, "KUDU_("
	faults := w.Validate()
	if len(faults) != 2 || faults[0].Key != "config.providers.allowed.paths" || faults[1].Key != "config.providers.env.allowlist.pattern" {
		t.Errorf("faults are %v", faults)
	}
	w.ProvidersAllowedPaths, w.ProvidersEnvPattern = []string{"/"}, "KUDU_.*|A"
	if faults = w.Validate(); len(faults) > 0 {
		t.Errorf("faults are %v", faults)
	}
}
