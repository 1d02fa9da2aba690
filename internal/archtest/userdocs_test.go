package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// userDocuments are what users read, by their path: README.md and docs/.
func userDocuments(t *testing.T) map[string]string {
	t.Helper()
	root := moduleRoot(t)
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	documents := make(map[string]string)
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		documents[name] = string(data)
	}
	if len(documents) < 10 {
		t.Fatalf("found only %d documents", len(documents))
	}
	return documents
}

var (
	fence     = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$")
	inline    = regexp.MustCompile("`([^`\n]+)`")
	heading   = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	anchor    = regexp.MustCompile(`\]\(([^)#:]*)#([^)]*)\)`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// slugs are the anchors that GitHub gives to a document's headings.
func slugs(text string) map[string]bool {
	out := make(map[string]bool)
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), ""), " ", "-")
		unique := slug
		for n := 1; out[unique]; n++ {
			unique = slug + "-" + strconv.Itoa(n)
		}
		out[unique] = true
	}
	return out
}

func TestLinksOfDocumentsLeadToHeadings(t *testing.T) {
	checked := 0
	for name, text := range userDocuments(t) {
		for _, link := range anchor.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target := text
			if link[1] != "" {
				data, err := os.ReadFile(filepath.Join(filepath.Dir(name), link[1]))
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(name), err)
					continue
				}
				target = string(data)
			}
			if checked++; !slugs(target)[link[2]] {
				t.Errorf("%s links to %s#%s, which has no such heading", filepath.Base(name), link[1], link[2])
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links with anchors were found", checked)
	}
}

// configKey is a key in a document: words with dots, and perhaps a value.
var configKey = regexp.MustCompile(`^[a-z]+(?:\.[a-z0-9*]+)+$`)

// ourKeys are the keys of the reference, which is made from the tables of keys;
// those that end with a star stand for all that begin so.
func ourKeys(t *testing.T, documents map[string]string) map[string]bool {
	t.Helper()
	keys := make(map[string]bool)
	for _, h := range heading.FindAllStringSubmatch(documents[filepath.Join(moduleRoot(t), "docs", "configuration.md")], -1) {
		if name := strings.ReplaceAll(h[1], `\`, ""); strings.ToLower(name) == name {
			keys[name] = true
		}
	}
	if len(keys) < 60 {
		t.Fatalf("the reference has only %d keys", len(keys))
	}
	return keys
}

func known(keys map[string]bool, name string) bool {
	if keys[name] {
		return true
	}
	for key := range keys {
		prefix, entries := strings.CutSuffix(key, "*")
		if entries && (name+"." == prefix || strings.HasPrefix(name, prefix)) {
			return true
		}
		// What several keys have in common, such as producer.override.*.
		if common, all := strings.CutSuffix(name, "*"); all && strings.HasPrefix(key, common) {
			return true
		}
	}
	return false
}

func TestDocumentsNameKeysThatExist(t *testing.T) {
	documents := userDocuments(t)
	keys := ourKeys(t, documents)
	first := make(map[string]bool) // words that our keys begin with
	for key := range keys {
		word, _, _ := strings.Cut(key, ".")
		first[word] = true
	}
	texts := literals(t) // names of checks and of headers look like keys, too
	checked := 0
	check := func(document, name string) {
		word, _, _ := strings.Cut(name, ".")
		if !configKey.MatchString(name) || !first[word] || slices.Contains([]string{".md", ".yaml", ".yml", ".go", ".json", ".sh"}, filepath.Ext(name)) {
			return
		}
		checked++
		if !known(keys, name) && !slices.Contains(texts, name) {
			t.Errorf("%s names the key %s, which is neither in the reference nor a name in the code", filepath.Base(document), name)
		}
	}
	for document, text := range documents {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "yaml" {
				continue
			}
			for line := range strings.Lines(block[2]) {
				key, _, _ := strings.Cut(line, ":")
				check(document, strings.TrimSpace(key))
			}
		}
		for line := range strings.Lines(fence.ReplaceAllString(text, "")) {
			// The first column of a table in coming-from.md has others' keys.
			if filepath.Base(document) == "coming-from.md" && strings.HasPrefix(line, "| ") {
				_, line, _ = strings.Cut(line[2:], " | ")
			}
			for _, quoted := range inline.FindAllStringSubmatch(line, -1) {
				key, _, _ := strings.Cut(quoted[1], ":")
				key, _, _ = strings.Cut(key, "=")
				check(document, key)
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d keys were found in the documents", checked)
	}
}

// keyInMessage is what a key looks like in a sentence.
var keyInMessage = regexp.MustCompile(`[a-z]+(?:\.[a-z_]+)+`)

func TestMessagesNameKeysThatExist(t *testing.T) {
	keys := ourKeys(t, userDocuments(t))
	first := make(map[string]bool)
	for key := range keys {
		word, _, _ := strings.Cut(key, ".")
		first[word] = true
	}
	texts := literals(t)
	names := make(map[string]bool)
	for _, text := range texts {
		names[text] = true
	}
	checked := 0
	for _, text := range texts {
		if !strings.Contains(text, " ") {
			continue // a name, not a sentence
		}
		for _, name := range keyInMessage.FindAllString(text, -1) {
			word, _, _ := strings.Cut(name, ".")
			// Kudu's keys have underscores; files and hosts are none.
			if !first[word] || strings.Contains(name, "_") || slices.Contains([]string{".yaml", ".example"}, path.Ext(name)) {
				continue
			}
			if checked++; !known(keys, name) && !names[name] {
				t.Errorf("the message %q names the key %s, which is not there", text, name)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d keys were found in messages", checked)
	}
}

// literals are the texts in the code of the product, each with what is added to
// it by a plus.
func literals(t *testing.T) []string {
	t.Helper()
	root := moduleRoot(t)
	var all []string
	for _, f := range files(t) {
		if f.test || f.generated || strings.HasPrefix(f.path, "test/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if text, ok := textOf(n); ok {
					all = append(all, text)
				}
			case *ast.BinaryExpr:
				if text, ok := textOf(n); ok {
					all = append(all, text)
				}
			}
			return true
		})
	}
	return all
}

// textOf is the value of a text, or of texts that are added up.
func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := textOf(e.X)
		if !ok || e.Op != token.ADD {
			return "", false
		}
		right, ok := textOf(e.Y)
		return left + right, ok
	}
	return "", false
}

// explained are the messages of the tables of a document that lie between two
// texts.
func explained(t *testing.T, document, begin, end string) []string {
	t.Helper()
	_, tables, found := strings.Cut(userDocuments(t)[filepath.Join(moduleRoot(t), "docs", document)], begin)
	if !found {
		t.Fatalf("%s has no section %q", document, begin)
	}
	if end != "" {
		if tables, _, found = strings.Cut(tables, end); !found {
			t.Fatalf("%s has no %q", document, end)
		}
	}
	messages := make(map[string]bool)
	for line := range strings.Lines(tables) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		column, _, _ := strings.Cut(line[2:], " | ")
		for _, quoted := range inline.FindAllStringSubmatch(column, -1) {
			messages[quoted[1]] = true
		}
	}
	if len(messages) < 25 {
		t.Errorf("%s explains only %d messages", document, len(messages))
	}
	return slices.Sorted(maps.Keys(messages))
}

// troubleshooting are the messages of docs/operations.md.
func troubleshooting(t *testing.T) []string {
	t.Helper()
	return explained(t, "operations.md", "\n## Troubleshooting\n", "")
}

func TestMessagesOfTheTroubleshootingTablesExist(t *testing.T) {
	texts := literals(t)
	for document, messages := range map[string][]string{
		"operations.md": troubleshooting(t),
		"security.md":   explained(t, "security.md", "\n### When it isn't let in\n", "\nWhat Kudu says"),
	} {
		for _, message := range messages {
			parts := strings.Split(message, "...")
			if !slices.ContainsFunc(texts, func(text string) bool { return holds(text, parts) }) {
				t.Errorf("%s explains the message %q, which is nowhere in the code", document, message)
			}
		}
	}
}

// TestFailuresThatNeedSomebodyAreExplained looks up each sentence by which package
// connector has a task FAILED.
func TestFailuresThatNeedSomebodyAreExplained(t *testing.T) {
	messages := troubleshooting(t)
	checked := 0
	for _, f := range files(t) {
		if f.test || path.Dir(f.path) != "connector" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot(t), f.path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			failure, is := n.(*ast.CompositeLit)
			if !is || len(failure.Elts) != 1 {
				return true
			}
			kind, named := failure.Type.(*ast.Ident)
			call, made := failure.Elts[0].(*ast.CallExpr)
			if !named || kind.Name != "FatalError" || !made || len(call.Args) == 0 {
				return true
			}
			text, is := textOf(call.Args[0])
			if !is {
				return true
			}
			checked++
			if !slices.ContainsFunc(messages, func(m string) bool { return holds(text, strings.Split(m, "...")) }) {
				t.Errorf("%s: operations.md doesn't explain %q", f.path, text)
			}
			return true
		})
	}
	if checked < 20 {
		t.Errorf("only %d failures were found", checked)
	}
}

// holds reports whether the parts are in the text, in their order.
func holds(text string, parts []string) bool {
	for _, part := range parts {
		at := strings.Index(text, strings.TrimSpace(part))
		if at < 0 {
			return false
		}
		text = text[at+len(strings.TrimSpace(part)):]
	}
	return true
}
