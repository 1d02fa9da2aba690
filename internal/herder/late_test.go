package herder

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// shown is what the member says of a connector with one task.
func (m *faked) shown(t *testing.T, name string) string {
	t.Helper()
	s, err := m.Status(t.Context(), name)
	if err != nil || len(s.Tasks) != 1 {
		return fmt.Sprint(s, err)
	}
	return fmt.Sprintf("%s, 0 %s at %s", s.Connector.State, s.Tasks[0].State, s.Tasks[0].WorkerID)
}

// A worker may take another one for dead that was only cut off; what it has deleted is told
// again, even if nothing has changed since.
func TestWhatAWorkerHasToldIsToldAgainWhenAnotherHasDeletedIt(t *testing.T) {
	f := newFakes(t)
	h := &herd{t: t}
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: "c", Config: plain("c", "tasks.max", "1"), InitialState: TargetPaused}))
	a.hears(t, "put c")
	a.worker.show(connector.Status{Connector: "c", State: connector.Paused, Tasks: []connector.TaskStatus{{Task: 0, State: connector.Paused, Generation: 1}}})
	told := func() bool { return b.shown(t, "c") == "PAUSED, 0 PAUSED at a" }
	h.eventually("a has told", told, func() any { return b.shown(t, "c") })

	key := statusConnectorKey + "c:" + a.uid
	if err := b.bus.write(ctx, b.statusRecord(key, nil), b.statusRecord(workerKey+a.uid, nil)); err != nil {
		t.Fatal(err)
	}
	h.eventually("a has told again", told, func() any { return b.shown(t, "c") })
}

// Nobody has given a sign of life while Kafka was away, or while this worker was stopped:
// that says nothing about the others.
func TestWorkerThatWasCutOffDoesNotTakeTheOthersForDead(t *testing.T) {
	f := newFakes(t)
	h := &herd{t: t}
	a := f.join("a", nil)
	lock := func(f func()) {
		a.mu.Lock()
		defer a.mu.Unlock()
		f()
	}
	// Whether what the other has told was deleted by the time that a has written n signs
	// of life more.
	isGone := func(n int) (gone bool) {
		for range n {
			var echoed time.Time
			lock(func() { echoed = a.echoed })
			h.eventually("a gives a sign of life", func() (again bool) {
				lock(func() { again = a.echoed.After(echoed) })
				return again
			})
		}
		lock(func() { gone = a.peers.all["other"] == nil })
		return gone
	}
	lock(func() {
		if _, err := a.peers.apply(statusConnectorKey+"c:other", []byte(`{"version":1,"state":"PAUSED"}`), time.Now().Add(-2*silence)); err != nil {
			t.Error(err)
		}
		a.echoed = time.Now().Add(-2 * silence)
	})
	if isGone(5) {
		t.Error("it was taken for dead")
	}
	lock(func() { a.hearing = a.hearing.Add(-2 * silence) })
	h.eventually("the other is taken for dead at last", func() bool { return isGone(1) })
}

// A pause that came too late for a connector that was being deleted is not for the next one
// of its name.
func TestConnectorMadeByPutRunsWhateverItsPredecessorWasToldLast(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a := f.join("a", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	if err := a.Delete(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if err := a.write(ctx, change{kind: targetKey, name: "c", target: connector.TargetStopped}); err != nil {
		t.Fatal(err)
	}
	if _, created, err := a.PutConfig(ctx, "c", plain("c", "tasks.max", "7")); err != nil || !created {
		t.Fatal(created, err)
	}
	a.hears(t, "put c 7 RUNNING")
	if err := a.SetTarget(ctx, "c", TargetPaused); err != nil {
		t.Fatal(err)
	}
	if _, created, err := a.PutConfig(ctx, "c", plain("c", "tasks.max", "8")); err != nil || created {
		t.Fatal(created, err)
	}
	a.hears(t, "put c 8 PAUSED")
}

func TestTopicsThatAnotherWorkerHasJustToldAreReset(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	for round := range 5 {
		wake := a.worker.sleep()
		t.Cleanup(wake)
		if err := b.write(ctx, change{kind: connectorKey, name: "d", properties: plain("d", "tasks.max", fmt.Sprint(2+round))}); err != nil {
			t.Fatal(err)
		}
		told := &kgo.Record{Topic: b.config.StatusTopic(), Key: []byte(statusTopicKey + "rows" + ofConnector + "c"), Value: []byte(`{"version":1,"discovered":"2026-01-02T12:00:00Z"}`)}
		if err := b.bus.write(ctx, told); err != nil {
			t.Fatal(err)
		}
		reset := make(chan error, 1)
		go func() { reset <- a.ResetTopics(ctx, "c") }()
		wake()
		if err := <-reset; err != nil {
			t.Fatal(err)
		}
		if err := b.mayTell(ctx); err != nil { // which reads all that there is
			t.Fatal(err)
		}
		if got := must[[]string](t)(b.Topics(ctx, "c")); len(got) != 0 {
			t.Errorf("round %d: %v", round, got)
		}
	}
}
