package kudu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// envInt is a number from the environment, by which the tests here grow:
// K2K_FAILOVER_ROWS=2000000 K2K_FAILOVER_ROUNDS=20 go test -run Failing ./kudu/
func envInt(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func serverAt(t *testing.T, servers []*testenv.Server, addr string) *testenv.Server {
	t.Helper()
	for _, s := range servers {
		if s.Addr() == addr {
			return s
		}
	}
	t.Fatalf("no server listens at %s", addr)
	return nil
}

// leadingMaster asks until a master leads.
func leadingMaster(t *testing.T, cluster *testenv.Kudu) *testenv.Server {
	t.Helper()
	for {
		out, err := cluster.CLI(t.Context(), "master", "list", cluster.MasterArg(), "-columns=rpc-addresses,role", "-format=csv")
		for _, line := range strings.Fields(string(out)) {
			if addr, isLeader := strings.CutSuffix(line, ",LEADER"); isLeader && err == nil {
				return serverAt(t, cluster.MasterServers(), addr)
			}
		}
		if t.Context().Err() != nil {
			t.Fatalf("no master leads: %v\n%s", err, out)
		}
	}
}

// fill writes rows 0..n-1 of simpleTable, and gives a time before them.
func fill(t *testing.T, table *kudu.Table, n int) kudu.Timestamp {
	t.Helper()
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start, err := table.Barrier(t.Context(), tablets[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	s := table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	row := table.NewRow()
	for i := range n {
		row.Reset()
		row.SetInt(0, int64(i))
		row.SetString(1, "a string to give the rows some size")
		if err := s.Apply(t.Context(), kudu.OpInsert, row); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := s.Flush(t.Context()); err != nil || done.Rows != n {
		t.Fatalf("%d rows written: %v", done.Rows, err)
	}
	return start
}

func TestFailingServersDisturbNeitherScansNorWrites(t *testing.T) {
	cluster := testenv.NewKudu(t, testenv.KuduConfig{Masters: 3, TabletServers: 3, TabletServerFlags: []string{
		"--scanner_ttl_ms=1500", "--scanner_gc_check_interval_us=200000",
	}})
	c, err := kudu.New(kudu.Config{Masters: cluster.Masters(), CallTimeout: 3 * time.Second, OperationTimeout: time.Minute, KeepAlive: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	spec := simpleTable("failover")
	spec.Replicas = 3
	spec.Hash[0].Buckets = 2
	table := createTable(t, c, spec)
	rows := envInt("K2K_FAILOVER_ROWS", 200_000)
	start := fill(t, table, rows)
	lowest, err := table.Schema().EncodePrimaryKey(0)
	if err != nil {
		t.Fatal(err)
	}
	// In turns: an ordered scan with a lower bound, and a diff of everything.
	kinds := []kudu.ScanOptions{{From: lowest}, {Since: start}, {RowWise: true, Predicates: []kudu.Predicate{kudu.IsNotNull("v")}}}
	seed := uint64(envInt("K2K_SEED", int(time.Now().UnixNano()%1e6)))
	t.Logf("K2K_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	for round := range envInt("K2K_FAILOVER_ROUNDS", 3) {
		t.Run(fmt.Sprintf("scan %d, tablet server and master are killed", round), func(t *testing.T) {
			if err := cluster.WaitHealthy(t.Context()); err != nil {
				t.Fatal(err)
			}
			var killed []*testenv.Server
			kill := func(s *testenv.Server) {
				if err := s.Kill(); err != nil {
					t.Fatal(err)
				}
				killed = append(killed, s)
			}
			tablets, err := table.Tablets(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			total := 0
			for n, tablet := range tablets {
				victim := func() { kill(leadingMaster(t, cluster)) }
				if n == 0 {
					victim = func() { kill(serverAt(t, cluster.TabletServers(), tablet.Leader().Addr)) }
				}
				total += scanWithFault(t, table, tablet.ID, kinds[round%len(kinds)], rnd.IntN(rows/4), victim)
			}
			if total != rows {
				t.Errorf("%d rows, want %d", total, rows)
			}
			for _, s := range killed {
				if err := s.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}

	t.Run("writes while a tablet server is killed take effect once", func(t *testing.T) {
		if err := cluster.WaitHealthy(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := table.NewSession(kudu.SessionOptions{BatchRows: 50})
		defer s.Close()
		row := table.NewRow()
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		victim := serverAt(t, cluster.TabletServers(), tablets[0].Leader().Addr)
		const more = 20_000
		for i := range more {
			if i == more/3 {
				if err := victim.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			row.Reset()
			row.SetInt(0, int64(rows+i))
			if err := s.Apply(t.Context(), kudu.OpInsert, row); err != nil {
				t.Fatal(err)
			}
		}
		// A row that was inserted twice would be refused the second time.
		done, err := s.Flush(t.Context())
		if err != nil || done.Rows != more {
			t.Errorf("%d rows written: %v", done.Rows, err)
		}
		if err := victim.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("an unordered scan says that it can't go on", func(t *testing.T) {
		if err := cluster.WaitHealthy(t.Context()); err != nil {
			t.Fatal(err)
		}
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		victim := serverAt(t, cluster.TabletServers(), tablets[0].Leader().Addr)
		s, err := table.Scan(tablets[0].ID, kudu.ScanOptions{BatchBytes: 1000})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := victim.Kill(); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = s.Next(t.Context())
		}
		var e *kudu.Error
		if !errors.Is(err, kudu.ErrNotResumable) || !errors.As(err, &e) || e.Tablet != tablets[0].ID || kudu.Retriable(err) {
			t.Errorf("got %v", err)
		}
		// A new one finds another leader. It has one answer: there is no lease to lose.
		if n := countRows(t, table, tablets[0].ID, kudu.ScanOptions{Limit: 100}); n != 100 {
			t.Errorf("%d rows, want 100", n)
		}
		if err := victim.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a scan goes on while its tablet server stands still", func(t *testing.T) {
		if err := cluster.WaitHealthy(t.Context()); err != nil {
			t.Fatal(err)
		}
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		victim := serverAt(t, cluster.TabletServers(), tablets[0].Leader().Addr)
		defer victim.Resume()
		scanWithFault(t, table, tablets[0].ID, kudu.ScanOptions{Replica: kudu.LeaderOnly}, 1000, func() {
			if err := victim.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	})

	t.Run("a write to a tablet without a majority ends, its outcome unknown", func(t *testing.T) {
		if err := cluster.WaitHealthy(t.Context()); err != nil {
			t.Fatal(err)
		}
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, leader, err := table.BarrierAt(t.Context(), tablets[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range cluster.TabletServers() {
			if s.Addr() != leader {
				if err := s.Pause(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer s.Resume()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		if _, err := table.Barrier(ctx, tablets[0].ID); !errors.Is(err, kudu.ErrOutcomeUnknown) || kudu.Retriable(err) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("scans go on while the leader steps down and while the tablet moves", func(t *testing.T) {
		if err := cluster.WaitHealthy(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The step-down before may still be under way, or the election after it.
		cli := func(args ...string) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			for {
				out, err := cluster.CLI(ctx, args...)
				if err == nil {
					return
				}
				passing := strings.Contains(err.Error(), "already in progress") || strings.Contains(err.Error(), "no leader") ||
					strings.Contains(err.Error(), "not currently leader")
				if !passing || ctx.Err() != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		}
		for _, opts := range kinds {
			tablets, err := table.Tablets(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			scanWithFault(t, table, tablets[0].ID, opts, rnd.IntN(rows/4), func() {
				cli("tablet", "leader_step_down", cluster.MasterArg(), tablets[0].ID)
			})
		}
		// With one replica, the one that is scanned is the one that goes.
		lone := simpleTable("moving")
		lone.Hash = nil
		moving := createTable(t, c, lone)
		const some = 50_000
		kinds := slices.Clone(kinds)
		kinds[1].Since = fill(t, moving, some)
		for _, opts := range kinds {
			tablets, err := moving.Tablets(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tablet := tablets[0]
			from := serverID(t, cluster, tablet.Leader().Addr)
			n := scanWithFault(t, moving, tablet.ID, opts, rnd.IntN(some/2), func() {
				for _, s := range cluster.TabletServers() {
					if s.Addr() != tablet.Leader().Addr {
						cli("tablet", "change_config", "move_replica", cluster.MasterArg(), tablet.ID, from, serverID(t, cluster, s.Addr()))
						waitGone(t, cluster, moving.Name(), tablet.Leader().Addr)
						return
					}
				}
			})
			if n != some {
				t.Errorf("%d rows, want %d", n, some)
			}
			if moving, err = c.OpenTable(t.Context(), moving.Name()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// waitGone waits until the masters list no replica of a table at an address.
func waitGone(t *testing.T, cluster *testenv.Kudu, table, addr string) {
	t.Helper()
	for {
		out, err := cluster.CLI(t.Context(), "table", "list", cluster.MasterArg(), "-list_tablets", "-tables="+table)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !strings.Contains(string(out), addr) {
			return
		}
	}
}

// serverID is the uuid of the tablet server at an address.
func serverID(t *testing.T, cluster *testenv.Kudu, addr string) string {
	t.Helper()
	out, err := cluster.CLI(t.Context(), "tserver", "list", cluster.MasterArg(), "-columns=uuid,rpc-addresses", "-format=csv")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range strings.Fields(string(out)) {
		if id, found := strings.CutSuffix(line, ","+addr); found {
			return id
		}
	}
	t.Fatalf("no tablet server at %s:\n%s", addr, out)
	return ""
}

// scanWithFault reads a tablet in order, lets the fault happen behind so many
// rows, and checks that each row comes once.
func scanWithFault(t *testing.T, table *kudu.Table, tablet string, opts kudu.ScanOptions, behind int, fault func()) int {
	t.Helper()
	opts.Ordered, opts.BatchBytes, opts.Columns = true, 20_000, []string{"v", "id"}
	s, err := table.Scan(tablet, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, last, happened := 0, int64(-1), false
	for {
		b, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("behind %d rows: %v", rows, err)
		}
		for i := range b.NumRows() {
			id := b.Column(1).Int64(i)
			if id <= last {
				t.Fatalf("row %d comes behind %d", id, last)
			}
			last = id
		}
		rows += b.NumRows()
		if !happened && rows >= behind {
			fault()
			happened = true
		}
	}
	if !happened {
		t.Errorf("the scan ended before the fault, behind %d rows", rows)
	}
	return rows
}
