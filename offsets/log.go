package offsets

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record returns the record that stores pos under key in the task's partition
// of the offsets topic. It is to be produced in the transaction of the rows
// that pos covers (I1).
func Record(topic string, partition int32, key Key, pos Position) (*kgo.Record, error) {
	k, err := key.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	v, err := pos.AppendJSON(nil)
	if err != nil {
		return nil, fmt.Errorf("position of tablet %s of table %s: %w", key.Tablet, key.Table, err)
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: k, Value: v}, nil
}

// Tombstone returns the record that forgets the position under key: an
// operator's reset.
func Tombstone(topic string, partition int32, key Key) (*kgo.Record, error) {
	k, err := key.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: k}, nil
}

// Load returns the positions of connector, and its plan, in one partition of its offsets
// topic, after every transaction that had written there when Load was called.
//
// Call it only after the task's producer has fenced its predecessor (I3): the
// partition's uncommitted end, taken then, is behind all that the predecessor
// has written, and everything up to that end is read with read_committed. So
// an open transaction of somebody else in the partition delays Load until it
// ends, and never hides a position. Records of other connectors are skipped.
//
// A record of this connector that cannot be read, unless a later record or a
// tombstone replaces it, is an error: going on without it would publish rows
// again. opts are the options of any client of the cluster.
//
// Memory: one fetch of about a MiB, and two forms of one position per tablet.
func Load(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) (*Loaded, error) {
	return load(ctx, opts, topic, partition, connector, false)
}

func load(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string, noWait bool) (*Loaded, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("reading positions from %s-%d: %w", topic, partition, err)
	}
	defer client.Close()
	l := newLog(topic, partition, connector)
	r := newReader(client, topic, partition)
	r.noWait = noWait
	err = r.readToEnd(ctx, l.note)
	if err == nil {
		err = l.settle()
	}
	if err != nil {
		return nil, fmt.Errorf("reading positions from %s-%d: %w", topic, partition, err)
	}
	if err := l.unreadable(); err != nil {
		return nil, err
	}
	return &Loaded{Positions: l.positions, Journals: l.journals, Plan: l.plan, Others: l.owners(), ReadAt: time.Now()}, nil
}

// Peek is Load for those who only look: it fences nobody, needn't be called by the
// owner, and doesn't wait for open transactions. So what it returns was committed
// when it was called, and may be out of date when it comes back.
func Peek(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) (*Loaded, error) {
	return load(ctx, opts, topic, partition, connector, true)
}

// maxBroken bounds what is remembered of records that cannot be read.
const maxBroken = 100

// log is a partition's content: for each key its last record.
type log struct {
	topic     string
	partition int32
	connector string
	positions map[Key]Position
	journals  map[JournalKey]Journal
	plan      *Plan
	// others has the connector of each record of another one, by the bytes of its
	// key.
	others map[string]string
	// noted holds the last record of each key since the last settle: of a
	// thousand records of a tablet only the last is worth parsing, which takes
	// ten times as long as fetching it.
	noted map[string]*kgo.Record
	// broken holds unreadable records by the bytes of their key, which is how
	// a later record, or a tombstone, replaces one.
	broken map[string]brokenRecord
}

type brokenRecord struct {
	offset int64
	err    error
}

func newLog(topic string, partition int32, connector string) *log {
	return &log{
		topic: topic, partition: partition, connector: connector,
		positions: make(map[Key]Position), journals: make(map[JournalKey]Journal), broken: make(map[string]brokenRecord),
		noted: make(map[string]*kgo.Record), others: make(map[string]string),
	}
}

// owners are the other connectors that have records.
func (l *log) owners() []string {
	names := slices.Sorted(maps.Values(l.others))
	return slices.Compact(names)
}

// maxNoted bounds the records in noted, should the topic be full of something
// else.
const maxNoted = 10_000

// note takes the next record of the partition. It doesn't keep r, whose memory
// is a whole fetch. Its error is final.
func (l *log) note(r *kgo.Record) error {
	last := l.noted[string(r.Key)]
	if last == nil {
		if len(l.noted) == maxNoted {
			if err := l.settle(); err != nil {
				return err
			}
		}
		last = &kgo.Record{Key: bytes.Clone(r.Key)}
		l.noted[string(last.Key)] = last
	}
	last.Offset = r.Offset
	if r.Value == nil {
		last.Value = nil
		return nil
	}
	if last.Value == nil {
		last.Value = make([]byte, 0, len(r.Value)+8) // empty is not nil
	}
	last.Value = append(last.Value[:0], r.Value...)
	return nil
}

// settle applies what was noted, in order: two keys that differ in their bytes
// may mean the same.
func (l *log) settle() error {
	for _, r := range slices.SortedFunc(maps.Values(l.noted), func(a, b *kgo.Record) int { return cmp.Compare(a.Offset, b.Offset) }) {
		if err := l.apply(r); err != nil {
			return err
		}
	}
	clear(l.noted)
	return nil
}

// apply takes a record that is later than all it was given before, of those
// with the same key. Its error is final.
func (l *log) apply(r *kgo.Record) error {
	key, pos, mine, err := l.read(r)
	switch {
	case err == nil && !mine:
	case err == nil && r.Value == nil:
		delete(l.positions, key)
		delete(l.broken, string(r.Key))
	case err == nil:
		l.positions[key] = pos
		delete(l.broken, string(r.Key))
	case r.Value == nil:
		// A tombstone for a key that cannot be read: the remedy at work.
		delete(l.broken, string(r.Key))
	default:
		// The last good position must not stand in for the bad one: rows after
		// it have been published.
		delete(l.positions, key)
		l.broken[string(r.Key)] = brokenRecord{r.Offset, err}
		if len(l.broken) > maxBroken {
			return fmt.Errorf("more than %d records cannot be read, is this an offsets topic of kudu2kafka? %w", maxBroken, l.unreadable())
		}
	}
	return nil
}

// takePlan notes the plan, or that it was deleted.
func (l *log) takePlan(r *kgo.Record) error {
	if r.Value == nil {
		l.plan = nil
		delete(l.broken, string(r.Key))
		return nil
	}
	l.plan = nil // also of an earlier record, if this one can't be read
	p, err := ParsePlan(r.Value)
	if err != nil {
		return err
	}
	l.plan = &p
	delete(l.broken, string(r.Key))
	return nil
}

// read takes a record apart. When only its value is unreadable, key is right.
func (l *log) read(r *kgo.Record) (key Key, pos Position, mine bool, err error) {
	connector, rest, err := keyOwner(r.Key)
	if err != nil {
		return key, pos, false, err
	}
	if connector == l.connector && isPlanKey(rest) {
		return key, pos, false, l.takePlan(r)
	}
	if connector == l.connector && isJournalKey(rest) {
		return key, pos, false, l.takeJournal(r)
	}
	if connector != l.connector {
		if r.Value == nil {
			delete(l.others, string(r.Key))
		} else {
			l.others[string(r.Key)] = connector
		}
		return key, pos, false, nil
	}
	if key, err = ParseKey(r.Key); err != nil {
		return key, pos, true, err
	}
	if r.Value == nil {
		return key, pos, true, nil
	}
	pos, err = ParsePosition(r.Value)
	return key, pos, true, err
}

// unreadable returns one error for all records that could not be read, or nil.
func (l *log) unreadable() error {
	return l.unreadableOf(func(string) bool { return true })
}

// unreadablePlan is unreadable for the plan alone.
func (l *log) unreadablePlan() error {
	return l.unreadableOf(func(key string) bool {
		_, rest, err := keyOwner([]byte(key))
		return err == nil && isPlanKey(rest)
	})
}

func (l *log) unreadableOf(concerns func(key string) bool) error {
	keys := slices.SortedFunc(maps.Keys(l.broken), func(a, b string) int {
		return cmp.Compare(l.broken[a].offset, l.broken[b].offset)
	})
	var errs []error
	for _, key := range keys {
		if !concerns(key) {
			continue
		}
		b := l.broken[key]
		errs = append(errs, &UnreadableError{
			Topic: l.topic, Partition: l.partition, Offset: b.offset, Key: bytes.Clone([]byte(key)), Err: b.err,
		})
	}
	return errors.Join(errs...)
}

// UnreadableError is a record in the offsets topic that is no position this
// release can read.
type UnreadableError struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Err       error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("reading the position at %s-%d offset %d: %v; write the right value under key %.300q, or a tombstone to read its tablet from the start",
		e.Topic, e.Partition, e.Offset, e.Err, e.Key)
}

func (e *UnreadableError) Unwrap() error { return e.Err }
