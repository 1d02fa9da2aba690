package metrics

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestMetricsOfAWorkerEqualTheRowsInTheTopic(t *testing.T) {
	const rows = 700
	kafka := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(kafka.Close)
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	table, err := cluster.CreateTable(kudufake.TableSpec{
		Name: "orders", Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(rows) {
		if _, err := table.Insert(kudufake.Row{"id": i}); err != nil {
			t.Fatal(err)
		}
	}
	w := connector.DefaultWorkerConfig()
	w.BootstrapServers, w.GroupID, w.OffsetsReplicationFactor = kafka.ListenAddrs(), "g", 1
	c := connector.DefaultConfig()
	c.Name, c.TasksMax, c.KuduMasters, c.KuduTable, c.Topic = "orders", 2, cluster.Masters(), "orders", "rows"
	c.TopicPartitions, c.TopicReplicationFactor, c.TransactionMaxRows = 1, 1, 100
	c.PollInterval, c.PollMax = 5*time.Millisecond, 10*time.Millisecond
	r := New(Options{TabletsMax: 10})
	worker, err := connector.NewWorker(w, []connector.Config{c}, hclog.NewNullLogger(), connector.WithObserver(r))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()

	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumeTopics("rows"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var visible, bytes float64
	sum := func(all map[string]float64, family string) (sum float64, n int) {
		for name, v := range all {
			if strings.HasPrefix(name, namespace+family+"{") {
				sum += v
				n++
			}
		}
		return sum, n
	}
	var all map[string]float64
	for visible < rows {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			visible++
			bytes += float64(len(r.Key) + len(r.Value))
		})
		if ctx.Err() != nil {
			t.Fatalf("%v rows are visible", visible)
		}
	}
	// The commit is visible a moment before the worker hears of it.
	for settled := false; !settled; {
		all = series(t, r)
		n, _ := sum(all, "rows_total")
		behind, _ := sum(all, "task_tablets_behind")
		running := all[namespace+`connector_tasks{connector="orders",state="RUNNING"}`]
		if settled = n >= rows && behind == 0 && running == 2; ctx.Err() != nil {
			t.Fatalf("%v rows are counted, %v tablets are behind, %v tasks run", n, behind, running)
		}
	}
	all = series(t, r) // those that are read at a time may be of before and after a commit
	for family, want := range map[string]float64{"rows_total": rows, "bytes_total": bytes, "transaction_rows_sum": rows, "late_rows_total": 0, "task_tablets": 4, "task_lag_seconds": 0} {
		if got, n := sum(all, family); got != want || n == 0 {
			t.Errorf("%s: %v in %d series, want %v", family, got, n, want)
		}
	}
	for _, family := range []string{"rebalances_total", "rebalance_duration_seconds_count", "kudu_calls_total", "kafka_requests_total", "kafka_connects_total", "kafka_written_bytes_total", "kafka_read_bytes_total", "rows_read_total"} {
		if got, _ := sum(all, family); got == 0 {
			t.Errorf("%s is 0", family)
		}
	}
	for _, name := range []string{
		`kafka_requests_total{connector="orders",outcome="ok",request="EndTxn"}`, `kafka_request_duration_seconds_count{connector="orders",request="Produce"}`,
		`kudu_calls_total{connector="orders",method="Scan",outcome="ok"}`, `transactions_total{connector="orders",outcome="committed",task="1"}`,
		`task_state_changes_total{connector="orders",state="RESTORING"}`, `task_state_changes_total{connector="orders",state="RUNNING"}`,
	} {
		if all[namespace+name] == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left := with(t, r, "connector", "orders"); len(left) > 0 {
		t.Errorf("the worker has stopped, and %d series are left: %v", len(left), left)
	}
}
