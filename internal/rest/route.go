package rest

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// call is one request on its way to the herder.
type call struct {
	w http.ResponseWriter
	r *http.Request
}

// name is the part of the path that names a connector, a plugin or a logger.
func (c *call) name() string { return c.r.PathValue("name") }

// task is the number of a task in the path. Whatever isn't one has no resource.
func (c *call) task() (int, error) {
	n, err := strconv.ParseInt(c.r.PathValue("task"), 10, 32)
	if err != nil {
		return 0, plain(http.StatusNotFound)
	}
	return int(n), nil
}

// flag reads a boolean of the query as Connect does: absent or empty is the
// default, and what isn't true is false.
func (c *call) flag(name string, byDefault bool) bool {
	value := c.query().Get(name)
	if value == "" {
		return byDefault
	}
	return strings.EqualFold(value, "true")
}

func (c *call) query() url.Values { return c.r.URL.Query() }

// endpoint serves one method of one path.
type endpoint struct {
	serve func(*Server, *call) (answer, error)
	body  bool // whether it reads a body
}

// methods are the endpoints of one path.
type methods map[string]endpoint

// find gives the endpoint of a method; HEAD is GET, whose body net/http leaves out.
func (m methods) find(method string) (endpoint, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	e, found := m[method]
	return e, found
}

// allowed lists the methods of the path.
func (m methods) allowed() string {
	names := []string{http.MethodOptions}
	for name := range m {
		names = append(names, name)
		if name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// routes makes the paths of the table: each with and without a slash at its end.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, m := range table {
		handler := s.dispatch(m)
		if path == "/" {
			mux.Handle("/{$}", s.front(handler))
			continue
		}
		mux.Handle(path, handler)
		mux.Handle(path+"/{$}", handler)
	}
	for path, handler := range s.options.Handlers {
		mux.Handle(path, handler)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, plain(http.StatusNotFound)) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := pathFault(r); err != nil {
			s.refuse(w, r, err)
			return
		}
		if r.URL.Path == "" { // GET http://host HTTP/1.1
			r.URL.Path = "/"
		}
		mux.ServeHTTP(w, r)
	})
}

// front gives browsers the page, if there is one.
func (s *Server) front(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.options.Page != nil && prefersPage(r) {
			s.options.Page.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// pathFault refuses paths that could be read in two ways, instead of redirecting
// them as http.ServeMux would.
func pathFault(r *http.Request) error {
	const maxPath = 8 << 10 // Jetty's
	escaped := strings.ToLower(r.URL.EscapedPath())
	switch {
	case len(r.RequestURI) > maxPath:
		return plain(http.StatusRequestURITooLong)
	case r.URL.Path == "*":
		return plain(http.StatusNotFound)
	case strings.Contains(escaped, "//"):
		return badRequest("Ambiguous URI empty segment")
	case strings.Contains(escaped, "%2f"), strings.Contains(escaped, "%5c"):
		return badRequest("Ambiguous URI path separator")
	case strings.ContainsFunc(r.URL.Path, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return badRequest("Illegal character in the URI")
	}
	for segment := range strings.SplitSeq(r.URL.Path, "/") {
		if segment == "." || segment == ".." {
			return plain(http.StatusNotFound)
		}
	}
	return nil
}

// dispatch serves one path.
func (s *Server) dispatch(m methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", m.allowed())
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write([]byte(m.allowed()))
			return
		}
		e, found := m.find(r.Method)
		if !found {
			w.Header().Set("Allow", m.allowed())
			s.refuse(w, r, plain(http.StatusMethodNotAllowed))
			return
		}
		if err := mediaFault(r, e.body); err != nil {
			s.refuse(w, r, err)
			return
		}
		a, err := e.serve(s, &call{w, r})
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if a.location != "" {
			w.Header().Set("Location", s.base(r)+a.location)
		}
		write(w, a.status, a.body)
	})
}

// mediaFault refuses bodies that don't say that they are JSON, and callers that
// don't take it.
func mediaFault(r *http.Request, takesBody bool) error {
	given := r.Header.Get("Content-Type")
	if given == "" && takesBody && r.ContentLength != 0 {
		return plain(http.StatusUnsupportedMediaType)
	}
	if given != "" {
		if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
			return plain(http.StatusUnsupportedMediaType)
		}
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept == "" || quality(accept, "application/json") >= 0 {
		return nil
	}
	return plain(http.StatusNotAcceptable)
}

// prefersPage tells whether the caller would rather have HTML than JSON.
func prefersPage(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	page := exactQuality(accept, "text/html")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && page > 0 && page > exactQuality(accept, "application/json")
}

// quality is the greatest weight that the header gives to a type, by its name or
// by a wildcard; -1 if it has neither. As in Connect, a weight of 0 is no refusal.
func quality(accept, kind string) float64 {
	whole, _, _ := strings.Cut(kind, "/")
	return max(exactQuality(accept, kind), exactQuality(accept, whole+"/*"), exactQuality(accept, "*/*"))
}

func exactQuality(accept, kind string) float64 {
	best := -1.0
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || name != kind {
			continue
		}
		weight := 1.0
		if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
			weight = q
		}
		best = max(best, weight)
	}
	return best
}

// base is the URL by which the caller reached the worker.
func (s *Server) base(r *http.Request) string {
	scheme, host := "http://", r.Host
	if r.TLS != nil {
		scheme = "https://"
	}
	if host == "" { // HTTP/1.0
		host = s.options.Advertised
	}
	return scheme + host
}
