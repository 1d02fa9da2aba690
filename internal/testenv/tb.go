package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// TB is the part of testing.TB that the helpers use.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
	Name() string
	Cleanup(func())
	Context() context.Context
}

// Runner is what TestMain gets, *testing.M.
type Runner interface{ Run() int }

// prerequisites is checked once in a test binary.
var prerequisites = sync.OnceValue(func() error {
	ctx := context.Background()
	_, javaErr := findJava(ctx)
	_, javacErr := findJavac()
	if err := errors.Join(javaErr, javacErr); err != nil {
		return err
	}
	_, kuduErr := fetchKudu(ctx)
	_, kafkaErr := fetchKafka(ctx)
	_, clientErr := fetchKuduClient(ctx)
	return errors.Join(kuduErr, kafkaErr, clientErr)
})

// Require skips the test, with the reason, when this machine cannot run the
// servers; with K2K_REQUIRE_SERVERS=1 it fails the test instead. The first call
// on a machine downloads them.
func Require(t TB) {
	t.Helper()
	if err := prerequisites(); err != nil {
		lacking(t, err)
	}
}

// lacking ends a test that this machine can't run.
func lacking(t TB, err error) {
	t.Helper()
	if os.Getenv("K2K_REQUIRE_SERVERS") == "1" {
		t.Fatalf("real servers are required (K2K_REQUIRE_SERVERS=1): %v", err)
		return
	}
	t.Skipf("no real servers here: %v", err)
}

// NewKudu starts a cluster for this test and closes it at the test's end. If
// the test failed, the ends of the servers' logs are shown.
func NewKudu(t TB, config KuduConfig) *Kudu {
	t.Helper()
	Require(t)
	k, err := StartKudu(t.Context(), config)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		showLogs(t, k.Servers()...)
		closeOrFail(t, "Kudu", k.Close)
	})
	return k
}

// NewKDC starts a KDC for this test and closes it at the test's end.
func NewKDC(t TB) *KDC {
	t.Helper()
	return NewRealm(t, Realm)
}

// NewRealm is NewKDC for a realm of another name.
func NewRealm(t TB, realm string) *KDC {
	t.Helper()
	Require(t)
	k, err := startKDC(t.Context(), realm)
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("K2K_REQUIRE_SERVERS") != "1":
		t.Skipf("no Kerberos here: %v", err)
	case err != nil:
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		showLogs(t, k.Server)
		closeOrFail(t, "the KDC", k.Close)
	})
	return k
}

// NewKafka starts a broker for this test and closes it at the test's end. If
// the test failed, the end of its log is shown.
func NewKafka(t TB, config KafkaConfig) *Kafka {
	t.Helper()
	Require(t)
	k, err := StartKafka(t.Context(), config)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		showLogs(t, k.Server)
		closeOrFail(t, "Kafka", k.Close)
	})
	return k
}

// NewKuduTool starts the oracle for the cluster, and closes it at the test's end.
func NewKuduTool(t TB, k *Kudu) *KuduTool {
	t.Helper()
	Require(t)
	tool, err := StartKuduTool(t.Context(), k.Masters())
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { closeOrFail(t, "the oracle", tool.Close) })
	return tool
}

func showLogs(t TB, servers ...*Server) {
	t.Helper()
	for _, s := range servers {
		ShowLog(t, s.Name(), s.Log(), tailLines)
	}
}

func closeOrFail(t TB, what string, closer func() error) {
	if err := closer(); err != nil {
		t.Errorf("closing %s: %v", what, err)
	}
}

// shared holds the servers that the tests of one binary use together.
var shared struct {
	mu      sync.Mutex
	kudu    *Kudu
	kafka   *Kafka
	secured *Kafka
	tool    *KuduTool
	// programs is the folder of what Program has built.
	programs string
}

// SharedKudu returns the cluster of one master and one tablet server that all
// tests of this binary use, and starts it first if need be. A test must not
// leave one of its servers down or paused. TestMain must use ClosingShared.
func SharedKudu(t TB) *Kudu {
	t.Helper()
	Require(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.kudu == nil {
		k, err := StartKudu(t.Context(), KuduConfig{})
		if err != nil {
			t.Fatalf("%v", err)
		}
		shared.kudu = k
	}
	return shared.kudu
}

// SharedKafka is SharedKudu for the broker.
func SharedKafka(t TB) *Kafka {
	t.Helper()
	Require(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.kafka == nil {
		k, err := StartKafka(t.Context(), KafkaConfig{})
		if err != nil {
			t.Fatalf("%v", err)
		}
		shared.kafka = k
	}
	return shared.kafka
}

// SharedSecuredKafka is SharedKafka for a broker with security. The configuration is
// that of the first call.
func SharedSecuredKafka(t TB, config KafkaConfig) *Kafka {
	t.Helper()
	Require(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.secured == nil {
		k, err := StartKafka(t.Context(), config)
		if err != nil {
			t.Fatalf("%v", err)
		}
		shared.secured = k
	}
	return shared.secured
}

// SharedKuduTool returns the oracle for SharedKudu.
func SharedKuduTool(t TB) *KuduTool {
	t.Helper()
	k := SharedKudu(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.tool == nil {
		tool, err := StartKuduTool(t.Context(), k.Masters())
		if err != nil {
			t.Fatalf("%v", err)
		}
		shared.tool = tool
	}
	return shared.tool
}

// ClosingShared wraps a test binary's tests so that the shared servers are
// closed after the last one, and before goroutines are checked:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.ClosingShared(m)) }
//
// Then come the ends of the logs that ShowLog was given by tests that failed.
func ClosingShared(m Runner) Runner {
	failed.mu.Lock()
	defer failed.mu.Unlock()
	failed.later = true
	return closingShared{m}
}

type closingShared struct{ tests Runner }

func (c closingShared) Run() int {
	code := c.tests.Run()
	printFailed(os.Stdout)
	if err := CloseShared(); err != nil {
		fmt.Fprintf(os.Stderr, "closing the shared servers: %v\n", err)
		code = max(code, 1)
	}
	return code
}

// CloseShared closes the shared servers that were started, and removes programs.
func CloseShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var errs []error
	if shared.tool != nil {
		errs = append(errs, shared.tool.Close())
	}
	if shared.kudu != nil {
		errs = append(errs, shared.kudu.Close())
	}
	if shared.kafka != nil {
		errs = append(errs, shared.kafka.Close())
	}
	if shared.secured != nil {
		errs = append(errs, shared.secured.Close())
	}
	if shared.programs != "" {
		errs = append(errs, os.RemoveAll(shared.programs))
	}
	shared.kudu, shared.kafka, shared.secured, shared.tool, shared.programs = nil, nil, nil, nil, ""
	return errors.Join(errs...)
}
