package kudu_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func TestCredentialsArePrintedWithoutTheirSecrets(t *testing.T) {
	k := kudu.Kerberos{Principal: "ann", Password: secret.New("hunter2")}
	token := func() (string, error) { return "hunter2", nil }
	c, err := kudu.New(kudu.Config{Masters: []string{"m"}, Security: kudu.Security{Kerberos: &k}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{k, &k, []kudu.Kerberos{k}, kudu.Security{Kerberos: &k}, kudu.Config{Security: kudu.Security{JWT: token}}, c} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
	if text := fmt.Sprintf("%+v", k); !strings.Contains(text, "Principal:ann Keytab: Password:***") {
		t.Errorf("printed is %s", text)
	}
}
