package status

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strconv"
)

// Path is where the document is served; the page's files are below PagePath.
const (
	Path     = "/kudu2kafka/status"
	PagePath = "/kudu2kafka/page/"
)

const (
	defaultTablets = 20
	maxTablets     = 1000
)

// Handler serves the document: GET Path, with ?tablets=N for how many tablets of
// each connector are listed, 20 by default and 1000 at most.
func (r *Recorder) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		tablets := defaultTablets
		if text := request.URL.Query().Get("tablets"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > maxTablets {
				answer(w, http.StatusBadRequest, refusal{http.StatusBadRequest, "tablets is how many are listed of each connector: a number from 0 to " + strconv.Itoa(maxTablets)})
				return
			}
			tablets = n
		}
		answer(w, http.StatusOK, r.Snapshot(request.Context(), tablets))
	})
}

// refusal is an error in the form of the REST interface.
type refusal struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body) // escapes <, > and &, for whoever shows it as HTML by mistake
	if err != nil {
		// Strings, numbers and times always can.
		panic("encoding the status: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // a caller that went away has no use for an error
}

// policy allows the page its own two files and its own requests, and nothing else:
// no inline scripts or styles, no frames around it, no forms.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed page
var files embed.FS

var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// Page serves the page itself, for /.
func Page() http.Handler { return asset("index.html") }

// Handlers are those of the document and of the page's files, by patterns of
// http.ServeMux.
func (r *Recorder) Handlers() map[string]http.Handler {
	all := map[string]http.Handler{"GET " + Path: r.Handler()}
	entries, err := fs.ReadDir(files, "page")
	if err != nil {
		panic("reading what is embedded: " + err.Error())
	}
	for _, e := range entries {
		if e.Name() != "index.html" {
			all["GET "+PagePath+e.Name()] = asset(e.Name())
		}
	}
	return all
}

func asset(name string) http.Handler {
	data, err := files.ReadFile("page/" + name)
	if err != nil {
		panic("reading what is embedded: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", types[path.Ext(name)])
		h.Set("Content-Length", strconv.Itoa(len(data)))
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Vary", "Accept")
		_, _ = w.Write(data)
	})
}
