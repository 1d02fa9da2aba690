package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// fake is a herder in memory, with one plugin and two tasks for each connector.
type fake struct {
	mu         sync.Mutex
	connectors map[string]*fakeConnector
	levels     map[string]string
	status     string // of its health

	// hook, if set, is called first by each method with its name.
	hook func(ctx context.Context, method string) error
	// restarted is what Restart was last asked for.
	restarted string
}

type fakeConnector struct {
	config  map[string]string
	target  herder.TargetState
	offsets []herder.ConnectorOffset
	topics  []string
}

func newFake() *fake {
	return &fake{connectors: map[string]*fakeConnector{}, levels: map[string]string{"root": "INFO"}, status: "healthy"}
}

func refused(kind herder.Kind, format string, args ...any) error {
	return &herder.Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: errors.New("secret cause at /etc/passwd")}
}

func (f *fake) begin(ctx context.Context, method string) (func(), error) {
	if f.hook != nil {
		if err := f.hook(ctx, method); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	return f.mu.Unlock, nil
}

// find returns a connector, or the refusal in the words of Connect's method.
func (f *fake) find(name, refusal string) (*fakeConnector, error) {
	if c := f.connectors[name]; c != nil {
		return c, nil
	}
	return nil, refused(herder.NotFound, refusal, name)
}

func (f *fake) Info(ctx context.Context) (herder.ServerInfo, error) {
	end, err := f.begin(ctx, "Info")
	if err != nil {
		return herder.ServerInfo{}, err
	}
	defer end()
	return herder.ServerInfo{Version: "1", Commit: "c", KafkaClusterID: "k"}, nil
}

func (f *fake) Health(ctx context.Context) herder.Health {
	end, err := f.begin(ctx, "Health")
	if err != nil {
		return herder.Health{Status: "unhealthy", Message: "asked in vain"}
	}
	defer end()
	return herder.Health{Status: f.status, Message: "is " + f.status}
}

func (f *fake) Connectors(ctx context.Context) ([]string, error) {
	end, err := f.begin(ctx, "Connectors")
	if err != nil {
		return nil, err
	}
	defer end()
	return slices.Sorted(maps.Keys(f.connectors)), nil
}

func (f *fake) info(name string, c *fakeConnector) herder.ConnectorInfo {
	info := herder.ConnectorInfo{Name: name, Config: maps.Clone(c.config), Type: "source"}
	if c.target != herder.TargetStopped {
		info.Tasks = []herder.TaskID{{Connector: name, Task: 0}, {Connector: name, Task: 1}}
	}
	return info
}

func (f *fake) Connector(ctx context.Context, name string) (herder.ConnectorInfo, error) {
	end, err := f.begin(ctx, "Connector")
	if err != nil {
		return herder.ConnectorInfo{}, err
	}
	defer end()
	c, err := f.find(name, "Connector %s not found")
	if err != nil {
		return herder.ConnectorInfo{}, err
	}
	return f.info(name, c), nil
}

func (f *fake) Create(ctx context.Context, r herder.CreateRequest) (herder.ConnectorInfo, error) {
	end, err := f.begin(ctx, "Create")
	if err != nil {
		return herder.ConnectorInfo{}, err
	}
	defer end()
	if f.connectors[r.Name] != nil {
		return herder.ConnectorInfo{}, refused(herder.Conflict, "Connector %s already exists", r.Name)
	}
	c := &fakeConnector{config: r.Config, target: r.InitialState, offsets: r.InitialOffsets, topics: []string{"t"}}
	f.connectors[r.Name] = c
	return f.info(r.Name, c), nil
}

func (f *fake) PutConfig(ctx context.Context, name string, config map[string]string) (herder.ConnectorInfo, bool, error) {
	end, err := f.begin(ctx, "PutConfig")
	if err != nil {
		return herder.ConnectorInfo{}, false, err
	}
	defer end()
	c, created := f.connectors[name], false
	if c == nil {
		c, created = &fakeConnector{}, true
		f.connectors[name] = c
	}
	c.config = config
	return f.info(name, c), created, nil
}

func (f *fake) PatchConfig(ctx context.Context, name string, changes map[string]*string) (herder.ConnectorInfo, error) {
	end, err := f.begin(ctx, "PatchConfig")
	if err != nil {
		return herder.ConnectorInfo{}, err
	}
	defer end()
	c, err := f.find(name, "Connector %s not found")
	if err != nil {
		return herder.ConnectorInfo{}, err
	}
	for key, value := range changes {
		if delete(c.config, key); value != nil {
			c.config[key] = *value
		}
	}
	return f.info(name, c), nil
}

func (f *fake) Delete(ctx context.Context, name string) error {
	end, err := f.begin(ctx, "Delete")
	if err != nil {
		return err
	}
	defer end()
	_, err = f.find(name, "Connector %s not found")
	delete(f.connectors, name)
	return err
}

func (f *fake) statusOf(name string, c *fakeConnector, state herder.State) herder.ConnectorStatus {
	if state == "" {
		state = map[herder.TargetState]herder.State{"": "RUNNING", herder.TargetRunning: "RUNNING", herder.TargetPaused: "PAUSED", herder.TargetStopped: "STOPPED"}[c.target]
	}
	s := herder.ConnectorStatus{Name: name, Connector: herder.StatusOf{State: state, WorkerID: "w:1", Version: "1"}, Type: "source"}
	for _, task := range f.info(name, c).Tasks {
		s.Tasks = append(s.Tasks, herder.TaskStatus{ID: task.Task, State: state, WorkerID: "w:1", Version: "1"})
	}
	return s
}

func (f *fake) Status(ctx context.Context, name string) (herder.ConnectorStatus, error) {
	end, err := f.begin(ctx, "Status")
	if err != nil {
		return herder.ConnectorStatus{}, err
	}
	defer end()
	c, err := f.find(name, "No status found for connector %s")
	if err != nil {
		return herder.ConnectorStatus{}, err
	}
	return f.statusOf(name, c, ""), nil
}

func (f *fake) TaskStatus(ctx context.Context, name string, task int) (herder.TaskStatus, error) {
	end, err := f.begin(ctx, "TaskStatus")
	if err != nil {
		return herder.TaskStatus{}, err
	}
	defer end()
	if c := f.connectors[name]; c != nil {
		if tasks := f.statusOf(name, c, "").Tasks; task >= 0 && task < len(tasks) {
			return tasks[task], nil
		}
	}
	return herder.TaskStatus{}, refused(herder.NotFound, "No status found for task %s-%d", name, task)
}

func (f *fake) Tasks(ctx context.Context, name string) ([]herder.TaskInfo, error) {
	end, err := f.begin(ctx, "Tasks")
	if err != nil {
		return nil, err
	}
	defer end()
	c, err := f.find(name, "Connector %s not found")
	if err != nil {
		return nil, err
	}
	var tasks []herder.TaskInfo
	for _, id := range f.info(name, c).Tasks {
		tasks = append(tasks, herder.TaskInfo{ID: id, Config: c.config})
	}
	return tasks, nil
}

func (f *fake) SetTarget(ctx context.Context, name string, target herder.TargetState) error {
	end, err := f.begin(ctx, "SetTarget")
	if err != nil {
		return err
	}
	defer end()
	c, err := f.find(name, "Unknown connector %s")
	if err == nil {
		c.target = target
	}
	return err
}

func (f *fake) Restart(ctx context.Context, name string, includeTasks, onlyFailed bool) (herder.ConnectorStatus, error) {
	end, err := f.begin(ctx, "Restart")
	if err != nil {
		return herder.ConnectorStatus{}, err
	}
	defer end()
	c, err := f.find(name, "Unknown connector: %s")
	if err != nil {
		return herder.ConnectorStatus{}, err
	}
	f.restarted = fmt.Sprint(includeTasks, onlyFailed)
	return f.statusOf(name, c, "RESTARTING"), nil
}

func (f *fake) RestartTask(ctx context.Context, name string, task int) error {
	end, err := f.begin(ctx, "RestartTask")
	if err != nil {
		return err
	}
	defer end()
	if _, err := f.find(name, "Unknown connector: %s"); err != nil {
		return err
	}
	if task > 1 {
		return refused(herder.NotFound, "Unknown task: %s-%d", name, task)
	}
	return nil
}

func (f *fake) Topics(ctx context.Context, name string) ([]string, error) {
	end, err := f.begin(ctx, "Topics")
	if err != nil {
		return nil, err
	}
	defer end()
	if c := f.connectors[name]; c != nil {
		return c.topics, nil
	}
	return nil, nil
}

func (f *fake) ResetTopics(ctx context.Context, name string) error {
	end, err := f.begin(ctx, "ResetTopics")
	if err != nil {
		return err
	}
	defer end()
	if c := f.connectors[name]; c != nil {
		c.topics = nil
	}
	return nil
}

func (f *fake) Offsets(ctx context.Context, name string) (herder.ConnectorOffsets, error) {
	end, err := f.begin(ctx, "Offsets")
	if err != nil {
		return herder.ConnectorOffsets{}, err
	}
	defer end()
	c, err := f.find(name, "Connector %s not found")
	if err != nil {
		return herder.ConnectorOffsets{}, err
	}
	return herder.ConnectorOffsets{Offsets: c.offsets}, nil
}

func (f *fake) stopped(name string) (*fakeConnector, error) {
	c, err := f.find(name, "Connector %s not found")
	if err == nil && c.target != herder.TargetStopped {
		err = refused(herder.Invalid, "Connectors must be in the STOPPED state")
	}
	return c, err
}

func (f *fake) AlterOffsets(ctx context.Context, name string, offsets herder.ConnectorOffsets) (string, error) {
	end, err := f.begin(ctx, "AlterOffsets")
	if err != nil {
		return "", err
	}
	defer end()
	c, err := f.stopped(name)
	if err != nil {
		return "", err
	}
	c.offsets = nil
	for _, o := range offsets.Offsets {
		if !json.Valid(o.Partition) || !json.Valid(o.Offset) {
			return "", fmt.Errorf("rest gave what isn't JSON: %q", o)
		}
		if string(o.Offset) != "null" {
			c.offsets = append(c.offsets, o)
		}
	}
	return "altered", nil
}

func (f *fake) ResetOffsets(ctx context.Context, name string) (string, error) {
	end, err := f.begin(ctx, "ResetOffsets")
	if err != nil {
		return "", err
	}
	defer end()
	c, err := f.stopped(name)
	if err != nil {
		return "", err
	}
	c.offsets = nil
	return "reset", nil
}

func (f *fake) Plugins(_ context.Context, connectorsOnly bool) []herder.PluginInfo {
	plugins := []herder.PluginInfo{{Class: "p", Type: "source", Version: "1"}}
	if !connectorsOnly {
		plugins = append(plugins, herder.PluginInfo{Class: "q", Type: "converter", Version: "1"})
	}
	return plugins
}

func (f *fake) PluginConfig(_ context.Context, plugin string) ([]herder.ConfigKey, error) {
	if plugin != "p" {
		return nil, refused(herder.NotFound, "Unknown plugin %s.", plugin)
	}
	return []herder.ConfigKey{{Name: "topic", Type: "STRING", Required: true}}, nil
}

func (f *fake) Validate(_ context.Context, plugin string, config map[string]string) (herder.ConfigInfos, error) {
	if class := config["connector.class"]; class != plugin {
		return herder.ConfigInfos{}, refused(herder.Invalid, "Included connector type %s does not match request type %s", class, plugin)
	}
	infos := herder.ConfigInfos{Name: plugin}
	value := herder.ConfigValue{Name: "topic", Visible: true}
	if _, given := config["topic"]; !given {
		infos.ErrorCount, value.Errors = 1, []string{"is required"}
	}
	infos.Configs = []herder.ConfigInfo{{Definition: herder.ConfigKey{Name: "topic"}, Value: value}}
	return infos, nil
}

func (f *fake) Loggers(context.Context) map[string]herder.LoggerLevel {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]herder.LoggerLevel{}
	for name, level := range f.levels {
		all[name] = herder.LoggerLevel{Level: level}
	}
	return all
}

func (f *fake) Logger(ctx context.Context, name string) (herder.LoggerLevel, error) {
	if level, known := f.Loggers(ctx)[name]; known {
		return level, nil
	}
	return herder.LoggerLevel{}, refused(herder.NotFound, "Logger %s not found.", name)
}

func (f *fake) SetLogger(_ context.Context, name, level string, _ bool) ([]string, error) {
	if !slices.Contains([]string{"DEBUG", "INFO"}, strings.ToUpper(level)) {
		return nil, refused(herder.NotFound, "invalid log level '%s'.", level)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.levels[name] == strings.ToUpper(level) {
		return nil, nil
	}
	f.levels[name] = strings.ToUpper(level)
	return []string{name}, nil
}
