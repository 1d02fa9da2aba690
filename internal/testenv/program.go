package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Program builds the program of this module, once for all tests of a binary:
// overlaid as it is shipped, else as a plain go build makes it.
func Program(t TB, overlaid bool) (path string) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.programs == "" {
		dir, err := os.MkdirTemp("", "kudu2kafka-program-")
		if err != nil {
			t.Fatalf("%v", err)
		}
		shared.programs = dir
	}
	path = filepath.Join(shared.programs, "plain")
	args := []string{"build"}
	if overlaid {
		overlay, err := Overlay(t.Context())
		if err != nil {
			t.Fatalf("%v", err)
		}
		path = filepath.Join(shared.programs, "overlaid")
		args = append(args, "-overlay="+overlay)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.CommandContext(t.Context(), "go", append(args, "-o", path, "github.com/kudu2kafka/kudu2kafka/cmd/kudu2kafka")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return path
}
