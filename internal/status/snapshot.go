package status

import (
	"math"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// Snapshot is the document that the page and the command show: the group's
// overview with rates.
type Snapshot struct {
	herder.Overview

	// IntervalMillis is the time between two points of a history, in milliseconds.
	IntervalMillis int64       `json:"interval_ms"`
	Totals         Totals      `json:"totals"`
	Connectors     []Connector `json:"connectors"`
}

// Rates are means over the last ten seconds.
type Rates struct {
	Rows  float64 `json:"rows_per_s"`
	Bytes float64 `json:"bytes_per_s"` // of keys and values, before compression
}

// Connector is a connector with its rates.
type Connector struct {
	herder.ConnectorOverview
	Rates

	// CatchUp is how far the first catch-up is; nil when that is over, or when nobody
	// knows how many rows there are to be.
	CatchUp *CatchUp `json:"catch_up,omitempty"`

	// History has the rates of the last five minutes, the oldest first; shorter
	// while the worker hasn't seen the connector for so long.
	History History `json:"history"`
}

// CatchUp is how far a connector is that reads its table for the first time.
type CatchUp struct {
	// Part is the part of the table that is published: 0 to 1.
	Part float64 `json:"part"`
	// LeftMillis is about how long the rest takes at the present rate, in
	// milliseconds; 0 without a rate.
	LeftMillis int64 `json:"left_ms,omitempty"`
}

// fromItsStart reports whether what a connector has published is all that has ever
// been of its table, and how many rows that has is known.
func fromItsStart(c *herder.ConnectorOverview) bool {
	return c.TableRows > 0 && c.Rows <= c.TableRows && !slices.ContainsFunc(c.Tasks, func(t herder.TaskOverview) bool { return t.Resumed })
}

// catchUpOf tells how far the first catch-up is, at a rate in rows per second.
func catchUpOf(c *herder.ConnectorOverview, rate float64) *CatchUp {
	if c.Behind == 0 || !fromItsStart(c) {
		return nil
	}
	up := &CatchUp{Part: math.Round(1000*float64(c.Rows)/float64(c.TableRows)) / 1000}
	if rate >= 1 {
		up.LeftMillis = int64(float64(c.TableRows-c.Rows) / rate * 1000)
	}
	return up
}

// History has one point for each interval.
type History struct {
	Rows  []float64 `json:"rows_per_s"`
	Bytes []float64 `json:"bytes_per_s"`
}

// Totals are sums over all connectors.
type Totals struct {
	Rates
	herder.TaskCounts

	Connectors int `json:"connectors"`
	Tasks      int `json:"tasks"`
	// TasksRunning publish, or wait for rows; TasksFailed need somebody.
	TasksRunning int `json:"tasks_running"`
	TasksFailed  int `json:"tasks_failed"`
	// ConnectorsFailed have failed themselves, or have a task that has.
	ConnectorsFailed int     `json:"connectors_failed"`
	History          History `json:"history"`
}

// failed is a state that needs somebody.
const failed herder.State = "FAILED"

// Failed reports whether a connector or one of its tasks has failed.
func (c *Connector) Failed() bool {
	if c.State == failed {
		return true
	}
	for _, t := range c.Tasks {
		if t.State == failed {
			return true
		}
	}
	return false
}

// count adds a connector to the totals.
func (t *Totals) count(c *Connector) {
	t.Connectors++
	if c.Failed() {
		t.ConnectorsFailed++
	}
	for _, task := range c.Tasks {
		t.Tasks++
		switch task.State {
		case "RUNNING", "COMPLETED":
			t.TasksRunning++
		case failed:
			t.TasksFailed++
		}
	}
	t.TaskCounts.Rows += c.TaskCounts.Rows
	t.TaskCounts.Bytes += c.TaskCounts.Bytes
	t.Tablets += c.TaskCounts.Tablets
	t.Behind += c.Behind
	t.LagMillis = max(t.LagMillis, c.LagMillis)
}
