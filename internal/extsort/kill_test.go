package extsort

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const spillForever = "EXTSORT_SPILL_INTO"

// spillUntilKilled is what a child process does: it says when a file has been
// written to, and goes on.
func spillUntilKilled(dir string) {
	s := NewSorter(NewBudget(64<<10), dir)
	for i := 0; ; i++ {
		if err := s.Add(context.Background(), fmt.Append(nil, i), make([]byte, 100)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if s.Spilled() > 0 && i%1000 == 0 {
			fmt.Println("spilled")
		}
		if s.Spilled() > 64<<20 {
			select {} // enough for a test's disk
		}
	}
}

func TestAKilledProcessLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), spillForever+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "spilled\n" {
		t.Errorf("the child said %q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSweepRemovesTheFilesOfSortsAndNoOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"kudu2kafka-sort-123.tmp", "kudu2kafka-sort-.tmp", "kudu2kafka-sort", "other.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAFileThatKeepsItsNameIsRemovedAtTheEnd(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := (named{f}).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Name()); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
