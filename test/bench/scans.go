package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

const scanThreads = 2

var cliSeconds = regexp.MustCompile(`cost ([0-9.]+) seconds`)
var cliRows = regexp.MustCompile(`Total count ([0-9]+)`)

// cliScan runs Kudu's own scanner over the table. Its own time is taken: the
// process's start isn't what is compared.
func (b *bench) cliScan(ctx context.Context, ref *reference, _ int) (figures, error) {
	return b.runTableScan(ctx, ref, false)
}

// cliOrderedScan has Kudu's scanner read in key order, at a snapshot.
func (b *bench) cliOrderedScan(ctx context.Context, ref *reference, _ int) (figures, error) {
	return b.runTableScan(ctx, ref, true)
}

func (b *bench) runTableScan(ctx context.Context, ref *reference, ordered bool) (figures, error) {
	out, err := b.kudu.CLI(ctx, "perf", "table_scan", b.kudu.MasterArg(), ref.table, fmt.Sprintf("--num_threads=%d", scanThreads),
		fmt.Sprintf("--fault_tolerant=%v", ordered))
	if err != nil {
		return figures{}, err
	}
	m, n := cliSeconds.FindSubmatch(out), cliRows.FindSubmatch(out)
	if m == nil || n == nil {
		return figures{}, fmt.Errorf("no time or row count in the output of kudu perf table_scan:\n%s", out)
	}
	if string(n[1]) != strconv.FormatInt(ref.rows, 10) {
		return figures{}, fmt.Errorf("kudu perf table_scan counted %s rows, not %d", n[1], ref.rows)
	}
	took, err := strconv.ParseFloat(string(m[1]), 64)
	return figures{seconds: took}, err
}

// ourScan reads all columns of all rows with our client, unordered, with as
// many scans at once as the CLI has threads.
func (b *bench) ourScan(ctx context.Context, ref *reference, _ int) (figures, error) {
	return b.scanAll(ctx, ref, kudu.ScanOptions{})
}

// ourOrderedScan does the same with ordered scans.
func (b *bench) ourOrderedScan(ctx context.Context, ref *reference, _ int) (figures, error) {
	return b.scanAll(ctx, ref, kudu.ScanOptions{Ordered: true})
}

func (b *bench) scanAll(ctx context.Context, ref *reference, opts kudu.ScanOptions) (figures, error) {
	c, err := kudu.New(kudu.Config{Masters: b.kudu.Masters()})
	if err != nil {
		return figures{}, err
	}
	defer c.Close()
	began := time.Now()
	t, err := c.OpenTable(ctx, ref.table)
	if err != nil {
		return figures{}, err
	}
	tablets, err := t.Tablets(ctx)
	if err != nil {
		return figures{}, err
	}
	var rows atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(scanThreads)
	for _, tablet := range tablets {
		g.Go(func() error {
			n, err := count(ctx, t, tablet.ID, opts)
			rows.Add(n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return figures{}, err
	}
	took := time.Since(began)
	if rows.Load() != ref.rows {
		return figures{}, fmt.Errorf("our scan counted %d rows, not %d", rows.Load(), ref.rows)
	}
	return figures{seconds: took.Seconds()}, nil
}

func count(ctx context.Context, t *kudu.Table, tablet string, opts kudu.ScanOptions) (rows int64, err error) {
	sc, err := t.Scan(tablet, opts)
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	for {
		b, err := sc.Next(ctx)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows += int64(b.NumRows())
	}
}
