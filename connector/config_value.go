package connector

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// Value is a value as a file gives it: one text, or a list of texts.
type Value struct {
	Items  []string // one element unless IsList
	IsList bool
	// Shown stands for the text in messages when the text itself should not:
	// the reference that a value came from, since it may be a secret.
	Shown string
}

// Format prints what stands for the text: that may be a secret.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, cmp.Or(v.Shown, "***")) }

// MarshalText encodes the same.
func (v Value) MarshalText() ([]byte, error) { return []byte(cmp.Or(v.Shown, "***")), nil }

// Prefix is what the names of a map's keys begin with, "" for other types.
func (k Key) Prefix() string {
	if k.Type != TypeMap {
		return ""
	}
	return strings.TrimSuffix(k.Name, "*")
}

// Range describes the right values for people, "" when any will do.
func (k Key) Range() string {
	switch k.Type {
	case TypeInt, TypeBytes, TypeMillis:
		text := fmt.Sprintf("%d..%d", k.Min, k.Max)
		for _, n := range k.Also {
			text = fmt.Sprintf("%d or %s", n, text)
		}
		return text
	case TypeBoolean:
		return "true or false"
	}
	return orList(k.Values)
}

// Parse reads a value of the key's type and checks it: a string, Secret,
// []string, bool, int64 or time.Duration. A map's key is read one entry at a
// time, as a string.
func (k Key) Parse(v Value) (any, []Fault) {
	if k.Type == TypeList {
		return k.parseList(v)
	}
	if v.IsList {
		if k.Type == TypeMap { // Kafka's own lists are comma-separated text
			return strings.Join(v.Items, ","), nil
		}
		return nil, k.fault("takes one value, not a list", "write the value alone")
	}
	text := strings.TrimSpace(v.Items[0])
	var parsed any
	switch k.Type {
	case TypeString, TypeMap:
		parsed = text
	case TypePassword:
		parsed = secret.New(v.Items[0])
	case TypeBoolean:
		switch strings.ToLower(text) {
		case "true":
			parsed = true
		case "false":
			parsed = false
		default:
			return nil, k.fault(v.show(text)+" is neither true nor false", "write true or false")
		}
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, k.numberFault(v, text)
		}
		parsed = n
		if k.Type == TypeMillis {
			// Beyond the greatest Duration any number is out of range alike.
			limit := math.MaxInt64 / int64(time.Millisecond)
			if n > limit || n < -limit {
				return nil, k.rangeFault(v.show(text))
			}
			parsed = time.Duration(n) * time.Millisecond
		}
	}
	if k.Type != TypeMap && k.Type != TypePassword {
		if faults := k.check(reflect.ValueOf(parsed), v.Shown); len(faults) > 0 {
			return nil, faults
		}
	}
	return parsed, nil
}

func (k Key) parseList(v Value) (any, []Fault) {
	items := v.Items
	if !v.IsList {
		items = strings.Split(v.Items[0], ",")
		if strings.TrimSpace(v.Items[0]) == "" {
			items = nil
		}
	}
	parsed := make([]string, len(items))
	for i, item := range items {
		parsed[i] = strings.TrimSpace(item)
		if k.tidy != nil {
			parsed[i] = k.tidy(parsed[i])
		}
	}
	if faults := k.check(reflect.ValueOf(parsed), v.Shown); len(faults) > 0 {
		return nil, faults
	}
	return parsed, nil
}

func (v Value) show(text string) string {
	if v.Shown != "" {
		return quote(v.Shown)
	}
	return quote(text)
}

func (k Key) fault(what, remedy string) []Fault {
	return []Fault{{Key: k.Name, What: what, Remedy: remedy}}
}

// numberFault says what a text that is not a whole number should have been; a
// number with a unit is the likeliest.
func (k Key) numberFault(v Value, text string) []Fault {
	what, remedy := v.show(text)+" is not a whole number", "write a number in "+k.Range()
	switch {
	case text == "":
		what = "has no value"
	case k.Type == TypeMillis:
		remedy = "the unit is milliseconds: write a plain number in " + k.Range()
		if d, err := time.ParseDuration(strings.ReplaceAll(text, " ", "")); err == nil && v.Shown == "" {
			remedy = fmt.Sprintf("the unit is milliseconds: write %d", d.Milliseconds())
		}
	case k.Type == TypeBytes:
		remedy = "the unit is bytes: write a plain number in " + k.Range()
	}
	return k.fault(what, remedy)
}

func (k Key) rangeFault(shown string) []Fault {
	return k.fault(shown+" is out of range", "write a number in "+k.Range())
}

// check looks at a value of the type that Parse gives, or that the field of
// the config struct has. shown replaces the value in what it says, if not "".
func (k Key) check(v reflect.Value, shown string) []Fault {
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		switch {
		case k.Required:
			return k.fault("is required", "give "+k.Name)
		case len(k.Values) > 0 && k.Default != nil:
			return k.fault("has no value", "write "+orList(k.Values)+", or leave the key out")
		}
	}
	show := Value{Shown: shown}.show
	switch k.Type {
	case TypeString:
		return k.checkText(v.String(), show)
	case TypeBoolean:
		if why := k.withheld[strconv.FormatBool(v.Bool())]; why != "" {
			return k.fault(why, fmt.Sprintf("write %v, or leave the key out", k.Default))
		}
	case TypeList:
		items, _ := v.Interface().([]string)
		return k.checkList(items, show)
	case TypeInt, TypeBytes, TypeMillis:
		n := v.Int()
		if d, ok := v.Interface().(time.Duration); ok {
			n = d.Milliseconds()
		}
		if (n < k.Min || n > k.Max) && !slices.Contains(k.Also, n) {
			return k.rangeFault(show(strconv.FormatInt(n, 10)))
		}
	}
	return nil
}

func (k Key) checkList(items []string, show func(string) string) []Fault {
	var faults []Fault
	for i, item := range items {
		switch {
		case item == "":
			faults = append(faults, k.fault("has an empty element", "remove it")...)
		case slices.Contains(items[:i], item):
			faults = append(faults, k.fault(show(item)+" is there twice", "remove one")...)
		default:
			faults = append(faults, k.checkText(item, show)...)
		}
	}
	return faults
}

func (k Key) checkText(text string, show func(string) string) []Fault {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return k.fault(show(text)+" is not text", "write valid UTF-8 without zero bytes")
	}
	if why := k.withheld[text]; why != "" {
		return k.fault(why, "write "+orList(k.Values))
	}
	unset := text == "" && k.Default == nil
	if len(k.Values) > 0 && !unset && !slices.Contains(k.Values, text) {
		return k.fault(show(text)+" is not a value it takes", "write "+orList(k.Values))
	}
	if k.legal != nil && text != "" {
		if what, remedy := k.legal(text); what != "" {
			return k.fault(show(text)+" "+what, remedy)
		}
	}
	return nil
}

// addressFault wants host:port, with an IPv6 address in brackets.
func addressFault(address string) (what, remedy string) {
	host, port, err := net.SplitHostPort(address)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" || strings.ContainsAny(host, "/ \t@") {
		return "is not host:port", "write it as 10.0.0.1:9092, name.example:9092 or [::1]:9092"
	}
	return "", ""
}

// withMasterPort adds the port that Kudu's masters have by default.
func withMasterPort(address string) string {
	if address == "" || strings.Contains(address, ":") && !strings.HasSuffix(address, "]") {
		return address
	}
	return address + ":7051"
}

// topicNameFault says what Kafka would not take in a topic's name.
func topicNameFault(name string) string {
	switch {
	case name == "." || name == "..":
		return "is not a legal topic name"
	case len(name) > 249:
		return "is longer than the 249 characters of a topic name"
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return fmt.Sprintf("has %q, which topic names cannot have", r)
		}
	}
	return ""
}

const topicRemedy = "use at most 249 of a-z, A-Z, 0-9, '.', '_' and '-'"

func topicFault(name string) (what, remedy string) {
	if what = topicNameFault(name); what != "" {
		return what, topicRemedy
	}
	return "", ""
}

// topicCharactersFault is for a part of a topic's name, which may be a dot.
func topicCharactersFault(part string) (what, remedy string) {
	return topicFault("x" + part)
}

func nameFault(name string) (what, remedy string) {
	what, remedy = topicFault(name)
	if what != "" {
		remedy += ", since the name is part of the offsets topic's"
	}
	return what, remedy
}

func groupFault(name string) (what, remedy string) { return nameFault(name) }

func orList(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// quote shows a value within a message, cut short when it is long.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(strings.ToValidUTF8(text[:most], "")) + "..."
	}
	return strconv.Quote(text)
}
