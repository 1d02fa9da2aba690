package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// payments are rows whose streaming key, amount and user, is shared by many of
// them and has nothing to do with the primary key.
func payments(name string) testenv.TableSpec {
	return testenv.TableSpec{
		Name: name,
		Columns: []testenv.ColumnSpec{
			{Name: "id", Type: "INT64", Key: true}, {Name: "amount", Type: "DECIMAL", Precision: 9, Scale: 2},
			{Name: "user", Type: "STRING"}, {Name: "note", Type: "STRING", Nullable: true},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 4}},
	}
}

var paymentKey = []string{"amount", "user"}

// pay writes rows of ids from..to-1 with amounts from base cents on.
func (s *stack) pay(t *testing.T, table string, from, to, base int) {
	t.Helper()
	dice := newDice(t)
	w := s.tool.NewWriter(table)
	for id := from; id < to; id++ {
		cents := base + dice.IntN(40)*7
		w.Write("insert", testenv.Row{
			"id": (id * 7919) % 1_000_003, "amount": fmt.Sprintf("%d.%02d", cents/100, cents%100), "user": fmt.Sprint("u", dice.IntN(3)),
			"note": strings.Repeat("x", dice.IntN(120)),
		})
	}
	if _, err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// comparePayments orders rows by amount, user and id; amounts have two digits
// behind the point.
func comparePayments(a, b map[string]any) int {
	number := func(v any) int64 {
		var n int64
		if _, err := fmt.Sscan(strings.Replace(fmt.Sprint(v), ".", "", 1), &n); err != nil {
			panic(err)
		}
		return n
	}
	return cmp.Or(
		cmp.Compare(number(a["amount"]), number(b["amount"])),
		cmp.Compare(a["user"].(string), b["user"].(string)),
		cmp.Compare(number(a["id"]), number(b["id"])),
	)
}

func newPaymentJob(t *testing.T, tasks int) *job {
	t.Helper()
	j := newJob(t, tasks)
	j.connector["streaming.key"] = strings.Join(paymentKey, ",")
	j.connector["key.columns"] = "id"
	j.connector["transaction.max.rows"] = "150"
	j.connector["kudu.scan.batch.bytes"] = "4096"
	j.connector["sort.memory.bytes"] = fmt.Sprint(1 << 20)
	j.connector["topic.creation.default.partitions"] = "1"
	return j
}

// killOften kills workers of jobs in turn as the topic grows, while rows with
// greater keys are written: so many times, and on until all kills but one have come
// before the end.
func (s *stack) killOften(t *testing.T, j *job, jobs []*job, backlog, late, kills int) (all []*worker) {
	t.Helper()
	workers := make([]*worker, len(jobs))
	for n := range jobs {
		workers[n] = s.start(t, jobs[n], fmt.Sprint("worker ", n))
	}
	all = slices.Clone(workers)
	inTheMiddle, rows := 0, backlog+late
	for n := 0; n < kills || inTheMiddle < kills-1; n++ {
		target := (n + 1) * rows / (kills + 3)
		switch {
		case n == kills/2:
			s.pay(t, j.table, backlog, rows, 5_000_00)
		case n >= kills:
			// The workers were quicker than the test; here is more for them.
			s.pay(t, j.table, rows, rows+backlog/2, n*5_000_00)
			target, rows = rows+backlog/8, rows+backlog/2
		}
		s.awaitRecords(t, j.topic, target, patience)
		victim := n % len(jobs)
		if err := workers[victim].Kill(); err != nil {
			t.Fatal(err)
		}
		if len(s.consume(t, j.topic)) < rows {
			inTheMiddle++
		}
		workers[victim] = s.start(t, jobs[victim], fmt.Sprintf("worker %d after kill %d", victim, n+1))
		all = append(all, workers[victim])
	}
	s.awaitRecords(t, j.topic, rows, patience)
	for _, w := range workers {
		w.stop()
	}
	return all
}

func TestRowsAreSortedByColumnsElsewhereThroughKills(t *testing.T) {
	s := newStack(t)
	const backlog, late = 20_000, 2_000
	j := newPaymentJob(t, 4)
	dir := t.TempDir()
	j.connector["sort.directory"] = dir
	if err := s.tool.CreateTable(t.Context(), payments(j.table)); err != nil {
		t.Fatal(err)
	}
	s.pay(t, j.table, 0, backlog, 100)
	spilled := 0
	for _, w := range s.killOften(t, j, []*job{j.as("first"), j.as("second")}, backlog, late, 4) {
		log, err := os.ReadFile(w.log)
		if err != nil {
			t.Fatal(err)
		}
		spilled += bytes.Count(log, []byte("spilled_bytes=")) - bytes.Count(log, []byte("spilled_bytes=0"))
	}
	if spilled == 0 {
		t.Error("no sort was too large for its memory")
	}
	s.verifyOrder(t, j, comparePayments, "id")
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("files of sorts are left: %v, %v", left, err)
	}
}

func TestRowsAreWalkedInPrimaryKeyOrderThroughKills(t *testing.T) {
	s := newStack(t)
	const backlog, late = 15_000, 2_000
	j := newPaymentJob(t, 2)
	j.connector["order"] = "none"
	j.connector["sort.directory"] = "/nonexistent" // nothing is sorted
	if err := s.tool.CreateTable(t.Context(), payments(j.table)); err != nil {
		t.Fatal(err)
	}
	s.pay(t, j.table, 0, backlog, 100)
	s.killOften(t, j, []*job{j.as("only")}, backlog, late, 4)
	s.verifyOrder(t, j, nil, "id")
	walked, phases := 0, map[string]int{}
	for _, r := range s.consume(t, offsetsTopic(j)) {
		if bytes.Contains(r.value, []byte(`"phase":"walk"`)) {
			walked++
		}
	}
	for _, p := range s.positions(t, j) {
		phases[string(p.value["phase"])]++
	}
	if walked == 0 || phases[`"streaming"`] != 4 {
		t.Errorf("%d positions were stored within walks; the last ones have phases %v", walked, phases)
	}
}

// Rows without a key of their own: Kudu numbers them as they come.
func TestAutoIncrementingColumnIsAStreamingKey(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	j.connector["streaming.key"] = "auto_incrementing_id"
	j.connector["transaction.max.rows"] = "20"
	j.connector["topic.creation.default.partitions"] = "1"
	if err := s.tool.CreateTable(t.Context(), testenv.TableSpec{
		Name: j.table,
		Columns: []testenv.ColumnSpec{
			{Name: "sensor", Type: "STRING", Key: true}, {Name: "value", Type: "INT32"},
		},
		Hash:             []testenv.HashSpec{{Columns: []string{"sensor"}, Buckets: 2}},
		AutoIncrementing: true,
	}); err != nil {
		t.Fatal(err)
	}
	dice := newDice(t)
	rows := 0
	w := s.start(t, j.as("only"), "worker")
	for n := range 6 {
		var batch []testenv.Row
		for range 200 {
			batch = append(batch, testenv.Row{"sensor": fmt.Sprint("s", dice.IntN(9)), "value": rows})
			rows++
		}
		if _, err := s.tool.Write(t.Context(), j.table, "insert", batch...); err != nil {
			t.Fatal(err)
		}
		if n%2 == 1 {
			if err := w.Kill(); err != nil {
				t.Fatal(err)
			}
			w = s.start(t, j.as("only"), "worker")
		}
	}
	s.awaitRecords(t, j.topic, rows, patience)
	w.stop()
	s.verifyOrder(t, j, func(a, b map[string]any) int {
		number := func(v any) int64 { n, _ := v.(json.Number).Int64(); return n }
		return cmp.Compare(number(a["auto_incrementing_id"]), number(b["auto_incrementing_id"]))
	}, "sensor", "auto_incrementing_id")
}

func TestSortDirectoryThatCannotBeWrittenIsAFault(t *testing.T) {
	s := newStack(t)
	j := newPaymentJob(t, 1)
	j.connector["sort.directory"] = filepath.Join(t.TempDir(), "missing")
	if err := s.tool.CreateTable(t.Context(), payments(j.table)); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "worker")
	w.awaitLine("sort.directory: ", 20*time.Second)
	<-w.Done()
	if code := w.ExitCode(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(w.log)
	if err != nil || !bytes.Contains(text, []byte("no such file or directory")) {
		t.Errorf("the log says %s, %v", text, err)
	}
}
