package kafka

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.yaml.in/yaml/v3"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/gssapi"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func TestSecretsArePrintedByNothingThatHoldsOne(t *testing.T) {
	const hidden = "hunter2-hunter2"
	one := secret.New(hidden)
	s := Security{
		Protocol: SASLSSL, Username: "ann", Password: one,
		TLS:      TLS{TruststorePassword: one, KeystorePassword: one, Key: one, KeyPassword: one},
		OAuth:    OAuth{Endpoint: "https://idp/token", ClientID: "me", ClientSecret: one},
		Kerberos: Kerberos{Principal: "ann", Password: one, Service: "kafka"},
	}
	plain := struct { // as a caller may put it into a struct of its own
		security Security
		oauth    OAuth
	}{s, s.OAuth}
	holders := []any{s, &s, s.TLS, s.OAuth, s.Kerberos, gssapi.Config(s.Kerberos), Options{Security: s}, accessKey{"b", s}, plain, []TLS{s.TLS}, map[string]OAuth{"a": s.OAuth}}
	for _, mechanism := range []string{Plain, ScramSHA256, ScramSHA512, OAuthBearer, GSSAPI} {
		s.Mechanism = mechanism
		a := newAccess(s, hclog.NewNullLogger())
		if b, is := a.mechanism.(*bearer); is {
			if _, err := b.tokens.settle(hidden, time.Hour, nil); err != nil {
				t.Fatal(err)
			}
			holders = append(holders, b, b.tokens)
		}
		holders = append(holders, a, a.mechanism, a.files, &opening{access: a})
	}
	for _, v := range holders {
		testenv.HiddenInPrint(t, hidden, v)
	}
	for _, v := range []any{s, s.TLS, s.OAuth, s.Kerberos} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		testenv.Hidden(t, hidden, "JSON", string(text), v)
		if text, err = yaml.Marshal(v); err != nil {
			t.Error(err)
		}
		testenv.Hidden(t, hidden, "YAML", string(text), v)
		if !strings.Contains(string(text), "'***'") {
			t.Errorf("it isn't told that there is a secret: %s", text)
		}
	}
}
