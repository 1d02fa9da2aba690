package herder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

const (
	tableName = "shop.orders"
	rowsTopic = "rows"
)

// herd is a fake Kudu, a fake Kafka, and workers with herders on them.
type herd struct {
	t     *testing.T
	kafka *kfake.Cluster
	kudu  *kudufake.Cluster
	table *kudufake.Table
	rows  int
}

func newHerd(t *testing.T) *herd {
	t.Helper()
	h := &herd{t: t, kafka: kfake.MustCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "100"}))}
	t.Cleanup(h.kafka.Close)
	var err error
	if h.kudu, err = kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kudu.Close)
	if h.table, err = h.kudu.CreateTable(kudufake.TableSpec{
		Name: tableName, Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true}},
	}); err != nil {
		t.Fatal(err)
	}
	return h
}

// insert adds rows with growing keys.
func (h *herd) insert(n int) {
	h.t.Helper()
	rows := make([]kudufake.Row, n)
	for i := range rows {
		rows[i] = kudufake.Row{"id": int64(h.rows + i), "text": "x"}
	}
	if _, err := h.table.Insert(rows...); err != nil {
		h.t.Fatal(err)
	}
	h.rows += n
}

// properties are a connector's that can be run, with changes.
func (h *herd) properties(name string, changes ...string) map[string]string {
	p := map[string]string{
		"name": name, "kudu.masters": strings.Join(h.kudu.Masters(), ","), "kudu.table": tableName, "topic": rowsTopic, "tasks.max": "2",
		"poll.interval.ms": "5", "poll.interval.max.ms": "20", "errors.retry.delay.max.ms": "50", "kudu.operation.timeout.ms": "30000",
		"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		p[changes[i]] = changes[i+1]
	}
	return p
}

// member is one worker of the group.
type member struct {
	*Herder
	h      *herd
	worker *connector.Worker
	stop   func() // in order
}

type memberOptions struct {
	files  []File
	env    map[string]string
	levels Levels
	change func(*connector.WorkerConfig)
}

// join starts a worker and waits until it is ready.
func (h *herd) join(id string, o memberOptions) *member {
	h.t.Helper()
	cfg := connector.DefaultWorkerConfig()
	cfg.BootstrapServers, cfg.GroupID = h.kafka.ListenAddrs(), "g"
	cfg.OffsetsReplicationFactor, cfg.ConfigReplicationFactor, cfg.StatusReplicationFactor = 1, 1, 1
	cfg.SessionTimeout, cfg.HeartbeatInterval = 10*time.Second, 100*time.Millisecond
	if o.change != nil {
		o.change(&cfg)
	}
	var configs []connector.Config
	for _, f := range o.files {
		configs = append(configs, f.Config)
	}
	w, err := connector.NewWorker(cfg, configs, hclog.NewNullLogger())
	if err != nil {
		h.t.Fatal(err)
	}
	w.KeepRunning()
	hd, err := New(Options{
		Config: cfg, Worker: w, Files: o.files, WorkerID: id, Version: "v0", Commit: "c0", Levels: o.levels,
		Env: func(name string) (string, bool) { v, is := o.env[name]; return v, is },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hd.Run(ctx) }()
	stopped := false
	m := &member{Herder: hd, h: h, worker: w}
	m.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("worker %s ended with %v", id, err)
		}
	}
	h.t.Cleanup(m.stop)
	h.eventually("worker "+id+" is ready", func() bool { return hd.Health(ctx).Status == "healthy" })
	return m
}

func (h *herd) eventually(what string, f func() bool, last ...func() any) {
	h.t.Helper()
	if !testenv.Eventually(h.t.Context(), time.Minute, f) {
		var seen []any
		for _, l := range last {
			seen = append(seen, l())
		}
		h.t.Fatalf("%s: did not come about; last seen %+v", what, seen)
	}
}

// become waits until the member shows the connector and its tasks in these states.
func (m *member) become(name string, state connector.State, tasks ...connector.State) {
	m.h.t.Helper()
	var last ConnectorStatus
	var err error
	m.h.eventually(fmt.Sprintf("%s is %s %v at %s", name, state, tasks, m.id), func() bool {
		last, err = m.Status(m.h.t.Context(), name)
		if err != nil || last.Connector.State != State(state) || len(last.Tasks) != len(tasks) {
			return false
		}
		for n, t := range last.Tasks {
			if t.State != State(tasks[n]) {
				return false
			}
		}
		return true
	}, func() any { return last }, func() any { return err })
}

// published waits until all rows of the table have been published, and n more that
// were published anew.
func (h *herd) published(again int) {
	h.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(h.kafka.ListenAddrs()...), kgo.ConsumeTopics(rowsTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	seen := make(map[string]int)
	for n := 0; n < h.rows+again; {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			seen[string(r.Key)]++
			n++
		})
		if ctx.Err() != nil {
			h.t.Fatalf("%d records of %d rows are there, want %d", n, len(seen), h.rows+again)
		}
	}
	if len(seen) != h.rows {
		h.t.Errorf("%d rows, want %d", len(seen), h.rows)
	}
}

// wantKind wants a refusal, with a word of what it says.
func wantKind(t *testing.T, err error, kind Kind, says string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, says) {
		t.Errorf("got %v, want kind %d and %q", err, kind, says)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
