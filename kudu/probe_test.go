package kudu_test

import (
	"slices"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func probed(t *testing.T, opts kudufake.Options) (*kudufake.Cluster, *kudu.Client) {
	t.Helper()
	cluster, err := kudufake.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kudu.New(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return cluster, client
}

func TestEachMasterIsAskedByItself(t *testing.T) {
	cluster, client := probed(t, kudufake.Options{Masters: 3, NoElections: true})
	cluster.LeadMaster(1)
	cluster.Master(2).Kill()
	state := client.Masters(t.Context())
	if len(state.Masters) != 3 || len(state.Cluster) != 3 || state.ClusterID == "" {
		t.Fatalf("the masters are %+v", state)
	}
	for i, m := range state.Masters {
		if m.Addr != cluster.Master(i).Addr() || m.Leads != (i == 1) || (m.Err != nil) != (i == 2) {
			t.Errorf("master %d is %+v", i, m)
		}
	}
}

func TestPingTellsWhetherATabletServerAnswers(t *testing.T) {
	cluster, client := probed(t, kudufake.Options{TabletServers: 2})
	cluster.TabletServer(1).Kill()
	if err := client.PingServer(t.Context(), cluster.TabletServer(0).Addr()); err != nil {
		t.Error(err)
	}
	if err := client.PingServer(t.Context(), cluster.TabletServer(1).Addr()); err == nil {
		t.Error("a server that is down answers")
	}
}

func TestPrivilegesAreThoseOfTheToken(t *testing.T) {
	cluster, client := probed(t, kudufake.Options{})
	_, err := cluster.CreateTable(kudufake.TableSpec{Name: "t", Columns: []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "a", Type: kudu.String}, {Name: "b", Type: kudu.String},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*kudu.Privileges{
		{Scan: true, Insert: true, Update: true, Delete: true}, {}, {Scan: true}, {Columns: []string{"id", "b"}, Update: true}, {Delete: true},
	} {
		cluster.Grant(want)
		table, err := client.OpenTable(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		got, known := table.Privileges()
		if !known || got.Scan != want.Scan || got.Insert != want.Insert || got.Update != want.Update || got.Delete != want.Delete || !slices.Equal(got.Columns, want.Columns) {
			t.Errorf("privileges are %+v (%t), granted were %+v", got, known, *want)
		}
		for _, c := range []string{"id", "a", "b"} {
			if got.CanScan(c) != (want.Scan || slices.Contains(want.Columns, c)) {
				t.Errorf("with %+v, CanScan(%s) is %t", *want, c, got.CanScan(c))
			}
		}
	}
}
