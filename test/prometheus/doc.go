// Package prometheus tries the metrics, and what is in deploy/ for them, with the
// real Prometheus: promtool reads the configuration and the rules and plays the rules
// on made-up series (testdata/alerts.yml), and a server scrapes the built program,
// on fake servers, evaluates each rule, and answers each query of the dashboard.
package prometheus
