package config

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Load reads the worker's file and those of its connectors. env looks up an
// environment variable, as os.LookupEnv does. The connectors come in the order
// of their files. An error is always a *connector.ConfigError with every fault
// that was found.
func Load(workerFile string, connectorFiles []string, env func(name string) (value string, set bool)) (connector.WorkerConfig, []connector.Config, error) {
	worker := connector.WorkerConfig{}
	workerDoc := readDocument(workerFile, kindWorker, env)
	workerDoc.unmarshal(&worker)
	workerDoc.addValidated(worker.Validate())

	connectors := make([]connector.Config, len(connectorFiles))
	docs := make([]*document, len(connectorFiles))
	for i, file := range connectorFiles {
		docs[i] = readDocument(file, kindConnector, env)
		docs[i].unmarshal(&connectors[i])
		docs[i].addValidated(connectors[i].Validate())
	}
	for i, faults := range connector.ValidateTogether(worker, connectors) {
		docs[i].addValidated(faults)
	}

	var faults []connector.Fault
	for _, doc := range append([]*document{workerDoc}, docs...) {
		faults = append(faults, doc.sortedFaults()...)
	}
	if len(faults) > 0 {
		return connector.WorkerConfig{}, nil, &connector.ConfigError{Faults: faults}
	}
	return worker, connectors, nil
}

// document is what is known of one file after it was read.
type document struct {
	file   string
	kind   kind
	values map[string]any // by key, of the types that connector.Key.Parse gives
	lines  map[string]int // where each key stands, also of those with a fault
	broken map[string]bool
	faults []connector.Fault

	unreadable bool // nothing is known of the keys, so none is called missing
}

// readDocument reads a file and parses all it can of it.
func readDocument(file string, k kind, env func(string) (string, bool)) *document {
	data, fault := readFile(file)
	if fault != nil {
		fault.File = file
		return &document{file: file, kind: k, faults: []connector.Fault{*fault}, unreadable: true}
	}
	return parseDocument(file, k, data, resolver{env: env, folder: filepath.Dir(file), readFile: readFile})
}

// unmarshal fills a config struct with the defaults, and above them what the
// file gives. Every value has its field's type by now, so that koanf converts
// nothing and cannot fail on what a user wrote.
func (d *document) unmarshal(into any) {
	// Keys such as value.converter and value.converter.schemas.enable stand
	// side by side: they are names, not paths. A delimiter that no key can
	// hold keeps koanf from taking them apart.
	const noDelimiter = "\x00"
	k := koanf.New(noDelimiter)
	defaults := map[string]any{}
	for _, key := range d.kind.keys() {
		if key.Default != nil {
			defaults[key.Name] = key.Default
		}
	}
	for _, layer := range []map[string]any{defaults, d.values} {
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			panic(fmt.Sprintf("loading parsed values: %v", err))
		}
	}
	err := k.UnmarshalWithConf("", into, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{TagName: "koanf", ErrorUnused: true, Result: into},
	})
	if err != nil {
		panic(fmt.Sprintf("config struct does not fit its table of keys: %v", err))
	}
}

// addValidated adds what validation found, with file and line, but for what
// only repeats a fault that parsing has told already.
func (d *document) addValidated(faults []connector.Fault) {
	if d.unreadable {
		return
	}
next:
	for _, f := range faults {
		for key := range d.broken {
			if f.RestsOn(key) {
				continue next
			}
		}
		f.File, f.Line = d.file, d.lines[f.Key]
		d.faults = append(d.faults, f)
	}
}

// sortedFaults has the faults in the order of the file's lines, and what is
// missing after them.
func (d *document) sortedFaults() []connector.Fault {
	place := func(f connector.Fault) int {
		if f.Line == 0 {
			return math.MaxInt
		}
		return f.Line
	}
	slices.SortStableFunc(d.faults, func(a, b connector.Fault) int { return cmp.Compare(place(a), place(b)) })
	return d.faults
}
