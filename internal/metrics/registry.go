package metrics

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Options say what a Registry shows. The zero value is right for tests.
type Options struct {
	// Version, Commit and GoVersion are the labels of kudu2kafka_build_info.
	Version, Commit, GoVersion string
	// TabletsMax is how many tablets of each connector have series of their own:
	// those furthest behind. 0: none.
	TabletsMax int
	// Certificates tells of the files of certificates when metrics are read; nil: there
	// are none.
	Certificates func() []connector.CertificateFiles
	// Logger gets what goes wrong while metrics are read; nil: nobody does.
	Logger hclog.Logger
}

// Registry holds the metrics of a process. It is a connector.Observer. Safe for
// concurrent use.
type Registry struct {
	opts        Options
	prometheus  *prometheus.Registry
	instruments *instruments

	mu         sync.Mutex
	connectors map[string]*connectorMetrics
}

// New makes a registry, with metrics of the process and of Go's runtime.
func New(o Options) *Registry {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	r := &Registry{
		opts: o, prometheus: prometheus.NewRegistry(), instruments: newInstruments(),
		connectors: make(map[string]*connectorMetrics),
	}
	r.prometheus.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.prometheus.MustRegister(r.instruments.collectors...)
	r.prometheus.MustRegister((*moment)(r))
	r.instruments.buildInfo.WithLabelValues(o.Version, o.Commit, o.GoVersion).Set(1)
	return r
}

// Handler serves the metrics, for GET /metrics.
func (r *Registry) Handler() http.Handler {
	return promhttp.InstrumentMetricHandler(r.prometheus, promhttp.HandlerFor(r.prometheus, promhttp.HandlerOpts{
		// What can be shown is shown: a monitor that sees nothing helps nobody.
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          r.opts.Logger.Named("metrics").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
		EnableOpenMetrics: true,
		// Reading costs a look at every tablet; more than one reader at a time is
		// common, many are an accident.
		MaxRequestsInFlight: 4,
	}))
}

// Gatherer gives the metrics to programs.
func (r *Registry) Gatherer() prometheus.Gatherer { return r.prometheus }

// Connector begins to show a connector. One of the same name that is shown is
// closed: its configuration has been replaced.
func (r *Registry) Connector(name string, look func() connector.Status) connector.ConnectorObserver {
	c := &connectorMetrics{registry: r, instruments: r.instruments, name: name, look: look, tasks: make(map[int32]*taskMetrics)}
	r.mu.Lock()
	old := r.connectors[name]
	r.connectors[name] = c
	r.mu.Unlock()
	if old != nil {
		old.close()
	}
	c.begin()
	return c
}

// forget takes a connector off, unless another one has its name by now.
func (r *Registry) forget(c *connectorMetrics) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connectors[c.name] == c {
		delete(r.connectors, c.name)
	}
}

func (r *Registry) shown() []*connectorMetrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*connectorMetrics, 0, len(r.connectors))
	for _, c := range r.connectors {
		all = append(all, c)
	}
	return all
}

// moment collects what is the case when metrics are read.
type moment Registry

// Describe tells Prometheus' registry what Collect gives.
func (m *moment) Describe(out chan<- *prometheus.Desc) {
	for _, d := range m.instruments.asked {
		out <- d
	}
}

// Collect asks all connectors, and for the certificates.
func (m *moment) Collect(out chan<- prometheus.Metric) {
	if m.opts.Certificates != nil {
		for _, c := range m.opts.Certificates() {
			m.instruments.collectCertificate(out, c)
		}
	}
	for _, c := range (*Registry)(m).shown() {
		c.collect(out)
	}
}

func taskLabel(task int32) string { return strconv.FormatInt(int64(task), 10) }
