// Package e2e proves the built binary against real Kudu and real Kafka: what a
// read_committed consumer finds in the topic is compared, row by row and column
// by column, with what the official Java client reads from the table. The
// package holds tests only.
package e2e
