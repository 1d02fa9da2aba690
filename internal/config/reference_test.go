package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func TestReferenceIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	want := Reference()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run make generate", path)
	}
}

func TestReferenceHasEveryKeyOfThisRelease(t *testing.T) {
	text := string(Reference())
	for _, key := range append(connector.WorkerKeys(), connector.ConnectorKeys()...) {
		heading := "\n### " + escapeHeading(key.Name) + "\n\n" + key.Doc
		if strings.Contains(text, heading) != (key.Absent == "") {
			t.Errorf("%s: in the reference: %t, in this release: %t", key.Name, strings.Contains(text, heading), key.Absent == "")
		}
	}
}
