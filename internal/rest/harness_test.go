package rest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// site is a server that runs for a test.
type site struct {
	*Server
	api    *fake
	url    string
	client *http.Client
	stop   func() error // ends it and returns what Run did
}

// serve runs a server on a free port of the loopback address. change may alter
// the configuration and what is given to New.
func serve(t *testing.T, api *fake, change ...func(*connector.WorkerConfig, *Options)) *site {
	t.Helper()
	config := connector.DefaultWorkerConfig()
	config.Listeners = []string{"http://127.0.0.1:0"}
	options := Options{Logger: hclog.NewNullLogger()}
	for _, c := range change {
		c(&config, &options)
	}
	listeners, err := Listen(t.Context(), config, options.Logger)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Server: New(listeners, api, options), api: api, url: listeners.Addresses()[0]}
	transport := &http.Transport{}
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var ended bool
	s.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return s
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

// call sends a request; headers are given as "Name: value". A body is sent as JSON
// unless a header says otherwise.
func (s *site) call(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := s.try(t.Context(), method, path, strings.NewReader(body), headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (s *site) try(ctx context.Context, method, path string, body io.Reader, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return reply{}, err
	}
	if request.ContentLength != 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if request.Header.Set(name, value); name == "Host" {
			request.Host = value
		}
		if value == "" {
			request.Header.Del(name)
		}
	}
	response, err := s.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}

// withOptions keeps the logger.
func withOptions(o Options) func(*connector.WorkerConfig, *Options) {
	return func(_ *connector.WorkerConfig, options *Options) {
		o.Logger = options.Logger
		*options = o
	}
}
