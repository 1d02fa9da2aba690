package kudu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// resumable reports whether the scan can be opened again without giving rows
// twice.
func (p *pump) resumable() bool { return p.opts.Ordered || p.resume.rows == 0 }

// fetch gets the next answer, and does what it takes: opens the scan, waits
// for a busy server, finds another replica. It gives up when nothing has
// succeeded for the client's OperationTimeout.
func (p *pump) fetch(ctx context.Context, f *fetched) (more bool, err error) {
	giveUp := time.Now().Add(p.c.cfg.OperationTimeout)
	bounded, cancel := context.WithDeadline(ctx, giveUp)
	defer cancel()
	pace := newBackOff()
	for {
		more, err = p.attempt(bounded, f)
		if err == nil {
			p.where, p.busy = nil, 0
			clear(p.avoid)
			return more, nil
		}
		if ctx.Err() != nil {
			return false, err
		}
		if fatal := p.react(bounded, err); fatal != nil {
			return false, p.named(fatal)
		}
		wait := pace.NextBackOff()
		if time.Now().Add(wait).After(giveUp) {
			return false, p.named(gaveUp("scanning", context.DeadlineExceeded, err))
		}
		p.c.retrying(err)
		p.c.cfg.Logger.Debug("scan goes on after a failure", "table", p.table.name, "tablet", p.tablet, "wait", wait, "error", err)
		if stop := sleep(ctx, wait); stop != nil {
			return false, p.named(gaveUp("scanning", stop, err))
		}
	}
}

// busyBeforeMove is how often a replica may say that it is busy before a
// snapshot scan tries another one.
const busyBeforeMove = 3

// react prepares the next attempt after a failure, or returns the error that
// ends the scan.
func (p *pump) react(ctx context.Context, err error) error {
	if p.id == nil && lacksFeature(err, featureColumnar) && !p.rowWise() {
		p.c.rowWise.Store(p.addr, struct{}{})
		return nil
	}
	class := ClassOf(err)
	if class == ClassRetry {
		if p.busy++; p.busy >= busyBeforeMove && p.id == nil && p.opts.Mode == ReadAtSnapshot {
			p.avoid[p.addr] = true
		}
		var ce *krpc.CallError
		if p.id != nil && errors.As(err, &ce) {
			// The server was too busy to begin the call: the same one may be
			// sent again, with the same sequence number.
			p.seq--
			return nil
		}
	}
	switch class {
	case ClassFatal:
		return err
	case ClassReauth:
		if err := p.table.renewAuthz(ctx); err != nil {
			return err
		}
	case ClassRelocate, ClassReconnect:
		if p.opts.Server != "" {
			p.c.locations.forgetID(p.tablet)
			return err
		}
		p.avoid[p.addr] = true
		if p.where != nil {
			// Others shall ask anew; this scan tries the other replicas first.
			p.c.locations.forget(p.where)
		} else {
			p.c.locations.forgetID(p.tablet)
		}
	}
	if p.id != nil {
		p.id = nil
		if !p.resumable() {
			return fmt.Errorf("%w: %w", ErrNotResumable, err)
		}
	}
	return nil
}

// lacksFeature reports whether a server refused a call because it doesn't know
// the feature.
func lacksFeature(err error, feature uint32) bool {
	var ce *krpc.CallError
	return errors.As(err, &ce) && slices.Contains(ce.UnsupportedFeatures, feature)
}

// rowWise reports whether the scan uses the row-wise layout with the server it
// talks to.
func (p *pump) rowWise() bool {
	_, lacks := p.c.rowWise.Load(p.addr)
	return lacks || p.opts.RowWise
}

// attempt makes one call: it opens the scan, or asks the open one for more.
func (p *pump) attempt(ctx context.Context, f *fetched) (more bool, err error) {
	req := &pb.ScanRequestPB{BatchSizeBytes: ptr(uint32(p.opts.BatchBytes))}
	rpc := &krpc.Request{Service: krpc.TabletServerService, Method: "Scan", Body: req}
	opening := p.id == nil
	if opening {
		if p.opts.exhausted(p.table.schema, p.resume) {
			f.batch.rows = 0
			return false, nil
		}
		if p.addr, err = p.replica(ctx); err != nil {
			return false, err
		}
		p.seq = 0
		open := p.opts.openRequest(p.tablet, p.proj.wire, p.resume)
		open.ColumnPredicates = p.conditions.wire()
		open.AuthzToken = p.table.authzToken()
		if ts := p.c.propagated.Load(); ts != 0 {
			open.PropagatedTimestamp = &ts
		}
		if len(open.ColumnPredicates) > 0 {
			rpc.Features = append(rpc.Features, featurePredicates)
		}
		if p.rowWise() {
			open.RowFormatFlags = nil
		} else {
			rpc.Features = append(rpc.Features, featureColumnar)
		}
		req.NewScanRequest = open
	} else {
		p.seq++
		req.ScannerId = p.id
	}
	req.CallSeqId = ptr(p.seq)

	resp := &pb.ScanResponsePB{}
	payload, err := p.c.call(ctx, p.addr, "scanning", rpc, resp)
	if err != nil {
		return false, err
	}
	if e := resp.GetError(); e != nil {
		payload.Release()
		return false, p.c.told(tserverError("scanning", p.addr, e))
	}
	f.payload = payload
	if err := p.accept(f, resp, opening); err != nil {
		f.release()
		return false, &Error{Op: "scanning", Addr: p.addr, Sent: true, Err: fmt.Errorf("%w: %w", ErrMalformed, err)}
	}
	return resp.GetHasMoreResults(), nil
}

// accept takes the rows of an answer and moves the resume point behind them.
func (p *pump) accept(f *fetched, resp *pb.ScanResponsePB, opening bool) error {
	p.c.observe(resp.GetPropagatedTimestamp())
	p.s.answers.Add(1)
	if resp.GetHasMoreResults() {
		if opening {
			if p.id = resp.GetScannerId(); len(p.id) == 0 {
				return errors.New("the server has more rows but names no scanner")
			}
		}
	} else {
		p.id = nil // the server has dropped it already
	}
	switch {
	case resp.GetColumnarData() != nil:
		if err := decodeColumnar(&f.batch, p.proj.wire, resp.GetColumnarData(), f.payload); err != nil {
			return err
		}
	case resp.GetData() != nil:
		if err := f.rowwise.decode(&f.batch, p.proj.wire, resp.GetData(), f.payload); err != nil {
			return err
		}
	default:
		// Without a row, not even of an empty block, there is nothing to show.
		f.batch.rows, f.batch.cols = 0, f.batch.cols[:0]
	}
	f.batch.show(p.proj)
	if resp.SnapTimestamp != nil {
		p.resume.snapshot = Timestamp(resp.GetSnapTimestamp())
		p.s.snapshot.Store(resp.GetSnapTimestamp())
	}
	switch last := resp.GetLastPrimaryKey(); {
	case len(last) > 0:
		p.resume.lastKey = last
	case p.opts.Ordered && f.batch.rows > 0:
		// The empty string is the empty key, which servers don't send.
		if s := p.table.schema; s.keys != 1 || !s.cols[0].Type.VarLen() {
			return errors.New("an ordered answer with rows names no last primary key")
		}
		p.resume.lastKey = []byte{}
	}
	p.resume.rows += uint64(f.batch.rows)
	if p.opts.Limit > 0 && p.resume.rows > p.opts.Limit {
		return fmt.Errorf("the answers hold %d rows, beyond the limit of %d", p.resume.rows, p.opts.Limit)
	}
	return nil
}

// replica chooses the server to open the scan at.
func (p *pump) replica(ctx context.Context) (string, error) {
	if p.opts.Server != "" {
		return p.opts.Server, nil
	}
	if p.where == nil {
		tablet, err := p.c.locations.tablet(ctx, p.tablet)
		if err != nil {
			return "", err
		}
		p.where = tablet
	}
	for _, r := range p.candidates(p.where) {
		if !p.avoid[r.Addr] {
			return r.Addr, nil
		}
	}
	p.c.locations.forget(p.where)
	p.where = nil
	cause := errNoLeader
	if len(p.avoid) > 0 {
		cause = errors.New("no replica of the tablet answers now")
	}
	clear(p.avoid)
	p.addr = ""
	return "", &Error{Op: "scanning", Class: ClassRetry, Err: cause}
}

// candidates lists the replicas that may be read, best first.
func (p *pump) candidates(t *Tablet) []*Replica {
	var out []*Replica
	for i := range t.Replicas {
		r := &t.Replicas[i]
		switch {
		case r.Role == RoleLeader:
		case r.Role != RoleFollower:
			continue // still being copied
		case p.opts.Replica == LeaderOnly && p.opts.Mode != ReadAtSnapshot:
			continue
		}
		if p.opts.Replica == FollowersOnly && r.Role == RoleLeader && len(t.Replicas) > 1 {
			continue
		}
		out = append(out, r)
	}
	rank := func(r *Replica) int {
		if p.opts.Replica == LeaderOnly {
			if r.Role == RoleLeader {
				return 0
			}
			return 1
		}
		return p.c.distance(r)
	}
	slices.SortStableFunc(out, func(a, b *Replica) int { return rank(a) - rank(b) })
	return out
}
