package testenv

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// Hidden fails the test if the text, which was made of v in the way named, has the
// secret, also as hexadecimal digits or numbers.
func Hidden(t testing.TB, secret, how, text string, v any) {
	t.Helper()
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
		if strings.Contains(text, form) {
			t.Errorf("%s of a %T: %s", how, v, text)
		}
	}
}

// HiddenInPrint prints v by the verbs of fmt and in logs, and fails the test if that
// shows the secret.
func HiddenInPrint(t testing.TB, secret string, v any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		Hidden(t, secret, verb, fmt.Sprintf(verb, v), v)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("said", "it", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("said", "it", v)
	hclog.New(&hclog.LoggerOptions{Output: &out}).Info("said", "it", v)
	hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: true}).Info("said", "it", v)
	if strings.Count(out.String(), "said") < 4 {
		t.Errorf("a %T isn't in the logs", v)
	}
	Hidden(t, secret, "a log", out.String(), v)
}
