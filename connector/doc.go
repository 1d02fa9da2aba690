// Package connector is the runtime: it reads Kudu tables in position order and
// publishes each row once in Kafka.
//
// # Life of a row
//
// A worker (worker.go) runs connectors (host.go, instance.go). The workers of one
// connector share its tasks through a consumer group on its offsets topic
// (group.go); who is assigned partition p runs task p. A supervisor
// (supervise.go) runs a task again after a failure that may pass. One run of a
// task (task.go) fences the owner before it, reads the positions back, opens a
// source and then goes round: a batch of rows from the source
// (source.go, mode_offset.go and the scan_ files, and below them kudu/scanner.go and
// kudu/rowbatch.go), encoded by serde into the batch's records (records.go),
// sent in a transaction (txn.go) that ends with the positions (offsets/log.go).
//
// In mode sweep (mode_sweep.go) a task picks rows in rounds (sweep_pick.go, from a
// backlog that it has read, sweep_backlog.go), journals what it publishes
// (offsets/journal.go), and sweeps and audits it after the commit (sweeper.go).
//
// Beside the scans of new rows there are, with late.rows=repair, diff scans for
// those that were inserted below the high-water mark (repair.go, and
// repair_sorted.go for keys that Kudu can't order by; repair_past.go,
// coverage.go), and views that keep former leaders from being believed (guard.go).
//
// # Invariants
//
// They are cited by number where they are upheld.
//
//   - I1: a row's record and the position that covers it are in one Kafka
//     transaction.
//   - I2: a position never moves back, except by an operator's reset.
//   - I3: one live producer epoch per task; the older one is fenced before
//     positions are read.
//   - I4: rows of one tablet are published in position order, late rows excepted.
//   - I5: a row that can't be encoded or published fails the task; it is never
//     dropped.
//   - I6: after a kill at any instant, a read_committed consumer sees each row
//     exactly once.
//   - I7: positions written by any release stay readable.
//   - I8: in mode sweep a row is swept only after the transaction that published
//     it has committed, and a row that was published and not yet swept is not
//     published again.
//
// # States of a task
//
//	UNASSIGNED -> RESTORING -> RUNNING -> UNASSIGNED   (revoked, stopped)
//	                 ^            |
//	                 +- RESTARTING+-> FAILED           (by the error's kind)
//	                 ^            |
//	                 +-- PAUSED <-+                    (by an operator)
//
// A FAILED task waits for an operator's restart. A connector that is stopped has
// no tasks; its host waits for another target.
//
// # Goroutines
//
// Everything that starts a goroutine waits for its end before it returns:
// Worker.Run for its connectors, a connector for its group and tasks, a task
// for its source and producer.
package connector
