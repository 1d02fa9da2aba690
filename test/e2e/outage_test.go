package e2e

import (
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// backlog fills a new table, and returns what Generate takes to go on behind it.
func (s *stack) backlog(t *testing.T, j *job, rows int64) testenv.GenerateOptions {
	t.Helper()
	o := testenv.GenerateOptions{Table: j.table, Kind: "narrow", Create: true, Buckets: 4, Rows: rows}
	if _, err := s.tool.Generate(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	o.Create, o.Start, o.Rows = false, rows, 0
	return o
}

func TestStopInTheMiddleOfABacklogLosesAndRepeatsNothing(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	j.worker["log.level"] = "trace"
	// Transactions that last: the stop ends them early. They are small beside the
	// backlog, as are batches: it is not to be published before the stops.
	j.connector["transaction.boundary.interval.ms"] = "1000"
	j.connector["transaction.max.rows"] = "20000"
	j.connector["kudu.scan.batch.bytes"] = "1024"
	const rows = 300_000
	s.backlog(t, j, rows)
	dice := newDice(t)
	var stopped []ends
	for _, during := range []phase{scanning, fencing, scanning, restoring, flushing} {
		w := s.start(t, j, "worker to be stopped while "+string(during))
		w.awaitPhase(0, 1, patience, during)
		time.Sleep(upTo(dice, 30*time.Millisecond)) // any moment is as good
		w.stop()
		for task, p := range w.phases() {
			if p != settled {
				t.Errorf("the worker that was stopped while %s left task %s %s", during, task, p)
			}
		}
		stopped = append(stopped, s.mark(t, j.topic))
	}
	delete(j.connector, "kudu.scan.batch.bytes")
	w := s.start(t, j, "last worker")
	s.awaitRecords(t, j.topic, rows, patience)
	w.stop()
	records := s.verify(t, j, "event_time", "id")
	for n, at := range stopped {
		done := at.before(records)
		t.Logf("%d rows were published by stop %d", done, n+1)
		if done >= rows {
			t.Errorf("stop %d came when all was done", n+1)
		}
	}
}

func TestRowsGoOnOnceTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	s := newStackOn(t, testenv.SharedKudu(t), testenv.NewKafka(t, testenv.KafkaConfig{}))
	j := newCrashJob(t, 2)
	const loaded, later = 150_000, 5_000
	rows := s.backlog(t, j, loaded)
	dice := newDice(t)
	w := s.start(t, j, "worker")
	var killed []ends
	for _, during := range []phase{flushing, ending} {
		w.awaitPhase(w.LogSize(), 1+dice.IntN(5), patience, during)
		time.Sleep(upTo(dice, 2*time.Millisecond)) // any moment is as good
		if err := s.kafka.Kill(); err != nil {
			t.Fatal(err)
		}
		from := w.LogSize()
		if err := s.kafka.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		killed = append(killed, s.mark(t, j.topic))
		w.awaitPhase(from, 1, patience, settled)
	}
	rows.Rows = later
	if _, err := s.tool.Generate(t.Context(), rows, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, loaded+later, patience)
	w.stop()
	records := s.verify(t, j, "event_time", "id")
	for n, at := range killed {
		done := at.before(records)
		t.Logf("%d rows were published when the broker died for time %d", done, n+1)
		if done >= loaded {
			t.Errorf("the broker died for time %d when all was done", n+1)
		}
	}
}

func TestRowsGoOnOnceTheTabletServerIsBack(t *testing.T) {
	t.Parallel()
	s := newStackOn(t, testenv.NewKudu(t, testenv.KuduConfig{}), testenv.SharedKafka(t))
	j := newCrashJob(t, 2)
	const loaded, later = 150_000, 5_000
	rows := s.backlog(t, j, loaded)
	dice := newDice(t)
	w := s.start(t, j, "worker")
	var killed []ends
	for range 2 {
		w.awaitPhase(w.LogSize(), 1+dice.IntN(10), patience, scanning)
		time.Sleep(upTo(dice, 5*time.Millisecond)) // any moment is as good
		server := s.kudu.TabletServers()[0]
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		killed = append(killed, s.mark(t, j.topic))
		from := w.LogSize()
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.awaitPhase(from, 1, patience, scanning)
	}
	rows.Rows = later
	if _, err := s.tool.Generate(t.Context(), rows, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, loaded+later, patience)
	w.stop()
	records := s.verify(t, j, "event_time", "id")
	for n, at := range killed {
		done := at.before(records)
		t.Logf("at most %d rows were published when the tablet server died for time %d", done, n+1)
		if done >= loaded {
			t.Errorf("the tablet server died for time %d when all was done", n+1)
		}
	}
}
