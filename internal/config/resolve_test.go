package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// noFiles is a file system with just the files given.
func noFiles(files map[string]string) func(string) ([]byte, *connector.Fault) {
	return func(path string) ([]byte, *connector.Fault) {
		text, ok := files[path]
		if !ok {
			return nil, &connector.Fault{What: "there is no such file"}
		}
		return []byte(text), nil
	}
}

func TestReferencesAreReplaced(t *testing.T) {
	r := resolver{
		env:    variables(map[string]string{"A": "x", "EMPTY": "", "NEST": "${env:A}"}),
		folder: "/etc/k",
		readFile: noFiles(map[string]string{
			"/etc/k/pw":           " secret\n\n",
			"/run/db.properties":  "# c\nuser = bob\npass\\:word: p\\u00e4ss",
			"/etc/k/s.yaml":       "kafka:\n  password: hush\nlist: [a, b]\n",
			"/etc/k/odd:name.txt": "a=b",
		}),
	}
	for text, want := range map[string]string{
		"plain":                           "plain",
		"":                                "",
		"cost $5 $A {b}":                  "cost $5 $A {b}",
		"${env:A}":                        "x",
		"<${env:A}${env:A}>":              "<xx>",
		"[${env:EMPTY}]":                  "[]",
		"${env:EMPTY:-d}":                 "d",
		"${env:NONE:-d:-e}":               "d:-e",
		"${env:NONE:-}":                   "",
		"${env:A:-d}":                     "x",
		"${env:NEST}":                     "${env:A}",
		"$${env:A}":                       "${env:A}",
		"a$${b}c${env:A}$${":              "a${b}cx${",
		"${file:pw}":                      "secret",
		"${file:/run/db.properties:user}": "bob",
		"${file:s.yaml:kafka.password}":   "hush",
		"${file:s.yaml:list}":             "a,b",
		"${file:odd:name.txt:a}":          "b",
		"${file:../../run/db.properties:user}:${env:A}": "bob:x",
		"${dir:/etc/k:pw}":                     "secret",
		"${dir:.:pw}":                          "secret",
		"${directory:../../run:db.properties}": "# c\nuser = bob\npass\\:word: p\\u00e4ss",
	} {
		got, referred, faults := r.resolve(text, false)
		if got != want || len(faults) > 0 {
			t.Errorf("%q gives %q %v, want %q", text, got, faults, want)
		}
		if wantReferred := strings.Contains(strings.ReplaceAll(text, "$${", ""), "${"); referred != wantReferred {
			t.Errorf("%q: referred is %v", text, referred)
		}
	}
}

func TestReferencesThatLeadNowhereAreFaults(t *testing.T) {
	r := resolver{
		env: variables(nil), folder: "/etc/k",
		readFile: noFiles(map[string]string{"/etc/k/a.properties": "k=v", "/etc/k/bad.yaml": "secret: a: b", "/etc/k/list.yaml": "[hunter2]"}),
	}
	const understood = " is not a reference that is understood"
	for text, want := range map[string][]string{
		"${env:NONE}":                {"${env:NONE}: the environment variable NONE is not set"},
		"${env:NONE}${env:NEITHER}":  {"${env:NONE}: the environment variable NONE is not set", "${env:NEITHER}: the environment variable NEITHER is not set"},
		"${NONE}":                    {"${NONE}" + understood},
		"${env:}":                    {"${env:}" + understood},
		"${env::-x}":                 {"${env::-x}" + understood},
		"${vault:a}":                 {"${vault:a}" + understood},
		"${}":                        {"${}" + understood},
		"${dir:}":                    {"${dir:}" + understood},
		"a${env:NONE":                {"a reference that begins with ${ has no }"},
		"${file:none}":               {"${file:none}: /etc/k/none: there is no such file"},
		"${file:none:k}":             {"${file:none:k}: /etc/k/none: there is no such file"},
		"${file:/none}":              {"${file:/none}: /none: there is no such file"},
		"${file:a.properties:other}": {"${file:a.properties:other}: /etc/k/a.properties: has no key other"},
		"${file:a.properties:}":      {"${file:a.properties:}: a path or a key is missing"},
		"${file::k}":                 {"${file::k}: a path or a key is missing"},
		"${file:bad.yaml:k}":         {"${file:bad.yaml:k}: /etc/k/bad.yaml: is not a YAML map (line 1)"},
		"${file:list.yaml:k}":        {"${file:list.yaml:k}: /etc/k/list.yaml: is not a YAML map (line 1)"},
		"${dir:/etc/k}":              {"${dir:/etc/k}: a path or a name is missing"},
		"${dir:/etc/k:}":             {"${dir:/etc/k:}: a path or a name is missing"},
		"${dir::pw}":                 {"${dir::pw}: a path or a name is missing"},
		"${dir:/etc/k:none}":         {"${dir:/etc/k:none}: /etc/k/none: there is no such file"},
		"${dir:/etc:k/a.properties}": {"${dir:/etc:k/a.properties}: the name is not that of a file in the folder"},
		"${dir:/etc/k:..}":           {"${dir:/etc/k:..}: the name is not that of a file in the folder"},
	} {
		_, _, faults := r.resolve(text, false)
		var got []string
		for _, f := range faults {
			got = append(got, f.What)
			if f.Remedy == "" && !strings.Contains(f.What, "no such file") {
				t.Errorf("%q: %q has no remedy", text, f.What)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q has the faults %q, want %q", text, got, want)
		}
	}
}

func TestReferencesAreResolvedInsideListsAndBesideText(t *testing.T) {
	_, err := loadOrders(t, `
name: orders-${env:SITE}
kudu.masters: ["${env:M}:7051", "m2:${env:PORT:-7051}"]
kudu.table: $${literally}
topic.prefix: ${env:SITE}.
offsets.storage.topic: o
topic.creation.default.retention.ms: ${env:DAY}
streaming.key: ${env:KEY}
`, map[string]string{"SITE": "eu", "M": "m1", "DAY": "86400000", "KEY": "a,b"})
	wantFault(t, err, `c.yaml:5: topic.prefix: with the table's name gives "eu.${literally}", which has '$', which topic names cannot have: name the topic with topic`)
	got, err := loadOrders(t, plainOrders+"topic.creation.default.retention.ms: ${env:DAY}\nstreaming.key: ${env:KEY}\nkey.columns: [\"${env:ONE}\"]\n",
		map[string]string{"DAY": "86400000", "KEY": "a, b", "ONE": "a"})
	if err != nil || got.TopicConfigs["retention.ms"] != "86400000" || fmt.Sprint(got.StreamingKey, got.KeyColumns) != "[a b] [a]" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFilesAreReadFromTheFolderOfTheConfiguration(t *testing.T) {
	folder := write(t, map[string]string{
		"w.yaml": plainWorker, "c.yaml": plainOrders + "timestamp.column: ${file:more/secrets.properties:column}\n",
	})
	if err := os.Mkdir(filepath.Join(folder, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "more/secrets.properties"), []byte("column=ts\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, connectors, err := Load(folder+"/w.yaml", []string{folder + "/c.yaml"}, variables(nil))
	if err != nil || connectors[0].TimestampColumn != "ts" {
		t.Errorf("got %v, %v", connectors, err)
	}
}

func TestPropertiesAreReadAsJavaDoes(t *testing.T) {
	got := parseProperties(strings.Join([]string{
		"# comment", "! comment", "   ", "a=1", "  b : 2 ", "c 3", "d", "e==5", `f\ g\:h\=i = j`, `k = l\`, "   m", `n=\t\n\\\"\u00e9\q`,
		`o=\ud83d\ude00`, `p=\u12`, `# not continued\`, "q=1", "q=2", `r=\ud83d`, `s=\`,
	}, "\r\n"))
	want := map[string]string{
		"a": "1", "b": "2 ", "c": "3", "d": "", "e": "=5", "f g:h=i": "j", "k": "lm", "n": "\t\n\\\"\u00e9q",
		"o": "\U0001F600", "p": "u12", "q": "2", "r": "\ufffd", "s": "",
	}
	for key, value := range want {
		if v, ok := got[key]; !ok || v != value {
			t.Errorf("%q is %q, want %q", key, v, value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %q", got)
	}
}

func TestEditDistanceCountsSwapsAsOne(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"table", "tabel", 1}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"ab", "ba", 1},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
