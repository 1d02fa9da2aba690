// Package metrics shows in Prometheus' format what a worker does. A Registry is a
// value, made once for a process; there are no global ones. It is a
// connector.Observer, brings the hooks of the Kafka and Kudu clients, and serves
// everything with Handler.
//
// Counters are kept where things happen, at most once for a batch, a transaction
// or a call. What is the case at a moment, such as states and lags, is asked for
// when somebody reads the metrics.
//
// The number of series is bounded by connectors and tasks: of tablets only the
// TabletsMax that are furthest behind have their own, for each connector. The
// series of a connector, or of a task, vanish when it is no longer on this worker.
//
// Names and labels are listed in docs/metrics.md, which is made from instruments.go.
package metrics
