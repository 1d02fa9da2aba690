package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// miniTask publishes rows 0 to total-1 the way a task does: a new producer,
// then the stored position, then transaction after transaction until one has
// an unknown outcome. It checks each stored position against what the outcome
// before it allows.
type miniTask struct {
	*txnBench
	total, batch int
	// giveUp bounds how long ending a transaction may take, as a stop does;
	// 0 means no bound.
	giveUp time.Duration

	outcomes map[outcome]int
	opens    int
}

func (m *miniTask) run() {
	m.t.Helper()
	m.outcomes = make(map[outcome]int)
	// The position may be at least or, if the last outcome is unknown, at most
	// this.
	least, most := 0, 0
	for least < m.total {
		if m.opens++; m.opens > 20 {
			m.t.Fatal("20 producers did not finish the job")
		}
		options := m.options()
		if m.giveUp > 0 {
			options.StopTimeout = m.giveUp
		}
		p, err := openProducer(m.t.Context(), options)
		if err != nil {
			m.t.Logf("opening: %v", err)
			continue
		}
		next := m.load()
		if next != least && next != most {
			m.t.Fatalf("the stored position is %d after %d or %d", next, least, most)
		}
		for next < m.total {
			var out outcome
			out, next, err = m.transact(p, next)
			m.outcomes[out]++
			m.t.Logf("transaction up to %d: %v, %v", next, out, err)
			if (out == committed) != (err == nil) {
				m.t.Fatalf("outcome %v with error %v", out, err)
			}
			if out == unknown {
				break
			}
		}
		least, most = next, min(next+m.batch, m.total)
		p.close()
	}
	m.wantRows(m.total)
	if n := m.load(); n != m.total {
		m.t.Errorf("in the end the position covers %d rows", n)
	}
}

// transact publishes a batch and returns where the task is then.
func (m *miniTask) transact(p *producer, next int) (outcome, int, error) {
	ctx, stop := context.WithCancel(m.t.Context())
	defer stop()
	if err := p.begin(ctx); err != nil {
		return unknown, next, err
	}
	after := min(next+m.batch, m.total)
	for n := next; n < after; n++ {
		if p.produce(ctx, rowRecord(n), p.promise) != nil {
			break // end tells it again
		}
		// Batches of their own, so that faults come between them.
		if n%4 == 3 {
			if err := p.client.Flush(ctx); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	if m.giveUp > 0 {
		stop()
	}
	out, err := p.end(ctx, []*kgo.Record{m.positionRecord(after)})
	if out == committed {
		next = after
	}
	return out, next, err
}

func newMiniTask(t *testing.T, versions *kversion.Versions) *miniTask {
	t.Helper()
	return &miniTask{txnBench: newTxnBench(t, versions, 2), total: 36, batch: 12}
}

// sideBySide runs cases that mostly wait for the client's back-off, so more of
// them at once than there are processors for.
type sideBySide struct {
	t     *testing.T
	wg    sync.WaitGroup
	slots chan struct{}
}

func newSideBySide(t *testing.T) *sideBySide {
	return &sideBySide{t: t, slots: make(chan struct{}, 16)}
}

func (s *sideBySide) run(name string, test func(*testing.T)) {
	s.slots <- struct{}{}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		s.t.Run(name, test)
	})
}

// The codes are those a broker can answer the request with, plus some it
// should not: whatever it says, no row may be lost or come twice.
var faultCodes = map[kmsg.Key][]*kerr.Error{
	kmsg.InitProducerID: {
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable,
		kerr.NotCoordinator, kerr.NotEnoughReplicas, kerr.ProducerFenced, kerr.UnknownServerError,
	},
	kmsg.AddPartitionsToTxn: {
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator,
		kerr.InvalidTxnState, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.ProducerFenced,
		kerr.OperationNotAttempted, kerr.UnknownTopicOrPartition, kerr.UnknownServerError,
	},
	kmsg.Produce: {
		kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerIDMapping,
		kerr.InvalidProducerEpoch, kerr.ConcurrentTransactions, kerr.TransactionAbortable,
		kerr.InvalidTxnState, kerr.MessageTooLarge, kerr.KafkaStorageError, kerr.UnknownServerError,
	},
	kmsg.EndTxn: {
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable,
		kerr.NotCoordinator, kerr.InvalidTxnState, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping,
		kerr.ProducerFenced, kerr.TransactionAbortable, kerr.OperationNotAttempted, kerr.UnknownServerError,
	},
}

func TestEachRowIsPublishedOnceWhateverTheBrokerAnswers(t *testing.T) {
	cases := newSideBySide(t)
	defer cases.wg.Wait()
	for name, versions := range brokerVersions {
		for key, codes := range faultCodes {
			if key == kmsg.AddPartitionsToTxn && versions == nil {
				continue // such a broker is never sent one
			}
			for _, code := range codes {
				for pass := range 3 {
					cases.run(fmt.Sprintf("%s/%s/%s/%d", name, key.Name(), code.Message, pass), func(t *testing.T) {
						m := newMiniTask(t, versions)
						var seen atomic.Int32
						h := m.cluster.Fault(kfake.Fault{
							Keys: []kmsg.Key{key}, Err: code,
							When: func(kmsg.Request) bool { return seen.Add(1) > int32(pass) },
						})
						m.run()
						if key != kmsg.InitProducerID && h.Hits() == 0 {
							t.Error("the fault did not happen")
						}
					})
				}
			}
		}
	}
}

func TestEachRowIsPublishedOnceWhereverAConnectionBreaks(t *testing.T) {
	cases := newSideBySide(t)
	defer cases.wg.Wait()
	for name, versions := range brokerVersions {
		for key := range faultCodes {
			if key == kmsg.AddPartitionsToTxn && versions == nil {
				continue
			}
			for _, answer := range []bool{false, true} {
				for pass := range 3 {
					cases.run(fmt.Sprintf("%s/%s/after=%v/%d", name, key.Name(), answer, pass), func(t *testing.T) {
						m := newMiniTask(t, versions)
						m.network.cut(key, answer, pass, 1)
						m.run()
						if key != kmsg.InitProducerID && m.network.hits == 0 {
							t.Error("no connection was cut")
						}
					})
				}
			}
		}
	}
}

// A commit whose answer never comes is of unknown outcome, whether it was
// carried out or not.
func TestUnansweredCommitIsDecidedByTheStoredPosition(t *testing.T) {
	cases := newSideBySide(t)
	defer cases.wg.Wait()
	for name, versions := range brokerVersions {
		for _, answer := range []bool{false, true} {
			for pass := range 3 {
				cases.run(fmt.Sprintf("%s/carried out=%v/%d", name, answer, pass), func(t *testing.T) {
					m := newMiniTask(t, versions)
					m.giveUp = 700 * time.Millisecond
					// More cuts than the client can retry in that time.
					m.network.cut(kmsg.EndTxn, answer, pass, 3)
					m.run()
					if m.outcomes[unknown] == 0 {
						t.Errorf("no outcome was unknown: %v", m.outcomes)
					}
				})
			}
		}
	}
}

// A commit is carried out, and its answer says that the producer is fenced:
// what a repeated EndTxn gets when a new owner comes between.
func TestRefusedCommitMayHaveBeenCarriedOut(t *testing.T) {
	forBothBrokers(t, func(t *testing.T, versions *kversion.Versions) {
		for _, code := range []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.TransactionAbortable} {
			m := newMiniTask(t, versions)
			raw, err := kgo.NewClient(m.options().Kafka.Within(m.t.Context())...)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			var nested atomic.Bool
			m.cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
				if nested.Swap(true) {
					return nil, nil, false // the one sent below, and all later ones
				}
				m.cluster.SleepControl(func() {
					same := *req.(*kmsg.EndTxnRequest)
					resp, err := same.RequestWith(context.Background(), raw)
					if err == nil {
						err = kerr.ErrorForCode(resp.ErrorCode)
					}
					if err != nil {
						t.Errorf("carrying the commit out: %v", err)
					}
				})
				resp := req.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = code.Code
				return resp, nil, true
			})
			m.run()
			if m.outcomes[unknown] != 1 || m.outcomes[committed] != 2 {
				t.Errorf("%v: outcomes %v", code, m.outcomes)
			}
		}
	})
}

// The client answers a partition that forgot the producer, for having lost
// its head, with a new epoch in the middle of a transaction. What had been
// acknowledged before is aborted then, so the rest must not commit.
func TestTransactionThatChangedItsEpochDoesNotCommit(t *testing.T) {
	forBothBrokers(t, func(t *testing.T, versions *kversion.Versions) {
		b := newTxnBench(t, versions, 1)
		p := b.open()
		b.begin(p)
		if err := p.produce(t.Context(), rowRecord(0), p.promise); err != nil {
			t.Fatal(err)
		}
		if err := p.client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			in := req.(*kmsg.ProduceRequest)
			resp := req.ResponseKind().(*kmsg.ProduceResponse)
			for _, rt := range in.Topics {
				topic := kmsg.NewProduceResponseTopic()
				topic.Topic, topic.TopicID = rt.Topic, rt.TopicID
				for _, rp := range rt.Partitions {
					part := kmsg.NewProduceResponseTopicPartition()
					part.Partition = rp.Partition
					part.ErrorCode = kerr.UnknownProducerID.Code
					part.LogStartOffset = 1000
					topic.Partitions = append(topic.Partitions, part)
				}
				resp.Topics = append(resp.Topics, topic)
			}
			return resp, nil, true
		})
		if err := p.produce(t.Context(), rowRecord(1), p.promise); err != nil {
			t.Fatal(err)
		}
		out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(2)})
		if out == committed || err == nil {
			t.Errorf("outcome %v, %v", out, err)
		}
		b.open()
		if n := b.load(); n != 0 {
			t.Errorf("the position covers %d rows", n)
		}
		if rows := b.visible(); len(rows) != 0 {
			t.Errorf("visible: %v", rows)
		}
	})
}

// A transaction that outlives its timeout is aborted by the coordinator, which
// takes the epoch away.
func TestTransactionThatTimedOutIsPublishedAnew(t *testing.T) {
	forBothBrokers(t, func(t *testing.T, versions *kversion.Versions) {
		b := newTxnBench(t, versions, 1)
		options := b.options()
		options.TransactionTimeout = 100 * time.Millisecond
		p, err := openProducer(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		b.begin(p)
		if err := p.produce(t.Context(), rowRecord(0), p.promise); err != nil {
			t.Fatal(err)
		}
		if err := p.client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Load waits for the coordinator's marker.
		if loaded, err := offsets.Load(t.Context(), options.Kafka.Within(t.Context()), rowsTopic, 0, "none"); loaded != nil && len(loaded.Positions) != 0 {
			t.Error(loaded.Positions, err)
		}
		out, err := p.end(t.Context(), []*kgo.Record{b.positionRecord(1)})
		if out == committed {
			t.Errorf("outcome %v, %v", out, err)
		}
		m := &miniTask{txnBench: b, total: 36, batch: 12}
		m.run()
	})
}

func TestProducerIsNotOpenedAgainstTheBrokersWill(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.TransactionalIDAuthorizationFailed, kerr.InvalidTransactionTimeout} {
		b := newTxnBench(t, nil, 1)
		b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: code})
		_, err := openProducer(t.Context(), b.options())
		if !errors.Is(err, code) || !fatal(err) {
			t.Errorf("got %v", err)
		}
	}
	// A broker that does not answer holds nobody up beyond the context.
	b := newTxnBench(t, nil, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	b.cluster.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		stop()
		return nil, nil, true
	})
	if _, err := openProducer(ctx, b.options()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
