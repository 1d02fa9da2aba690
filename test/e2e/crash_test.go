package e2e

import (
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// newCrashJob has transactions small enough for many kills, scans that take
// their time, and a log that tells each step.
func newCrashJob(t *testing.T, tasks int) *job {
	t.Helper()
	j := newJob(t, tasks)
	j.worker["log.level"] = "trace"
	j.connector["transaction.max.rows"] = "1500"
	j.connector["kudu.scan.batch.bytes"] = "1024"
	return j
}

// quickGroups is a broker that finds a dead worker in a second or two; brokers
// refuse sessions below 6 s unless told otherwise.
func quickGroups(t *testing.T) *testenv.Kafka {
	t.Helper()
	return testenv.NewKafka(t, testenv.KafkaConfig{Properties: map[string]string{"group.min.session.timeout.ms": "1000"}})
}

func TestEachRowIsPublishedOnceThoughTheWorkerIsKilled(t *testing.T) {
	s := newStack(t)
	j := newCrashJob(t, 2)
	j.connector["topic.creation.default.partitions"] = "1" // so that the order within a tablet is whole
	r := newCrashRun(t, s, j.as("only"))
	r.start(0)
	late := r.late(800)
	for n, a := range r.plan() {
		if n == crashKills*7/10 {
			// The last kills are to come when the table is read as it grows.
			s.awaitRecords(t, j.topic, crashLoaded, patience)
		}
		r.start(r.kill(a))
	}
	for a, more := r.missing(); more && len(r.kills) < crashMostKills; a, more = r.missing() {
		r.start(r.kill(a))
	}
	r.finish(late)
}

// With static membership a worker that comes back takes up its tasks at once,
// and the other one goes on undisturbed.
func TestEachRowIsPublishedOnceThoughEitherOfTwoNamedWorkersIsKilled(t *testing.T) {
	s := newStack(t)
	j := newCrashJob(t, 4)
	r := newCrashRun(t, s, j.as("first"), j.as("second"))
	r.start(0)
	r.start(1)
	late := r.late(800)
	for _, a := range r.plan() {
		r.start(r.kill(a))
	}
	for a, more := r.missing(); more && len(r.kills) < crashMostKills; a, more = r.missing() {
		r.start(r.kill(a))
	}
	r.finish(late)
}

// Without it the other worker takes over, after the session of the dead one,
// and the one that comes back gets a part of the tasks.
func TestEachRowIsPublishedOnceThoughTasksMoveFromKilledWorkers(t *testing.T) {
	s := newStackOn(t, testenv.SharedKudu(t), quickGroups(t))
	j := newCrashJob(t, 4)
	j.worker["session.timeout.ms"] = "1500"
	j.worker["heartbeat.interval.ms"] = "300"
	r := newCrashRun(t, s, j, j)
	r.start(0)
	r.start(1)
	late := r.late(300)
	again := func(a aim) {
		seen := [2]int64{r.workers[0].LogSize(), r.workers[1].LogSize()}
		dead := r.kill(a)
		if other := 1 - dead; len(r.kills[len(r.kills)-1].met) > 0 && r.dice.IntN(2) == 0 {
			r.workers[other].awaitPhase(seen[other], 1, patience, fencing)
		}
		r.start(dead)
	}
	for _, a := range r.plan() {
		again(a)
	}
	for a, more := r.missing(); more && len(r.kills) < crashMostKills; a, more = r.missing() {
		again(a)
	}
	r.finish(late)
}
