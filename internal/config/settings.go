package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// FromMap makes a connector's configuration of plain keys and values, as REST
// brings them: dotted keys, lists with commas, references as in files. A path that
// isn't absolute starts at the process's working folder. It returns every fault of
// the configuration by itself, none if it can be run.
func FromMap(values map[string]string, env func(name string) (value string, set bool)) (connector.Config, []connector.Fault) {
	d := &document{kind: kindConnector, values: map[string]any{}, lines: map[string]int{}, broken: map[string]bool{}}
	r := resolver{env: env, readFile: readFile}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if len(key) > maxKeyBytes {
			d.fault(connector.Fault{Key: key[:40] + "...", What: "unknown key", Remedy: "remove it"})
			continue
		}
		d.set(setting{key: key, items: []string{values[key]}}, r)
	}
	var c connector.Config
	d.unmarshal(&c)
	d.addValidated(c.Validate())
	if len(d.faults) > 0 {
		return connector.Config{}, d.faults
	}
	return c, nil
}

// Settings reads a connector's file as FromMap takes it: keys and values as they
// stand there, references and all.
func Settings(file string) (map[string]string, error) {
	data, fault := readFile(file)
	if fault == nil {
		root, syntax := parseYAML(data)
		if fault = syntax; fault == nil {
			settings, faults := flatten(root)
			if len(faults) == 0 {
				values := make(map[string]string, len(settings))
				for _, s := range settings {
					values[s.key] = strings.Join(s.items, ",")
				}
				return values, nil
			}
			fault = &faults[0]
		}
	}
	fault.File = file
	return nil, fmt.Errorf("reading a connector's file: %w", &connector.ConfigError{Faults: []connector.Fault{*fault}})
}
