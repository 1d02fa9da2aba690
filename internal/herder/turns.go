package herder

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A configuration is read, changed and written back as a whole, by any worker. Were two
// to do so at a time, or one before it has read what the other wrote, a change would be
// lost. So they take turns: a worker asks for one by a record of its own in the config
// topic, has it once no record of another one stands before it there, and gives it back
// by a tombstone. All see the same queue. And a worker whose record has come back to it
// knows everything that was written before.

// turnTime is how long a worker has its turn: one that dies in it keeps the others
// waiting for as long, not for ever.
const turnTime = time.Minute

// editTime is how much of its turn a worker may use. A record that is sent at its end
// is still stored or given up within the turn, deliveryTimeout later, as another worker
// sees it, which may have read of the turn somewhat earlier.
const editTime = 25 * time.Second

// turns are the workers that have asked for a turn, by their uid, in the order of the
// topic. The first one has it.
type turns struct {
	queue []asked
	since time.Time // the first one has its turn since then
}

type asked struct {
	uid string
	at  time.Time
}

// ask puts a worker at the end, which was at the given time.
func (t *turns) ask(uid string, at time.Time) {
	t.giveBack(uid, at)
	if t.queue = append(t.queue, asked{uid, at}); len(t.queue) == 1 {
		t.since = at
	}
}

// giveBack takes a worker out, wherever it stands.
func (t *turns) giveBack(uid string, at time.Time) {
	n := slices.IndexFunc(t.queue, func(a asked) bool { return a.uid == uid })
	if n < 0 {
		return
	}
	if t.queue = slices.Delete(t.queue, n, n+1); n == 0 {
		t.since = at
	}
}

// whose is the uid of who has the turn now, and until when; it is empty if nobody has
// asked for one.
func (t *turns) whose(now time.Time) (uid string, until time.Time) {
	for len(t.queue) > 0 {
		// Nobody's turn begins before it is asked for.
		if at := t.queue[0].at; at.After(t.since) {
			t.since = at
		}
		until = t.since.Add(turnTime)
		if until.After(now) {
			return t.queue[0].uid, until
		}
		t.queue, t.since = t.queue[1:], until
	}
	return "", time.Time{}
}

// stands reports whether a worker is in the queue.
func (t *turns) stands(uid string) bool {
	return slices.ContainsFunc(t.queue, func(a asked) bool { return a.uid == uid })
}

// edit runs f in a turn of this worker: meanwhile no other worker edits, and all that
// others have edited is known here.
func (h *Herder) edit(ctx context.Context, f func(ctx context.Context) error) error {
	h.edits.Lock()
	defer h.edits.Unlock()
	h.mu.Lock()
	err := h.ready()
	h.mu.Unlock()
	if err != nil {
		return err
	}
	turn := change{kind: turnKey, name: h.uid}
	err = h.write(ctx, turn)
	defer func() { // even if asking has failed, for it may be heard
		turn.deletes = true
		h.post(turn)
	}()
	if err != nil {
		return err
	}
	until, err := h.awaitTurn(ctx)
	if err != nil {
		return unavailable("Another worker is changing a connector, and isn't done", err)
	}
	ctx, cancel := context.WithDeadline(ctx, until.Add(editTime-turnTime))
	defer cancel()
	return f(ctx)
}

// errTurnOver is the answer to a worker that has slept in its turn, or in the queue.
var errTurnOver = errors.New("this worker was too slow to take its turn")

// awaitTurn returns once this worker has its turn, which it has asked for.
func (h *Herder) awaitTurn(ctx context.Context) (until time.Time, err error) {
	for {
		moved := h.bus.movement()
		h.mu.Lock()
		uid, until := h.turns.whose(time.Now())
		stands := h.turns.stands(h.uid)
		h.mu.Unlock()
		switch {
		case uid == h.uid:
			return until, nil
		case !stands:
			return time.Time{}, errTurnOver
		}
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-moved:
		case <-time.After(time.Until(until)):
		}
	}
}

// post stores a change behind all that this worker has written, and waits for nothing.
func (h *Herder) post(c change) {
	record, err := h.record(c)
	if err != nil {
		h.logger.Error("posting to the config topic", "error", err)
		return
	}
	h.bus.post(record)
}

// refresh returns once everything is known here that was in the config topic when it
// was called, so that what is asked of this worker finds what was answered by another.
func (h *Herder) refresh(ctx context.Context) error {
	h.mu.Lock()
	err := h.ready()
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if err := h.mark(ctx); err != nil {
		return unavailable("The config topic could not be read to its end", err)
	}
	return nil
}
