package release

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// run runs a command and returns what it prints.
func run(t *testing.T, folder, command string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), command, args...)
	c.Dir = folder
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", command, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func TestReleaseIsReproducibleAndRuns(t *testing.T) {
	root := run(t, ".", "git", "rev-parse", "--show-toplevel")
	commit := run(t, root, "git", "rev-parse", "HEAD")
	var dists []string
	for _, name := range []string{"one", "another/place"} {
		clone := filepath.Join(t.TempDir(), name)
		run(t, ".", "git", "clone", "--quiet", "--no-hardlinks", root, clone)
		run(t, clone, "git", "checkout", "--quiet", "--detach", commit)
		// SBOMs are left out: what makes them takes minutes to build. internal/release
		// tests what is done to them, and make release makes them.
		run(t, clone, "go", "run", "./internal/release", "-version", "v9.8.7", "-platforms", runtime.GOOS+"/"+runtime.GOARCH, "-out", "dist")
		dists = append(dists, filepath.Join(clone, "dist"))
	}
	base := "kudu2kafka-v9.8.7-" + runtime.GOOS + "-" + runtime.GOARCH
	var sums []string
	for _, dist := range dists {
		text, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(text))
		run(t, dist, "sha256sum", "--strict", "--check", "SHA256SUMS")
	}
	if sums[0] != sums[1] || !strings.HasSuffix(sums[0], "  "+base+".tar.gz\n") {
		t.Errorf("the sums of one commit, built twice, are\n%s%s", sums[0], sums[1])
	}

	unpacked := t.TempDir()
	run(t, unpacked, "tar", "-xzf", filepath.Join(dists[0], base+".tar.gz"))
	top := filepath.Join(unpacked, base)
	for file, has := range map[string]string{
		"LICENSE": "Apache License", "README.md": "# kudu2kafka", "configs/worker.yaml": "bootstrap.servers", "docs/install.md": "SHA256SUMS",
		"THIRD_PARTY_LICENSES.txt": "github.com/twmb/franz-go v", "deploy/systemd/kudu2kafka.service": "ExecStart",
	} {
		if text, err := os.ReadFile(filepath.Join(top, file)); err != nil || !strings.Contains(string(text), has) {
			t.Errorf("%s doesn't have %q (%v)", file, has, err)
		}
	}
	program := filepath.Join(top, "kudu2kafka")
	if got, want := run(t, ".", program, "--version"), "kudu2kafka v9.8.7 commit "+commit[:12]+" "; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " with overlay") {
		t.Errorf("--version is %q", got)
	}
	var version struct {
		Version, Commit, Time string
		Modified, Overlay     bool
	}
	if err := json.Unmarshal([]byte(run(t, ".", program, "version", "--json")), &version); err != nil {
		t.Fatal(err)
	}
	if version.Commit != commit || version.Modified || version.Time == "" || !version.Overlay {
		t.Errorf("version is %+v", version)
	}
	// What is shipped works as it is unpacked.
	run(t, top, program, "config", "validate", "configs/worker.yaml", "configs/orders.yaml")
	// No path of the machine that it was built on is in it.
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dists[0], filepath.Dir(dists[0]), root + "/", home + "/go", "kudu2kafka-release-"} {
		if bytes.Contains(data, []byte(path)) {
			t.Errorf("the program has the path %s", path)
		}
	}
}

func TestReleaseIsMadeOfACommitOnly(t *testing.T) {
	root := run(t, ".", "git", "rev-parse", "--show-toplevel")
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, ".", "git", "clone", "--quiet", "--no-hardlinks", root, clone)
	if err := os.WriteFile(filepath.Join(clone, "README.md"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "go", "run", "./internal/release")
	c.Dir = clone
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "a release is made of a commit") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(clone, "dist")); err == nil {
		t.Error("something was made")
	}
}
