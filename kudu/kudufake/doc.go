// Package kudufake is a Kudu cluster inside the process, for tests: masters
// and tablet servers that speak Kudu's own frames, over in-memory connections
// or over loopback, and that fail on command.
//
// New makes a cluster; Config gives what kudu.New needs to reach it; Close
// ends it and waits for its goroutines. By default nothing leaves the process:
// connections are pipes in memory, so that the whole cluster can live in a
// bubble of testing/synctest, where its clock, its leases and its delays take
// no real time. Options.Loopback listens on 127.0.0.1 instead, for programs
// that know nothing of this package.
//
// # What it keeps
//
// A tablet holds every version that a row ever had, each with its hybrid
// timestamp, so that snapshots and diff scans answer exactly. All replicas of
// a tablet share those versions; a replica can be frozen (see
// Cluster.FreezeReplica), and then sees none that came later, as a leader does
// that was deposed without noticing. Nothing is ever compacted, flushed or
// collected: the ancient history mark refuses, but forgets nothing.
//
// Codes, statuses, presence of fields and order of checks follow the server of
// kudu-1.18.1 (src/kudu/tserver/tablet_service.cc, src/kudu/tablet/tablet.cc,
// src/kudu/master/catalog_manager.cc); package kudutest holds both to the same
// table of cases. Texts of statuses follow only where clients look at them.
// Keys, hashes and partitions are encoded by this package itself, and not by
// the client's code, so that the two can disagree.
//
// # What it leaves out
//
// Raft (leaders are appointed), TLS and authentication, bloom filter
// predicates, SplitKeyRange, transactions, soft deletion, the pruning of
// in-lists by partition, resource metrics of reads, quotas and the limits on
// columns and tablets.
//
// # Faults
//
// Control installs a function that sees each call of a method and decides what
// becomes of it: delay, error, silence, a cut connection, garbage. Servers can
// be killed, restarted and paused; tablets lose or move leaders and replicas;
// scanners expire at once.
//
// Everything is safe for concurrent use.
package kudufake
