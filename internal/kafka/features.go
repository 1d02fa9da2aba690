package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// EpochPerTransaction is the transaction.version from which on each EndTxn
// brings a new producer epoch (KIP-890). Below it, the repetition of an EndTxn
// can end the producer's next transaction.
const EpochPerTransaction = 2

// TransactionVersion is the transaction.version that the cluster has finalized;
// 0 when it has none, as before Kafka 4.0.
func TransactionVersion(ctx context.Context, client *kgo.Client) (int16, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kudu2kafka", "1"
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return 0, Classify(fmt.Errorf("asking for the cluster's features: %w", err))
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel, nil
		}
	}
	return 0, nil
}
