// Command release builds what is published: for each platform an archive with the
// static program, and a list of what is in it (SBOM), with the sums of all of them.
// The same commit gives the same bytes, wherever and whenever it is built.
//
//	go run ./internal/release -out dist -syft bin/tools/syft
//
// make release runs it. It builds with the overlay of internal/overlay, collects the
// licenses of all modules that the programs are built of, and refuses modules whose
// license isn't known to allow that.
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/overlay"
)

// name is the program's, and what archives begin with.
const name = "kudu2kafka"

// release is what is made, and how.
type release struct {
	version   string
	platforms []string // as linux/amd64
	out       string   // folder
	goCommand string
	syft      string    // program that makes SBOMs; empty: none are made
	commit    string    // its hash
	time      time.Time // of the commit: that of all files
	source    string    // a clone of the checkout at the commit; empty: the working folder
	overlay   string    // file for go build
	log       func(format string, args ...any)
}

func main() {
	var r release
	var platforms string
	flag.StringVar(&r.version, "version", "", "version; by default what git describe says")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "systems and processors")
	flag.StringVar(&r.out, "out", "dist", "folder for the result; what is in it is removed")
	flag.StringVar(&r.goCommand, "go", "go", "the go command")
	flag.StringVar(&r.syft, "syft", "", "the program syft, which makes SBOMs; without it there are none")
	flag.Parse()
	r.platforms = strings.Split(platforms, ",")
	r.log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	if err := r.make(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// make makes the release of the checkout that is the working folder.
func (r *release) make(ctx context.Context) (err error) {
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return fmt.Errorf("removing the last release: %w", err)
	}
	work, err := os.MkdirTemp("", name+"-release-")
	if err != nil {
		return fmt.Errorf("making a folder to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	// Of a clone, so that nothing but the commit counts; and in a linked worktree Go
	// doesn't find out the commit.
	source := filepath.Join(work, "source")
	if _, err := r.output(ctx, nil, "git", "clone", "--quiet", "--no-checkout", ".", source); err != nil {
		return fmt.Errorf("making a clone to build of: %w", err)
	}
	r.source = source
	if _, err := r.output(ctx, nil, "git", "checkout", "--quiet", "--detach", r.commit); err != nil {
		return fmt.Errorf("making a clone to build of: %w", err)
	}
	if r.overlay, err = overlay.Write(ctx, r.goCommand, filepath.Join(work, "overlay")); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return fmt.Errorf("making a folder for the release: %w", err)
	}
	var made []string
	for _, platform := range r.platforms {
		files, err := r.platform(ctx, platform, filepath.Join(work, strings.ReplaceAll(platform, "/", "-")))
		if err != nil {
			return fmt.Errorf("making the release for %s: %w", platform, err)
		}
		made = append(made, files...)
	}
	return writeSums(r.out, made)
}

// look finds out what is to be made.
func (r *release) look(ctx context.Context) error {
	changes, err := r.output(ctx, nil, "git", "status", "--porcelain")
	if err != nil {
		return fmt.Errorf("looking at the checkout, which a release is made of: %w", err)
	}
	if changes != "" {
		return errors.New("the checkout has changes that aren't committed: a release is made of a commit")
	}
	if r.commit, err = r.output(ctx, nil, "git", "rev-parse", "HEAD"); err != nil {
		return fmt.Errorf("looking for the commit: %w", err)
	}
	if r.version == "" {
		if r.version, err = r.output(ctx, nil, "git", "describe", "--tags", "--always"); err != nil {
			return fmt.Errorf("looking for the version: %w", err)
		}
	}
	if strings.ContainsAny(r.version, "/\\ ") {
		return fmt.Errorf("%q can't be a version: it becomes part of names of files", r.version)
	}
	seconds, err := r.output(ctx, nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return fmt.Errorf("looking for the time of the commit: %w", err)
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("looking for the time of the commit: %w", err)
	}
	r.time = time.Unix(n, 0).UTC()
	return nil
}

// output is what a command prints, without white space around it.
func (r *release) output(ctx context.Context, env []string, command ...string) (string, error) {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Dir = r.source
	c.Env = append(os.Environ(), env...)
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// environment is what decides about a program besides its source. What the user has
// set for Go's other programs doesn't count.
func environment(platform string) []string {
	system, processor, _ := strings.Cut(platform, "/")
	return []string{
		"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + processor, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off",
	}
}

// check looks whether a program knows what it was built of.
func (r *release) check(program string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("looking at the program: %w", err)
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.revision"] != r.commit || settings["vcs.modified"] != "false" {
		return fmt.Errorf("the program says that it was built of commit %q, modified: %q, not of %s", settings["vcs.revision"], settings["vcs.modified"], r.commit)
	}
	return nil
}

// platform makes the archive and the SBOM for one platform, and gives their names.
func (r *release) platform(ctx context.Context, platform, work string) ([]string, error) {
	began := time.Now()
	env := environment(platform)
	program := filepath.Join(work, name)
	if _, err := r.output(ctx, env, r.goCommand, "build", "-overlay", r.overlay, "-trimpath", "-buildvcs=true", "-mod=readonly",
		"-ldflags", "-s -w -X main.version="+r.version, "-o", program, "./cmd/"+name); err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	if err := r.check(program); err != nil {
		return nil, err
	}
	licenses, err := r.licenses(ctx, env)
	if err != nil {
		return nil, err
	}
	base := name + "-" + r.version + "-" + strings.ReplaceAll(platform, "/", "-")
	files, err := r.contents(ctx, program, licenses)
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(r.out, base+".tar.gz")
	if err := writeArchive(archive, base, files, r.time); err != nil {
		return nil, err
	}
	made := []string{base + ".tar.gz"}
	if r.syft != "" {
		if err := r.sbom(ctx, work, filepath.Join(r.out, base+".cdx.json")); err != nil {
			return nil, err
		}
		made = append(made, base+".cdx.json")
	}
	info, err := os.Stat(archive)
	if err != nil {
		return nil, err
	}
	r.log("%s  %.1f MB, %s", archive, float64(info.Size())/1e6, time.Since(began).Round(100*time.Millisecond))
	return made, nil
}
