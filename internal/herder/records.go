package herder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// The records of the config topic. Keys are those of Kafka Connect's
// KafkaConfigBackingStore; values are JSON objects with a version, and a value
// that isn't there deletes what the key names.
//
//	connector-orders        {"version":1,"properties":{"name":"orders",...}}
//	target-state-orders     {"version":1,"state":"PAUSED"}
//	restart-connector-orders {"version":1,"include-tasks":true,"only-failed":false}
//	restart-task-orders-3   {"version":1}
//	logger-cluster-kudu2kafka.kafka {"version":1,"level":"DEBUG"}
//	barrier-<worker>        nothing: a worker marks the end that it reads to
//	turn-<worker>           {"version":1}: a worker asks for its turn to edit (turns.go);
//	                        a tombstone with the header ran-out is another worker's
const (
	connectorKey   = "connector-"
	targetKey      = "target-state-"
	restartKey     = "restart-connector-"
	restartTaskKey = "restart-task-"
	loggerKey      = "logger-cluster-"
	barrierKey     = "barrier-"
	turnKey        = "turn-"
)

// recordVersion is the layout that values are written in.
const recordVersion = 1

// errForeign is the answer to a record of another program, or of a later release.
var errForeign = errors.New("the key is of no kind that is known")

// change is one record of the config topic. Exactly one of its pointers is set,
// unless it deletes something.
type change struct {
	kind    string // one of the keys' beginnings
	name    string // of the connector, the logger, or the worker by its uid
	task    int    // with restartTaskKey
	deletes bool

	properties  map[string]string
	target      connector.Target
	withTasks   bool
	onlyFailed  bool
	loggerLevel string
}

type connectorV1 struct {
	Version    int               `json:"version"`
	Properties map[string]string `json:"properties"`
}

type targetV1 struct {
	Version int              `json:"version"`
	State   connector.Target `json:"state"`
}

type restartV1 struct {
	Version      int  `json:"version"`
	IncludeTasks bool `json:"include-tasks"`
	OnlyFailed   bool `json:"only-failed"`
}

// plainV1 is what a record holds that says all by its key.
type plainV1 struct {
	Version int `json:"version"`
}

type loggerV1 struct {
	Version int    `json:"version"`
	Level   string `json:"level"`
}

// encode gives the stored form of a change.
func (c change) encode() (key, value []byte, err error) {
	key = []byte(c.kind + c.name)
	if c.kind == restartTaskKey {
		key = fmt.Appendf(key, "-%d", c.task)
	}
	if c.deletes {
		return key, nil, nil
	}
	var v any
	switch c.kind {
	case connectorKey:
		v = connectorV1{recordVersion, c.properties}
	case targetKey:
		v = targetV1{recordVersion, c.target}
	case restartKey:
		v = restartV1{recordVersion, c.withTasks, c.onlyFailed}
	case restartTaskKey, turnKey:
		v = plainV1{recordVersion}
	case loggerKey:
		v = loggerV1{recordVersion, c.loggerLevel}
	default:
		return nil, nil, fmt.Errorf("encoding a change: kind %q has no value", c.kind)
	}
	value, err = encodeJSON(v)
	return key, value, err
}

// encodeJSON leaves characters such as < as they are, which only hinder reading.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// parseChange reads a record of the config topic.
func parseChange(key, value []byte) (change, error) {
	c := change{deletes: value == nil}
	text := string(key)
	for _, kind := range []string{connectorKey, targetKey, restartKey, restartTaskKey, loggerKey, barrierKey, turnKey} {
		if name, is := strings.CutPrefix(text, kind); is && name != "" {
			c.kind, c.name = kind, name
		}
	}
	if c.kind == "" {
		return change{}, errForeign
	}
	if c.kind == restartTaskKey {
		i := strings.LastIndexByte(c.name, '-')
		n, err := strconv.ParseUint(c.name[i+1:], 10, 31)
		if i < 1 || err != nil || strconv.FormatUint(n, 10) != c.name[i+1:] {
			return change{}, fmt.Errorf("the key %q names no task", text)
		}
		c.name, c.task = c.name[:i], int(n)
	}
	if c.deletes || c.kind == barrierKey {
		return c, nil
	}
	if err := c.parseValue(value); err != nil {
		return change{}, fmt.Errorf("the value under %q: %w", text, err)
	}
	return c, nil
}

func (c *change) parseValue(value []byte) error {
	switch c.kind {
	case connectorKey:
		var v connectorV1
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return err
		}
		if v.Properties == nil {
			return errors.New("it has no properties")
		}
		c.properties = v.Properties
	case targetKey:
		var v targetV1
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return err
		}
		switch v.State {
		case connector.TargetRunning, connector.TargetPaused, connector.TargetStopped:
		default:
			return fmt.Errorf("there is no target state %q", v.State)
		}
		c.target = v.State
	case restartKey:
		var v restartV1
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return err
		}
		c.withTasks, c.onlyFailed = v.IncludeTasks, v.OnlyFailed
	case restartTaskKey, turnKey:
		var v plainV1
		return decodeJSON(value, &v, &v.Version)
	case loggerKey:
		var v loggerV1
		if err := decodeJSON(value, &v, &v.Version); err != nil {
			return err
		}
		c.loggerLevel = v.Level
	}
	return nil
}

// decodeJSON reads one object. A member that isn't known is an error: it is of a
// later release, or a slip of a patching hand.
func decodeJSON(b []byte, into any, version *int) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("not the JSON of this release: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("not a single JSON object")
	}
	if *version != recordVersion {
		return fmt.Errorf("it has version %d, this release reads version %d", *version, recordVersion)
	}
	return nil
}
