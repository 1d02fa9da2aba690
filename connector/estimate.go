package connector

import (
	"context"
	"time"
)

// sizePause is how often the table's size is asked for. The masters know it from
// heartbeats some seconds old.
const sizePause = 30 * time.Second

// publishesAll tells whether the connector publishes each row that the table has, so
// that the table's size says how many there are to be.
func publishesAll(cfg Config) bool {
	return cfg.Mode != modeSweep && cfg.Where == "" && cfg.OffsetStart == DefaultConfig().OffsetStart && len(cfg.OffsetStartValues) == 0
}

// watchSize asks Kudu's masters how many rows the table has, again and again until
// ctx ends, if that says how many will be published. A failure changes nothing: tasks
// meet what matters of it themselves.
func (i *instance) watchSize(ctx context.Context) {
	if !publishesAll(i.cfg) {
		return
	}
	for {
		if rows, err := i.tableRows(ctx); err == nil {
			i.board.setTableRows(rows)
		} else if ctx.Err() == nil {
			i.logger.Debug("the table's size is not known", "error", err)
		}
		if pause(ctx, sizePause) != nil {
			return
		}
	}
}

func (i *instance) tableRows(ctx context.Context) (int64, error) {
	table, err := i.kudu.OpenTable(ctx, i.cfg.KuduTable)
	if err != nil {
		return 0, err
	}
	s, err := table.Statistics(ctx)
	return max(0, s.LiveRows), err
}
