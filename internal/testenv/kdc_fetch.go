package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// kerberosPrograms is where MIT Kerberos's programs are, and what they need of
// their environment.
type kerberosPrograms struct {
	bins []string // folders
	// lib and kdb are the folders of the libraries and of the database's
	// module; empty when the system's own are found by themselves.
	lib, kdb string
}

// kerberosNeeds are the programs in use.
var kerberosNeeds = []string{"krb5kdc", "kdb5_util", "kadmin.local", "kinit"}

// kerberosPackages are what kerberosNeeds are in, with the libraries below them
// that not every system has; their names carry versions that differ between
// releases.
var kerberosPackages = regexp.MustCompile(`^(krb5-(kdc|admin-server|user)|` +
	`lib(krb5|krb5support|k5crypto|gssapi-krb5|gssrpc|kdb5|kadm5|verto|ev[0-9]|com-err|keyutils|ss[0-9])[-a-z0-9.]*)$`)

// path gives a program's path; it is there.
func (p *kerberosPrograms) path(program string) string {
	for _, dir := range p.bins {
		if path := filepath.Join(dir, program); isProgram(path) {
			return path
		}
	}
	return program
}

func (p *kerberosPrograms) env() []string {
	if p.lib == "" {
		return nil
	}
	return []string{"LD_LIBRARY_PATH=" + p.lib}
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// fetchKerberos finds MIT Kerberos's programs where the system has them, or
// else fetches Debian's packages and unpacks them into the cache: nothing is
// installed, and no rights are needed.
func fetchKerberos(ctx context.Context) (*kerberosPrograms, error) {
	system := &kerberosPrograms{bins: append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin", "/usr/local/sbin")}
	missing := ""
	for _, program := range kerberosNeeds {
		if !isProgram(system.path(program)) {
			missing = program
		}
	}
	if missing == "" {
		return system, nil
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: MIT Kerberos's %s is neither in PATH nor in /usr/sbin, and without %s it can't be fetched. Install its server and its client (krb5-kdc, krb5-admin-server, krb5-user)", ErrMissing, missing, tool)
		}
	}
	dir, err := install(ctx, "kerberos", unpackKerberos)
	if err != nil {
		return nil, err
	}
	return &kerberosPrograms{
		bins: []string{filepath.Join(dir, "bin")}, lib: filepath.Join(dir, "lib"), kdb: filepath.Join(dir, "lib"),
	}, nil
}

// unpackKerberos fills dir with bin and lib.
func unpackKerberos(ctx context.Context, dir string) error {
	for _, sub := range []string{"bin", "lib"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	return unpackPackages(ctx, filepath.Join(dir, "work"), kerberosPackages.MatchString, func(root string) error { return flatten(root, dir) },
		"krb5-kdc", "krb5-admin-server", "krb5-user")
}

// unpackPackages fetches Debian's packages, and of all that they depend on those
// wanted, and unpacks them below a folder that is there for use only. The package
// lists are its own, so that neither those of the system nor the right to renew
// them are needed.
func unpackPackages(ctx context.Context, work string, wanted func(name string) bool, use func(root string) error, packages ...string) error {
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "root"} {
		if err := os.MkdirAll(filepath.Join(work, sub), 0o755); err != nil {
			return err
		}
	}
	apt := func(program string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, program, append([]string{
			"-q", "-o", "Dir::State::lists=" + filepath.Join(work, "lists"), "-o", "Dir::Cache=" + filepath.Join(work, "cache"),
			"-o", "APT::Sandbox::User=", "-o", "Acquire::Languages=none",
		}, args...)...)
		cmd.Dir = work
		cmd.SysProcAttr = childAttributes()
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := runQuietly(cmd); err != nil {
			return nil, fmt.Errorf("running %s %s: %w\n%s", program, args[0], err, stderr.Bytes())
		}
		return stdout.Bytes(), nil
	}
	// One source that isn't reached is no failure: what counts is whether the
	// packages are found.
	_, updateErr := apt("apt-get", "update")
	listed, err := apt("apt-cache", append([]string{
		"depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
		"--no-replaces", "--no-enhances",
	}, packages...)...)
	if err != nil {
		return errors.Join(err, updateErr)
	}
	names := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(listed)); lines.Scan(); {
		if name := lines.Text(); wanted(name) {
			names[name] = true
		}
	}
	args := []string{"download"}
	for name := range names {
		args = append(args, name)
	}
	if _, err := apt("apt-get", args...); err != nil {
		return errors.Join(err, updateErr)
	}
	archives, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		cmd := exec.CommandContext(ctx, "dpkg-deb", "-x", archive, filepath.Join(work, "root"))
		cmd.SysProcAttr = childAttributes()
		if err := runLocked(cmd); err != nil {
			return err
		}
	}
	if err := use(filepath.Join(work, "root")); err != nil {
		return err
	}
	return os.RemoveAll(work)
}

// flatten copies the programs and libraries below root into dir/bin and
// dir/lib. Links become copies, since the cache keeps account of files.
func flatten(root, dir string) error {
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		target := ""
		switch parent := filepath.Base(filepath.Dir(path)); {
		case strings.Contains(entry.Name(), ".so"):
			target = filepath.Join(dir, "lib", entry.Name())
		case parent == "bin" || parent == "sbin":
			target = filepath.Join(dir, "bin", entry.Name())
		default:
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a link to what isn't in these packages
		}
		if err != nil {
			return err
		}
		found[entry.Name()] = true
		return os.WriteFile(target, content, 0o755)
	})
	if err != nil {
		return err
	}
	for _, need := range append([]string{"db2.so"}, kerberosNeeds...) {
		if !found[need] {
			return fmt.Errorf("unpacking Kerberos: %s isn't in the packages", need)
		}
	}
	return nil
}
