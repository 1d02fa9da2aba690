package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Worker is one process's share of the work of its connectors. Connectors can be
// added, changed, steered and removed while others go on; all methods are safe for
// concurrent use. What a method asks for is carried out by the connector's own
// goroutine, in the order of the calls, and shows in Status.
type Worker struct {
	cfg      WorkerConfig
	logger   hclog.Logger
	observer Observer

	mu       sync.Mutex
	hosts    map[string]*host
	names    []string // of hosts, in the order they were added
	running  bool
	stopping bool
	stay     bool

	// notify is told of changed states; not under mu, since it is called under it.
	notify atomic.Pointer[func()]

	hosting sync.WaitGroup
	failed  chan struct{} // a connector has failed as a whole
}

// WorkerOption is a choice that a worker can do without.
type WorkerOption func(*Worker)

// WithObserver has an observer told of what the worker does.
func WithObserver(o Observer) WorkerOption { return func(w *Worker) { w.observer = o } }

// NewWorker checks the configurations together; nothing is connected yet. Run must
// be called, which also frees what the observer has.
func NewWorker(cfg WorkerConfig, connectors []Config, logger hclog.Logger, opts ...WorkerOption) (*Worker, error) {
	w := &Worker{cfg: cfg, logger: logger, observer: nobody{}, hosts: make(map[string]*host), failed: make(chan struct{}, 1)}
	for _, o := range opts {
		o(w)
	}
	for _, c := range connectors {
		i, err := newInstance(c, cfg, logger, nobody{})
		if err != nil {
			return nil, fmt.Errorf("connector %q: %w", c.Name, err)
		}
		i.close()
		w.Put(c, TargetRunning)
	}
	return w, nil
}

// Run works until ctx ends and everything has been finished or given up in
// order. A connector that can't start is logged and shown in its status; the
// others go on. Run also ends when there is no connector, and when none could
// start, which is an error; unless the worker is kept running.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	w.running = true
	stay := w.stay
	for _, name := range w.names {
		w.host(w.hosts[name])
	}
	none := len(w.names) == 0
	w.mu.Unlock()
	watchCtx, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { KafkaOptions(w.cfg, w.logger).Watch(watchCtx) })
	defer watching.Wait()
	defer stopWatching()

	var err error
	for over := none && !stay; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-w.failed:
			if !stay {
				err = w.allFailed()
				over = err != nil
			}
		}
	}

	w.mu.Lock()
	w.stopping = true
	for _, h := range w.hosts {
		h.ask(func(want *wanted) { want.quit = true })
	}
	w.mu.Unlock()
	w.hosting.Wait()
	return err
}

// host starts the goroutine of a connector. The caller holds the lock.
func (w *Worker) host(h *host) {
	w.hosting.Go(func() {
		for {
			h.run()
			if w.gone(h) {
				return
			}
		}
	})
}

// gone takes a connector off that was removed, unless it is wanted again by now.
func (w *Worker) gone(h *host) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := h.look()
	switch {
	case want.quit:
	case want.removed:
		w.forget(h.name)
	default:
		return false
	}
	h.seen.Close() // before another of that name can come
	return true
}

// forget takes a connector off the list. The caller holds the lock.
func (w *Worker) forget(name string) {
	delete(w.hosts, name)
	for n, other := range w.names {
		if other == name {
			w.names = append(w.names[:n:n], w.names[n+1:]...)
		}
	}
}

// allFailed joins the failures, and is nil if a connector has none, or is one whose
// configuration can't be used: that may be mended while the worker runs, by whoever
// looks after what it refers to.
func (w *Worker) allFailed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, name := range w.names {
		err := w.hosts[name].failure()
		if err == nil || w.hosts[name].look().unfit != nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("connector %q: %w", name, err))
	}
	return errors.Join(errs...)
}

// KeepRunning lets Run go on without a connector that runs, for others may come.
// It must be called before Run.
func (w *Worker) KeepRunning() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stay = true
}

// OnChange has f called after a state of a connector or a task has changed. It
// must not block nor call the worker, and may be called at any time.
func (w *Worker) OnChange(f func()) { w.notify.Store(&f) }

func (w *Worker) changed() {
	if f := w.notify.Load(); f != nil {
		(*f)()
	}
}

// ask has a connector's host take something up, after adding the host if add is
// set. It reports whether there is such a connector.
func (w *Worker) ask(name string, add bool, change func(*wanted)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.hosts[name]
	switch {
	case w.stopping:
		return h != nil
	case h == nil && !add:
		return false
	case h == nil:
		h = newHost(name, w.cfg, w.logger, w.observer)
		h.board.changed, h.failed = w.changed, w.noteFailure
		w.hosts[name] = h
		w.names = append(w.names, name)
		h.ask(change)
		if w.running {
			w.host(h)
		}
		return true
	}
	h.ask(change)
	return true
}

func (w *Worker) noteFailure() {
	select {
	case w.failed <- struct{}{}:
	default:
	}
}

// Put adds a connector, or gives one that is there another configuration: it then
// gives its tasks up in order and begins anew. The same configuration again
// changes nothing but the target.
func (w *Worker) Put(cfg Config, target Target) {
	w.ask(cfg.Name, true, func(want *wanted) {
		if want.removed || want.unfit != nil || !want.cfg.equal(cfg) {
			want.cfg, want.unfit, want.removed = cfg, nil, false
			want.version++
		}
		want.target = target
	})
}

// PutUnfit adds a connector whose configuration can't be used on this worker, or
// makes one so: it is FAILED, for the reason given.
func (w *Worker) PutUnfit(name string, target Target, why error) {
	w.ask(name, true, func(want *wanted) {
		want.cfg, want.unfit, want.removed, want.target = Config{Name: name}, why, false, target
		want.version++
	})
}

// SetTarget says what a connector is to be; false if there is no such connector.
func (w *Worker) SetTarget(name string, target Target) bool {
	return w.ask(name, false, func(want *wanted) { want.target = target })
}

// Remove has a connector give up its tasks in order and be forgotten. What it has
// stored in Kafka stays.
func (w *Worker) Remove(name string) {
	w.ask(name, false, func(want *wanted) { want.removed = true })
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.hosts[name]; h != nil && !w.running {
		w.forget(name)
		h.seen.Close()
	}
}

// Restart begins a connector that has failed as a whole anew. With tasks, so are
// those of its tasks that this worker has; with onlyFailed those of them that are
// FAILED. False if there is no such connector.
func (w *Worker) Restart(name string, tasks, onlyFailed bool) bool {
	w.mu.Lock()
	h := w.hosts[name]
	w.mu.Unlock()
	if h == nil {
		return false
	}
	if tasks {
		for _, t := range h.board.snapshot(name).Tasks {
			if !onlyFailed || t.State == Failed {
				h.steer.restart(t.Task)
			}
		}
	}
	if h.failure() != nil {
		return w.ask(name, false, func(want *wanted) { want.restarts++ })
	}
	return true
}

// RestartTask begins a task anew, if this worker has it; false if there is no such
// connector.
func (w *Worker) RestartTask(name string, task int32) bool {
	w.mu.Lock()
	h := w.hosts[name]
	w.mu.Unlock()
	if h != nil {
		h.steer.restart(task)
	}
	return h != nil
}

// Status is what the connectors do on this worker.
func (w *Worker) Status() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Status, len(w.names))
	for n, name := range w.names {
		all[n] = w.hosts[name].board.snapshot(name)
	}
	return all
}

// Tablets tells where the tasks of this worker stand in their tablets, connector by
// connector. each must not call the worker.
func (w *Worker) Tablets(now time.Time, each func(connector string, task int32, p TabletProgress)) {
	for name, board := range w.boards() {
		board.tablets(now, func(task int32, p TabletProgress) { each(name, task, p) })
	}
}

// Position is the streaming key of the last row committed of a tablet that a task
// of this worker reads, as a JSON object; empty when there is none, or none is
// known.
func (w *Worker) Position(connector string, task int32, tablet string) string {
	if b := w.boards()[connector]; b != nil {
		return b.position(task, tablet)
	}
	return ""
}

func (w *Worker) boards() map[string]*statusBoard {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]*statusBoard, len(w.hosts))
	for name, h := range w.hosts {
		all[name] = h.board
	}
	return all
}

// configs are those of the connectors that have one.
func (w *Worker) configs() []Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Config
	for _, name := range w.names {
		if want := w.hosts[name].look(); want.unfit == nil {
			all = append(all, want.cfg)
		}
	}
	return all
}
