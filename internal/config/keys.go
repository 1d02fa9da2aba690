package config

import (
	"fmt"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// kind tells a worker's file from a connector's.
type kind int

const (
	kindWorker kind = iota
	kindConnector
)

func (k kind) keys() []connector.Key {
	if k == kindWorker {
		return connector.WorkerKeys()
	}
	return connector.ConnectorKeys()
}

func (k kind) other() kind { return 1 - k }

func (k kind) String() string {
	if k == kindWorker {
		return "worker"
	}
	return "connector"
}

// lookup finds the definition of a key: the key's own, or that of the map it
// is an entry of.
func (k kind) lookup(name string) (connector.Key, bool) {
	var entryOf connector.Key
	for _, key := range k.keys() {
		if key.Name == name && key.Type != connector.TypeMap {
			return key, true
		}
		if p := key.Prefix(); p != "" && len(name) > len(p) && strings.HasPrefix(name, p) {
			entryOf = key
		}
	}
	return entryOf, entryOf.Name != ""
}

// unknownKey is the fault of a key that no definition covers.
func unknownKey(k kind, name string) connector.Fault {
	f := connector.Fault{Key: name, What: "unknown key", Remedy: "remove it"}
	if key, ok := k.other().lookup(name); ok && key.Absent == "" {
		f.Remedy = fmt.Sprintf("move it to the %s's file", k.other())
		return f
	}
	if right := nearest(k, name); right != "" {
		f.Remedy = "did you mean " + right + "?"
	}
	return f
}

// nearest returns the right key that name was probably meant to be, "" if none
// is close: the one with the fewest edits, or the only one that ends with it.
func nearest(k kind, name string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	suffix, suffixes := "", 0
	for _, key := range k.keys() {
		if key.Absent != "" || key.Type == connector.TypeMap {
			continue
		}
		if d := editDistance(strings.ToLower(name), key.Name); d < bestDistance {
			best, bestDistance = key.Name, d
		}
		if strings.HasSuffix(key.Name, "."+strings.ToLower(name)) {
			suffix, suffixes = key.Name, suffixes+1
		}
	}
	if suffixes == 1 && bestDistance > 1 {
		return suffix
	}
	return best
}

// slipOf returns the defined key that an entry of a map is a slip of the pen
// away from: topic.creation.default.partition would else become a setting that
// the broker refuses only when the topic is created.
func slipOf(k kind, name string) string {
	for _, key := range k.keys() {
		if key.Type != connector.TypeMap && key.Absent == "" && !strings.HasPrefix(name, key.Name+".") && editDistance(name, key.Name) <= 2 {
			return key.Name
		}
	}
	return ""
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours (optimal string alignment) that lead from a to b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
