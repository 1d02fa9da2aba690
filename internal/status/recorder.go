package status

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

const (
	// interval is the time between two looks.
	interval = 2 * time.Second
	// points is how many looks a history has: five minutes.
	points = 150
	// window is over how many looks a rate is the mean. The other workers tell
	// their counters every five seconds, so that a shorter one would jump.
	window = 5
)

// Source is what is looked at; *herder.Herder is one.
type Source interface {
	Overview(ctx context.Context, tablets int) herder.Overview
}

// Recorder remembers how fast rows went. Safe for concurrent use.
type Recorder struct {
	source Source

	mu     sync.Mutex
	tasks  map[taskKey]taskSeen
	series map[string]*series // by connector
	looked bool
}

type taskKey struct {
	connector string
	task      int
}

// taskSeen is what a task's counters were at the last look.
type taskSeen struct {
	worker      string
	generation  int32
	rows, bytes int64
}

// series is what a connector has published since the first look, look by look.
type series struct {
	rows, bytes int64
	at          []time.Time
	sums        [][2]int64 // rows and bytes
}

// NewRecorder makes a recorder of a source. Without Run there are no rates.
func NewRecorder(source Source) *Recorder {
	return &Recorder{source: source, tasks: make(map[taskKey]taskSeen), series: make(map[string]*series)}
}

// Run looks until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	every := time.NewTicker(interval)
	defer every.Stop()
	for {
		r.note(r.source.Overview(ctx, 0))
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// note takes up what a look has seen.
func (r *Recorder) note(o herder.Overview) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tasks := make(map[taskKey]taskSeen)
	gone := maps.Clone(r.series)
	for i := range o.Connectors {
		c := &o.Connectors[i]
		delete(gone, c.Name)
		s := r.series[c.Name]
		if s == nil {
			s = &series{}
			r.series[c.Name] = s
		}
		for _, t := range c.Tasks {
			k := taskKey{c.Name, t.ID}
			before, known := r.tasks[k]
			if t.WorkerID == "" { // between two workers
				if known {
					tasks[k] = before
				}
				continue
			}
			now := taskSeen{t.WorkerID, t.Generation, t.Rows, t.Bytes}
			tasks[k] = now
			switch {
			case known && before.worker == now.worker && before.generation == now.generation && now.rows >= before.rows:
				s.rows += now.rows - before.rows
				s.bytes += now.bytes - before.bytes
			case known || (r.looked && now.worker == o.WorkerID):
				// Its counters have begun anew.
				s.rows += now.rows
				s.bytes += now.bytes
			default:
				// It has counted for nobody knows how long.
			}
		}
		s.add(o.Time)
	}
	for name := range gone {
		delete(r.series, name)
	}
	r.tasks = tasks
	r.looked = r.looked || len(o.Workers) > 0
}

func (s *series) add(at time.Time) {
	s.at, s.sums = append(s.at, at), append(s.sums, [2]int64{s.rows, s.bytes})
	if extra := len(s.at) - points - window; extra > 0 {
		s.at, s.sums = s.at[extra:], s.sums[extra:]
	}
}

// history gives the rate at each look but the first.
func (s *series) history() History {
	h := History{Rows: []float64{}, Bytes: []float64{}}
	for n := max(1, len(s.at)-points); n < len(s.at); n++ {
		from := max(0, n-window)
		seconds := s.at[n].Sub(s.at[from]).Seconds()
		if seconds <= 0 {
			continue
		}
		h.Rows = append(h.Rows, round(float64(s.sums[n][0]-s.sums[from][0])/seconds))
		h.Bytes = append(h.Bytes, round(float64(s.sums[n][1]-s.sums[from][1])/seconds))
	}
	return h
}

// round leaves out digits that say nothing.
func round(v float64) float64 { return float64(int64(v*10+0.5)) / 10 }

// Snapshot looks now, and adds the rates. Of each connector up to tablets tablets
// are listed.
func (r *Recorder) Snapshot(ctx context.Context, tablets int) Snapshot {
	s := Snapshot{Overview: r.source.Overview(ctx, tablets), IntervalMillis: interval.Milliseconds(), Connectors: []Connector{}}
	s.Totals.History = History{Rows: []float64{}, Bytes: []float64{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range s.Overview.Connectors {
		shown := Connector{ConnectorOverview: c, History: History{Rows: []float64{}, Bytes: []float64{}}}
		if seen := r.series[c.Name]; seen != nil {
			shown.History = seen.history()
		}
		shown.Rates = Rates{last(shown.History.Rows), last(shown.History.Bytes)}
		shown.CatchUp = catchUpOf(&shown.ConnectorOverview, shown.Rates.Rows)
		s.Totals.count(&shown)
		s.Totals.Rates.Rows += shown.Rates.Rows
		s.Totals.Rates.Bytes += shown.Rates.Bytes
		s.Totals.History.Rows = sum(s.Totals.History.Rows, shown.History.Rows)
		s.Totals.History.Bytes = sum(s.Totals.History.Bytes, shown.History.Bytes)
		s.Connectors = append(s.Connectors, shown)
	}
	s.Overview.Connectors = nil
	return s
}

func last(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return v[len(v)-1]
}

// sum adds two histories that end at the same time.
func sum(a, b []float64) []float64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	total := append([]float64{}, a...)
	for n, v := range b {
		total[len(total)-len(b)+n] += v
	}
	return total
}
