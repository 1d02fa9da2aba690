package extsort

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const spillForever = "EXTSORT_SPILL_INTO"

// spillUntilKilled is what a child process does: it says when files have been
// written to, and holds them. It makes no more: a file has a name for the moment in
// which it is made, and who is killed just then leaves it to Sweep.
func spillUntilKilled(dir string) {
	s := NewSorter(NewBudget(64<<10), dir)
	for i := 0; ; i++ {
		if err := s.Add(context.Background(), fmt.Append(nil, i), make([]byte, 100)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if s.Spilled() > 1<<20 {
			fmt.Println("spilled")
			_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or nobody is there to do so
			os.Exit(1)
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
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
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
