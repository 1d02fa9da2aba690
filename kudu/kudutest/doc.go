// Package kudutest is one suite of tests for everything that calls itself a
// Kudu cluster: Run passes on real servers and on package kudufake, which keeps
// the fake honest.
//
// Most cases speak the protocol itself (kudu/internal/krpc, kudu/internal/pb),
// without the client: each sends a request and says what kudu-1.18.1 answers,
// codes and presence of fields included. They encode rows, keys and hashes and
// decode batches on their own, so that an error of the client's does not cancel
// out with the same one of the fake's. Two groups go through the public client:
// random tables, written and read back, against a model; and each predicate and
// key bound on each type, in both layouts, unordered and ordered.
//
// Every case makes its own tables, with names that no other has, and drops them
// at the end; a suite may run on a cluster that others use. Connections and
// goroutines end with the test.
package kudutest
