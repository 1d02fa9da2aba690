package connector

import (
	"reflect"
	"strconv"
	"time"
)

// Setting is a key of a configuration with the value that holds, given or by
// default.
type Setting struct {
	Key Key
	// Value is a string, Secret, []string, bool, int64, time.Duration or, of keys
	// of type map, map[string]string.
	Value any
}

// Settings lists the worker's configuration in the order of [WorkerKeys].
func (c WorkerConfig) Settings() []Setting { return settings(reflect.ValueOf(c), workerKeys) }

// Settings lists the connector's configuration in the order of [ConnectorKeys].
func (c Config) Settings() []Setting { return settings(reflect.ValueOf(c), connectorKeys) }

func settings(v reflect.Value, keys []Key) []Setting {
	var all []Setting
	for _, k := range keys {
		if k.Absent != "" {
			continue
		}
		s := Setting{Key: k}
		switch field := fieldOf(v, k.Name); {
		case field.Type() == reflect.TypeFor[time.Duration]():
			s.Value = field.Interface()
		case field.CanInt():
			s.Value = field.Int()
		default:
			s.Value = field.Interface()
		}
		all = append(all, s)
	}
	return all
}

// Text is the value as a file would have it, lists with commas; secrets are
// masked. Keys of type map have none.
func (s Setting) Text() string {
	switch v := s.Value.(type) {
	case string:
		return v
	case Secret:
		return v.String()
	case []string:
		text := ""
		for i, item := range v {
			if i > 0 {
				text += ","
			}
			text += item
		}
		return text
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case time.Duration:
		return strconv.FormatInt(v.Milliseconds(), 10)
	}
	return ""
}

// IsDefault reports whether the value is the one that holds when the key isn't
// given.
func (s Setting) IsDefault() bool {
	if s.Key.Default == nil {
		return s.Text() == ""
	}
	return Setting{Key: s.Key, Value: s.Key.Default}.Text() == s.Text()
}
