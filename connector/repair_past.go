package connector

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

const (
	// pastBatchBytes and pastSkips are for reading the past: so many batches of
	// keys are passed over before a seek is thought to be cheaper.
	pastBatchBytes = 64 << 10
	pastSkips      = 4
)

// pastKeys tells which rows were there at an earlier snapshot. It is asked in
// the order of the keys, and goes along with an ordered scan of the keys alone,
// or seeks when the next one asked for is far.
type pastKeys struct {
	rd      *reading
	tablet  string
	opts    kudu.ScanOptions // of the scans, but for where they begin
	primary []int            // places of the primary key in what they show

	sc    *kudu.Scanner
	rows  *kudu.RowBatch
	row   int
	skips int
	ended bool // there are no keys from here on
	key   []byte
}

func (k *pastKeys) close() {
	if k.sc != nil {
		_ = k.sc.Close()
		k.sc = nil
	}
}

// has reports whether the row with a primary key was there. If so, it is the
// one at row of rows until the next call.
func (k *pastKeys) has(ctx context.Context, key []byte) (bool, error) {
	for !k.ended {
		if k.rows != nil && k.find(key) {
			k.skips = 0
			return bytes.Equal(k.key, key), nil
		}
		if err := k.advance(ctx, key); err != nil {
			return false, err
		}
	}
	return false, nil
}

// find goes to the batch's first row that isn't below the key; it reports
// whether there is one.
func (k *pastKeys) find(key []byte) bool {
	at := func(row int) []byte {
		k.key = kudu.AppendKey(k.key[:0], k.rows, k.primary, row)
		return k.key
	}
	low, high := k.row, k.rows.NumRows()
	for low < high {
		if middle := (low + high) / 2; bytes.Compare(at(middle), key) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	k.row = low
	if low == k.rows.NumRows() {
		return false
	}
	at(low)
	return true
}

// advance goes to the next batch, or to the one that begins with the key.
func (k *pastKeys) advance(ctx context.Context, key []byte) (err error) {
	if k.sc == nil || k.skips >= pastSkips {
		k.close()
		opts := k.opts
		opts.Ordered, opts.From, opts.BatchBytes = true, key, pastBatchBytes
		if k.sc, err = k.rd.table.Scan(k.tablet, opts); err != nil {
			return err
		}
		k.skips = 0
	}
	k.skips++
	k.row = 0
	k.rows, err = k.rd.next(ctx, k.sc, k.tablet)
	if errors.Is(err, io.EOF) {
		k.ended, err = true, nil
	}
	return err
}
