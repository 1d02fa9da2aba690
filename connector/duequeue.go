package connector

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// dueQueue orders a task's tablets by when they are to be polled next. Safe for
// concurrent use.
type dueQueue struct {
	mu      sync.Mutex
	heap    readerHeap
	changed chan struct{} // closed and replaced when a tablet is put back
}

func newDueQueue(readers []*tabletReader) *dueQueue {
	q := &dueQueue{heap: readers, changed: make(chan struct{})}
	heap.Init(&q.heap)
	return q
}

// take waits for the next tablet to fall due; nil when ctx ends first.
func (q *dueQueue) take(ctx context.Context) *tabletReader {
	for {
		q.mu.Lock()
		changed := q.changed
		var wait <-chan time.Time
		var timer *time.Timer
		if len(q.heap) > 0 {
			d := time.Until(q.heap[0].due)
			if d <= 0 {
				defer q.mu.Unlock()
				return heap.Pop(&q.heap).(*tabletReader)
			}
			timer = time.NewTimer(d)
			wait = timer.C
		}
		q.mu.Unlock()
		select {
		case <-wait:
		case <-changed:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// put gives a tablet back, with the time it is due.
func (q *dueQueue) put(r *tabletReader) {
	q.mu.Lock()
	defer q.mu.Unlock()
	heap.Push(&q.heap, r)
	if q.heap[0] == r {
		close(q.changed)
		q.changed = make(chan struct{})
	}
}

type readerHeap []*tabletReader

func (h readerHeap) Len() int           { return len(h) }
func (h readerHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h readerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *readerHeap) Push(x any)        { *h = append(*h, x.(*tabletReader)) }
func (h *readerHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return r
}
