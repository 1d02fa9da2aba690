package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

var (
	codeBlock  = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")
	codeInline = regexp.MustCompile("`(kudu2kafka [^`\n]+)`")
)

// documents are README.md and docs/, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, name := range append(names, "../../README.md") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	return texts
}

// commandLines are the lines of a shell in a document that call the program, and
// what stands within backquotes and does.
func commandLines(text string) (lines, mentions []string) {
	for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[2]) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			line = strings.TrimPrefix(line, "bin/")
			if strings.HasPrefix(line, "kudu2kafka ") {
				lines = append(lines, line)
			}
		}
	}
	for _, quoted := range codeInline.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		mentions = append(mentions, quoted[1])
	}
	return lines, mentions
}

// parsed looks whether the program would take a line, up to what the shell makes
// of it. A mention may leave arguments out.
func parsed(root *cobra.Command, line string, whole bool) error {
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)[1:]
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ">") || w == "|" || w == "<" }); i >= 0 {
		words = words[:i]
	}
	command, rest, err := root.Find(words)
	switch {
	case err != nil:
		return err
	case command == root && words[0] != "help" && !strings.HasPrefix(words[0], "-"):
		return fmt.Errorf("there is no command %s", words[0])
	}
	command.InitDefaultHelpFlag()
	if err := command.ParseFlags(rest); err != nil {
		return err
	}
	args := command.Flags().Args()
	if command.HasSubCommands() && len(args) > 0 {
		return fmt.Errorf("%s has no command %s", command.CommandPath(), args[0])
	}
	if !whole && (len(args) == 0 || strings.Contains(line, "[")) {
		return nil // the name of a command, or its synopsis
	}
	return command.ValidateArgs(args)
}

func TestDocumentedCommandLinesAreTaken(t *testing.T) {
	checked := 0
	check := func(document, line string, whole bool) {
		// A tree for each: flags remember what they were given.
		root := (&app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}).rootCommand()
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd()
		checked++
		if err := parsed(root, line, whole); err != nil {
			t.Errorf("%s: %s: %v", filepath.Base(document), line, err)
		}
	}
	for document, text := range documents(t) {
		lines, mentions := commandLines(text)
		for _, line := range lines {
			check(document, line, true)
		}
		for _, mention := range mentions {
			check(document, mention, false)
		}
	}
	if checked < 30 {
		t.Errorf("only %d command lines were found in the documents", checked)
	}
}

// TestDocumentedConnectorsAreValid loads the examples that are a whole file.
func TestDocumentedConnectorsAreValid(t *testing.T) {
	checked := 0
	for document, text := range documents(t) {
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			if block[1] != "yaml" {
				continue
			}
			worker, connector := "bootstrap.servers: k:9092\ngroup.id: g\n", "name: x\nkudu.masters: m\nkudu.table: t\ntopic: t\n"
			switch {
			case strings.Contains(block[2], "bootstrap.servers:"):
				worker = block[2]
			case strings.Contains(block[2], "\nkudu.table:"):
				connector = block[2]
			default:
				continue // single keys
			}
			checked++
			folder := t.TempDir()
			files := []string{filepath.Join(folder, "worker.yaml"), filepath.Join(folder, "connector.yaml")}
			for i, content := range []string{worker, connector} {
				if err := os.WriteFile(files[i], []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := config.Load(files[0], files[1:], func(string) (string, bool) { return "", false }); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(document), err, block[2])
			}
		}
	}
	if checked < 7 {
		t.Errorf("only %d examples were found in the documents", checked)
	}
}
