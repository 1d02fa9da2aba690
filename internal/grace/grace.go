// Package grace lets what a stop must not cut off go on for a bounded time.
package grace

import (
	"context"
	"math"
	"time"
)

// Outlive returns a context made of parent that ends d after ctx does: whatever is done
// in it after a stop shares that time, however many steps it has. It is to be made
// before ctx ends; made later, d counts from then. cancel gives up what it holds.
func Outlive(ctx, parent context.Context, d time.Duration) (longer context.Context, cancel context.CancelFunc) {
	longer, end := context.WithCancel(parent)
	timer := time.AfterFunc(math.MaxInt64, end)
	forget := context.AfterFunc(ctx, func() { timer.Reset(d) })
	return longer, func() {
		forget()
		timer.Stop()
		end()
	}
}
