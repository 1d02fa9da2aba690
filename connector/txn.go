package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/grace"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// This file is the only sender of position records: the end of the way of a
// row, after serde has encoded it. Next: offsets/log.go, which says what the
// position record holds and reads it back.

// outcome is how a transaction ended, as far as this side knows.
type outcome int

const (
	// unknown: nobody here can tell. The producer is spent: close it, open
	// another (which ends the transaction one way or the other) and read the
	// positions anew; what they say is the truth.
	unknown outcome = iota
	// committed: rows and positions are visible to read_committed consumers.
	committed
	// aborted: neither ever will be, and the producer can begin again.
	aborted
)

func (o outcome) String() string { return string(o.told()) }

// told is the outcome as observers know it.
func (o outcome) told() Outcome {
	switch o {
	case committed:
		return OutcomeCommitted
	case aborted:
		return OutcomeAborted
	default:
		return OutcomeUnknown
	}
}

var (
	// errFenced is in the chain of errors of a producer that lost its epoch;
	// see kafka.ErrFenced for what the task has to make sure of then.
	errFenced = kafka.ErrFenced
	// errProducerSpent is what a producer answers after an unknown outcome.
	errProducerSpent = errors.New("the producer's last transaction has an unknown outcome")
	// errNoRoom: the buffer stayed full for as long as a transaction may take.
	errNoRoom = errors.New("the producer's buffer is full")
)

// producerOptions configures the transactional producer of one task. Zero
// values mean the defaults named.
type producerOptions struct {
	Kafka           kafka.Options
	TransactionalID string // <group.id>-<connector>-<task>
	OffsetsTopic    string // its records go to the partition they name

	// TransactionTimeout is when the coordinator aborts an open transaction;
	// also the longest that ending one, or delivering a record, may take.
	// Default 1 min.
	TransactionTimeout time.Duration
	// StopTimeout is how long ending a transaction may take once the task's
	// context is done. Default 8 s: a worker has 10 s to stop.
	StopTimeout time.Duration
	// Linger is how long a batch waits to fill up; 0 sends at once. While rows
	// come at full speed batches fill by themselves, and a flush never
	// lingers, so 0 to 5 ms is the useful range.
	Linger time.Duration
	// Compression is none (default), gzip, snappy, lz4 or zstd.
	Compression string
	// BatchMaxBytes bounds a batch, and so a record, before compression.
	// Default 1,000,012, the broker's own default for max.message.bytes.
	BatchMaxBytes int32
	// MaxRequestBytes bounds a produce request, which holds a batch of each
	// partition led by one broker. Default 100 MiB, the broker's own limit.
	MaxRequestBytes int32
	// MaxBufferedBytes bounds the records that are produced and not yet
	// acknowledged, in bytes of memory: key, value, headers and recordBytes
	// each. Default 32 MiB.
	MaxBufferedBytes int
}

func (o *producerOptions) setDefaults() {
	setDefault(&o.TransactionTimeout, time.Minute)
	setDefault(&o.StopTimeout, 8*time.Second)
	setDefault(&o.BatchMaxBytes, 1000012)
	setDefault(&o.MaxRequestBytes, 100<<20)
	setDefault(&o.MaxBufferedBytes, 32<<20)
	o.BatchMaxBytes = min(o.BatchMaxBytes, mostRequestBytes-requestRoom)
	o.MaxRequestBytes = max(o.MaxRequestBytes, o.BatchMaxBytes+requestRoom)
}

// requestRoom is what a request may be larger than a batch at least. Until a broker
// has answered its first request to produce, the client (kgo 1.22) doesn't know by
// which format to write, counts the records in a batch by the older and longer one, but
// the last of them by the newer one. So a first batch that is full can be some bytes
// too large for a request of its own size: it would never be sent, nor anything else,
// and the client would try again and again.
const requestRoom = 4 << 10

// mostRequestBytes is the most that the client takes for a request.
const mostRequestBytes = 1 << 30

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// recordBytes is what a buffered record takes beside its bytes: the record
// itself, its place in a batch and its share of the request being written.
const recordBytes = 320

// codecs are the values of compression.type.
var codecs = map[string]kgo.CompressionCodec{
	"":       kgo.NoCompression(),
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

// clientOpts are chosen for a million small records a second. The client lives as long
// as run, at most.
func (o *producerOptions) clientOpts(run context.Context) ([]kgo.Opt, error) {
	codec, ok := codecs[o.Compression]
	if !ok {
		return nil, fmt.Errorf("opening producer %s: no compression type %q: choose none, gzip, snappy, lz4 or zstd", o.TransactionalID, o.Compression)
	}
	return append(o.Kafka.Within(run),
		kgo.TransactionalID(o.TransactionalID),
		kgo.TransactionTimeout(o.TransactionTimeout),
		// A transaction needs acks=all and idempotence. With these the client
		// keeps up to five requests per broker in flight without reordering.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kafka.TaskPartitioner(o.OffsetsTopic)),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(o.Linger),
		kgo.ProducerBatchMaxBytes(o.BatchMaxBytes),
		kgo.BrokerMaxWriteBytes(o.MaxRequestBytes),
		// The bound is the gate in produce. The client's own would tie a
		// record's life to the context of who waits (a stop would then fail
		// what is buffered instead of finishing it), and start a goroutine for
		// each wait.
		kgo.MaxBufferedRecords(math.MaxInt),
		// No RecordDeliveryTimeout: it counts from the record's timestamp, which
		// is the row's with timestamp.column. The waits in wait and end are
		// bounded instead.
	), nil
}

// producer is the transactional producer of one task. Its methods belong to
// one goroutine, the task's.
type producer struct {
	opts   producerOptions
	client *kgo.Client

	// run ends StopTimeout after the context that the producer was opened with, and the
	// client with it: all that a stopped task still waits for shares that time.
	run    context.Context
	endRun context.CancelFunc

	offsetsNoted bool // by the client: the partitions of the offsets topic, see awaitOffsetsTopic

	open  bool  // between begin and its end
	spent error // set by an unknown outcome: no method works any more

	// id and epoch are the transaction's. Should the client get others while
	// the transaction is open, then the broker has aborted a part of it.
	id    int64
	epoch int16

	// The gate. sent is what the task has produced so far, acked what promises
	// have come back for, both in bytes since the producer was opened. known is
	// a late copy of acked that spares the task a look at it as long as it
	// shows room. The waiting task stores the value of acked it needs in wanted
	// and sleeps on room. The task and the promises each write once per record,
	// so their sides are kept on different cache lines.
	sent, known   int64
	_             [64]byte
	acked, wanted atomic.Int64
	_             [64]byte
	room          chan struct{}

	// promise is the method value done, made once: a closure per record would
	// be an allocation per record.
	promise func(*kgo.Record, error)

	failed  atomic.Bool // quick look at failure
	mu      sync.Mutex
	failure error    // the transaction's first
	largest tooLarge // of those refused for their size
}

// openProducer dials and takes the transactional id over: when it returns,
// every earlier producer of the id is fenced and the transaction that it may
// have left open has ended (I3). Only then may positions be read.
func openProducer(ctx context.Context, opts producerOptions) (*producer, error) {
	opts.setDefaults()
	run, endRun := grace.Outlive(ctx, context.WithoutCancel(ctx), opts.StopTimeout)
	clientOpts, err := opts.clientOpts(run)
	if err != nil {
		endRun()
		return nil, err
	}
	client, err := kgo.NewClient(clientOpts...)
	if err != nil {
		endRun()
		return nil, fmt.Errorf("opening producer %s: %w", opts.TransactionalID, err)
	}
	p := &producer{opts: opts, client: client, run: run, endRun: endRun, room: make(chan struct{}, 1)}
	p.promise = p.done
	// InitProducerID. While the coordinator still ends the predecessor's
	// transaction it answers CONCURRENT_TRANSACTIONS and the client asks again.
	if _, _, err := client.ProducerID(ctx); err != nil {
		p.close()
		return nil, p.wrap("opening producer", err)
	}
	return p, nil
}

// begin starts a transaction. The broker hears of it with the first record.
func (p *producer) begin(ctx context.Context) error {
	if p.spent != nil {
		return p.spent
	}
	if p.open {
		return errors.New("beginning a transaction: the last one has not ended")
	}
	id, epoch, err := p.client.ProducerID(ctx)
	if err == nil {
		err = p.client.BeginTransaction()
	}
	if err != nil {
		return p.wrap("beginning a transaction", err)
	}
	p.id, p.epoch = id, epoch
	p.open = true
	p.clearFailure()
	return nil
}

// produce hands r over for sending and returns. It blocks while
// MaxBufferedBytes are unacknowledged. r and the bytes it points to must not
// change until its promise, which is p.promise or one that calls p.done and then
// reuses the record's memory; records may share one allocation.
//
// An error is the transaction's first failure, of this or an earlier record;
// the transaction can then only abort, whatever is produced after. It is also
// an error, and a failure of the transaction, if ctx ends during the wait: r
// was not produced, so no position that covers it may commit.
func (p *producer) produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) error {
	if !p.open {
		return p.notOpen("producing")
	}
	if p.failed.Load() {
		return p.firstFailure()
	}
	size := recordSize(r)
	if limit := int64(p.opts.MaxBufferedBytes); p.sent+size-p.known > limit && p.sent > p.known {
		if err := p.wait(ctx, p.sent+size-limit); err != nil {
			p.fail(nil, fmt.Errorf("waiting for acknowledgements: %w", err))
			return p.firstFailure()
		}
	}
	p.send(r, size, promise)
	return nil
}

func (p *producer) send(r *kgo.Record, size int64, promise func(*kgo.Record, error)) {
	p.sent += size
	// The background context keeps a record, once taken, from failing because
	// the task is told to stop: end decides what becomes of it.
	p.client.Produce(context.Background(), r, promise)
}

// tooLarge describes a record that the broker refused for its size; the record
// itself may be in use again.
type tooLarge struct {
	size  int64
	key   []byte
	value int // bytes
}

// recordSize must give the same before and after sending.
func recordSize(r *kgo.Record) int64 {
	n := recordBytes + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(n)
}

// wait blocks until need bytes in all have been acknowledged.
func (p *producer) wait(ctx context.Context, need int64) error {
	// A record larger than the bound goes alone.
	need = min(need, p.sent)
	if p.known = p.acked.Load(); p.known >= need {
		return nil
	}
	// Waking for each batch would mean a switch for a few records, so it waits
	// for an eighth of the buffer.
	need = min(need+int64(p.opts.MaxBufferedBytes/8), p.sent)
	p.wanted.Store(need)
	defer p.wanted.Store(0)
	// By then the coordinator has aborted the transaction: no use in waiting on.
	late := time.NewTimer(p.opts.TransactionTimeout)
	defer late.Stop()
	for {
		// After wanted is stored: a promise that has added to acked before this
		// load needs no wake-up, and one that adds later sees wanted.
		if p.known = p.acked.Load(); p.known >= need {
			return nil
		}
		select {
		case <-p.room:
		case <-late.C:
			return fmt.Errorf("%w: no broker has taken the records for %v", errNoRoom, p.opts.TransactionTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// done is the promise of every record. The client calls it from one goroutine
// at a time, once per record, before a flush returns.
func (p *producer) done(r *kgo.Record, err error) {
	if err != nil {
		p.fail(r, err)
	}
	acked := p.acked.Add(recordSize(r))
	if wanted := p.wanted.Load(); wanted != 0 && acked >= wanted {
		select {
		case p.room <- struct{}{}:
		default:
		}
	}
}

// fail remembers the first failure of the transaction.
func (p *producer) fail(r *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A batch is refused as a whole; its largest record is the likely cause.
	if r != nil && errors.Is(err, kerr.MessageTooLarge) && recordSize(r) > p.largest.size {
		p.largest = tooLarge{size: recordSize(r), key: bytes.Clone(r.Key), value: len(r.Value)}
	}
	if p.failure == nil {
		if r != nil && errors.Is(err, kerr.TopicAuthorizationFailed) {
			err = kafka.Denied(fmt.Errorf("topic %s: %w", r.Topic, err), kafka.TopicRights(r.Topic, "WRITE")...)
		} else if r != nil {
			err = fmt.Errorf("topic %s: %w", r.Topic, err)
		}
		p.failure = err
		p.failed.Store(true)
	}
}

// firstFailure returns nil if there was none.
func (p *producer) firstFailure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.failure
	if err != nil && p.largest.size > 0 && errors.Is(err, kerr.MessageTooLarge) {
		err = fmt.Errorf("%w: the largest record has key %.300q and %d bytes of value: raise the topic's max.message.bytes and producer.override.batch.size, or leave columns out",
			err, p.largest.key, p.largest.value)
	}
	if err == nil {
		return nil
	}
	return p.wrap("producing", err)
}

func (p *producer) clearFailure() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure, p.largest = nil, tooLarge{}
	p.failed.Store(false)
}

// end produces the positions in the transaction of the rows they cover (I1)
// and commits it. It must be given at least one.
//
// Committed comes without an error. Aborted comes with what the transaction
// failed of, and promises that no part of it will ever be visible. Everything
// else is unknown. ctx does not cancel a commit, since a commit cut off is one
// of unknown outcome; when ctx ends, StopTimeout is what remains.
func (p *producer) end(ctx context.Context, positions []*kgo.Record) (outcome, error) {
	if !p.open {
		return unknown, p.notOpen("ending a transaction")
	}
	ctx, cancel := p.endContext(ctx)
	defer cancel()
	if len(positions) == 0 {
		p.fail(nil, errors.New("a transaction without a position"))
	}
	if !p.failed.Load() {
		for _, r := range positions {
			p.send(r, recordSize(r), p.promise)
		}
		if err := p.client.Flush(ctx); err != nil {
			p.fail(nil, fmt.Errorf("waiting for acknowledgements: %w", err))
		}
	}
	if err := p.firstFailure(); err != nil {
		return p.rollback(ctx, err)
	}
	if err := p.awaitOffsetsTopic(ctx); err != nil {
		return p.rollback(ctx, p.wrap("committing", err))
	}
	// The client gets a new epoch by itself when a partition has forgotten it.
	// The broker then has aborted what was in the transaction before, while a
	// commit now would succeed, for the rest. Nothing is in flight after the
	// flush, so the epoch cannot change from here on.
	if id, epoch, err := p.client.ProducerID(ctx); err != nil || id != p.id || epoch != p.epoch {
		if err == nil {
			err = fmt.Errorf("the producer's epoch changed from %d/%d to %d/%d", p.id, p.epoch, id, epoch)
		}
		return p.rollback(ctx, p.wrap("committing", err))
	}
	err := p.client.EndTransaction(ctx, kgo.TryCommit)
	switch {
	case err == nil:
		p.open = false
		return committed, nil
	case errors.Is(err, kerr.OperationNotAttempted):
		return p.rollback(ctx, p.wrap("committing", err))
	}
	// Even a definite refusal does not say that nothing was committed: the
	// client repeats a request whose answer got lost, and the refusal may be
	// the answer to the second, after the first was carried out.
	err = p.wrap("committing", err)
	p.spend(err)
	return unknown, err
}

// awaitOffsetsTopic returns once the client can see its partitions of the offsets topic. It sends
// a topic's first records a moment before it has noted the topic's partitions. Should all
// be acknowledged, and the transaction end, within that moment, then it finds none that
// has records in it: it takes the transaction for one in which nothing was produced,
// aborts it, and tells of no error (franz-go 1.22.2, EndTransaction where anyAdded is
// false, and storePartitionsUpdate).
func (p *producer) awaitOffsetsTopic(ctx context.Context) error {
	for !p.offsetsNoted {
		leader, epoch, _ := p.client.PartitionLeader(p.opts.OffsetsTopic, 0)
		if p.offsetsNoted = leader >= 0 || epoch >= 0; p.offsetsNoted {
			break
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the client to note the partitions of %s: %w", p.opts.OffsetsTopic, err)
		}
	}
	return nil
}

// abort ends the open transaction without effect. It returns aborted, or
// unknown with the reason why the abort is not certain.
func (p *producer) abort(ctx context.Context) (outcome, error) {
	if p.spent != nil {
		return unknown, p.spent
	}
	if !p.open {
		return aborted, nil
	}
	ctx, cancel := p.endContext(ctx)
	defer cancel()
	return p.rollback(ctx, nil)
}

// rollback aborts after cause, which it returns along with its own failure.
func (p *producer) rollback(ctx context.Context, cause error) (outcome, error) {
	// Who is fenced has nothing left to abort, since fencing did. Going on
	// would let the client try for a new epoch, which is the task's decision.
	if errors.Is(cause, errFenced) {
		p.spend(cause)
		return unknown, cause
	}
	err := p.client.AbortBufferedRecords(ctx)
	if err == nil {
		err = p.client.EndTransaction(ctx, kgo.TryAbort)
	}
	if err == nil {
		// After some failures the client leaves the abort to its next
		// InitProducerID. This sends it; at other times it costs nothing.
		_, _, err = p.client.ProducerID(ctx)
	}
	if err != nil {
		err = errors.Join(cause, p.wrap("aborting", err))
		p.spend(err)
		return unknown, err
	}
	p.open = false
	return aborted, cause
}

func (p *producer) notOpen(doing string) error {
	if p.spent != nil {
		return fmt.Errorf("%s: %w", doing, p.spent)
	}
	return fmt.Errorf("%s: no transaction is open", doing)
}

func (p *producer) spend(err error) {
	p.open = false
	p.spent = fmt.Errorf("%w: %w", errProducerSpent, err)
}

// endContext returns the context of a commit or an abort: not cancelled with
// ctx but StopTimeout after it and after the run's, and in any case when the
// coordinator will have aborted the transaction by itself.
func (p *producer) endContext(ctx context.Context) (context.Context, context.CancelFunc) {
	end, cancel := context.WithTimeout(p.run, p.opts.TransactionTimeout)
	end, stop := grace.Outlive(ctx, end, p.opts.StopTimeout)
	return end, func() {
		stop()
		cancel()
	}
}

// close gives everything up at once, without a word to the broker: what is
// open ends when the next producer of the id is opened, or by its timeout.
func (p *producer) close() {
	p.client.Close()
	p.endRun()
}

func (p *producer) wrap(doing string, err error) error {
	if errors.Is(err, kgo.ErrClientClosed) && p.run.Err() != nil {
		err = fmt.Errorf("%w: %w", p.run.Err(), err) // the time of a stop is over
	}
	if errors.Is(err, kerr.InvalidTransactionTimeout) {
		err = fmt.Errorf("%w: lower transaction.timeout.ms from %v to the broker's transaction.max.timeout.ms", err, p.opts.TransactionTimeout)
	}
	err = kafka.Denied(err, kafka.Right{Operation: "WRITE", Resource: kafka.ResourceTransactionalID, Name: p.opts.TransactionalID})
	return kafka.Classify(p.opts.Kafka.As(fmt.Errorf("%s (transactional id %s): %w", doing, p.opts.TransactionalID, err)))
}
