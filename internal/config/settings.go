package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// FromMap makes a connector's configuration of plain keys and values, as REST
// brings them: dotted keys, lists with commas, references as in files but for paths,
// which are absolute. It returns every fault of the configuration by itself, none if
// it can be run.
func FromMap(values map[string]string, access Access) (connector.Config, []connector.Fault) {
	d := newDocument("", kindConnector)
	r := access.resolver("", readFile)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if len(key) > maxKeyBytes {
			d.fault(connector.Fault{Key: key[:40] + "...", What: "unknown key", Remedy: "remove it"})
			continue
		}
		d.set(setting{key: key, items: []string{values[key]}}, r)
	}
	return d.connector()
}

// Source is a connector's configuration as its file has it, with references, which
// may lead to something else each time they are resolved.
type Source struct {
	text  text
	mu    sync.Mutex // over what keeping remembers
	reads resolver
}

// ReadSource reads a connector's file. Its error is a *connector.ConfigError: the
// file can't be read or isn't YAML. What else is wrong with it Config tells.
func ReadSource(file string, access Access) (*Source, error) {
	s := newSource(file, access)
	if s.text.unreadable {
		return nil, fmt.Errorf("reading a connector's file: %w", &connector.ConfigError{Faults: s.text.faults})
	}
	return s, nil
}

func newSource(file string, access Access) *Source {
	return &Source{text: readText(file), reads: access.resolver(filepath.Dir(file), (&keeping{once: make(map[string][]byte)}).readFile)}
}

// Settings are keys and values as they stand in the file, as FromMap takes them.
func (s *Source) Settings() map[string]string {
	values := make(map[string]string, len(s.text.settings))
	for _, given := range s.text.settings {
		values[given.key] = strings.Join(given.items, ",")
	}
	return values
}

// Config resolves the references, each time anew, and gives every fault that the
// configuration has by itself. The file isn't read again; what could be read only
// once, such as a pipe, isn't either.
func (s *Source) Config() (connector.Config, []connector.Fault) {
	return s.document(kindConnector).connector()
}

func (s *Source) document(k kind) *document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.document(k, s.reads)
}

// connector gives the configuration if it has no fault.
func (d *document) connector() (connector.Config, []connector.Fault) {
	var c connector.Config
	d.unmarshal(&c)
	d.addValidated(c.Validate())
	if len(d.faults) > 0 {
		return connector.Config{}, d.sortedFaults()
	}
	return c, nil
}
