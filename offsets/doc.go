// Package offsets is the stored form of what a connector has published: one
// position per tablet, kept in the connector's compacted offsets topic, whose
// partition p belongs to task p.
//
// The record's key names connector, table and tablet as Kafka Connect does,
//
//	["orders",{"table":"impala::shop.orders","tablet":"5e1c..."}]
//
// and its value is a versioned JSON object that people can read and patch:
//
//	{"version":1,"mode":"offset","table_id":"...","key":{...},"primary_key":{...},"snapshot":"..."}
//
// A tombstone is a reset: the tablet is read from its start again. Keys count
// byte for byte, for Load as for Kafka's compaction, so a reset must spell the
// key just as it was stored.
//
// The package builds records and reads them back; it has no way to write one.
// Only the task's transactional producer does, in the transaction of the rows
// the position covers (I1). Positions written by any release stay readable
// (I7): testdata/v1 and v2 hold examples that are never changed.
//
// It imports franz-go only. Load starts one client and closes it before it
// returns; nothing here outlives its call, and the byte slices of what Load
// returns are the caller's.
package offsets
