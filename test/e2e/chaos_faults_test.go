package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// chaosSlot is a place for a worker, which comes and goes.
type chaosSlot struct {
	job     *job
	current *worker // nil before its first start
	paused  bool
	// leaving is given the outcome once SIGTERM was sent.
	leaving chan error
}

func (c *chaosSlot) up() bool {
	return c.current != nil && c.current.Running() && c.leaving == nil && !c.paused
}

// heal is the end of a fault.
type heal struct {
	due time.Time
	do  func()
}

// chaosRun is one schedule as it happens. Its methods are the test's own
// goroutine's.
type chaosRun struct {
	*chaosEnv
	t        *testing.T
	job      *job
	slots    []*chaosSlot
	started  []*worker // all there ever were
	initial  int       // workers at the start, and at the end
	heals    []heal
	down     map[*testenv.Server]bool
	back     map[*testenv.Server]chan error // of restarts under way
	writer   *chaosWriter
	follower *follower
	story    []string // what really happened
	hits     map[faultKind]int
	open     map[faultKind]int // hits that met an open transaction
	ended    map[*worker]bool  // workers whose end is accounted for
}

func (r *chaosRun) tell(format string, args ...any) {
	r.story = append(r.story, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (r *chaosRun) start(n int) {
	slot := r.slots[n]
	r.started = append(r.started, r.s.start(r.t, slot.job, fmt.Sprintf("worker %d, start %d", n, len(r.started))))
	slot.current, slot.paused, slot.leaving = r.started[len(r.started)-1], false, nil
}

// leave sends SIGTERM.
func (r *chaosRun) leave(n int) {
	slot := r.slots[n]
	w, outcome := slot.current, make(chan error, 1)
	slot.leaving = outcome
	began := time.Now()
	if err := w.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		<-w.Done()
		switch took := time.Since(began); {
		case w.ExitCode() == 2 && strings.Contains(testenv.Tail(w.log, 1), ", or correct the addresses"):
			outcome <- nil // it hadn't found a server, and was about to end
		case w.ExitCode() == -1 && w.LogSize() == 0:
			outcome <- nil // the signal came before the program took signals
		case w.ExitCode() != 0:
			outcome <- fmt.Errorf("worker %d exited with code %d after SIGTERM", n, w.ExitCode())
		case took > 11*time.Second:
			outcome <- fmt.Errorf("worker %d took %v to end after SIGTERM", n, took)
		default:
			outcome <- nil
		}
	}()
}

// left waits for the end of a worker that leaves. No fault ends meanwhile, though its
// time may be over: a worker must end in time also if nothing gets better.
func (r *chaosRun) left(n int) {
	slot := r.slots[n]
	if slot.leaving == nil {
		return
	}
	r.ended[slot.current] = true
	select {
	case err := <-slot.leaving:
		if err != nil {
			r.t.Error(err)
		}
	case <-time.After(20 * time.Second):
		r.t.Errorf("worker %d doesn't end after SIGTERM", n)
		if err := slot.current.Kill(); err != nil {
			r.t.Fatal(err)
		}
		<-slot.leaving
	}
	slot.leaving = nil
}

// end ends a worker that is up, the hard way or not, and waits for it.
func (r *chaosRun) end(n int, hard bool) {
	if hard {
		if err := r.slots[n].current.Kill(); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	r.leave(n)
	r.left(n)
}

func (r *chaosRun) later(lasts time.Duration, do func()) {
	r.heals = append(r.heals, heal{time.Now().Add(lasts), do})
}

// run lets the planned faults happen, and their ends.
func (r *chaosRun) run(plan []chaosFault, during time.Duration) {
	began := time.Now()
	for _, f := range plan {
		r.healUntil(began.Add(f.at))
		if time.Since(began) > during {
			break // faults that wait for something took the time
		}
		r.revive()
		r.strike(f)
	}
	r.healUntil(began.Add(during))
}

func (r *chaosRun) healUntil(t time.Time) {
	for {
		slices.SortStableFunc(r.heals, func(a, b heal) int { return a.due.Compare(b.due) })
		until := t
		if len(r.heals) > 0 && r.heals[0].due.Before(t) {
			until = r.heals[0].due
		}
		select {
		case <-time.After(time.Until(until)):
		case <-r.t.Context().Done():
			r.t.Fatal(r.t.Context().Err())
		}
		if until.Equal(t) {
			return
		}
		next := r.heals[0]
		r.heals = r.heals[1:]
		next.do()
	}
}

// strike makes one fault, if what it is about is there.
func (r *chaosRun) strike(f chaosFault) {
	affected := r.affected(f)
	if !r.possible(f) {
		r.tell("%v: not possible now", f)
		return
	}
	r.takeAim(f, affected)
	if !r.possible(f) { // a worker may end by itself, without servers
		r.tell("%v: not possible any more", f)
		return
	}
	before := 0
	for _, w := range affected {
		before += openTransactions(w)
	}
	written := r.writer.chosen.Load()
	r.do(f)
	seen, _ := r.follower.count()
	r.hits[f.kind]++
	if before > 0 {
		r.open[f.kind]++
	}
	r.tell("%v: %d transactions open, %d rows written and not seen", f, before, max(0, int(written)-seen))
}

// affected are the workers that can notice the fault.
func (r *chaosRun) affected(f chaosFault) []*worker {
	var all []*worker
	for n, slot := range r.slots {
		switch f.kind {
		case workerKill, workerPause, workerLeave:
			if n != f.victim {
				continue
			}
		}
		if slot.up() {
			all = append(all, slot.current)
		}
	}
	return all
}

// takeAim waits a little for a task of the phase that the fault is meant for.
func (r *chaosRun) takeAim(f chaosFault, affected []*worker) {
	if f.aim == absent || len(affected) == 0 {
		return
	}
	w := affected[f.victim%len(affected)]
	_, err := w.findLine(w.LogSize(), time.Second, func(line string) bool {
		_, p, ok := phaseLine(line)
		return ok && p == f.aim
	})
	if err == nil {
		time.Sleep(f.late) // no signal tells of the moments within a phase
	}
}

// openTransactions counts the worker's tasks with an open transaction.
func openTransactions(w *worker) int {
	n := 0
	for _, p := range w.phases() {
		if p == scanning || p == flushing || p == ending {
			n++
		}
	}
	return n
}

// interrupted counts, from its whole log, the transactions that a worker began
// and never saw the end of.
func interrupted(t *testing.T, w *worker) int {
	t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), ": transaction begun:") - strings.Count(string(text), ": transaction committed:")
}

func (r *chaosRun) possible(f chaosFault) bool {
	switch f.kind {
	case workerKill, workerPause, workerLeave:
		return r.slots[f.victim].up()
	case workerJoin:
		w := r.slots[f.victim].current
		return w == nil || !w.Running()
	case brokerKill, brokerPause:
		return !r.down[r.s.kafka.Server]
	case tserverKill, tserverPause:
		return !r.tserverFault()
	case wayCut, wayRefuse, wayStall, wayMute, wayDelay:
		// A majority of the replicas must stay.
		return !r.busy[f.way] && (f.way < toTabletServer || f.kind == wayCut || f.kind == wayDelay || !r.tserverFault())
	}
	return true
}

// tserverFault reports whether one of the tablet servers doesn't serve.
func (r *chaosRun) tserverFault() bool {
	for _, server := range r.s.kudu.TabletServers() {
		if r.down[server] {
			return true
		}
	}
	for w := range r.ways[toTabletServer:] {
		if r.busy[toTabletServer+way(w)] {
			return true
		}
	}
	return false
}

// do makes the fault, and plans its end.
func (r *chaosRun) do(f chaosFault) {
	switch f.kind {
	case workerKill:
		r.end(f.victim, true)
		r.later(f.lasts, func() { r.startIfAway(f.victim) })
	case workerLeave:
		r.leave(f.victim)
		r.later(f.lasts, func() { r.left(f.victim); r.startIfAway(f.victim) })
	case workerJoin:
		r.start(f.victim)
		w := r.slots[f.victim].current
		r.later(f.lasts, func() {
			if r.slots[f.victim].up() && r.slots[f.victim].current == w && f.victim >= r.initial {
				r.end(f.victim, f.hard)
			}
		})
	case workerPause:
		slot := r.slots[f.victim]
		if err := slot.current.Pause(r.t.Context()); errors.Is(err, testenv.ErrExited) {
			return // whether it was allowed to end, revive looks at
		} else if err != nil {
			r.t.Fatal(err)
		}
		slot.paused = true
		r.later(f.lasts, func() { r.resume(slot) })
	case replan:
		r.replan(f)
	case brokerKill:
		r.kill(r.s.kafka.Server, f.lasts)
	case brokerPause:
		r.pause(r.s.kafka.Server, f.lasts)
	case tserverKill:
		r.kill(r.s.kudu.TabletServers()[f.victim], f.lasts)
	case tserverPause:
		r.pause(r.s.kudu.TabletServers()[f.victim], f.lasts)
	case wayCut:
		r.ways[f.way].cut()
	default:
		p := r.ways[f.way]
		w := weather{refuse: f.kind == wayRefuse, stall: f.kind == wayStall, mute: f.kind == wayMute}
		if f.kind == wayDelay {
			w.delay = f.delay
		}
		p.set(w)
		if w.refuse {
			p.cut()
		}
		r.busy[f.way] = true
		r.later(f.lasts, func() { p.set(weather{}); r.busy[f.way] = false })
	}
}

// revive starts workers again that found no server when they started, which
// ends a worker with exit code 2, as a service manager would.
func (r *chaosRun) revive() {
	for n, slot := range r.slots {
		w := slot.current
		if w == nil || slot.leaving != nil || w.Running() || w.ExitCode() < 0 || r.ended[w] {
			continue
		}
		r.ended[w] = true
		tail := testenv.Tail(w.log, 1)
		if w.ExitCode() != 2 || !strings.Contains(tail, "start Kafka, or") && !strings.Contains(tail, "start Kudu, or") {
			r.t.Errorf("a worker ended by itself with code %d: %s", w.ExitCode(), tail)
		}
		r.tell("worker %d found no server at its start", n)
		r.start(n)
	}
}

// awaitRows waits until so many rows are seen, for workers that may have to be
// started again, and gives how many were.
func (r *chaosRun) awaitRows(n int, within time.Duration) int {
	seen := 0
	for end := time.Now().Add(within); seen < n && time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
		seen = r.follower.await(ctx, n)
		cancel()
		r.revive()
	}
	return seen
}

func (r *chaosRun) startIfAway(n int) {
	if w := r.slots[n].current; w == nil || !w.Running() {
		r.start(n)
	}
}

func (r *chaosRun) resume(slot *chaosSlot) {
	if err := slot.current.Resume(); err != nil {
		r.t.Fatal(err)
	}
	slot.paused = false
}

// replan changes the configuration, and starts the workers anew with it, one
// after the other: those that keep the old one would be idle. One that is
// paused can only be killed.
func (r *chaosRun) replan(f chaosFault) {
	scope := r.job.connector["order.scope"]
	if f.scope && !r.writer.table.unordered {
		scope = map[string]string{"table": "tablet"}[scope]
		if scope == "" {
			scope = "table"
		}
	}
	for n, slot := range r.slots {
		slot.job.connector["tasks.max"] = fmt.Sprint(f.tasks)
		if scope != "" {
			slot.job.connector["order.scope"] = scope
		}
		if slot.up() || slot.paused {
			r.end(n, f.hard || slot.paused)
			r.start(n)
		}
	}
}

func (r *chaosRun) kill(server *testenv.Server, lasts time.Duration) {
	if err := server.Kill(); err != nil {
		r.t.Fatal(err)
	}
	r.down[server] = true
	r.later(lasts, func() {
		back := make(chan error, 1)
		r.back[server] = back
		ctx := context.WithoutCancel(r.t.Context())
		go func() { back <- server.Restart(ctx) }()
		r.later(0, func() { r.isBack(server) })
	})
}

// isBack takes note of a restarted server, or looks again later.
func (r *chaosRun) isBack(server *testenv.Server) {
	select {
	case err := <-r.back[server]:
		if err != nil {
			r.t.Errorf("restarting %s: %v", server.Name(), err)
		}
		r.tell("%s is back", server.Name())
		delete(r.back, server)
		r.down[server] = false
	default:
		r.later(50*time.Millisecond, func() { r.isBack(server) })
	}
}

func (r *chaosRun) pause(server *testenv.Server, lasts time.Duration) {
	if err := server.Pause(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.down[server] = true
	r.later(lasts, func() {
		if err := server.Resume(); err != nil {
			r.t.Fatal(err)
		}
		r.down[server] = false
	})
}

// healAll ends all faults. Servers serve again when it returns.
func (r *chaosRun) healAll() {
	for len(r.heals) > 0 {
		r.healUntil(time.Now().Add(100 * time.Millisecond))
		for i := range r.heals {
			r.heals[i].due = time.Now()
		}
	}
	for n := range r.slots {
		r.left(n)
		if n < r.initial {
			r.startIfAway(n)
		}
	}
	r.tell("all is healed")
}
