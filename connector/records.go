package connector

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Records and their bytes are made in slabs, so that a row costs no
// allocation. A slab is used again when Kafka has taken, or refused, all of its
// records.
const (
	slabRecords = 1024
	slabBytes   = 192 << 10
)

// slab is memory for some records, filled by a task and emptied by the
// producer's callback.
type slab struct {
	records []kgo.Record
	bytes   []byte
	// pending counts the records whose callback hasn't come, plus one while the
	// task still fills the slab.
	pending atomic.Int32
	pool    *slabPool
	// promise is the callback of the slab's records, made once.
	promise func(*kgo.Record, error)
}

// slabPool keeps the empty slabs of one producer. The number in use is bounded
// by the producer's buffer, so the pool is too.
type slabPool struct {
	free chan *slab
	done func(*kgo.Record, error) // the producer's part of the callback
}

func newSlabPool(done func(*kgo.Record, error)) *slabPool {
	return &slabPool{free: make(chan *slab, 64), done: done}
}

func (p *slabPool) get() *slab {
	var s *slab
	select {
	case s = <-p.free:
	default:
		s = &slab{records: make([]kgo.Record, 0, slabRecords), bytes: make([]byte, 0, slabBytes), pool: p}
		s.promise = func(r *kgo.Record, err error) {
			p.done(r, err)
			s.unref()
		}
	}
	s.pending.Store(1)
	return s
}

// full reports whether the next record should go into another slab.
func (s *slab) full() bool {
	return len(s.records) == cap(s.records) || len(s.bytes) > slabBytes*7/8
}

// add takes a place for one more record.
func (s *slab) add() *kgo.Record {
	s.records = s.records[:len(s.records)+1]
	s.pending.Add(1)
	return &s.records[len(s.records)-1]
}

// unref is called once for each record, and once by the task when it is done
// filling.
func (s *slab) unref() {
	if s.pending.Add(-1) > 0 {
		return
	}
	clear(s.records) // let go of topics, headers and grown buffers
	s.records = s.records[:0]
	s.bytes = s.bytes[:0]
	if cap(s.bytes) > 4*slabBytes {
		return // a giant row made it; let the collector have it
	}
	select {
	case s.pool.free <- s:
	default:
	}
}
