package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/overlay"
)

func TestWrongArgumentsExitWithTwoAndTheUsage(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"rum"},
		{"run"},
		{"run", "--fast", "w.yaml"},
		{"version", "please"},
		{"--loud"},
	} {
		h := newHarness(t, nil, "")
		h.want(t, h.execute(args), exitUsage, "kudu2kafka", "Usage:\n")
		if h.out.Len() > 0 {
			t.Errorf("%q wrote to standard output: %s", args, h.out.String())
		}
	}
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"run"}), exitUsage, "kudu2kafka run: the worker's file is missing", "run WORKER.yaml [CONNECTOR.yaml ...]")
	h = newHarness(t, nil, "")
	h.want(t, h.execute([]string{"rum"}), exitUsage, `unknown command "rum"`)
}

func TestHelpIsNoFault(t *testing.T) {
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"run", "--help"}), exitOK)
	if !strings.Contains(h.out.String(), "Exit codes:") {
		t.Errorf("help of run is\n%s", h.out.String())
	}
}

func TestVersionSaysWhatWasBuilt(t *testing.T) {
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"version"}), exitOK)
	if text := h.out.String(); !strings.HasPrefix(text, "kudu2kafka ") || strings.Count(text, "\n") != 1 {
		t.Errorf("version is %q", text)
	}
	text := h.out.String()
	h = newHarness(t, nil, "")
	h.want(t, h.execute([]string{"--version"}), exitOK)
	if h.out.String() != text {
		t.Errorf("--version is %q, version is %q", h.out.String(), text)
	}
	h = newHarness(t, nil, "")
	h.want(t, h.execute([]string{"version", "--json"}), exitOK)
	var got versionInfo
	if err := json.Unmarshal([]byte(h.out.String()), &got); err != nil || got != currentVersion() {
		t.Errorf("version --json is %q (%v)", h.out.String(), err)
	}
}

func TestVersionTellsWhetherThereIsTheOverlay(t *testing.T) {
	with, err := overlay.Active()
	if err != nil {
		t.Fatal(err)
	}
	v := currentVersion()
	if v.Overlay != with {
		t.Errorf("overlay is %v, want %v", v.Overlay, with)
	}
	for has, want := range map[bool]string{true: " with overlay", false: " without overlay"} {
		v.Overlay = has
		if !strings.HasSuffix(v.String(), want) {
			t.Errorf("version is %q, want %q at its end", v, want)
		}
	}
	// What the program looks at is a certificate but for what the overlay reads.
	der, err := base64.StdEncoding.DecodeString(kuduCertificate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); err != nil && err.Error() != "x509: malformed extension OID field" {
		t.Errorf("without the overlay: %v", err)
	}
}

func TestVersionPrefersTheLinkers(t *testing.T) {
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v0.3.0"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123"},
			{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
			{Key: "vcs.modified", Value: "true"},
		},
	}
	if got := versionFrom("v1.2.3", info); got.Version != "v1.2.3" || got.Time != "2026-01-02T03:04:05Z" ||
		!strings.HasPrefix(got.String(), "kudu2kafka v1.2.3 commit 0123456789ab with changes go") {
		t.Errorf("version is %v", got)
	}
	if got := versionFrom("", info).Version; got != "v0.3.0" {
		t.Errorf("an installed module's version is %s", got)
	}
	info.Main.Version = "(devel)"
	if got := versionFrom("", info).Version; got != "dev" {
		t.Errorf("an unreleased version is %s", got)
	}
	if got := versionFrom("", nil).Version; got != "dev" {
		t.Errorf("a version without build info is %s", got)
	}
}
