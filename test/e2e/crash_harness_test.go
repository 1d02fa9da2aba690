package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const (
	crashLoaded = 200_000 // rows in the table at the start
	crashLate   = 20_000  // rows written during the run, at the least
	crashKills  = 20
	// More kills than planned are made, up to this number, if one of the phases
	// was not hit often enough.
	crashMostKills = 35
)

// aim says how a task is caught in a phase: the worker is stopped up to spread
// after the phase began, and killed if a task is in that phase then. (What it did
// when it died, its log tells.)
type aim struct {
	phase  phase
	spread time.Duration
	// planned kills, and how many at least must have met a task in the phase.
	planned, least int
	// startup phases are waited for from the start of the process on.
	startup bool
}

var crashAims = []aim{
	{phase: fencing, spread: 3 * time.Millisecond, planned: 2, least: 1, startup: true},
	{phase: restoring, spread: 3 * time.Millisecond, planned: 4, least: 2, startup: true},
	{phase: scanning, spread: time.Millisecond, planned: 5, least: 3},
	{phase: flushing, spread: 5 * time.Millisecond, planned: 5, least: 3},
	{phase: ending, spread: time.Millisecond, planned: 4, least: 2},
}

// kill is one kill as it happened.
type kill struct {
	worker int
	aim    phase
	met    map[string]phase // by task
	at     ends
}

// crashRun kills workers of one job again and again, by their progress.
type crashRun struct {
	t       *testing.T
	s       *stack
	jobs    []*job // of each worker
	dice    *rand.Rand
	workers []*worker
	kills   []kill
	met     map[phase]int // kills that met a task in the phase
	last    int           // the worker started last
}

// newCrashRun loads the table.
func newCrashRun(t *testing.T, s *stack, jobs ...*job) *crashRun {
	t.Helper()
	r := &crashRun{t: t, s: s, jobs: jobs, dice: newDice(t), met: make(map[phase]int), workers: make([]*worker, len(jobs))}
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{
		Table: jobs[0].table, Kind: "narrow", Create: true, Buckets: 4, Rows: crashLoaded,
	}, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// late begins to write the rows that come during the run.
func (r *crashRun) late(rate int64) *lateRows {
	return r.s.writeLate(r.t, testenv.GenerateOptions{
		Table: r.jobs[0].table, Kind: "narrow", Start: crashLoaded, Rows: crashLate, Rate: rate,
	})
}

func (r *crashRun) start(n int) {
	r.t.Helper()
	r.workers[n] = r.s.start(r.t, r.jobs[n], fmt.Sprintf("worker %d, run after kill %d", n, len(r.kills)))
	r.last = n
}

// plan is the order of the planned kills. Those in the middle of a scan come
// first: once the table is read as it grows, scans are over in no time.
func (r *crashRun) plan() []aim {
	var first, rest []aim
	for _, a := range crashAims {
		if a.phase == scanning {
			first = append(first, slices.Repeat([]aim{a}, a.planned)...)
		} else {
			rest = append(rest, slices.Repeat([]aim{a}, a.planned)...)
		}
	}
	r.dice.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return append(first, rest...)
}

// missing is an aim that has not been met often enough.
func (r *crashRun) missing() (aim, bool) {
	for _, a := range crashAims {
		if r.met[a.phase] < a.least {
			return a, true
		}
	}
	return aim{}, false
}

// kill takes one of the workers down and returns which; it is not started
// again.
func (r *crashRun) kill(a aim) int {
	r.t.Helper()
	// Only the worker started last is surely still to begin its tasks.
	n, from, nth := r.last, int64(0), 1
	if !a.startup {
		n = r.dice.IntN(len(r.workers))
		from, nth = r.workers[n].LogSize(), 1+r.dice.IntN(5)
	}
	w := r.workers[n]
	for until := time.Now().Add(time.Minute); ; from, nth = w.LogSize(), 1 {
		w.awaitPhase(from, nth, patience, a.phase)
		// No signal tells of the moments within a phase: they are what is looked for.
		time.Sleep(upTo(r.dice, a.spread)) // any moment is as good
		// The start of a task comes but once.
		if a.startup || w.caught(a.phase) || time.Now().After(until) {
			break
		}
	}
	if err := w.Kill(); err != nil {
		r.t.Fatal(err)
	}
	if code := w.ExitCode(); code != -1 {
		r.t.Fatalf("worker %d had ended by itself, with code %d, before it could be killed", n, code)
	}
	k := kill{worker: n, aim: a.phase, met: w.phases(), at: r.s.mark(r.t, r.jobs[n].topic)}
	r.kills = append(r.kills, k)
	once := make(map[phase]bool)
	for _, p := range k.met {
		once[p] = true
	}
	for p := range once {
		r.met[p]++
	}
	return n
}

// caught stops the worker by SIGSTOP, and lets it go on unless one of its tasks is in
// the phase then. On a busy machine the phase may be over by the time that the test
// has seen it begin.
func (w *worker) caught(p phase) bool {
	w.t.Helper()
	if err := w.Pause(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for _, now := range w.phases() {
		if now == p {
			return true
		}
	}
	if err := w.Resume(); err != nil {
		w.t.Fatal(err)
	}
	return false
}

// finish waits for all rows, stops the workers in order, and proves that the
// topic is right and that the kills were what they were meant to be.
func (r *crashRun) finish(late *lateRows) {
	r.t.Helper()
	if !late.underWay() {
		r.t.Error("no rows were written any more at the last kill")
	}
	rows := crashLoaded + late.finish()
	r.s.awaitRecords(r.t, r.jobs[0].topic, rows, patience)
	for _, w := range r.workers {
		w.stop()
	}
	records := r.s.verify(r.t, r.jobs[0], "event_time", "id")
	r.report(records, rows)
	if len(records) != rows {
		r.t.Errorf("the topic has %d records, not %d", len(records), rows)
	}
	if len(r.kills) < crashKills {
		r.t.Errorf("%d kills, not %d", len(r.kills), crashKills)
	}
	for _, a := range crashAims {
		if r.met[a.phase] < a.least {
			r.t.Errorf("%d kills met a task %s, want %d", r.met[a.phase], a.phase, a.least)
		}
	}
}

// report shows the kills and makes sure that there was something left to lose
// at each of them.
func (r *crashRun) report(records []published, rows int) {
	r.t.Helper()
	var b strings.Builder
	for n, k := range r.kills {
		left := rows - k.at.before(records)
		fmt.Fprintf(&b, "\n%2d worker %d, aim %-9s met", n+1, k.worker, k.aim)
		for _, task := range slices.Sorted(maps.Keys(k.met)) {
			fmt.Fprintf(&b, " %s:%s", task, k.met[task])
		}
		fmt.Fprintf(&b, ", %d rows left", left)
		if left <= 0 {
			r.t.Errorf("at kill %d no rows were left", n+1)
		}
	}
	r.t.Logf("kills by phase: %v%s", r.met, b.String())
}
