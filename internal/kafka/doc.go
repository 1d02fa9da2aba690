// Package kafka holds what every Kafka client of kudu2kafka shares: the base
// options (addresses, client id, security, logging), topic creation, the
// partitioner of the task producers, and the class of an error.
//
// # Security
//
// Clients that go by the same Security share one way to the brokers (access.go),
// the only state that the package keeps. It dials, with TLS if need be, from the
// newest of the files that keys and certificates come from (tls_files.go,
// stores.go), and gives the mechanism of SASL (sasl.go, oauth.go). A connection's
// first exchanges are watched (opening.go), so that whatever a broker, or this side,
// refuses is one *RefusedError, which names the broker, the key of the configuration
// and what to do; Verdict tells what would mend it. What was refused isn't tried
// again at each call (gate.go).
//
// Nothing is tried in the place of what Security says. No secret is in errors or
// logs.
//
// Whoever calls Watch (watch.go) keeps it running; no other goroutine outlives the
// call that it serves.
package kafka
