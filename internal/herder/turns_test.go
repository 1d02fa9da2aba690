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

func TestTurnsAreTakenInTheOrderOfAskingAndTakenOnlyFromWhoIsSilent(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var q turns
	want := func(since int, uids ...string) {
		t.Helper()
		var got []string
		for _, one := range q.queue {
			got = append(got, one.uid)
		}
		if !slices.Equal(got, uids) || len(uids) > 0 && !q.since.Equal(at(since)) {
			t.Errorf("the queue is %v since %v, want %v since %v", got, q.since, uids, at(since))
		}
	}
	q.giveBack("a", at(0)) // which never asked
	q.mark("a", 9, at(0))
	want(0)

	q.ask("a", 10, at(0))
	q.ask("b", 11, at(1))
	q.ask("c", 12, at(2))
	want(0, "a", "b", "c")
	q.giveBack("b", at(3)) // it has given up
	want(0, "a", "c")
	q.giveBack("a", at(5))
	want(5, "c")

	// Who asks again has to queue again.
	q.ask("d", 13, at(6))
	q.ask("c", 14, at(7))
	want(7, "d", "c")

	// The first one's time begins anew with what it writes, not with what others do.
	q.mark("c", 15, at(8))
	want(7, "d", "c")
	q.mark("d", 16, at(9))
	want(9, "d", "c")

	// Who has slept, and doesn't know what it has written, takes nothing from it.
	q.revoke(asked{"d", 13}, at(70))
	q.revoke(asked{"x", 13}, at(70))
	want(9, "d", "c")
	q.revoke(asked{"d", 16}, at(71))
	q.revoke(asked{"d", 16}, at(72))
	want(71, "c")
	q.revoke(asked{"c", 15}, at(140))
	want(140)
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

// editsSoon makes a connector, without waiting for a turn of another worker to run out.
func (m *faked) editsSoon(t *testing.T) {
	t.Helper()
	began := time.Now()
	must[ConnectorInfo](t)(m.Create(t.Context(), CreateRequest{Name: "c", Config: plain("c")}))
	if took := time.Since(began); took > turnTime/2 {
		t.Errorf("it took %v", took)
	}
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
	b.editsSoon(t)
}

// A worker that is asleep when its turn comes finds, when it wakes up, that another one
// has edited meanwhile.
func TestWorkerThatSleptThroughItsTurnEditsWhatIsThereNow(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	a.hears(t, "put c")
	b.turnTime = time.Second
	h := &herd{t: t}
	write := func(c change) {
		t.Helper()
		if err := b.write(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 4 {
		write(change{kind: turnKey, name: "other"})
		patched := make(chan error, 1)
		go func() {
			_, err := a.PatchConfig(ctx, "c", map[string]*string{"poll.interval.ms": new(fmt.Sprint(70 + round))})
			patched <- err
		}()
		h.eventually("a stands behind the other", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.turns.place(a.uid) == 1
		})
		wake := a.worker.sleep()
		t.Cleanup(wake)
		write(change{kind: connectorKey, name: "d", properties: plain("d", "tasks.max", fmt.Sprint(2+round))})
		write(change{kind: turnKey, name: "other", deletes: true})
		must[ConnectorInfo](t)(b.PatchConfig(ctx, "c", map[string]*string{"tasks.max": new(fmt.Sprint(2 + round))}))
		wake()
		if err := <-patched; err != nil {
			t.Fatal(err)
		}
		if err := b.mark(ctx); err != nil {
			t.Fatal(err)
		}
		if got := must[ConnectorInfo](t)(b.Connector(ctx, "c")).Config; got["tasks.max"] != fmt.Sprint(2+round) || got["poll.interval.ms"] != fmt.Sprint(70+round) {
			t.Fatalf("round %d: the configuration is %v", round, got)
		}
	}
}

func TestNothingIsWrittenOnceTheTurnIsOver(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(b.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	a.editTime, b.turnTime = 500*time.Millisecond, time.Second
	reading, slept, edited := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		edited <- a.edit(ctx, func(ctx context.Context) error {
			close(reading)
			<-slept
			return a.write(ctx, change{kind: connectorKey, name: "c", properties: plain("c", "tasks.max", "9")})
		})
	}()
	<-reading
	must[ConnectorInfo](t)(b.PatchConfig(ctx, "c", map[string]*string{"tasks.max": new("3")}))
	close(slept)
	wantKind(t, <-edited, Unavailable, "could not be stored")
	for _, m := range []*faked{a, b} {
		if err := m.mark(ctx); err != nil {
			t.Fatal(err)
		}
		if got := must[ConnectorInfo](t)(m.Connector(ctx, "c")).Config; got["tasks.max"] != "3" {
			t.Errorf("%s has %v", m.id, got)
		}
	}
}

// A tombstone that Kafka didn't take in time is written again.
func TestTurnThatNobodyWantsAnyMoreIsGivenBack(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	if err := a.write(ctx, change{kind: turnKey, name: a.uid}); err != nil {
		t.Fatal(err)
	}
	b.editsSoon(t)
}

func TestWhoWaitsForAnEditOfTheSameWorkerMayGiveUp(t *testing.T) {
	f := newFakes(t)
	a := f.join("a", nil)
	reading, done, edited := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		edited <- a.edit(t.Context(), func(context.Context) error {
			close(reading)
			<-done
			return nil
		})
	}()
	<-reading
	ctx, hangUp := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer hangUp()
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- a.Delete(ctx, "c") }()
	select {
	case err := <-gaveUp:
		wantKind(t, err, Unavailable, "isn't done")
	case <-time.After(10 * time.Second):
		t.Error("it waits still")
	}
	close(done)
	if err := <-edited; err != nil {
		t.Error(err)
	}
}

// A worker that is stopped while it edits keeps nobody waiting.
func TestWorkerThatStopsGivesItsTurnBack(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	b := f.join("b", nil)
	for round := range 5 {
		a := f.join(fmt.Sprint("a", round), nil)
		reading, done, edited := make(chan bool), make(chan bool), make(chan error, 1)
		go func() {
			edited <- a.edit(ctx, func(context.Context) error {
				close(reading)
				<-done
				return nil
			})
		}()
		<-reading
		stopped := make(chan bool)
		go func() {
			defer close(stopped)
			a.stop()
		}()
		(&herd{t: t}).eventually("a takes its leave", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.peers.all[a.uid] == nil
		})
		close(done)
		<-stopped
		if err := <-edited; err != nil {
			t.Error(err)
		}
		if err := b.mark(ctx); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		if b.turns.place(a.uid) >= 0 {
			t.Errorf("round %d: its turn lasts on", round)
		}
		b.mu.Unlock()
	}
}
