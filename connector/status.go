package connector

import (
	"errors"
	"maps"
	"sort"
	"sync"
	"time"
)

// State is what a connector or a task is doing, in Kafka Connect's words, and
// two more: RESTORING is the time between a task's assignment and its first scan.
type State string

// The states.
const (
	Unassigned State = "UNASSIGNED"
	Restoring  State = "RESTORING"
	Running    State = "RUNNING"
	Restarting State = "RESTARTING"
	Failed     State = "FAILED"
	Paused     State = "PAUSED"
	Stopped    State = "STOPPED" // of a connector only: it has no tasks
	// Completed: everything before offset.stop is published.
	Completed State = "COMPLETED"
)

// TaskStatus is the state of one task as this worker sees it.
type TaskStatus struct {
	Task  int32
	State State
	// Cause is why the task isn't running; empty when it is. Remedy is what can be
	// done about it; empty when that isn't known, or nothing needs to be done.
	Cause, Remedy string
	// Last is what last went wrong with the task on this worker, also when it runs
	// again by now; the zero value: nothing has.
	Last Mishap
	// Since is when the state was taken.
	Since time.Time
	// Generation is that of the group in which this worker was assigned the task:
	// of two workers that claim a task, the one with the greater one has it.
	Generation int32
	// Rows is how many rows this worker has committed for the task since it was
	// assigned; Bytes are those of their keys and values, before compression.
	Rows, Bytes int64
	// Swept tells, in mode sweep, what this worker has done with rows that were
	// published.
	Swept SweepCounts
}

// Mishap is something that went wrong.
type Mishap struct {
	Cause, Remedy string
	At            time.Time
}

// Status is the state of one connector on this worker.
type Status struct {
	Connector string
	State     State
	// Cause and Remedy are as those of a task.
	Cause, Remedy string
	Since         time.Time
	// TableRows is about how many rows the table has, all of which are or will be
	// published. 0: none, or that isn't known, or not all are published: in mode
	// sweep, with where, or when reading begins elsewhere than at the table's start.
	TableRows int64
	Tasks     []TaskStatus // those assigned to this worker, by number
}

// statusBoard collects what tasks report. Safe for concurrent use.
type statusBoard struct {
	mu    sync.Mutex
	state State
	cause string
	// remedy is what can be done about cause.
	remedy string
	since  time.Time
	tasks  map[int32]*TaskStatus
	// tableRows is as in Status.
	tableRows int64
	// paused shows what runs as paused.
	paused bool
	// changed, unless nil, is called after a state has changed. It must not block.
	changed func()
	// observers are told of new states of their tasks.
	observers map[int32]TaskObserver
	// progress is where the tasks stand in their tablets.
	progress map[int32]*progress
}

func newStatusBoard() *statusBoard {
	return &statusBoard{state: Unassigned, tasks: make(map[int32]*TaskStatus), observers: make(map[int32]TaskObserver), progress: make(map[int32]*progress)}
}

// observe has an observer told of a task's states, and shows where the task
// stands.
func (b *statusBoard) observe(task int32, seen observed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.observers[task], b.progress[task] = seen.to, seen.progress
}

// unobserve ends what observe has begun.
func (b *statusBoard) unobserve(task int32, seen observed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress[task] == seen.progress {
		delete(b.observers, task)
		delete(b.progress, task)
	}
}

// tablets tells where the tasks stand in their tablets.
func (b *statusBoard) tablets(now time.Time, each func(task int32, p TabletProgress)) {
	b.mu.Lock()
	all := maps.Clone(b.progress)
	b.mu.Unlock()
	for task, p := range all {
		p.look(now, func(t TabletProgress) { each(task, t) })
	}
}

// position is the last row committed of a task's tablet, for people to read.
func (b *statusBoard) position(task int32, tablet string) string {
	b.mu.Lock()
	p := b.progress[task]
	b.mu.Unlock()
	return p.position(tablet)
}

// update changes the board under its lock, and tells of it when f says so.
func (b *statusBoard) update(f func() (changed bool)) {
	b.mu.Lock()
	changed := f()
	b.mu.Unlock()
	if changed && b.changed != nil {
		b.changed()
	}
}

func (b *statusBoard) set(state State, cause error) {
	b.update(func() bool {
		if b.state == state && b.cause == text(cause) {
			return false
		}
		b.state, b.cause, b.remedy, b.since = state, text(cause), remedyOf(cause), time.Now()
		return true
	})
}

// note tells of trouble that leaves the state what it is: what comes after a refusal
// doesn't make it any better.
func (b *statusBoard) note(cause error) {
	b.update(func() bool {
		if b.cause == text(cause) {
			return false
		}
		b.cause, b.remedy = text(cause), remedyOf(cause)
		return true
	})
}

func (b *statusBoard) pause(paused bool) {
	b.update(func() bool {
		if b.paused == paused {
			return false
		}
		b.paused, b.since = paused, time.Now()
		return true
	})
}

func (b *statusBoard) setTask(task int32, state State, cause error) {
	b.update(func() bool {
		t := b.tasks[task]
		if state == Unassigned {
			delete(b.tasks, task)
			return t != nil
		}
		if t == nil {
			t = &TaskStatus{Task: task}
			b.tasks[task] = t
		} else if t.State == state && t.Cause == text(cause) {
			return false
		}
		if o := b.observers[task]; o != nil && state != t.State {
			o.State(state)
		}
		t.State, t.Cause, t.Remedy, t.Since = state, text(cause), remedyOf(cause), time.Now()
		if cause != nil && !errors.Is(cause, errChanged) {
			t.Last = Mishap{t.Cause, t.Remedy, t.Since}
		}
		return true
	})
}

// claim notes that the task was assigned to this worker.
func (b *statusBoard) claim(task, generation int32) {
	b.update(func() bool {
		if o := b.observers[task]; o != nil {
			o.State(Restoring)
		}
		b.tasks[task] = &TaskStatus{Task: task, State: Restoring, Since: time.Now(), Generation: generation}
		return true
	})
}

func (b *statusBoard) setTableRows(rows int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tableRows = rows
}

func (b *statusBoard) addRows(task int32, rows int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.tasks[task]; t != nil {
		t.Rows += rows
	}
}

func (b *statusBoard) addBytes(task int32, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.tasks[task]; t != nil {
		t.Bytes += bytes
	}
}

func (b *statusBoard) addSwept(task int32, c SweepCounts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.tasks[task]; t != nil {
		t.Swept.add(c)
	}
}

func (b *statusBoard) snapshot(name string) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{Connector: name, State: b.state, Cause: b.cause, Remedy: b.remedy, Since: b.since, TableRows: b.tableRows}
	completed := len(b.tasks) > 0
	for _, t := range b.tasks {
		s.Tasks = append(s.Tasks, *t)
		completed = completed && t.State == Completed
	}
	switch {
	case s.State != Running && s.State != Restarting:
	case b.paused:
		s.State = Paused
	case completed && s.State == Running:
		s.State = Completed
	}
	sort.Slice(s.Tasks, func(i, j int) bool { return s.Tasks[i].Task < s.Tasks[j].Task })
	return s
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
