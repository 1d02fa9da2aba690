package connector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.yaml.in/yaml/v3"

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
	hides := func(how, text string, v any) {
		for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), strings.Trim(fmt.Sprint([]byte(hidden)), "[]")} {
			if strings.Contains(text, form) {
				t.Errorf("%s of a %T: %s", how, v, text)
			}
		}
	}
	for _, v := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			hides(verb, fmt.Sprintf(verb, v), v)
		}
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("said", "it", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("said", "it", v)
		hclog.New(&hclog.LoggerOptions{Output: &out}).Info("said", "it", v)
		hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: true}).Info("said", "it", v)
		hides("a log", out.String(), v)
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
		hides("JSON", string(asJSON), v)
		hides("YAML", string(asYAML), v)
		if !strings.Contains(string(asJSON), `"***"`) || !strings.Contains(string(asYAML), "'***'") {
			t.Errorf("it isn't told that there are secrets: %s\n%s", asJSON, asYAML)
		}
	}
}
