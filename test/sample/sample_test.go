package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient is a client of a cluster with so many tablet servers.
func newClient(t *testing.T, servers int) *kudu.Client {
	t.Helper()
	cluster, err := kudufake.New(kudufake.Options{Masters: 1, TabletServers: servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kudu.New(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func parse(t *testing.T, command string, args ...string) settings {
	t.Helper()
	s, err := readSettings(command, args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTableIsMadeOnceWithAsManyReplicasAsThereAreServersFor(t *testing.T) {
	for servers, want := range map[int]int{1: 1, 3: 3} {
		client := newClient(t, servers)
		s := parse(t, "table", "-tablets", "5")
		var out strings.Builder
		for range 2 {
			if err := makeTable(t.Context(), client, s, &out); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Count(out.String(), "is made") != 1 || !strings.HasSuffix(out.String(), "table orders is there\n") {
			t.Errorf("said %q", out.String())
		}
		table, err := client.OpenTable(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		tablets, err := table.Tablets(t.Context())
		if err != nil || len(tablets) != 5 {
			t.Fatalf("%d tablets, %v", len(tablets), err)
		}
		if table.Replicas() != want {
			t.Errorf("on %d servers the table has %d replicas, want %d", servers, table.Replicas(), want)
		}
	}
}

func TestWriterWaitsForTheTableAndThenWritesAsManyRowsAsAsked(t *testing.T) {
	client := newClient(t, 1)
	s := parse(t, "write", "-rows", "1234", "-rate", "20000")
	out := &signalling{found: make(chan struct{}), what: "waiting to write"}
	ended := make(chan error, 1)
	go func() { ended <- write(t.Context(), client, s, out) }()
	<-out.found
	if err := makeTable(t.Context(), client, parse(t, "table"), io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	ids, last := map[int64]bool{}, int64(0)
	table, err := client.OpenTable(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tablet := range tablets {
		scan, err := table.Scan(tablet.ID, kudu.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			batch, err := scan.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for row := range batch.NumRows() {
				ids[batch.Column(1).Int64(row)] = true
				last = max(last, batch.Column(0).Int64(row))
			}
		}
		_ = scan.Close()
	}
	if len(ids) != 1234 || last == 0 {
		t.Errorf("%d ids are in the table, the last of time %d", len(ids), last)
	}
}

func TestWriterStopsInOrder(t *testing.T) {
	client := newClient(t, 1)
	if err := makeTable(t.Context(), client, parse(t, "table"), io.Discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &signalling{found: make(chan struct{}), what: "writing"}
	ended := make(chan error, 1)
	go func() { ended <- write(ctx, client, parse(t, "write"), out) }()
	<-out.found
	cancel()
	if err := <-ended; err != nil || !strings.Contains(out.text.String(), "stopped: ") {
		t.Errorf("stopped with %v after saying %q", err, out.text.String())
	}
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := parse(t, "write", "-patience", "2500ms")
		began := time.Now()
		err := write(t.Context(), newClient(t, 1), s, io.Discard)
		if took := time.Since(began); !errors.Is(err, kudu.ErrTableNotFound) || took != s.patience {
			t.Errorf("ended after %v with %v", took, err)
		}
	})
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, line := range []string{
		"write -rate 0", "write -rate 1000001", "write -rows -1", "write -tablets 4", "write x",
		"table -tablets 1", "table -replicas 2", "table -replicas three", "table -rate 5",
	} {
		words := strings.Fields(line)
		if _, err := readSettings(words[0], words[1:], io.Discard); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
	s := parse(t, "table", "-masters", "a:1,b:2", "-replicas", "5,3", "-patience", "3s")
	if len(s.masters) != 2 || len(s.replicas) != 2 || s.replicas[0] != 5 || s.patience != 3*time.Second {
		t.Errorf("read %+v", s)
	}
}

// signalling tells when a text has been written.
type signalling struct {
	text  strings.Builder
	what  string
	found chan struct{}
	told  bool
}

func (s *signalling) Write(p []byte) (int, error) {
	s.text.Write(p)
	if !s.told && strings.Contains(s.text.String(), s.what) {
		s.told = true
		close(s.found)
	}
	return len(p), nil
}
