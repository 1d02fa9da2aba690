package herder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// fakeWorker notes what it is told, and shows what the test says.
type fakeWorker struct {
	mu       sync.Mutex
	told     []string
	shows    []connector.Status
	tablets  []fakeTablet
	onChange func()
	awake    sync.Mutex
}

type fakeTablet struct {
	connector string
	task      int32
	connector.TabletProgress
}

func (w *fakeWorker) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

func (w *fakeWorker) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// sleep keeps whoever puts a connector waiting, until wake is called.
func (w *fakeWorker) sleep() (wake func()) {
	w.awake.Lock()
	return sync.OnceFunc(w.awake.Unlock)
}

func (w *fakeWorker) Put(cfg connector.Config, target connector.Target) {
	w.awake.Lock()
	defer w.awake.Unlock()
	w.note("put %s %d %s", cfg.Name, cfg.TasksMax, target)
}

func (w *fakeWorker) PutUnfit(name string, target connector.Target, why error) {
	w.note("unfit %s %s %v", name, target, why)
}

func (w *fakeWorker) SetTarget(name string, target connector.Target) bool {
	w.note("target %s %s", name, target)
	return true
}
func (w *fakeWorker) Remove(name string) { w.note("remove %s", name) }

func (w *fakeWorker) Restart(name string, tasks, onlyFailed bool) bool {
	w.note("restart %s %v %v", name, tasks, onlyFailed)
	return true
}

func (w *fakeWorker) RestartTask(name string, task int32) bool {
	w.note("restart %s-%d", name, task)
	return true
}

func (w *fakeWorker) Status() []connector.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.shows)
}

func (w *fakeWorker) Tablets(_ time.Time, each func(string, int32, connector.TabletProgress)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tablets {
		each(t.connector, t.task, t.TabletProgress)
	}
}

func (w *fakeWorker) Position(_ string, _ int32, tablet string) string {
	return `{"id":"` + tablet + `"}`
}

func (w *fakeWorker) OnChange(f func()) { w.onChange = f }

func (w *fakeWorker) show(s ...connector.Status) {
	w.mu.Lock()
	w.shows = s
	w.mu.Unlock()
	w.onChange()
}

func (w *fakeWorker) was() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// faked is a herder on a fake worker.
type faked struct {
	*Herder
	worker *fakeWorker
	stop   func()
}

type fakes struct {
	t     *testing.T
	kafka *kfake.Cluster
}

func newFakes(t *testing.T) *fakes {
	t.Helper()
	f := &fakes{t, kfake.MustCluster(kfake.NumBrokers(1))}
	t.Cleanup(f.kafka.Close)
	return f
}

// join starts a herder that is ready. Its session outlasts a pause of this process, in
// which nobody gives a sign of life.
func (f *fakes) join(id string, change func(*Options)) *faked {
	f.t.Helper()
	cfg := connector.DefaultWorkerConfig()
	cfg.BootstrapServers, cfg.GroupID = f.kafka.ListenAddrs(), "g"
	cfg.ConfigReplicationFactor, cfg.StatusReplicationFactor = 1, 1
	cfg.SessionTimeout, cfg.HeartbeatInterval = 10*time.Second, 50*time.Millisecond
	w := &fakeWorker{}
	o := Options{Config: cfg, Worker: w, WorkerID: id, Version: "v0", Env: func(string) (string, bool) { return "", false }}
	if change != nil {
		change(&o)
	}
	hd, err := New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hd.Run(ctx) }()
	var once sync.Once
	m := &faked{Herder: hd, worker: w}
	m.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				f.t.Errorf("herder %s ended with %v", id, err)
			}
		})
	}
	f.t.Cleanup(m.stop)
	(&herd{t: f.t}).eventually("herder "+id+" is ready", func() bool { return hd.Health(ctx).Status == "healthy" })
	return m
}

// plain are properties that can be run anywhere.
func plain(name string, changes ...string) map[string]string {
	p := map[string]string{"name": name, "kudu.masters": "m:7051", "kudu.table": "t", "topic": "rows"}
	for i := 0; i+1 < len(changes); i += 2 {
		p[changes[i]] = changes[i+1]
	}
	return p
}

// hears waits until the worker was told a line that begins so.
func (m *faked) hears(t *testing.T, line string) {
	t.Helper()
	(&herd{t: t}).eventually(m.id+" hears "+line, func() bool {
		return slices.ContainsFunc(m.worker.was(), func(s string) bool { return strings.HasPrefix(s, line) })
	}, func() any { return m.worker.was() })
}
