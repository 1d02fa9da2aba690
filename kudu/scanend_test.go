package kudu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// A server that ends closes its connections in order: what reads from them sees io.EOF,
// as does who has read a scan to its end.
func TestScanThatBreaksHasNotComeToItsEnd(t *testing.T) {
	const rows = 1000
	for name, fault := range map[string]kudufake.Decision{"before": {CutBefore: true}, "after": {CutAfter: true}} {
		for _, from := range []int{0, 1} { // the call that opens the scan, and the next one
			for _, ordered := range []bool{false, true} {
				if !ordered && from == 0 {
					continue // it is opened anew
				}
				t.Run(fmt.Sprintf("%s call %d, ordered %t", name, from, ordered), func(t *testing.T) {
					cluster, table := oneTablet(t, rows, nil)
					tablets, err := table.Tablets(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					opts := kudu.ScanOptions{Ordered: ordered, BatchBytes: 1 << 10}
					if ordered {
						opts.Server = cluster.TabletServer(0).Addr() // alone, so that there is nowhere to go on
					}
					cluster.Control("Scan", func(c *kudufake.Call) kudufake.Decision {
						if c.N >= from {
							return fault
						}
						return kudufake.Decision{}
					})
					got, err := readToEnd(t, table, tablets[0].ID, opts)
					if errors.Is(err, io.EOF) || got == rows || !ordered && !errors.Is(err, kudu.ErrNotResumable) {
						t.Errorf("after %d of %d rows: %v", got, rows, err)
					}
				})
			}
		}
	}
}

// Proxies and the like of a caller's may hang up too.
func TestScanWhoseDialerMeetsAnEndHasNotComeToItsEnd(t *testing.T) {
	var broken atomic.Bool
	_, table := oneTablet(t, 10, func(dial dialer) dialer {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			if broken.Load() {
				return nil, fmt.Errorf("asking the proxy: %w", io.EOF)
			}
			return dial(ctx, network, addr)
		}
	})
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if got, err := readToEnd(t, table, tablets[0].ID, kudu.ScanOptions{Ordered: true}); errors.Is(err, io.EOF) || got != 0 {
		t.Errorf("after %d rows: %v", got, err)
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// oneTablet makes a table of one tablet, and opens it with a client that gives up soon.
func oneTablet(t *testing.T, rows int, through func(dialer) dialer) (*kudufake.Cluster, *kudu.Table) {
	t.Helper()
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	made, err := cluster.CreateTable(kudufake.TableSpec{
		Name: "orders", Replicas: 1, Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range rows {
		if _, err := made.Insert(kudufake.Row{"id": int64(id)}); err != nil {
			t.Fatal(err)
		}
	}
	cfg := cluster.Config()
	cfg.OperationTimeout = time.Second
	if through != nil {
		cfg.Dial = through(cluster.Dial)
	}
	client, err := kudu.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	table, err := client.OpenTable(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	return cluster, table
}

// readToEnd counts the rows up to the scan's end.
func readToEnd(t *testing.T, table *kudu.Table, tablet string, opts kudu.ScanOptions) (rows int, err error) {
	t.Helper()
	sc, err := table.Scan(tablet, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	for {
		batch, err := sc.Next(t.Context())
		if err != nil {
			return rows, err
		}
		rows += batch.NumRows()
	}
}
