package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// chaosPatience is how long all rows may take to be seen once nothing is broken
// any more: sessions, transactions and backoffs of the faults may have to end.
const chaosPatience = 2 * time.Minute

// chaosEnv is what the schedules share: servers, with a proxy before each
// address that workers are given.
type chaosEnv struct {
	s    *stack
	ways []*proxy // by way
	busy map[way]bool
}

// newChaosEnv starts a broker, a master and three tablet servers. Workers reach
// all of them through proxies. Tablet servers advertise theirs, so the writer
// and the other replicas go that way too; the test's own Kafka clients and the
// Java client's calls to the master don't.
func newChaosEnv(t *testing.T) *chaosEnv {
	t.Helper()
	e := &chaosEnv{ways: make([]*proxy, toTabletServer), busy: make(map[way]bool)}
	place := func(set func(*proxy)) func(string) (string, error) {
		return func(addr string) (string, error) {
			p, err := startProxy(t, addr)
			if err != nil {
				return "", err
			}
			set(p)
			return p.addr(), nil
		}
	}
	kudu := testenv.NewKudu(t, testenv.KuduConfig{
		TabletServers: chaosServers,
		Proxy:         place(func(p *proxy) { e.ways = append(e.ways, p) }),
	})
	kafka := testenv.NewKafka(t, testenv.KafkaConfig{
		Properties: map[string]string{"group.min.session.timeout.ms": "1000"},
		Proxy:      place(func(p *proxy) { e.ways[toKafka] = p }),
	})
	if _, err := place(func(p *proxy) { e.ways[toMaster] = p })(kudu.Masters()[0]); err != nil {
		t.Fatal(err)
	}
	e.s = newStackOn(t, kudu, kafka)
	return e
}

// fromEnv reads a number from the environment.
func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no number above 0", name, text)
	}
	return n
}

// TestEachRowIsPublishedOnceWhateverFails runs random schedules of faults, one
// after the other. Schedule i of K2K_SEED=s is the first one of K2K_SEED=s+i.
// K2K_CHAOS_SCHEDULES and K2K_CHAOS_SECONDS give their number and length; the
// logs of one that fails are kept, in K2K_CHAOS_LOGS if that is set. Without a number
// there are more schedules if the usual ones have interrupted no transaction.
func TestEachRowIsPublishedOnceWhateverFails(t *testing.T) {
	t.Parallel()
	const usual = 5
	schedules, seconds := fromEnv(t, "K2K_CHAOS_SCHEDULES", usual), fromEnv(t, "K2K_CHAOS_SECONDS", 10)
	seed := seedOf(t)
	t.Logf("%d schedules of %d s from K2K_SEED=%d", schedules, seconds, seed)
	e := newChaosEnv(t)
	hits, open := make(map[faultKind]int), make(map[faultKind]int)
	all, cut := 0, 0
	most := schedules
	if os.Getenv("K2K_CHAOS_SCHEDULES") == "" {
		most = 4 * usual // a few schedules may happen to interrupt nothing
	}
	for i := uint64(0); i < uint64(schedules) || !t.Failed() && (all == 0 || cut == 0) && i < uint64(most); i++ {
		t.Run(fmt.Sprintf("K2K_SEED=%d", seed+i), func(t *testing.T) {
			r := e.schedule(t, seed+i, time.Duration(seconds)*time.Second)
			for kind, n := range r.hits {
				hits[kind] += n
			}
			for kind, n := range r.open {
				open[kind] += n
				all += n
			}
			for _, w := range r.started {
				cut += interrupted(t, w)
			}
		})
	}
	var b strings.Builder
	for _, k := range chaosKinds {
		fmt.Fprintf(&b, "\n%-24s %4d, %4d with a transaction open", k.kind, hits[k.kind], open[k.kind])
	}
	t.Logf("faults:%s\n%d transactions never ended", b.String(), cut)
	if all == 0 || cut == 0 {
		t.Errorf("%d faults met an open transaction, %d transactions were interrupted: this run shows nothing", all, cut)
	}
}

// schedule is one table, one connector and one plan of faults.
func (e *chaosEnv) schedule(t *testing.T, seed uint64, during time.Duration) *chaosRun {
	t.Helper()
	began := time.Now()
	dice := rand.New(rand.NewPCG(seed, 0))
	writing := randomPace(dice)
	name := fmt.Sprintf("chaos_%d_%d", seed, jobs.Add(1))
	table := newChaosTable(dice, name, writing.rows(during))
	j := table.randomJob(dice, name)
	j.worker["bootstrap.servers"] = e.ways[toKafka].addr()
	j.connector["kudu.masters"] = e.ways[toMaster].addr()
	r := &chaosRun{
		chaosEnv: e, t: t, job: j, initial: 1 + dice.IntN(chaosSlots), hits: make(map[faultKind]int), open: make(map[faultKind]int),
		ended: make(map[*worker]bool), down: make(map[*testenv.Server]bool), back: make(map[*testenv.Server]chan error),
	}
	static := dice.IntN(3) == 0
	for n := range chaosSlots {
		slot := &chaosSlot{job: j}
		if static {
			slot.job = j.as(fmt.Sprint("worker", n)) // the connector's keys stay common
		}
		r.slots = append(r.slots, slot)
	}
	plan := planFaults(dice, during)
	r.keepLogs(seed)

	ctx := t.Context()
	if err := e.s.tool.CreateTable(ctx, table.spec); err != nil {
		t.Fatal(err)
	}
	r.writer = &chaosWriter{table: table, writer: e.s.tool.NewWriter(name)}
	if err := r.writer.write(ctx, writing.loaded, 1000); err != nil {
		t.Fatal(err)
	}
	r.follower = e.s.follow(t, name)
	defer r.follower.close()
	r.tell("table %v; %+v; %d workers, static %t; connector %v; worker %v", table, writing, r.initial, static, j.connector, j.worker)
	for n := range r.initial {
		r.start(n)
	}
	if dice.IntN(2) == 0 { // the other half begins under faults
		r.awaitRows(1, 30*time.Second)
	}
	r.writer.begin(ctx, rand.New(rand.NewPCG(seed, 1)), writing)
	func() {
		defer func() {
			if err := r.writer.finish(); err != nil {
				t.Errorf("the writer: %v", err)
			}
		}()
		defer r.healAll() // also if a fault can't be made: the servers are kept
		r.run(plan, during)
	}()

	healed := time.Now()
	want := int(r.writer.chosen.Load())
	if got := r.awaitRows(want, chaosPatience); got < want {
		t.Errorf("%d of %d rows are seen %v after all was healed", got, want, chaosPatience)
	}
	caughtUp := time.Since(healed)
	for n, slot := range r.slots {
		if slot.current != nil && slot.current.Running() {
			r.left(n)
			slot.current.stop()
		}
	}
	e.s.verifyRows(t, j, table.keys, table.rank)
	e.clear(t, j)
	t.Logf("%d rows, %d starts, faults %v, caught up in %v, %v in all", want, len(r.started), r.hits,
		caughtUp.Round(time.Millisecond), time.Since(began).Round(time.Second))
	return r
}

// keepLogs shows what happened when the schedule fails, and copies all logs to
// a place that stays.
func (r *chaosRun) keepLogs(seed uint64) {
	t := r.t
	t.TempDir() // what is removed after this cleanup
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		t.Logf("to see these faults again: K2K_SEED=%d K2K_CHAOS_SCHEDULES=1\n%s", seed, strings.Join(r.story, "\n"))
		dir := os.Getenv("K2K_CHAOS_LOGS")
		var err error
		if dir == "" {
			dir = os.TempDir()
		}
		if dir, err = os.MkdirTemp(dir, fmt.Sprintf("chaos-%d-", seed)); err != nil {
			t.Error(err)
			return
		}
		logs := map[string]string{"kafka.log": r.s.kafka.Log()}
		for _, server := range r.s.kudu.Servers() {
			logs[server.Name()+".log"] = server.Log()
		}
		for n, w := range r.started {
			logs[fmt.Sprintf("worker-start-%d.log", n)] = w.log
		}
		for _, name := range slices.Sorted(maps.Keys(logs)) {
			if err := copyFile(filepath.Join(dir, name), logs[name]); err != nil {
				t.Error(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "story"), []byte(strings.Join(r.story, "\n")), 0o644); err != nil {
			t.Error(err)
		}
		t.Logf("the logs are in %s", dir)
	})
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// clear removes what the schedule leaves on the servers.
func (e *chaosEnv) clear(t *testing.T, j *job) {
	t.Helper()
	if err := e.s.tool.DropTable(t.Context(), j.table); err != nil {
		t.Errorf("dropping the table: %v", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(e.s.kafka.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopics(t.Context(), j.topic, offsetsTopic(j)); err != nil {
		t.Errorf("deleting the topics: %v", err)
	}
}
