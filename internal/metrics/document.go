package metrics

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

//go:generate go test -count=1 -run TestDocumentIsCurrent . -update

// The lines of docs/metrics.md between which the list of metrics stands.
const (
	listBegins = "<!-- The list is made from internal/metrics/instruments.go: make generate. -->\n"
	listEnds   = "<!-- End of the list. -->\n"
)

// document puts the list of all metrics into the text of docs/metrics.md.
func document(text []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(text, []byte(listBegins))
	_, after, ends := bytes.Cut(rest, []byte(listEnds))
	if !begins || !ends {
		return nil, fmt.Errorf("rendering the list of metrics: the lines %q and %q aren't there", listBegins, listEnds)
	}
	return slices.Concat(before, []byte(listBegins), list(newInstruments().definitions), []byte(listEnds), after), nil
}

// list renders a table row for each metric.
func list(all []definition) []byte {
	var out bytes.Buffer
	out.WriteString("\n| metric | kind | labels | |\n|---|---|---|---|\n")
	for _, d := range all {
		labels := "`" + strings.Join(d.labels, "` `") + "`"
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", d.name, d.kind, labels, d.help)
	}
	out.WriteString("\n")
	return out.Bytes()
}
