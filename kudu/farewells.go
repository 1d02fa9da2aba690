package kudu

import (
	"context"
	"sync"
	"time"
)

// farewellTimeout is how long a server may take to free a scanner.
const farewellTimeout = time.Second

// farewells are what a client still tells servers when nobody waits for the answer.
type farewells struct {
	running sync.WaitGroup

	mu   sync.Mutex
	over bool
}

// begin says one, unless the client is being closed.
func (f *farewells) begin(say func(ctx context.Context)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
		defer cancel()
		say(ctx)
	})
}

// close waits for those under way, and lets no other begin.
func (f *farewells) close() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.running.Wait()
}
