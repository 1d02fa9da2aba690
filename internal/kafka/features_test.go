package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

func TestTransactionVersionTellsOldBrokersFromNew(t *testing.T) {
	for _, c := range []struct {
		name     string
		versions []kfake.Opt
		safe     bool
	}{
		{"Kafka 3.7", []kfake.Opt{kfake.MaxVersions(kversion.V3_7_0())}, false},
		{"newest", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := kfake.MustCluster(append(c.versions, kfake.NumBrokers(1))...)
			defer cluster.Close()
			client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			version, err := TransactionVersion(t.Context(), client)
			if err != nil || (version >= EpochPerTransaction) != c.safe {
				t.Errorf("got version %d, %v", version, err)
			}
		})
	}
}
