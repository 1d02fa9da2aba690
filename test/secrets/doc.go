// Package secrets looks for secrets where none may be: the built program runs on a
// fake Kudu and a fake Kafka with a secret of its own for each key of the type
// password, from each place that references can lead to, at the level trace and in
// ways that give errors. Then each secret is looked for in all that the program has
// given away: its log with a dump of goroutines, every answer of REST, the page,
// metrics, what commands print, and the records of all topics.
package secrets
