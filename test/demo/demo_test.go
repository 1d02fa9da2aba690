package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const module = "github.com/kudu2kafka/kudu2kafka"

// Both programs are built when the first test needs them.
var programs struct {
	dir, demo, kudu2kafka string
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if programs.dir != "" {
			_ = os.RemoveAll(programs.dir)
		}
		os.Exit(code)
	}))
}

func build(t *testing.T) {
	t.Helper()
	if programs.dir != "" {
		return
	}
	dir, err := os.MkdirTemp("", "k2k-demo-") //nolint:usetesting // outlives the test that makes it
	if err != nil {
		t.Fatal(err)
	}
	programs.dir = dir
	programs.demo, programs.kudu2kafka = filepath.Join(dir, "demo"), filepath.Join(dir, "kudu2kafka")
	for path, pkg := range map[string]string{programs.demo: "/test/demo", programs.kudu2kafka: "/cmd/kudu2kafka"} {
		if out, err := exec.Command("go", "build", "-o", path, module+pkg).CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", pkg, err, out)
		}
	}
}

// showing is a run of the demo as "make demo" does it, with a folder of its own
// for temporary files, by which everything that it starts is known.
type showing struct {
	*testenv.Process
	t   *testing.T
	tmp string
	log string
}

func startDemo(t *testing.T, binary string, env ...string) *showing {
	t.Helper()
	testenv.Require(t)
	build(t)
	// Its path goes into those of Kudu's files and sockets, so keep it short.
	tmp, err := os.MkdirTemp("", "k2k-") //nolint:usetesting // t.TempDir's paths are long
	if err != nil {
		t.Fatal(err)
	}
	if binary == "" {
		binary = programs.kudu2kafka
	}
	s := &showing{t: t, tmp: tmp, log: filepath.Join(t.TempDir(), "log")}
	s.Process, err = testenv.StartProcess(testenv.Command{
		Name: "demo", Path: programs.demo, Args: []string{"-binary", binary, "-configs", "../../configs"},
		Env: append([]string{"TMPDIR=" + tmp, "DEMO_SECONDS=", "DEMO_RATE=", "MODE="}, env...), Log: s.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
		testenv.ShowLog(t, "the demo", s.log, 60)
		_ = os.RemoveAll(tmp)
	})
	return s
}

func (s *showing) await(line *regexp.Regexp) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	text, err := s.WaitLine(ctx, line.MatchString)
	if err != nil {
		s.t.Fatalf("waiting for %v: %v", line, err)
	}
	return text
}

// end waits for the end and checks that nothing is left.
func (s *showing) end(wantCode int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	code, err := s.Wait(ctx)
	if err != nil || code != wantCode {
		s.t.Errorf("the demo ended with exit code %d (%v), want %d", code, err, wantCode)
	}
	folders, err := filepath.Glob(filepath.Join(s.tmp, "kudu2kafka-testenv-*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range folders {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			s.t.Errorf("data are left in %s", path)
		}
	}
	if left := processesOf(s.t, s.tmp); len(left) > 0 {
		s.t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
	}
}

// processesOf returns the command lines of the processes that were started
// with the folder for temporary files.
func processesOf(t *testing.T, tmp string) []string {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range environments {
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(env, []byte("TMPDIR="+tmp+"\x00")) {
			continue // gone meanwhile, or another's
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err == nil {
			found = append(found, fmt.Sprintf("%s: %q", path, command))
		}
	}
	return found
}

var (
	rowsLine  = regexp.MustCompile(`rows +[1-9][0-9]* in the topic, [1-9][0-9]* rows/s`)
	hwmLine   = regexp.MustCompile(`^  hwm      [0-9a-f]{8} \{"event_time":"2.*","id":[0-9]+\}$`)
	keyLine   = regexp.MustCompile(`^  key      \{"event_time":"2.*","id":[0-9]+\}$`)
	valueLine = regexp.MustCompile(`^  value    \{"event_time":"2.*","id":[0-9]+,"user":"user-[0-9]+","amount":[0-9.]+\}$`)
	stateLine = regexp.MustCompile(`connector orders is RUNNING: 4 of 4 tasks on 1 worker`)
	onceLine  = regexp.MustCompile(`^the table has ([1-9][0-9]*) rows, the topic ([1-9][0-9]*): each once$`)
)

func TestDemoShowsRowsAndEndsByItself(t *testing.T) {
	s := startDemo(t, "", "DEMO_SECONDS=5", "DEMO_RATE=500")
	for _, line := range []*regexp.Regexp{rowsLine, hwmLine, keyLine, valueLine, stateLine} {
		s.await(line)
	}
	counts := onceLine.FindStringSubmatch(s.await(onceLine))
	if counts[1] != counts[2] {
		t.Errorf("the table has %s rows, the topic %s", counts[1], counts[2])
	}
	s.end(0)
}

func TestDemoOfASweepEmptiesTheTable(t *testing.T) {
	s := startDemo(t, "", "MODE=sweep", "DEMO_SECONDS=6", "DEMO_RATE=300")
	for _, line := range []*regexp.Regexp{
		rowsLine,
		regexp.MustCompile(`connector retry-queue is RUNNING: 4 of 4 tasks on 1 worker`),
		regexp.MustCompile(`^  table    [0-9]+ jobs wait in it, [1-9][0-9]* are swept; journal [0-9]+$`),
		regexp.MustCompile(`^  job      \{"due":"2.*","id":[0-9]+,"priority":[0-9],"payload":"try job [0-9]+ again"\}$`),
	} {
		s.await(line)
	}
	once := regexp.MustCompile(`^([1-9][0-9]*) jobs were written, the topic has ([1-9][0-9]*), each once; the table is empty$`)
	if counts := once.FindStringSubmatch(s.await(once)); counts[1] != counts[2] {
		t.Errorf("%s jobs were written, the topic has %s", counts[1], counts[2])
	}
	s.end(0)
}

func TestCtrlCStopsTheDemoInOrder(t *testing.T) {
	s := startDemo(t, "")
	s.await(rowsLine)
	if len(processesOf(t, s.tmp)) < 5 {
		t.Error("the search for what is left doesn't find what runs")
	}
	// As a terminal sends it: to the whole process group.
	if err := syscall.Kill(-s.Pid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.await(onceLine)
	s.end(0)
}

func TestSignalWhileServersStartEndsTheDemo(t *testing.T) {
	s := startDemo(t, "")
	s.await(regexp.MustCompile(`^starting Kudu`))
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.end(0)
}

func TestDemoFailsWithItsConnector(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kudu2kafka")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho this cannot work\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := startDemo(t, program)
	s.await(regexp.MustCompile(`this cannot work`))
	s.end(1)
}
