package connector

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// check asks whether a worker with this configuration would start.
func (s *stack) check(cfg WorkerConfig, connectors ...Config) error {
	s.t.Helper()
	w, err := NewWorker(cfg, connectors, hclog.NewNullLogger())
	if err != nil {
		s.t.Fatal(err)
	}
	err = w.Check(s.t.Context())
	var faulty *ConfigError
	if err != nil && !errors.As(err, &faulty) {
		s.t.Fatalf("Check ended with %v", err)
	}
	return err
}

func wantAbout(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("Check says %v, want it to name %q", err, text)
	}
}

// nobodyListens is an address at which connections are refused.
const nobodyListens = "127.0.0.1:1"

func TestWorkerThatStartsAloneWaitsForWhatIsNotThere(t *testing.T) {
	s := newStack(t)
	patient := s.workerConfig()
	patient.StartupWait = -time.Millisecond
	hasty := s.workerConfig()
	hasty.StartupWait = 0

	missing := s.instance(2).cfg
	missing.KuduTable = "none"
	if err := s.check(patient, missing); err != nil {
		t.Errorf("a table that isn't there: %v", err)
	}
	wantAbout(t, s.check(hasty, missing), "kudu.table: ")

	away := s.instance(2).cfg
	away.KuduMasters, away.KuduOperationTimeout = []string{nobodyListens}, time.Second
	if err := s.check(patient, away); err != nil {
		t.Errorf("masters that aren't there: %v", err)
	}

	patient.BootstrapServers, hasty.BootstrapServers = []string{nobodyListens}, []string{nobodyListens}
	if err := s.check(patient, s.instance(2).cfg); err != nil {
		t.Errorf("brokers that aren't there: %v", err)
	}
	wantAbout(t, s.check(hasty, s.instance(2).cfg), "start Kafka, or correct the addresses")

	// A mistake is one, whatever else is missing.
	wrong := s.instance(2).cfg
	wrong.StreamingKey = []string{"nothing"}
	wantAbout(t, s.check(patient, wrong), "nothing")
}

func TestConnectorWaitsForItsTableAndTellsSo(t *testing.T) {
	s := newStack(t)
	s.kudu.DropTable(testKey.Table)
	patient := s.workerConfig()
	patient.StartupWait = -time.Millisecond
	i := s.instance(2)
	w := s.workAs(patient, true, i.cfg)
	s.awaitStatus(w, "waiting", func(one Status) bool {
		return one.State == Restarting && strings.Contains(one.Cause, "table not found") && len(one.Tasks) == 0
	})
	s.makeTable(4)
	s.insert(100)
	s.awaitRows(i, 100)
	s.wantAll()
	s.awaitStatus(w, "running", inState(Running, Running, Running))

	// One that waits ends in order, too.
	i.cfg.KuduTable = "none"
	w.Put(i.cfg, TargetRunning)
	s.awaitStatus(w, "waiting again", func(one Status) bool { return one.State == Restarting })
	w.SetTarget(i.cfg.Name, TargetStopped)
	s.awaitStatus(w, "stopped", inState(Stopped))
}

// A master that is away for good answers nothing, and its client goes on asking.
func TestConnectorSoonTellsThatItWaitsForKudu(t *testing.T) {
	s := newStack(t)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	patient := s.workerConfig()
	patient.StartupWait = -time.Millisecond
	i := s.instance(2)
	i.cfg.KuduMasters = []string{mute.Addr().String()}
	began := time.Now()
	w := s.workAs(patient, true, i.cfg)
	s.awaitStatus(w, "waiting for Kudu", func(one Status) bool {
		return one.State == Restarting && strings.Contains(one.Cause, "none of the masters leads") && strings.Contains(one.Cause, mute.Addr().String())
	})
	if took := time.Since(began); took > checkTimeout*3/4 {
		t.Errorf("it said so after %v", took)
	}
}
