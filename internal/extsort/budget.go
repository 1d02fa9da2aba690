package extsort

import (
	"context"
	"sync"
)

// Budget is memory that sorters share. Safe for concurrent use.
type Budget struct {
	mu    sync.Mutex
	total int64
	used  int64
	peak  int64 // the most that was ever used
	open  int64 // sorters
	freed chan struct{}
}

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{total: max(bytes, leastBudget), freed: make(chan struct{})}
}

// leastBudget is what a merge of two runs needs.
const leastBudget = 16 << 10

// enter and leave count the sorters.
func (b *Budget) enter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open++
}

func (b *Budget) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
}

// share is what a sorter should hold at most: half of the budget is shared out
// evenly, and the other half is for those that began when there were fewer.
func (b *Budget) share() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total / (2 * max(b.open, 1))
}

// take takes n bytes if they are free.
func (b *Budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeLocked(n)
}

func (b *Budget) takeLocked(n int64) bool {
	// More than there is can be had by one sorter alone: a record must be held
	// somewhere, however large.
	if b.used+min(n, b.total) > b.total {
		return false
	}
	b.used += n
	b.peak = max(b.peak, b.used)
	return true
}

// wait takes n bytes as soon as they are free. Only a sorter that holds nothing
// may wait: then those that hold memory need no more to come to their end.
func (b *Budget) wait(ctx context.Context, n int64) error {
	for {
		b.mu.Lock()
		if b.takeLocked(n) {
			b.mu.Unlock()
			return nil
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// give gives n bytes back.
func (b *Budget) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	close(b.freed)
	b.freed = make(chan struct{})
}
