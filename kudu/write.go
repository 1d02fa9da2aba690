package kudu

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// requestTracker numbers writes. A server that gets a number again gives the
// first outcome again instead of a second effect, until it learns that the
// number, and all before it, are finished here (RequestIdPB in kudu-1.18.1
// src/kudu/rpc/rpc_header.proto).
type requestTracker struct {
	client string

	mu   sync.Mutex
	next int64
	open map[int64]struct{}
}

func newRequestTracker() *requestTracker {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return &requestTracker{client: hex.EncodeToString(id[:]), open: make(map[int64]struct{})}
}

func (t *requestTracker) begin() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	seq := t.next
	t.next++
	t.open[seq] = struct{}{}
	return seq
}

func (t *requestTracker) end(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, seq)
}

// id is the request id of an attempt, counted from 1.
func (t *requestTracker) id(seq, attempt int64) *pb.RequestIdPB {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := seq
	for s := range t.open {
		first = min(first, s)
	}
	return &pb.RequestIdPB{ClientId: &t.client, SeqNo: &seq, FirstIncompleteSeqNo: &first, AttemptNo: &attempt}
}

// write sends row operations to the tablet's leader, following it when it
// moves, until they are answered or ctx (or the client's own limit) ends. All
// attempts carry one request id, so that the operations take effect at most
// once. A tablet without a majority never answers: CallTimeout ends such an
// attempt, and an error then wraps ErrOutcomeUnknown unless no attempt can have
// been carried out.
func (t *Table) write(ctx context.Context, op, tablet string, ops *pb.RowOperationsPB) (resp *pb.WriteResponsePB, addr string, err error) {
	seq := t.c.requests.begin()
	defer t.c.requests.end(seq)
	return t.writeAs(ctx, op, tablet, ops, func(attempt int64) *pb.RequestIdPB { return t.c.requests.id(seq, attempt) })
}

// writeAs is write with the request id that id gives for each attempt.
func (t *Table) writeAs(ctx context.Context, op, tablet string, ops *pb.RowOperationsPB, id func(attempt int64) *pb.RequestIdPB) (resp *pb.WriteResponsePB, addr string, err error) {
	c := t.c
	req := &pb.WriteRequestPB{TabletId: []byte(tablet), Schema: t.layout.writeSchemaPB(), RowOperations: ops}
	resp = &pb.WriteResponsePB{}
	attempts, unknown := int64(0), false
	err = c.retry(ctx, op, func(ctx context.Context) error {
		where, err := c.locations.tablet(ctx, tablet)
		if err != nil {
			return err
		}
		leader := where.Leader()
		if leader == nil {
			c.locations.forget(where)
			return &Error{Op: op, Class: ClassRetry, Err: errNoLeader}
		}
		req.AuthzToken = t.authzToken()
		if ts := c.propagated.Load(); ts != 0 {
			req.PropagatedTimestamp = &ts
		}
		attempts++
		addr = leader.Addr
		resp.Reset()
		payload, err := c.call(ctx, leader.Addr, op, &krpc.Request{
			Service: krpc.TabletServerService, Method: "Write", Body: req, RequestID: id(attempts),
		}, resp)
		payload.Release()
		if err == nil && resp.GetError() != nil {
			err = c.told(tserverError(op, leader.Addr, resp.GetError()))
		}
		if err == nil {
			return nil
		}
		unknown = unknown || mayHaveRun(err)
		switch ClassOf(err) {
		case ClassRelocate, ClassReconnect:
			c.locations.forget(where)
		case ClassReauth:
			if authErr := t.renewAuthz(ctx); authErr != nil {
				return authErr
			}
		}
		return err
	})
	if err == nil {
		c.observe(resp.GetTimestamp())
		return resp, addr, nil
	}
	err = t.located(err, op, tablet)
	var e *Error
	if unknown && errors.As(err, &e) {
		out := *e
		// Not to be tried again blindly: the request id is given up.
		out.Class, out.Sent, out.Err = ClassFatal, true, fmt.Errorf("%w: %w", ErrOutcomeUnknown, e.Err)
		err = &out
	}
	return nil, "", err
}

var errNoLeader = errors.New("the tablet has no leader now")

// located adds table and tablet to the error.
func (t *Table) located(err error, op, tablet string) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Op: op, Table: t.name, Tablet: tablet, Err: err}
	}
	out := *e
	out.Op, out.Table, out.Tablet = op, t.name, tablet
	return &out
}

// mayHaveRun reports whether an attempt to write that failed so may have been
// carried out all the same. Refusals name a code and were not.
func mayHaveRun(err error) bool {
	var e *Error
	if !errors.As(err, &e) || !e.Sent {
		return false
	}
	if e.Code == pb.ErrorStatusPB_ERROR_REQUEST_STALE.String() {
		return true
	}
	return e.Class == ClassReconnect
}

// Barrier writes nothing to the tablet, through its Raft group, and returns the
// timestamp of that. A snapshot at or below it, of the same tablet, is final:
// every operation below it is known to the leader, and no later one can get a
// lower timestamp. It needs a majority of the tablet's replicas and a right to
// write to the table.
func (t *Table) Barrier(ctx context.Context, tablet string) (Timestamp, error) {
	ts, _, err := t.BarrierAt(ctx, tablet)
	return ts, err
}

// BarrierAt is Barrier, and names the server that led the tablet, for
// ScanOptions.Server: that one has every operation below the timestamp, whoever
// leads later, while a leader deposed earlier, which doesn't know it yet, may
// lack some.
func (t *Table) BarrierAt(ctx context.Context, tablet string) (ts Timestamp, addr string, err error) {
	const op = "setting a barrier on"
	resp, addr, err := t.write(ctx, op, tablet, &pb.RowOperationsPB{Rows: []byte{}, IndirectData: []byte{}})
	if err != nil {
		return 0, "", err
	}
	if resp.GetTimestamp() == 0 {
		return 0, "", t.located(&Error{Op: op, Addr: addr, Sent: true, Err: fmt.Errorf("%w: the answer has no timestamp", ErrMalformed)}, op, tablet)
	}
	return Timestamp(resp.GetTimestamp()), addr, nil
}

// LastTimestamp is the largest timestamp that a server has told this client. A
// scan of another client that is given it sees all that this one has written
// and read, when it is passed to that client's Observe.
func (c *Client) LastTimestamp() Timestamp { return Timestamp(c.propagated.Load()) }

// Observe takes note of a timestamp that a server told another client, so that
// this one's reads and writes come after it. Never pass one that was made from
// a clock of a client's machine: servers push their own clocks to it.
func (c *Client) Observe(ts Timestamp) { c.observe(uint64(ts)) }
