package kudufake

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// clientWrites is what servers remember of one client's writes, so that one
// that is sent again is not done again (kudu-1.18.1
// src/kudu/rpc/result_tracker.h). Real servers keep it each for its own, and
// learn of writes to others through Raft; here it is one for the cluster.
type clientWrites struct {
	staleBefore int64
	done        map[int64]*pb.WriteResponsePB
}

// ForgetWrites has all servers forget the answers of writes, as real ones do after
// ten minutes: a write that is sent again is done again.
func (c *Cluster) ForgetWrites() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.writes {
		clear(client.done)
	}
}

// replayed gives the answer of a write that was done before. The caller holds
// mu.
func (c *Cluster) replayed(id *pb.RequestIdPB) (*pb.WriteResponsePB, *failure) {
	if id == nil {
		return nil, nil
	}
	client := c.writes[id.GetClientId()]
	if client == nil {
		client = &clientWrites{done: make(map[int64]*pb.WriteResponsePB)}
		c.writes[id.GetClientId()] = client
	}
	client.staleBefore = max(client.staleBefore, id.GetFirstIncompleteSeqNo())
	for seq := range client.done {
		if seq < client.staleBefore {
			delete(client.done, seq)
		}
	}
	if id.GetSeqNo() < client.staleBefore {
		return nil, rpcFailure(pb.ErrorStatusPB_ERROR_REQUEST_STALE, "Request %d of client %s is stale", id.GetSeqNo(), id.GetClientId())
	}
	return client.done[id.GetSeqNo()], nil
}

// write serves TabletServerService.Write.
func write(ctx context.Context, s *Server, call *Call, req *pb.WriteRequestPB) (proto.Message, [][]byte, *failure) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if resp, f := c.replayed(call.requestID); f != nil || resp != nil {
		return resp, nil, f
	}
	t, r, f := s.lookup(req.GetTabletId())
	if f != nil {
		return nil, nil, f
	}
	if f := c.authorize(req.GetAuthzToken(), call.User, t.table); f != nil {
		return nil, nil, f
	}
	if f := c.mayWrite(); f != nil {
		return nil, nil, f
	}
	if req.PropagatedTimestamp != nil {
		if f := s.clock.update(req.GetPropagatedTimestamp()); f != nil {
			return nil, nil, f.withCode(tsUnknownError)
		}
	}
	if !r.leads {
		return nil, nil, notLeader(s)
	}
	cols, keys, hasIDs, f := columnsFromPB(req.GetSchema().GetColumns())
	if f != nil {
		return nil, nil, f.withCode(tsUnknownError)
	}
	if hasIDs {
		return nil, nil, appFailure(tsInvalidSchema, stInvalidArgument, "User requests should not have Column IDs")
	}
	counter := t.counter
	ops, f := decodeWrite(t.table.schema, cols, keys, req.GetRowOperations(), &counter)
	t.counter = counter // spent even if the batch fails
	if f != nil {
		return nil, nil, f.withCode(tsMismatchedSchema)
	}
	for _, op := range ops {
		if f := c.mayWrite(op.kind); f != nil {
			return nil, nil, f
		}
	}
	if f := t.checkRows(ops); f != nil {
		return nil, nil, f
	}
	for i, op := range ops {
		if call.refuseRow != nil && call.refuseRow(i) {
			op.failed = appFailure(tsUnknownError, stInvalidArgument, "Refused, as the test wants")
		}
	}
	if t.stalled {
		if f := t.waitMajority(ctx, s, r); f != nil {
			return nil, nil, f
		}
	}
	resp := t.apply(s.clock, ops)
	if id := call.requestID; id != nil {
		c.writes[id.GetClientId()].done[id.GetSeqNo()] = resp
	}
	return resp, nil, nil
}

// notLeader is a follower's refusal: the code says nothing, the status all.
func notLeader(s *Server) *failure {
	return appFailure(tsUnknownError, stIllegalState, "Replica %s is not leader of this config. Role: FOLLOWER.", s.uuid)
}

// checkRows refuses the batch if a row with a whole key is not this tablet's.
func (t *tablet) checkRows(ops []*rowOp) *failure {
	s := t.table.schema
	for _, op := range ops {
		whole := true
		for i := range s.keys {
			whole = whole && op.cells[i] != nil
		}
		if whole && op.failed == nil && !t.table.parts.contains(s, t.part, op.cells[:s.keys]) {
			return appFailure(tsUnknownError, stNotFound, "Row not in tablet partition. Partition: %v", t.part.buckets)
		}
	}
	return nil
}

// waitMajority holds a write back while its tablet can commit none. Meanwhile
// snapshots behind its timestamp are not safe. The server itself sets no limit.
func (t *tablet) waitMajority(ctx context.Context, s *Server, r *replica) *failure {
	ts := s.clock.tick()
	t.pending = append(t.pending, ts)
	defer func() {
		t.pending = slices.DeleteFunc(t.pending, func(p uint64) bool { return p == ts })
	}()
	for t.stalled {
		if !s.c.waitMoved(ctx, 0) {
			return abandoned
		}
	}
	if !r.leads || s.c.tablets[t.id] != t {
		return appFailure(tsUnknownError, stAborted, "Operation aborted: the replica no longer leads")
	}
	return nil
}

// apply carries out a batch at one new timestamp.
func (t *tablet) apply(clock *hybridClock, ops []*rowOp) *pb.WriteResponsePB {
	_ = clock.update(t.last)
	ts := max(clock.tick(), t.last+1)
	return t.applyAt(ops, ts)
}

func (t *tablet) applyAt(ops []*rowOp, ts uint64) *pb.WriteResponsePB {
	resp := &pb.WriteResponsePB{Timestamp: &ts}
	t.last = ts
	var n counts
	for i, op := range ops {
		t.seq++
		if f := t.rows.apply(t.table.schema, op, ts, t.seq, &n); f != nil {
			resp.PerRowErrors = append(resp.PerRowErrors, &pb.WriteResponsePB_PerRowErrorPB{RowIndex: new(int32(i)), Error: f.statusPB()})
		}
	}
	resp.ResourceMetrics = &pb.ResourceMetricsPB{
		SuccessfulInserts: &n.inserts, InsertIgnoreErrors: &n.insertIgnored, SuccessfulUpserts: &n.upserts,
		SuccessfulUpdates: &n.updates, UpdateIgnoreErrors: &n.updateIgnored, SuccessfulDeletes: &n.deletes,
		DeleteIgnoreErrors: &n.deleteIgnored, UpsertIgnoreErrors: &n.upsertIgnored,
	}
	return resp
}
