// Package e2e proves the built binary against real Kudu and real Kafka: what a
// read_committed consumer finds in the topic is compared, row by row and column
// by column, with what the official Java client reads from the table. The
// package holds tests only.
//
// Those that mostly wait, with servers that they take away or hold up for themselves
// alone, are parallel: they run behind all others, which have the machine to
// themselves. A test that measures, or must do something within a time, isn't.
package e2e
