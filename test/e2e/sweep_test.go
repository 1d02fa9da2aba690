package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	queueDue   = 60_000 // rows that are due at the start
	queueLater = 40_000 // rows that aren't due during the run
	queueKills = 20
)

// queue is a table of jobs, and what is known of every life of every row. Its
// writer knows from Kudu's answers whether a row was there: a row that is gone
// without its doing was swept.
type queue struct {
	t      *testing.T
	client *kudu.Client
	table  *kudu.Table
	dice   *rand.Rand
	lives  []*queued
	ids    int64
	serial int
	counts map[string]int
	now    time.Time
}

// queued is one row from its insert to its end.
type queued struct {
	due      int64 // microseconds
	id       int64
	priority int64
	versions []string
	deleted  bool // by the writer
	swept    bool // found to be
	later    bool // not due
}

func newQueue(t *testing.T, s *stack, j *job, buckets int) *queue {
	t.Helper()
	client, err := kudu.New(kudu.Config{Masters: s.kudu.Masters()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	table, err := client.CreateTable(t.Context(), kudu.TableSpec{Name: j.table, Columns: []kudu.Column{
		{Name: "due", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true},
		{Name: "priority", Type: kudu.Int32}, {Name: "payload", Type: kudu.String, Nullable: true},
	}, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: buckets}}, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &queue{t: t, client: client, table: table, dice: newDice(t), counts: make(map[string]int), now: time.Now()}
}

func (q *queue) payload() string {
	q.serial++
	return fmt.Sprintf("v%d", q.serial)
}

func (q *queue) fill(s *kudu.Session, l *queued) {
	q.t.Helper()
	row := q.table.NewRow()
	row.SetAll(l.due, l.id, l.priority, l.versions[len(l.versions)-1])
	if err := s.Apply(context.WithoutCancel(q.t.Context()), kudu.OpInsert, row); err != nil {
		q.t.Error(err)
	}
	q.lives = append(q.lives, l)
}

func (q *queue) newLife(later bool) *queued {
	q.ids++
	due := q.now.Add(-time.Duration(1 + q.dice.Int64N(int64(time.Hour)))).UnixMicro()
	if later {
		due += (48 * time.Hour).Microseconds()
	}
	return &queued{due: due, id: q.ids, priority: q.dice.Int64N(10), versions: []string{q.payload()}, later: later}
}

func (q *queue) load(due, later int) {
	q.t.Helper()
	s := q.table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	for n := range due + later {
		q.fill(s, q.newLife(n >= due))
	}
	if _, err := s.Flush(q.t.Context()); err != nil {
		q.t.Fatal(err)
	}
}

// one does an operation on the row and reports whether the row was there.
func (q *queue) one(s *kudu.Session, kind kudu.OpKind, l *queued, payload string) bool {
	row := q.table.NewRow()
	row.SetAll(l.due, l.id)
	if kind == kudu.OpUpdate || kind == kudu.OpInsert {
		row.Set("payload", payload)
	}
	if kind == kudu.OpInsert {
		row.Set("priority", l.priority)
	}
	ctx := context.WithoutCancel(q.t.Context())
	err := s.Apply(ctx, kind, row)
	if err == nil {
		_, err = s.Flush(ctx)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, kudu.ErrRowNotFound):
		return false
	}
	q.t.Errorf("%s: %v", kind, err)
	return false
}

// keepWriting writes until halt is called, which returns once nothing more is written.
func (q *queue) keepWriting() (halt func()) {
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { q.write(stop) })
	return sync.OnceFunc(func() {
		close(stop)
		writer.Wait()
	})
}

// write adds, reschedules, updates and re-inserts rows until stop is closed.
func (q *queue) write(stop <-chan struct{}) {
	s := q.table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	for {
		select {
		case <-stop:
			return
		default:
		}
		l := q.lives[q.dice.IntN(len(q.lives))]
		kind := q.dice.IntN(8)
		if l.deleted || l.swept {
			kind = 0
		}
		switch kind {
		case 0, 1:
			n := q.newLife(q.dice.IntN(4) == 0)
			q.one(s, kudu.OpInsert, n, n.versions[0])
			q.lives = append(q.lives, n)
			q.counts["added"]++
		case 2, 3: // rescheduled
			if !q.one(s, kudu.OpDelete, l, "") {
				l.swept = true
				continue
			}
			l.deleted = true
			n := q.newLife(q.dice.IntN(2) == 0)
			q.one(s, kudu.OpInsert, n, n.versions[0])
			q.lives = append(q.lives, n)
			q.counts["rescheduled"]++
		default:
			text := q.payload()
			if q.one(s, kudu.OpUpdate, l, text) {
				l.versions = append(l.versions, text)
				q.counts["updated"]++
				continue
			}
			l.swept = true
			if kind == 7 { // a new row under a swept key
				n := &queued{due: l.due, id: l.id, priority: l.priority, versions: []string{text}}
				q.one(s, kudu.OpInsert, n, text)
				q.lives = append(q.lives, n)
				q.counts["inserted anew"]++
			}
		}
	}
}

// left reads the payloads that the table has.
func (q *queue) left() map[string]bool {
	q.t.Helper()
	left := make(map[string]bool)
	tablets, err := q.table.Tablets(q.t.Context())
	if err != nil {
		q.t.Fatal(err)
	}
	for _, tablet := range tablets {
		sc, err := q.table.Scan(tablet.ID, kudu.ScanOptions{Ordered: true, Columns: []string{"due", "id", "payload"}})
		if err != nil {
			q.t.Fatal(err)
		}
		for {
			rows, err := sc.Next(q.t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				q.t.Fatal(err)
			}
			for i := range rows.NumRows() {
				left[string(rows.Column(2).Bytes(i))] = true
			}
		}
		_ = sc.Close()
	}
	return left
}

// awaitSwept waits until no row is due, and the journal is empty.
func (q *queue) awaitSwept(s *stack, j *job, within time.Duration) {
	q.t.Helper()
	var left map[string]bool
	var journals, later int
	for _, l := range q.lives {
		if l.later && !l.deleted {
			later++
		}
	}
	q.t.Cleanup(func() {
		if q.t.Failed() {
			q.t.Logf("%d rows were left, %d of them not due, and %d journals", len(left), later, journals)
		}
	})
	eventually(q.t, within, "no row is due, and the journal is empty", func() bool {
		left, journals = q.left(), s.journals(q.t, j)
		return len(left) == later && journals == 0
	})
}

// journals counts what the offsets topic has of the journal.
func (s *stack) journals(t *testing.T, j *job) int {
	t.Helper()
	n := 0
	var tasks int32
	fmt.Sscan(j.connector["tasks.max"], &tasks)
	for p := range tasks {
		loaded, err := offsets.Load(t.Context(), []kgo.Opt{kgo.SeedBrokers(s.kafka.BootstrapServers())}, j.group+"-"+j.name+"-offsets", p, j.name)
		if err != nil {
			t.Fatal(err)
		}
		n += len(loaded.Journals)
	}
	return n
}

type queueRecord struct {
	Due      string `json:"due"`
	ID       int64  `json:"id"`
	Priority int64  `json:"priority"`
	Payload  string `json:"payload"`
}

// verify is the exact verdict.
func (q *queue) verify(s *stack, j *job) []queueRecord {
	q.t.Helper()
	faults := 0
	fault := func(format string, args ...any) {
		if faults++; faults <= 10 {
			q.t.Errorf(format, args...)
		}
	}
	times := make(map[string]int)
	var records []queueRecord
	for _, p := range s.consume(q.t, j.topic) {
		var r queueRecord
		if err := json.Unmarshal(p.value, &r); err != nil {
			q.t.Fatal(err)
		}
		times[r.Payload]++
		records = append(records, r)
	}
	left := q.left()
	known := make(map[string]bool)
	swept, again := 0, 0
	for _, l := range q.lives {
		last := l.versions[len(l.versions)-1]
		published := 0
		for _, v := range l.versions {
			known[v] = true
			published += times[v]
			if times[v] > 1 {
				fault("version %s of row %d/%d is published %d times", v, l.due, l.id, times[v])
			}
		}
		switch {
		case l.deleted && left[last]:
			fault("row %d/%d was deleted by the writer, and is there", l.due, l.id)
		case l.deleted:
		case l.later && (published > 0 || !left[last]):
			fault("row %d/%d is not due: published %d times, there: %t", l.due, l.id, published, left[last])
		case l.later:
		case times[last] != 1:
			fault("row %d/%d was swept as %s, which is published %d times", l.due, l.id, last, times[last])
		case left[last]:
			fault("row %d/%d was not swept", l.due, l.id)
		default:
			swept++
		}
		if published > 1 {
			again++
		}
	}
	for v := range times {
		if !known[v] {
			fault("version %s is published, which never was", v)
		}
	}
	if faults > 0 {
		q.t.Errorf("%d faults", faults)
	}
	q.t.Logf("%d lives, %d records, %d rows swept, %d rows published in more than one version; the writer: %v", len(q.lives), len(records), swept, again, q.counts)
	return records
}

func newSweepJob(t *testing.T, tasks int) *job {
	j := newJob(t, tasks)
	j.connector["mode"] = "sweep"
	j.connector["where"] = "due <= now()"
	j.connector["topic.creation.default.partitions"] = "1"
	return j
}

// sweepMoments are log lines behind which a worker is killed.
var sweepMoments = []string{
	": sweep committed:",    // published, and nothing swept
	": sweep begins:",       // the write is under way
	": sweep written:",      // swept, and not audited
	": transaction begun:",  // rows are being produced
	": transaction ends:",   // the commit is under way
	": sweep commits:",      // the journal is being written
	": positions restored:", // the journal is about to be finished
}

func TestQueueIsPublishedOnceAndSweptThoughWorkersAreKilled(t *testing.T) {
	s := newStack(t)
	j := newSweepJob(t, 4)
	j.worker["log.level"] = "trace"
	j.connector["sweep.order.by"] = "priority DESC, due"
	j.connector["sweep.batch.max.rows"] = "400"
	j.connector["sweep.journal.max.rows"] = "5000" // so that rows are swept all the time
	q := newQueue(t, s, j, 4)
	q.load(queueDue, queueLater)
	jobs := []*job{j.as("first"), j.as("second")}
	workers := make([]*worker, 2)
	for n := range workers {
		workers[n] = s.start(t, jobs[n], fmt.Sprintf("worker %d", n))
	}
	halt := q.keepWriting()
	defer halt()
	dice := rand.New(rand.NewPCG(1, 2))
	met := make(map[string]int)
	for kills := range queueKills {
		n := dice.IntN(2)
		w, moment := workers[n], sweepMoments[kills%len(sweepMoments)]
		from, nth := w.LogSize(), 1+dice.IntN(4)
		if strings.Contains(moment, "restored") {
			from, nth = 0, 1
		}
		if _, err := w.findLine(from, 60*time.Second, func(line string) bool {
			if strings.Contains(line, moment) {
				nth--
			}
			return nth <= 0
		}); err != nil {
			t.Fatalf("kill %d, waiting for %q: %v", kills, moment, err)
		}
		time.Sleep(upTo(dice, 2*time.Millisecond)) // any moment is as good
		if err := w.Kill(); err != nil {
			t.Fatal(err)
		}
		met[lastMoment(t, w)]++
		workers[n] = s.start(t, jobs[n], fmt.Sprintf("worker %d after kill %d", n, kills))
	}
	halt()
	q.awaitSwept(s, j, 4*time.Minute)
	for _, w := range workers {
		w.stop()
	}
	q.verify(s, j)
	t.Logf("the last moments of the killed: %v", met)
}

// lastMoment is the last of sweepMoments in a log.
func lastMoment(t *testing.T, w *worker) string {
	t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	at, last := -1, ""
	for _, m := range sweepMoments {
		if i := strings.LastIndex(string(text), m); i > at {
			at, last = i, m
		}
	}
	return last
}

func TestQueueIsPublishedInItsOrderWithinTabletsAndAcrossThem(t *testing.T) {
	for _, scope := range []string{"tablet", "table"} {
		t.Run(scope, func(t *testing.T) {
			s := newStack(t)
			j := newSweepJob(t, 1)
			j.connector["order.scope"] = scope
			j.connector["sweep.order.by"] = "priority DESC, due"
			j.connector["sweep.batch.max.rows"] = "1000"
			buckets := 1
			if scope == "table" {
				buckets = 3
			}
			q := newQueue(t, s, j, max(buckets, 2))
			q.load(5000, 500)
			w := s.start(t, j, "worker")
			s.awaitRecords(t, j.topic, 1, time.Minute)
			q.awaitSwept(s, j, 2*time.Minute)
			w.stop()
			records := q.verify(s, j)
			if len(records) != 5000 {
				t.Errorf("%d records, want 5000", len(records))
			}
			last := make(map[string]queueRecord)
			for _, r := range records {
				lane := ""
				if scope == "tablet" {
					lane = q.tabletOf(r)
				}
				if l, some := last[lane]; some && (r.Priority > l.Priority || r.Priority == l.Priority && r.Due < l.Due) {
					t.Fatalf("%+v comes behind %+v", r, l)
				}
				last[lane] = r
			}
		})
	}
}

func (q *queue) tabletOf(r queueRecord) string {
	due, err := time.Parse(time.RFC3339Nano, r.Due)
	if err != nil {
		q.t.Fatal(err)
	}
	row := q.table.NewRow()
	row.SetAll(due.UnixMicro(), r.ID)
	tablet, err := q.table.TabletOf(q.t.Context(), row)
	if err != nil {
		q.t.Fatal(err)
	}
	return tablet.ID
}
