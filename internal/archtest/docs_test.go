package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// A path with a folder, or the name of a file, within backquotes.
	quotedPath = regexp.MustCompile("`((?:[a-z0-9_.-]+/)+[a-zA-Z0-9_.-]*)`")
	// The target of a link that stays in the repository.
	linkTarget = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	testName   = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]+\b`)
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)\(`)
)

func TestDocumentsNameWhatIsThere(t *testing.T) {
	root := moduleRoot(t)
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	tests := map[string]bool{}
	for _, f := range files(t) {
		if !f.test {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range testFunc.FindAllSubmatch(source, -1) {
			tests[string(match[1])] = true
		}
	}
	for _, document := range documents {
		data, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		text, name := string(data), filepath.Base(document)
		for _, match := range quotedPath.FindAllStringSubmatch(text, -1) {
			// What is built is not in the repository.
			if strings.HasPrefix(match[1], "bin/") || match[1] == "dist/" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s names %s, which is not there", name, match[1])
			}
		}
		for _, match := range linkTarget.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), match[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
			}
		}
		for _, test := range testName.FindAllString(text, -1) {
			if !tests[test] && test != "TestMain" {
				t.Errorf("%s names the test %s, which is not there", name, test)
			}
		}
	}
}
