package connector

import (
	"sort"
	"sync"
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
	// Completed: everything before offset.stop is published.
	Completed State = "COMPLETED"
)

// TaskStatus is the state of one task as this worker sees it.
type TaskStatus struct {
	Task  int32
	State State
	// Cause is why the task isn't running; empty when it is.
	Cause string
	// Rows is how many rows this worker has committed for the task since it was
	// assigned.
	Rows int64
	// Swept tells, in mode sweep, what this worker has done with rows that were
	// published.
	Swept SweepCounts
}

// Status is the state of one connector on this worker.
type Status struct {
	Connector string
	State     State
	Cause     string
	Tasks     []TaskStatus // those assigned to this worker, by number
}

// statusBoard collects what tasks report. Safe for concurrent use.
type statusBoard struct {
	mu    sync.Mutex
	state State
	cause string
	tasks map[int32]*TaskStatus
	// observers are told of new states of their tasks.
	observers map[int32]TaskObserver
}

func newStatusBoard() *statusBoard {
	return &statusBoard{state: Unassigned, tasks: make(map[int32]*TaskStatus), observers: make(map[int32]TaskObserver)}
}

// observe has an observer told of a task's states; nil: nobody.
func (b *statusBoard) observe(task int32, o TaskObserver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o == nil {
		delete(b.observers, task)
		return
	}
	b.observers[task] = o
}

func (b *statusBoard) set(state State, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state, b.cause = state, text(cause)
}

func (b *statusBoard) setTask(task int32, state State, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state == Unassigned {
		delete(b.tasks, task)
		return
	}
	t := b.tasks[task]
	if t == nil {
		t = &TaskStatus{Task: task}
		b.tasks[task] = t
	}
	if o := b.observers[task]; o != nil && state != t.State {
		o.State(state)
	}
	t.State, t.Cause = state, text(cause)
}

func (b *statusBoard) addRows(task int32, rows int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.tasks[task]; t != nil {
		t.Rows += rows
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
	s := Status{Connector: name, State: b.state, Cause: b.cause}
	completed := len(b.tasks) > 0
	for _, t := range b.tasks {
		s.Tasks = append(s.Tasks, *t)
		completed = completed && t.State == Completed
	}
	if completed && s.State == Running {
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
