package connector

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// Target is what an operator wants a connector to be.
type Target string

// The targets. A paused connector keeps its place in the group and its tasks,
// which publish nothing and hold nothing open; a stopped one has given them up,
// so that its positions may be changed.
const (
	TargetRunning Target = "RUNNING"
	TargetPaused  Target = "PAUSED"
	TargetStopped Target = "STOPPED"
)

// wanted is what is asked of a connector.
type wanted struct {
	cfg      Config
	unfit    error // why there is no configuration that can be run
	target   Target
	version  int // grows when the configuration changes
	restarts int // how often a connector that had failed was to begin anew
	removed  bool
	quit     bool // the worker stops
}

// ends reports whether an instance that was begun for began has to end.
func (w wanted) ends(began wanted) bool {
	return w.quit || w.removed || w.target == TargetStopped || w.version != began.version || w.restarts != began.restarts
}

func (c Config) equal(o Config) bool { return reflect.DeepEqual(c, o) }

// host is a connector's place in a worker: one goroutine that makes what is the
// case what is wanted. Instances come and go with the configuration; board and
// steering outlive them.
type host struct {
	name   string
	worker WorkerConfig
	board  *statusBoard
	seen   ConnectorObserver
	steer  *steering
	logger hclog.Logger
	failed func() // is told when the connector has failed as a whole

	mu     sync.Mutex
	want   wanted
	cause  error // why the connector has failed as a whole; nil when it hasn't
	wakeup chan struct{}
}

func newHost(name string, worker WorkerConfig, logger hclog.Logger, observer Observer) *host {
	board := newStatusBoard()
	return &host{
		name: name, worker: worker, logger: logger,
		board: board, seen: observer.Connector(name, func() Status { return board.snapshot(name) }), steer: newSteering(), failed: func() {}, wakeup: make(chan struct{}, 1),
	}
}

func (h *host) look() wanted {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.want
}

// ask changes what is wanted.
func (h *host) ask(change func(*wanted)) {
	h.mu.Lock()
	change(&h.want)
	paused := h.want.target == TargetPaused
	h.mu.Unlock()
	h.steer.pause(paused)
	h.board.pause(paused)
	select {
	case h.wakeup <- struct{}{}:
	default:
	}
}

// failure is why the connector, not one of its tasks, has failed.
func (h *host) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}

func (h *host) setFailure(err error) {
	h.mu.Lock()
	h.cause = err
	h.mu.Unlock()
	if err != nil {
		h.board.set(Failed, err)
		h.failed()
	}
}

// run does what is wanted until the connector is removed or the worker stops.
func (h *host) run() {
	for {
		want := h.look()
		h.setFailure(nil)
		switch {
		case want.quit || want.removed:
			h.board.set(Unassigned, nil)
			return
		case want.target == TargetStopped:
			h.board.set(Stopped, nil)
			h.await(func(now wanted) bool { return now.target != TargetStopped || now.quit || now.removed })
		case want.unfit != nil:
			h.fail(want, want.unfit)
		default:
			h.runInstance(want)
		}
	}
}

// await blocks until what is wanted is as the caller says.
func (h *host) await(until func(wanted) bool) {
	for !until(h.look()) {
		<-h.wakeup
	}
}

// fail shows the connector as failed until something else is wanted.
func (h *host) fail(began wanted, err error) {
	h.logger.Error("connector failed", "connector", h.name, "error", err)
	h.setFailure(err)
	h.await(func(now wanted) bool { return now.ends(began) })
}

// runInstance runs the connector as it is wanted now, until that changes.
func (h *host) runInstance(want wanted) {
	i, err := newInstanceOn(h.board, h.seen, want.cfg, h.worker, h.logger)
	if err != nil {
		h.fail(want, err)
		return
	}
	defer i.disconnect()
	i.steer = h.steer
	h.board.set(Unassigned, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- i.run(ctx) }()
	for {
		select {
		case err := <-ended:
			if now := h.look(); err != nil && !now.ends(want) {
				h.fail(want, err)
			}
			return
		case <-h.wakeup:
			now := h.look()
			if !now.ends(want) {
				continue
			}
			// A static member would else be counted as one until its session is over.
			i.forGood.Store(now.removed || now.target == TargetStopped)
			cancel()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				h.logger.Debug("connector ended", "connector", h.name, "error", err)
			}
			return
		}
	}
}
