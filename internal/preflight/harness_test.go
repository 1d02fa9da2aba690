package preflight

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// world is a fake Kudu with one table, a fake Kafka, and a connector between them.
type world struct {
	t     *testing.T
	kudu  *kudufake.Cluster
	kafka *kfake.Cluster
	table *kudufake.Table
	w     connector.WorkerConfig
	c     connector.Config

	patience time.Duration
}

const rows = 5

func orderColumns() []kudu.Column {
	return []kudu.Column{
		{Name: "at", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true},
		{Name: "note", Type: kudu.String, Nullable: true}, {Name: "price", Type: kudu.Decimal64, Precision: 18, Scale: 2},
		{Name: "seen", Type: kudu.UnixtimeMicros},
	}
}

func newWorld(t *testing.T, kafkaOpts ...kfake.Opt) *world {
	t.Helper()
	w := &world{t: t, kafka: kfake.MustCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, kafkaOpts...)...)}
	t.Cleanup(w.kafka.Close)
	var err error
	if w.kudu, err = kudufake.New(kudufake.Options{Masters: 3, TabletServers: 3, Loopback: true, NoElections: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kudu.Close)
	w.w = connector.DefaultWorkerConfig()
	w.w.BootstrapServers, w.w.GroupID = w.kafka.ListenAddrs(), "g"
	w.c = connector.DefaultConfig()
	w.c.Name, w.c.KuduMasters, w.c.KuduTable, w.c.Topic = "orders", w.kudu.Masters(), "orders", "rows"
	w.c.TasksMax, w.c.KuduOperationTimeout = 2, 20*time.Second
	w.makeTable(kudufake.TableSpec{})
	return w
}

// makeTable puts another table in the place of the one there is.
func (w *world) makeTable(spec kudufake.TableSpec) {
	w.t.Helper()
	w.kudu.DropTable("orders")
	spec.Name = "orders"
	if spec.Columns == nil {
		spec.Columns = orderColumns()
	}
	if spec.Hash == nil {
		spec.Hash = []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}}
	}
	var err error
	if w.table, err = w.kudu.CreateTable(spec); err != nil {
		w.t.Fatal(err)
	}
	for i := range int64(rows) {
		row := kudufake.Row{
			"at": int64(1_700_000_000_000_000) + i, "id": i, "note": fmt.Sprintf("row %d", i), "price": 100 * i, "seen": i,
		}
		if _, err := w.table.Insert(row); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) admin() (*kadm.Client, func()) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...))
	if err != nil {
		w.t.Fatal(err)
	}
	return kadm.NewClient(client), client.Close
}

func (w *world) makeTopic(name string, partitions int32, factor int16, settings map[string]string) {
	w.t.Helper()
	adm, done := w.admin()
	defer done()
	values := map[string]*string{}
	for k, v := range settings {
		values[k] = &v
	}
	if _, err := adm.CreateTopic(w.t.Context(), partitions, factor, values, name); err != nil {
		w.t.Fatal(err)
	}
}

// makeTopics makes both topics as a worker would.
func (w *world) makeTopics() {
	w.t.Helper()
	w.makeTopic("rows", 3, 3, nil)
	w.makeTopic("g-orders-offsets", int32(w.c.TasksMax), 3, offsets.TopicSettings())
}

// store puts records into the offsets topic.
func (w *world) store(records ...*kgo.Record) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) options() Options {
	return Options{Worker: w.w, Connectors: []connector.Config{w.c}, CoordinatorPatience: w.patience}
}

func (w *world) check() *Report {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	r, err := Check(ctx, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (r *Report) text(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// want fails the test unless there is such a finding, and no error or warning
// beside it but of the checks named.
func (r *Report) want(t *testing.T, severity Severity, check, key, problem string, besides ...string) {
	t.Helper()
	found := false
	for _, f := range r.Findings {
		switch {
		case f.Severity == severity && f.Check == check && f.Key == key && strings.Contains(f.Problem, problem):
			found = true
			if f.Remedy == "" && severity != Note {
				t.Errorf("the finding has no remedy: %+v", f)
			}
		case f.Severity == Note:
		default:
			known := false
			for _, b := range besides {
				known = known || f.Check == b
			}
			if !known {
				t.Errorf("unwanted finding: %+v", f)
			}
		}
	}
	if !found {
		t.Errorf("no %s of %s about %q says %q:\n%s", severity, check, key, problem, r.text(t))
	}
}

func (r *Report) wantNoWorseThan(t *testing.T, worst Severity) {
	t.Helper()
	bad := r.Count(Error) + r.Failed()
	if worst == Note {
		bad += r.Count(Warning)
	}
	if bad > 0 {
		t.Errorf("there are findings worse than a %s:\n%s", worst, r.text(t))
	}
}
