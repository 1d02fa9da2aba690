package connector

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// EstimateRows asks Kudu's masters how many rows the connector's table has, which
// they know from heartbeats some seconds old. ok is false when that says nothing of
// how many will be published: in mode sweep, with where, when reading begins
// elsewhere than at the table's start, or when the masters don't know.
func EstimateRows(ctx context.Context, cfg Config, logger hclog.Logger) (rows int64, ok bool, err error) {
	if cfg.Mode == modeSweep || cfg.Where != "" || cfg.OffsetStart != DefaultConfig().OffsetStart || len(cfg.OffsetStartValues) > 0 {
		return 0, false, nil
	}
	client, err := kudu.New(KuduConfig(cfg, logger))
	if err != nil {
		return 0, false, fmt.Errorf("estimating rows: %w", err)
	}
	defer func() { _ = client.Close() }()
	table, err := client.OpenTable(ctx, cfg.KuduTable)
	if err != nil {
		return 0, false, fmt.Errorf("estimating rows: %w", err)
	}
	s, err := table.Statistics(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("estimating rows: %w", err)
	}
	return s.LiveRows, s.LiveRows >= 0, nil
}
