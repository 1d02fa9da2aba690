package main

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/status"
)

// running answers as a worker does whose only task is in a state.
func running(state, health string, failed int) http.HandlerFunc {
	document := `{"worker_id":"a:1","group_id":"g","health":{"status":"` + health + `","message":"m"},"totals":{"tasks":1,"connectors_failed":` + string(rune('0'+failed)) + `},` +
		`"connectors":[{"name":"orders","state":"RUNNING","target":"RUNNING","tasks":[{"id":0,"state":"` + state + `","trace":""}],"tablets":[]}],"workers":[]}`
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != status.Path {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, document)
	}
}

func TestExitCodeOfStatusTellsHowTheGroupIs(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		args   []string
		code   int
		says   string // on standard error
	}{
		"all runs":          {answer: running("RUNNING", "healthy", 0), code: exitOK},
		"something failed":  {answer: running("FAILED", "healthy", 1), code: exitBroken},
		"failed, as JSON":   {answer: running("FAILED", "healthy", 1), args: []string{"--json"}, code: exitBroken},
		"isn't healthy":     {answer: running("RUNNING", "starting", 0), code: exitFailed},
		"wants a password":  {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, code: exitUsage, says: "name and a password"},
		"is something else": {answer: http.NotFound, code: exitUsage, says: "is it a worker"},
		"speaks of trees":   {answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, code: exitUsage, says: "something else"},
		"is stopping": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			_, _ = io.WriteString(w, `{"message":"The worker is \u001b[31mshutting down"}`)
		}, code: exitFailed, says: "shutting down"},
		"too many tablets":   {answer: running("RUNNING", "healthy", 0), args: []string{"--tablets", "1001"}, code: exitUsage, says: "0 to 1000"},
		"user without colon": {answer: running("RUNNING", "healthy", 0), args: []string{"--user", "ann"}, code: exitUsage, says: "name:password"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			h := newHarness(t, nil, "")
			h.want(t, h.execute(append([]string{"status", "--url", server.URL}, test.args...)), test.code, test.says)
			if strings.Contains(h.log.String()+h.out.String(), "\x1b") {
				t.Errorf("it steers the terminal: %q %q", h.out.String(), h.log.String())
			}
			if (test.code == exitOK || test.code == exitBroken) && !strings.Contains(h.out.String(), "orders") {
				t.Errorf("it prints %q", h.out.String())
			}
		})
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"status", "--url", server.URL}), exitFailed, "connection refused")
	h = newHarness(t, nil, "")
	h.want(t, h.execute([]string{"status", "--url", "worker:8083"}), exitUsage, "no address")
}

func TestStatusUsesThePasswordOfTheEnvironmentAndTheGivenCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "ann" || password != "se:cret" {
			w.WriteHeader(401)
			return
		}
		running("RUNNING", "healthy", 0)(w, r)
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, nil, "")
	h.env = func(name string) (string, bool) { return "ann:se:cret", name == userVariable }
	h.want(t, h.execute([]string{"status", "--url", server.URL, "--ca", ca}), exitOK)
	h.want(t, h.execute([]string{"status", "--url", server.URL, "--ca", ca, "--user", "ann:wrong"}), exitUsage, "name and a password")
	h.want(t, h.execute([]string{"status", "--url", server.URL}), exitFailed, "certificate")
	h.want(t, h.execute([]string{"status", "--url", server.URL, "--ca", h.files[0]}), exitUsage, "no certificates")
}

func TestStatusHasColoursOnATerminalUnlessTheyAreUnwanted(t *testing.T) {
	server := httptest.NewServer(running("RUNNING", "healthy", 0))
	defer server.Close()
	for _, noColor := range []bool{false, true} {
		h := newHarness(t, nil, "")
		h.terminal = func(io.Writer) (int, bool) { return 80, true }
		h.env = func(name string) (string, bool) { return "1", noColor && name == "NO_COLOR" }
		h.want(t, h.execute([]string{"status", "--url", server.URL}), exitOK)
		if got := strings.Contains(h.out.String(), "\x1b[32mRUNNING\x1b[0m"); got == noColor {
			t.Errorf("with NO_COLOR %v: %q", noColor, h.out.String())
		}
	}
}

func TestWatchingGoesOnThroughFailuresUntilASignal(t *testing.T) {
	h := newHarness(t, nil, "")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(503)
			return
		}
		running("FAILED", "healthy", 1)(w, r)
		h.signals <- syscall.SIGINT
	}))
	defer server.Close()
	h.want(t, h.execute([]string{"status", "--watch", "--url", server.URL}), exitOK, "answers 503")
	if asked.Load() < 2 {
		t.Errorf("it asked %d times", asked.Load())
	}
}
