package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// TestIdleConnectorCostsLittleAndOpensNoTransaction polls 4 tablets without
// news every 100 ms. The bar, 3 % of a core, is on the process's CPU time, which
// a busy machine hardly changes.
func TestIdleConnectorCostsLittleAndOpensNoTransaction(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 4)
	j.worker["log.level"] = "info"
	delete(j.worker, "heartbeat.interval.ms") // its default
	j.connector["poll.interval.ms"] = "100"
	const rows = 2_000
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{Table: j.table, Kind: "narrow", Create: true, Rows: rows}, nil); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, rows, patience)

	const watch = 10 * time.Second
	before := cpuTime(t, w.Pid())
	began := time.Now()
	states := s.transactionStates(t, j)
	for time.Since(began) < watch {
		select {
		case <-time.After(watch / 20):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		for id, state := range s.transactionStates(t, j) {
			states[id] = state
			if state == "Ongoing" {
				t.Fatalf("transaction %s is open while there is nothing to publish", id)
			}
		}
	}
	if len(states) != 5 {
		t.Fatalf("saw the transactional ids %v, want those of 4 tasks and of the plan", states)
	}
	share := (cpuTime(t, w.Pid()) - before).Seconds() / time.Since(began).Seconds()
	t.Logf("idle: %.2f %% of a core", 100*share)
	if share > 0.03 {
		t.Errorf("an idle connector takes %.2f %% of a core, more than 3 %%", 100*share)
	}
	w.stop()
	s.verify(t, j, "event_time", "id")
}

// transactionStates asks the coordinator for the state of each task's
// transactional id.
func (s *stack) transactionStates(t *testing.T, j *job) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListTransactions(ctx, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	states := make(map[string]string)
	for id, l := range listed {
		if len(id) > len(j.group) && id[:len(j.group)] == j.group {
			states[id] = l.State
		}
	}
	return states
}

// cpuTime is what the process has used so far, from /proc/PID/stat.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var ticks int64
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	const hertz = 100
	return time.Duration(ticks) * time.Second / hertz
}
