package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// light is what packages that are tested two at a time may take from internal/testenv.
// Of servers that is a KDC, which costs next to nothing, and one Kudu.
var light = []string{
	"Await", "Eventually", "Journal", "NewJournal", "Hidden", "HiddenInPrint", "ShowText", "ClosingShared",
	"Authority", "NewAuthority", "CertificateSpec", "KeyPair",
	"KDC", "Realm", "NewKDC", "NewRealm", "SharedKudu",
}

func TestPackagesThatAreTestedTogetherStartNoServersOfWeight(t *testing.T) {
	root := moduleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^WAITING := \$\(addprefix \$\(MODULE\)/,(.+)\)$`).FindSubmatch(text)
	if list == nil {
		t.Fatal("the Makefile has no list WAITING")
	}
	waiting, tested := strings.Fields(string(list[1])), make(map[string]bool)
	for _, f := range files(t) {
		tested[f.folder] = tested[f.folder] || f.test
		if !slices.Contains(waiting, f.folder) {
			continue
		}
		for _, name := range namesOf(t, filepath.Join(root, f.path), module+"/internal/testenv") {
			if !slices.Contains(light, name) {
				t.Errorf("%s uses testenv.%s, and is among WAITING in the Makefile, which are tested together", f.path, name)
			}
		}
		for _, imported := range f.imports {
			if folder := strings.TrimPrefix(imported, module+"/"); slices.Contains([]string{"kudu/kudutest", "os/exec"}, folder) {
				t.Errorf("%s imports %s, which starts what may weigh much, and is among WAITING in the Makefile", f.path, folder)
			}
		}
	}
	paired := regexp.MustCompile(`(?m)^PAIRED := \$\(addprefix \$\(MODULE\)/test/,(.+)\)$`).FindSubmatch(text)
	if paired == nil {
		t.Fatal("the Makefile has no list PAIRED")
	}
	for folder := range strings.FieldsSeq(string(paired[1])) {
		waiting = append(waiting, "test/"+folder)
	}
	for _, folder := range waiting {
		if !tested[folder] {
			t.Errorf("WAITING or PAIRED in the Makefile has a package %s without tests", folder)
		}
	}
}

// namesOf lists what a file uses of a package.
func namesOf(t *testing.T, name, importPath string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(parsed.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"`+importPath+`"` })
	if i < 0 {
		return nil
	}
	if parsed.Imports[i].Name != nil {
		t.Fatalf("%s imports %s by another name, by which this test doesn't look for it", name, importPath)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := selector.X.(*ast.Ident); ok && of.Name == path.Base(importPath) {
				names = append(names, selector.Sel.Name)
			}
		}
		return true
	})
	return names
}
