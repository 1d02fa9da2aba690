// Package preflight looks before a worker starts: whether a configuration will
// run (Check), and what it will do (Plan). It writes nothing, neither to Kudu nor
// to Kafka.
//
// A finding is a problem with its remedy. An error of a check means something
// else: the check couldn't be run, so that nothing is known. What keeps a worker
// from starting is decided in package connector, whose checks are used here.
//
// The checks are a plain list, in check.go, with one file for each concern:
// kafka.go and topics.go, kudu.go, mode.go, serde.go, rights.go. They run one
// after the other, on one goroutine.
package preflight
