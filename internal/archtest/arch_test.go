package archtest

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kudu2kafka/kudu2kafka"

// Budgets of a file in lines. Files aim at 400.
const (
	maxLines     = 600
	maxTestLines = 800
)

// Names for modules that several packages use.
const (
	hclog      = "github.com/hashicorp/go-hclog"
	prometheus = "github.com/prometheus/client_golang"
	backoff    = "github.com/cenkalti/backoff/v4"
	franzgo    = "github.com/twmb/franz-go" // kgo, kadm, kmsg, kerr
	koanf      = "github.com/knadh/koanf"
	protobuf   = "google.golang.org/protobuf"
)

// allowed is what the code of each package, tests left out, may import beside
// the standard library: folders of this module, and other modules. Arrows point
// down only, see ARCHITECTURE.md. A new edge is a new word here, and a reason
// for it in the change that brings it.
var allowed = map[string][]string{
	"cmd/kudu2kafka": {"connector", "internal/config", "internal/herder", "internal/logs", "internal/metrics", "internal/preflight", "internal/rest", "internal/status", hclog, "github.com/spf13/cobra", "golang.org/x/term"},

	// x/sync: a migration does what it does for all partitions several at a time.
	"connector": {"kudu", "kudu/secret", "offsets", "serde", "internal/extsort", "internal/grace", "internal/kafka", "internal/predicate", franzgo, hclog, backoff, "github.com/cespare/xxhash/v2", "golang.org/x/sync"},
	"serde":     {"kudu"},
	// internal/kafka: the rights that Kafka denies are named alike everywhere.
	"offsets": {"internal/kafka", franzgo},
	// Keystores as Java has them are PKCS12; Kerberos is Kudu's.
	"internal/kafka":   {"kudu/gssapi", "kudu/secret", "internal/pemfile", franzgo, hclog, "software.sslmate.com/src/go-pkcs12"},
	"internal/extsort": {},
	"internal/grace":   {},
	"internal/pemfile": {},
	// What where says, as predicates that Kudu evaluates.
	"internal/predicate": {"kudu", "github.com/alecthomas/participle/v2"},

	// The only importer of koanf. Mapstructure is koanf's own decoder, and the
	// YAML parser tells lines, which koanf doesn't.
	"internal/config": {"connector", "kudu/secret", koanf, "github.com/go-viper/mapstructure/v2", "go.yaml.in/yaml/v3"},

	// What the commands check and plan, reading only.
	"internal/preflight": {"connector", "kudu", "offsets", "internal/kafka", "internal/predicate", franzgo, hclog},

	// What REST and the commands steer workers by.
	"internal/herder": {"connector", "offsets", "internal/config", "internal/grace", "internal/kafka", franzgo, hclog, backoff},

	// The only importer of a metrics library: it observes connectors, and brings
	// the hooks of their clients.
	"internal/metrics": {"connector", "kudu", franzgo, hclog, prometheus},

	// Levels of loggers that can be set while they log.
	"internal/logs": {hclog},

	// What the herder answers, over HTTP.
	"internal/rest": {"connector", "internal/herder", "internal/pemfile", hclog},

	// What the herder knows, for people: a page, and text.
	"internal/status": {"internal/herder"},

	// The Kudu client could be a module of its own: nothing of Kafka, nothing
	// of the rest of this module.
	"kudu":               {"kudu/secret", "kudu/internal/kerberos", "kudu/internal/krpc", "kudu/internal/pb", hclog, backoff, protobuf, "golang.org/x/sync"},
	"kudu/internal/krpc": {"kudu/internal/pb", hclog, protobuf},
	// Tickets and tokens of Kerberos; the only importer of gokrb5.
	"kudu/internal/kerberos": {"kudu/secret", "kudu/internal/krpc", "kudu/internal/pb", hclog, "github.com/jcmturner/gokrb5/v8"},
	// The same for servers that aren't Kudu's.
	"kudu/gssapi": {"kudu/secret", "kudu/internal/kerberos", hclog},
	// What holds passwords, wherever they go: one type, so that none is printed.
	"kudu/secret":      {},
	"kudu/internal/pb": {protobuf},
	"kudu/kudufake":    {"kudu", "kudu/internal/krpc", "kudu/internal/pb", hclog, protobuf},
	"kudu/kudutest":    {"kudu", "kudu/kudufake", "kudu/internal/krpc", "kudu/internal/pb", "internal/testenv", hclog, protobuf},

	// For tests, demo and benchmarks, none of it in the product.
	"internal/archtest": {},
	// Tests that reach a Kudu with Kerberos are built with the overlay.
	"internal/testenv": {"test/kudutool", "internal/overlay", franzgo, hclog, "golang.org/x/sync"},
	"test/kudutool":    {},
	"test/secured":     {},

	// What programs are built with; not part of them.
	"internal/overlay":          {},
	"internal/overlay/generate": {"internal/overlay"},
	"internal/release":          {"internal/overlay"},
	"test/release":              {},
	"test/e2e":                  {},
	"test/connect":              {},
	"test/page":                 {},
	"test/secrets":              {},
	"test/prometheus":           {},
	"test/compose":              {},
	// Fills the table of docker-compose.yml: in an image of its own.
	"test/sample": {"kudu"},
	"test/demo":   {"connector", "offsets", "internal/config", "internal/testenv", franzgo, "golang.org/x/sync", "golang.org/x/sys"},
	"test/bench":  {"connector", "kudu", "offsets", "serde", "internal/config", "internal/kafka", "internal/testenv", franzgo, hclog, "golang.org/x/sync", "golang.org/x/sys"},
}

// forTests is what tests may import beside that of their package.
var forTests = []string{
	"internal/testenv", "kudu/secret",
	"go.uber.org/goleak", "pgregory.net/rapid",
	franzgo, // a fake cluster, and clients to look into real ones
	hclog,
}

// moreForTests are further imports of the tests of single packages.
var moreForTests = map[string][]string{
	// The program on a terminal, with fake servers; and whether it says rightly that it
	// has the overlay.
	"cmd/kudu2kafka": {"kudu", "kudu/kudufake", "internal/overlay", "golang.org/x/sys"},
	// Whole workers, to be steered.
	"internal/herder":    {"kudu", "kudu/kudufake"},
	"connector":          {"kudu/kudufake", "go.yaml.in/yaml/v3"}, // looked for secrets
	"internal/kafka":     {"go.yaml.in/yaml/v3"},                  // the same
	"kudu/secret":        {"go.yaml.in/yaml/v3"},                  // the same
	"internal/preflight": {"kudu/kudufake"},
	"kudu":               {"kudu/kudufake", "kudu/kudutest", "internal/overlay"},
	// Rules and dashboards are YAML and JSON.
	"internal/metrics": {"kudu/kudufake", "internal/config", "go.yaml.in/yaml/v3"},
	"kudu/kudufake":    {"kudu/kudutest"},
	"test/sample":      {"kudu/kudufake"},
	"test/compose":     {"go.yaml.in/yaml/v3"},
	// internal/kafka: the rights of Kafka's access control, to be granted and revoked.
	"test/e2e": {"connector", "offsets", "internal/config", "internal/kafka", "internal/preflight", "kudu"},
	// Messages of a negotiation, for somebody in between.
	"test/secured": {"kudu", protobuf},
	// The keys that are secrets, and a worker on fake servers with them.
	"test/secrets": {"connector", "kudu", "kudu/kudufake"},
	// A browser, and a worker on fake servers for it to look at.
	"test/page": {"kudu", "kudu/kudufake", "github.com/chromedp"},
	// Rules are YAML, and a worker on fake servers is scraped.
	"test/prometheus": {"kudu", "kudu/kudufake", "go.yaml.in/yaml/v3"},
	// gofork is gokrb5's own encoding/asn1.
	"kudu/internal/kerberos": {"github.com/jcmturner/gofork", protobuf},
}

// productRoot is the package that is shipped.
const productRoot = "cmd/kudu2kafka"

// file is one Go file of the module.
type file struct {
	path      string // slash-separated, below the module's root
	folder    string
	test      bool
	generated bool
	lines     int
	doc       string // comment of the package clause
	imports   []string
}

func TestImportsFollowTheMap(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, f := range files(t) {
		list, known := allowed[f.folder]
		if !known {
			t.Errorf("%s: package %s is not on the map; add it to the table of this test and to ARCHITECTURE.md", f.path, f.folder)
			continue
		}
		if used[f.folder] == nil {
			used[f.folder] = map[string]bool{}
		}
		if f.test {
			list = slices.Concat(list, forTests, moreForTests[f.folder])
		}
		for _, imported := range f.imports {
			if name := strings.TrimPrefix(imported, module+"/"); name != imported {
				if name == f.folder { // an external test package
					continue
				}
				if !slices.Contains(list, name) {
					t.Errorf("%s imports %s: no arrow leads there", f.path, name)
				}
				used[f.folder][name] = true
				continue
			}
			if standard(imported) {
				continue
			}
			i := slices.IndexFunc(list, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") })
			if i < 0 {
				t.Errorf("%s imports %s: not a module of this package", f.path, imported)
			}
		}
	}
	for folder := range allowed {
		if used[folder] == nil && !planned[folder] {
			t.Errorf("the map has a package %s, which is not there", folder)
		}
	}
}

// planned are packages that are on the map before they are there.
var planned = map[string]bool{"internal/predicate": true, "test/bench": true, "kudu/kudufake": true, "kudu/kudutest": true}

func TestArrowsPointDown(t *testing.T) {
	const (
		unseen = iota
		open
		done
	)
	state := map[string]int{}
	var visit func(folder string, way []string)
	visit = func(folder string, way []string) {
		switch state[folder] {
		case open:
			t.Errorf("the arrows go round: %s", strings.Join(append(way, folder), " -> "))
			return
		case done:
			return
		}
		state[folder] = open
		for _, next := range allowed[folder] {
			if _, ours := allowed[next]; ours {
				visit(next, append(way, folder))
			}
		}
		state[folder] = done
	}
	for _, folder := range slices.Sorted(maps.Keys(allowed)) {
		visit(folder, nil)
	}
}

func TestProductHasNothingMadeForTests(t *testing.T) {
	reached := map[string]bool{}
	var visit func(folder string)
	visit = func(folder string) {
		if reached[folder] {
			return
		}
		reached[folder] = true
		for _, next := range allowed[folder] {
			if _, ours := allowed[next]; ours {
				visit(next)
			}
		}
	}
	visit(productRoot)
	for folder := range reached {
		if strings.HasPrefix(folder, "test/") || slices.Contains([]string{"internal/testenv", "kudu/kudufake", "kudu/kudutest"}, folder) {
			t.Errorf("%s is reached from %s", folder, productRoot)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	docs := map[string]string{}
	for _, f := range files(t) {
		docs[f.folder] += f.doc
	}
	for folder, doc := range docs {
		if len(strings.TrimSpace(doc)) < 40 {
			t.Errorf("package %s has no comment, or a very short one: %q", folder, doc)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	for _, f := range files(t) {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if f.lines > limit && !f.generated {
			t.Errorf("%s has %d lines, the limit is %d: split it", f.path, f.lines, limit)
		}
	}
}

// standard reports whether a path is the standard library's: its first element
// has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// files parses the heads of all Go files of the module.
func files(t *testing.T) []file {
	t.Helper()
	root := moduleRoot(t)
	var all []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); name != root && (base == "testdata" || base == "bin" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parse(root, name)
		all = append(all, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found only %d Go files below %s", len(all), root)
	}
	return all
}

func parse(root, name string) (file, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return file{}, err
	}
	rel = filepath.ToSlash(rel)
	parsed, err := parser.ParseFile(token.NewFileSet(), rel, source, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	f := file{
		path: rel, folder: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
		generated: ast.IsGenerated(parsed), lines: bytes.Count(source, []byte("\n")), doc: parsed.Doc.Text(),
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// moduleRoot is the folder above with this module's go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			continue
		}
		line, _, err := bufio.NewReader(bytes.NewReader(mod)).ReadLine()
		if err == nil && string(line) == "module "+module {
			return dir
		}
	}
	t.Fatal("no go.mod of this module above the test")
	return ""
}
