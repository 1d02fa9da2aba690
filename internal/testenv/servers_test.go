package testenv

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// gone fails the test unless the processes and the folder are no more.
func gone(t *testing.T, dir string, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder %s is still there: %v", dir, err)
	}
}

func TestKuduServersComeBackAfterKillPauseAndStop(t *testing.T) {
	Require(t)
	ctx := t.Context()
	k, err := StartKudu(ctx, KuduConfig{TabletServers: 2, TabletServerFlags: []string{"--scanner_ttl_ms=5000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()

	uuids, err := k.ListTabletServers(ctx)
	if err != nil || len(uuids) != 2 {
		t.Fatalf("listing tablet servers: %q, %v", uuids, err)
	}
	if out, err := k.CLI(ctx, "perf", "loadgen", k.MasterArg(), "--keep_auto_table=true", "--num_threads=1",
		"--num_rows_per_thread=1000", "--table_num_replicas=1"); err != nil {
		t.Fatalf("loading rows: %v\n%s", err, out)
	}
	for _, s := range k.Servers() {
		pid := s.Pid()
		if err := s.Kill(); err != nil {
			t.Fatalf("killing %s: %v", s.Name(), err)
		}
		if s.Process().Running() || s.Process().ExitCode() != -1 {
			t.Errorf("%s runs after Kill, or has an exit code: %d", s.Name(), s.Process().ExitCode())
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if s.Pid() == pid {
			t.Errorf("%s has the same process id %d after its restart", s.Name(), pid)
		}
		if err := s.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		if is, err := stopped(s.Pid()); err != nil || !is {
			t.Errorf("%s is not stopped after Pause: %v", s.Name(), err)
		}
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	tserver := k.TabletServers()[0]
	if err := tserver.Stop(ctx); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	if err := tserver.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := k.WaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}

	// One that is paused must be closed as well.
	if err := k.TabletServers()[1].Pause(ctx); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, s := range k.Servers() {
		pids = append(pids, s.Pid())
	}
	for range 2 {
		if err := k.Close(); err != nil {
			t.Fatalf("closing: %v", err)
		}
	}
	gone(t, k.Dir(), pids...)
}

func TestKuduStartsWithSeveralMasters(t *testing.T) {
	k := NewKudu(t, KuduConfig{Masters: 3})
	out, err := k.CLI(t.Context(), "master", "list", k.MasterArg(), "-columns=rpc-addresses", "-format=csv")
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range k.Masters() {
		if !strings.Contains(string(out), addr) {
			t.Errorf("master %s is not listed in:\n%s", addr, out)
		}
	}
}

func TestKuduStartErrorShowsTheServersLog(t *testing.T) {
	Require(t)
	_, err := StartKudu(t.Context(), KuduConfig{TabletServerFlags: []string{"--no_such_flag"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_flag") || !errors.Is(err, ErrExited) {
		t.Errorf("error does not show the log: %v", err)
	}
}

func TestKafkaComesBackAfterKillPauseAndStop(t *testing.T) {
	Require(t)
	ctx := t.Context()
	k, err := StartKafka(ctx, KafkaConfig{Properties: map[string]string{"message.max.bytes": "2000000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := pingKafka(ctx, k.BootstrapServers()); err == nil {
		t.Error("the broker answers after Kill")
	}
	if err := k.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := k.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	if err := k.Resume(); err != nil {
		t.Fatal(err)
	}
	// After a pause that took long it has to come back into its cluster.
	if err := k.waitReady(ctx); err != nil {
		t.Errorf("the broker does not answer after Resume: %v", err)
	}
	if err := k.Stop(ctx); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	if err := k.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := k.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := k.Close(); err != nil {
			t.Fatalf("closing: %v", err)
		}
	}
	gone(t, k.Dir(), k.Pid())
}

func TestSharedServersAreStartedOnce(t *testing.T) {
	if SharedKudu(t) != SharedKudu(t) {
		t.Error("two shared Kudu clusters")
	}
	if SharedKafka(t) != SharedKafka(t) {
		t.Error("two shared brokers")
	}
}

func TestKerberizedKuduAdmitsTicketHoldersOnly(t *testing.T) {
	kdc := NewKDC(t)
	k := NewKudu(t, KuduConfig{Kerberos: kdc})
	if err := k.WaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.kerberos[1] = "KRB5CCNAME=FILE:" + kdc.Dir() + "/none"
	if _, err := k.CLI(t.Context(), "tserver", "list", k.MasterArg()); err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("served without a ticket: %v", err)
	}
	if err := kdc.AddUser(t.Context(), "alice", "secret", 0); err != nil {
		t.Fatal(err)
	}
	if err := kdc.AddUser(t.Context(), "alice", "secret", 0); err == nil {
		t.Error("a principal was made twice")
	}
	if _, err := kdc.Kinit(t.Context(), "alice", "wrong"); err == nil {
		t.Error("a ticket for a wrong password")
	}
	if _, err := kdc.Kinit(t.Context(), "alice", "secret"); err != nil {
		t.Error(err)
	}
}
