package kudu_test

import (
	"errors"
	"io"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// recordingHook keeps what it is told.
type recordingHook struct {
	mu      sync.Mutex
	calls   map[string]int
	failed  map[string]int
	slow    time.Duration // the slowest call
	retries map[kudu.Class]int
}

func (h *recordingHook) Call(c kudu.CallInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[c.Method]++
	if c.Err != nil {
		h.failed[c.Method]++
	}
	h.slow = max(h.slow, c.Took)
}

func (h *recordingHook) Retry(class kudu.Class) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retries[class]++
}

func TestAHookHearsOfEachCallAndEachRetry(t *testing.T) {
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	fake, err := cluster.CreateTable(kudufake.TableSpec{Name: "t", Replicas: 1, Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fake.Insert(kudufake.Row{"id": int64(1)}); err != nil {
		t.Fatal(err)
	}
	hook := &recordingHook{calls: make(map[string]int), failed: make(map[string]int), retries: make(map[kudu.Class]int)}
	client, err := kudu.New(kudu.Config{Masters: cluster.Masters(), Dial: cluster.Dial, Hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const delay = 20 * time.Millisecond
	cluster.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
		switch c.N {
		case 0:
			return kudufake.Decision{CutBefore: true}
		case 1:
			return kudufake.Decision{Delay: delay}
		}
		return kudufake.Decision{}
	})
	table, err := client.OpenTable(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := table.Scan(tablets[0].ID, kudu.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	for err = nil; err == nil; {
		_, err = sc.Next(t.Context())
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if hook.calls["Scan"] != 2 || hook.failed["Scan"] != 1 || hook.calls["GetTableSchema"] != 1 || hook.failed["GetTableSchema"] != 0 {
		t.Errorf("the hook heard of the calls %v, of which %v have failed", hook.calls, hook.failed)
	}
	if hook.slow < delay {
		t.Errorf("a call that took at least %v is told as %v", delay, hook.slow)
	}
	// The tablet's only server is avoided after the failure, so the next look for
	// one finds none.
	if want := map[kudu.Class]int{kudu.ClassReconnect: 1, kudu.ClassRetry: 1}; !maps.Equal(hook.retries, want) {
		t.Errorf("the hook heard of the retries %v, want %v", hook.retries, want)
	}
}
