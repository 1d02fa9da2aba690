package metrics

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

func TestDocumentIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "metrics.md")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := document(got)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run make generate", path)
	}
	// What the text around the list names is there too.
	for _, name := range regexp.MustCompile(namespace+`[a-z_]+`).FindAllString(string(want), -1) {
		if !slices.ContainsFunc(newInstruments().definitions, func(d definition) bool {
			return name == d.name || d.kind == "histogram" && slices.Contains([]string{d.name + "_bucket", d.name + "_sum", d.name + "_count"}, name)
		}) {
			t.Errorf("%s names %s, which isn't a metric", path, name)
		}
	}
	for _, d := range newInstruments().definitions {
		if !strings.Contains(string(want), "`"+d.name+"`") {
			t.Errorf("%s doesn't name %s", path, d.name)
		}
	}
}
