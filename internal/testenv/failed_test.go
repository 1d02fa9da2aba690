package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verdict is a test whose end is known.
type verdict struct {
	testing.TB
	failed bool
	said   []string
}

func (v *verdict) Helper()      {}
func (v *verdict) Failed() bool { return v.failed }
func (v *verdict) Name() string { return "TestOfAnother" }
func (v *verdict) Logf(format string, args ...any) {
	v.said = append(v.said, fmt.Sprintf(format, args...))
}

func TestLogsOfFailedTestsAreShownBehindAllTests(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("first\nsecond\nlast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	passed, lost := &verdict{TB: t}, &verdict{TB: t, failed: true}
	ShowLog(passed, "a server", log, 2)
	ShowLog(lost, "a server", log, 2)
	if len(passed.said) > 0 {
		t.Errorf("a test that passed says %q", passed.said)
	}
	if said := strings.Join(lost.said, "\n"); !strings.Contains(said, "a server") || strings.Contains(said, "last") {
		t.Errorf("the test says %q, want only that a log follows", said)
	}
	var out strings.Builder
	printFailed(&out)
	if want := "in TestOfAnother: end of the log of a server:"; !strings.Contains(out.String(), want) {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if s := out.String(); strings.Contains(s, "first") || !strings.Contains(s, "second") || !strings.Contains(s, "last") {
		t.Errorf("printed %q, want the last two lines", s)
	}
	out.Reset()
	if printFailed(&out); out.Len() > 0 {
		t.Errorf("printed twice: %q", out.String())
	}
}
