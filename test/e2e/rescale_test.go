package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// TestTasksMaxChangesOnALivingConnector moves a connector through several
// numbers of tasks and both order scopes, while rows are written, with workers
// killed and with one that still runs the old configuration.
func TestTasksMaxChangesOnALivingConnector(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	j := newJob(t, 2)
	const backlog, rate = 30_000, 1500
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: j.table, Kind: "narrow", Create: true, Buckets: 8, Rows: backlog,
	}, nil); err != nil {
		t.Fatal(err)
	}
	j.connector["transaction.max.rows"] = "500"
	j.connector["kudu.scan.batch.bytes"] = "8192"
	writing := make(chan error, 1)
	const more = 20 * rate
	go func() {
		_, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
			Table: j.table, Kind: "narrow", Rows: more, Start: backlog, Rate: rate, Ordered: true, Batch: 200,
		}, nil)
		writing <- err
	}()

	old := s.start(t, j, "old")
	s.awaitRecords(t, j.topic, 2000, patience)
	for n, step := range []struct {
		tasks int
		scope string
		kill  bool
	}{{5, "tablet", false}, {3, "tablet", true}, {1, "table", false}, {4, "tablet", true}, {8, "tablet", false}} {
		j.connector["tasks.max"], j.connector["order.scope"] = fmt.Sprint(step.tasks), step.scope
		w := s.start(t, j, fmt.Sprintf("worker%d", n))
		w.awaitLine("connector started", patience)
		if n == 0 {
			// The old one must not go on under its own plan.
			old.awaitLine("restart it with the same configuration", patience)
		}
		// All of the group's partitions fall to the new worker.
		if step.kill {
			if err := old.Kill(); err != nil {
				t.Fatal(err)
			}
		} else {
			old.stop()
		}
		w.awaitLine("task runs", patience)
		s.awaitRecords(t, j.topic, 2000*(n+2), patience)
		old = w
	}
	if err := <-writing; err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, backlog+more, 90*time.Second)
	old.stop()
	s.verify(t, j, "event_time", "id")
	if n := len(s.storedTablets(t, j)); n != 8 {
		t.Errorf("%d tablets have a position, want 8", n)
	}
}
