package connector

import (
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestRowsAreEstimatedOnlyWhereAllOfThemArePublished(t *testing.T) {
	c, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	table, err := c.CreateTable(kudufake.TableSpec{
		Name: "t", Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Insert(kudufake.Row{"id": int64(1)}, kudufake.Row{"id": int64(2)}, kudufake.Row{"id": int64(3)}); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Name, cfg.KuduMasters, cfg.KuduTable = "c", c.Masters(), "t"
	if rows, ok, err := EstimateRows(t.Context(), cfg, hclog.NewNullLogger()); rows != 3 || !ok || err != nil {
		t.Errorf("got %d, %v, %v", rows, ok, err)
	}
	for name, change := range map[string]func(*Config){
		"mode sweep":        func(c *Config) { c.Mode = modeSweep },
		"where":             func(c *Config) { c.Where = "id > 1" },
		"from the latest":   func(c *Config) { c.OffsetStart = "latest" },
		"from given values": func(c *Config) { c.OffsetStartValues = map[string]string{"id": "2"} },
	} {
		changed := cfg
		change(&changed)
		if _, ok, err := EstimateRows(t.Context(), changed, hclog.NewNullLogger()); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	cfg.KuduTable = "other"
	if _, ok, err := EstimateRows(t.Context(), cfg, hclog.NewNullLogger()); ok || err == nil {
		t.Errorf("of no table: %v, %v", ok, err)
	}
}
