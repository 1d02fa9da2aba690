package herder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTurnsAreTakenInTheOrderOfAskingAndEndWithTheirTime(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	limit := int(turnTime / time.Second)
	var q turns
	want := func(now int, uid string, until int) {
		t.Helper()
		got, ends := q.whose(at(now))
		if got != uid || uid != "" && !ends.Equal(at(until)) {
			t.Errorf("after %d s it is the turn of %q until %v, want %q until %v", now, got, ends, uid, at(until))
		}
	}
	want(0, "", 0)
	q.giveBack("a", at(0)) // which never asked

	q.ask("a", at(0))
	q.ask("b", at(1))
	q.ask("c", at(2))
	want(2, "a", limit)
	q.giveBack("b", at(3)) // it has given up
	q.giveBack("a", at(5))
	want(5, "c", 5+limit)

	// Who asks again has to queue again.
	q.ask("d", at(6))
	q.ask("c", at(7))
	want(7, "d", 7+limit)

	// One that is dead, or asleep, has its time and no more; so has the next one.
	want(7+limit-1, "d", 7+limit)
	want(7+limit, "c", 7+2*limit)
	if q.stands("d") || !q.stands("c") {
		t.Errorf("the queue is %v", q.queue)
	}
	want(7+2*limit, "", 0)
	q.ask("e", at(1000))
	want(1000, "e", 1000+limit)
}

// The one that has slept through another's edit still knows the configuration of
// before when it is asked to change it.
func TestPatchIsOfWhatAnotherWorkerWasToldJustBefore(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	a.hears(t, "put c")

	wake := a.worker.sleep()
	must[ConnectorInfo](t)(b.PatchConfig(ctx, "c", map[string]*string{"tasks.max": new("2")}))
	must[ConnectorInfo](t)(b.PatchConfig(ctx, "c", map[string]*string{"tasks.max": new("3")}))
	var patching sync.WaitGroup
	patching.Go(func() {
		if _, err := a.PatchConfig(ctx, "c", map[string]*string{"poll.interval.ms": new("77")}); err != nil {
			t.Error(err)
		}
	})
	wake()
	patching.Wait()
	if err := b.mark(ctx); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*faked{a, b} {
		if got := must[ConnectorInfo](t)(m.Connector(ctx, "c")).Config; got["tasks.max"] != "3" || got["poll.interval.ms"] != "77" {
			t.Errorf("%s has %v", m.id, got)
		}
	}
}

func TestPatchesOfSeveralWorkersAtATimeAreAllKept(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	members := []*faked{f.join("a", nil), f.join("b", nil), f.join("c", nil)}
	must[ConnectorInfo](t)(members[0].Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	want := plain("c")
	var patching sync.WaitGroup
	for _, m := range members {
		for i := range 10 {
			want[fmt.Sprintf("topic.creation.default.%s.%d", m.id, i)] = "x"
		}
		patching.Go(func() {
			for i := range 10 {
				if _, err := m.PatchConfig(ctx, "c", map[string]*string{fmt.Sprintf("topic.creation.default.%s.%d", m.id, i): new("x")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	patching.Wait()
	for _, m := range members {
		if err := m.mark(ctx); err != nil {
			t.Fatal(err)
		}
		if got := must[ConnectorInfo](t)(m.Connector(ctx, "c")).Config; !maps.Equal(got, want) {
			t.Errorf("%s has %d of %d keys: %v", m.id, len(got), len(want), slices.Sorted(maps.Keys(got)))
		}
	}
}

// Of several that make a connector of one name, one does; the others are told so.
func TestConnectorIsMadeByOneOfSeveralWorkers(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	members := []*faked{f.join("a", nil), f.join("b", nil), f.join("c", nil)}
	for round := range 5 {
		name := fmt.Sprint("c", round)
		made := make(chan error, len(members))
		for _, m := range members {
			go func() {
				_, err := m.Create(ctx, CreateRequest{Name: name, Config: plain(name)})
				made <- err
			}()
		}
		var refused []error
		for range members {
			if err := <-made; err != nil {
				refused = append(refused, err)
			}
		}
		if len(refused) != len(members)-1 {
			t.Fatalf("%d of %d were refused: %v", len(refused), len(members), refused)
		}
		for _, err := range refused {
			wantKind(t, err, Conflict, "already exists")
		}
	}
}

// What another worker was told is known, as soon as it was answered, to one that is
// asked to act on it.
func TestWhatOneWorkerWasToldTheOthersActOn(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	for round := range 10 {
		name := fmt.Sprint("c", round)
		wake := a.worker.sleep()
		must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: name + "x", Config: plain(name + "x")}))
		must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: name, Config: plain(name)}))
		done := make(chan error, 1)
		go func() {
			var err error
			switch round % 3 {
			case 0:
				err = a.SetTarget(ctx, name, TargetPaused)
			case 1:
				_, err = a.Restart(ctx, name, true, false)
			default:
				err = a.Delete(ctx, name)
			}
			done <- err
		}()
		wake()
		if err := <-done; err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

func TestEditWaitsForTheTurnOfAnotherAndGivesItsOwnBackWhenItGivesUp(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	queue := func(m *faked) []string {
		m.mu.Lock()
		defer m.mu.Unlock()
		var uids []string
		for _, w := range m.turns.queue {
			uids = append(uids, w.uid)
		}
		return uids
	}
	other := func(value []byte) {
		t.Helper()
		if err := a.bus.write(ctx, &kgo.Record{Topic: a.config.ConfigTopic(), Key: []byte(turnKey + "other"), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	other([]byte(`{"version":1}`))

	// Its caller has no patience.
	short, hangUp := context.WithCancel(ctx)
	impatient := make(chan error, 1)
	go func() {
		_, err := a.PatchConfig(short, "c", map[string]*string{"tasks.max": new("9")})
		impatient <- err
	}()
	h := &herd{t: t}
	h.eventually("a stands behind the other", func() bool { return slices.Equal(queue(b), []string{"other", a.uid}) }, func() any { return queue(b) })
	patient := make(chan error, 1)
	go func() {
		_, err := b.PatchConfig(ctx, "c", map[string]*string{"poll.interval.ms": new("77")})
		patient <- err
	}()
	h.eventually("b stands behind a", func() bool { return slices.Equal(queue(a), []string{"other", a.uid, b.uid}) }, func() any { return queue(a) })
	hangUp()
	wantKind(t, <-impatient, Unavailable, "Another worker is changing a connector")
	h.eventually("a has given up", func() bool { return slices.Equal(queue(b), []string{"other", b.uid}) }, func() any { return queue(b) })
	select {
	case err := <-patient:
		t.Fatalf("b edited in the turn of another: %v", err)
	default:
	}
	other(nil)
	if err := <-patient; err != nil {
		t.Fatal(err)
	}
	if got := must[ConnectorInfo](t)(b.Connector(ctx, "c")).Config; got["poll.interval.ms"] != "77" || got["tasks.max"] != "" {
		t.Errorf("the configuration is %v", got)
	}
	h.eventually("nobody waits", func() bool { return len(queue(a)) == 0 })
}

// A worker that died in its turn leaves its record behind, which keeps nobody waiting
// who starts after its time.
func TestTurnOfAWorkerThatDiedLongAgoIsOver(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a := f.join("a", nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(f.kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dead := &kgo.Record{Topic: a.config.ConfigTopic(), Key: []byte(turnKey + "dead"), Value: []byte(`{"version":1}`), Timestamp: time.Now().Add(-turnTime)}
	if err := client.ProduceSync(ctx, dead).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b := f.join("b", nil)
	began := time.Now()
	must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	if took := time.Since(began); took > turnTime/2 {
		t.Errorf("it took %v", took)
	}
}
