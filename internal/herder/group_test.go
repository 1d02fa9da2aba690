package herder

import (
	"slices"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

const (
	running  = connector.Running
	pausedSt = connector.Paused
)

func TestEitherWorkerSteersAConnectorForBoth(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a, b := h.join("a:8083", memberOptions{}), h.join("b:8083", memberOptions{})
	h.insert(100)
	info := must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders")}))
	if got := toJSON(t, info.Tasks); got != `[{"connector":"orders","task":0},{"connector":"orders","task":1}]` || info.Type != "source" {
		t.Errorf("created %+v", info)
	}
	b.become("orders", running, running, running)
	a.become("orders", running, running, running)
	h.published(0)
	for _, m := range []*member{a, b} {
		if got := must[[]string](t)(m.Connectors(ctx)); len(got) != 1 || got[0] != "orders" {
			t.Errorf("%s has connectors %v", m.id, got)
		}
		// They may be sharing the tasks out still.
		h.eventually("each task has a worker at "+m.id, func() bool {
			s, err := m.Status(ctx, "orders")
			return err == nil && !slices.ContainsFunc(s.Tasks, func(task TaskStatus) bool {
				return task.WorkerID != "a:8083" && task.WorkerID != "b:8083" || task.Version != "v0"
			})
		})
	}

	if err := b.SetTarget(ctx, "orders", TargetPaused); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*member{a, b} {
		m.become("orders", pausedSt, pausedSt, pausedSt)
	}
	h.insert(50)
	if err := a.SetTarget(ctx, "orders", TargetRunning); err != nil {
		t.Fatal(err)
	}
	b.become("orders", running, running, running)
	h.published(0)

	if err := a.SetTarget(ctx, "orders", TargetStopped); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*member{a, b} {
		m.become("orders", connector.Stopped)
		if got := must[ConnectorInfo](t)(m.Connector(ctx, "orders")); len(got.Tasks) != 0 {
			t.Errorf("a stopped connector has tasks %v", got.Tasks)
		}
	}

	// The offsets, through the one that didn't stop it; then all rows come again.
	list := must[ConnectorOffsets](t)(b.Offsets(ctx, "orders"))
	if len(list.Offsets) != 4 {
		t.Errorf("%d offsets, want those of 4 tablets: %s", len(list.Offsets), toJSON(t, list))
	}
	one := ConnectorOffsets{list.Offsets[:1]}
	one.Offsets[0].Offset = nil
	if _, err := b.AlterOffsets(ctx, "orders", one); err != nil {
		t.Error(err)
	}
	if got := must[ConnectorOffsets](t)(a.Offsets(ctx, "orders")); len(got.Offsets) != 3 {
		t.Errorf("%d offsets after one was reset", len(got.Offsets))
	}
	if msg, err := b.ResetOffsets(ctx, "orders"); err != nil || msg != "The offsets for this connector have been reset successfully" {
		t.Errorf("%q, %v", msg, err)
	}
	if got := must[ConnectorOffsets](t)(a.Offsets(ctx, "orders")); len(got.Offsets) != 0 {
		t.Errorf("%d offsets after the reset", len(got.Offsets))
	}
	if err := b.SetTarget(ctx, "orders", TargetRunning); err != nil {
		t.Fatal(err)
	}
	a.become("orders", running, running, running)
	h.published(150)

	if err := b.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*member{a, b} {
		h.eventually("the connector is gone at "+m.id, func() bool {
			names, err := m.Connectors(ctx)
			return err == nil && len(names) == 0 && len(m.worker.Status()) == 0
		})
	}
}

func TestConfigurationsAreReplacedAndPatchedOnAllWorkers(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a, b := h.join("a:8083", memberOptions{}), h.join("b:8083", memberOptions{})
	h.insert(40)
	if _, created, err := a.PutConfig(ctx, "orders", h.properties("orders")); err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	b.become("orders", running, running, running)
	if _, created, err := b.PutConfig(ctx, "orders", h.properties("orders", "tasks.max", "3")); err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	a.become("orders", running, running, running, running)
	two := "2"
	if _, err := a.PatchConfig(ctx, "orders", map[string]*string{"tasks.max": &two, "poll.interval.max.ms": nil}); err != nil {
		t.Fatal(err)
	}
	b.become("orders", running, running, running)
	h.eventually("the patch is seen", func() bool {
		info, err := b.Connector(ctx, "orders")
		return err == nil && info.Config["tasks.max"] == "2" && info.Config["poll.interval.max.ms"] == ""
	})
	h.insert(40)
	h.published(0)
}

func TestAnotherWorkerAnswersForOneThatDied(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a, b := h.join("a:8083", memberOptions{}), h.join("b:8083", memberOptions{})
	h.insert(40)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders")}))
	h.eventually("both have a task", func() bool {
		s, err := b.Status(ctx, "orders")
		return err == nil && len(s.Tasks) == 2 && s.Tasks[0].WorkerID != "" && s.Tasks[1].WorkerID != "" && s.Tasks[0].WorkerID != s.Tasks[1].WorkerID
	})
	a.stop()
	h.eventually("the one that is left has both", func() bool {
		s, err := b.Status(ctx, "orders")
		return err == nil && s.Tasks[0].WorkerID == "b:8083" && s.Tasks[1].WorkerID == "b:8083" && s.Tasks[0].State == State(running)
	})
	h.insert(40)
	h.published(0)
	// It comes back, with what was stored.
	a = h.join("a:8083", memberOptions{})
	if got := must[[]string](t)(a.Connectors(ctx)); len(got) != 1 {
		t.Errorf("connectors after the restart: %v", got)
	}
	a.become("orders", running, running, running)
}

func TestInitialOffsetsAreWhereAConnectorBegins(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a := h.join("a:8083", memberOptions{})
	h.insert(60)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders")}))
	h.published(0)
	if err := a.SetTarget(ctx, "orders", TargetStopped); err != nil {
		t.Fatal(err)
	}
	a.become("orders", connector.Stopped)
	list := must[ConnectorOffsets](t)(a.Offsets(ctx, "orders"))
	if err := a.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	h.insert(20)
	bad := ConnectorOffsets{Offsets: []ConnectorOffset{{Partition: []byte(`{"table":"x"}`), Offset: []byte(`{}`)}}}
	_, err := a.Create(ctx, CreateRequest{Name: "copy", Config: h.properties("copy"), InitialOffsets: bad.Offsets})
	wantKind(t, err, Invalid, "table and a tablet")
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "copy", Config: h.properties("copy"), InitialOffsets: list.Offsets}))
	a.become("copy", running, running, running)
	h.published(0)
}

func TestOffsetsOfAConnectorThatRunsAreNotChanged(t *testing.T) {
	h := newHerd(t)
	ctx := t.Context()
	a := h.join("a:8083", memberOptions{})
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "orders", Config: h.properties("orders")}))
	_, err := a.ResetOffsets(ctx, "orders")
	wantKind(t, err, Invalid, "must be in the STOPPED state")
	_, err = a.AlterOffsets(ctx, "orders", ConnectorOffsets{})
	wantKind(t, err, Invalid, "must be in the STOPPED state")
	if err := a.SetTarget(ctx, "orders", TargetStopped); err != nil {
		t.Fatal(err)
	}
	_, err = a.AlterOffsets(ctx, "orders", ConnectorOffsets{})
	wantKind(t, err, Invalid, "need to be provided")
	_, err = a.AlterOffsets(ctx, "orders", ConnectorOffsets{Offsets: []ConnectorOffset{{Partition: []byte(`["a"]`)}}})
	wantKind(t, err, Invalid, "isn't one of this connector")
}
