package offsets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const testTopic = "g-orders-offsets"

func newCluster(t *testing.T) (*kfake.Cluster, []kgo.Opt) {
	t.Helper()
	c := kfake.MustCluster(kfake.NumBrokers(2))
	t.Cleanup(c.Close)
	if err := c.CreateTopic(testTopic, 2, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	return c, []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

// txn is a transaction by a producer of its own.
type txn struct {
	t      *testing.T
	client *kgo.Client
}

func beginTxn(t *testing.T, opts []kgo.Opt, id string) *txn {
	t.Helper()
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	x := &txn{t, client}
	x.begin()
	return x
}

func (x *txn) begin() {
	x.t.Helper()
	if err := x.client.BeginTransaction(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *txn) produce(records ...*kgo.Record) *txn {
	x.t.Helper()
	if err := x.client.ProduceSync(x.t.Context(), records...).FirstErr(); err != nil {
		x.t.Fatal(err)
	}
	return x
}

func (x *txn) end(commit bool) {
	x.t.Helper()
	if err := x.client.EndTransaction(context.Background(), kgo.TransactionEndTry(commit)); err != nil {
		x.t.Fatal(err)
	}
}

func testKey(tablet int) Key { return Key{"orders", "shop.orders", fmt.Sprintf("%032x", tablet)} }

func testPosition(snapshot uint64) Position { return Position{Mode: "offset", Snapshot: snapshot} }

func record(t *testing.T, tablet int, snapshot uint64) *kgo.Record {
	t.Helper()
	r, err := Record(testTopic, 0, testKey(tablet), testPosition(snapshot))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tombstone(t *testing.T, tablet int) *kgo.Record {
	t.Helper()
	r, err := Tombstone(testTopic, 0, testKey(tablet))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantPositions(t *testing.T, opts []kgo.Opt, want map[int]uint64) {
	t.Helper()
	got, err := Load(t.Context(), opts, testTopic, 0, "orders")
	if err != nil {
		t.Fatal(err)
	}
	wanted := make(map[Key]Position)
	for tablet, snapshot := range want {
		wanted[testKey(tablet)] = testPosition(snapshot)
	}
	if !reflect.DeepEqual(got.Positions, wanted) {
		t.Errorf("got %v\nwant %v", got.Positions, wanted)
	}
}

func TestLoadOfAnEmptyPartitionIsEmpty(t *testing.T) {
	_, opts := newCluster(t)
	wantPositions(t, opts, nil)
}

func TestLoadReturnsTheLastCommittedPositionOfEachTablet(t *testing.T) {
	_, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	x.produce(record(t, 1, 10), record(t, 2, 10), record(t, 3, 10)).end(true)
	x.begin()
	x.produce(record(t, 1, 20), tombstone(t, 3)).end(true)
	x.begin()
	x.produce(record(t, 1, 30), record(t, 4, 30)).end(false)
	// The partition ends in aborted data and markers.
	wantPositions(t, opts, map[int]uint64{1: 20, 2: 10})
}

func TestLoadReadsPastAnEndWithoutAnyRecords(t *testing.T) {
	_, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	for range 5 {
		x.produce(record(t, 1, 30)).end(false)
		x.begin()
	}
	wantPositions(t, opts, nil)
}

func TestLoadReadsACompactedPartition(t *testing.T) {
	c, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	for i := range uint64(50) {
		x.produce(record(t, 1, i+1), record(t, 2, i+1)).end(i%7 != 6)
		x.begin()
	}
	x.produce(tombstone(t, 2)).end(true)
	c.Compact()
	wantPositions(t, opts, map[int]uint64{1: 50})
}

func TestLoadFollowsALogWhoseStartMoved(t *testing.T) {
	c, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	for i := range uint64(3) {
		x.produce(record(t, int(i), i+1)).end(true)
		x.begin()
	}
	// Between listing the start and the first fetch, the head is deleted.
	var deleted atomic.Bool
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if deleted.Swap(true) {
			return nil, nil, false
		}
		c.SleepControl(func() {
			if err := c.DeleteRecords(testTopic, 0, 4); err != nil {
				t.Error(err)
			}
		})
		return nil, nil, false
	})
	wantPositions(t, opts, map[int]uint64{2: 3})
}

func TestAnOpenTransactionOfANeighbourDelaysLoadAndHidesNothing(t *testing.T) {
	c, opts := newCluster(t)
	own := beginTxn(t, opts, "task")
	own.produce(record(t, 1, 10)).end(true)
	neighbour := beginTxn(t, opts, "neighbour")
	neighbour.produce(&kgo.Record{Topic: testTopic, Key: []byte(`["other",{"table":"t","tablet":"x"}]`), Value: []byte("whatever")})
	own.begin()
	own.produce(record(t, 1, 20)).end(true)

	// The neighbour ends once Load is seen to wait: it fetches a second time.
	fetches := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := fetches.Wait(t.Context(), 3); err != nil {
			t.Error(err)
		}
		neighbour.end(true)
	}()
	wantPositions(t, opts, map[int]uint64{1: 20})
	<-ended
}

func TestLoadSaysWhichTransactionItWaitsFor(t *testing.T) {
	c, opts := newCluster(t)
	own := beginTxn(t, opts, "task")
	own.produce(record(t, 1, 10)).end(true) // offsets 0 and 1
	own.begin()
	own.produce(record(t, 1, 20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fetches := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		if err := fetches.Wait(t.Context(), 3); err != nil {
			t.Error(err)
		}
		cancel()
	}()
	_, err := Load(ctx, opts, testTopic, 0, "orders")
	<-waited
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "at offset 2 of 3 for the transaction open since offset 2") {
		t.Errorf("got %v", err)
	}
}

func TestAReaderGivesUpOnATransactionThatDoesNotEnd(t *testing.T) {
	_, opts := newCluster(t)
	own := beginTxn(t, opts, "task")
	own.produce(record(t, 1, 10)).end(true) // offsets 0 and 1
	own.begin()
	own.produce(record(t, 1, 20))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := newReader(client, testTopic, 0)
	r.patience = 300 * time.Millisecond
	read := 0
	err = r.readToEnd(t.Context(), func(*kgo.Record) error { read++; return nil })
	if !errors.Is(err, ErrOpenTransaction) || read != 1 || !strings.Contains(err.Error(), "since offset 2, waited at offset 2 of 3") {
		t.Errorf("read %d records, %v", read, err)
	}
	own.end(true)
	wantPositions(t, opts, map[int]uint64{1: 20})
}

func TestLoadIgnoresWhatIsWrittenAfterItBegan(t *testing.T) {
	c, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	x.produce(record(t, 1, 10)).end(true)
	x.begin()
	var written atomic.Bool
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !written.Swap(true) {
			c.SleepControl(func() { x.produce(record(t, 1, 20), record(t, 2, 20)).end(true) })
		}
		return nil, nil, false
	})
	wantPositions(t, opts, map[int]uint64{1: 10})
}

func TestLoadFollowsTheLeader(t *testing.T) {
	c, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	x.produce(record(t, 1, 10)).end(true)
	var moved atomic.Bool
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !moved.Swap(true) {
			from := c.CurrentNode()
			c.SleepControl(func() {
				if err := c.MoveTopicPartition(testTopic, 0, 1-from); err != nil {
					t.Error(err)
				}
			})
		}
		return nil, nil, false
	})
	wantPositions(t, opts, map[int]uint64{1: 10})
	if !moved.Load() {
		t.Error("the leader did not move")
	}
}

func TestLoadRetriesAThrottledAndAnOverloadedBroker(t *testing.T) {
	c, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	x.produce(record(t, 1, 10)).end(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		return req.ResponseKind(), nil, true // no topics: throttled
	})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError, Count: 2})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.OffsetNotAvailable})
	wantPositions(t, opts, map[int]uint64{1: 10})
}

func TestLoadOfAMissingTopicIsAnError(t *testing.T) {
	t.Parallel() // it waits for the topic for some seconds
	_, opts := newCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var wg sync.WaitGroup
	defer cancel()
	defer wg.Wait()
	for _, p := range []struct {
		topic     string
		partition int32
	}{{"missing", 0}, {testTopic, 2}} {
		wg.Go(func() {
			if _, err := Load(ctx, opts, p.topic, p.partition, "orders"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
				t.Errorf("%v: got %v", p, err)
			} else if want := fmt.Sprintf("%s-%d", p.topic, p.partition); !strings.Contains(err.Error(), want) {
				t.Errorf("%v is not in: %v", want, err)
			}
		})
	}
}

func TestRecordsOfOtherConnectorsAreSkipped(t *testing.T) {
	_, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	x.produce(
		record(t, 1, 10),
		&kgo.Record{Topic: testTopic, Key: []byte(`["jdbc",{"protocol":"1","table":"db.t"}]`), Value: []byte(`{"incrementing":7}`)},
		&kgo.Record{Topic: testTopic, Key: []byte(`["orders2",{"table":"shop.orders","tablet":"x"}]`), Value: []byte(`{}`)},
	).end(true)
	wantPositions(t, opts, map[int]uint64{1: 10})
}

func TestARecordThatCannotBeReadStopsLoadUntilItIsReplaced(t *testing.T) {
	good := string(record(t, 1, 10).Key)
	for name, bad := range map[string]*kgo.Record{
		"later version":      {Key: []byte(good), Value: []byte(`{"version":3,"mode":"offset"}`)},
		"empty value":        {Key: []byte(good), Value: []byte{}},
		"other spelling":     {Key: []byte(strings.Replace(good, ",", ", ", 1)), Value: []byte(`{"version":1,"mode":"offset"}`)},
		"key of another use": {Key: []byte("session-1"), Value: []byte("x")},
		"no key":             {Value: []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			_, opts := newCluster(t)
			x := beginTxn(t, opts, "task")
			bad.Topic = testTopic
			x.produce(record(t, 1, 10), bad).end(true)
			x.begin()
			_, err := Load(t.Context(), opts, testTopic, 0, "orders")
			var unreadable *UnreadableError
			if !errors.As(err, &unreadable) || unreadable.Offset != 1 || string(unreadable.Key) != string(bad.Key) {
				t.Fatalf("got %v", err)
			}
			for _, part := range []string{testTopic + "-0 offset 1", "tombstone"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			x.produce(&kgo.Record{Topic: testTopic, Key: bad.Key}).end(true)
			want := map[int]uint64{1: 10}
			if string(bad.Key) == good {
				want = nil
			}
			wantPositions(t, opts, want)
		})
	}
}

func TestALaterPositionReplacesOneThatCannotBeRead(t *testing.T) {
	_, opts := newCluster(t)
	bad := record(t, 1, 10)
	bad.Value = []byte("?")
	x := beginTxn(t, opts, "task")
	x.produce(record(t, 1, 5), bad, record(t, 1, 20)).end(true)
	wantPositions(t, opts, map[int]uint64{1: 20})
}

func TestATopicOfAnotherUseIsNotCollected(t *testing.T) {
	l := newLog(testTopic, 0, "orders")
	var err error
	n := 0
	for ; err == nil && n < 10*maxBroken; n++ {
		err = l.apply(&kgo.Record{Topic: testTopic, Offset: int64(n), Key: fmt.Append(nil, n), Value: []byte("x")})
	}
	if n != maxBroken+1 {
		t.Errorf("gave up after %d records: %v", n, err)
	}
}

func TestLoadIsLinearInWhatItReads(t *testing.T) {
	_, opts := newCluster(t)
	x := beginTxn(t, opts, "task")
	want := make(map[int]uint64)
	for i := range 20 {
		var records []*kgo.Record
		for tablet := range 200 {
			r := record(t, tablet, uint64(i+1))
			records = append(records, r)
			want[tablet] = uint64(i + 1)
		}
		x.produce(records...).end(true)
		x.begin()
	}
	wantPositions(t, opts, maps.Clone(want))
}
