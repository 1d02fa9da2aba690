package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// worldly answers as a worker does that is alive, and ready or not.
func worldly(ready bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"alive","message":"The worker answers."}`)
	})
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) {
		if ready {
			fmt.Fprint(w, `{"status":"healthy","message":"It does."}`)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"starting","message":"It waits for Kafka."}`)
	})
	mux.HandleFunc("GET /elsewhere/health/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	return mux
}

func TestHealthEndsAsTheWorkerIs(t *testing.T) {
	well, waiting := httptest.NewServer(worldly(true)), httptest.NewServer(worldly(false))
	defer well.Close()
	defer waiting.Close()
	gone := httptest.NewServer(worldly(true))
	gone.Close()
	for _, c := range []struct {
		args      []string
		code      int
		out, said string
	}{
		{[]string{"--url", well.URL}, exitOK, "healthy: It does.\n", ""},
		{[]string{"--url", well.URL + "/"}, exitOK, "healthy: It does.\n", ""},
		{[]string{"--url", waiting.URL}, exitFailed, "", "starting: It waits for Kafka.\n"},
		{[]string{"--url", waiting.URL, "--live"}, exitOK, "alive: The worker answers.\n", ""},
		{[]string{"--url", well.URL + "/elsewhere"}, exitFailed, "", "it answers 200, and not as a worker does"},
		{[]string{"--url", gone.URL, "--live"}, exitFailed, "", "connection refused"},
		{[]string{"--url", "8083"}, exitUsage, "", "is no address: write it as http://127.0.0.1:8083"},
		{[]string{"--timeout", "0s"}, exitUsage, "", "--timeout must be above 0"},
		{[]string{"a", "b"}, exitUsage, "", "accepts at most 1 arg"},
	} {
		h := newHarness(t, nil, "")
		h.want(t, h.execute(append([]string{"health"}, c.args...)), c.code, c.said)
		if h.out.String() != c.out {
			t.Errorf("health %v prints %q, want %q", c.args, h.out.String(), c.out)
		}
	}
}

func TestHealthGivesUpOnASilentWorker(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"health", "--url", silent.URL, "--timeout", "50ms"}), exitFailed, "deadline exceeded")
	h = newHarness(t, nil, "")
	h.signals <- os.Interrupt
	h.want(t, h.execute([]string{"health", "--url", silent.URL, "--timeout", "1h"}), exitFailed, "context canceled")
}

func TestHealthAsksTheWorkersOwnListener(t *testing.T) {
	for lines, want := range map[string]string{
		"": "http://127.0.0.1:8083",
		"listeners: http://0.0.0.0:18083\nrest.insecure.bind: true\n":                        "http://127.0.0.1:18083",
		"listeners: http://:18083\nrest.insecure.bind: true\n":                               "http://127.0.0.1:18083",
		"listeners: [\"http://[::]:18083\", http://127.0.0.1:1]\nrest.insecure.bind: true\n": "http://[::1]:18083",
		"listeners: http://localhost:18083\n":                                                "http://localhost:18083",
		"listeners: https://10.0.0.1:8443\nrest.basic.auth.users: a:b\nlisteners.https.ssl.certificate.location: c\nlisteners.https.ssl.key.location: k\n": "https://10.0.0.1:8443",
	} {
		h := newHarness(t, nil, lines)
		if got, err := h.ownListener(h.files[:1]); err != nil || got != want {
			t.Errorf("with %q it asks %q (%v), want %q", lines, got, err, want)
		}
	}
	for lines, said := range map[string]string{
		"listeners: none\n":               "the worker has no REST interface",
		"listeners: http://localhost:0\n": "takes any free port",
		"listenrs: x\n":                   "listenrs",
	} {
		h := newHarness(t, nil, lines)
		h.want(t, h.execute([]string{"health", h.files[0]}), exitUsage, said)
	}
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"health", h.files[0], "--url", "http://a:1"}), exitUsage, "give a file or --url, not both")
}

func TestHealthTrustsTheCertificateOfThisMachineOnly(t *testing.T) {
	worker := httptest.NewTLSServer(worldly(true))
	defer worker.Close()
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"health", "--url", worker.URL}), exitOK)
	for host, is := range map[string]bool{"127.0.0.1": true, "::1": true, "LocalHost": true, "10.0.0.1": false, "worker-1": false, "": false} {
		if loopback(host) != is {
			t.Errorf("loopback(%q) is %v", host, !is)
		}
	}
	if strings.HasPrefix(worker.URL, "http://") {
		t.Error("the test's server speaks no TLS")
	}
}
