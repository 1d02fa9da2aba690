package herder

import (
	"slices"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

func TestValidationTellsEachKeysErrors(t *testing.T) {
	f := newFakes(t)
	ctx := t.Context()
	a := f.join("a", nil)
	got := must[ConfigInfos](t)(a.Validate(ctx, "KuduSource", plain("c",
		"connector.class", connector.ConnectorClass, "tasks.max", "many", "taks.max", "1", "topic.creation.default.retention.ms", "9",
		"topic.creation.default.the.secret", "hunter2", "streaming.key", "id,id")))
	if got.Name != "KuduSource" || got.ErrorCount != 3 || !slices.Contains(got.Groups, "Kudu") {
		t.Errorf("%s, %d errors, groups %v", got.Name, got.ErrorCount, got.Groups)
	}
	byName := make(map[string]ConfigInfo)
	for _, c := range got.Configs {
		byName[c.Definition.Name] = c
		if c.Definition.Name != c.Value.Name || c.Value.Errors == nil || c.Value.RecommendedValues == nil || c.Definition.Dependents == nil || !c.Value.Visible {
			t.Errorf("%+v", c)
		}
		if !slices.Contains(got.Groups, c.Definition.Group) {
			t.Errorf("%s has the group %q", c.Definition.Name, c.Definition.Group)
		}
	}
	for name, errs := range map[string]string{
		"tasks.max":     `["\"many\" is not a whole number: write a number in 1..1000"]`,
		"taks.max":      `["unknown key: did you mean tasks.max?"]`,
		"streaming.key": `["\"id\" is there twice: remove one"]`,
		"topic":         `[]`,
	} {
		if got := toJSON(t, byName[name].Value.Errors); got != errs {
			t.Errorf("errors of %s are %s, want %s", name, got, errs)
		}
	}
	for name, value := range map[string]string{
		"topic": "rows", "mode": "offset", "poll.interval.ms": "100", "topic.creation.default.retention.ms": "9",
		"topic.creation.default.the.secret": Masked, "headers.enable": "false",
	} {
		if got := byName[name].Value.Value; got == nil || *got != value {
			t.Errorf("%s is %s, want %s", name, toJSON(t, got), value)
		}
	}
	if c := byName["kudu.masters"].Definition; !c.Required || c.DefaultValue != nil || c.Type != "LIST" || c.Importance != "HIGH" {
		t.Errorf("kudu.masters is %+v", c)
	}
	if got := byName["mode"].Value.RecommendedValues; !slices.Contains(got, "sweep") {
		t.Errorf("values of mode are %v", got)
	}
	_, err := a.Validate(ctx, connector.ConnectorClass, plain("c", "connector.class", "io.confluent.connect.jdbc.JdbcSourceConnector"))
	wantKind(t, err, Invalid, "does not match request type")
	if p := a.Plugins(ctx, true); len(p) != 1 || p[0] != (PluginInfo{connector.ConnectorClass, "source", "v0"}) {
		t.Errorf("plugins are %v", p)
	}
	if keys := must[[]ConfigKey](t)(a.PluginConfig(ctx, "KuduSourceConnector")); len(keys) < 40 {
		t.Errorf("%d keys", len(keys))
	}
}
