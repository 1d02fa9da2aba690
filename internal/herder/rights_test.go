package herder

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// guardedHerd has a Kafka with access control, in which a client may change its own
// rights, and nothing else.
func guardedHerd(t *testing.T) (*herd, *kadm.Client) {
	t.Helper()
	h := &herd{t: t, kafka: kfake.MustCluster(
		kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "100"}), kfake.EnableACLs(),
		kfake.User("PLAIN", "ANONYMOUS", "", kfake.ACL{
			Resource: kmsg.ACLResourceTypeCluster, Name: kafka.ClusterName, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationAlter, Allow: true,
		}),
	)}
	t.Cleanup(h.kafka.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(h.kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return h, kadm.NewClient(client)
}

// aclOf is a right of clients that aren't known by name.
func aclOf(t *testing.T, r kafka.Right) *kadm.ACLBuilder {
	t.Helper()
	op, err := kmsg.ParseACLOperation(r.Operation)
	if err != nil {
		t.Fatal(err)
	}
	return kadm.NewACLs().Topics(r.Name).Allow("User:ANONYMOUS").AllowHosts("*").Operations(op).ResourcePatternType(kadm.ACLPatternLiteral)
}

func grant(t *testing.T, adm *kadm.Client, rights ...kafka.Right) {
	t.Helper()
	for _, r := range rights {
		made, err := adm.CreateACLs(t.Context(), aclOf(t, r))
		if err != nil || made[0].Err != nil {
			t.Fatal(err, made)
		}
	}
}

func revoke(t *testing.T, adm *kadm.Client, rights ...kafka.Right) {
	t.Helper()
	for _, r := range rights {
		gone, err := adm.DeleteACLs(t.Context(), aclOf(t, r))
		if err != nil || gone[0].Err != nil || len(gone[0].Deleted) != 1 {
			t.Fatal(err, gone)
		}
	}
}

// neededRights are those of a worker, by the list for its operators.
func neededRights() []kafka.Right {
	cfg := connector.DefaultWorkerConfig()
	cfg.GroupID = "g"
	var all []kafka.Right
	for _, r := range connector.WorkerRights(cfg) {
		if !r.Optional {
			all = append(all, r.Right)
		}
	}
	return all
}

func TestWorkerThatLacksARightToItsTopicsSaysWhichAndDoesNotBegin(t *testing.T) {
	for n, missing := range neededRights() {
		t.Run(missing.String(), func(t *testing.T) {
			t.Parallel()
			h, adm := guardedHerd(t)
			grant(t, adm, slices.Delete(neededRights(), n, n+1)...)
			cfg := connector.DefaultWorkerConfig()
			cfg.BootstrapServers, cfg.GroupID = h.kafka.ListenAddrs(), "g"
			cfg.ConfigReplicationFactor, cfg.StatusReplicationFactor = 1, 1
			w, err := connector.NewWorker(cfg, nil, hclog.NewNullLogger())
			if err != nil {
				t.Fatal(err)
			}
			hd, err := New(Options{Config: cfg, Worker: w, WorkerID: "a"})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err = hd.Run(t.Context())
			var denied *kafka.DeniedError
			if !errors.As(err, &denied) || !slices.Contains(denied.Needs, missing) || !strings.Contains(err.Error(), missing.String()) {
				t.Errorf("the worker ended with %v", err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v to tell", took)
			}
			t.Log(err)
		})
	}
}

func TestWorkerWhoseRightsAreTakenAwayAsksSeldomAndGoesOnWhenTheyAreBack(t *testing.T) {
	h, adm := guardedHerd(t)
	needed := neededRights()
	grant(t, adm, needed...)
	a := h.join("a", memberOptions{change: func(w *connector.WorkerConfig) { w.SessionTimeout = time.Second }})
	var asked atomic.Int64
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.Produce, kmsg.Metadata, kmsg.ListOffsets, kmsg.InitProducerID} {
		h.kafka.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			h.kafka.KeepControl()
			asked.Add(1)
			return nil, nil, false
		})
	}
	for _, r := range needed {
		if r.Operation == "CREATE" {
			continue
		}
		revoke(t, adm, r)
		if r.Operation == "WRITE" && r.Name == a.config.ConfigTopic() {
			// It is written only when something is asked for, which then fails.
			if err := a.mark(t.Context()); err == nil || !strings.Contains(err.Error(), "this needs the right "+r.String()) {
				t.Errorf("writing gives %v", err)
			}
			grant(t, adm, r)
			h.eventually("the topic is written again", func() bool { return a.mark(t.Context()) == nil })
			continue
		}
		h.eventually("Health names "+r.String(), func() bool {
			health := a.Health(context.Background())
			return health.Status == "unhealthy" && strings.Contains(health.Message, "this needs the right "+r.String())
		}, func() any { return a.Health(context.Background()) })
		began := time.Now()
		asked.Store(0)
		<-time.After(2 * time.Second)
		n, watched := asked.Load(), time.Since(began)
		if float64(n) > 37.5*watched.Seconds() { // heartbeats are every 100 ms here
			t.Errorf("without %s: %d requests within %v", r, n, watched)
		} else {
			t.Logf("without %s: %d requests within %v", r, n, watched)
		}
		grant(t, adm, r)
		h.eventually("the worker is healthy", func() bool { return a.Health(context.Background()).Status == "healthy" },
			func() any { return a.Health(context.Background()) })
	}
}
