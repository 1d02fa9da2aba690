package herder

import (
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

func TestOverviewJoinsWhatAllWorkersTell(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a:1", nil), f.join("b:1", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c", "tasks.max", "3")}))
	a.hears(t, "put c")
	b.worker.mu.Lock()
	b.worker.tablets = []fakeTablet{{"c", 1, connector.TabletProgress{Tablet: "t9", Behind: true, Lag: time.Hour}}}
	b.worker.mu.Unlock()
	b.worker.show(connector.Status{Connector: "c", State: connector.Running, Tasks: []connector.TaskStatus{{
		Task: 1, State: connector.Failed, Cause: "no such <column>", Remedy: "add it", Generation: 2, Rows: 5, Bytes: 50,
		Last: connector.Mishap{Cause: "no such <column>", Remedy: "add it", At: noon},
	}}})
	a.worker.mu.Lock()
	a.worker.tablets = []fakeTablet{
		{"c", 0, connector.TabletProgress{Tablet: "t1"}},
		{"c", 0, connector.TabletProgress{Tablet: "t2", Behind: true, Lag: time.Minute}},
		{"c", 0, connector.TabletProgress{Tablet: "t3", Behind: true, Lag: time.Second}},
	}
	a.worker.mu.Unlock()
	a.worker.show(connector.Status{Connector: "c", State: connector.Running, Tasks: []connector.TaskStatus{
		{Task: 0, State: connector.Running, Generation: 2, Rows: 7, Bytes: 70},
	}})

	var o Overview
	(&herd{t: t}).eventually("a shows what b tells", func() bool {
		o = a.Overview(ctx, 2)
		return len(o.Connectors) == 1 && o.Connectors[0].Rows == 12 && len(o.Workers) == 2
	}, func() any { return o })
	c := o.Connectors[0]
	if c.Name != "c" || c.State != "RUNNING" || c.Target != "RUNNING" || c.Mode != "offset" || c.Table != "t" || c.Topic != "rows" || c.File {
		t.Errorf("the connector is %+v", c)
	}
	if c.TaskCounts.Tablets != 4 || c.Behind != 3 || c.Bytes != 120 || c.LagMillis < time.Hour.Milliseconds() {
		t.Errorf("its sums are %+v", c.TaskCounts)
	}
	if got := c.Tasks[1]; got.WorkerID != "b:1" || got.Trace != "no such <column>" || got.Remedy != "add it" || got.Last == nil || !got.Last.At.Equal(noon) || got.LagMillis < time.Hour.Milliseconds() {
		t.Errorf("task 1 is %+v", got)
	}
	if got := c.Tasks[2]; got.State != "UNASSIGNED" || got.WorkerID != "" || got.Rows != 0 {
		t.Errorf("task 2 is %+v", got)
	}
	want := []TabletOverview{
		{Task: 0, Tablet: "t2", Position: `{"id":"t2"}`, Behind: true, LagMillis: 60000}, {Task: 0, Tablet: "t3", Position: `{"id":"t3"}`, Behind: true, LagMillis: 1000},
	}
	if toJSON(t, c.Tablets) != toJSON(t, want) {
		t.Errorf("tablets are %+v, want the two furthest behind here: %+v", c.Tablets, want)
	}
	if w := o.Workers; w[0].ID != "a:1" || !w[0].Self || w[0].Rows != 7 || w[1].ID != "b:1" || w[1].Self || w[1].Tasks != 1 || w[1].Rows != 5 {
		t.Errorf("workers are %+v", w)
	}
	if o.Health.Status != "healthy" || o.GroupID != "g" || o.WorkerID != "a:1" {
		t.Errorf("the overview is of %+v %s %s", o.Health, o.GroupID, o.WorkerID)
	}
	if text := toJSON(t, a.Overview(ctx, 0)); strings.Contains(text, `"t2"`) || !strings.Contains(text, `"tablets":[]`) {
		t.Errorf("without tablets there is %s", text)
	}

	b.stop()
	(&herd{t: t}).eventually("b is gone", func() bool {
		o = a.Overview(ctx, 0)
		return len(o.Workers) == 1 && o.Connectors[0].Tasks[1].State == "UNASSIGNED" && o.Connectors[0].Rows == 7
	}, func() any { return o })
}

func TestFailedConnectorComesWithItsRemedy(t *testing.T) {
	f := newFakes(t)
	a := f.join("a:1", nil)
	must[ConnectorInfo](t)(a.Create(t.Context(), CreateRequest{Name: "c", Config: plain("c")}))
	a.worker.show(connector.Status{Connector: "c", State: connector.Failed, Cause: "table not found", Remedy: "create it"})
	o := a.Overview(t.Context(), 0)
	if c := o.Connectors[0]; c.State != "FAILED" || c.Trace != "table not found" || c.Remedy != "create it" || c.WorkerID != "a:1" {
		t.Errorf("it is %+v", c)
	}
}
