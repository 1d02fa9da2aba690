package herder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

// Plugins is the one class of connectors that there is.
func (h *Herder) Plugins(context.Context, bool) []PluginInfo {
	return []PluginInfo{{connector.ConnectorClass, "source", h.version.Version}}
}

// isPlugin takes the short names too, as Kafka Connect does.
func isPlugin(name string) bool {
	for _, key := range connector.ConnectorKeys() {
		if key.Name == "connector.class" {
			return slices.Contains(key.Values, name)
		}
	}
	return false
}

// PluginConfig defines the keys of a connector.
func (h *Herder) PluginConfig(_ context.Context, plugin string) ([]ConfigKey, error) {
	if !isPlugin(plugin) {
		return nil, notFound("Unknown plugin %s.", plugin)
	}
	return configKeys(), nil
}

// types are those of Kafka Connect's clients.
var types = map[connector.KeyType]string{
	connector.TypeString: "STRING", connector.TypePassword: "PASSWORD", connector.TypeList: "LIST", connector.TypeBoolean: "BOOLEAN",
	connector.TypeInt: "LONG", connector.TypeBytes: "LONG", connector.TypeMillis: "LONG", connector.TypeMap: "STRING",
}

// groups are parts that keys are shown in, by what a key begins with.
var groups = []struct{ begin, name string }{
	{"name", "Common"}, {"connector.", "Common"}, {"tasks.", "Common"}, {"errors.", "Errors"},
	{"kudu.", "Kudu"}, {"topic", "Kafka"}, {"key.", "Records"}, {"value.", "Records"}, {"decimal.", "Records"}, {"time.", "Records"},
	{"timestamp.", "Records"}, {"headers.", "Records"}, {"transaction.", "Kafka"}, {"producer.", "Kafka"}, {"offsets.", "Kafka"}, {"sweep.", "Sweep"},
}

const otherGroup = "Reading"

func groupOf(key string) string {
	for _, g := range groups {
		if strings.HasPrefix(key, g.begin) {
			return g.name
		}
	}
	return otherGroup
}

func configKeys() []ConfigKey {
	var keys []ConfigKey
	orders := make(map[string]int)
	for _, k := range connector.ConnectorKeys() {
		if k.Absent != "" {
			continue
		}
		group := groupOf(k.Name)
		orders[group]++
		keys = append(keys, ConfigKey{
			Name: k.Name, Type: types[k.Type], Required: k.Required, DefaultValue: defaultOf(k), Importance: strings.ToUpper(string(k.Importance)),
			Documentation: k.Doc, Group: group, Width: "MEDIUM", DisplayName: k.Name, Dependents: []string{}, Order: orders[group],
		})
	}
	return keys
}

func defaultOf(k connector.Key) *string {
	var text string
	switch v := k.Default.(type) {
	case nil:
		return nil
	case time.Duration:
		text = fmt.Sprint(v.Milliseconds())
	case []string:
		text = strings.Join(v, ",")
	default:
		text = fmt.Sprint(v)
	}
	return &text
}

// Validate says, key by key, what is wrong with a configuration. Nothing is looked
// up in Kudu or Kafka.
func (h *Herder) Validate(_ context.Context, plugin string, properties map[string]string) (ConfigInfos, error) {
	if class, is := properties["connector.class"]; is && shortClass(class) != shortClass(plugin) {
		return ConfigInfos{}, &Error{Kind: Invalid, Message: fmt.Sprintf("Included connector type %s does not match request type %s", class, plugin)}
	}
	if !isPlugin(plugin) {
		return ConfigInfos{}, notFound("Unknown plugin %s.", plugin)
	}
	h.mu.Lock()
	properties = unmask(properties, h.known[properties["name"]])
	var faults []connector.Fault
	if name := properties["name"]; name != "" {
		_, faults = h.configOf(name, properties)
	} else {
		_, faults = config.FromMap(properties, h.access)
	}
	h.mu.Unlock()
	faults = append(faults, leftMasks(properties)...)
	return infosOf(plugin, properties, faults), nil
}

// shortClass is what follows the last dot, without the suffix that may be left out.
func shortClass(class string) string {
	return strings.TrimSuffix(class[strings.LastIndexByte(class, '.')+1:], "Connector")
}

func infosOf(plugin string, properties map[string]string, faults []connector.Fault) ConfigInfos {
	infos := ConfigInfos{Name: plugin, Groups: []string{}, Configs: []ConfigInfo{}}
	told := make(map[string][]string)
	for _, f := range faults {
		told[f.Key] = append(told[f.Key], (connector.Fault{What: f.What, Remedy: f.Remedy}).String())
	}
	values := maps.Clone(properties)
	add := func(key ConfigKey, value *string, recommended []string) {
		if value != nil && hides(key.Name, *value) {
			hidden := Masked
			value = &hidden
		}
		v := ConfigValue{Name: key.Name, Value: value, RecommendedValues: append([]string{}, recommended...), Errors: append([]string{}, told[key.Name]...), Visible: true}
		if len(v.Errors) > 0 {
			infos.ErrorCount++
		}
		delete(told, key.Name)
		if !slices.Contains(infos.Groups, key.Group) {
			infos.Groups = append(infos.Groups, key.Group)
		}
		infos.Configs = append(infos.Configs, ConfigInfo{key, v})
	}
	recommended := make(map[string][]string)
	for _, k := range connector.ConnectorKeys() {
		recommended[k.Name] = k.Values
		if k.Type == connector.TypeBoolean {
			recommended[k.Name] = []string{"true", "false"}
		}
	}
	for _, key := range configKeys() {
		value := key.DefaultValue
		if given, is := values[key.Name]; is {
			value = &given
			delete(values, key.Name)
		}
		add(key, value, recommended[key.Name])
	}
	// Entries of maps, such as topic.creation.default.retention.ms, and keys that
	// aren't known.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		add(otherKey(name), &value, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		add(otherKey(name), nil, nil)
	}
	return infos
}

func otherKey(name string) ConfigKey {
	return ConfigKey{Name: name, Type: "STRING", Importance: "LOW", Group: groupOf(name), Width: "MEDIUM", DisplayName: name, Dependents: []string{}}
}
