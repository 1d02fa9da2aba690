package connector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

const (
	rowsTopic    = "rows"
	offsetsTopic = "g-orders-offsets"
)

var testKey = offsets.Key{Connector: "orders", Table: "shop.orders", Tablet: "0123456789abcdef0123456789abcdef"}

// brokerVersions are a broker where a produce request joins the transaction by
// itself and EndTxn bumps the epoch (KIP-890), and one where partitions are
// added by a request of their own.
var brokerVersions = map[string]*kversion.Versions{"implicit": nil, "explicit": kversion.V3_7_0()}

// txnBench is a fake broker with the two topics, and a network that can cut
// connections.
type txnBench struct {
	t       *testing.T
	cluster *kfake.Cluster
	network *network
}

func newTxnBench(t *testing.T, versions *kversion.Versions, rowPartitions int32) *txnBench {
	t.Helper()
	b := &txnBench{t: t, network: &network{}}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(b.network.listen)}
	if versions != nil {
		opts = append(opts, kfake.MaxVersions(versions))
	}
	b.cluster = kfake.MustCluster(opts...)
	t.Cleanup(b.cluster.Close)
	for topic, partitions := range map[string]int32{rowsTopic: rowPartitions, offsetsTopic: 2} {
		if err := b.cluster.CreateTopic(topic, partitions, nil); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *txnBench) options() producerOptions {
	return producerOptions{
		Kafka:           kafka.Options{BootstrapServers: b.cluster.ListenAddrs()},
		TransactionalID: "g-orders-1",
		OffsetsTopic:    offsetsTopic,
	}
}

func (b *txnBench) open() *producer {
	b.t.Helper()
	p, err := openProducer(b.t.Context(), b.options())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.close)
	return p
}

func (b *txnBench) begin(p *producer) {
	b.t.Helper()
	if err := p.begin(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func rowRecord(n int) *kgo.Record {
	return &kgo.Record{Topic: rowsTopic, Key: fmt.Append(nil, n%5), Value: fmt.Append(nil, n)}
}

// positionRecord says that n rows have been published.
func (b *txnBench) positionRecord(n int) *kgo.Record {
	b.t.Helper()
	r, err := offsets.Record(offsetsTopic, 1, testKey, offsets.Position{Mode: "offset", Snapshot: uint64(n)})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// load returns how many rows the stored position covers.
func (b *txnBench) load() int {
	b.t.Helper()
	loaded, err := offsets.Load(b.t.Context(), b.options().Kafka.Within(b.t.Context()), offsetsTopic, 1, "orders")
	if err != nil {
		b.t.Fatal(err)
	}
	return int(loaded.Positions[testKey].Snapshot)
}

// visible returns what a read_committed consumer sees of the rows, for each
// key in order.
func (b *txnBench) visible() map[string][]string {
	b.t.Helper()
	client, err := kgo.NewClient(append(b.options().Kafka.Within(b.t.Context()),
		kgo.ConsumeTopics(rowsTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(b.t.Context(), rowsTopic)
	if err != nil {
		b.t.Fatal(err)
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	rows := make(map[string][]string)
	for left > 0 {
		fetches := client.PollFetches(b.t.Context())
		if err := fetches.Err(); err != nil {
			b.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				rows[string(r.Key)] = append(rows[string(r.Key)], string(r.Value))
			}
			// Every transaction ends in a control record.
			if end, _ := ends.Lookup(rowsTopic, r.Partition); r.Offset == end.Offset-1 {
				left--
			}
		})
	}
	return rows
}

// wantRows checks that rows 0 to n-1 are visible, once and in order.
func (b *txnBench) wantRows(n int) {
	b.t.Helper()
	want := make(map[string][]string)
	for i := range n {
		r := rowRecord(i)
		want[string(r.Key)] = append(want[string(r.Key)], string(r.Value))
	}
	got := b.visible()
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			b.t.Errorf("rows of key %s are %v, want %v", key, got[key], want[key])
		}
	}
	if len(got) != len(want) {
		b.t.Errorf("rows of %d keys are visible, want %d", len(got), len(want))
	}
}

func forBothBrokers(t *testing.T, test func(*testing.T, *kversion.Versions)) {
	for name, versions := range brokerVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, versions)
		})
	}
}

func TestCommittedRowsAndPositionsAreVisibleAndAbortedOnesAreNot(t *testing.T) {
	forBothBrokers(t, func(t *testing.T, versions *kversion.Versions) {
		b := newTxnBench(t, versions, 3)
		p := b.open()
		next := 0
		for i := range 6 {
			b.begin(p)
			for n := range 10 {
				if err := p.produce(t.Context(), rowRecord(next+n), p.promise); err != nil {
					t.Fatal(err)
				}
			}
			if i%3 == 2 {
				if out, err := p.abort(t.Context()); out != aborted || err != nil {
					t.Fatal(out, err)
				}
				continue
			}
			if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(next + 10)}); out != committed || err != nil {
				t.Fatal(out, err)
			}
			next += 10
		}
		b.wantRows(40)
		if n := b.load(); n != 40 {
			t.Errorf("the position covers %d rows", n)
		}
	})
}

// A client that is to commit before it has noted where its first records have gone aborts,
// and says that it has committed.
func TestCommitWaitsUntilTheClientHasNotedThePartitions(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	p := b.open()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.awaitOffsetsTopic(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing was produced, and the client has partitions: %v", err)
	}
	b.begin(p)
	if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(1)}); out != committed {
		t.Fatal(out, err)
	}
	if !p.offsetsNoted {
		t.Error("the commit didn't look whether the client has the partitions")
	}
	if b.load() != 1 {
		t.Error("the position isn't stored")
	}
}

func TestPositionIsWrittenToTheTasksPartitionWhateverItsKey(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	p := b.open()
	b.begin(p)
	r := b.positionRecord(0)
	if out, err := p.end(t.Context(), []*kgo.Record{r}); out != committed {
		t.Fatal(out, err)
	}
	if r.Partition != 1 || r.Offset != 0 {
		t.Errorf("the position is at %d-%d", r.Partition, r.Offset)
	}
}

func TestTransactionWithoutAPositionAborts(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	p := b.open()
	b.begin(p)
	if err := p.produce(t.Context(), rowRecord(0), p.promise); err != nil {
		t.Fatal(err)
	}
	if out, err := p.end(t.Context(), nil); out != aborted || err == nil {
		t.Errorf("%v, %v", out, err)
	}
	b.wantRows(0)
}

func TestRecordThatIsTooLargeIsNamedAndAborts(t *testing.T) {
	forBothBrokers(t, func(t *testing.T, versions *kversion.Versions) {
		for _, where := range []string{"client", "broker"} {
			b := newTxnBench(t, versions, 1)
			p := b.open()
			b.begin(p)
			large := &kgo.Record{Topic: rowsTopic, Key: []byte(`{"id":77}`), Value: make([]byte, 3_000)}
			if where == "client" {
				large.Value = make([]byte, 1_100_000)
			} else {
				b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: rowsTopic, Err: kerr.MessageTooLarge})
			}
			for _, r := range []*kgo.Record{rowRecord(0), large, rowRecord(1)} {
				_ = p.produce(t.Context(), r, p.promise) // the failure may show at any of them, or at the end
			}
			out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(3)})
			if out != aborted || !errors.Is(err, kafka.ErrPermanent) || !errors.Is(err, kerr.MessageTooLarge) {
				t.Fatalf("%s: %v, %v", where, out, err)
			}
			for _, part := range []string{`{\"id\":77}`, "max.message.bytes", rowsTopic} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %q is not in: %v", where, part, err)
				}
			}
			// The producer is good for another transaction.
			b.begin(p)
			if err := p.produce(t.Context(), rowRecord(0), p.promise); err != nil {
				t.Fatal(err)
			}
			if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(1)}); out != committed {
				t.Fatal(where, out, err)
			}
			b.wantRows(1)
		}
	})
}

func TestNewProducerFencesTheOldOneAndItsRowsStayHidden(t *testing.T) {
	forBothBrokers(t, func(t *testing.T, versions *kversion.Versions) {
		for _, when := range []string{"before produce", "before end", "after the new one's transaction"} {
			b := newTxnBench(t, versions, 1)
			old := b.open()
			b.begin(old)
			produce := func(p *producer, n int) {
				// A fenced producer may notice at once.
				if err := p.produce(t.Context(), rowRecord(n), p.promise); err != nil && p != old {
					t.Fatal(err)
				}
				if err := p.client.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if when != "before produce" {
				produce(old, 100)
			}
			owner := b.open()
			if n := b.load(); n != 0 { // does not hang: the old transaction has ended
				t.Fatal(n)
			}
			b.begin(owner)
			produce(owner, 0)
			if when == "after the new one's transaction" {
				if out, err := owner.end(t.Context(), []*kgo.Record{b.positionRecord(1)}); out != committed {
					t.Fatal(when, out, err)
				}
			}
			produce(old, 101)
			out, err := old.end(t.Context(), []*kgo.Record{b.positionRecord(200)})
			if out != unknown || !errors.Is(err, errFenced) {
				t.Errorf("%s: the zombie's outcome is %v, %v", when, out, err)
			}
			if err := old.begin(t.Context()); !errors.Is(err, errFenced) || !errors.Is(err, errProducerSpent) {
				t.Errorf("%s: the zombie goes on: %v", when, err)
			}
			if when != "after the new one's transaction" {
				if out, err := owner.end(t.Context(), []*kgo.Record{b.positionRecord(1)}); out != committed {
					t.Fatal(when, out, err)
				}
			}
			b.wantRows(1)
			if n := b.load(); n != 1 {
				t.Errorf("%s: the position covers %d rows", when, n)
			}
		}
	})
}

func TestStopFinishesTheTransactionThatIsOpen(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	p := b.open()
	b.begin(p)
	ctx, stop := context.WithCancel(t.Context())
	if err := p.produce(ctx, rowRecord(0), p.promise); err != nil {
		t.Fatal(err)
	}
	stop()
	if out, err := p.end(ctx, []*kgo.Record{b.positionRecord(1)}); out != committed {
		t.Fatal(out, err)
	}
	b.wantRows(1)
}

func TestStopGivesUpOnABrokerThatDoesNotAnswer(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	options := b.options()
	options.StopTimeout = 50 * time.Millisecond
	p, err := openProducer(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	b.begin(p)
	if err := p.produce(t.Context(), rowRecord(0), p.promise); err != nil {
		t.Fatal(err)
	}
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		return nil, nil, true // swallowed
	})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if out, err := p.end(ctx, []*kgo.Record{b.positionRecord(1)}); out != unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", out, err)
	}
}

// A stopped task may wait for room first, then for a commit, then for an abort: it has
// StopTimeout for all of it together.
func TestWhatAStoppedTaskWaitsForSharesOneTime(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	ctx, stop := context.WithCancel(t.Context())
	options := b.options()
	options.StopTimeout = 50 * time.Millisecond
	p, err := openProducer(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if end, cancel := p.endContext(ctx); end.Err() != nil {
		t.Error("a transaction can't end, though nothing was stopped")
	} else {
		cancel()
	}
	stop()
	<-p.run.Done()
	end, cancel := p.endContext(ctx)
	defer cancel()
	if end.Err() == nil {
		t.Error("what ends a transaction has time anew, though the time of the stop is over")
	}
}

func TestProduceWaitsWhileTheBufferIsFull(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	options := b.options()
	options.MaxBufferedBytes = 50_000
	p, err := openProducer(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	b.begin(p)

	// The broker holds its answers until released.
	release := make(chan struct{})
	var holding atomic.Bool
	b.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if holding.Load() {
			b.cluster.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	holding.Store(true)
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	n, produced := 0, error(nil)
	for ; produced == nil; n++ {
		produced = p.produce(ctx, &kgo.Record{Topic: rowsTopic, Value: make([]byte, 1000)}, p.promise)
	}
	if !errors.Is(produced, context.DeadlineExceeded) || n > 50_000/(1000+recordBytes)+1 {
		t.Errorf("%d records were taken, then: %v", n, produced)
	}
	holding.Store(false)
	close(release)
	// The last record was not taken, so its position must not commit.
	if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(n)}); out != aborted || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", out, err)
	}
	// Room is made as records are acknowledged, also for one that is larger
	// than the buffer.
	b.begin(p)
	for i := range 1000 {
		if err := p.produce(t.Context(), rowRecord(i), p.promise); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.produce(t.Context(), &kgo.Record{Topic: rowsTopic, Value: make([]byte, 100_000)}, p.promise); err != nil {
		t.Fatal(err)
	}
	if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(1)}); out != committed {
		t.Fatal(out, err)
	}
	if sent, acked := p.sent, p.acked.Load(); sent != acked {
		t.Errorf("%d bytes sent, %d acknowledged", sent, acked)
	}
}

func TestProduceDoesNotWaitForRoomLongerThanATransactionMayTake(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	options := b.options()
	options.MaxBufferedBytes, options.TransactionTimeout = 5000, 200*time.Millisecond
	p, err := openProducer(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	b.begin(p)
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	for err == nil {
		err = p.produce(t.Context(), &kgo.Record{Topic: rowsTopic, Value: make([]byte, 1000)}, p.promise)
	}
	if !errors.Is(err, errNoRoom) || fatal(err) {
		t.Errorf("got %v", err)
	}
}

func TestMisuseIsAnError(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	p := b.open()
	if err := p.produce(t.Context(), rowRecord(0), p.promise); err == nil {
		t.Error("produced outside of a transaction")
	}
	if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(0)}); out != unknown || err == nil {
		t.Error("ended no transaction", out, err)
	}
	if out, err := p.abort(t.Context()); out != aborted || err != nil {
		t.Error("nothing to abort", out, err)
	}
	b.begin(p)
	if err := p.begin(t.Context()); err == nil {
		t.Error("began twice")
	}
	if _, err := openProducer(t.Context(), producerOptions{Compression: "lzma"}); err == nil || !strings.Contains(err.Error(), "zstd") {
		t.Error(err)
	}
}

func TestPromisesDoNotAllocate(t *testing.T) {
	p := &producer{}
	r := rowRecord(1)
	if n := testing.AllocsPerRun(100, func() { p.done(r, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// network lets a test cut a broker's connections at a request, before the
// broker has seen it or when it answers.
type network struct {
	mu      sync.Mutex
	key     kmsg.Key
	answer  bool // cut at the answer instead of the request
	pass, n int  // requests to pass first, requests to cut then
	hits    int
}

func (w *network) cut(key kmsg.Key, answer bool, pass, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.key, w.answer, w.pass, w.n = key, answer, pass, n
}

// request decides about a request: whether to cut now, or at its answer.
func (w *network) request(key kmsg.Key) (now, later bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == 0 || key != w.key {
		return false, false
	}
	if w.pass > 0 {
		w.pass--
		return false, false
	}
	w.n--
	w.hits++
	return !w.answer, w.answer
}

func (w *network) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &cutListener{l, w}, err
}

type cutListener struct {
	net.Listener
	network *network
}

func (l *cutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: c, network: l.network, doomed: make(map[uint32]bool)}, nil
}

// cutConn is the broker's side of a connection. It hands requests on frame by
// frame.
type cutConn struct {
	net.Conn
	network *network
	frame   []byte // what is left of the request being read
	mu      sync.Mutex
	doomed  map[uint32]bool // correlation ids whose answer is cut
}

func (c *cutConn) Read(b []byte) (int, error) {
	if len(c.frame) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
			return 0, err
		}
		frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
		copy(frame, size[:])
		if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
			return 0, err
		}
		now, later := c.network.request(kmsg.Key(binary.BigEndian.Uint16(frame[4:])))
		if now {
			c.Close()
			return 0, io.ErrUnexpectedEOF
		}
		if later {
			c.mu.Lock()
			c.doomed[binary.BigEndian.Uint32(frame[8:])] = true
			c.mu.Unlock()
		}
		c.frame = frame
	}
	n := copy(b, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

// Write relies on kfake's writing an answer in one piece.
func (c *cutConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	doomed := len(b) >= 8 && c.doomed[binary.BigEndian.Uint32(b[4:])]
	c.mu.Unlock()
	if doomed {
		c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// See requestRoom: whether a batch that is full at first was too large for a request
// depended on the length of its records.
func TestFirstBatchIsSentWhateverTheLengthOfItsRecords(t *testing.T) {
	b := newTxnBench(t, nil, 1)
	opts := b.options()
	// The task waits for room before it ends the transaction, so that batches fill up.
	opts.MaxBufferedBytes = 128 << 10
	opts.BatchMaxBytes, opts.MaxRequestBytes, opts.Linger, opts.TransactionTimeout = 16<<10, 16<<10, 50*time.Millisecond, 20*time.Second
	sent := 0
	for length := range 100 {
		p, err := openProducer(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		b.begin(p)
		for range 600 {
			if err := p.produce(t.Context(), &kgo.Record{Topic: rowsTopic, Value: make([]byte, length)}, p.promise); err != nil {
				t.Fatal(err)
			}
		}
		sent++
		if out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(sent)}); out != committed || err != nil {
			t.Fatalf("records of %d bytes: %v, %v", length, out, err)
		}
		p.close()
	}
	if got := b.load(); got != sent {
		t.Errorf("the position says %d transactions, want %d", got, sent)
	}
}
