package connector

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// hashed makes a partition schema with dimensions of so many buckets.
func hashed(buckets ...int) kudu.PartitionSchema {
	var s kudu.PartitionSchema
	for i, n := range buckets {
		s.Hash = append(s.Hash, kudu.HashDimension{Columns: []string{fmt.Sprint("c", i)}, Buckets: n})
	}
	return s
}

// tabletsIn lists the partitions of all combinations of buckets in one range.
func tabletsIn(s kudu.PartitionSchema, rangeStart string) []kudu.Partition {
	combinations := [][]int{nil}
	for _, dim := range s.Hash {
		var longer [][]int
		for _, c := range combinations {
			for b := range dim.Buckets {
				longer = append(longer, append(slices.Clone(c), b))
			}
		}
		combinations = longer
	}
	var out []kudu.Partition
	for _, c := range combinations {
		out = append(out, kudu.Partition{HashBuckets: c, RangeStart: []byte(rangeStart)})
	}
	return out
}

func TestBucketsOfARangeSpreadEvenlyOverTasks(t *testing.T) {
	for _, buckets := range [][]int{{8}, {4, 2}, {3, 5}, {2, 2, 4}, {16}, {1}, {7}} {
		s := hashed(buckets...)
		for _, tasks := range []int{1, 2, 3, 4, 8, 16} {
			for _, start := range []string{"", "\x80\x00\x00\x01", "2026-01"} {
				load := make([]int, tasks)
				partitions := tabletsIn(s, start)
				for _, p := range partitions {
					load[taskOf(p, s, tasks)]++
				}
				if slices.Max(load)-slices.Min(load) > 1 {
					t.Errorf("buckets %v of range %q over %d tasks: %v", buckets, start, tasks, load)
				}
			}
		}
	}
}

func TestRangesWithoutHashPartitionsSpreadOverTasks(t *testing.T) {
	const tasks, ranges = 8, 4000
	load := make([]int, tasks)
	for i := range ranges {
		load[taskOf(kudu.Partition{RangeStart: fmt.Appendf(nil, "day-%04d", i)}, kudu.PartitionSchema{}, tasks)]++
	}
	for task, n := range load {
		if n < ranges/tasks*8/10 || n > ranges/tasks*12/10 {
			t.Errorf("task %d has %d of %d ranges: %v", task, n, ranges, load)
		}
	}
}

// The task of a tablet says which partition of the offsets topic has its
// position. If this test fails, the formula has changed, and every connector
// out there would begin anew: change the formula back, not the test (I7).
func TestTaskOfATabletNeverChanges(t *testing.T) {
	for _, c := range []struct {
		buckets []int
		at      []int
		start   string
		tasks   [4]int32 // with tasks.max 1, 3, 8 and 1000
	}{
		{[]int{8}, []int{0}, "", [4]int32{0, 2, 5, 37}},
		{[]int{8}, []int{7}, "", [4]int32{0, 0, 4, 44}},
		{[]int{4, 2}, []int{3, 1}, "", [4]int32{0, 0, 4, 44}},
		{[]int{3, 5}, []int{2, 4}, "\x80\x00\x00\x01", [4]int32{0, 2, 0, 352}},
		{nil, nil, "", [4]int32{0, 2, 5, 37}},
		{nil, nil, "2026-01\x00\x00", [4]int32{0, 1, 5, 485}},
		{[]int{16}, []int{11}, "\xff", [4]int32{0, 0, 1, 657}},
		// A range with hash dimensions of its own, more than the table has.
		{[]int{2}, []int{1, 3}, "", [4]int32{0, 0, 1, 41}},
	} {
		p := kudu.Partition{HashBuckets: c.at, RangeStart: []byte(c.start)}
		for i, tasks := range []int{1, 3, 8, 1000} {
			if got := taskOf(p, hashed(c.buckets...), tasks); got != c.tasks[i] {
				t.Errorf("buckets %v of %v, range from %q, of %d tasks: %d, want %d", c.at, c.buckets, c.start, tasks, got, c.tasks[i])
			}
		}
		// Where the range ends is no part of it: a neighbour's split or drop
		// moves no tablet.
		p.RangeEnd = []byte("x")
		if got := taskOf(p, hashed(c.buckets...), 1000); got != c.tasks[3] {
			t.Errorf("the end of the range moves the tablet to task %d", got)
		}
	}
}

func TestEachTabletBelongsToExactlyOneTask(t *testing.T) {
	s := hashed(3, 4)
	var all []*kudu.Tablet
	for _, start := range []string{"", "b", "c"} {
		for _, p := range tabletsIn(s, start) {
			all = append(all, &kudu.Tablet{ID: fmt.Sprint(start, p.HashBuckets), Partition: p})
		}
	}
	for _, tasks := range []int{1, 5, 100} {
		owner := make(map[string]int32)
		for task := range int32(tasks) {
			mine := tabletsOf(all, s, task, tasks)
			last := -1
			for _, tablet := range mine {
				if by, taken := owner[tablet.ID]; taken {
					t.Fatalf("tablet %s belongs to tasks %d and %d of %d", tablet.ID, by, task, tasks)
				}
				owner[tablet.ID] = task
				if at := slices.Index(all, tablet); at < last {
					t.Errorf("task %d of %d has its tablets in another order", task, tasks)
				} else {
					last = at
				}
			}
		}
		if len(owner) != len(all) {
			t.Errorf("%d of %d tablets belong to one of %d tasks", len(owner), len(all), tasks)
		}
	}
}
