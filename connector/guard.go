package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// A tablet's leader that was deposed, and doesn't know it yet because it was
// paused or cut off, answers reads at any snapshot, without the rows that were
// written elsewhere since: Kudu's leaders have no leases. For a key that grows
// that does no harm: such an answer is an earlier state of the tablet, and the
// rows it lacks are above those it shows. But late rows are told by what was
// there at a snapshot, so a scan must not have shown less than was there, or the
// rows it lacked are taken for published and are lost. That goes for the main
// scans as much as for the repairs.

// The values of late.rows.
const (
	lateIgnore = "ignore"
	lateRepair = "repair"
)

// The values of snapshot.guard.
const (
	guardBarrier = "barrier"
	guardLag     = "lag"
	guardNone    = "none"
)

// guardLagTime is how far in the past snapshot.guard=lag reads. A follower's
// safe time comes with its leader's heartbeats, twice a second.
const guardLagTime = 2 * time.Second

// lateRows is what the configuration says about late rows.
type lateRows struct {
	repair   bool
	interval time.Duration
	guard    string // barrier, lag or none
}

// guarded says that scans read at views rather than at what a server calls its
// present.
func (l *lateRows) guarded() bool { return l.repair && l.guard != guardNone }

// view is a snapshot, and the servers that show it.
type view struct {
	at      kudu.Timestamp
	server  string // empty: any that replica allows
	replica kudu.ReplicaSelection
}

// in makes a scan read the view.
func (v view) in(opts kudu.ScanOptions) kudu.ScanOptions {
	opts.Snapshot, opts.Server, opts.Replica = v.at, v.server, v.replica
	return opts
}

// as is an earlier snapshot at the servers of the view: who shows all that was
// there at a snapshot shows all that was there before.
func (v view) as(at kudu.Timestamp) view {
	v.at = at
	return v
}

// views takes one of each tablet, all at the same snapshot.
func (rd *reading) views(ctx context.Context, readers []*tabletReader) ([]view, error) {
	views := make([]view, len(readers))
	for i, r := range readers {
		var err error
		if views[i], err = rd.view(ctx, r.id); err != nil {
			return nil, err
		}
	}
	at := slices.MinFunc(views, func(a, b view) int { return cmp.Compare(a.at, b.at) }).at
	for i := range views {
		views[i].at = at
	}
	return views, nil
}

// roundsAgain is how many polls of a tablet may fail in a row, at the server of
// a view, before the task does.
const roundsAgain = 3

// again reports whether a poll that has failed is to be begun anew: a view is
// read at one server only, and another poll takes another view.
func (rd *reading) again(r *tabletReader, err error) bool {
	if err == nil {
		r.failures = 0
		return false
	}
	if !rd.late.guarded() || !kudu.Retriable(err) || r.failures >= roundsAgain {
		return false
	}
	r.failures++
	rd.logger.Debug("polling anew after a failure", "tablet", r.id, "error", err)
	return true
}

// view takes a new one of a tablet.
//
// With a barrier it is exact. The barrier is an operation in the tablet's log,
// with a timestamp B, that a majority has acknowledged. So the server that led
// has all operations below B, and no later leader gives one a timestamp below
// B, since the log that it leads by holds the barrier. Other servers aren't
// asked: one that was the leader earlier could lack some.
//
// With a lag, followers are read: a follower's safe time moves only by a leader
// that it follows. Not covered is a replica that had been the leader, was
// deposed while paused or cut off for longer than the lag, and is listed as a
// follower since, without having noticed.
func (rd *reading) view(ctx context.Context, tablet string) (view, error) {
	switch rd.late.guard {
	case guardBarrier:
		at, server, err := rd.table.BarrierAt(ctx, tablet)
		if err != nil {
			return view{}, fmt.Errorf("guarding a snapshot (snapshot.guard: barrier needs the right to write to the table): %w", err)
		}
		return view{at: at, server: server}, nil
	case guardLag:
		at, err := rd.observed(ctx, tablet)
		if err != nil {
			return view{}, err
		}
		return view{at: at.Add(-guardLagTime), replica: kudu.FollowersOnly}, nil
	}
	_, at, err := rd.probe(ctx, tablet, kudu.ScanOptions{})
	return view{at: at}, err
}

// probe looks, at the present of a server, whether there is a row within the
// bounds.
func (rd *reading) probe(ctx context.Context, tablet string, bounds kudu.ScanOptions) (some bool, at kudu.Timestamp, err error) {
	bounds.Columns, bounds.Ordered, bounds.Limit = columnsOf(rd.plan.order), true, 1
	sc, err := rd.table.Scan(tablet, bounds)
	if err != nil {
		return false, 0, err
	}
	defer sc.Close()
	_, err = rd.next(ctx, sc, tablet)
	if errors.Is(err, io.EOF) {
		return false, sc.Snapshot(), nil
	}
	return err == nil, sc.Snapshot(), err
}

// observed is the latest time that the cluster has told.
func (rd *reading) observed(ctx context.Context, tablet string) (kudu.Timestamp, error) {
	if ts := rd.client.Observed(); ts != 0 {
		return ts, nil
	}
	_, at, err := rd.probe(ctx, tablet, kudu.ScanOptions{})
	return max(at, rd.client.Observed()), err
}
