package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Every file in configs/ is loaded: the worker's files by name, each with the
// connectors of its set.
func TestEveryExampleLoads(t *testing.T) {
	const folder = "../../configs"
	env := variables(map[string]string{
		"K2K_BOOTSTRAP_SERVERS": "127.0.0.1:19092",
		"K2K_KUDU_MASTERS":      "127.0.0.1:17051,127.0.0.1:17052",
	})
	files, err := filepath.Glob(folder + "/*")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string][]string{} // worker's file -> connectors' files
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue // sets of their own
		}
		base := filepath.Base(file)
		worker := folder + "/worker.yaml"
		if strings.HasPrefix(base, "demo-") {
			worker = folder + "/demo-worker.yaml"
		}
		if strings.HasSuffix(base, "worker.yaml") {
			sets[file] = append(sets[file], nil...)
			if strings.HasPrefix(base, "secured-") {
				sets[file] = append(sets[file], folder+"/orders.yaml")
			}
			continue
		}
		sets[worker] = append(sets[worker], file)
	}
	const compose = folder + "/compose/worker.yaml"
	sets[compose] = ConnectorFiles([]string{folder + "/compose/connectors"})
	if len(sets) != 4 {
		t.Fatalf("found %d worker files, want 4: %v", len(sets), files)
	}
	for worker, connectors := range sets {
		if _, got, err := Load(worker, connectors, env); err != nil {
			t.Errorf("loading %s %v: %v", worker, connectors, err)
		} else if len(got) == 0 {
			t.Errorf("%s has no connector beside it", worker)
		}
	}
}

func TestDemoReadsTheOrdersTable(t *testing.T) {
	env := variables(map[string]string{"K2K_BOOTSTRAP_SERVERS": "127.0.0.1:19092", "K2K_KUDU_MASTERS": "127.0.0.1:17051,127.0.0.1"})
	worker, connectors, err := Load("../../configs/demo-worker.yaml", []string{"../../configs/demo-orders.yaml"}, env)
	if err != nil {
		t.Fatal(err)
	}
	want := connector.DefaultConfig()
	want.Name, want.TasksMax, want.KuduTable, want.Topic = "orders", 4, "orders", "orders"
	want.KuduMasters = []string{"127.0.0.1:17051", "127.0.0.1:7051"}
	want.StreamingKey = []string{"event_time", "id"}
	sameConfig(t, connectors[0], want)
	if got := connectors[0].OffsetsTopic(worker.GroupID); got != "kudu2kafka-demo-orders-offsets" {
		t.Errorf("offsets topic is %s", got)
	}
}
