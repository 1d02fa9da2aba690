// Package connect compares the REST interface of the built program with that of a
// real Kafka Connect worker, call by call, on real servers: status codes, headers,
// the shape of bodies (names and types of members) and the texts of errors. Calls
// come as raw HTTP (steps_test.go) and from two clients that others wrote for Kafka
// Connect (testdata/clients.py). What may differ is listed with its reason, and the
// tests fail when a difference that is listed is no longer there.
package connect
