package connect

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// shape is what JSON values have in common: their types, the shapes of the members
// of objects, and that of the elements of lists.
type shape struct {
	types   map[string]bool
	members map[string]*shape
	missing map[string]bool // members that not all of the objects have
	objects int             // how many were merged
	element *shape          // of lists that aren't empty
}

// plainMaps are members whose names are data: only the types of values count.
var plainMaps = []string{"config"}

// opaque are members whose contents are the connector's own.
var opaque = []string{"partition", "offset"}

// maybeEmpty are lists that have elements or not, as it happens.
var maybeEmpty = []string{"recommended_values", "dependents", "errors"}

func shapeOf(value any, name string) *shape {
	s := &shape{types: map[string]bool{}, members: map[string]*shape{}, missing: map[string]bool{}}
	switch v := value.(type) {
	case nil:
		s.types["null"] = true
	case bool:
		s.types["boolean"] = true
	case float64:
		s.types["number"] = true
	case string:
		s.types["string"] = true
	case []any:
		s.types["list"] = true
		for _, item := range v {
			s.element = merge(s.element, shapeOf(item, ""))
		}
	case map[string]any:
		s.types["object"], s.objects = true, 1
		for member, value := range v {
			switch {
			case slices.Contains(opaque, name):
			case slices.Contains(plainMaps, name):
				s.members["*"] = merge(s.members["*"], shapeOf(value, ""))
			default:
				s.members[member] = shapeOf(value, member)
			}
		}
	}
	return s
}

// merge is the shape of values of either shape.
func merge(a, b *shape) *shape {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	m := &shape{types: maps.Clone(a.types), members: map[string]*shape{}, missing: maps.Clone(a.missing), objects: a.objects + b.objects, element: merge(a.element, b.element)}
	maps.Copy(m.types, b.types)
	maps.Copy(m.missing, b.missing)
	for name, member := range a.members {
		m.members[name] = merge(member, b.members[name])
		if b.members[name] == nil && b.objects > 0 {
			m.missing[name] = true
		}
	}
	for name, member := range b.members {
		if a.members[name] == nil {
			m.members[name] = member
			if a.objects > 0 {
				m.missing[name] = true
			}
		}
	}
	return m
}

// compare says where ours is not what a reader of theirs is ready for.
func compare(theirs, ours *shape, path string) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, path+": "+fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(ours.types)) {
		if !theirs.types[name] {
			say("is %s, in Connect %s", name, strings.Join(slices.Sorted(maps.Keys(theirs.types)), " or "))
		}
	}
	if ours.objects > 0 && theirs.objects > 0 {
		for _, name := range slices.Sorted(maps.Keys(theirs.members)) {
			switch {
			case ours.members[name] == nil && !theirs.missing[name]:
				say("lacks %s", name)
			case ours.members[name] == nil:
			default:
				if ours.missing[name] && !theirs.missing[name] {
					say("lacks %s in some", name)
				}
				found = append(found, compare(theirs.members[name], ours.members[name], path+"."+name)...)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(ours.members)) {
			if theirs.members[name] == nil {
				say("has %s, which Connect has not", name)
			}
		}
	}
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case theirs.element != nil && ours.element != nil:
		found = append(found, compare(theirs.element, ours.element, path+"[]")...)
	case (theirs.element == nil) != (ours.element == nil) && theirs.types["list"] && ours.types["list"] && !slices.Contains(maybeEmpty, last):
		say("is an empty list on one side")
	}
	return found
}

// parsed reads JSON; a body that isn't JSON is its text.
func parsed(body string) any {
	var value any
	if json.Unmarshal([]byte(body), &value) != nil {
		return body
	}
	return value
}

func TestShapesAreComparedByNamesAndTypes(t *testing.T) {
	for _, test := range []struct{ theirs, ours, want string }{
		{`{"a":1}`, `{"a":2}`, ""},
		{`{"a":1}`, `{"a":"2"}`, "$.a: is string, in Connect number"},
		{`{"a":1}`, `{}`, "$: lacks a"},
		{`{}`, `{"a":1}`, "$: has a, which Connect has not"},
		{`[{"a":1},{}]`, `[{}]`, ""},
		{`[{"a":1},{"a":null}]`, `[{"a":1}]`, ""},
		{`[{"a":1}]`, `[{"a":1},{"a":null}]`, "$[].a: is null, in Connect number"},
		{`[{"a":1}]`, `[{"a":1},{}]`, "$[]: lacks a in some"},
		{`[1]`, `[]`, "$: is an empty list on one side"},
		{`[]`, `[1]`, "$: is an empty list on one side"},
		{`{"errors":["x"]}`, `{"errors":[]}`, ""},
		{`{"config":{"a":"x"}}`, `{"config":{"b":"y","c":"z"}}`, ""},
		{`{"config":{"a":"x"}}`, `{"config":{"a":1}}`, "$.config.*: is number, in Connect string"},
		{`{"offset":{"a":"x"}}`, `{"offset":{"b":1}}`, ""},
		{`{"offset":{"a":"x"}}`, `{"offset":null}`, "$.offset: is null, in Connect object"},
		{`{}`, `[]`, "$: is list, in Connect object"},
	} {
		if got := strings.Join(compare(shapeOf(parsed(test.theirs), ""), shapeOf(parsed(test.ours), ""), "$"), "; "); got != test.want {
			t.Errorf("%s and %s: %q, want %q", test.theirs, test.ours, got, test.want)
		}
	}
}
