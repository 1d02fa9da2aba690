package connector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

const (
	modeOffset     = "offset"
	phaseStreaming = "streaming"

	// scansAtOnce is how many tablets of one task are read at a time. Each open
	// scan holds up to two batches.
	scansAtOnce = 2
	// scanTurn is how long a tablet with a backlog is read before the task's
	// other tablets get their turn.
	scanTurn = 5 * time.Second
)

// offsetSource reads rows above each tablet's high-water mark, in the order of
// a streaming key that is a prefix of the primary key: ordered scans at a
// snapshot, each from behind the last row that was handed out. There is no sort
// and no buffer; a poll costs one seek.
//
// Way of one row: kudu/rowbatch.go shows its cells; this file picks the order
// and the position; task.go publishes.
type offsetSource struct {
	table     *kudu.Table
	columns   []string
	streaming []string
	batchSize int
	poll      time.Duration
	logger    hclog.Logger

	send    sender
	drained chan struct{}
	failed  chan error
	cancel  context.CancelFunc
	readers sync.WaitGroup
	queue   *dueQueue

	mu      sync.Mutex
	flowing int // tablets whose scan has given rows and has not ended
}

// tabletReader is where the source stands in one tablet.
type tabletReader struct {
	id        string
	keyPlaces []int  // of the primary key's columns within a batch
	hwm       []byte // encoded primary key of the last row handed out; nil at the start
	due       time.Time
}

// pointAt is the place of a row of the batch. The streaming key is a prefix of
// the primary key, so that the encoded primary key orders by both.
func (r *tabletReader) pointAt(b *batch, row int) point {
	return point{key: kudu.AppendKey(nil, b.rows, r.keyPlaces, row), snapshot: b.snapshot}
}

type offsetOptions struct {
	table     *kudu.Table
	tablets   []*kudu.Tablet
	stored    map[string]offsets.Position // by tablet id
	columns   []string                    // the projection; holds the whole primary key
	streaming []string
	batchSize int
	poll      time.Duration
	logger    hclog.Logger
}

// startOffsetSource begins to read. A stored position that doesn't fit the
// table is an error: nothing is read.
func startOffsetSource(o offsetOptions) (*offsetSource, error) {
	s := &offsetSource{
		table: o.table, columns: o.columns, streaming: o.streaming, batchSize: o.batchSize, poll: o.poll,
		logger: o.logger,
		send:   sender{out: make(chan *batch)}, drained: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	var places []int
	for _, k := range o.table.Schema().KeyNames() {
		places = append(places, slices.Index(o.columns, k))
	}
	var readers []*tabletReader
	for _, t := range o.tablets {
		r := &tabletReader{id: t.ID, keyPlaces: places}
		if pos, ok := o.stored[t.ID]; ok && pos.PrimaryKey != nil {
			hwm, err := s.restore(pos)
			if err != nil {
				return nil, fmt.Errorf("restoring the position of tablet %s: %w", t.ID, err)
			}
			r.hwm = hwm
		}
		readers = append(readers, r)
	}
	s.queue = newDueQueue(readers)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for range min(scansAtOnce, len(readers)) {
		s.readers.Go(func() { s.read(ctx) })
	}
	return s, nil
}

func (s *offsetSource) Batches() <-chan *batch   { return s.send.out }
func (s *offsetSource) Drained() <-chan struct{} { return s.drained }
func (s *offsetSource) Failed() <-chan error     { return s.failed }

func (s *offsetSource) Close() {
	s.cancel()
	s.readers.Wait()
}

// restore turns a stored position into the encoded primary key to go on after.
func (s *offsetSource) restore(pos offsets.Position) ([]byte, error) {
	if pos.Mode != modeOffset || pos.Phase != phaseStreaming {
		return nil, &FatalError{fmt.Errorf("it was stored in mode %q, phase %q, but the connector runs in mode %q: reset the connector's offsets, or give the connector another name", pos.Mode, pos.Phase, modeOffset)}
	}
	if pos.TableID != s.table.ID() {
		return nil, &FatalError{fmt.Errorf("it belongs to another table (id %s) that was dropped; table %q is new (id %s): reset the connector's offsets to read it from the start", pos.TableID, s.table.Name(), s.table.ID())}
	}
	schema := s.table.Schema()
	keys := schema.Columns()[:schema.NumKeys()]
	values, err := serde.UnmarshalValues(keys, pos.PrimaryKey)
	if err != nil {
		return nil, &FatalError{fmt.Errorf("its primary_key doesn't fit the table: %w", err)}
	}
	streaming, err := s.streamingValues(values)
	if err != nil {
		return nil, err
	}
	want, err := serde.MarshalValues(keys[:len(s.streaming)], streaming)
	if err != nil {
		return nil, err
	}
	if stored, err := serde.UnmarshalValues(keys[:len(s.streaming)], pos.Key); err != nil {
		return nil, &FatalError{fmt.Errorf("its key doesn't fit the streaming key %v: %w", s.streaming, err)}
	} else if again, err := serde.MarshalValues(keys[:len(s.streaming)], stored); err != nil || string(again) != string(want) {
		return nil, &FatalError{fmt.Errorf("its key %s and its primary_key %s disagree: patch both alike", pos.Key, pos.PrimaryKey)}
	}
	return schema.EncodePrimaryKey(values...)
}

// streamingValues are the leading ones of the primary key's values.
func (s *offsetSource) streamingValues(values []any) ([]any, error) {
	if len(s.streaming) > len(values) {
		return nil, fmt.Errorf("the streaming key %v is longer than the primary key", s.streaming)
	}
	return values[:len(s.streaming)], nil
}

// Position renders a point as it is stored.
func (s *offsetSource) Position(p point) (offsets.Position, error) {
	schema := s.table.Schema()
	keys := schema.Columns()[:schema.NumKeys()]
	values, err := schema.DecodePrimaryKey(p.key)
	if err != nil {
		return offsets.Position{}, fmt.Errorf("rendering a position: %w", err)
	}
	streaming, err := s.streamingValues(values)
	if err != nil {
		return offsets.Position{}, err
	}
	primary, err := serde.MarshalValues(keys, values)
	if err != nil {
		return offsets.Position{}, fmt.Errorf("rendering a position: %w", err)
	}
	key, err := serde.MarshalValues(keys[:len(s.streaming)], streaming)
	if err != nil {
		return offsets.Position{}, fmt.Errorf("rendering a position: %w", err)
	}
	return offsets.Position{
		Mode: modeOffset, Phase: phaseStreaming, TableID: s.table.ID(),
		Key: key, PrimaryKey: primary, Snapshot: uint64(p.snapshot),
	}, nil
}

// read takes tablets as they fall due and scans them, until ctx ends or a scan
// fails.
func (s *offsetSource) read(ctx context.Context) {
	for {
		r := s.queue.take(ctx)
		if r == nil {
			return
		}
		more, err := s.scan(ctx, r)
		if err != nil {
			if ctx.Err() == nil {
				select {
				case s.failed <- err:
				default: // one failure is enough to end the task's run
				}
			}
			return
		}
		r.due = time.Now()
		if !more {
			r.due = r.due.Add(s.poll)
		}
		s.queue.put(r)
	}
}

// scan reads what the tablet has above its high-water mark, for a turn at
// most. It reports whether there may be more at once.
func (s *offsetSource) scan(ctx context.Context, r *tabletReader) (more bool, err error) {
	sc, err := s.table.Scan(r.id, kudu.ScanOptions{
		Columns: s.columns, Ordered: true, After: r.hwm, BatchBytes: s.batchSize,
	})
	if err != nil {
		return false, err
	}
	defer sc.Close()
	began := time.Now()
	b := &batch{tablet: r, taken: make(chan struct{})}
	for flowing := false; ; {
		rows, err := sc.Next(ctx)
		if flowing && err != nil {
			s.flow(-1)
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !flowing {
			flowing = true
			s.flow(1)
		}
		b.rows, b.snapshot = rows, sc.Snapshot()
		after := r.pointAt(b, rows.NumRows()-1).key
		if !s.send.send(ctx, b) {
			return false, ctx.Err()
		}
		// I4: the next scan begins behind what was handed out, whatever becomes
		// of this one.
		r.hwm = after
		if time.Since(began) > scanTurn {
			s.flow(-1)
			return true, nil
		}
	}
}

// flow counts the tablets that are giving rows, and signals when none is.
func (s *offsetSource) flow(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flowing += change; s.flowing == 0 {
		select {
		case s.drained <- struct{}{}:
		default:
		}
	}
}
