package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// legal are names of files that have to go with copies of a module.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|copyright)([.-].*)?$`)

// licensesHead begins the file of licenses.
const licensesHead = `kudu2kafka is licensed under the Apache License, Version 2.0; see LICENSE.

The program is built of the modules below, each followed by its license and
notices, and of Go's standard library and runtime, whose source was changed in
one place of crypto/x509, as internal/overlay of kudu2kafka's source tells. The
source of each module, unchanged, can be had by its name and version from
https://pkg.go.dev.
`

// module is what the program is built of, with the folders of its packages.
type module struct {
	title   string
	root    string
	folders map[string]bool
}

// licenses collects the licenses of all that the program is built of. Licenses that
// are in folders of packages count for those packages only.
func (r *release) licenses(ctx context.Context, env []string) ([]byte, error) {
	const format = `{{if .Standard}}{{else if .Module.Main}}{{else}}{{.Module.Path}} {{.Module.Version}}|{{.Module.Dir}}|{{.Dir}}{{end}}`
	listed, err := r.output(ctx, env, r.goCommand, "list", "-deps", "-mod=readonly", "-f", format, "./cmd/"+name)
	if err != nil {
		return nil, fmt.Errorf("listing the modules: %w", err)
	}
	modules := map[string]*module{}
	for line := range strings.Lines(listed) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		if len(parts) != 3 {
			return nil, fmt.Errorf("listing the modules: what is %q?", line)
		}
		m := modules[parts[0]]
		if m == nil {
			m = &module{title: parts[0], root: parts[1], folders: map[string]bool{}}
			modules[parts[0]] = m
		}
		for folder := parts[2]; ; folder = filepath.Dir(folder) {
			m.folders[folder] = true
			if folder == m.root || len(folder) <= len(m.root) {
				break
			}
		}
	}
	version, err := r.output(ctx, env, r.goCommand, "env", "GOVERSION")
	if err != nil {
		return nil, fmt.Errorf("looking for the licenses of Go: %w", err)
	}
	root, err := r.output(ctx, env, r.goCommand, "env", "GOROOT")
	if err != nil {
		return nil, fmt.Errorf("looking for the licenses of Go: %w", err)
	}
	all := []*module{{title: "Go " + version, root: root, folders: map[string]bool{root: true}}}
	for _, m := range modules {
		all = append(all, m)
	}
	slices.SortFunc(all[1:], func(a, b *module) int { return strings.Compare(a.title, b.title) })
	text := bytes.NewBufferString(licensesHead)
	var lacking []error
	for _, m := range all {
		if err := m.write(text); err != nil {
			lacking = append(lacking, err)
		}
	}
	return text.Bytes(), errors.Join(lacking...)
}

// write appends the licenses of a module.
func (m *module) write(text *bytes.Buffer) error {
	var found []string
	for folder := range m.folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return fmt.Errorf("looking for the license of %s: %w", m.title, err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() && legal.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
				found = append(found, filepath.Join(folder, e.Name()))
			}
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("%s has no license: nobody may pass it on", m.title)
	}
	slices.Sort(found)
	for _, path := range found {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading the license of %s: %w", m.title, err)
		}
		within, err := filepath.Rel(m.root, path)
		if err != nil {
			return fmt.Errorf("reading the license of %s: %w", m.title, err)
		}
		fmt.Fprintf(text, "\n%s\n%s, %s\n\n%s\n", strings.Repeat("-", 72), m.title, filepath.ToSlash(within), bytes.TrimSpace(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))))
	}
	return nil
}
