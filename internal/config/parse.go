package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Bounds on what a file may make us do. Real keys have less than 50 bytes and
// six parts.
const (
	maxKeyBytes = 256
	maxDepth    = 16
)

// text is what a file gives, before anything is made of it.
type text struct {
	file       string
	settings   []setting
	faults     []connector.Fault
	unreadable bool // nothing is known of the keys
}

// readText reads a file of one YAML document, and flattens its keys.
func readText(file string) text {
	data, fault := readFile(file)
	if fault != nil {
		fault.File = file
		return text{file: file, faults: []connector.Fault{*fault}, unreadable: true}
	}
	return parseText(file, data)
}

func parseText(file string, data []byte) text {
	root, fault := parseYAML(data)
	if fault != nil {
		fault.File = file
		return text{file: file, faults: []connector.Fault{*fault}, unreadable: true}
	}
	t := text{file: file}
	t.settings, t.faults = flatten(root)
	return t
}

// document makes what it can of a text: keys are checked against the table, their
// values resolved and parsed. All faults go into the result.
func (t text) document(k kind, r resolver) *document {
	d := newDocument(t.file, k)
	d.unreadable = t.unreadable
	for _, f := range t.faults {
		d.fault(f)
	}
	for _, s := range t.settings {
		d.set(s, r)
	}
	return d
}

func (d *document) fault(f connector.Fault) {
	f.File = d.file
	d.faults = append(d.faults, f)
	if f.Key != "" {
		d.broken[f.Key] = true
	}
}

// set takes one setting into the document.
func (d *document) set(s setting, r resolver) {
	d.lines[s.key] = s.line
	fail := func(f connector.Fault) {
		f.Key, f.Line = s.key, s.line
		d.fault(f)
	}
	key, known := d.kind.lookup(s.key)
	switch {
	case !known:
		fail(unknownKey(d.kind, s.key))
		return
	case key.Absent != "":
		fail(connector.Fault{What: key.Absent, Remedy: "remove it"})
		return
	case key.Type == connector.TypeMap:
		if right := slipOf(d.kind, s.key); right != "" {
			fail(connector.Fault{What: "unknown key", Remedy: "did you mean " + right + "?"})
			return
		}
	}

	value := connector.Value{IsList: s.isList, Items: make([]string, len(s.items))}
	failed := false
	for i, item := range s.items {
		text, references, faults := r.resolve(item, key.Type == connector.TypePassword)
		for _, f := range faults {
			fail(f)
			failed = true
		}
		if references {
			value.Shown = strings.Join(s.items, ",")
		}
		value.Items[i] = text
	}
	if failed {
		return
	}
	parsed, faults := key.Parse(value)
	if path, is := parsed.(string); is && key.ReadsFile && path != "" && r.guard != nil {
		if fault := r.guard.mayName(path); fault != nil {
			faults = append(faults, *fault)
		}
	}
	if len(faults) > 0 {
		for _, f := range faults {
			fail(f)
		}
		return
	}
	if key.Type == connector.TypeMap {
		entries, _ := d.values[key.Name].(map[string]string)
		if entries == nil {
			entries = map[string]string{}
			d.values[key.Name] = entries
		}
		entries[strings.TrimPrefix(s.key, key.Prefix())], _ = parsed.(string)
		return
	}
	d.values[key.Name] = parsed
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parseYAML reads the one document of a file, which must be a map.
func parseYAML(data []byte) (*yaml.Node, *connector.Fault) {
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, &connector.Fault{What: "the file is empty", Remedy: "give keys and values, as the examples in configs/ do"}
	}
	if err == nil {
		if err = decoder.Decode(&more); err == nil {
			return nil, &connector.Fault{Line: more.Line, What: "a second YAML document begins here", Remedy: "keep one document in a file"}
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, syntaxFault(data, err)
	}
	node := root.Content[0]
	if node.Kind != yaml.MappingNode {
		if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
			return nil, &connector.Fault{What: "the file is empty", Remedy: "give keys and values, as the examples in configs/ do"}
		}
		return nil, &connector.Fault{Line: node.Line, What: "the file is not a map of keys and values", Remedy: "write lines such as name: orders"}
	}
	return node, nil
}

// syntaxFault tells a parser's error in our form. The commonest one, a tab in
// the indentation, is named by its cause.
func syntaxFault(data []byte, err error) *connector.Fault {
	f := &connector.Fault{What: err.Error(), Remedy: "correct the YAML"}
	match := yamlLine.FindStringSubmatch(f.What)
	if match == nil {
		return f
	}
	f.What = "not YAML: " + strings.TrimPrefix(f.What, match[0])
	if strings.Contains(f.What, "anchor") { // it quotes the value, which may be a secret
		f.What, f.Remedy = "a value begins with *, which YAML takes for the name of another one", "put the value in quotes"
	}
	f.Line, _ = strconv.Atoi(match[1])
	lines := strings.Split(string(data), "\n")
	// The parser names the line of the tab or the one before it.
	for n := max(f.Line, 1); n <= min(f.Line+1, len(lines)); n++ {
		text := lines[n-1]
		if indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]; strings.Contains(indent, "\t") {
			f.Line, f.What, f.Remedy = n, "a tab stands at the beginning of the line", "indent with spaces"
			break
		}
	}
	return f
}

// setting is one key with its value, as the file gives it.
type setting struct {
	key    string
	line   int
	items  []string
	isList bool
}

// flatten turns nested keys into dotted ones, in the order of the file.
func flatten(root *yaml.Node) ([]setting, []connector.Fault) {
	f := flattener{lines: map[string]int{}}
	f.walk(root, "", 1)
	return f.settings, f.faults
}

type flattener struct {
	settings []setting
	faults   []connector.Fault
	lines    map[string]int // of the keys in settings
}

func (f *flattener) fault(line int, key, what, remedy string) {
	f.faults = append(f.faults, connector.Fault{Line: line, Key: key, What: what, Remedy: remedy})
}

func (f *flattener) walk(node *yaml.Node, prefix string, depth int) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Tag == "!!merge" || name.Value == "" {
			f.fault(name.Line, strings.TrimSuffix(prefix, "."), "a key that is not a plain word", "write keys such as name or kudu.table")
			continue
		}
		key := prefix + name.Value
		if len(key) > maxKeyBytes || depth > maxDepth {
			f.fault(name.Line, key[:min(len(key), 40)]+"...", "unknown key", "remove it")
			continue
		}
		if line, twice := seen[name.Value]; twice {
			f.fault(name.Line, key, fmt.Sprintf("is given twice, first on line %d", line), "remove one")
			continue
		}
		seen[name.Value] = name.Line
		f.value(key, name.Line, value, depth)
	}
}

func (f *flattener) value(key string, line int, node *yaml.Node, depth int) {
	s := setting{key: key, line: line}
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		f.fault(line, key, "YAML anchors and aliases are not followed", "write the value itself")
		return
	case strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!"):
		f.fault(line, key, "has a YAML tag, a word that begins with !", "put the value in quotes")
		return
	case node.Kind == yaml.MappingNode && len(node.Content) > 0:
		f.walk(node, key+".", depth+1)
		return
	case node.Kind == yaml.MappingNode || node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		f.fault(line, key, "has no value", "give one, or remove the key")
		return
	case node.Kind == yaml.ScalarNode:
		s.items = []string{node.Value}
	default:
		s.isList = true
		for _, element := range node.Content {
			if element.Kind != yaml.ScalarNode || element.Tag == "!!null" || !strings.HasPrefix(element.Tag, "!!") || element.Anchor != "" {
				f.fault(element.Line, key, "has an element that is not a plain value", "write a list of plain values, such as [a, b]")
				return
			}
			s.items = append(s.items, element.Value)
		}
	}
	if first, twice := f.lines[key]; twice {
		f.fault(line, key, fmt.Sprintf("is given twice, dotted and nested, first on line %d", first), "remove one")
		return
	}
	f.lines[key] = line
	f.settings = append(f.settings, s)
}
