// Package extsort sorts more records than fit into memory, by keys that compare
// as bytes do.
//
// A Sorter takes records in any order and gives them back in the order of their
// keys. Records are copied into chunks of at most a MiB, each sorted when it is
// full; when there is no memory for another, all chunks are merged into a run on
// disk. At the end the runs, or the chunks if nothing was spilled, are merged as
// the records are taken. Work is n log n, and each record is written to disk
// once; twice when the runs are more than can be merged at a time within the
// memory, and so on.
//
// # Memory
//
// The sorters of one Budget share its bytes: chunks with their indexes, and the
// buffers of runs. A sorter may hold a fair part only, so that a large sort
// leaves room for others; one that gets nothing waits. Beside the budget there
// is a small fixed cost for each sorter, and the largest record if that is more
// than the whole budget. A sorter of a few records costs a few KiB.
//
// # Files
//
// Runs are in files that have no name any more once they are open, so that they
// vanish also when the process is killed. Where a system doesn't allow that, or
// the process is killed in between, Sweep removes what is left.
//
// A Sorter serves one goroutine at a time; a Budget any number. There are no
// goroutines here. The package imports the standard library only.
package extsort
