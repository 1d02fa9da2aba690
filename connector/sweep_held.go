package connector

import "hash/maphash"

// heldRows are the rows of one tablet's journals, by their encoded primary keys:
// passes leave them out. A pass must leave out those that were in the journal at
// its snapshot for as long as it goes on, also when they are swept meanwhile, since
// its snapshot still shows them. What it takes itself it doesn't meet again.
//
// Of keys only hashes are kept. One that is taken for another, once in an age, is
// published when that other one is swept.
//
// hides and hidden belong to the pass, the rest to the task.
type heldRows struct {
	seed  maphash.Seed
	shown map[uint64]uint32 // how many in the journal at the pass's snapshot
	gone  []*sweepEntry     // of shown, released since
	since map[*sweepEntry]struct{}
}

func newHeldRows() *heldRows {
	return &heldRows{seed: maphash.MakeSeed(), shown: make(map[uint64]uint32), since: make(map[*sweepEntry]struct{})}
}

// hides reports whether anything is hidden.
func (h *heldRows) hides() bool { return len(h.shown) > 0 }

func (h *heldRows) hidden(key []byte) bool { return h.shown[maphash.Bytes(h.seed, key)] > 0 }

func (h *heldRows) hold(e *sweepEntry) { h.since[e] = struct{}{} }

func (h *heldRows) release(e *sweepEntry) {
	if _, is := h.since[e]; is {
		delete(h.since, e)
	} else {
		h.gone = append(h.gone, e)
	}
}

// pin is for the next pass; the last one must be over.
func (h *heldRows) pin() {
	for _, e := range h.gone {
		e.eachKey(func(key []byte) {
			id := maphash.Bytes(h.seed, key)
			if h.shown[id]--; h.shown[id] == 0 {
				delete(h.shown, id)
			}
		})
	}
	h.gone = nil
	for e := range h.since {
		e.eachKey(func(key []byte) { h.shown[maphash.Bytes(h.seed, key)]++ })
	}
	clear(h.since)
	if len(h.shown) == 0 {
		h.shown = make(map[uint64]uint32) // a map that was large stays so
	}
}
