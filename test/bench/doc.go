// Command bench measures the connector on real servers, next to what it is
// compared with, in one run:
//
//   - Kudu's own `kudu perf table_scan` with 2 threads, and our client scanning
//     the same table;
//   - a bare franz-go transactional producer sending the same record bytes, and
//     kudu2kafka end to end (offset mode, JSON, no compression), with its CPU
//     time and peak memory;
//   - the time from the acknowledgement of an insert to its record in the hands of
//     a read_committed consumer, while rows are inserted at a steady rate;
//   - the time from a task's assignment until it runs, after a day's worth of
//     transactions.
//
// With -only sorted it measures instead how a backlog is read by columns elsewhere
// than at the head of the primary key, against reading it by the primary key, and
// checks the order of what was published.
//
// With -only sweep it measures mode sweep: how quickly a queue is published, against
// offset mode on the same table, in the order of the primary key and in one that both
// have to sort by, and with how much memory; how
// quickly published rows are swept, against a loop of batches of DELETE_IGNORE by
// Kudu's Java client on an equal table, also with a single INT64 as the key; and the
// time from when a row is due to its record in the hands of a read_committed
// consumer.
//
// Each figure of the first two is the median of several rounds; in each round all of them are
// measured once, one after the other, so that a change of the machine's mood
// meets all alike.
package main
