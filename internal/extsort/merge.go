package extsort

import "bytes"

// head is the record that a stream stands at.
type head struct {
	prefix   uint64
	key, row []byte
}

func (h *head) less(o *head) bool {
	if h.prefix != o.prefix {
		return h.prefix < o.prefix
	}
	return bytes.Compare(h.key, o.key) < 0
}

// stream gives records in the order of their keys.
type stream interface {
	// next moves to the next record; false at the end.
	next() (bool, error)
	// current is where the record that next moved to is found.
	current() *head
}

// merger merges streams with a tree of losers: the inner nodes hold who lost
// there, so that the next winner takes one comparison for each level.
type merger struct {
	streams []stream
	heads   []*head // nil: the stream has ended
	losers  []int   // node 0 holds the winner
	// ended is told of each stream that has come to its end.
	ended   func(stream)
	started bool
}

func newMerger(streams []stream, ended func(stream)) *merger {
	return &merger{streams: streams, ended: ended}
}

// next gives the record of the least key, valid until the following call; nil
// at the end.
func (m *merger) next() (*head, error) {
	if !m.started {
		m.started = true
		if err := m.start(); err != nil {
			return nil, err
		}
	} else if len(m.streams) > 0 {
		winner := m.losers[0]
		if m.heads[winner] == nil {
			return nil, nil
		}
		if err := m.advance(winner); err != nil {
			return nil, err
		}
		m.replay(winner)
	}
	if len(m.streams) == 0 {
		return nil, nil
	}
	return m.heads[m.losers[0]], nil
}

func (m *merger) start() error {
	m.heads = make([]*head, len(m.streams))
	m.losers = make([]int, max(len(m.streams), 1))
	for i := range m.streams {
		if err := m.advance(i); err != nil {
			return err
		}
	}
	if len(m.streams) > 0 {
		m.losers[0] = m.play(1)
	}
	return nil
}

// play fills the tree below a node and gives its winner. The leaf of stream i
// is node i + len(streams).
func (m *merger) play(node int) int {
	if node >= len(m.streams) {
		return node - len(m.streams)
	}
	a, b := m.play(2*node), m.play(2*node+1)
	if m.wins(a, b) {
		m.losers[node] = b
		return a
	}
	m.losers[node] = a
	return b
}

func (m *merger) advance(i int) error {
	s := m.streams[i]
	more, err := s.next()
	if err != nil {
		return err
	}
	if !more {
		m.heads[i] = nil
		m.ended(s)
		return nil
	}
	m.heads[i] = s.current()
	return nil
}

// replay finds the winner after stream i has moved on.
func (m *merger) replay(i int) {
	for node := (i + len(m.streams)) / 2; node > 0; node /= 2 {
		if m.wins(m.losers[node], i) {
			m.losers[node], i = i, m.losers[node]
		}
	}
	m.losers[0] = i
}

func (m *merger) wins(a, b int) bool {
	x, y := m.heads[a], m.heads[b]
	switch {
	case x == nil:
		return false
	case y == nil:
		return true
	}
	return x.less(y)
}
