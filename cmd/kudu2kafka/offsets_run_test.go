package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// program runs the program to its end.
func program(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// The positions of one connector of a worker's folder are changed, and those of the
// other are as they were.
func TestPositionsOfOneConnectorOfAFolderAreReset(t *testing.T) {
	kafka := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(kafka.Close)
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	folder := t.TempDir()
	worker, connectors := filepath.Join(folder, "worker.yaml"), filepath.Join(folder, "connectors")
	if err := os.Mkdir(connectors, 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{worker: fmt.Sprintf("bootstrap.servers: %s\ngroup.id: g\nlisteners: http://127.0.0.1:0\noffsets.storage.replication.factor: 1\nconfig.storage.replication.factor: 1\nstatus.storage.replication.factor: 1\n",
		strings.Join(kafka.ListenAddrs(), ","))}
	for _, name := range []string{"orders", "users"} {
		table, err := cluster.CreateTable(kudufake.TableSpec{Name: name, Replicas: 1, Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := table.Insert(kudufake.Row{"id": int64(7)}); err != nil {
			t.Fatal(err)
		}
		files[filepath.Join(connectors, name+".yaml")] = fmt.Sprintf("name: %s\nkudu.masters: %s\nkudu.table: %s\ntopic: rows-%s\ntopic.creation.default.replication.factor: 1\npoll.interval.ms: 20\n",
			name, strings.Join(cluster.Masters(), ","), name, name)
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	running := exec.Command(os.Args[0], "run", worker, connectors)
	var log bytes.Buffer
	running.Env, running.Stderr = append(os.Environ(), asProgram+"=1"), &log
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	list := func(flags ...string) string {
		out, said, code := program(t, append([]string{"offsets", "list", worker, connectors}, flags...)...)
		if code != exitOK {
			t.Fatalf("offsets list ends with %d: %s", code, said)
		}
		return out
	}
	published := testenv.Eventually(t.Context(), 2*time.Minute, func() bool { return strings.Count(list(), `{"id":7}`) == 2 })
	if err := errors.Join(running.Process.Signal(syscall.SIGTERM), running.Wait()); err != nil || !published {
		t.Fatalf("published: %v, ended with %v:\n%s", published, err, log.String())
	}
	if text := list(); !strings.HasPrefix(text, "connector orders\n") || !strings.Contains(text, "connector users\n") {
		t.Errorf("listed\n%s", text)
	}
	exported, said, code := program(t, "offsets", "export", worker, connectors, "--connector", "users")
	if code != exitOK || strings.Count(exported, "\n") != 1 || !strings.Contains(exported, `"table":"users"`) {
		t.Errorf("exporting ends with %d: %s%s", code, exported, said)
	}
	if _, said, code := program(t, "offsets", "reset", worker, connectors, "--execute"); code != exitUsage || !strings.Contains(said, "name one by --connector") {
		t.Errorf("a reset of no connector ends with %d: %s", code, said)
	}
	// A worker that couldn't take its leave counts for its session's time.
	var out string
	testenv.Await(t, 2*time.Minute, "nobody runs the connector", func() bool {
		out, said, code = program(t, "offsets", "reset", worker, connectors, "--connector", "users", "--execute")
		return !strings.Contains(said, "is still run by")
	})
	if code != exitOK || !strings.Contains(out, "of table users") || strings.Contains(out, "orders") {
		t.Errorf("the reset ends with %d: %s%s", code, out, said)
	}
	if text := list("--connector", "users"); text != "no position is stored\n" {
		t.Errorf("after the reset there are\n%s", text)
	}
	if text := list("--connector", "orders"); strings.Count(text, `{"id":7}`) != 1 {
		t.Errorf("of the other connector there are\n%s", text)
	}
	// And back again.
	file := filepath.Join(folder, "users.offsets")
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, said, code := program(t, "offsets", "import", worker, connectors, file, "--connector", "users", "--execute"); code != exitOK || !strings.HasSuffix(out, "1 changed\n") {
		t.Errorf("the import ends with %d: %s%s", code, out, said)
	}
	if text := list("--connector", "users"); strings.Count(text, `{"id":7}`) != 1 {
		t.Errorf("after the import there are\n%s", text)
	}
}
