// Command sample makes a table of orders in Kudu and writes rows to it: what the
// connector of docker-compose.yml reads. It is no part of the product, which never
// creates a table.
//
//	sample table -masters kudu-master -tablets 4 -replicas 3,1
//	sample write -masters kudu-master -rate 200
//
// Both wait for Kudu, so that they may be started before it. The exit code is 0
// when the table is there, or when all rows are written or a signal ended the
// writing in order; 1 after a failure; 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// settings are what a user can choose.
type settings struct {
	masters  []string
	table    string
	patience time.Duration // how long Kudu may take to appear

	tablets  int   // of a table that is made
	replicas []int // of a table that is made: the first that Kudu has servers for

	rate int   // rows per second
	rows int64 // to write in all; 0: until a signal
}

// maxRate keeps the ids of two writers apart: a writer begins with the microsecond
// it starts in, and must not overtake the clock.
const maxRate = 500_000

func main() {
	if len(os.Args) < 2 || os.Args[1] != "table" && os.Args[1] != "write" {
		fmt.Fprintln(os.Stderr, "usage: sample table|write [flags]; sample table -h lists them")
		os.Exit(2)
	}
	s, err := readSettings(os.Args[1], os.Args[2:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sample: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	do := makeTable
	if os.Args[1] == "write" {
		do = write
	}
	err = run(ctx, s, do)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "sample: %v\n", err)
		os.Exit(1)
	}
}

func readSettings(command string, args []string, stderr io.Writer) (settings, error) {
	var s settings
	var masters, replicas string
	flags := flag.NewFlagSet("sample "+command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&masters, "masters", "127.0.0.1:7051", "addresses of Kudu's masters, apart by commas")
	flags.StringVar(&s.table, "table", "orders", "name of the table")
	flags.DurationVar(&s.patience, "patience", 5*time.Minute, "how long Kudu, or the table, may take to appear")
	if command == "table" {
		flags.IntVar(&s.tablets, "tablets", 4, "hash partitions of the table")
		flags.StringVar(&replicas, "replicas", "3,1", "replication factors to try, the wanted one first")
	} else {
		flags.IntVar(&s.rate, "rate", 200, "rows to write per second")
		flags.Int64Var(&s.rows, "rows", 0, "rows to write in all; 0: until a signal comes")
	}
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	s.masters = strings.Split(masters, ",")
	if command == "write" {
		if s.rate < 1 || s.rate > maxRate {
			return s, fmt.Errorf("-rate %d: give the rows per second, 1..%d", s.rate, maxRate)
		}
		if s.rows < 0 {
			return s, fmt.Errorf("-rows %d: give a number of rows, or 0", s.rows)
		}
		return s, nil
	}
	if s.tablets < 2 || s.tablets > 1000 {
		return s, fmt.Errorf("-tablets %d: give a number of hash partitions, 2..1000", s.tablets)
	}
	for text := range strings.SplitSeq(replicas, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 7 || n%2 == 0 {
			return s, fmt.Errorf("-replicas %s: give odd numbers, 1..7, apart by commas", replicas)
		}
		s.replicas = append(s.replicas, n)
	}
	return s, nil
}

func run(ctx context.Context, s settings, do func(context.Context, *kudu.Client, settings, io.Writer) error) error {
	client, err := kudu.New(kudu.Config{Masters: s.masters})
	if err != nil {
		return fmt.Errorf("connecting to Kudu: %w", err)
	}
	defer func() { _ = client.Close() }()
	return do(ctx, client, s, os.Stdout)
}

// again asks until there is an answer, for as long as s.patience says.
func again(ctx context.Context, s settings, out io.Writer, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for told := false; ; {
		attempt, done := context.WithTimeout(ctx, 10*time.Second)
		err := ask(attempt)
		done()
		if err == nil {
			return nil
		}
		if !told && ctx.Err() == nil {
			told = true
			fmt.Fprintf(out, "waiting to %s: %v\n", what, err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
