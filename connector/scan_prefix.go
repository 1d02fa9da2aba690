package connector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// prefixPoller reads by a streaming key that is a prefix of the primary key:
// ordered scans at a snapshot that the tablet server chooses, each from behind
// the last row that was handed out. There is no sort and no buffer; a poll costs
// one seek.
type prefixPoller struct{ reading }

func (p *prefixPoller) poll(ctx context.Context, r *tabletReader, emit func(*batch) bool) (more bool, err error) {
	upper, whole, err := p.upperBound(ctx, r.id)
	if err != nil {
		return false, err
	}
	where, err := p.pass(ctx, r.id)
	if err != nil {
		return false, ignoreNothing(err)
	}
	sc, err := p.table.Scan(r.id, kudu.ScanOptions{
		Columns: p.plan.columns, Ordered: true, From: r.from, After: r.hwm, To: upper, BatchBytes: p.batchBytes,
		Predicates: pushed(where),
	})
	if err != nil {
		return false, err
	}
	defer sc.Close()
	began := time.Now()
	b := &batch{order: p.plan.order, tablets: []*tabletReader{r}, taken: make(chan struct{})}
	for {
		rows, err := sc.Next(ctx)
		if errors.Is(err, io.EOF) {
			r.complete = whole && p.stopPassed(sc.Snapshot())
			return false, nil
		}
		if err != nil {
			return false, err
		}
		b.rows, b.snapshot = rows, sc.Snapshot()
		b.keep = keep(where, rows, b.keep)
		after := p.plan.order.appendKey(nil, rows, rows.NumRows()-1)
		if !emit(b) {
			return false, ctx.Err()
		}
		// I4: the next scan begins behind what was handed out, whatever becomes
		// of this one.
		r.hwm = after
		if time.Since(began) > scanTurn {
			return true, nil
		}
	}
}

// upperBound is the order key that this poll must stay below, nil without; and
// whether it is offset.stop, so that a poll to its end has read everything.
func (rd *reading) upperBound(ctx context.Context, tablet string) (key []byte, whole bool, err error) {
	stop := rd.plan.stop.key
	if rd.settle == 0 {
		return stop, stop != nil, nil
	}
	now, err := rd.serverTime(ctx, tablet)
	if err != nil {
		return nil, false, err
	}
	settled, err := rd.plan.order.bound([]any{timeValue(rd.plan.order.columns[0], now.Add(-rd.settle))})
	if err != nil {
		return nil, false, err
	}
	if stop != nil && bytes.Compare(stop, settled) <= 0 {
		return stop, true, nil
	}
	return settled, false, nil
}

// serverTime is the latest time that the cluster has told. This machine's clock
// may be off by more than settle.delay.ms.
func (rd *reading) serverTime(ctx context.Context, tablet string) (time.Time, error) {
	if ts := rd.client.Observed(); ts != 0 {
		return ts.Time(), nil
	}
	sc, err := rd.table.Scan(tablet, kudu.ScanOptions{Columns: columnsOf(rd.plan.order), Limit: 1})
	if err != nil {
		return time.Time{}, err
	}
	defer sc.Close()
	if _, err := sc.Next(ctx); err != nil && !errors.Is(err, io.EOF) {
		return time.Time{}, err
	}
	return rd.client.Observed().Time(), nil
}

// stopPassed reports whether no more rows below offset.stop are to be waited
// for, given that a scan at the snapshot has read all there are. When the key
// begins with a time, rows of that time may come until it has passed.
func (rd *reading) stopPassed(snapshot kudu.Timestamp) bool {
	if rd.plan.stop.time.IsZero() {
		return true
	}
	return snapshot.Time().Add(-rd.settle).After(rd.plan.stop.time)
}

// timeValue is t as a value of a time column.
func timeValue(c kudu.Column, t time.Time) any {
	if c.Type == kudu.Date {
		// The day itself isn't over: only the days before are settled.
		return t.UTC().Truncate(24 * time.Hour)
	}
	return t
}
