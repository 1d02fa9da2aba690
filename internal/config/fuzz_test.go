package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// FuzzParseDocument: whatever a file holds, parsing it ends, every fault says
// where and what, and what has no fault fills the struct.
func FuzzParseDocument(f *testing.F) {
	examples, err := filepath.Glob("../../configs/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	faulty, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(examples, faulty...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		"", "a", "? [a]\n: b", "<<: {a: b}", "a: &x {b: *x}", "name: ${env:A}${file:f:k}$${", "\tname: a", "name: !!binary aGk=",
		"{a: {b: {c: {d: {e: {f: {g: {h: {i: {j: {k: {l: {m: {n: {o: {p: {q: r}}}}}}}}}}}}}}}}}", "name: [[a]]", "---\n---\n", "name: |\n  a\n", "\xff\xfe",
	} {
		f.Add([]byte(text))
	}
	r := resolver{
		env:      variables(map[string]string{"A": "x", "B": "\xff"}),
		readFile: noFiles(map[string]string{"f": "k=v", "y.yaml": "k: v"}),
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(data)), "\n") + 1
		for _, k := range []kind{kindWorker, kindConnector} {
			d := parseText("f.yaml", data).document(k, r)
			var worker connector.WorkerConfig
			var conn connector.Config
			if k == kindWorker {
				d.unmarshal(&worker)
				d.addValidated(worker.Validate())
			} else {
				d.unmarshal(&conn)
				d.addValidated(conn.Validate())
			}
			for _, fault := range d.sortedFaults() {
				if fault.File != "f.yaml" || fault.What == "" || fault.Line < 0 || utf8.Valid(data) && fault.Line > lines {
					t.Errorf("fault does not say where and what: %#v", fault)
				}
			}
			if len(d.faults) == 0 && k == kindConnector {
				if again := conn.Validate(); len(again) > 0 || conn.Name == "" {
					t.Errorf("faulty configuration was taken: %v", again)
				}
			}
		}
	})
}

func FuzzProperties(f *testing.F) {
	f.Add("a=b\\\n c\n#d\ne\\u0041:f")
	f.Add("\\")
	f.Add("=\\u\\ud800\\udc0")
	f.Fuzz(func(t *testing.T, text string) {
		size := 0
		for key, value := range parseProperties(text) {
			size += len(key) + len(value)
		}
		if size > 3*len(text) {
			t.Errorf("%d bytes came out of %d", size, len(text))
		}
	})
}
