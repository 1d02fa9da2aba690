package herder

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// The records of the status topic. A worker is named by an id that each process
// draws anew.
//
//	worker-<id>                    {"version":1,"worker_id":"10.0.0.1:8083"}, a sign of life
//	status-connector-orders:<id>   what the connector orders does on that worker
//	status-topic-rows:connector-orders   orders has written to the topic rows
//
// A worker that stops in order deletes what it has written.
const (
	workerKey          = "worker-"
	statusConnectorKey = "status-connector-"
	statusTopicKey     = "status-topic-"
	ofConnector        = ":connector-"
)

type workerV1 struct {
	Version  int    `json:"version"`
	WorkerID string `json:"worker_id"`
}

// report is what one worker says of a connector.
type report struct {
	Version int             `json:"version"`
	State   connector.State `json:"state"`
	Trace   string          `json:"trace,omitempty"`
	Remedy  string          `json:"remedy,omitempty"`
	Tasks   []taskReport    `json:"tasks,omitempty"`
	// File is the configuration, secrets masked, of a connector that comes from a
	// file of that worker.
	File map[string]string `json:"file,omitempty"`
}

type taskReport struct {
	ID         int             `json:"id"`
	State      connector.State `json:"state"`
	Trace      string          `json:"trace,omitempty"`
	Generation int32           `json:"generation"`
	Since      time.Time       `json:"since"`
	Remedy     string          `json:"remedy,omitempty"`
	Last       *Mishap         `json:"last,omitempty"`

	taskCounts
}

// taskCounts are what changes all the time, and is told only from time to time.
type taskCounts struct {
	Rows    int64 `json:"rows,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"`
	Tablets int   `json:"tablets,omitempty"`
	Behind  int   `json:"behind,omitempty"` // tablets
	// Complete is the time up to which everything is in Kafka, of the tablet that is
	// furthest behind; nil when none is.
	Complete *time.Time `json:"complete,omitempty"`
	// Resumed says that tablets had been read in part before the worker got them.
	Resumed bool `json:"resumed,omitempty"`
}

type topicV1 struct {
	Version    int       `json:"version"`
	Discovered time.Time `json:"discovered"`
}

// peer is a worker of the group.
type peer struct {
	uid, id string    // id is what people are shown; empty before its first sign of life
	seen    time.Time // its last sign of life, by this process's clock
	heard   time.Time // the last that it has written, of whatever kind
	reports map[string]report
}

// peers is what is known of the group's workers from the status topic. The
// caller guards it.
type peers struct {
	session time.Duration
	all     map[string]*peer
	topics  map[string]map[string]bool // by connector
}

func newPeers(session time.Duration) *peers {
	return &peers{session: session, all: make(map[string]*peer), topics: make(map[string]map[string]bool)}
}

// get is the worker that has written something at a time.
func (p *peers) get(uid string, at time.Time) *peer {
	one := p.all[uid]
	if one == nil {
		one = &peer{uid: uid, reports: make(map[string]report)}
		p.all[uid] = one
	}
	one.heard = at
	return one
}

// apply takes up a record that was written at a time. forgets names the connector
// whose topics were reset.
func (p *peers) apply(key string, value []byte, at time.Time) (forgets string, err error) {
	if uid, is := strings.CutPrefix(key, workerKey); is {
		if value == nil {
			delete(p.all, uid)
			return "", nil
		}
		var v workerV1
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return "", fmt.Errorf("the value under %q: %w", key, err)
		}
		one := p.get(uid, at)
		one.id, one.seen = v.WorkerID, at
		return "", nil
	}
	if rest, is := strings.CutPrefix(key, statusConnectorKey); is {
		name, uid, is := strings.Cut(rest, ":")
		if !is || name == "" || uid == "" {
			return "", fmt.Errorf("the key %q names no worker's connector", key)
		}
		if value == nil {
			if one := p.all[uid]; one != nil {
				delete(one.reports, name)
			}
			return "", nil
		}
		var v report
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return "", fmt.Errorf("the value under %q: %w", key, err)
		}
		p.get(uid, at).reports[name] = v
		return "", nil
	}
	if rest, is := strings.CutPrefix(key, statusTopicKey); is {
		topic, name, is := strings.Cut(rest, ofConnector)
		if !is || topic == "" || name == "" {
			return "", fmt.Errorf("the key %q names no connector's topic", key)
		}
		if value == nil {
			delete(p.topics[name], topic)
			return name, nil
		}
		var v topicV1
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return "", fmt.Errorf("the value under %q: %w", key, err)
		}
		if p.topics[name] == nil {
			p.topics[name] = make(map[string]bool)
		}
		p.topics[name][topic] = true
		return "", nil
	}
	return "", errForeign
}

// alive are the workers that have given a sign of life within a session, in the
// order of their names.
func (p *peers) alive(now time.Time) []*peer {
	var alive []*peer
	for _, one := range p.all {
		if one.id != "" && now.Sub(one.seen) < p.session {
			alive = append(alive, one)
		}
	}
	slices.SortFunc(alive, func(a, b *peer) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.uid, b.uid)) })
	return alive
}

// buried are the workers that have been silent for so long that what they have
// written can go.
func (p *peers) buried(now time.Time) []*peer {
	var buried []*peer
	for _, one := range p.all {
		if now.Sub(one.heard) > silence {
			buried = append(buried, one)
		}
	}
	return buried
}

// precedence tells which worker's word on the state of a connector as a whole
// counts: what still runs somewhere isn't paused, or stopped, yet.
var precedence = []connector.State{
	connector.Running, connector.Restarting, connector.Completed, connector.Paused, connector.Failed, connector.Stopped, connector.Unassigned,
}

// merge joins what the workers say of a connector.
func merge(name string, tasks int, alive []*peer) ConnectorStatus {
	s := ConnectorStatus{Name: name, Type: "source", Tasks: []TaskStatus{}, Connector: StatusOf{State: State(connector.Unassigned)}}
	best := len(precedence)
	var failures []string
	claims := claimsOf(name, tasks, alive)
	completed := true
	for _, one := range alive {
		r, is := one.reports[name]
		if !is {
			continue
		}
		if rank := slices.Index(precedence, r.State); rank >= 0 && rank < best {
			best = rank
			s.Connector = StatusOf{State: State(r.State), WorkerID: one.id, Trace: r.Trace}
		}
		if r.State == connector.Failed {
			failures = append(failures, fmt.Sprintf("on worker %s: %s", one.id, r.Trace))
		}
	}
	if s.Connector.State != State(connector.Failed) && len(failures) > 0 {
		// It works, on other workers.
		s.Connector.Trace = strings.Join(failures, "\n")
	}
	for id := range tasks {
		t := TaskStatus{ID: id, State: State(connector.Unassigned)}
		if c, is := claims[id]; is {
			t.State, t.WorkerID, t.Trace = State(c.task.State), c.by.id, c.task.Trace
		}
		completed = completed && t.State == State(connector.Completed)
		s.Tasks = append(s.Tasks, t)
	}
	switch {
	case s.Connector.State == State(connector.Stopped):
		s.Tasks = []TaskStatus{}
	case s.Connector.State == State(connector.Completed) && !completed:
		// The worker that says so has no other tasks.
		s.Connector.State = State(connector.Running)
	case s.Connector.State == State(connector.Running) && completed && tasks > 0:
		s.Connector.State = State(connector.Completed)
	}
	return s
}

// claim is a worker's word that a task is its own.
type claim struct {
	task taskReport
	by   *peer
}

// claimsOf finds out which worker has each of a connector's tasks.
func claimsOf(name string, tasks int, alive []*peer) map[int]claim {
	claims := make(map[int]claim)
	for _, one := range alive {
		for _, t := range one.reports[name].Tasks {
			if c := (claim{t, one}); t.ID < tasks && c.beats(claims[t.ID]) {
				claims[t.ID] = c
			}
		}
	}
	return claims
}

// beats reports whether the task is rather this claim's: that of the later
// generation of the group, and of two in one generation, of which one is a zombie's,
// that which changed last.
func (c claim) beats(o claim) bool {
	if o.by == nil {
		return true
	}
	return cmp.Or(
		cmp.Compare(c.task.Generation, o.task.Generation), c.task.Since.Compare(o.task.Since), cmp.Compare(c.by.uid, o.by.uid),
	) > 0
}

// reportOf puts a status into the form that is told to others.
func reportOf(s connector.Status, file map[string]string) report {
	r := report{Version: recordVersion, State: s.State, Trace: s.Cause, Remedy: s.Remedy, File: file}
	for _, t := range s.Tasks {
		told := taskReport{
			ID: int(t.Task), State: t.State, Trace: t.Cause, Generation: t.Generation, Since: t.Since.UTC().Round(time.Millisecond),
			Remedy: t.Remedy, taskCounts: taskCounts{Rows: t.Rows, Bytes: t.Bytes},
		}
		if !t.Last.At.IsZero() {
			told.Last = &Mishap{Trace: t.Last.Cause, Remedy: t.Last.Remedy, At: t.Last.At.UTC().Round(time.Millisecond)}
		}
		r.Tasks = append(r.Tasks, told)
	}
	return r
}

// shows reports whether two reports differ in nothing but counters.
func (r report) shows(o report) bool {
	plain := func(r report) string {
		r.Tasks = slices.Clone(r.Tasks)
		for n := range r.Tasks {
			r.Tasks[n].taskCounts = taskCounts{}
		}
		b, _ := json.Marshal(r) // of strings and numbers
		return string(b)
	}
	return plain(r) == plain(o)
}

// counts reports whether a report's counters are others than another's.
func (r report) counts(o report) bool {
	return !slices.EqualFunc(r.Tasks, o.Tasks, func(a, b taskReport) bool {
		same := (a.Complete == nil) == (b.Complete == nil) && (a.Complete == nil || a.Complete.Equal(*b.Complete))
		return same && a.Rows == b.Rows && a.Bytes == b.Bytes && a.Tablets == b.Tablets && a.Behind == b.Behind && a.Resumed == b.Resumed
	})
}
