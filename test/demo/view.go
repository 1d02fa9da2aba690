package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// view gathers what is shown. Safe for concurrent use; the zero value is ready.
type view struct {
	mu      sync.Mutex
	written int64
	count   topicCount
	grown   chan struct{} // closed and replaced when rows have come
	key     string        // of the latest record
	value   string
	state   string // of the connector
	marks   []mark
	warning string
	queue   *queueView // with a queue
	began   time.Time
	samples []sample
}

// topicCount is how many rows a consumer has found in the topic.
type topicCount struct {
	rows  int64 // all of them
	twice int64 // those that had been there before
}

// mark is how far a tablet has been published.
type mark struct {
	tablet string
	task   int32
	key    string // high-water mark of the streaming key, as JSON
}

// sample is the topic's count at a time.
type sample struct {
	at   time.Time
	rows int64
}

// rateWindow is the time over which rows per second are counted.
const rateWindow = 3 * time.Second

func (v *view) wrote(total int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.written = total
}

func (v *view) consumed(count topicCount, key, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count, v.key, v.value = count, key, value
	if v.grown != nil {
		close(v.grown)
		v.grown = nil
	}
}

func (v *view) topicRows() (count topicCount, grown <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.grown == nil {
		v.grown = make(chan struct{})
	}
	return v.count, v.grown
}

func (v *view) positions(marks []mark) {
	slices.SortFunc(marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.task, b.task), cmp.Compare(a.tablet, b.tablet))
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.marks = marks
}

func (v *view) connector(state string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state = state
}

func (v *view) warn(line string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.warning = line
}

// whole tells whether all parts have something to show: rows, positions, and a
// connector that runs.
func (v *view) whole() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.count.rows > 0 && (v.queue != nil || len(v.marks) > 0) && strings.Contains(v.state, " is RUNNING: ")
}

// lines renders the view as it is now.
func (v *view) lines(now time.Time) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.began.IsZero() {
		v.began = now
	}
	lines := []string{
		fmt.Sprintf("%5.0f s  connector %s", now.Sub(v.began).Seconds(), cmp.Or(v.state, "STARTING")),
		fmt.Sprintf("  rows     %d in the topic, %.0f rows/s; %d written to the table", v.count.rows, v.rate(now), v.written),
		"  key      " + cmp.Or(v.key, "none yet"),
		"  value    " + cmp.Or(v.value, "none yet"),
	}
	for _, m := range v.marks {
		lines = append(lines, fmt.Sprintf("  hwm      %.8s %s", m.tablet, m.key))
	}
	lines = append(lines, v.queue.lines(v.written)...)
	if v.warning != "" {
		lines = append(lines, "  warning  "+v.warning)
	}
	return lines
}

// rate is the rows per second that came within the window.
func (v *view) rate(now time.Time) float64 {
	v.samples = append(v.samples, sample{now, v.count.rows})
	// One sample from before the window stays, to count from.
	for len(v.samples) > 2 && now.Sub(v.samples[1].at) >= rateWindow {
		v.samples = v.samples[1:]
	}
	first := v.samples[0]
	if elapsed := now.Sub(first.at); elapsed > 0 {
		return float64(v.count.rows-first.rows) / elapsed.Seconds()
	}
	return 0
}

// plain takes out of a text what would move a terminal's cursor.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}
