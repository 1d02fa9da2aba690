package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Print writes a configuration as YAML that [Load] reads as the same: each key
// that has a value, in the order of the reference, references resolved, and what
// is as by default marked so. Secrets are masked; those have to be put back
// before it is read.
func Print(out io.Writer, settings []connector.Setting) error {
	for _, s := range settings {
		lines, err := renderSetting(s)
		if err != nil {
			return fmt.Errorf("printing %s: %w", s.Key.Name, err)
		}
		for _, line := range lines {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
	}
	return nil
}

func renderSetting(s connector.Setting) ([]string, error) {
	if entries, is := s.Value.(map[string]string); is {
		var lines []string
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			line, err := renderLine(s.Key.Prefix()+name, entries[name])
			if err != nil {
				return nil, err
			}
			lines = append(lines, line)
		}
		return lines, nil
	}
	var value any = s.Text()
	switch v := s.Value.(type) {
	case []string:
		value = v
		if len(v) == 0 {
			return nil, nil
		}
	case bool:
		value = v
	default:
		if s.Text() == "" {
			return nil, nil
		}
		if number := s.Key.Type; number == connector.TypeInt || number == connector.TypeBytes || number == connector.TypeMillis {
			value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: s.Text()}
		}
	}
	line, err := renderLine(s.Key.Name, value)
	if err == nil && s.IsDefault() {
		line += " # default"
	}
	return []string{line}, err
}

// renderLine writes one key on one line.
func renderLine(name string, value any) (string, error) {
	var node yaml.Node
	switch v := value.(type) {
	case yaml.Node:
		node = v
	case string:
		node.SetString(escapeReferences(v))
		if strings.Contains(v, "\n") {
			node.Style = yaml.DoubleQuotedStyle
		}
	case []string:
		node = yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v {
			var one yaml.Node
			one.SetString(escapeReferences(item))
			node.Content = append(node.Content, &one)
		}
	default:
		if err := node.Encode(v); err != nil {
			return "", err
		}
	}
	var key yaml.Node
	key.SetString(name)
	text, err := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{&key, &node}})
	return strings.TrimSuffix(string(text), "\n"), err
}

// escapeReferences keeps text from being read as a reference.
func escapeReferences(text string) string { return strings.ReplaceAll(text, "${", "$${") }
