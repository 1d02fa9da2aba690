// Package kudu is a native client of Apache Kudu: it speaks Kudu's own
// protocol over TCP, without cgo and without a JVM. It is tested against release
// 1.18.1, and made for servers since 1.12; docs/kudu-client.md compares it with
// the official clients.
//
// # Reading
//
// A Client finds the leader of the masters; Client.OpenTable gives a Table,
// which is the table as it was when opened. Table.PruneTablets lists the
// tablets that can hold the rows of a scan, and Table.Scan reads one of them, so
// that the caller decides how many are read at once and where rows go. A
// Scanner gives RowBatches, and those give typed views of their columns.
//
// A scan at a snapshot (ScanOptions.Snapshot, or Ordered) shows the operations
// strictly below one timestamp. To show a write, read above its timestamp; to
// see the present of a whole table, let the first scan choose and give
// Scanner.Snapshot to the others. A diff scan (ScanOptions.Since) shows what
// has changed between two snapshots. Table.Barrier makes a timestamp that is
// safe to read below even while leaders change.
//
// An ordered scan outlives its server: after a crash, a move, an expired lease
// or a cut connection it goes on behind the last row at another replica, at the
// same snapshot. An unordered one does only until its first rows were given
// out, and fails with ErrNotResumable afterwards.
//
// # Writing
//
// A Session takes row operations, gathers them per tablet, and sends them in
// the background. Session.Flush tells how they ended: rows are refused one by
// one (RowError), batches fail as a whole (BatchError). Writes are sent again
// when servers fail, under one request id, so that they take effect at most
// once. When the time is up and no answer tells, the error wraps
// ErrOutcomeUnknown.
//
// Timestamps are made by servers. The client passes the largest one it has
// seen on with its requests, so that what it reads and writes later comes
// later; Client.LastTimestamp and Client.Observe carry it to another client.
//
// # Concurrency
//
// Client, Table, Tablet, Schema and Session are safe for concurrent use. A
// Scanner, a Row and a BatchBuilder serve one goroutine at a time.
//
// # Memory
//
// A RowBatch and all that is taken from it (byte slices, column views) is
// borrowed: it is valid until the next call of Next or Close on its scanner,
// when the bytes are used again. Copy what is to stay. A scanner holds at most
// two batches: the one being read and the next. A Session copies the rows that
// it is given and holds at most two batches per tablet.
//
// # Errors
//
// Servers' and connections' failures are of the type *Error, which names the
// operation, server, table and tablet, and has a Class that tells what to do
// about it. Conditions such as ErrTableNotFound are found with errors.Is.
// Everything that may pass with time is tried again with growing, random
// pauses, until the context or Config.OperationTimeout ends; one call to a
// server is given up after Config.CallTimeout.
//
// # Security
//
// Config.Security has the credentials: Kerberos's, or JSON Web Tokens. Servers
// that offer less than is set there are refused. What expires, tickets and
// tokens, is renewed before. ErrNotAuthenticated and ErrNoKDC tell what went
// wrong, and ErrNotAuthorized that a user whom a server knows lacks a right. A KDC
// that has refused is asked again after growing pauses, or after Client.AskAgain.
//
// A server with Kerberos makes itself a certificate that Go's crypto/x509
// refuses. Programs that reach such servers are built with the overlay that
// internal/overlay makes; others say so in an error.
//
// # Goroutines
//
// A connection has two goroutines, which end with it; Client.Close waits for
// them. A Scanner has one, and Scanner.Close waits for it. A Session has one
// for each batch under way, and Session.Close waits for them. A search for the
// leader master has one and one for each master, and the last caller that needs
// its result waits for them. A Client with Kerberos has one that renews tickets,
// and Client.Close waits for it. Nothing else runs in the background.
package kudu
