package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// fakeWorker does what its functions do; without one, Check finds no fault and
// Run stops in order when its context ends.
type fakeWorker struct {
	check, run func(ctx context.Context) error
}

func (w fakeWorker) Check(ctx context.Context) error {
	if w.check == nil {
		return nil
	}
	return w.check(ctx)
}

func (w fakeWorker) Run(ctx context.Context) error {
	if w.run == nil {
		<-ctx.Done()
		return nil
	}
	return w.run(ctx)
}

// harness runs the command with a fake worker.
type harness struct {
	app
	out, log strings.Builder // read them when the command has ended
	signals  chan os.Signal
	files    []string // WORKER.yaml CONNECTOR.yaml
	cfg      connector.WorkerConfig
	conns    []connector.Config
}

func newHarness(t *testing.T, w worker, workerLines string) *harness {
	t.Helper()
	folder := t.TempDir()
	h := &harness{signals: make(chan os.Signal, 2)}
	h.files = []string{filepath.Join(folder, "w.yaml"), filepath.Join(folder, "c.yaml")}
	for i, text := range []string{
		"bootstrap.servers: ${env:KAFKA}\ngroup.id: g\n" + workerLines,
		"name: orders\nkudu.masters: m:7051\nkudu.table: orders\ntopic: orders\n",
	} {
		if err := os.WriteFile(h.files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.app = app{
		stdout: &h.out,
		stderr: &h.log,
		env:    func(name string) (string, bool) { return "k:9092", name == "KAFKA" },
		newWorker: func(_ context.Context, p setup) (worker, error) {
			h.cfg, h.conns = p.config, p.connectors
			return w, nil
		},
		terminal: func(io.Writer) (int, bool) { return 0, false },
		notify:   func() (<-chan os.Signal, func()) { return h.signals, func() {} },
	}
	return h
}

func (h *harness) runFiles() int { return h.execute(append([]string{"run"}, h.files...)) }

func (h *harness) want(t *testing.T, code, want int, said ...string) {
	t.Helper()
	if code != want {
		t.Errorf("exit code is %d, want %d", code, want)
	}
	for _, text := range said {
		if !strings.Contains(h.log.String(), text) {
			t.Errorf("standard error does not say %q:\n%s", text, h.log.String())
		}
	}
}

func TestRunStopsInOrderOnTheFirstSignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		h := newHarness(t, fakeWorker{}, "")
		h.notify = func() (<-chan os.Signal, func()) {
			if h.log.Len() > 0 {
				t.Errorf("the worker writes before it listens to signals: %s", h.log.String())
			}
			return h.signals, func() {}
		}
		h.signals <- s
		h.want(t, h.runFiles(), exitOK, "starting", "stopping: signal="+s.String(), "stopped")
		if len(h.conns) != 1 || h.conns[0].Name != "orders" || h.cfg.BootstrapServers[0] != "k:9092" {
			t.Errorf("worker was made with %+v and %+v", h.cfg, h.conns)
		}
	}
}

// Making the worker looks the names of listeners up, which fails when it is cut off.
func TestStopWhileTheWorkerIsMadeIsNoFailure(t *testing.T) {
	h := newHarness(t, fakeWorker{}, "")
	h.newWorker = func(ctx context.Context, _ setup) (worker, error) {
		h.signals <- syscall.SIGTERM
		<-ctx.Done()
		return nil, &connector.ConfigError{Faults: []connector.Fault{{Key: "listeners", What: "lookup localhost: operation was canceled"}}}
	}
	h.want(t, h.runFiles(), exitOK, "stopped")
}

func TestRunEndsAloneWhenTheWorkerDoes(t *testing.T) {
	h := newHarness(t, fakeWorker{run: func(context.Context) error { return nil }}, "")
	h.want(t, h.runFiles(), exitOK, "stopped")
}

func TestRunFailsWithTheWorker(t *testing.T) {
	h := newHarness(t, fakeWorker{run: func(context.Context) error { return errors.New("the group is gone") }}, "")
	h.want(t, h.runFiles(), exitFailed, "the group is gone")
}

func TestFaultsFoundByCheckExitWithTwo(t *testing.T) {
	refused := &connector.ConfigError{Faults: []connector.Fault{
		{Key: "kudu.table", What: "no table", Remedy: "make it"},
		{Key: "streaming.key", What: "no column", Remedy: "name another"},
	}}
	ran := false
	h := newHarness(t, fakeWorker{
		check: func(context.Context) error { return fmt.Errorf("looking at Kudu: %w", refused) },
		run:   func(context.Context) error { ran = true; return nil },
	}, "")
	h.want(t, h.runFiles(), exitUsage, "kudu.table: no table: make it\n", "streaming.key: no column: name another\n")
	if ran {
		t.Error("the worker ran with a faulty configuration")
	}
}

func TestCheckThatCannotRunExitsWithOne(t *testing.T) {
	h := newHarness(t, fakeWorker{check: func(context.Context) error { return errors.New("out of memory") }}, "")
	h.want(t, h.runFiles(), exitFailed, "out of memory")
}

func TestFactoryFaultsExitWithTwo(t *testing.T) {
	h := newHarness(t, nil, "")
	h.newWorker = func(context.Context, setup) (worker, error) {
		return nil, &connector.ConfigError{Faults: []connector.Fault{{Key: "topic", What: "is bad"}}}
	}
	h.want(t, h.runFiles(), exitUsage, "topic: is bad")
}

func TestSignalDuringCheckStopsInOrder(t *testing.T) {
	h := newHarness(t, fakeWorker{
		check: func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("asking masters: %w", ctx.Err()) },
		run:   func(context.Context) error { return errors.New("ran") },
	}, "")
	h.signals <- syscall.SIGTERM
	h.want(t, h.runFiles(), exitOK, "stopped")
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	release := make(chan struct{})
	h := newHarness(t, fakeWorker{run: func(context.Context) error { <-release; return nil }}, "")
	defer close(release)
	h.signals <- syscall.SIGTERM
	h.signals <- syscall.SIGTERM
	h.want(t, h.runFiles(), exitFailed, "second signal")
}

func TestWorkerThatHangsIsLeftBehindInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := newHarness(t, fakeWorker{run: func(context.Context) error { <-release; return nil }}, "")
		defer close(release)
		h.signals <- syscall.SIGTERM
		began := time.Now()
		h.want(t, h.runFiles(), exitFailed, "did not stop in time")
		if took := time.Since(began); took != hardStop || took >= 10*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestWorkerMayUseTheTimeItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, fakeWorker{run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(9 * time.Second) // on the bubble's clock
			return nil
		}}, "")
		h.signals <- syscall.SIGTERM
		h.want(t, h.runFiles(), exitOK, "stopped")
	})
}

func TestFaultyConfigurationExitsWithTwoAndStartsNothing(t *testing.T) {
	h := newHarness(t, nil, "log.levle: info\nsession.timeout.ms: 5s\n")
	h.newWorker = func(context.Context, setup) (worker, error) {
		t.Error("a worker was made")
		return nil, errors.New("unwanted")
	}
	h.want(t, h.runFiles(), exitUsage,
		h.files[0]+":3: log.levle: unknown key: did you mean log.level?\n",
		h.files[0]+":4: session.timeout.ms: \"5s\" is not a whole number: the unit is milliseconds: write 5000\n")
}

func TestLogsAreJSONWhenAskedFor(t *testing.T) {
	h := newHarness(t, fakeWorker{}, "log.format: json\n")
	h.signals <- syscall.SIGTERM
	h.want(t, h.runFiles(), exitOK)
	for _, line := range strings.Split(strings.TrimSpace(h.log.String()), "\n") {
		var message map[string]any
		if err := json.Unmarshal([]byte(line), &message); err != nil || message["@level"] != "info" {
			t.Errorf("not a JSON message at info: %s (%v)", line, err)
		}
	}
}

func TestLogLevelIsHeeded(t *testing.T) {
	h := newHarness(t, fakeWorker{}, "log.level: warn\n")
	h.signals <- syscall.SIGTERM
	h.want(t, h.runFiles(), exitOK)
	if h.log.Len() > 0 {
		t.Errorf("logged at warn:\n%s", h.log.String())
	}
}

func TestSecretsThatCanBeReadOnTheNetworkAreToldAtTheStart(t *testing.T) {
	const what = `[WARN]  kudu2kafka: secrets can be read on the network: key=listeners what="http://0.0.0.0:8083 is sent the passwords`
	for listener, told := range map[string]bool{"http://0.0.0.0:8083": true, "http://127.0.0.1:8083": false} {
		h := newHarness(t, fakeWorker{run: func(context.Context) error { return nil }}, "rest.basic.auth.users: ann:hidden\nlisteners: "+listener+"\n")
		h.want(t, h.runFiles(), exitOK, "starting")
		if log := h.log.String(); strings.Contains(log, what) != told || strings.Contains(log, "hidden") {
			t.Errorf("with %s the log has\n%s", listener, log)
		}
	}
}
