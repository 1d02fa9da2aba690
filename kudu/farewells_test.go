package kudu_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// openScans opens a scan of each of so many tablets, at one server, and reads the first
// of several batches.
func openScans(t *testing.T, tablets int) (*kudufake.Cluster, *kudu.Client, []*kudu.Scanner) {
	t.Helper()
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	made, err := cluster.CreateTable(kudufake.TableSpec{
		Name: "orders", Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: tablets}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows []kudufake.Row
	for i := range 1000 * tablets {
		rows = append(rows, kudufake.Row{"id": int64(i), "text": strings.Repeat("x", 100)})
	}
	if _, err := made.Insert(rows...); err != nil {
		t.Fatal(err)
	}
	client, err := kudu.New(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	table, err := client.OpenTable(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	all, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var scans []*kudu.Scanner
	for _, tablet := range all {
		sc, err := table.Scan(tablet.ID, kudu.ScanOptions{Ordered: true, BatchBytes: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sc.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		scans = append(scans, sc)
	}
	return cluster, client, scans
}

func TestClosingScansOfASilentServerTakesNoLongerForMany(t *testing.T) {
	const tablets = 8
	cluster, client, scans := openScans(t, tablets)
	server := cluster.TabletServer(0)
	server.Pause()
	defer server.Resume()
	began := time.Now()
	for _, sc := range scans {
		_ = sc.Close()
	}
	_ = client.Close()
	// Each server has a second to answer.
	if took := time.Since(began); took > tablets/2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestClientThatClosesHasFreedTheScanners(t *testing.T) {
	cluster, client, scans := openScans(t, 8)
	server := cluster.TabletServer(0)
	if open := server.Scanners(); open != len(scans) {
		t.Fatalf("%d scans have %d scanners", len(scans), open)
	}
	for _, sc := range scans {
		_ = sc.Close()
	}
	_ = client.Close()
	if open := server.Scanners(); open != 0 {
		t.Errorf("%d scanners are left on the server", open)
	}
}
