package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// binary is the program under test, built once: as it is shipped, or with the
// race detector if K2K_E2E_RACE=1.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "k2k-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "kudu2kafka")
	overlay, err := testenv.Overlay(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	args, cgo := []string{"build", "-overlay=" + overlay, "-o", binary}, "CGO_ENABLED=0"
	if os.Getenv("K2K_E2E_RACE") == "1" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	build := exec.Command("go", append(args, "github.com/kudu2kafka/kudu2kafka/cmd/kudu2kafka")...)
	build.Env = append(os.Environ(), cgo)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(testenv.ClosingShared(m), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
