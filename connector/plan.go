package connector

import (
	"hash/fnv"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// taskOf says which task reads a tablet: the number of its combination of hash
// buckets plus a hash of where its range begins, modulo the number of tasks.
// So the buckets of one range spread evenly, and a tablet's task never changes
// while tasks.max stays. The formula is part of what is stored in Kafka: change
// it and positions are looked for in the wrong partition.
func taskOf(p kudu.Partition, s kudu.PartitionSchema, tasks int) int32 {
	n := uint64(tasks)
	combination := uint64(0)
	for i, bucket := range p.HashBuckets {
		buckets := 1
		if i < len(s.Hash) {
			buckets = s.Hash[i].Buckets
		}
		combination = combination*uint64(buckets) + uint64(bucket)
	}
	h := fnv.New64a()
	h.Write(p.RangeStart) // never fails
	return int32((combination%n + h.Sum64()%n) % n)
}

// tabletsOf picks the tablets of one task, in the order of their partition
// keys.
func tabletsOf(all []*kudu.Tablet, s kudu.PartitionSchema, task int32, tasks int) []*kudu.Tablet {
	var mine []*kudu.Tablet
	for _, t := range all {
		if taskOf(t.Partition, s, tasks) == task {
			mine = append(mine, t)
		}
	}
	return mine
}
