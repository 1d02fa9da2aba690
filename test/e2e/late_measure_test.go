//go:build measure

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// TestMeasureRepair shows what a repair costs, for the documents: run it with
// -tags measure -v.
func TestMeasureRepair(t *testing.T) {
	t.Run("primary key", func(t *testing.T) { measureRepair(t, "id") })
	t.Run("another key", func(t *testing.T) { measureRepair(t, "at") })
}

func measureRepair(t *testing.T, streaming string) {
	s := newStack(t)
	j := newLateJob(t, 1)
	j.connector["streaming.key"], j.connector["key.columns"] = streaming, "id"
	j.worker["log.level"] = "trace"
	j.connector["poll.interval.max.ms"] = "50"
	j.connector["late.rows.interval.ms"] = "1000"
	spec := lateTable(j.table, 4, 1)
	spec.Columns = append(spec.Columns, testenv.ColumnSpec{Name: "at", Type: "INT64"})
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	client, err := kudu.New(kudu.Config{Masters: s.kudu.Masters()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	table, err := client.OpenTable(t.Context(), j.table)
	if err != nil {
		t.Fatal(err)
	}
	const total = 2_000_000 // even ids
	write := func(kind kudu.OpKind, n int, id func(i int) int64) {
		t.Helper()
		session := table.NewSession(kudu.SessionOptions{})
		for i := range n {
			row := table.NewRow()
			n := id(i)
			row.Set("id", n)
			row.Set("v", "some text of the usual length")
			if kind != kudu.OpUpdate {
				row.Set("at", n)
			}
			if err := session.Apply(t.Context(), kind, row); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := session.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	write(kudu.OpInsert, total, func(i int) int64 { return int64(2 * i) })
	t.Logf("%d rows written in %v", total, time.Since(began))
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, total, 5*time.Minute)
	took := regexp.MustCompile(`late rows repaired:.* took=(\S+)`)
	show := func(what string, from int64, n int) {
		t.Helper()
		var all []string
		eventually(t, time.Minute, "repairs", func() bool {
			text, err := os.ReadFile(w.log)
			if err != nil {
				t.Fatal(err)
			}
			all = all[:0]
			for _, m := range took.FindAllStringSubmatch(string(text[from:]), -1) {
				all = append(all, m[1])
			}
			return len(all) >= n
		})
		var times []time.Duration
		for _, text := range all {
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			times = append(times, d.Round(time.Millisecond))
		}
		slices.Sort(times)
		t.Logf("%s, a tablet of %d rows: median %v, of %v", what, total/4, times[len(times)/2], times)
	}
	show("right after they were written", w.LogSize(), 8)
	time.Sleep(20 * time.Second) // Kudu flushes and compacts
	show("nothing changed", w.LogSize(), 24)
	for _, n := range []int{100, 10_000} {
		from := w.LogSize()
		write(kudu.OpUpdate, n, func(int) int64 { return 2 * rand.Int64N(total) })
		show(fmt.Sprintf("%d updates", n), from, 4)
		from = w.LogSize()
		write(kudu.OpInsertIgnore, n, func(int) int64 { return 2*rand.Int64N(total) + 1 })
		show(fmt.Sprintf("%d late rows", n), from, 4)
	}
	w.stop()
}

// TestMeasureRepairWhileRowsCome shows what repairs cost the tablet server while
// rows come all the time, 1 in 100 of them late: its time on the processor, and
// the worker's, so that other work on the machine doesn't count.
func TestMeasureRepairWhileRowsCome(t *testing.T) {
	for _, streaming := range []string{"id", "at"} {
		for _, late := range []string{"ignore", "repair"} {
			t.Run(streaming+" "+late, func(t *testing.T) { measureBusy(t, streaming, late) })
		}
	}
}

func measureBusy(t *testing.T, streaming, late string) {
	s := newStackOn(t, testenv.NewKudu(t, testenv.KuduConfig{}), testenv.SharedKafka(t))
	j := newLateJob(t, 1)
	j.connector["streaming.key"], j.connector["key.columns"], j.connector["late.rows"] = streaming, "id", late
	j.connector["poll.interval.ms"], j.connector["late.rows.interval.ms"] = "100", "5000"
	spec := lateTable(j.table, 4, 1)
	spec.Columns = append(spec.Columns, testenv.ColumnSpec{Name: "at", Type: "INT64"})
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	client, err := kudu.New(kudu.Config{Masters: s.kudu.Masters()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	table, err := client.OpenTable(t.Context(), j.table)
	if err != nil {
		t.Fatal(err)
	}
	session := table.NewSession(kudu.SessionOptions{})
	insert := func(from, to int64) {
		t.Helper()
		for n := from; n < to; n++ {
			row := table.NewRow()
			at := 100 * n
			if n%100 == 50 {
				at -= 100_000 // late
			}
			row.Set("id", at+1)
			row.Set("at", at+1)
			row.Set("v", "some text of the usual length")
			if err := session.Apply(t.Context(), kudu.OpInsert, row); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := session.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const before, rate, seconds = 1_000_000, 1000, 20
	insert(2000, 2000+before)
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, before, 5*time.Minute)
	time.Sleep(10 * time.Second) // Kudu flushes and compacts
	server := s.kudu.TabletServers()[0]
	kuduTime, workerTime := cpuTime(t, server.Pid()), cpuTime(t, w.Pid())
	began := time.Now()
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for i := range int64(seconds * 10) {
		from := 2000 + before + i*rate/10
		insert(from, from+rate/10)
		<-pace.C
	}
	took := time.Since(began)
	t.Logf("%d rows a second into 1,000,000 for %v: tablet server %v, worker %v of processor time", rate, took.Round(time.Second),
		cpuTime(t, server.Pid())-kuduTime, cpuTime(t, w.Pid())-workerTime)
	if late == "repair" {
		s.awaitRecords(t, j.topic, before+rate*seconds, time.Minute)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	w.stop()
}
