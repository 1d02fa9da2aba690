package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Browser is a headless Chromium.
type Browser struct {
	// URL is where its DevTools protocol is spoken: ws://...
	URL string
}

// chromium is a browser on disk, and what it needs of its environment.
type chromium struct{ program, lib, fonts string }

// chromiumPackages are what is unpacked beside the browser itself; skipped are
// those that every system has or that only draw on graphics cards.
var (
	chromiumPackages = regexp.MustCompile(`^(chromium-headless-shell|chromium-common|fonts-dejavu-core|fonts-liberation2?|xkb-data|zlib1g|lib[-a-z0-9.+]*)$`)
	chromiumSkips    = regexp.MustCompile(`^(libc6|libllvm.*|libgl.*|libdrm-.*|libgcc.*|libstdc.*)$`)
)

// fetchChromium finds a Chromium where the system has it, or else fetches Debian's
// packages and unpacks them into the cache: nothing is installed, and no rights are
// needed.
func fetchChromium(ctx context.Context) (*chromium, error) {
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if program, err := exec.LookPath(name); err == nil {
			return &chromium{program: program}, nil
		}
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: neither Chromium nor Chrome is in PATH, and without %s it can't be fetched. Install Chromium", ErrMissing, tool)
		}
	}
	dir, err := install(ctx, "chromium", func(ctx context.Context, dir string) error {
		wanted := func(name string) bool { return chromiumPackages.MatchString(name) && !chromiumSkips.MatchString(name) }
		return unpackPackages(ctx, filepath.Join(dir, "work"), wanted, func(root string) error { return sortChromium(root, dir) }, "chromium-headless-shell", "fonts-dejavu-core")
	})
	if err != nil {
		return nil, err
	}
	return &chromium{program: filepath.Join(dir, "chromium", "chromium-headless-shell"), lib: filepath.Join(dir, "lib"), fonts: filepath.Join(dir, "fonts")}, nil
}

// sortChromium copies the browser below root into dir/chromium, libraries into
// dir/lib and fonts into dir/fonts. Links become copies, since the cache keeps
// account of files.
func sortChromium(root, dir string) error {
	browser := filepath.Join(root, "usr", "lib", "chromium")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		target := ""
		switch rel, inside := strings.CutPrefix(path, browser+string(filepath.Separator)); {
		case inside:
			target = filepath.Join(dir, "chromium", rel)
		case strings.Contains(entry.Name(), ".so"):
			target = filepath.Join(dir, "lib", entry.Name())
		case strings.HasSuffix(entry.Name(), ".ttf"):
			target = filepath.Join(dir, "fonts", entry.Name())
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
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o755)
	})
	if err != nil {
		return err
	}
	if !isProgram(filepath.Join(dir, "chromium", "chromium-headless-shell")) {
		return errors.New("unpacking Chromium: the program isn't in the packages")
	}
	return nil
}

var devTools = regexp.MustCompile(`DevTools listening on (ws://\S+)`)

// NewBrowser starts a browser for this test, without a window, and ends it at the
// test's end. Where none can be had the test is skipped, or with
// K2K_REQUIRE_SERVERS=1 it fails.
func NewBrowser(t TB) *Browser {
	t.Helper()
	found, err := fetchChromium(t.Context())
	if errors.Is(err, ErrMissing) {
		lacking(t, err)
	}
	if err != nil {
		t.Fatalf("fetching a browser: %v", err)
	}
	dir, err := os.MkdirTemp("", "k2k-browser-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // its processes may still write into it
	env := []string{"HOME=" + dir, "XDG_CACHE_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	if found.lib != "" {
		conf := filepath.Join(dir, "fonts.conf")
		text := `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig><dir>` + found.fonts +
			`</dir><alias><family>system-ui</family><prefer><family>Liberation Sans</family></prefer></alias><cachedir>` + dir + `/fonts</cachedir></fontconfig>`
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatalf("%v", err)
		}
		env = append(env, "LD_LIBRARY_PATH="+found.lib, "FONTCONFIG_FILE="+conf)
	}
	log := filepath.Join(dir, "log")
	p, err := StartProcess(Command{
		Name: "chromium", Path: found.program, Env: env, Log: log,
		Args: []string{
			"--headless", "--remote-debugging-port=0", "--user-data-dir=" + filepath.Join(dir, "profile"),
			// The pages are our own, and containers have no namespaces for a sandbox.
			"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
			"--no-proxy-server", "about:blank",
		},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		if t.Failed() {
			t.Logf("end of the browser's log:\n%s", Tail(log, 20))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	line, err := p.WaitLine(ctx, devTools.MatchString)
	if err != nil {
		t.Fatalf("waiting for the browser: %v", err)
	}
	return &Browser{URL: devTools.FindStringSubmatch(line)[1]}
}
