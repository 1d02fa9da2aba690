package herder

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A configuration is read, changed and written back as a whole, by any worker. Were two
// to do so at a time, or one before it has read what the other wrote, a change would be
// lost. So they take turns: a worker asks for one by a record of its own in the config
// topic, has it once no record of another one stands before it there, and gives it back
// by a tombstone. All see the same queue, for nothing but records changes it: no worker
// takes another for dead by its own clock alone, it writes that down first. And a worker
// whose record has come back to it knows everything that was written before.
//
// One that has read late that its turn has come, or has slept, could take for its own what
// the others hold for over. So the time counts from a record that the holder itself has
// written as the first one: the one by which it has asked, or a mark behind it. It looks
// at its clock before it writes that, the others do when they have read it.

const (
	// turnTime is how long a worker has its turn: one that dies in it keeps the others
	// waiting for as long, not for ever.
	turnTime = time.Minute
	// editTime is how much of its turn a worker may use. A record that is sent at its
	// end is still stored or given up within the turn, deliveryTimeout later.
	editTime = 25 * time.Second
	// revokePause is the time between two tries to take a turn from a worker that has
	// let it run out.
	revokePause = time.Second
	// lastEditTimeout is how long an edit may take to end when the worker stops.
	lastEditTimeout = 2 * time.Second
)

// ranOut is the header of a tombstone that another worker has written, which takes the
// turn from one that is dead, or asleep, if the offset in it is of what that one has last
// written: else it is alive, or has come back.
const ranOut = "ran-out"

// turns are the workers that have asked for a turn, by their uid, in the order of the
// topic. The first one has it.
type turns struct {
	queue []asked
	since time.Time // when the first one became so, or has last written that it is
}

type asked struct {
	uid  string
	last int64 // the offset of what it has last written, in the queue
}

// ask puts a worker at the end, which was at the given time.
func (t *turns) ask(uid string, offset int64, at time.Time) {
	t.giveBack(uid, at)
	if t.queue = append(t.queue, asked{uid, offset}); len(t.queue) == 1 {
		t.since = at
	}
}

// mark notes that a worker was alive, wherever it stands.
func (t *turns) mark(uid string, offset int64, at time.Time) {
	n := t.place(uid)
	if n >= 0 {
		t.queue[n].last = offset
	}
	if n == 0 {
		t.since = at
	}
}

// giveBack takes a worker out, wherever it stands.
func (t *turns) giveBack(uid string, at time.Time) {
	n := t.place(uid)
	if n < 0 {
		return
	}
	if t.queue = slices.Delete(t.queue, n, n+1); n == 0 {
		t.since = at
	}
}

// revoke takes a worker out that has written nothing since.
func (t *turns) revoke(of asked, at time.Time) {
	if slices.Contains(t.queue, of) {
		t.giveBack(of.uid, at)
	}
}

// place is where a worker stands: 0 is the one whose turn it is, -1 one that hasn't asked.
func (t *turns) place(uid string) int {
	return slices.IndexFunc(t.queue, func(a asked) bool { return a.uid == uid })
}

// applyTurn takes up a record by which a worker has asked for a turn, or its tombstone. The
// caller holds the lock.
func (h *Herder) applyTurn(c change, r *kgo.Record) {
	at := h.when(r)
	if !c.deletes {
		h.turns.ask(c.name, r.Offset, at)
		return
	}
	for _, header := range r.Headers {
		if header.Key == ranOut {
			if last, err := strconv.ParseInt(string(header.Value), 10, 64); err == nil {
				h.turns.revoke(asked{c.name, last}, at)
			}
			return
		}
	}
	h.turns.giveBack(c.name, at)
}

// edit runs f in a turn of this worker: meanwhile no other worker edits, and all that
// others have edited is known here. Nothing can be written with f's context once the turn
// is over.
func (h *Herder) edit(ctx context.Context, f func(ctx context.Context) error) error {
	const busy = "Another worker is changing a connector, and isn't done"
	select {
	case h.edits <- struct{}{}:
		defer func() { <-h.edits }()
	case <-ctx.Done():
		return unavailable("This worker is changing a connector, and isn't done", ctx.Err())
	}
	if err := h.checkReady(); err != nil {
		return err
	}
	// Even if asking fails, for it may be heard.
	defer h.post(change{kind: turnKey, name: h.uid, deletes: true})
	for {
		var err error
		began := time.Now()
		if h.place() < 0 {
			err = h.write(ctx, change{kind: turnKey, name: h.uid})
		} else if err = h.mark(ctx); err != nil {
			err = unavailable(busy, err)
		}
		if err != nil {
			return err
		}
		if h.place() == 0 {
			ctx, cancel := context.WithDeadline(ctx, began.Add(h.editTime))
			defer cancel()
			return f(ctx)
		}
		if err := h.awaitPlace(ctx); err != nil {
			return unavailable(busy, err)
		}
	}
}

// place is where this worker stands in the queue for turns.
func (h *Herder) place() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.turns.place(h.uid)
}

// awaitPlace returns once this worker is the first in the queue, as far as it has read, or
// isn't in it any more. It takes the turn from a worker that has let it run out.
func (h *Herder) awaitPlace(ctx context.Context) error {
	for {
		moved := h.bus.movement()
		h.mu.Lock()
		place, wait := h.turns.place(h.uid), time.Duration(0)
		var first asked
		if place > 0 {
			first, wait = h.turns.queue[0], time.Until(h.turns.since.Add(h.turnTime))
		}
		h.mu.Unlock()
		if place <= 0 {
			return nil
		}
		if wait <= 0 {
			h.logger.Warn("a worker has let its turn to edit connectors run out: it is taken from it", "uid", first.uid)
			h.revoke(first)
			wait = revokePause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-time.After(wait):
		}
	}
}

// revoke takes a worker out of the queue, unless it has written something meanwhile.
func (h *Herder) revoke(of asked) {
	h.post(change{kind: turnKey, name: of.uid, deletes: true}, kgo.RecordHeader{Key: ranOut, Value: strconv.AppendInt(nil, of.last, 10)})
}

// tidyTurn gives back a turn that nobody here wants any more: Kafka was away when it was
// given back first.
func (h *Herder) tidyTurn() {
	h.mu.Lock()
	var left []asked
	if n := h.turns.place(h.uid); n >= 0 && len(h.edits) == 0 {
		left = append(left, h.turns.queue[n])
	}
	h.mu.Unlock()
	for _, one := range left {
		h.revoke(one) // an edit may begin now
	}
}

// endEdits waits for the edit that goes on in this worker as it stops, but not for long,
// until its turn is given back.
func (h *Herder) endEdits(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastEditTimeout)
	defer cancel()
	select {
	case h.edits <- struct{}{}:
		defer func() { <-h.edits }()
	case <-ctx.Done():
		return
	}
	if err := h.bus.client.Flush(ctx); err != nil {
		h.logger.Debug("giving back a turn", "error", err)
	}
}

// post stores a change behind all that this worker has written, and waits for nothing.
func (h *Herder) post(c change, headers ...kgo.RecordHeader) {
	record, err := h.record(c)
	if err != nil {
		h.logger.Error("posting to the config topic", "error", err)
		return
	}
	record.Headers = headers
	h.bus.post(record)
}

// checkReady is ready for who doesn't hold the lock.
func (h *Herder) checkReady() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready()
}

// refresh returns once everything is known here that was in the config topic when it
// was called, so that what is asked of this worker finds what was answered by another.
func (h *Herder) refresh(ctx context.Context) error {
	if err := h.checkReady(); err != nil {
		return err
	}
	if err := h.mark(ctx); err != nil {
		return unavailable("The config topic could not be read to its end", err)
	}
	return nil
}

// refreshStatus does the same for the status topic, by a sign of life.
func (h *Herder) refreshStatus(ctx context.Context) error {
	if err := h.checkReady(); err != nil {
		return err
	}
	sign, err := h.signOfLife()
	if err != nil {
		return err
	}
	if err := h.bus.write(ctx, sign); err != nil {
		return unavailable("The status topic could not be read to its end", err)
	}
	return nil
}
