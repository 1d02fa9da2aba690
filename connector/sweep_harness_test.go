package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// sweepBench is a queue in a fake Kudu, a fake Kafka, and what is known of every
// life of every row.
type sweepBench struct {
	*txnBench
	kudu  *kudufake.Cluster
	table *kudufake.Table
	cfg   Config
	dice  *rand.Rand
	trust time.Duration // 0: the sweeper's own
	idle  time.Duration // idleCommit; 0: the task's own
	seen  observed
	// throttles are a connector's of this rate.
	throttles *throttles
	// life is how long a backlog is published from; nil: the task's own.
	life  func(took time.Duration) time.Duration
	age   time.Duration // of a transaction at most, so that a round is one but for what fills it
	chunk int           // rows of a journal; 0: the task's own

	mu      sync.Mutex
	lives   []*rowLife
	current map[string]*rowLife // by key: what the writer thinks is there
	ids     int64
	serial  int
}

// rowLife is one row from its insert to its end, by the writer or by a sweep.
type rowLife struct {
	due      time.Time
	id       int64
	versions []string // of its payload
	deleted  bool     // by the writer
}

func (l *rowLife) key() string { return fmt.Sprintf("%d/%d", l.due.UnixMicro(), l.id) }

func queueSpec() kudufake.TableSpec {
	return kudufake.TableSpec{Name: "shop.queue", Columns: []kudu.Column{
		{Name: "due", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true},
		{Name: "priority", Type: kudu.Int32, Nullable: true}, {Name: "status", Type: kudu.String}, {Name: "payload", Type: kudu.String},
	}, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}}}
}

func newSweepBench(t *testing.T, seed uint64) *sweepBench {
	t.Helper()
	return newSweepBenchOn(t, seed, kudufake.Options{}, queueSpec())
}

func newSweepBenchOn(t *testing.T, seed uint64, opts kudufake.Options, spec kudufake.TableSpec) *sweepBench {
	t.Helper()
	c, err := kudufake.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	table, err := c.CreateTable(spec)
	if err != nil {
		t.Fatal(err)
	}
	b := &sweepBench{
		txnBench: newTxnBench(t, nil, 1), kudu: c, table: table, cfg: DefaultConfig(),
		dice: rand.New(rand.NewPCG(seed, 11)), current: make(map[string]*rowLife),
	}
	b.cfg.Name, b.cfg.KuduTable, b.cfg.Mode, b.cfg.Topic = "orders", "shop.queue", modeSweep, rowsTopic
	b.cfg.Where = "due <= now() AND status <> 'DONE'"
	b.cfg.PollInterval, b.cfg.PollMax = time.Millisecond, 5*time.Millisecond
	b.cfg.SweepBatchRows, b.age = 20, time.Hour
	return b
}

// anew has every piece read the tablets anew, patient none of them, however slow the
// machine is.
func anew(time.Duration) time.Duration    { return 0 }
func patient(time.Duration) time.Duration { return time.Hour }

func (b *sweepBench) payload() string {
	b.serial++
	return fmt.Sprintf("v%d", b.serial)
}

func (b *sweepBench) row(l *rowLife) kudufake.Row {
	return kudufake.Row{"due": l.due.UnixMicro(), "id": l.id, "priority": l.id % 7, "status": "NEW", "payload": l.versions[len(l.versions)-1]}
}

func (b *sweepBench) insert(due time.Time, id int64) *rowLife {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &rowLife{due: due, id: id, versions: []string{b.payload()}}
	if _, err := b.table.Insert(b.row(l)); err != nil {
		b.t.Errorf("inserting: %v", err)
		return l
	}
	b.lives = append(b.lives, l)
	b.current[l.key()] = l
	return l
}

func (b *sweepBench) add(n int, due time.Time) {
	for range n {
		b.ids++
		b.insert(due.Add(time.Duration(b.roll(1000))*time.Millisecond), b.ids)
	}
}

// update changes a row if it is there.
func (b *sweepBench) update(l *rowLife) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.payload()
	if _, err := b.table.Apply(0, kudufake.Update(kudufake.Row{"due": l.due.UnixMicro(), "id": l.id, "payload": text})); err != nil {
		return false
	}
	l.versions = append(l.versions, text)
	return true
}

func (b *sweepBench) remove(l *rowLife) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.table.Apply(0, kudufake.Delete(kudufake.Row{"due": l.due.UnixMicro(), "id": l.id})); err != nil {
		return false
	}
	l.deleted = true
	return true
}

// disturb does something to a random row, as the queue's producers might.
func (b *sweepBench) disturb() {
	past := time.Now().Add(-time.Hour)
	b.mu.Lock()
	var l *rowLife
	if n := len(b.lives); n > 0 {
		l = b.lives[b.dice.IntN(n)]
	}
	kind := b.dice.IntN(6)
	b.mu.Unlock()
	switch {
	case l == nil || kind == 0:
		b.add(1, past)
	case kind == 1: // rescheduled
		if b.current[l.key()] == l && b.remove(l) {
			b.ids++
			due := past
			if b.roll(2) == 0 {
				due = time.Now().Add(24 * time.Hour)
			}
			b.insert(due.Add(time.Duration(b.ids)*time.Microsecond), l.id)
		}
	case kind == 2: // inserted anew under its key
		if b.current[l.key()] == l && !b.there(l) {
			b.insert(l.due, l.id)
		}
	case kind == 3: // deleted, and inserted anew under its key at once
		if b.current[l.key()] == l && b.remove(l) {
			b.insert(l.due, l.id)
		}
	default:
		if b.current[l.key()] == l {
			b.update(l)
		}
	}
}

func (b *sweepBench) there(l *rowLife) bool {
	_, err := b.table.Apply(0, kudufake.Update(kudufake.Row{"due": l.due.UnixMicro(), "id": l.id, "status": "NEW"}))
	return err == nil
}

// run runs the task until ctx ends or it fails. Its clients end with it, as
// those of a process.
func (b *sweepBench) run(ctx context.Context, counted func(SweepCounts)) error {
	client, err := kudu.New(b.kudu.Config())
	if err != nil {
		return err
	}
	defer client.Close()
	opts := b.options()
	opts.StopTimeout = 100 * time.Millisecond
	p, err := openProducer(ctx, opts)
	if err != nil {
		return err
	}
	defer p.close()
	stored, err := offsets.Load(ctx, kafka.Options{BootstrapServers: b.cluster.ListenAddrs()}.Within(b.t.Context()), offsetsTopic, 1, "orders")
	if err != nil {
		return err
	}
	table, err := client.OpenTable(ctx, "shop.queue")
	if err != nil {
		return err
	}
	plan, err := planRead(b.cfg, table.Schema())
	if err != nil {
		return &FatalError{err}
	}
	sweep, err := planSweep(b.cfg, table.Schema(), plan)
	if err != nil {
		return &FatalError{err}
	}
	tablets, err := table.Tablets(ctx)
	if err != nil {
		return err
	}
	byTablet := make(map[string]offsets.Position)
	for key, pos := range stored.Positions {
		byTablet[key.Tablet] = pos
	}
	rd := reading{table: table, client: client, plan: plan, batchBytes: 1 << 10, logger: hclog.NewNullLogger(), seen: b.seen, late: lateRows{guard: sweep.guard(b.cfg.SnapshotGuard)}}
	if counted == nil {
		counted = func(SweepCounts) {}
	}
	if b.throttles == nil || b.throttles.rate != b.cfg.SweepRate {
		b.throttles = &throttles{rate: b.cfg.SweepRate}
	}
	s, err := newSweepTask(&task{
		id: 1, name: "orders", table: "shop.queue", topic: rowsTopic, offsets: offsetsTopic,
		limits:  limits{rows: b.cfg.TransactionMaxRows, bytes: b.cfg.TransactionMaxBytes, age: b.age},
		encoder: plan.encoder, tsColumn: -1, logger: rd.logger, producer: p, source: &offsetSource{read: rd},
		seen: b.seen, committed: func(int64) {},
	}, sweepOptions{
		reading: rd, sweep: sweep, tablets: tablets, stored: byTablet, journals: stored.Journals,
		sorting: sorting{budget: extsort.NewBudget(0)}, gone: func(string) bool { return true }, scope: b.cfg.OrderScope,
		pace: pollPace{interval: b.cfg.PollInterval, max: b.cfg.PollMax}, throttle: b.throttles.of(1), counted: counted,
	})
	if err != nil {
		return err
	}
	if b.trust != 0 {
		s.trust = b.trust
	}
	if b.life != nil {
		s.picker.life = b.life
	}
	if b.chunk != 0 {
		s.chunkRows, s.journalAfter = b.chunk, 2*b.chunk
	}
	if b.idle != 0 {
		s.idleCommit = b.idle
	}
	return s.loop(ctx)
}

// sweepRecord is a record as a consumer sees it.
type sweepRecord struct {
	ID      int64  `json:"id"`
	Due     string `json:"due"`
	Payload string `json:"payload"`
	changed bool
}

// published reads the topic with read_committed.
func (b *sweepBench) published() []sweepRecord {
	b.t.Helper()
	var out []sweepRecord
	for _, r := range b.consumeAll(rowsTopic) {
		var rec sweepRecord
		if err := json.Unmarshal(r.Value, &rec); err != nil {
			b.t.Fatal(err)
		}
		for _, h := range r.Headers {
			rec.changed = rec.changed || h.Key == sweepHeader
		}
		out = append(out, rec)
	}
	return out
}

// consumeAll gives all committed records of a topic, once no transaction is
// open.
func (b *sweepBench) consumeAll(topic string) []*kgo.Record {
	b.t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxWait(20*time.Millisecond),
	)
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute) // longer than a transaction may be open
	defer cancel()
	var out []*kgo.Record
	for len(left) > 0 {
		f := client.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("reading %s: a transaction is open", topic)
		}
		f.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

// journals are what is stored of the journal.
func (b *sweepBench) journals() int { return len(b.stored()) }

// rowsLeft are the payloads that the table has.
func (b *sweepBench) rowsLeft(where string) map[string]bool {
	b.t.Helper()
	left := make(map[string]bool)
	b.eachRow(func(_ string, rows *kudu.RowBatch, i int) {
		if due := time.UnixMicro(rows.Column(0).Int64(i)); where == "" || due.Before(time.Now()) && string(rows.Column(3).Bytes(i)) != "DONE" {
			left[string(rows.Column(4).Bytes(i))] = true
		}
	})
	return left
}

// tabletOf is the tablet that has the row.
func (b *sweepBench) tabletOf(l *rowLife) (tablet string) {
	b.t.Helper()
	b.eachRow(func(id string, rows *kudu.RowBatch, i int) {
		if rows.Column(0).Int64(i) == l.due.UnixMicro() && rows.Column(1).Int64(i) == l.id {
			tablet = id
		}
	})
	return tablet
}

// eachRow reads the table.
func (b *sweepBench) eachRow(fn func(tablet string, rows *kudu.RowBatch, i int)) {
	b.t.Helper()
	client, err := kudu.New(b.kudu.Config())
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	table, err := client.OpenTable(b.t.Context(), "shop.queue")
	if err != nil {
		b.t.Fatal(err)
	}
	tablets, err := table.Tablets(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, tablet := range tablets {
		sc, err := table.Scan(tablet.ID, kudu.ScanOptions{Ordered: true})
		if err != nil {
			b.t.Fatal(err)
		}
		for {
			rows, err := sc.Next(b.t.Context())
			if err != nil {
				break
			}
			for i := range rows.NumRows() {
				fn(tablet.ID, rows, i)
			}
		}
		_ = sc.Close()
	}
}

// stored are the journals in the offsets topic.
func (b *sweepBench) stored() map[offsets.JournalKey]offsets.Journal {
	b.t.Helper()
	loaded, err := offsets.Load(b.t.Context(), kafka.Options{BootstrapServers: b.cluster.ListenAddrs()}.Within(b.t.Context()), offsetsTopic, 1, "orders")
	if err != nil {
		b.t.Fatal(err)
	}
	return loaded.Journals
}

func (b *sweepBench) positions() map[offsets.Key]offsets.Position {
	b.t.Helper()
	loaded, err := offsets.Load(b.t.Context(), kafka.Options{BootstrapServers: b.cluster.ListenAddrs()}.Within(b.t.Context()), offsetsTopic, 1, "orders")
	if err != nil {
		b.t.Fatal(err)
	}
	return loaded.Positions
}

// crashBeforeSweep leaves what is due published, and journals that nobody has
// begun to sweep.
func (b *sweepBench) crashBeforeSweep() {
	b.t.Helper()
	if err := b.crash(func(kill func()) func() {
		return b.kudu.Control("Write", func(c *kudufake.Call) kudufake.Decision {
			if c.Barrier() {
				return kudufake.Decision{}
			}
			defer kill()
			return kudufake.Decision{CutBefore: true}
		})
	}, time.Minute); err != nil {
		b.t.Fatal(err)
	}
	if len(b.stored()) == 0 {
		b.t.Fatal("nothing is journalled")
	}
}

// alter changes the table through the client.
func (b *sweepBench) alter(steps ...kudu.AlterStep) {
	b.t.Helper()
	client, err := kudu.New(b.kudu.Config())
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	table, err := client.OpenTable(b.t.Context(), "shop.queue")
	if err == nil {
		_, err = table.Alter(b.t.Context(), steps...)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// drain runs the task until nothing is due and the journal is empty.
func (b *sweepBench) drain() {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, nil) }()
	testenv.Await(b.t, 3*time.Minute, "nothing is due, and the journal is empty", func() bool {
		select {
		case err := <-ended:
			b.t.Fatalf("the task ended: %v", err)
		default:
		}
		return len(b.rowsLeft("due")) == 0 && b.journals() == 0
	})
	cancel(errRevoked)
	// With nothing to do, the task may be stopped while it still opens its producer
	// and reads positions.
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errRevoked) {
		b.t.Errorf("the task ended: %v", err)
	}
}

// verify is the verdict: no version is published twice, none that never was; each
// life that a sweep ended was published as it was at its end; what isn't due, or
// was not swept, is there.
func (b *sweepBench) verify() {
	b.t.Helper()
	times := make(map[string]int)
	for _, r := range b.published() {
		times[r.Payload]++
	}
	left := b.rowsLeft("")
	known := make(map[string]bool)
	for _, l := range b.lives {
		last := l.versions[len(l.versions)-1]
		for _, v := range l.versions {
			known[v] = true
			if times[v] > 1 {
				b.t.Errorf("version %s of row %s is published %d times", v, l.key(), times[v])
			}
		}
		due := l.due.Before(time.Now())
		switch {
		case l.deleted:
			if left[last] {
				b.t.Errorf("row %s %s was deleted by the writer and is there", l.key(), last)
			}
		case !due && !left[last]:
			b.t.Errorf("row %s %s is not due, and is gone", l.key(), last)
		case !due && times[last] > 0:
			b.t.Errorf("row %s %s is not due, and was published", l.key(), last)
		case due && times[last] == 0:
			b.t.Errorf("row %s was swept, but its last version %s was not published (versions %v)", l.key(), last, l.versions)
		case due && left[last]:
			b.t.Errorf("row %s %s was not swept", l.key(), last)
		}
	}
	for v := range times {
		if !known[v] {
			b.t.Errorf("version %s is published, which never was", v)
		}
	}
}

// runFor runs the task, which may fail, for so long at most.
func (b *sweepBench) runFor(within time.Duration) error {
	return b.crash(func(func()) func() { return func() {} }, within)
}

// crash runs the task until the hook has been told to kill it, with the Kudu
// and Kafka requests that are under way cut.
func (b *sweepBench) crash(arm func(kill func()) (disarm func()), within time.Duration) error {
	ctx, cancel := context.WithCancelCause(b.t.Context())
	defer cancel(nil)
	disarm := arm(func() { cancel(errLost) })
	defer disarm()
	timer := time.AfterFunc(within, func() { cancel(errLost) })
	defer timer.Stop()
	err := b.run(ctx, nil)
	if err != nil && (fatal(err) && !errors.Is(err, errLost)) {
		return err
	}
	return nil
}
