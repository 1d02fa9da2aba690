package kafka

import (
	"context"
	"sync"
	"time"
)

// watchInterval is the time between two looks at files that no connection asks for.
const watchInterval = 10 * time.Second

// Watch keeps what connections will need, for clients with these options, until ctx
// ends: it renews Kerberos tickets before they expire, and looks at the files of
// keys and certificates, so that one that can't be used is told of before the next
// connection, which may be days away.
func (o Options) Watch(ctx context.Context) { accessOf(o).watch(ctx, watchInterval) }

func (a *access) watch(ctx context.Context, interval time.Duration) {
	var renewing sync.WaitGroup
	defer renewing.Wait()
	if k, ok := a.mechanism.(*kerberos); ok && k.client != nil {
		renewing.Go(func() { k.client.Run(ctx) })
	}
	if a.files == nil {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			_, _ = a.files.newest(now) // which tells what is wrong with new ones
		}
	}
}
