package herder

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
	"github.com/kudu2kafka/kudu2kafka/internal/grace"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// Worker is what a herder steers; *connector.Worker is one.
type Worker interface {
	Run(ctx context.Context) error
	Put(cfg connector.Config, target connector.Target)
	PutUnfit(name string, target connector.Target, why error)
	SetTarget(name string, target connector.Target) bool
	Remove(name string)
	Restart(name string, tasks, onlyFailed bool) bool
	RestartTask(name string, task int32) bool
	Status() []connector.Status
	OnChange(f func())
	Tablets(now time.Time, each func(connector string, task int32, p connector.TabletProgress))
	Position(connector string, task int32, tablet string) string
}

// File is a connector that comes from a file of this worker.
type File struct {
	Config connector.Config
	Source *config.Source // what Config was made of, and can be made of again
}

// Options are what a herder is made of.
type Options struct {
	Config connector.WorkerConfig
	// Worker has the connectors of Files already. Run runs it.
	Worker Worker
	Files  []File
	// Env looks up an environment variable, as os.LookupEnv does.
	Env func(name string) (value string, set bool)
	// WorkerID names this worker to people, as host:port of its listener. Empty:
	// client.id@host.
	WorkerID        string
	Version, Commit string
	// Levels are the levels of the process's loggers; nil: it has none to set.
	Levels Levels
	Logger hclog.Logger
}

// Herder steers the connectors of one worker as the group wants them. It answers
// API.
type Herder struct {
	config  connector.WorkerConfig
	worker  Worker
	files   map[string]File
	access  config.Access // of connectors made by REST
	id, uid string
	version ServerInfo
	levels  Levels
	kafka   kafka.Options
	logger  hclog.Logger

	bus   *bus
	dirty chan struct{} // something is to be told to the other workers
	edits chan struct{} // is full while a turn of this worker is asked for, or used
	// How long turns are, and how much of them this worker uses.
	turnTime, editTime time.Duration

	mu      sync.Mutex
	known   map[string]map[string]string // connectors of the config topic
	targets map[string]connector.Target
	configs map[string]connector.Config // that can be run here, of files too
	unfit   map[string]string           // why the others can't
	turns   turns
	peers   *peers
	begun   bool             // the config topic was read, and what is in it begun
	step    string           // what is being done until then
	echoed  time.Time        // when this worker last saw a sign of life of its own
	hearing time.Time        // since when it sees them without a gap; zero: there was none yet
	erased  map[string]bool  // connectors: others have deleted what this worker has told of them
	current time.Time        // when all of the config topic had last been read
	counted map[string]int64 // rows by connector, when its topics were reset
}

var _ API = (*Herder)(nil)

// New makes a herder. Run must be called, which also frees what it has.
func New(o Options) (*Herder, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.WorkerID == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.WorkerID = o.Config.ClientID + "@" + host
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	h := &Herder{
		config: o.Config, worker: o.Worker, access: config.Limited(o.Config, o.Env), id: o.WorkerID, uid: hex.EncodeToString(id), levels: o.Levels,
		version: ServerInfo{Version: o.Version, Commit: o.Commit}, logger: o.Logger.Named("herder"),
		kafka: connector.KafkaOptions(o.Config, o.Logger),
		files: make(map[string]File), dirty: make(chan struct{}, 1), edits: make(chan struct{}, 1), turnTime: turnTime, editTime: editTime,
		known: make(map[string]map[string]string), targets: make(map[string]connector.Target),
		configs: make(map[string]connector.Config), unfit: make(map[string]string), counted: make(map[string]int64), erased: make(map[string]bool), peers: newPeers(o.Config.SessionTimeout),
	}
	for _, f := range o.Files {
		h.files[f.Config.Name], h.configs[f.Config.Name] = f, f.Config
	}
	var err error
	if h.bus, err = newBus(h.kafka, h.logger); err != nil {
		return nil, err
	}
	o.Worker.OnChange(h.tell)
	return h, nil
}

// Run reads what the group has stored, runs the worker by it, and follows what is
// asked for until ctx ends or the worker does. It returns when both have ended in
// order.
func (h *Herder) Run(ctx context.Context) error {
	defer h.bus.close()
	starting := context.AfterFunc(ctx, h.bus.cut)
	defer starting()
	if err := h.ensureTopics(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if !starting() {
		return nil // stopped before anything was begun
	}
	h.begins("it reads the config topic " + h.config.ConfigTopic())
	h.bus.subscribe(h.config.ConfigTopic(), h.config.StatusTopic())
	// What is followed and told goes on while the worker ends.
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	last, done := grace.Outlive(ctx, context.WithoutCancel(ctx), endedWithin)
	defer done()
	defer context.AfterFunc(last, h.bus.cut)() // requests don't all heed their context
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	following.Go(func() { h.bus.follow(own, h.apply) })
	if err := h.catchUp(ctx); ctx.Err() != nil {
		return nil // stopped before anything was begun
	} else if err != nil {
		return err
	}
	h.begin()
	telling, hush := context.WithCancel(own)
	defer hush()
	var tellers sync.WaitGroup
	tellers.Go(func() { h.pulse(telling) })
	tellers.Go(func() { h.report(telling) })
	tellers.Go(func() { h.watchReferences(telling) })
	err := h.worker.Run(ctx)
	hush()
	tellers.Wait() // nothing may follow the farewell
	h.farewell(last)
	h.endEdits(last)
	return err
}

// begins notes what this worker does before it can answer for the group.
func (h *Herder) begins(step string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.step = step
}

// catchUp returns once everything is applied that is in the config topic now. A
// mark of its own tells where that ends. Without the rights to these topics a worker
// doesn't begin: connectors that the others have been told to stop would run on it.
func (h *Herder) catchUp(ctx context.Context) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, deliveryTimeout)
		err := h.mark(attempt)
		cancel()
		if err == nil {
			err = h.mayTell(ctx)
		}
		var denied *kafka.DeniedError
		if err == nil || ctx.Err() != nil || errors.As(err, &denied) {
			return err
		}
		h.begins(fmt.Sprintf("it reads the config topic %s: %v", h.config.ConfigTopic(), err))
		h.logger.Warn("reading the config topic", "topic", h.config.ConfigTopic(), "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// mayTell finds out whether this worker may write and read the status topic, by a
// record that means nothing either.
func (h *Herder) mayTell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	return h.bus.write(ctx, h.statusRecord(workerKey+h.uid, nil))
}

// mark writes a record that means nothing and waits for it to come back.
func (h *Herder) mark(ctx context.Context) error {
	return h.bus.write(ctx, &kgo.Record{Topic: h.config.ConfigTopic(), Key: []byte(barrierKey + h.uid)})
}

// begin hands over to the worker what was read.
func (h *Herder) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun, h.current, h.echoed = true, time.Now(), time.Now()
	for name := range h.files {
		h.worker.SetTarget(name, h.target(name))
	}
	for _, name := range slices.Sorted(maps.Keys(h.known)) {
		h.carry(name)
	}
	h.logger.Info("following the group", "config.storage.topic", h.config.ConfigTopic(), "connectors", len(h.known), "worker_id", h.id)
}

// target is what the connector is to be. The caller holds the lock.
func (h *Herder) target(name string) connector.Target {
	if t := h.targets[name]; t != "" {
		return t
	}
	return connector.TargetRunning
}

// apply takes up a record of either topic.
func (h *Herder) apply(r *kgo.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if r.Topic == h.config.StatusTopic() {
		err = h.applyStatus(r)
	} else {
		err = h.applyConfig(r)
	}
	switch {
	case errors.Is(err, errForeign):
		h.logger.Debug("a record is left aside", "topic", r.Topic, "offset", r.Offset, "key", string(r.Key), "why", err)
	case err != nil:
		h.logger.Error("a record can't be read and is left aside: write a right one, or a tombstone, under its key", "topic", r.Topic, "offset", r.Offset, "error", err)
	}
}

// when something was written: of what was before this start the record's time tells;
// later on, what this process's clock says counts. The caller holds the lock.
func (h *Herder) when(r *kgo.Record) time.Time {
	now := time.Now()
	if !h.begun && r.Timestamp.Before(now) {
		return r.Timestamp
	}
	return now
}

func (h *Herder) applyStatus(r *kgo.Record) error {
	at := h.when(r)
	key := string(r.Key)
	if key == workerKey+h.uid && r.Value != nil {
		if at.Sub(h.echoed) > h.gap() {
			h.hearing = at
		}
		h.echoed = at
	}
	if name, is := h.ownReport(key); is && r.Value == nil {
		h.erased[name] = true
		h.tell()
	}
	forgotten, err := h.peers.apply(key, r.Value, at)
	if forgotten != "" {
		h.counted[forgotten] = h.rows(forgotten)
	}
	return err
}

// rows is how many a connector has committed on this worker.
func (h *Herder) rows(name string) int64 {
	var n int64
	for _, s := range h.worker.Status() {
		if s.Connector == name {
			for _, t := range s.Tasks {
				n += t.Rows
			}
		}
	}
	return n
}

func (h *Herder) applyConfig(r *kgo.Record) error {
	c, err := parseChange(r.Key, r.Value)
	if err != nil {
		return err
	}
	switch c.kind {
	case connectorKey:
		if c.deletes {
			delete(h.known, c.name)
		} else {
			h.known[c.name] = c.properties
		}
		if h.begun {
			h.carry(c.name)
		}
	case targetKey:
		before := h.targets[c.name]
		h.targets[c.name] = c.target
		if c.deletes {
			delete(h.targets, c.name)
		}
		if h.begun {
			h.logger.Info("target state", "connector", c.name, "state", h.target(c.name))
			if before == connector.TargetStopped {
				h.reread(c.name, true)
			}
			h.worker.SetTarget(c.name, h.target(c.name))
		}
	case restartKey:
		if h.begun && !c.deletes {
			h.logger.Info("restart is asked for", "connector", c.name, "tasks", c.withTasks, "only_failed", c.onlyFailed)
			h.reread(c.name, true)
			h.worker.Restart(c.name, c.withTasks, c.onlyFailed)
		}
	case restartTaskKey:
		if h.begun && !c.deletes {
			h.logger.Info("restart is asked for", "connector", c.name, "task", c.task)
			h.reread(c.name, true)
			h.worker.RestartTask(c.name, int32(c.task))
		}
	case turnKey:
		h.applyTurn(c, r)
	case barrierKey:
		h.turns.mark(c.name, r.Offset, h.when(r))
	case loggerKey:
		if h.levels != nil && !c.deletes {
			_, err = h.levels.Set(c.name, c.loggerLevel)
		}
	}
	return err
}

// carry has the worker do what is known of a connector. The caller holds the lock.
func (h *Herder) carry(name string) {
	if _, is := h.files[name]; is {
		if h.known[name] != nil {
			h.logger.Error("a connector of a file has the name of one that was made by REST: the file counts on this worker; give one of them another name", "connector", name)
		}
		return
	}
	if h.known[name] == nil {
		delete(h.configs, name)
		delete(h.unfit, name)
		h.worker.Remove(name)
		return
	}
	cfg, faults := h.resolved(name)
	h.take(name, cfg, faults)
}
