package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func main() {
	b := &bench{}
	flag.StringVar(&b.binary, "binary", "bin/kudu2kafka", "the program to measure")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds; the median counts")
	flag.Int64Var(&b.narrow, "narrow", 3_000_000, "rows of the narrow table (event_time, id, user, amount); 0 leaves it out")
	flag.Int64Var(&b.wide, "wide", 1_000_000, "rows of the wide table (20 columns of all types); 0 leaves it out")
	flag.Int64Var(&b.writes, "writes", 2_000_000, "rows to insert against kudu perf loadgen; 0 leaves it out")
	flag.IntVar(&b.tasks, "tasks", 4, "tasks.max")
	flag.Int64Var(&b.sorted, "sorted", 5_000_000, "rows of the narrow table that is read by columns elsewhere than at the head of its primary key")
	flag.StringVar(&b.sortedKey, "sorted.key", "amount,id", "those columns")
	flag.StringVar(&b.only, "only", "", "comma-separated measurements: cli, scan, cli-ordered, scan-ordered, producer, e2e (together: throughput), writes, latency, restore; empty for these; and sorted and sweep (or a part of it: sweep-publish, sweep-delete, sweep-latency), which run only if they are named")
	flag.Int64Var(&b.queue, "queue", 1_000_000, "rows of the queue that is published out of order and swept; those that are only swept are a third of it")
	flag.Int64Var(&b.intQueue, "queue.int", 50_000, "rows of the queue with a single INT64 key")
	flag.DurationVar(&b.steady, "steady", time.Minute, "how long latency is measured")
	flag.IntVar(&b.transactions, "transactions", 50*86400, "transactions played before restoring; the default is a day of 50 per second")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := b.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	binary        string
	rounds, tasks int
	narrow, wide  int64
	sorted        int64
	sortedKey     string
	writes        int64
	only          string
	steady        time.Duration
	transactions  int
	queue         int64
	intQueue      int64
	kudu          *testenv.Kudu
	kafka         *testenv.Kafka
	tool          *testenv.KuduTool
}

// wants reports whether one of the measurements is to be made.
func (b *bench) wants(names ...string) bool { return b.only == "" || b.names(names...) }

// names reports whether one of them was named.
func (b *bench) names(names ...string) bool {
	for _, name := range names {
		if strings.Contains(","+b.only+",", ","+name+",") {
			return true
		}
	}
	return false
}

func (b *bench) run(ctx context.Context) (err error) {
	var config testenv.KuduConfig
	sweep := b.names("sweep", "sweep-publish", "sweep-delete", "sweep-latency")
	if sweep {
		config.TabletServerFlags = sweepKuduFlags
	}
	if b.kudu, err = testenv.StartKudu(ctx, config); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.kudu.Close()) }()
	if b.wants("throughput", "producer", "e2e", "latency", "restore", "sorted") || sweep {
		if b.kafka, err = testenv.StartKafka(ctx, testenv.KafkaConfig{}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.kafka.Close()) }()
	}
	if b.names("sorted") {
		return b.measureSorted(ctx)
	}
	if sweep {
		return b.measureSweep(ctx)
	}
	if b.tool, err = testenv.StartKuduTool(ctx, b.kudu.Masters()); err != nil {
		return err
	}
	for _, t := range []struct {
		kind string
		rows int64
	}{{"narrow", b.narrow}, {"wide", b.wide}} {
		if t.rows == 0 || !b.wants("throughput", "cli", "scan", "cli-ordered", "scan-ordered", "producer", "e2e") {
			continue
		}
		fmt.Printf("\n%s table, %d rows\n", t.kind, t.rows)
		if err := b.fill(ctx, t.kind, t.kind, t.rows); err != nil {
			return errors.Join(err, b.tool.Close())
		}
	}
	fmt.Println()
	for _, m := range []struct {
		name string
		fn   func(context.Context) error
	}{{"latency", b.latency}, {"restore", b.restore}} {
		if !b.wants(m.name) {
			continue
		}
		if err := m.fn(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", m.name, err), b.tool.Close())
		}
	}
	// Java's heap and threads must not be around while we measure.
	if err := b.tool.Close(); err != nil {
		return err
	}
	for _, t := range []struct {
		kind string
		rows int64
	}{{"narrow", b.narrow}, {"wide", b.wide}} {
		if t.rows == 0 || !b.wants("throughput", "cli", "scan", "cli-ordered", "scan-ordered", "producer", "e2e") {
			continue
		}
		if err := b.measure(ctx, t.kind, t.rows); err != nil {
			return err
		}
	}
	if b.writes > 0 && b.wants("writes") {
		fmt.Printf("\ninserting %d rows\n", b.writes)
		return b.measureWrites(ctx, b.writes)
	}
	return nil
}

func (b *bench) fill(ctx context.Context, table, kind string, rows int64) error {
	began := time.Now()
	_, err := b.tool.Generate(ctx, testenv.GenerateOptions{Table: table, Kind: kind, Create: true, Rows: rows}, nil)
	if err != nil {
		return fmt.Errorf("filling table %s: %w", table, err)
	}
	fmt.Printf("  filled by the Java client in %.1f s\n", time.Since(began).Seconds())
	return nil
}

// measure runs the rounds for one table and prints the medians.
func (b *bench) measure(ctx context.Context, table string, rows int64) error {
	ref, err := b.reference(ctx, table)
	if err != nil {
		return err
	}
	if ref.rows != rows {
		return fmt.Errorf("table %s has %d rows, not %d", table, ref.rows, rows)
	}
	r := newReport(table, rows, ref.bytes)
	for round := range b.rounds {
		fmt.Printf("  round %d:", round+1)
		for _, m := range []struct {
			name string
			fn   func(context.Context, *reference, int) (figures, error)
		}{
			{"cli", b.cliScan}, {"scan", b.ourScan}, {"cli-ordered", b.cliOrderedScan}, {"scan-ordered", b.ourOrderedScan}, {"producer", b.bareProducer}, {"e2e", b.endToEnd},
		} {
			if !b.wants(m.name, "throughput") {
				continue
			}
			f, err := m.fn(ctx, ref, round)
			if err != nil {
				return fmt.Errorf("%s on table %s: %w", m.name, table, err)
			}
			r.add(m.name, f)
			fmt.Printf(" %s %.2f s", m.name, f.seconds)
		}
		fmt.Println()
	}
	r.print(os.Stdout)
	return nil
}
