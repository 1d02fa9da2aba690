package connector

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

const saysNoSASL = "this listener takes no SASL, and security.protocol is SASL_PLAINTEXT"

// withSASL has the brokers take no SASL, as real ones say when it is begun, and the
// worker begin it.
func (s *stack) withSASL() WorkerConfig {
	s.kafka.ControlKey(17, func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		response := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		response.ErrorCode = kerr.IllegalSaslState.Code
		return response, nil, true
	})
	w := s.workerConfig()
	w.SecurityProtocol, w.SASLMechanism, w.SASLUsername, w.SASLPassword = kafka.SASLPlaintext, kafka.Plain, "alice", secret.New("geheim")
	return w
}

func TestWorkerThatKafkaRefusesSaysSoAtOnceOrWaits(t *testing.T) {
	s := newStack(t)
	hasty := s.withSASL()
	hasty.StartupWait = 2 * time.Minute
	began := time.Now()
	err := s.check(hasty, s.instance(1).cfg)
	wantAbout(t, err, "security.protocol: connecting to Kafka broker "+s.kafka.ListenAddrs()[0]+": "+saysNoSASL+": write security.protocol: PLAINTEXT, or name a listener with SASL in bootstrap.servers")
	if strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "\n") {
		t.Errorf("it says %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v, with a patience of %v for brokers that don't answer", took, hasty.StartupWait)
	}
	patient := s.withSASL()
	patient.StartupWait = -time.Millisecond
	if err := s.check(patient, s.instance(1).cfg); err != nil {
		t.Errorf("a worker that starts alone: %v", err)
	}
}

// TestConnectorThatKafkaRefusesFailsWithWhatToDo has a connector FAILED, and the
// worker go on.
func TestConnectorThatKafkaRefusesFailsWithWhatToDo(t *testing.T) {
	s := newStack(t)
	i := s.instance(1)
	w := s.workAs(s.withSASL(), true, i.cfg)
	s.awaitStatus(w, "failed", func(one Status) bool {
		return one.State == Failed && strings.Contains(one.Cause, saysNoSASL) && strings.Contains(one.Cause, "write security.protocol: PLAINTEXT")
	})
}

func TestRefusalsOfTheGroupAreToldOnceAMinute(t *testing.T) {
	var told refusalLog
	now := time.Now()
	one, other := &kafka.RefusedError{What: "one"}, &kafka.RefusedError{What: "other"}
	for n, tc := range []struct {
		err   error
		after time.Duration
		want  hclog.Level
	}{
		{one, 0, hclog.Warn}, {one, time.Second, hclog.Debug}, {errRevoked, time.Second, hclog.Warn}, {one, 57 * time.Second, hclog.Debug},
		{one, time.Second, hclog.Warn}, {other, 0, hclog.Warn}, {one, 0, hclog.Warn},
	} {
		now = now.Add(tc.after)
		if got := told.level(tc.err, now); got != tc.want {
			t.Errorf("%d: %v", n, got)
		}
	}
}
