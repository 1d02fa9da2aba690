package herder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func TestRestartsReachEveryWorkerOnceAndNoneThatStartsLater(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c-1", Config: plain("c-1", "tasks.max", "3")}))
	a.worker.show(connector.Status{Connector: "c-1", State: connector.Running, Tasks: []connector.TaskStatus{
		{Task: 0, State: connector.Running, Generation: 1}, {Task: 2, State: connector.Failed, Cause: "no such column", Generation: 1},
	}})
	(&herd{t: t}).eventually("b knows", func() bool {
		s, err := b.TaskStatus(ctx, "c-1", 2)
		return err == nil && s.State == "FAILED" && s.Trace == "no such column" && s.WorkerID == "a"
	})
	s := must[ConnectorStatus](t)(b.Restart(ctx, "c-1", true, true))
	var states []string
	for _, task := range s.Tasks {
		states = append(states, string(task.State)+" "+task.Trace)
	}
	if got := strings.Join(states, ","); got != "RUNNING ,UNASSIGNED ,RESTARTING " || s.Connector.State != "RUNNING" {
		t.Errorf("a restart of what failed shows %s, connector %s", got, s.Connector.State)
	}
	if s = must[ConnectorStatus](t)(b.Restart(ctx, "c-1", false, false)); s.Connector.State != "RESTARTING" || s.Tasks[0].State != "RUNNING" {
		t.Errorf("a restart of the connector shows %+v", s)
	}
	if err := a.RestartTask(ctx, "c-1", 2); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*faked{a, b} {
		m.hears(t, "restart c-1-2")
		want := []string{"remove c-1", "put c-1 3 RUNNING", "restart c-1 true true", "restart c-1 false false", "restart c-1-2"}
		got := slices.DeleteFunc(m.worker.was(), func(s string) bool { return strings.HasPrefix(s, "target") || s == "remove c-1" })
		if !slices.Equal(got, want[1:]) {
			t.Errorf("%s was told %q", m.id, got)
		}
	}
	late := f.join("late", nil)
	if got := late.worker.was(); !slices.Equal(got, []string{"put c-1 3 RUNNING"}) {
		t.Errorf("one that came later was told %q", got)
	}
}

func TestConcurrentEditsConverge(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	members := []*faked{f.join("a", nil), f.join("b", nil), f.join("c", nil)}
	must[ConnectorInfo](t)(members[0].Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	var editing sync.WaitGroup
	for n, m := range members {
		editing.Go(func() {
			for i := range 10 {
				if _, _, err := m.PutConfig(ctx, "c", plain("c", "tasks.max", fmt.Sprint(10*n+i+1))); err != nil {
					t.Error(err)
				}
				if err := m.SetTarget(ctx, "c", []TargetState{TargetRunning, TargetPaused, TargetStopped}[(n+i)%3]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	editing.Wait()
	for _, m := range members { // each has seen at least its own; now all have seen all
		if err := m.mark(ctx); err != nil {
			t.Fatal(err)
		}
	}
	config := func(m *faked) string {
		m.mu.Lock()
		defer m.mu.Unlock()
		return fmt.Sprint(m.known["c"], m.targets["c"])
	}
	last := func(m *faked, begin string) string {
		all := slices.DeleteFunc(m.worker.was(), func(s string) bool { return !strings.HasPrefix(s, begin) })
		return all[len(all)-1]
	}
	for _, m := range members[1:] {
		if config(m) != config(members[0]) {
			t.Errorf("%s has %s, a has %s", m.id, config(m), config(members[0]))
		}
		if strings.Fields(last(m, "put"))[2] != strings.Fields(last(members[0], "put"))[2] || last(m, "target") != last(members[0], "target") {
			t.Errorf("%s's worker was told last %s, %s; a's %s, %s", m.id, last(m, "put"), last(m, "target"), last(members[0], "put"), last(members[0], "target"))
		}
	}
}

func TestConfigurationThatOneWorkerCannotResolveFailsThereOnly(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	allow := func(o *Options) { o.Config.ProvidersEnvPattern = "TABLE" }
	a := f.join("a", func(o *Options) { allow(o); o.Env = func(string) (string, bool) { return "t", true } })
	b := f.join("b", allow)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c", "kudu.table", "${env:TABLE}")}))
	a.hears(t, "put c 1 RUNNING")
	b.hears(t, "unfit c RUNNING kudu.table: ${env:TABLE}: the environment variable TABLE is not set")
	if got := must[ConnectorInfo](t)(b.Connector(ctx, "c")); got.Config["kudu.table"] != "${env:TABLE}" || len(got.Tasks) != 1 {
		t.Errorf("b shows %+v", got)
	}
	a.worker.show(connector.Status{Connector: "c", State: connector.Running})
	b.worker.show(connector.Status{Connector: "c", State: connector.Failed, Cause: "TABLE is not set"})
	for _, m := range []*faked{a, b} {
		(&herd{t: t}).eventually("both workers' words are merged", func() bool {
			s, err := m.Status(ctx, "c")
			return err == nil && s.Connector.State == "RUNNING" && s.Connector.WorkerID == "a" && s.Connector.Trace == "on worker b: TABLE is not set"
		})
	}
}

func TestRecordsThatCannotBeReadAreLeftAside(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a := f.join("a", nil)
	for _, r := range []*kgo.Record{
		{Topic: "g-configs", Key: []byte("connector-bad"), Value: []byte(`{"version":9}`)},
		{Topic: "g-configs", Key: []byte("session-key"), Value: []byte(`{}`)},
		{Topic: "g-configs", Value: []byte(`{}`)},
		{Topic: "g-status", Key: []byte("worker-x"), Value: []byte(`[`)},
		{Topic: "g-status", Key: []byte("status-connector-x"), Value: []byte(`{}`)},
	} {
		if err := a.bus.write(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	if got := must[[]string](t)(a.Connectors(ctx)); !slices.Equal(got, []string{"c"}) {
		t.Errorf("connectors are %v", got)
	}
	late := f.join("late", nil)
	if got := must[[]string](t)(late.Connectors(ctx)); !slices.Equal(got, []string{"c"}) {
		t.Errorf("connectors are %v", got)
	}
}

func TestTopicsAreRememberedUntilTheyAreReset(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("a", nil), f.join("b", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	topics := func(want ...string) {
		t.Helper()
		for _, m := range []*faked{a, b} {
			var got []string
			(&herd{t: t}).eventually(fmt.Sprintf("%s shows %v", m.id, want), func() bool {
				var err error
				got, err = m.Topics(ctx, "c")
				return err == nil && slices.Equal(got, want)
			}, func() any { return got })
		}
	}
	rows := func(n int64) {
		a.worker.show(connector.Status{Connector: "c", State: connector.Running, Tasks: []connector.TaskStatus{{State: connector.Running, Rows: n}}})
	}
	rows(0)
	topics()
	rows(10)
	topics("rows")
	if err := b.ResetTopics(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	topics()
	rows(11)
	topics("rows")

	off := f.join("off", func(o *Options) { o.Config.TopicTrackingEnable = false })
	_, err := off.Topics(ctx, "c")
	wantKind(t, err, Forbidden, "topic.tracking.enable")
	kept := f.join("kept", func(o *Options) { o.Config.TopicTrackingAllowReset = false })
	wantKind(t, kept.ResetTopics(ctx, "c"), Forbidden, "topic.tracking.allow.reset")
}

func TestHealthTellsThatKafkaIsGone(t *testing.T) {
	f := newFakes(t)
	a := f.join("a", func(o *Options) { o.Config.SessionTimeout = 300 * time.Millisecond })
	f.kafka.Close()
	// What is missed first depends on what was under way when it went.
	(&herd{t: t}).eventually("the worker is unhealthy since Kafka can't be reached", func() bool {
		got := a.Health(t.Context())
		return got.Status == "unhealthy" && strings.Contains(got.Message, "Kafka can't be reached")
	}, func() any { return a.Health(t.Context()) })
}

func TestTopicOfSeveralPartitionsIsRefused(t *testing.T) {
	f := newFakes(t)
	if err := f.kafka.CreateTopic("g-configs", 2, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	cfg := connector.DefaultWorkerConfig()
	cfg.BootstrapServers, cfg.GroupID = f.kafka.ListenAddrs(), "g"
	hd, err := New(Options{Config: cfg, Worker: &fakeWorker{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := hd.Health(t.Context()); got.Status != "starting" {
		t.Errorf("health is %+v", got)
	}
	_, err = hd.Connectors(t.Context())
	wantKind(t, err, Unavailable, "starting up")
	var unfit *unfitTopicError
	if err := hd.Run(t.Context()); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "config.storage.topic: topic \"g-configs\" has 2 partitions") {
		t.Errorf("Run ended with %v", err)
	}
}

func TestStartingWorkerTellsWhatItWaitsFor(t *testing.T) {
	f := newFakes(t)
	cfg := connector.DefaultWorkerConfig()
	cfg.BootstrapServers, cfg.GroupID = f.kafka.ListenAddrs(), "g"
	f.kafka.Close()
	hd, err := New(Options{Config: cfg, Worker: &fakeWorker{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hd.Run(ctx) }()
	cause := "it waits for Kafka at " + strings.Join(cfg.BootstrapServers, ", ") + ": "
	said := func() bool {
		h := hd.Health(t.Context())
		return h.Status == "starting" && strings.Contains(h.Message, cause)
	}
	if !testenv.Eventually(t.Context(), time.Minute, said) {
		t.Errorf("health is %+v", hd.Health(t.Context()))
	}
	_, err = hd.Status(t.Context(), "orders")
	wantKind(t, err, Unavailable, cause)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

type fakeLevels struct {
	mu  sync.Mutex
	set []string
}

func (l *fakeLevels) All() map[string]LoggerLevel {
	return map[string]LoggerLevel{"kudu2kafka": {Level: "INFO"}}
}

func (l *fakeLevels) Set(name, level string) ([]string, error) {
	if level == "LOUD" {
		return nil, ErrNoLevel
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = append(l.set, name+" "+level)
	return []string{name}, nil
}

func (l *fakeLevels) was() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.set, ",")
}

func TestLevelsAreSetHereOrEverywhere(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	la, lb := &fakeLevels{}, &fakeLevels{}
	a := f.join("a", func(o *Options) { o.Levels = la })
	f.join("b", func(o *Options) { o.Levels = lb })
	if touched, err := a.SetLogger(ctx, "kudu2kafka", "DEBUG", false); err != nil || !slices.Equal(touched, []string{"kudu2kafka"}) {
		t.Errorf("touched %v, %v", touched, err)
	}
	if touched, err := a.SetLogger(ctx, "kudu2kafka", "TRACE", true); err != nil || touched != nil {
		t.Errorf("touched %v, %v", touched, err)
	}
	(&herd{t: t}).eventually("b's level is set", func() bool { return lb.was() == "kudu2kafka TRACE" })
	if got := la.was(); !strings.HasPrefix(got, "kudu2kafka DEBUG,kudu2kafka TRACE") {
		t.Errorf("a's levels were set: %s", got)
	}
	_, err := a.SetLogger(ctx, "kudu2kafka", "LOUD", true)
	wantKind(t, err, NotFound, "invalid log level 'LOUD'")
	if got := must[LoggerLevel](t)(a.Logger(ctx, "kudu2kafka")); got.Level != "INFO" {
		t.Errorf("the level is %+v", got)
	}
}

func TestWorkerThatStopsInOrderLeavesNothingBehind(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a, b := f.join("", nil), f.join("b", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c")}))
	a.worker.show(connector.Status{Connector: "c", State: connector.Running, Tasks: []connector.TaskStatus{{State: connector.Running}}})
	(&herd{t: t}).eventually("b knows a by a name made of client.id", func() bool {
		s, err := b.TaskStatus(ctx, "c", 0)
		return err == nil && strings.HasPrefix(s.WorkerID, "kudu2kafka@")
	})
	a.stop()
	(&herd{t: t}).eventually("b knows that nobody has the task", func() bool {
		s, err := b.TaskStatus(ctx, "c", 0)
		b.mu.Lock()
		defer b.mu.Unlock()
		return err == nil && s.State == "UNASSIGNED" && b.peers.all[a.uid] == nil
	})
}

func TestFileCountsOnItsWorkerThoughRESTHasMadeItsName(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a := f.join("a", nil)
	must[ConnectorInfo](t)(a.Create(ctx, CreateRequest{Name: "c", Config: plain("c", "tasks.max", "2")}))
	b := f.join("b", func(o *Options) {
		o.Files = []File{fileOf(t, writeFile(t, plain("c", "tasks.max", "3")), o.Env)}
	})
	if got := b.worker.was(); !slices.Equal(got, []string{"target c RUNNING"}) {
		t.Errorf("b's worker was told %q", got)
	}
	if got := must[ConnectorInfo](t)(b.Connector(ctx, "c")); got.Config["tasks.max"] != "3" {
		t.Errorf("b shows %v", got.Config)
	}
	_, _, err := b.PutConfig(ctx, "c", plain("c"))
	wantKind(t, err, Conflict, "comes from a file")
	// It can still be taken out of the topic through a.
	if err := a.Delete(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if got := b.worker.was(); slices.Contains(got, "remove c") {
		t.Errorf("b's worker was told %q", got)
	}
}

// The client waits 10 s and more for a connection that is being opened, whatever is to
// end meanwhile.
func TestStopAtTheStartDoesNotWaitForABrokerThatIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // connections come about, and nothing is answered
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := connector.DefaultWorkerConfig()
	cfg.BootstrapServers, cfg.GroupID = []string{l.Addr().String()}, "g"
	w, err := connector.NewWorker(cfg, nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{Config: cfg, Worker: w, WorkerID: "a", Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stop()
	stopped := time.Now()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
