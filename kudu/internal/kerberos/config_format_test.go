package kerberos

import (
	"fmt"
	"strings"
	"testing"
)

func TestPasswordIsNotPrintedWithTheConfiguration(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb, Config{Principal: "ann", Password: "hunter2"}); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
