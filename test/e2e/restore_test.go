package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// restoreBar is how long after its assignment a task runs, at the most.
const restoreBar = 3 * time.Second

// TestRestoringIsQuickAfterManyTransactions plays half an hour's worth of
// transactions at 50 per second into a task's partition. (A day's worth is played
// by the benchmark: make bench BENCHFLAGS="-only restore".)
func TestRestoringIsQuickAfterManyTransactions(t *testing.T) {
	const transactions = 90_000
	s := newStackOn(t, testenv.SharedKudu(t), testenv.NewKafka(t, testenv.KafkaConfig{Properties: testenv.PlayKafkaProperties()}))
	j := newJob(t, 1)
	j.worker["log.level"] = "trace"
	const rows = 2_000
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{Table: j.table, Kind: "narrow", Create: true, Rows: rows}, nil); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "first")
	s.awaitRecords(t, j.topic, rows, patience)
	w.stop()

	last := make(map[string]published)
	for _, r := range s.consume(t, j.group+"-c-offsets") {
		if strings.Contains(string(r.key), `"tablet"`) {
			last[string(r.key)] = r
		}
	}
	var positions []published
	for _, r := range last {
		positions = append(positions, r)
	}
	if len(positions) == 0 {
		t.Fatal("no position is stored")
	}
	began := time.Now()
	err := testenv.Play(t.Context(), testenv.Playing{
		Addr: s.kafka.BootstrapServers(), Topic: j.group + "-c-offsets", Transactions: transactions,
		Record: func(n int) (key, value []byte) {
			r := positions[n%len(positions)]
			return r.key, r.value
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d transactions played in %.1f s", transactions, time.Since(began).Seconds())

	w = s.start(t, j, "second")
	begins, err := w.findLine(0, patience, func(line string) bool { return strings.Contains(line, ": task begins:") })
	if err != nil {
		t.Fatal(err)
	}
	runs, err := w.findLine(0, patience, func(line string) bool { return strings.Contains(line, ": task runs:") })
	if err != nil {
		t.Fatal(err)
	}
	took := loggedAt(t, runs).Sub(loggedAt(t, begins))
	t.Logf("the task runs %v after its assignment", took)
	if took > restoreBar {
		t.Errorf("the task runs %v after its assignment, more than %v", took, restoreBar)
	}
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{Table: j.table, Kind: "narrow", Start: rows, Rows: rows, Ordered: true}, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, 2*rows, patience)
	w.stop()
	s.verify(t, j, "event_time", "id")
}

// loggedAt reads the time that a line of the log begins with.
func loggedAt(t *testing.T, line string) time.Time {
	t.Helper()
	text, _, _ := strings.Cut(line, " ")
	at, err := time.Parse("2006-01-02T15:04:05.000Z0700", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
