package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// pauseInTransaction stops the worker by SIGSTOP while the task that it returns
// has a transaction open whose EndTxn isn't sent. It also gives the size of the
// log then.
func (w *worker) pauseInTransaction(want phase) (task string, size int64) {
	w.t.Helper()
	for range 50 {
		task, _ := w.awaitPhase(w.LogSize(), 1, patience, want)
		if err := w.Pause(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if is := w.phases()[task]; is == scanning || is == flushing {
			return task, w.LogSize()
		}
		if err := w.Resume(); err != nil { // too late: that one had ended
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("50 attempts to pause the worker while a task is %s failed", want)
	return "", 0
}

// awaitTaskLine waits for a line, from the offset on, that has the text and is
// about the task.
func (w *worker) awaitTaskLine(from int64, task string, within time.Duration, texts ...string) string {
	w.t.Helper()
	line, err := w.findLine(from, within, func(line string) bool {
		return strings.Contains(line+" ", " task="+task+" ") &&
			slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) })
	})
	if err != nil {
		w.t.Fatalf("waiting for %q of task %s: %v", texts, task, err)
	}
	return line
}

// A worker that sleeps beyond its session, in the middle of a transaction, wakes
// up as a zombie: another worker has its tasks. Nothing that it still believes
// may come into the topic.
func TestZombieIsFencedWhenItWakesUp(t *testing.T) {
	t.Parallel()
	s := newStackOn(t, testenv.SharedKudu(t), quickGroups(t))
	j := newCrashJob(t, 4)
	// The worker that is awake must be heard in it even on a busy machine, or it sleeps
	// as well: what it has taken over would rightly be taken from it.
	j.worker["session.timeout.ms"] = "4000"
	const loaded, later = 50_000, 10_000
	rows := testenv.GenerateOptions{Table: j.table, Kind: "narrow", Create: true, Rows: loaded}
	if _, err := s.tool.Generate(t.Context(), rows, nil); err != nil {
		t.Fatal(err)
	}
	workers := []*worker{s.start(t, j, "worker 0"), s.start(t, j, "worker 1")}
	rows.Create, rows.Start, rows.Rows, rows.Rate = false, loaded, later, 300
	late := s.writeLate(t, rows)
	dice := newDice(t)
	zombies := 0
	for round := 0; zombies < 4 && round < 30; round++ {
		// Only when each has its tasks, and its log says so, is a task that begins
		// on the other worker one that was taken over.
		eventually(t, patience, "the workers have two tasks each", func() bool {
			return len(workers[0].phases()) == 2 && len(workers[1].phases()) == 2
		})
		n := dice.IntN(2)
		zombie, other := workers[n], workers[1-n]
		seen := other.LogSize()
		task, size := zombie.pauseInTransaction([]phase{scanning, flushing}[round%2])
		other.awaitTaskLine(seen, task, patience, ": task begins:")
		other.awaitTaskLine(seen, task, patience, ": transaction committed:")
		// By now all that it wrote before it slept has come through the pipe.
		asleep := zombie.phases()
		open := asleep[task] == scanning || asleep[task] == flushing
		size = max(size, zombie.LogSize())
		if err := zombie.Resume(); err != nil {
			t.Fatal(err)
		}
		line := zombie.awaitTaskLine(size, task, patience, ": task ended", ": task restarts:", ": transaction committed:")
		t.Logf("round %d: worker %d slept with tasks %v: %s", round, n, asleep, line)
		if open {
			zombies++
			if strings.Contains(line, ": transaction committed:") {
				t.Errorf("worker %d committed in its sleep: task %s was %s", n, task, asleep[task])
			}
		}
		// It is a member again, and works. Until it was, it must not have fenced
		// the new owner.
		zombie.awaitPhase(size, 1, patience, fencing)
		zombie.awaitPhase(size, 1, patience, settled)
		if fenced, err := other.hasLine(seen, func(line string) bool {
			return strings.Contains(line, ": task restarts:") && strings.Contains(line, " task="+task+" ")
		}); err != nil || fenced {
			t.Errorf("worker %d, which had taken task %s over, lost it to the zombie: %v %v", 1-n, task, fenced, err)
		}
	}
	if zombies < 4 {
		t.Errorf("%d zombies woke up, want 4", zombies)
	}
	if !late.underWay() {
		t.Error("no rows were written any more when the last zombie woke up")
	}
	s.awaitRecords(t, j.topic, loaded+late.finish(), patience)
	for _, w := range workers {
		if !w.Running() {
			t.Error("a worker has ended by itself")
		}
		w.stop()
	}
	s.verify(t, j, "event_time", "id")
}
