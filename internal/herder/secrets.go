package herder

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Masked stands for a secret in what is shown, as in Kafka Connect's logs. Given
// back in a configuration it means the secret that is stored.
const Masked = "[hidden]"

// secretive are names of keys that have secrets, whatever their type: of those that
// aren't known too, since a configuration with a slip is shown as well.
var secretive = regexp.MustCompile(`(?i)(passw(or)?d|secret|token|credential|jaas|user\.info|api[._]?key|private[._]?key)`)

// reference is a value that is nothing but a reference, which tells no secret unless
// it has a default.
var reference = regexp.MustCompile(`^\$\{(env:[^{}:]+|(file|dir|directory):[^{}]+)\}$`)

var passwords = func() map[string]bool {
	keys := make(map[string]bool)
	for _, k := range connector.ConnectorKeys() {
		if k.Type == connector.TypePassword {
			keys[k.Name] = true
		}
	}
	return keys
}()

// hides reports whether a value isn't to be shown.
func hides(key, value string) bool {
	return (passwords[key] || secretive.MatchString(key)) && value != "" && !reference.MatchString(value)
}

// mask gives the configuration as it may be shown.
func mask(properties map[string]string) map[string]string {
	shown := maps.Clone(properties)
	for key, value := range shown {
		if hides(key, value) {
			shown[key] = Masked
		}
	}
	return shown
}

// leftMasks are masks that stand for nothing: they would be stored as the secret.
func leftMasks(properties map[string]string) []connector.Fault {
	var faults []connector.Fault
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		if properties[key] == Masked && hides(key, Masked) {
			faults = append(faults, connector.Fault{Key: key, What: fmt.Sprintf("%s stands for a secret that is stored, and there is none", Masked), Remedy: "give the secret itself, or a reference to it"})
		}
	}
	return faults
}

// unmask puts the secrets that are stored in the places of their masks.
func unmask(properties, stored map[string]string) map[string]string {
	whole := maps.Clone(properties)
	for key, value := range whole {
		if before, is := stored[key]; is && value == Masked {
			whole[key] = before
		}
	}
	return whole
}
