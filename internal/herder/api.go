package herder

import "context"

// API is what a herder answers; internal/rest is written against it. Every method
// is safe for concurrent use. Methods that change something return once this
// worker has seen the change come back from the config topic, and those that need
// the whole group (offsets) once the group has done it, or with an *Error of kind
// Unavailable when ctx ends first.
type API interface {
	Info(ctx context.Context) (ServerInfo, error)
	Health(ctx context.Context) Health

	// Connectors lists names, sorted.
	Connectors(ctx context.Context) ([]string, error)
	Connector(ctx context.Context, name string) (ConnectorInfo, error)
	Create(ctx context.Context, r CreateRequest) (ConnectorInfo, error)
	// PutConfig makes a connector or replaces its configuration. A masked secret
	// means the one that is there already.
	PutConfig(ctx context.Context, name string, config map[string]string) (info ConnectorInfo, created bool, err error)
	// PatchConfig sets single keys; nil removes one.
	PatchConfig(ctx context.Context, name string, changes map[string]*string) (ConnectorInfo, error)
	Delete(ctx context.Context, name string) error

	Status(ctx context.Context, name string) (ConnectorStatus, error)
	TaskStatus(ctx context.Context, name string, task int) (TaskStatus, error)
	Tasks(ctx context.Context, name string) ([]TaskInfo, error)
	SetTarget(ctx context.Context, name string, target TargetState) error
	// Restart restarts the connector, or with includeTasks its tasks too; onlyFailed
	// leaves alone what isn't FAILED. The status shows what is being restarted.
	Restart(ctx context.Context, name string, includeTasks, onlyFailed bool) (ConnectorStatus, error)
	RestartTask(ctx context.Context, name string, task int) error

	// Topics that the connector has written to since they were last reset.
	Topics(ctx context.Context, name string) ([]string, error)
	ResetTopics(ctx context.Context, name string) error

	Offsets(ctx context.Context, name string) (ConnectorOffsets, error)
	AlterOffsets(ctx context.Context, name string, offsets ConnectorOffsets) (message string, err error)
	ResetOffsets(ctx context.Context, name string) (message string, err error)

	Plugins(ctx context.Context, connectorsOnly bool) []PluginInfo
	PluginConfig(ctx context.Context, plugin string) ([]ConfigKey, error)
	Validate(ctx context.Context, plugin string, config map[string]string) (ConfigInfos, error)

	Loggers(ctx context.Context) map[string]LoggerLevel
	Logger(ctx context.Context, name string) (LoggerLevel, error)
	// SetLogger sets the level of a logger and of those below it, on this worker or
	// on all; the names that were touched are returned for this worker only.
	SetLogger(ctx context.Context, name, level string, cluster bool) (touched []string, err error)
}
