package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const (
	manyBuckets = 8
	manyTasks   = 8
	// The bars for 1,000 tablets: idle cost as a share of a core at the default
	// settings, and the time until all tasks run somewhere else.
	manyIdleBar      = 0.25
	manyRebalanceBar = 10 * time.Second
	manyMemoryBar    = 150 // MiB
)

// manyTablets is how many tablets TestOneWorkerServesManyTablets has. K2K_TABLETS
// gives another number.
func manyTablets(t *testing.T) int {
	t.Helper()
	text := os.Getenv("K2K_TABLETS")
	if text == "" {
		return 1000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < manyBuckets {
		t.Fatalf("K2K_TABLETS=%q is no number of tablets", text)
	}
	return n
}

// residentMiB is the memory of a process, from /proc/PID/status.
func residentMiB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatalf("no VmRSS in the status of process %d", pid)
	return 0
}

// createMany makes a table of range and hash partitions, and gives the number
// of its tablets. Row n belongs to the range n modulo ranges.
func (s *stack) createMany(t *testing.T, table string, tablets int) (ranges int) {
	t.Helper()
	ranges = tablets / manyBuckets
	spec := testenv.TableSpec{
		Name: table,
		Columns: []testenv.ColumnSpec{
			{Name: "day", Type: "INT32", Key: true}, {Name: "id", Type: "INT64", Key: true}, {Name: "text", Type: "STRING", Nullable: true},
		},
		Hash:  []testenv.HashSpec{{Columns: []string{"id"}, Buckets: manyBuckets}},
		Range: &testenv.RangeSpec{Columns: []string{"day"}},
	}
	for n := range ranges {
		spec.Range.Bounds = append(spec.Range.Bounds, testenv.BoundSpec{Lower: testenv.Row{"day": n}, Upper: testenv.Row{"day": n + 1}})
	}
	began := time.Now()
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tablets made in %.1f s", ranges*manyBuckets, time.Since(began).Seconds())
	return ranges
}

// TestOneWorkerServesManyTablets at the default settings: how quick it is there,
// what it costs while nothing happens, and that it is back at once.
func TestOneWorkerServesManyTablets(t *testing.T) {
	tablets := manyTablets(t)
	s := newStackOn(t, testenv.NewKudu(t, testenv.KuduConfig{
		MasterFlags:       []string{"--max_create_tablets_per_ts=4000"},
		TabletServerFlags: []string{"--log_preallocate_segments=false", "--num_tablets_to_open_simultaneously=8"},
	}), testenv.SharedKafka(t))
	j := newJob(t, manyTasks)
	ranges := s.createMany(t, j.table, tablets)
	var written int64
	write := func(ids ...int64) {
		t.Helper()
		w := s.tool.NewWriter(j.table)
		for _, id := range ids {
			for day := range ranges {
				w.Write("insert", testenv.Row{"day": day, "id": id, "text": "x"})
			}
		}
		done, err := w.Flush(t.Context())
		if err != nil || len(done.Errors) > 0 {
			t.Fatalf("writing: %v %v", err, done.Errors)
		}
		written += done.Rows
	}
	var first []int64
	for id := range int64(4 * manyBuckets) {
		first = append(first, id)
	}
	write(first...)

	j.worker = map[string]string{"client.id": "a"} // and the defaults
	j.connector = map[string]string{"tasks.max": strconv.Itoa(manyTasks), "topic.creation.default.partitions": "3"}
	var tasks []int32
	for n := range int32(manyTasks) {
		tasks = append(tasks, n)
	}
	began := time.Now()
	a := s.start(t, j, "a")
	a.awaitRunning(tasks, time.Minute)
	t.Logf("all tasks run %.2f s after the start", time.Since(began).Seconds())
	s.awaitRecords(t, j.topic, int(written), time.Minute)
	t.Logf("all rows are there after %.2f s", time.Since(began).Seconds())

	// A second worker takes its share, and gives it back.
	began = time.Now()
	b := s.start(t, j.named("b"), "b")
	shares := s.awaitShares(t, j, 30*time.Second, manyTasks/2, manyTasks/2)
	b.awaitRunning(shares["b"], 30*time.Second)
	joined := time.Since(began)
	began = time.Now()
	from := a.LogSize()
	b.stop()
	for _, task := range shares["b"] {
		if _, err := a.findLine(from, 30*time.Second, func(line string) bool {
			return strings.Contains(line, ": task runs:") && hasTask(line, task)
		}); err != nil {
			t.Fatal(err)
		}
	}
	left := time.Since(began)
	t.Logf("rebalance: %.2f s when a worker starts, %.2f s when it stops", joined.Seconds(), left.Seconds())
	for _, took := range []time.Duration{joined, left} {
		if took > manyRebalanceBar {
			t.Errorf("a rebalance of %d tablets took %v, more than %v", tablets, took, manyRebalanceBar)
		}
	}

	// By then every tablet is polled at the longest interval.
	const calm, watch = 5 * time.Second, 15 * time.Second
	wait(t, calm)
	before := cpuTime(t, a.Pid())
	began = time.Now()
	wait(t, watch)
	share := (cpuTime(t, a.Pid()) - before).Seconds() / time.Since(began).Seconds()
	memory := residentMiB(t, a.Pid())
	t.Logf("idle with %d tablets: %.1f %% of a core, %d MiB resident", ranges*manyBuckets, 100*share, memory)
	if bar := manyIdleBar * max(0.4, float64(tablets)/1000); share > bar {
		t.Errorf("idle with %d tablets it takes %.1f %% of a core, more than %.1f %%", tablets, 100*share, 100*bar)
	}
	if memory > manyMemoryBar {
		t.Errorf("idle with %d tablets it takes %d MiB, more than %d", tablets, memory, manyMemoryBar)
	}

	// New rows in a part of the tablets: there after one long pause at most,
	// and the next ones sooner.
	for n := range int64(3) {
		began = time.Now()
		write(1000 + n)
		acked := time.Since(began)
		s.awaitRecords(t, j.topic, int(written), 30*time.Second)
		t.Logf("rows in %d tablets: written in %.2f s, read %.2f s later", ranges, acked.Seconds(), (time.Since(began) - acked).Seconds())
	}
	a.stop()
	s.verify(t, j, "day", "id")
}

// wait lets time pass in which something is measured.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
