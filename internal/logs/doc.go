// Package logs gives the loggers of a process levels that can be changed while it
// runs, each by its name, as Kafka Connect's /admin/loggers does. A name such as
// kudu2kafka.kafka stands below kudu2kafka; "root" is all of them.
//
// [Levels.Logger] wraps an hclog.Logger; what is named from it on is known to the
// Levels. It starts no goroutines and is safe for concurrent use.
package logs
