package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := StartProcess(Command{Path: "sh", Args: []string{"-c", script}, Env: []string{"WORD=hello"}, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	return p
}

func containing(part string) func(string) bool {
	return func(line string) bool { return strings.Contains(line, part) }
}

func TestProcessLinesCanBeWaitedFor(t *testing.T) {
	p := shell(t, `echo $WORD one; echo two >&2; read line; echo never`)
	for _, want := range []string{"two", "hello one"} { // in any order: from the start each time
		if line, err := p.WaitLine(t.Context(), containing(want)); err != nil || line != want {
			t.Errorf("waiting for %q: %q, %v", want, line, err)
		}
	}
	// The input is empty, so it goes on.
	_, next, err := p.WaitLineFrom(t.Context(), 0, containing("never"))
	if err != nil || next != p.LogSize() {
		t.Errorf("waiting for the last line: at %d of %d, %v", next, p.LogSize(), err)
	}
	if code, err := p.Wait(t.Context()); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if _, err := p.WaitLine(t.Context(), containing("nothing")); !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "hello one") {
		t.Errorf("waiting for a line of an ended process: %v", err)
	}
}

func TestProcessEndsWithItsExitCode(t *testing.T) {
	p := shell(t, `trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done`)
	if _, err := p.WaitLine(t.Context(), containing("ready")); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Terminate(t.Context()); code != 7 || err != nil {
		t.Errorf("terminating a paused process: exit code %d, %v", code, err)
	}
	if err := errors.Join(p.Kill(), p.Resume()); err != nil {
		t.Errorf("signals to an ended process: %v", err)
	}
	if err := p.Pause(t.Context()); !errors.Is(err, ErrExited) {
		t.Errorf("pausing an ended process: %v", err)
	}
}

func TestProcessThatIgnoresSIGTERMIsKilled(t *testing.T) {
	p := shell(t, `trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	if _, err := p.WaitLine(t.Context(), containing("ready")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if code, err := p.Terminate(ctx); code != -1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("terminating: exit code %d, %v", code, err)
	}
	if p.Running() {
		t.Error("it still runs")
	}
}

func TestProcessThatCannotStartIsAnError(t *testing.T) {
	_, err := StartProcess(Command{Path: "/nonexistent/program", Log: filepath.Join(t.TempDir(), "log")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("starting a program that is not there: %v", err)
	}
}

// parentVariable makes this test binary a parent that starts a child, pauses
// it, prints both ids and waits to be killed.
const parentVariable = "K2K_TEST_PARENT_LOG"

func runParent(log string) {
	p, err := StartProcess(Command{Path: "sleep", Args: []string{"300"}, Log: log})
	if err == nil {
		err = p.Pause(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	data, err := newDataDir(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.Pid(), data.path)
	<-p.Done()
}

func TestPausedChildAndDataDoNotOutliveAKilledParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+filepath.Join(t.TempDir(), "log"))
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("reading the child's id: %v", err)
	}
	fields := strings.Fields(line)
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// An orphan that was killed may stay for a while as a zombie, until init
	// reaps it.
	if err := poll(ctx, time.Millisecond, func(context.Context) error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("the child lives on: %s", stat)
		}
		return nil
	}); err != nil {
		syscall.Kill(pid, syscall.SIGKILL)
		t.Error(err)
	}

	if _, err := os.Stat(fields[1]); err != nil {
		t.Fatalf("the killed parent's data: %v", err)
	}
	data, err := newDataDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer data.remove()
	gone(t, fields[1])
}
