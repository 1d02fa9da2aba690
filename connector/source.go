package connector

import (
	"context"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// source reads the tablets of one task in the order that its mode promises.
// It runs goroutines of its own between start and Close.
type source interface {
	// Batches gives the batches that are ready, those of one tablet in position
	// order (I4). The receiver calls done on each before it waits for another.
	Batches() <-chan *batch
	// Drained is signalled when no tablet is known to have more rows now.
	Drained() <-chan struct{}
	// Failed gives the error that ended the source.
	Failed() <-chan error
	// Position renders where a tablet stands after a published row.
	Position(p point) (offsets.Position, error)
	// Close ends the goroutines and waits for them.
	Close()
}

// batch is a number of rows of one tablet. The rows are borrowed until done.
type batch struct {
	tablet *tabletReader
	rows   *kudu.RowBatch
	// snapshot is the timestamp the rows were read at.
	snapshot kudu.Timestamp
	taken    chan struct{}
}

// done gives the rows back to the source.
func (b *batch) done() { b.taken <- struct{}{} }

// point is the place of one row in the order of its tablet.
type point struct {
	key      []byte // encoded primary key
	snapshot kudu.Timestamp
}

// sender hands batches to the task and waits until they are done with.
type sender struct {
	out chan *batch
}

func (s sender) send(ctx context.Context, b *batch) bool {
	select {
	case s.out <- b:
	case <-ctx.Done():
		return false
	}
	// The task always comes to done: it doesn't wait for anything else while it
	// holds a batch, but for Kafka to take records, which ends with its context.
	<-b.taken
	return true
}
