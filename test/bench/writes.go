package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// writeThreads is how many writers both sides have; writeStringLen and
// writeBuckets are loadgen's --string_len and our choice of hash partitions.
const (
	writeThreads   = 2
	writeStringLen = 32
	writeBuckets   = 4
)

var cliTotal = regexp.MustCompile(`time total *: *([0-9.]+) ms`)

// measureWrites compares batch inserts with kudu perf loadgen: the same table
// (a BIGINT key in four hash partitions, an INT, a string of 32 bytes), the
// same rows in the same order per writer. What differs: loadgen's two writers
// share one client and have a session each, and flush at half of 4 MiB of
// buffer; ours have the defaults of SessionOptions. loadgen reports its own
// time, from the first row to the end of the last flush, as ours is taken.
func (b *bench) measureWrites(ctx context.Context, rows int64) error {
	rows -= rows % writeThreads
	r := newReport("writes", rows, 0)
	c, err := kudu.New(kudu.Config{Masters: b.kudu.Masters()})
	if err != nil {
		return err
	}
	defer c.Close()
	for round := range b.rounds {
		fmt.Printf("  round %d:", round+1)
		for _, m := range []struct {
			name string
			fn   func(context.Context, *kudu.Table, int64) (figures, error)
		}{{"loadgen", b.cliWrites}, {"writes", ourWrites}} {
			f, err := b.writeOnce(ctx, c, fmt.Sprintf("%s-%d", m.name, round), rows, m.fn)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			r.add(m.name, f)
			fmt.Printf(" %s %.2f s", m.name, f.seconds)
		}
		fmt.Println()
	}
	r.print(os.Stdout)
	return nil
}

// writeOnce fills a new table, counts its rows, and drops it.
func (b *bench) writeOnce(ctx context.Context, c *kudu.Client, name string, rows int64, fn func(context.Context, *kudu.Table, int64) (figures, error)) (figures, error) {
	table, err := c.CreateTable(ctx, kudu.TableSpec{
		Name: name, Replicas: 1,
		Columns: []kudu.Column{
			{Name: "key", Type: kudu.Int64, Key: true}, {Name: "int_val", Type: kudu.Int32}, {Name: "string_val", Type: kudu.String, Nullable: true},
		},
		Hash: []kudu.HashDimension{{Columns: []string{"key"}, Buckets: writeBuckets}},
	})
	if err != nil {
		return figures{}, err
	}
	f, err := fn(ctx, table, rows)
	if err != nil {
		return f, err
	}
	tablets, err := table.Tablets(ctx)
	if err != nil {
		return f, err
	}
	var written int64
	for _, tablet := range tablets {
		n, err := count(ctx, table, tablet.ID, kudu.ScanOptions{Columns: []string{}})
		if err != nil {
			return f, err
		}
		written += n
	}
	if written != rows {
		return f, fmt.Errorf("%d rows were written, not %d", written, rows)
	}
	return f, table.Delete(ctx)
}

func (b *bench) cliWrites(ctx context.Context, table *kudu.Table, rows int64) (figures, error) {
	out, err := b.kudu.CLI(ctx, "perf", "loadgen", b.kudu.MasterArg(), "--table_name="+table.Name(),
		fmt.Sprintf("--num_threads=%d", writeThreads), fmt.Sprintf("--num_rows_per_thread=%d", rows/writeThreads),
		fmt.Sprintf("--string_len=%d", writeStringLen), "--use_random=false")
	if err != nil {
		return figures{}, err
	}
	m := cliTotal.FindSubmatch(out)
	if m == nil {
		return figures{}, fmt.Errorf("no time in the output of kudu perf loadgen:\n%s", out)
	}
	ms, err := strconv.ParseFloat(string(m[1]), 64)
	return figures{seconds: ms / 1000}, err
}

// ourWrites inserts the rows that loadgen does: consecutive numbers per writer,
// as the key, as the integer, and as the string, filled up with x.
func ourWrites(ctx context.Context, table *kudu.Table, rows int64) (figures, error) {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for writer := range int64(writeThreads) {
		g.Go(func() error {
			s := table.NewSession(kudu.SessionOptions{})
			defer s.Close()
			row := table.NewRow()
			var text []byte
			each := rows / writeThreads
			for i := writer * each; i < (writer+1)*each; i++ {
				row.Reset()
				row.SetInt(0, i)
				row.SetInt(1, i&0x7fffffff)
				text = append(strconv.AppendInt(text[:0], i, 10), '.')
				for len(text) < writeStringLen {
					text = append(text, 'x')
				}
				row.SetBytes(2, text)
				if err := s.Apply(ctx, kudu.OpInsert, row); err != nil {
					return err
				}
			}
			_, err := s.Flush(ctx)
			return err
		})
	}
	err := g.Wait()
	return figures{seconds: time.Since(began).Seconds()}, err
}
