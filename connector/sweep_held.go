package connector

// heldRows are the rows of one tablet's journals, by their encoded primary keys:
// passes leave them out. A pass must leave out those that were in the journal at
// its snapshot for as long as it goes on, also when they are swept meanwhile, since
// its snapshot still shows them. What it takes itself it doesn't meet again.
//
// hides and hidden belong to the pass, the rest to the task.
type heldRows struct {
	shown map[string]struct{} // in the journal at the pass's snapshot
	gone  []*sweepEntry       // of shown, released since
	since map[*sweepEntry]struct{}
}

func newHeldRows() *heldRows {
	return &heldRows{shown: make(map[string]struct{}), since: make(map[*sweepEntry]struct{})}
}

// hides reports whether anything is hidden.
func (h *heldRows) hides() bool { return len(h.shown) > 0 }

func (h *heldRows) hidden(key []byte) bool {
	_, is := h.shown[string(key)] // doesn't copy
	return is
}

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
		for _, r := range e.rows {
			delete(h.shown, r.key)
		}
	}
	h.gone = nil
	for e := range h.since {
		for _, r := range e.rows {
			h.shown[r.key] = struct{}{}
		}
	}
	clear(h.since)
	if len(h.shown) == 0 {
		h.shown = make(map[string]struct{}) // a map that was large stays so
	}
}
