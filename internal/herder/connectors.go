package herder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

// Info names the program and the cluster.
func (h *Herder) Info(ctx context.Context) (ServerInfo, error) {
	brokers, err := h.bus.admin.BrokerMetadata(ctx)
	if err != nil {
		return ServerInfo{}, unavailable("Kafka could not be asked for the cluster's id", err)
	}
	info := h.version
	info.KafkaClusterID = brokers.Cluster
	return info, nil
}

func unavailable(doing string, err error) error {
	return &Error{Kind: Unavailable, Message: fmt.Sprintf("%s: %v", doing, err), Cause: err}
}

func notFound(format string, args ...any) error {
	return &Error{Kind: NotFound, Message: fmt.Sprintf(format, args...)}
}

// ready refuses what can't be answered before the config topic was read. The
// caller holds the lock.
func (h *Herder) ready() error {
	if !h.begun {
		return &Error{Kind: Unavailable, Message: "This worker is starting up: " + h.step + "; try again in a moment"}
	}
	return nil
}

// names are those of all connectors: of the config topic, of this worker's files,
// and of those of the others. The caller holds the lock.
func (h *Herder) names() []string {
	names := make(map[string]bool)
	for name := range h.known {
		names[name] = true
	}
	for name := range h.files {
		names[name] = true
	}
	for _, p := range h.workersOf("") {
		for name, r := range p.reports {
			if r.File != nil {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// settings gives a connector's configuration as it is stored, and whether it comes
// from a file; nil if there is no such connector. Of a file of another worker
// secrets are masked already. The caller holds the lock.
func (h *Herder) settings(name string) (properties map[string]string, file bool) {
	if f, is := h.files[name]; is {
		return f.Source.Settings(), true
	}
	if properties := h.known[name]; properties != nil {
		return properties, false
	}
	for _, p := range h.workersOf("") {
		if r := p.reports[name]; r.File != nil {
			return r.File, true
		}
	}
	return nil, false
}

// editable refuses changes to a connector that comes from a file. The caller holds
// the lock.
func (h *Herder) editable(name string) error {
	if _, file := h.settings(name); file {
		return &Error{Kind: Conflict, Message: fmt.Sprintf("Connector %s comes from a file of its worker, so that REST can't change or delete it: edit the file and restart the worker", name)}
	}
	return nil
}

// Connectors lists names, sorted.
func (h *Herder) Connectors(context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ready(); err != nil {
		return nil, err
	}
	return append([]string{}, h.names()...), nil
}

// Connector is one connector, secrets masked.
func (h *Herder) Connector(_ context.Context, name string) (ConnectorInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ready(); err != nil {
		return ConnectorInfo{}, err
	}
	return h.info(name)
}

func (h *Herder) info(name string) (ConnectorInfo, error) {
	properties, _ := h.settings(name)
	if properties == nil {
		return ConnectorInfo{}, notFound("Connector %s not found", name)
	}
	info := ConnectorInfo{Name: name, Config: mask(properties), Tasks: []TaskID{}, Type: "source"}
	for task := range h.tasks(name) {
		info.Tasks = append(info.Tasks, TaskID{name, task})
	}
	return info, nil
}

// tasks is the number of a connector's tasks; a stopped one has none. The caller
// holds the lock.
func (h *Herder) tasks(name string) int {
	if h.target(name) == connector.TargetStopped {
		return 0
	}
	return h.tasksMax(name)
}

func (h *Herder) tasksMax(name string) int {
	if cfg, is := h.configs[name]; is {
		return cfg.TasksMax
	}
	// It can't be run here, perhaps for a reference that means nothing on this
	// worker; tasks.max may be readable all the same.
	properties, _ := h.settings(name)
	text, is := properties["tasks.max"]
	if !is {
		return connector.DefaultConfig().TasksMax
	}
	for _, key := range connector.ConnectorKeys() {
		if key.Name == "tasks.max" {
			if n, faults := key.Parse(connector.Value{Items: []string{text}}); len(faults) == 0 {
				tasks, _ := n.(int64)
				return int(tasks)
			}
		}
	}
	return 0
}

// Create makes a connector.
func (h *Herder) Create(ctx context.Context, r CreateRequest) (info ConnectorInfo, err error) {
	err = h.edit(ctx, func(ctx context.Context) error {
		info, err = h.create(ctx, r)
		return err
	})
	return info, err
}

// create is Create in a turn of this worker.
func (h *Herder) create(ctx context.Context, r CreateRequest) (ConnectorInfo, error) {
	name := r.Name
	if name == "" {
		name = r.Config["name"]
	}
	properties, err := named(name, r.Config)
	if err != nil {
		return ConnectorInfo{}, err
	}
	target := connector.Target(r.InitialState)
	switch target {
	case "", connector.TargetRunning, connector.TargetPaused, connector.TargetStopped:
	default:
		return ConnectorInfo{}, &Error{Kind: Invalid, Message: fmt.Sprintf("There is no initial state %q: it is RUNNING, PAUSED or STOPPED", r.InitialState)}
	}
	h.mu.Lock()
	err = h.ready()
	if there, _ := h.settings(name); err == nil && there != nil {
		err = &Error{Kind: Conflict, Message: fmt.Sprintf("Connector %s already exists", name)}
	}
	var cfg connector.Config
	if err == nil {
		cfg, err = h.validated(name, properties)
	}
	h.mu.Unlock()
	if err != nil {
		return ConnectorInfo{}, err
	}
	if len(r.InitialOffsets) > 0 {
		if err := h.alter(ctx, cfg, ConnectorOffsets{r.InitialOffsets}); err != nil {
			return ConnectorInfo{}, err
		}
	}
	// The target goes first, so that no worker runs what is to be stopped. Without
	// one, that of an earlier connector of this name is forgotten.
	first := change{kind: targetKey, name: name, target: target, deletes: target == ""}
	if err := h.write(ctx, first, change{kind: connectorKey, name: name, properties: properties}); err != nil {
		return ConnectorInfo{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.info(name)
}

// named gives a configuration with its name in it, and refuses one of another.
func named(name string, properties map[string]string) (map[string]string, error) {
	if name == "" {
		return nil, &Error{Kind: Invalid, Message: "The connector has no name"}
	}
	properties = maps.Clone(properties)
	if properties == nil {
		properties = make(map[string]string)
	}
	if inside, is := properties["name"]; is && inside != name {
		return nil, &Error{Kind: Invalid, Message: fmt.Sprintf("Connector name configuration (%s) doesn't match connector name in the URL (%s)", inside, name)}
	}
	properties["name"] = name
	return properties, nil
}

// validated makes a configuration, or says all that is wrong with it, as Kafka
// Connect does. The caller holds the lock.
func (h *Herder) validated(name string, properties map[string]string) (connector.Config, error) {
	cfg, faults := h.configOf(name, properties)
	faults = append(faults, leftMasks(properties)...)
	if len(faults) == 0 {
		return cfg, nil
	}
	lines := make([]string, len(faults))
	for n, f := range faults {
		lines[n] = f.String()
	}
	return cfg, &Error{Kind: Invalid, Message: fmt.Sprintf(
		"Connector configuration is invalid and contains the following %d error(s):\n%s\nYou can also find the above list of errors at the endpoint `/connector-plugins/%s/config/validate`",
		len(faults), strings.Join(lines, "\n"), connector.ConnectorClass)}
}

// record is that of a change in the config topic.
func (h *Herder) record(c change) (*kgo.Record, error) {
	key, value, err := c.encode()
	if err != nil {
		return nil, fmt.Errorf("encoding a change: %w", err)
	}
	return &kgo.Record{Topic: h.config.ConfigTopic(), Key: key, Value: value}, nil
}

// write stores changes in the config topic, and returns once they have come back.
func (h *Herder) write(ctx context.Context, changes ...change) error {
	var records []*kgo.Record
	for _, c := range changes {
		r, err := h.record(c)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	err := h.bus.write(ctx, records...)
	if errors.Is(err, kerr.MessageTooLarge) {
		return &Error{Kind: Invalid, Cause: err, Message: "The configuration is larger than a record of the config topic may be"}
	}
	if err != nil {
		return unavailable("The change could not be stored in the config topic, or did not come back from it", err)
	}
	return nil
}

// PutConfig makes a connector or replaces its configuration.
func (h *Herder) PutConfig(ctx context.Context, name string, properties map[string]string) (ConnectorInfo, bool, error) {
	properties, err := named(name, properties)
	if err != nil {
		return ConnectorInfo{}, false, err
	}
	return h.replace(ctx, name, func(stored map[string]string) (map[string]string, error) {
		return unmask(properties, stored), nil
	})
}

// PatchConfig sets single keys; nil removes one.
func (h *Herder) PatchConfig(ctx context.Context, name string, changes map[string]*string) (ConnectorInfo, error) {
	info, _, err := h.replace(ctx, name, func(stored map[string]string) (map[string]string, error) {
		if stored == nil {
			return nil, notFound("Connector %s not found", name)
		}
		properties := maps.Clone(stored)
		for key, value := range changes {
			switch {
			case value == nil:
				delete(properties, key)
			case *value == Masked && stored[key] != "":
			default:
				properties[key] = *value
			}
		}
		return named(name, properties)
	})
	return info, err
}

// replace stores what edit makes of a connector's configuration, which is nil for a
// new connector.
func (h *Herder) replace(ctx context.Context, name string, edit func(stored map[string]string) (map[string]string, error)) (info ConnectorInfo, created bool, err error) {
	err = h.edit(ctx, func(ctx context.Context) error {
		h.mu.Lock()
		err := h.editable(name)
		stored := h.known[name]
		var properties map[string]string
		if err == nil {
			properties, err = edit(stored)
		}
		if err == nil {
			_, err = h.validated(name, properties)
		}
		h.mu.Unlock()
		if err != nil {
			return err
		}
		changes := []change{{kind: connectorKey, name: name, properties: properties}}
		if stored == nil {
			// A pause may have come too late for an earlier connector of this name.
			changes = slices.Insert(changes, 0, change{kind: targetKey, name: name, deletes: true})
		}
		if err := h.write(ctx, changes...); err != nil {
			return err
		}
		created = stored == nil
		h.mu.Lock()
		defer h.mu.Unlock()
		info, err = h.info(name)
		return err
	})
	return info, created, err
}

// Delete ends a connector. What it has stored of its positions stays.
func (h *Herder) Delete(ctx context.Context, name string) error {
	return h.edit(ctx, func(ctx context.Context) error {
		h.mu.Lock()
		var err error
		if there, _ := h.settings(name); there == nil {
			err = notFound("Connector %s not found", name)
		} else {
			err = h.editable(name)
		}
		h.mu.Unlock()
		if err != nil {
			return err
		}
		return h.write(ctx, change{kind: connectorKey, name: name, deletes: true}, change{kind: targetKey, name: name, deletes: true})
	})
}

// Tasks are those of a connector, with its configuration.
func (h *Herder) Tasks(_ context.Context, name string) ([]TaskInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ready(); err != nil {
		return nil, err
	}
	properties, _ := h.settings(name)
	if properties == nil {
		return nil, notFound("Connector %s not found", name)
	}
	tasks := []TaskInfo{}
	for task := range h.tasks(name) {
		tasks = append(tasks, TaskInfo{TaskID{name, task}, mask(properties)})
	}
	return tasks, nil
}

// errUnresolved is the answer to what needs a configuration that this worker can't
// make sense of.
var errUnresolved = errors.New("its configuration can't be used on this worker")

// usable gives the configuration of a connector for work on its positions. The
// caller holds the lock.
func (h *Herder) usable(name string) (connector.Config, error) {
	if cfg, is := h.configs[name]; is {
		return cfg, nil
	}
	properties, _ := h.settings(name)
	if properties == nil {
		return connector.Config{}, notFound("Connector %s not found", name)
	}
	cfg, faults := config.FromMap(properties, h.access)
	if f, is := h.files[name]; is {
		cfg, faults = f.Source.Config()
	}
	if len(faults) > 0 {
		return cfg, &Error{Kind: Conflict, Cause: errUnresolved, Message: fmt.Sprintf("The configuration of connector %s can't be used on this worker: %v", name, &connector.ConfigError{Faults: faults})}
	}
	return cfg, nil
}
