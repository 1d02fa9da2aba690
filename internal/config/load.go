package config

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// Files are a worker's configuration and those of its connectors.
type Files struct {
	Worker     connector.WorkerConfig
	Connectors []connector.Config // in the order of their files
	Sources    []*Source          // theirs
}

// Load reads the worker's file and those of its connectors. env looks up an
// environment variable, as os.LookupEnv does. The connectors come in the order
// of their files. An error is always a *connector.ConfigError with every fault
// that was found.
func Load(workerFile string, connectorFiles []string, env func(name string) (value string, set bool)) (connector.WorkerConfig, []connector.Config, error) {
	files, err := LoadFiles(workerFile, connectorFiles, env)
	return files.Worker, files.Connectors, err
}

// LoadFiles is Load, and gives also what the configurations can be made of again.
func LoadFiles(workerFile string, connectorFiles []string, env func(name string) (value string, set bool)) (Files, error) {
	access := Full(env)
	worker := connector.WorkerConfig{}
	workerDoc := newSource(workerFile, access).document(kindWorker)
	workerDoc.unmarshal(&worker)
	workerDoc.addValidated(worker.Validate())

	connectors := make([]connector.Config, len(connectorFiles))
	sources := make([]*Source, len(connectorFiles))
	docs := make([]*document, len(connectorFiles))
	for i, file := range connectorFiles {
		sources[i] = newSource(file, access)
		docs[i] = sources[i].document(kindConnector)
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
		return Files{}, &connector.ConfigError{Faults: faults}
	}
	return Files{Worker: worker, Connectors: connectors, Sources: sources}, nil
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

func newDocument(file string, k kind) *document {
	return &document{file: file, kind: k, values: map[string]any{}, lines: map[string]int{}, broken: map[string]bool{}}
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
	values := maps.Clone(d.values)
	for name, value := range values {
		if s, is := value.(connector.Secret); is {
			values[name] = s.Reveal() // koanf copies what it is given, and can't copy these
		}
	}
	for _, layer := range []map[string]any{defaults, values} {
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			panic(fmt.Sprintf("loading parsed values: %v", err))
		}
	}
	err := k.UnmarshalWithConf("", into, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{TagName: "koanf", ErrorUnused: true, Result: into, DecodeHook: hide},
	})
	if err != nil {
		panic(fmt.Sprintf("config struct does not fit its table of keys: %v", err))
	}
}

// hide makes secrets of texts.
func hide(_, to reflect.Type, value any) (any, error) {
	if text, is := value.(string); is && to == reflect.TypeFor[connector.Secret]() {
		return secret.New(text), nil
	}
	return value, nil
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
