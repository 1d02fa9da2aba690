package kudufake

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Read and order modes: src/kudu/common/common.proto; row format flags:
// src/kudu/tserver/tserver.proto, RowFormatFlags.
const (
	readLatest     = 1
	readAtSnapshot = 2
	readYourWrites = 3
	unordered      = 1
	ordered        = 2

	flagPadUnixtime = 1
	flagColumnar    = 2
	// featureColumnar is the feature flag of the columnar layout: a server
	// that does not know it knows no flag 2 either.
	featureColumnar = 5
)

// Batches: --scanner_default_batch_size_bytes, --scanner_max_batch_size_bytes
// and --scanner_batch_size_rows.
const (
	defaultBatchBytes = 1 << 20
	maxBatchBytes     = 8 << 20
	blockRows         = 128
)

// scan serves TabletServerService.Scan (kudu-1.18.1
// src/kudu/tserver/tablet_service.cc).
func scan(ctx context.Context, s *Server, call *Call, req *pb.ScanRequestPB) (proto.Message, [][]byte, *failure) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	open := req.GetNewScanRequest()
	if open != nil && req.ScannerId != nil {
		return nil, nil, rpcFailure(pb.ErrorStatusPB_ERROR_APPLICATION, "Invalid argument: Must not pass both a scanner_id and new_scan_request")
	}
	if open == nil && req.ScannerId == nil {
		return nil, nil, rpcFailure(pb.ErrorStatusPB_ERROR_APPLICATION, "Invalid argument: Must pass either a scanner_id or new_scan_request")
	}
	var resp *pb.ScanResponsePB
	var out *rowBlock
	var f *failure
	if open != nil {
		resp, out, f = s.openScan(ctx, call, req, open)
	} else {
		resp = &pb.ScanResponsePB{}
		out, f = s.continueScan(call, req, req.GetScannerId(), resp)
	}
	if f != nil {
		return nil, nil, f
	}
	var sidecars [][]byte
	if out != nil {
		sidecars = out.finish(resp)
	}
	resp.PropagatedTimestamp = new(s.clock.tick())
	resp.ResourceMetrics = &pb.ResourceMetricsPB{}
	return resp, sidecars, nil
}

func batchBytes(req *pb.ScanRequestPB) int {
	if req.BatchSizeBytes == nil {
		return defaultBatchBytes
	}
	return int(min(req.GetBatchSizeBytes(), maxBatchBytes))
}

// openScan checks a new scan in the server's own order.
func (s *Server) openScan(ctx context.Context, call *Call, req *pb.ScanRequestPB, open *pb.NewScanRequestPB) (*pb.ScanResponsePB, *rowBlock, *failure) {
	t, r, f := s.lookup(open.GetTabletId())
	if f == nil || s.c.requireAuthz && open.AuthzToken == nil {
		var of *table
		if t != nil {
			of = t.table
		}
		if f := s.c.authorize(open.GetAuthzToken(), call.User, of); f != nil {
			return nil, nil, f
		}
	}
	if f != nil {
		return nil, nil, f
	}
	proj, keys, hasIDs, f := columnsFromPB(open.GetProjectedColumns())
	switch {
	case f != nil:
		return nil, nil, f.withCode(tsInvalidSchema)
	case hasIDs:
		return nil, nil, appFailure(tsInvalidSchema, stInvalidArgument, "User requests should not have Column IDs")
	}
	if f := s.c.mayScan(t.table, proj, open); f != nil {
		return nil, nil, f
	}
	isOrdered, mode := open.GetOrderMode() == ordered, readLatest
	if open.ReadMode != nil {
		mode = int(open.GetReadMode())
	}
	switch {
	case open.OrderMode != nil && open.GetOrderMode() != ordered && open.GetOrderMode() != unordered:
		return nil, nil, appFailure(tsInvalidScanSpec, stInvalidArgument, "Unknown order mode specified")
	case isOrdered && mode != readAtSnapshot:
		return nil, nil, appFailure(tsInvalidScanSpec, stInvalidArgument, "Cannot do an ordered scan that is not a snapshot read")
	}
	sc := &scanner{
		tablet: t, schema: t.table.schema, user: call.User, ordered: isOrdered, limit: open.Limit, projectedKeys: keys,
	}
	if sc.preds, f = predicatesFromPB(sc.schema, open.GetColumnPredicates()); f != nil {
		return nil, nil, f.withCode(tsInvalidScanSpec)
	}
	if f := sc.bounds(open); f != nil {
		return nil, nil, f.withCode(tsInvalidScanSpec)
	}
	flags := open.GetRowFormatFlags()
	if !s.knows(featureColumnar) {
		flags &^= flagColumnar
	}
	if flags&flagColumnar != 0 && flags&^flagColumnar != 0 {
		return nil, nil, appFailure(tsInvalidScanSpec, stInvalidArgument, "Row format flags not supported with columnar layout")
	}
	sc.flags = flags
	sc.proj = proj
	resp := &pb.ScanResponsePB{HasMoreResults: new(false)}
	if sc.contradictory() {
		return resp, newRowBlock(sc), nil
	}
	if f := s.readView(ctx, call, sc, t, r, open, mode, resp); f != nil {
		return nil, nil, f
	}
	if f := sc.resolve(); f != nil {
		return nil, nil, f.withCode(tsMismatchedSchema)
	}
	if open.SnapStartTimestamp != nil && !sc.projectsIsDeleted() {
		return nil, nil, appFailure(tsMismatchedSchema, stInvalidArgument, "cannot deduplicate deleted rows without an IS_DELETED column")
	}
	sc.start(t)
	if !sc.hasNext() {
		return resp, newRowBlock(sc), nil
	}
	id := s.c.newID()
	sc.id, sc.lastUse = id, s.c.wall.time()
	s.scanners[id] = sc
	resp.ScannerId, resp.HasMoreResults = []byte(id), new(true)
	if batchBytes(req) == 0 {
		sc.seq++
		return resp, newRowBlock(sc), nil
	}
	out, f := s.continueScan(call, req, resp.ScannerId, resp)
	if f != nil {
		delete(s.scanners, id)
		return nil, nil, f
	}
	if !resp.GetHasMoreResults() {
		resp.ScannerId = nil
	}
	return resp, out, nil
}

func (s *Server) knows(feature uint32) bool {
	return slices.Contains(s.features, feature)
}

// readView decides what the scan sees, and waits until that is final
// (PickAndVerifyTimestamp, HandleScanAtSnapshot). The caller holds mu, which
// is released while waiting.
func (s *Server) readView(ctx context.Context, call *Call, sc *scanner, t *tablet, r *replica, open *pb.NewScanRequestPB, mode int, resp *pb.ScanResponsePB) *failure {
	sc.view.seq = t.seq
	if r.frozen {
		sc.view.seq = r.seq
	}
	if mode == readLatest {
		if open.SnapStartTimestamp != nil {
			return appFailure(tsInvalidScanSpec, stInvalidArgument, "scan start timestamp is only supported in READ_AT_SNAPSHOT read mode")
		}
		sc.view.ts = ^uint64(0)
		return nil
	}
	switch {
	case mode != readAtSnapshot && mode != readYourWrites:
		return appFailure(tsInvalidScanSpec, stNotSupported, "Unknown read mode.")
	case open.SnapStartTimestamp != nil && mode != readAtSnapshot:
		return appFailure(tsInvalidScanSpec, stInvalidArgument, "scan start timestamp is only supported in READ_AT_SNAPSHOT read mode")
	case open.SnapStartTimestamp != nil && !sc.ordered:
		return appFailure(tsInvalidScanSpec, stInvalidArgument, "scan start timestamp is only supported in ORDERED order mode")
	}
	if open.PropagatedTimestamp != nil {
		if f := s.clock.update(open.GetPropagatedTimestamp()); f != nil {
			f.text = "cannot verify timestamp: " + f.text
			return f.withCode(tsInvalidSnapshot)
		}
	}
	ts := open.GetSnapTimestamp()
	switch {
	case mode == readYourWrites:
		ts = max(open.GetPropagatedTimestamp()+1, t.last)
	case open.SnapTimestamp == nil:
		ts = s.clock.tick()
	case ts > s.clock.latest():
		return appFailure(tsInvalidSnapshot, stInvalidArgument, "cannot verify timestamp: Snapshot time %d in the future. Max allowed timestamp is %d", ts, s.clock.latest())
	}
	if f := s.waitSafe(ctx, call, t, r, ts); f != nil {
		return f
	}
	if f := s.checkHistory(t.table, ts, "end"); f != nil {
		return f
	}
	if open.SnapStartTimestamp != nil {
		start := open.GetSnapStartTimestamp()
		if f := s.checkHistory(t.table, start, "start"); f != nil {
			return f
		}
		if start > ts {
			return appFailure(tsInvalidSnapshot, stInvalidArgument, "start timestamp (%d) must be less than or equal to end timestamp (%d)", start, ts)
		}
		sc.diff, sc.from = true, start
	}
	if sc.view.ts = ts; !r.frozen {
		sc.view.seq = t.seq // moved on while waiting
	}
	resp.SnapTimestamp = &ts
	return nil
}

// checkHistory refuses what lies before the ancient history mark.
func (s *Server) checkHistory(t *table, ts uint64, what string) *failure {
	age := t.historyMaxAge(&s.c.opts)
	if age < 0 {
		return nil
	}
	mark := hybrid(s.clock.physical().Add(-age))
	if ts >= mark {
		return nil
	}
	return appFailure(tsInvalidSnapshot, stInvalidArgument, "snapshot scan %s timestamp is earlier than the ancient history mark. Consider increasing the value of the configuration parameter --tablet_history_max_age_sec. Snapshot timestamp: %d Ancient History Mark: %d Physical time difference: %v",
		what, ts, mark, kudu.Timestamp(ts).Time().Sub(kudu.Timestamp(mark).Time()))
}

// waitSafe waits until no operation below ts can come any more. Waits beyond
// Options.ScanWait end at once, and ask the client to come again.
func (s *Server) waitSafe(ctx context.Context, call *Call, t *tablet, r *replica, ts uint64) *failure {
	limit, clamped := s.c.opts.ScanWait, true
	if call.Timeout > 0 && call.Timeout-10*time.Millisecond <= limit {
		limit, clamped = call.Timeout-10*time.Millisecond, false
	}
	busy := appFailure(tsUnknownError, stTimedOut, "could not wait for desired snapshot timestamp to be consistent")
	if clamped {
		busy = appFailure(tsThrottled, stServiceUnavailable, "could not wait for desired snapshot timestamp to be consistent")
	}
	began := time.Now()
	// A server's own doings move its clock all the time; here it is this.
	s.clock.tick()
	for {
		vouched := r.leads || r.believes
		if r.frozen && !vouched && ts > r.ts {
			// A follower that hears nothing of a leader does not wait.
			return appFailure(tsThrottled, stServiceUnavailable, "could not wait for desired snapshot timestamp to be consistent: tablet has not heard from its leader")
		}
		wait := s.clock.untilPast(ts)
		if !vouched && s.c.opts.FollowerLag > 0 {
			wait = s.clock.untilPast(ts + uint64(s.c.opts.FollowerLag.Microseconds())<<logicalBits)
		}
		left := limit - time.Since(began)
		if wait <= 0 {
			if !slices.ContainsFunc(t.pending, func(p uint64) bool { return p < ts }) {
				return nil
			}
			// Writes under way have all of the call's time to end.
			left = call.Timeout - 10*time.Millisecond - time.Since(began)
			if call.Timeout == 0 {
				left = time.Hour
			}
			wait = left
		}
		if left <= 0 || wait > left {
			return busy
		}
		if !s.c.waitMoved(ctx, wait) {
			return abandoned
		}
	}
}

func keepAlive(_ context.Context, s *Server, call *Call, req *pb.ScannerKeepAliveRequestPB) (proto.Message, [][]byte, *failure) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	sc, f := s.scanner(call, req.GetScannerId())
	if f != nil {
		return nil, nil, f
	}
	sc.lastUse = s.c.wall.time()
	return &pb.ScannerKeepAliveResponsePB{}, nil, nil
}
