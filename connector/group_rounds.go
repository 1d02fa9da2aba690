package connector

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rounds tells of the group's rebalances, as this member sees them. A round begins
// with the first request to join. It is over when the client says what this member's
// share is, which it does after each round, a share that is as before included; an
// answer to SyncGroup alone says nothing, since it may be a refusal that sends the
// member back to join. How long the tasks that are given up take to end is no part
// of it.
type rounds struct {
	over func(took time.Duration) // nil: nobody wants to know

	mu              sync.Mutex
	joining, synced time.Time
}

var _ kgo.HookBrokerE2E = (*rounds)(nil)

// OnBrokerE2E notes when requests to join were begun, and when shares came.
func (r *rounds) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch now := time.Now(); {
	case key == int16(kmsg.JoinGroup) && r.joining.IsZero():
		r.joining = now.Add(-e2e.DurationE2E())
	case key == int16(kmsg.SyncGroup):
		r.synced = now
	}
}

// assigned ends a round.
func (r *rounds) assigned() {
	r.mu.Lock()
	took := r.synced.Sub(r.joining)
	r.joining = time.Time{}
	r.mu.Unlock()
	if r.over != nil {
		r.over(took)
	}
}
