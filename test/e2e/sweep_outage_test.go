package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// newOutage is a queue with a worker that takes it in small passes, so that there
// is time to take servers away.
func newOutage(t *testing.T, s *stack) (*queue, *job) {
	t.Helper()
	j := newSweepJob(t, 2)
	j.worker["log.level"] = "trace"
	j.connector["sweep.order.by"] = "priority DESC, due"
	j.connector["sweep.batch.max.rows"] = "300"
	j.connector["sweep.journal.max.rows"] = "1000" // so that rows are swept all the time
	// A quick worker must not be done before a slow test has taken all servers away.
	j.connector["sweep.max.rows.per.second"] = "700"
	j.connector["errors.retry.delay.max.ms"] = "1000"
	q := newQueue(t, s, j, 4)
	q.load(30_000, 3_000)
	return q, j
}

// awaitMoment waits for the nth next line of the worker's log with the text.
func (w *worker) awaitMoment(t *testing.T, moment string, nth int) {
	t.Helper()
	if _, err := w.findLine(w.LogSize(), patience, func(line string) bool {
		if strings.Contains(line, moment) {
			nth--
		}
		return nth <= 0
	}); err != nil {
		t.Fatalf("waiting for %q: %v", moment, err)
	}
}

// wantMore makes sure that an outage came before the queue was empty.
func (q *queue) wantMore(when string) {
	q.t.Helper()
	left := len(q.left())
	q.t.Logf("%s: %d rows are left", when, left)
	if left < 6_000 {
		q.t.Errorf("%s: %d rows are left, too few to show anything", when, left)
	}
}

func TestQueueGoesOnOnceTheBrokerIsBack(t *testing.T) {
	t.Parallel()
	s := newStackOn(t, testenv.SharedKudu(t), testenv.NewKafka(t, testenv.KafkaConfig{}))
	q, j := newOutage(t, s)
	dice := newDice(t)
	w := s.start(t, j, "worker")
	halt := q.keepWriting()
	defer halt()
	for _, moment := range []string{": transaction begun:", ": sweep commits:", ": sweep committed:"} {
		w.awaitMoment(t, moment, 1+dice.IntN(4))
		if err := s.kafka.Kill(); err != nil {
			t.Fatal(err)
		}
		q.wantMore("the broker is down, " + moment)
		if err := s.kafka.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	halt()
	q.awaitSwept(s, j, 2*time.Minute)
	w.stop()
	q.verify(s, j)
}

func TestQueueGoesOnOnceKuduIsBack(t *testing.T) {
	s := newStackOn(t, testenv.NewKudu(t, testenv.KuduConfig{}), testenv.SharedKafka(t))
	q, j := newOutage(t, s)
	dice := newDice(t)
	w := s.start(t, j, "worker")
	for _, outage := range []struct {
		moment  string
		servers []*testenv.Server
	}{
		{": sweep begins:", s.kudu.TabletServers()},
		{": sweep written:", s.kudu.TabletServers()},
		{": sweep begins:", s.kudu.Servers()},
		{": sweep committed:", s.kudu.Servers()},
	} {
		w.awaitMoment(t, outage.moment, 1+dice.IntN(4))
		for _, server := range outage.servers {
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(upTo(dice, time.Second)) // any moment is as good
		restart(t, outage.servers)
		q.wantMore("Kudu is back, " + outage.moment)
	}
	q.awaitSwept(s, j, 2*time.Minute)
	w.stop()
	records := q.verify(s, j)
	// Nobody else has written, so each row has but one version.
	if len(records) != 30_000 {
		t.Errorf("%d records, want 30000", len(records))
	}
}

// Breaks come in the middle of whatever a task asks Kudu: looks, sweeps, audits, passes.
func TestQueueGoesOnThoughConnectionsToKuduBreak(t *testing.T) {
	t.Parallel()
	var way *proxy
	s := newStackOn(t, testenv.NewKudu(t, testenv.KuduConfig{Proxy: func(addr string) (_ string, err error) {
		if way, err = startProxy(t, addr); err != nil {
			return "", err
		}
		return way.addr(), nil
	}}), testenv.SharedKafka(t))
	q, j := newOutage(t, s)
	dice := newDice(t)
	w := s.start(t, j, "worker")
	halt := q.keepWriting()
	defer halt()
	rounds, broken := 0, 0
	for ; rounds < 60 && (rounds < 20 || rounds%5 != 0 || len(q.left()) > 9_000); rounds++ {
		w.awaitMoment(t, ": sweep commits:", 1)
		for range 3 {
			time.Sleep(upTo(dice, 50*time.Millisecond)) // any moment is as good
			broken += way.cut()
		}
	}
	q.wantMore("connections were cut")
	halt()
	q.awaitSwept(s, j, 2*time.Minute)
	w.stop()
	q.verify(s, j)
	t.Logf("%d connections were cut in %d rounds", broken, rounds)
	if broken < 2*rounds {
		t.Errorf("%d connections were cut in %d rounds, too few to show anything", broken, rounds)
	}
}

// restart starts servers at the same time: a master waits for its tablet servers,
// and they for it.
func restart(t *testing.T, servers []*testenv.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	errs := make(chan error, len(servers))
	for _, server := range servers {
		go func() { errs <- server.Restart(ctx) }()
	}
	for range servers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
