package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Prometheus is where Prometheus's programs are.
type Prometheus struct {
	Server, Promtool string
}

// FindPrometheus finds Prometheus where the system has it, or else fetches Debian's
// package and unpacks it into the cache: nothing is installed, and no rights are
// needed. Where it can't be had the test is skipped, or with K2K_REQUIRE_SERVERS=1
// it fails.
func FindPrometheus(t TB) Prometheus {
	t.Helper()
	p, err := fetchPrometheus(t.Context())
	if errors.Is(err, ErrMissing) {
		lacking(t, err)
	}
	if err != nil {
		t.Fatalf("fetching Prometheus: %v", err)
	}
	return p
}

func fetchPrometheus(ctx context.Context) (Prometheus, error) {
	server, err := exec.LookPath("prometheus")
	promtool, toolErr := exec.LookPath("promtool")
	if err == nil && toolErr == nil {
		return Prometheus{server, promtool}, nil
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return Prometheus{}, fmt.Errorf("%w: prometheus and promtool are not in PATH, and without %s they can't be fetched. Install Prometheus", ErrMissing, tool)
		}
	}
	dir, err := install(ctx, "prometheus", func(ctx context.Context, dir string) error {
		only := func(name string) bool { return name == "prometheus" } // the programs are static but for the C library
		return unpackPackages(ctx, filepath.Join(dir, "work"), only, func(root string) error {
			for _, name := range []string{"prometheus", "promtool"} {
				err := os.Rename(filepath.Join(root, "usr", "bin", name), filepath.Join(dir, name))
				if errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("unpacking Prometheus: %s isn't in the package", name)
				} else if err != nil {
					return err
				}
			}
			return nil
		}, "prometheus")
	})
	return Prometheus{filepath.Join(dir, "prometheus"), filepath.Join(dir, "promtool")}, err
}
