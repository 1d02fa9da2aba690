package connector

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.yaml.in/yaml/v3"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// TestSecretsArePrintedByNoConfigurationNorWhatIsMadeOfIt fills every key that holds a
// secret, and prints the configurations and what holds them, also where fmt doesn't ask
// for methods.
func TestSecretsArePrintedByNoConfigurationNorWhatIsMadeOfIt(t *testing.T) {
	const hidden = "hunter2-hunter2"
	fill := func(config any, keys []Key) {
		n := 0
		for _, k := range keys {
			if k.Type == TypePassword && k.Absent == "" {
				fieldOf(reflect.ValueOf(config).Elem(), k.Name).Set(reflect.ValueOf(secret.New(hidden)))
				n++
			}
		}
		if n < 2 {
			t.Fatalf("%T has %d secrets", config, n)
		}
	}
	w, c := goodWorker(), DefaultConfig()
	fill(&w, WorkerKeys())
	fill(&c, ConnectorKeys())
	jaas := plainModule + ` required username="ann" password="` + hidden + `";`
	module, err := parseJAAS(jaas)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := jaasTokens(jaas)
	if err != nil {
		t.Fatal(err)
	}
	within := struct {
		worker    WorkerConfig
		connector *Config
		all       []Config
	}{w, &c, []Config{c}}
	holders := []any{
		w, &w, c, &c, within, &within, w.Settings(), c.Settings(), module, tokens, Value{Items: []string{hidden}}, []Value{{Items: []string{hidden}, Shown: "${env:A}"}},
		w.BasicAuthUsers(), w.kafkaSecurity(), c.kuduSecurity(), KafkaOptions(w, hclog.NewNullLogger()), KuduConfig(c, hclog.NewNullLogger()),
	}
	for _, v := range holders {
		testenv.HiddenInPrint(t, hidden, v)
	}
	for _, v := range []any{w, c, w.Settings(), c.Settings()} {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		asYAML, err := yaml.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		testenv.Hidden(t, hidden, "JSON", string(asJSON), v)
		testenv.Hidden(t, hidden, "YAML", string(asYAML), v)
		if !strings.Contains(string(asJSON), `"***"`) || !strings.Contains(string(asYAML), "'***'") {
			t.Errorf("it isn't told that there are secrets: %s\n%s", asJSON, asYAML)
		}
	}
}
