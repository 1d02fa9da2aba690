package e2e

import (
	"maps"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// longestStop is how long the README lets a worker take to end.
const longestStop = 10 * time.Second

// silenced is a worker that is stopped while Kafka is silent, so long after that began.
type silenced struct {
	name  string
	keys  map[string]string // of the worker
	after time.Duration
	job   *job
	run   *worker
}

// A stop that Kafka doesn't answer has many waits, one after the other: of rows for
// room, for the end of the transactions, of the groups' coordinators, for the farewell;
// after a while tasks also wait to begin anew. However long each may take, the worker ends
// in time and in order, and others finish what it has begun.
func TestWorkersStopInTimeThoughKafkaIsSilent(t *testing.T) {
	t.Parallel()
	var way *proxy
	kafka := testenv.NewKafka(t, testenv.KafkaConfig{Proxy: func(addr string) (string, error) {
		var err error
		if way, err = startProxy(t, addr); err != nil {
			return "", err
		}
		return way.addr(), nil
	}})
	s := newStackOn(t, testenv.SharedKudu(t), kafka)

	all := []*silenced{
		{name: "usual"},
		{name: "patient", keys: map[string]string{"task.shutdown.graceful.timeout.ms": "8000"}},
		{name: "hasty", keys: map[string]string{"task.shutdown.graceful.timeout.ms": "0"}},
		{name: "named", keys: map[string]string{"group.instance.id": "worker-1"}},
		{name: "late", after: 12 * time.Second},
		{name: "late and patient", after: 12 * time.Second, keys: map[string]string{"task.shutdown.graceful.timeout.ms": "8000"}},
	}
	const rows = 60_000
	for _, one := range all {
		j := newCrashJob(t, 2)
		one.job = j
		maps.Copy(j.worker, one.keys)
		j.connector["transaction.max.rows"] = "200"     // so that there are rows left for the stop
		j.connector["transaction.timeout.ms"] = "60000" // it isn't what ends the waits
		if one.after > 0 {
			j.connector["transaction.timeout.ms"] = "4000" // the tasks begin anew meanwhile
		}
		s.backlog(t, j, rows)
		// All of its clients go through the proxy, also before they know the broker.
		through := *j
		through.worker = maps.Clone(j.worker)
		through.worker["bootstrap.servers"] = way.addr()
		one.run = s.start(t, &through, one.name)
	}
	for _, one := range all {
		one.run.awaitPhase(0, 3, patience, scanning)
	}
	way.set(weather{stall: true})
	silent := time.Now()
	var ending sync.WaitGroup
	for _, one := range all {
		ending.Go(func() {
			time.Sleep(time.Until(silent.Add(one.after)))
			began := time.Now()
			if err := one.run.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-one.run.Done():
			case <-time.After(2 * longestStop):
				t.Errorf("worker %s doesn't end", one.name)
				return
			}
			took := time.Since(began)
			t.Logf("worker %s: %v", one.name, took.Round(10*time.Millisecond))
			if code := one.run.ExitCode(); code != 0 || took > longestStop {
				t.Errorf("worker %s ended after %v with code %d", one.name, took, code)
			}
		})
	}
	ending.Wait()
	for _, one := range all {
		if interrupted(t, one.run) == 0 {
			t.Errorf("worker %s had no open transaction: its stop shows nothing", one.name)
		}
	}
	way.set(weather{})

	for _, one := range all {
		one.run = s.start(t, one.job, one.name+", once Kafka answers")
	}
	for _, one := range all {
		s.awaitRecords(t, one.job.topic, rows, patience)
		one.run.stop()
		s.verify(t, one.job, "event_time", "id")
	}
}
