package kudu_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestPasswordIsNotPrintedWithTheCredentials(t *testing.T) {
	k := kudu.Kerberos{Principal: "ann", Password: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{k, &k, []kudu.Kerberos{k}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || !strings.Contains(text, "ann") {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}
