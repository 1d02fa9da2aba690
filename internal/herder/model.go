package herder

import "encoding/json"

// ServerInfo says what answers; GET /.
type ServerInfo struct {
	Version        string `json:"version"`
	Commit         string `json:"commit"`
	KafkaClusterID string `json:"kafka_cluster_id"`
}

// TaskID names a task across connectors.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// ConnectorInfo is a connector with its configuration, secrets masked.
type ConnectorInfo struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
	Tasks  []TaskID          `json:"tasks"`
	Type   string            `json:"type"` // always "source"
}

// State is a state of a connector or a task, as Kafka Connect calls them, or one
// of ours that its clients show as they are (COMPLETED, RESTORING).
type State string

// TargetState is what an operator wants a connector to be.
type TargetState string

// The target states.
const (
	TargetRunning TargetState = "RUNNING"
	TargetPaused  TargetState = "PAUSED"
	TargetStopped TargetState = "STOPPED"
)

// StatusOf is the state of a connector, with the worker that says so.
type StatusOf struct {
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
}

// TaskStatus is the state of one task.
type TaskStatus struct {
	ID       int    `json:"id"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
}

// ConnectorStatus is the state of a connector and its tasks over all workers.
type ConnectorStatus struct {
	Name      string       `json:"name"`
	Connector StatusOf     `json:"connector"`
	Tasks     []TaskStatus `json:"tasks"`
	Type      string       `json:"type"`
}

// TaskInfo is a task with the configuration that it runs with.
type TaskInfo struct {
	ID     TaskID            `json:"id"`
	Config map[string]string `json:"config"`
}

// ConnectorOffset is one stored position: both parts are JSON objects. A null
// offset in a request is a reset of that partition.
type ConnectorOffset struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

// ConnectorOffsets is the body of GET and PATCH of offsets.
type ConnectorOffsets struct {
	Offsets []ConnectorOffset `json:"offsets"`
}

// CreateRequest is the body of POST /connectors.
type CreateRequest struct {
	Name           string            `json:"name"`
	Config         map[string]string `json:"config"`
	InitialState   TargetState       `json:"initial_state,omitempty"`
	InitialOffsets []ConnectorOffset `json:"initial_offsets,omitempty"`
}

// PluginInfo is one of the classes that a connector can be of.
type PluginInfo struct {
	Class   string `json:"class"`
	Type    string `json:"type"`
	Version string `json:"version"`
}

// ConfigKey defines a configuration key for validation clients.
type ConfigKey struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"` // STRING, PASSWORD, LIST, BOOLEAN, INT, LONG
	Required      bool     `json:"required"`
	DefaultValue  *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         string   `json:"group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
	Order         int      `json:"order"`
}

// ConfigValue is what validation found of one key.
type ConfigValue struct {
	Name              string   `json:"name"`
	Value             *string  `json:"value"`
	RecommendedValues []string `json:"recommended_values"`
	Errors            []string `json:"errors"`
	Visible           bool     `json:"visible"`
}

// ConfigInfo joins a key's definition with its value.
type ConfigInfo struct {
	Definition ConfigKey   `json:"definition"`
	Value      ConfigValue `json:"value"`
}

// ConfigInfos is the answer to a validation.
type ConfigInfos struct {
	Name       string       `json:"name"`
	ErrorCount int          `json:"error_count"`
	Groups     []string     `json:"groups"`
	Configs    []ConfigInfo `json:"configs"`
}

// LoggerLevel is the level of one logger; LastModified is in milliseconds since
// 1970, nil when the level was never set.
type LoggerLevel struct {
	Level        string `json:"level"`
	LastModified *int64 `json:"last_modified"`
}

// Health is what GET /health answers: Status is "healthy", "starting" or
// "unhealthy".
type Health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}
