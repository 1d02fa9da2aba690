package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// Bounds of a request. That of the whole is Kafka Connect's.
const (
	requestTimeout = 90 * time.Second
	headerTimeout  = 10 * time.Second
	writeTimeout   = requestTimeout + 15*time.Second
	idleTimeout    = 60 * time.Second
	maxHeader      = 16 << 10

	// drainTimeout is how long requests may take to end when the worker stops.
	drainTimeout = 2 * time.Second
)

var errShutdown = errors.New("the worker is shutting down")

// Options are what a Server serves beside the herder.
type Options struct {
	// Users may use the interface, by name; none: everybody who reaches it.
	Users map[string]connector.Secret
	// Handlers serve further paths, such as /metrics, by patterns of http.ServeMux.
	// They are behind the same authentication and limits.
	Handlers map[string]http.Handler
	// Page is what browsers get at /; nil: nothing but JSON.
	Page http.Handler
	// Advertised is host:port of the worker, for callers that don't say by which
	// name they came.
	Advertised string
	Logger     hclog.Logger
}

// Server serves the herder on listeners.
type Server struct {
	listeners *Listeners
	api       herder.API
	options   Options
	guard     *guard
	handler   http.Handler
	timeout   time.Duration // of a request
	inFlight  sync.WaitGroup
}

// New makes a server. Run must be called, or the listeners closed.
func New(listeners *Listeners, api herder.API, options Options) *Server {
	if options.Logger == nil {
		options.Logger = hclog.NewNullLogger()
	}
	if options.Advertised == "" {
		options.Advertised = listeners.Advertised()
	}
	s := &Server{listeners: listeners, api: api, options: options, guard: newGuard(options.Users), timeout: requestTimeout}
	s.handler = s.routes()
	return s
}

// Run serves until ctx ends or a listener fails, then ends what is under way and
// closes the listeners. Requests that are with the herder then are answered with
// 503. Without listeners it just waits for ctx.
func (s *Server) Run(ctx context.Context) error {
	requests, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(errShutdown)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		Protocols:         &protocols,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       withConn,
		ErrorLog:          s.options.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	failed := make(chan error, len(s.listeners.open))
	var serving sync.WaitGroup
	for i, l := range s.listeners.open {
		serving.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serving %s: %w", s.listeners.addresses[i], err)
			}
		})
	}
	if s.listeners.certificates != nil {
		serving.Go(func() { s.listeners.certificates.watch(requests, watchInterval) })
	}
	if len(s.listeners.open) > 0 {
		s.options.Logger.Info("REST interface listens", "at", strings.Join(s.listeners.addresses, " "))
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop(errShutdown)
	s.listeners.pool.closeWaiting()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if server.Shutdown(drain) != nil {
		_ = server.Close()
	}
	serving.Wait()
	s.inFlight.Wait()
	return err
}

// ServeHTTP puts the bounds around a request, and answers what needs no path.
func (s *Server) ServeHTTP(inner http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	defer s.inFlight.Done()
	began := time.Now()
	w := &recorder{ResponseWriter: inner}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	r = r.WithContext(ctx)
	defer busy(ctx, false)
	defer s.account(w, r, began)

	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		// For bodies that nobody reads; decode bounds those that are.
		_ = http.NewResponseController(w).SetReadDeadline(began.Add(bodyTimeout))
	} else {
		busy(ctx, true)
	}
	if r.TLS != nil && !s.listeners.certificates.trusts(r.TLS, began) {
		s.refuseDistrusted(w, r)
		return
	}
	// A page of another site may send some requests through its visitor's browser,
	// to a listener that only the visitor reaches.
	if new(http.CrossOriginProtection).Check(r) != nil {
		s.refuse(w, r, &httpError{http.StatusForbidden, "Cross-origin requests are not allowed"})
		return
	}
	if !probe(r.URL.Path) && !s.guard.admits(r) {
		challenge(w)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// probe tells the paths that a supervisor asks without a password.
func probe(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return path == "/health/live" || path == "/health/ready"
}

// account logs the request, and answers for one that ended in a panic.
func (s *Server) account(w *recorder, r *http.Request, began time.Time) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
			panic(p)
		}
		s.options.Logger.Error("a request panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
		if w.status == 0 {
			write(w, http.StatusInternalServerError, errorBody{http.StatusInternalServerError, "The request failed; the worker's log says why"})
		}
	}
	level := hclog.Debug
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
		level = hclog.Info // it may have changed something
	}
	var user string
	if w.status != http.StatusUnauthorized { // else it may be anything, a password too
		user, _, _ = r.BasicAuth()
	}
	s.options.Logger.Log(level, "request", "method", r.Method, "path", shorten(r.URL.Path), "status", w.status,
		"user", shorten(user), "from", r.RemoteAddr, "took", time.Since(began).Round(time.Millisecond).String())
}

// refuse answers a request that failed.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	body, unknown := refusal(r.Context(), err)
	if unknown {
		s.options.Logger.Error("a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if body.Code == http.StatusRequestEntityTooLarge || body.Code == http.StatusRequestTimeout {
		w.Header().Set("Connection", "close") // the rest of the body isn't read
	}
	write(w, body.Code, body)
}

// recorder remembers the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// hostname is this host's, or localhost if it has none.
func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
