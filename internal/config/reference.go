package config

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

//go:generate go test -count=1 -run TestReferenceIsCurrent . -update

// Reference renders the tables of keys as a page of Markdown:
// docs/configuration.md.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	for _, part := range []struct {
		kind  kind
		title string
		intro string
	}{
		{kindWorker, "The worker's file", "What one process needs to know. Workers with one `group.id` are a cluster."},
		{kindConnector, "A connector's file", "One Kudu table, read into one topic. A worker takes any number of these files."},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", part.title, part.intro)
		writeOverview(&b, part.kind)
		for _, key := range part.kind.keys() {
			if key.Absent == "" {
				writeKey(&b, key)
			}
		}
	}
	return b.Bytes()
}

const referenceHead = `# Configuration

<!-- Made by "make generate" from connector/config_keys.go; a test keeps it current. -->

` + "`kudu2kafka run WORKER.yaml [CONNECTOR.yaml ...]`" + ` reads YAML files. Keys are
Kafka Connect's where Connect has one. [configs/worker.yaml](../configs/worker.yaml)
and [configs/orders.yaml](../configs/orders.yaml) are examples with comments.

- Dotted and nested keys mean the same and may be mixed: ` + "`transaction.max.rows: 1000`" + ` is
  ` + "`transaction: {max: {rows: 1000}}`" + `.
- Lists are YAML lists or text with commas.
- ` + "`${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}`, `${file:PATH:KEY}`" + ` and
  ` + "`${dir:PATH:NAME}`" + ` are replaced by a variable, a file, one key of a properties or YAML file,
  or one file of a folder; ` + "`$${`" + ` writes ` + "`${`" + ` itself. A path that isn't absolute begins at
  the folder of the YAML file. [secrets.md](secrets.md) says when they are read, and what
  connectors made by REST may refer to.
- Times are whole milliseconds, sizes whole bytes.
- An unknown key is an error that names the nearest right one. All faults of all
  files are told at once, and the exit code is 2; nothing has been written then.
`

// writeOverview lists the keys that most people need to look at.
func writeOverview(b *bytes.Buffer, k kind) {
	b.WriteString("\n| key | default | |\n|---|---|---|\n")
	for _, key := range k.keys() {
		if key.Absent != "" || key.Importance == connector.Low {
			continue
		}
		first, _, _ := strings.Cut(key.Doc, ". ")
		fmt.Fprintf(b, "| [`%s`](#%s) | %s | %s |\n", key.Name, anchor(key.Name), defaultText(key), escapeCell(strings.TrimSuffix(first, ".")))
	}
}

func writeKey(b *bytes.Buffer, key connector.Key) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", escapeHeading(key.Name), key.Doc)
	facts := []string{"type " + string(key.Type)}
	if key.Required {
		facts = append(facts, "required")
	} else {
		facts = append(facts, "default "+defaultText(key))
	}
	if values := key.Range(); values != "" {
		facts = append(facts, "values "+values)
	}
	facts = append(facts, "importance "+string(key.Importance))
	fmt.Fprintf(b, "*%s*\n", strings.ReplaceAll(strings.Join(facts, "; "), "*", `\*`))
}

// defaultText renders what holds when the key is not given.
func defaultText(key connector.Key) string {
	switch value := key.Default.(type) {
	case nil:
		if key.Required {
			return "required"
		}
		return "none"
	case time.Duration:
		return fmt.Sprintf("`%d`", value.Milliseconds())
	case []string:
		return "`" + strings.Join(value, ",") + "`"
	default:
		return fmt.Sprintf("`%v`", value)
	}
}

// anchor is the fragment that Markdown renderers make of a key's heading.
func anchor(name string) string {
	return strings.NewReplacer(".", "", "*", "").Replace(name)
}

func escapeHeading(text string) string { return strings.ReplaceAll(text, "*", `\*`) }

func escapeCell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
