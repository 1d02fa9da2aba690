package kudutest_test

import (
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudutest"
)

func TestFakeClusterConforms(t *testing.T) {
	t.Parallel()
	for _, opts := range []kudufake.Options{{}, {Masters: 3, TabletServers: 3, RequireAuthz: true}} {
		c, err := kudufake.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		kudutest.Run(t, kudutest.Cluster{Masters: c.Masters(), Dial: c.Dial, Replicas: len(c.Masters()), Authz: opts.RequireAuthz})
	}
}

func TestRealClusterConforms(t *testing.T) {
	t.Parallel()
	c := testenv.SharedKudu(t)
	kudutest.Run(t, kudutest.Cluster{Masters: c.Masters()})
}

func TestRealReplicatedClusterConforms(t *testing.T) {
	c := testenv.NewKudu(t, testenv.KuduConfig{
		Masters: 3, TabletServers: 3, TabletServerFlags: []string{"--tserver_enforce_access_control=true"},
		// The cases know one leader: none is deposed, after 5 s, because this machine is slow.
		Flags: []string{"--leader_failure_max_missed_heartbeat_periods=10"},
	})
	kudutest.Run(t, kudutest.Cluster{Masters: c.Masters(), Replicas: 3, Authz: true})
}
