package herder

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Overview is what the whole group does, for people: the page and the command
// status show it. Numbers of this worker are of now; those of the others are from
// their last reports, some seconds old.
type Overview struct {
	Time     time.Time `json:"time"`
	WorkerID string    `json:"worker_id"` // of the worker that answers
	GroupID  string    `json:"group_id"`
	Version  string    `json:"version"`
	Health   Health    `json:"health"` // of the worker that answers

	Workers    []WorkerOverview    `json:"workers"`
	Connectors []ConnectorOverview `json:"connectors"` // by name
}

// WorkerOverview is one live worker of the group.
type WorkerOverview struct {
	ID string `json:"worker_id"`
	// Self marks the one that answers.
	Self  bool  `json:"self"`
	Tasks int   `json:"tasks"` // that it has
	Rows  int64 `json:"rows"`  // that it has committed for them
	Bytes int64 `json:"bytes"`
	// SeenMillis is how long ago its last sign of life was, in milliseconds.
	SeenMillis int64 `json:"seen_ms"`
}

// ConnectorOverview is one connector.
type ConnectorOverview struct {
	Name   string      `json:"name"`
	State  State       `json:"state"`
	Target TargetState `json:"target"`
	// WorkerID, Trace and Remedy tell who says so, why, and what can be done.
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
	// Mode, Table and Topic are of the configuration; as it is written if this
	// worker can't make sense of it.
	Mode  string `json:"mode"`
	Table string `json:"table"`
	Topic string `json:"topic"`
	// File says that it comes from a file of a worker.
	File bool `json:"file"`
	// TableRows is about how many rows the table has, if all of them are or will be
	// published; 0: none, or that isn't known.
	TableRows int64 `json:"table_rows,omitempty"`

	TaskCounts

	Tasks []TaskOverview `json:"tasks"`
	// Tablets are some of those that this worker reads: the furthest behind. How
	// many all workers read is in TaskCounts.
	Tablets []TabletOverview `json:"tablets"`
}

// TaskCounts are sums of tasks. Rows and bytes count since a task was last assigned
// to its worker; bytes are of keys and values, before compression.
type TaskCounts struct {
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"`
	Tablets int   `json:"tablet_count"`
	// Behind are the tablets that have rows which aren't committed in Kafka, or may.
	Behind int `json:"tablets_behind"`
	// LagMillis is the age of the time up to which everything is in Kafka, in
	// milliseconds, of the tablet that is furthest behind; 0 when none is.
	LagMillis int64 `json:"lag_ms"`
}

// TaskOverview is one task.
type TaskOverview struct {
	ID       int       `json:"id"`
	State    State     `json:"state"`
	WorkerID string    `json:"worker_id"`
	Since    time.Time `json:"since,omitzero"`
	Trace    string    `json:"trace,omitempty"`
	Remedy   string    `json:"remedy,omitempty"`
	// Last is what last went wrong since the task came to its worker, also when it
	// runs again.
	Last *Mishap `json:"last_error,omitempty"`
	// Generation is that of the consumer group in which the task was assigned: with
	// the worker, it tells whether counters began anew.
	Generation int32 `json:"generation"`
	// Resumed says that its tablets had been read in part before it came to its
	// worker, so that its rows aren't all that is published of them.
	Resumed bool `json:"resumed,omitempty"`

	TaskCounts
}

// Mishap is something that went wrong.
type Mishap struct {
	Trace  string    `json:"trace"`
	Remedy string    `json:"remedy,omitempty"`
	At     time.Time `json:"at"`
}

// TabletOverview is where one tablet stands.
type TabletOverview struct {
	Task   int    `json:"task"`
	Tablet string `json:"tablet"`
	// Position is the streaming key of the last row committed, as a JSON object;
	// empty when there is none.
	Position  string `json:"position,omitempty"`
	Behind    bool   `json:"behind"`
	LagMillis int64  `json:"lag_ms"` // 0 unless behind
}

// ownReport is what this worker says of a connector.
type ownReport struct {
	connector string
	report    report
}

// ownReports are what the connectors do here, with all counters.
func (h *Herder) ownReports() []ownReport {
	type key struct {
		connector string
		task      int
	}
	now := time.Now()
	counts := make(map[key]*taskCounts)
	h.worker.Tablets(now, func(name string, task int32, p connector.TabletProgress) {
		k := key{name, int(task)}
		c := counts[k]
		if c == nil {
			c = &taskCounts{}
			counts[k] = c
		}
		c.Tablets++
		c.Resumed = c.Resumed || p.Resumed
		if !p.Behind {
			return
		}
		c.Behind++
		if at := now.Add(-p.Lag).UTC().Round(time.Millisecond); c.Complete == nil || at.Before(*c.Complete) {
			c.Complete = &at
		}
	})
	var all []ownReport
	for _, s := range h.worker.Status() {
		r := reportOf(s, h.shownFile(s.Connector))
		for n := range r.Tasks {
			if c := counts[key{s.Connector, r.Tasks[n].ID}]; c != nil {
				c.Rows, c.Bytes = r.Tasks[n].Rows, r.Tasks[n].Bytes
				r.Tasks[n].taskCounts = *c
			}
		}
		all = append(all, ownReport{s.Connector, r})
	}
	return all
}

// Overview tells what the group does. Of each connector up to tablets tablets are
// listed. It never fails: while the worker starts there is little in it.
func (h *Herder) Overview(ctx context.Context, tablets int) Overview {
	now := time.Now()
	o := Overview{
		Time: now.UTC().Round(time.Millisecond), WorkerID: h.id, GroupID: h.config.GroupID, Version: h.version.Version, Health: h.Health(ctx),
		Workers: []WorkerOverview{}, Connectors: []ConnectorOverview{},
	}
	listed := h.furthestBehind(now, tablets)
	own := h.ownReports()
	sizes := make(map[string]int64)
	for _, s := range h.worker.Status() {
		sizes[s.Connector] = s.TableRows
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.begun {
		return o
	}
	alive := h.alive(now, own)
	place := make(map[*peer]int, len(alive))
	for n, one := range alive {
		place[one] = n
		o.Workers = append(o.Workers, WorkerOverview{ID: one.id, Self: one.uid == h.uid, SeenMillis: max(0, now.Sub(one.seen).Milliseconds())})
	}
	for _, name := range h.names() {
		c := h.overviewOf(name, alive)
		claims := claimsOf(name, len(c.Tasks), alive)
		for n := range c.Tasks {
			t := &c.Tasks[n]
			if claimed, is := claims[t.ID]; is {
				t.add(claimed.task, now)
				c.sum(t.TaskCounts)
				w := &o.Workers[place[claimed.by]]
				w.Tasks++
				w.Rows += t.Rows
				w.Bytes += t.Bytes
			}
		}
		c.TableRows = sizes[name]
		if c.Tablets = listed[name]; c.Tablets == nil {
			c.Tablets = []TabletOverview{}
		}
		o.Connectors = append(o.Connectors, c)
	}
	return o
}

// alive are all live workers, this one by what it knows of itself. The caller holds
// the lock.
func (h *Herder) alive(now time.Time, own []ownReport) []*peer {
	self := &peer{uid: h.uid, id: h.id, seen: now, reports: make(map[string]report)}
	for _, r := range own {
		self.reports[r.connector] = r.report
	}
	all := []*peer{self}
	for _, p := range h.peers.alive(now) {
		if p.uid != h.uid {
			all = append(all, p)
		}
	}
	return all
}

// overviewOf is a connector without what its tasks count. The caller holds the
// lock.
func (h *Herder) overviewOf(name string, alive []*peer) ConnectorOverview {
	s := merge(name, h.tasksMax(name), alive)
	properties, file := h.settings(name)
	c := ConnectorOverview{
		Name: name, State: s.Connector.State, Target: TargetState(h.target(name)), WorkerID: s.Connector.WorkerID, Trace: s.Connector.Trace,
		File: file, Mode: properties["mode"], Table: properties["kudu.table"], Topic: properties["topic"], Tasks: []TaskOverview{},
	}
	if cfg, is := h.configs[name]; is {
		c.Mode, c.Table, c.Topic = cfg.Mode, cfg.KuduTable, cfg.TopicName()
	}
	for _, one := range alive {
		if r := one.reports[name]; c.Trace != "" && c.Remedy == "" && (one.id == c.WorkerID || r.State == connector.Failed) {
			c.Remedy = r.Remedy
		}
	}
	for _, t := range s.Tasks {
		c.Tasks = append(c.Tasks, TaskOverview{ID: t.ID, State: t.State, WorkerID: t.WorkerID, Trace: t.Trace})
	}
	return c
}

// add takes up what the task's worker says of it.
func (t *TaskOverview) add(r taskReport, now time.Time) {
	t.Since, t.Remedy, t.Last, t.Generation = r.Since, r.Remedy, r.Last, r.Generation
	t.TaskCounts = TaskCounts{Rows: r.Rows, Bytes: r.Bytes, Tablets: r.Tablets, Behind: r.Behind}
	t.Resumed = r.Resumed
	if r.Complete != nil {
		t.LagMillis = max(0, now.Sub(*r.Complete).Milliseconds())
	}
}

func (c *ConnectorOverview) sum(t TaskCounts) {
	c.Rows += t.Rows
	c.Bytes += t.Bytes
	c.TaskCounts.Tablets += t.Tablets
	c.Behind += t.Behind
	c.LagMillis = max(c.LagMillis, t.LagMillis)
}

// furthestBehind lists up to n tablets of each connector that this worker reads:
// those with the greatest lag, and of those that are level always the same ones.
func (h *Herder) furthestBehind(now time.Time, n int) map[string][]TabletOverview {
	all := make(map[string][]TabletOverview)
	if n <= 0 {
		return all
	}
	h.worker.Tablets(now, func(name string, task int32, p connector.TabletProgress) {
		all[name] = append(all[name], TabletOverview{Task: int(task), Tablet: p.Tablet, Behind: p.Behind, LagMillis: p.Lag.Milliseconds()})
	})
	behind := func(t TabletOverview) int {
		if t.Behind {
			return 0
		}
		return 1
	}
	for name, tablets := range all {
		slices.SortFunc(tablets, func(a, b TabletOverview) int {
			return cmp.Or(cmp.Compare(behind(a), behind(b)), cmp.Compare(b.LagMillis, a.LagMillis), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Tablet, b.Tablet))
		})
		tablets = slices.Clip(tablets[:min(n, len(tablets))])
		for i := range tablets {
			tablets[i].Position = h.worker.Position(name, int32(tablets[i].Task), tablets[i].Tablet)
		}
		all[name] = tablets
	}
	return all
}
