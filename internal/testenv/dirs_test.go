package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestInstallFillsAFolderOnceHoweverManyWantIt(t *testing.T) {
	t.Setenv("K2K_CACHE_DIR", t.TempDir())
	var fills atomic.Int32
	fill := func(_ context.Context, dir string) error {
		fills.Add(1)
		return os.WriteFile(filepath.Join(dir, "file"), []byte("whole"), 0o644)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			dir, err := install(t.Context(), "thing", fill)
			if err != nil {
				t.Error(err)
				return
			}
			if data, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(data) != "whole" {
				t.Errorf("installed file: %q, %v", data, err)
			}
		})
	}
	wait.Wait()
	if fills.Load() != 1 {
		t.Errorf("filled %d times", fills.Load())
	}
}

func TestInstallMendsAnIncompleteFolder(t *testing.T) {
	t.Setenv("K2K_CACHE_DIR", t.TempDir())
	fail := errors.New("no network")
	if _, err := install(t.Context(), "thing", func(context.Context, string) error { return fail }); !errors.Is(err, fail) {
		t.Fatalf("failing to fill: %v", err)
	}
	fill := func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "file"), []byte("whole"), 0o644)
	}
	dir, err := install(t.Context(), "thing", fill)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	for _, damage := range []func() error{
		func() error { return os.Remove(file) },
		func() error { return os.WriteFile(file, []byte("wh"), 0o644) },
		func() error { return os.Remove(filepath.Join(dir, manifestName)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := install(t.Context(), "thing", fill); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != "whole" {
			t.Errorf("mended file: %q, %v", data, err)
		}
	}
}

func TestPortsAreReservedUntilClosed(t *testing.T) {
	var a, b ports
	taken := map[int]bool{}
	for range 20 {
		for _, p := range []*ports{&a, &b} {
			port, err := p.take()
			if err != nil {
				t.Fatal(err)
			}
			if taken[port] {
				t.Errorf("port %d was given twice", port)
			}
			taken[port] = true
		}
	}
	if err := errors.Join(a.close(), b.close()); err != nil {
		t.Fatal(err)
	}
}

func TestMissingProgramsAreNamedWithTheirRemedy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("JAVA_HOME", "")
	missing := func(err error, parts ...string) {
		t.Helper()
		for _, part := range append(parts, "apt-get install") {
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), part) {
				t.Errorf("the error does not tell of %q: %v", part, err)
			}
		}
	}
	java := func(version string) {
		t.Helper()
		script := "#!/bin/sh\necho 'openjdk version \"" + version + "\" 2020-01-01' >&2\n"
		if err := os.WriteFile(filepath.Join(dir, "java"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err := findJava(t.Context())
	missing(err, "Java", "17 or newer")
	_, err = findJavac()
	missing(err, "javac")
	java("11.0.2")
	missing(maven(t.Context(), "--version"), "version 11", "17 or newer")
	java("21")
	missing(maven(t.Context(), "--version"), "Maven (mvn)")
}

// recorder is a TB that only notes whether it was skipped or failed.
type recorder struct {
	TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true }

func TestRequireSkipsOrFailsAsTold(t *testing.T) {
	saved := prerequisites
	defer func() { prerequisites = saved }()
	for _, c := range []struct {
		err             error
		required        string
		skipped, failed bool
	}{
		{nil, "1", false, false},
		{ErrMissing, "", true, false},
		{ErrMissing, "1", false, true},
	} {
		t.Setenv("K2K_REQUIRE_SERVERS", c.required)
		prerequisites = func() error { return c.err }
		r := &recorder{TB: t}
		Require(r)
		if r.skipped != c.skipped || r.failed != c.failed {
			t.Errorf("%v with %q: skipped %v, failed %v", c.err, c.required, r.skipped, r.failed)
		}
	}
}

func TestDataIsRemovedWhileNobodySweeps(t *testing.T) {
	data, err := newDataDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sweeping, err := lockSweeping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	removed := make(chan error, 1)
	go func() { removed <- data.remove() }()
	select {
	case err := <-removed:
		t.Errorf("removed beside somebody who sweeps: %v", err)
		removed <- err
	case <-time.After(100 * time.Millisecond):
		if _, err := os.Stat(filepath.Join(data.path, "lock")); err != nil {
			t.Errorf("the folder lost its lock beside somebody who sweeps: %v", err)
		}
	}
	if err := errors.Join(sweeping.unlock(), <-removed); err != nil {
		t.Error(err)
	}
	gone(t, data.path)
}
