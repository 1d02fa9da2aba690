package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/kudu2kafka/kudu2kafka/internal/overlay"
)

// Overlay makes the overlay that programs need to reach a Kudu cluster with
// Kerberos, and returns the file to give to go build -overlay.
func Overlay(ctx context.Context) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	return overlay.Write(ctx, "go", filepath.Join(cache, "overlay-"+runtime.Version()))
}

// WithOverlay wraps the tests of a package that reaches a Kudu cluster with
// Kerberos. A test binary that was built without the overlay, as go test does
// when it isn't told, builds another one with it and has that run the tests.
func WithOverlay(m Runner) Runner { return withOverlay{m} }

type withOverlay struct{ tests Runner }

func (w withOverlay) Run() int {
	active, err := overlay.Active()
	if err == nil && active {
		return w.tests.Run()
	}
	code := 1
	if err == nil {
		code, err = runOverlaid(context.Background())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "running the tests in a binary with the overlay: %v\n", err)
	}
	return code
}

// runOverlaid builds the tests of the package in the working folder, and runs
// them with this process's arguments.
func runOverlaid(ctx context.Context) (int, error) {
	file, err := Overlay(ctx)
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "kudu2kafka-overlaid-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "tests")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-overlay="+file, "-o", binary, ".")
	build.SysProcAttr = childAttributes()
	if err := runLocked(build); err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, binary, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = childAttributes()
	err = runQuietly(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
