package kudu

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Role is what a replica is in its tablet's Raft group.
type Role int32

// The roles (RaftPeerPB.Role in kudu-1.18.1 src/kudu/consensus/metadata.proto).
const (
	RoleFollower Role = 0
	RoleLeader   Role = 1
	RoleLearner  Role = 2
)

// Replica is one copy of a tablet.
type Replica struct {
	UUID     string // of the tablet server
	Addr     string // host:port
	Location string // as the cluster assigns it, may be empty
	Role     Role
}

// Tablet is one shard of a table and where its replicas are, as the master
// last told. Immutable.
type Tablet struct {
	ID        string
	Partition Partition
	Replicas  []Replica
}

// Leader is the replica that leads, nil during an election.
func (t *Tablet) Leader() *Replica {
	for i := range t.Replicas {
		if t.Replicas[i].Role == RoleLeader {
			return &t.Replicas[i]
		}
	}
	return nil
}

// locations caches where tablets are. Entries never expire: a server that no
// longer serves a tablet says so, and then the entry is resolved anew, by one
// caller while the others wait.
type locations struct {
	c *Client

	mu      sync.Mutex
	tablets map[string]*location
}

type location struct {
	tablet    *Tablet       // nil when stale
	resolving chan struct{} // closed when the running resolution ends
	err       error         // how the last resolution ended
}

func newLocations(c *Client) *locations {
	return &locations{c: c, tablets: make(map[string]*location)}
}

func (l *locations) entry(id string) *location {
	e := l.tablets[id]
	if e == nil {
		e = &location{}
		l.tablets[id] = e
	}
	return e
}

// table asks for all tablets of a table and fills the cache. Leaving out
// max_returned_locations brings them all in one answer.
func (l *locations) table(ctx context.Context, t *Table) ([]*Tablet, error) {
	const op = "locating the tablets of"
	intern := true
	resp := &pb.GetTableLocationsResponsePB{}
	err := l.c.masters.call(ctx, op, "GetTableLocations", nil,
		&pb.GetTableLocationsRequestPB{Table: t.identifier(), InternTsInfosInResponse: &intern}, resp)
	if err != nil {
		return nil, withTable(err, op, t.name)
	}
	tablets := make([]*Tablet, len(resp.GetTabletLocations()))
	for i, tl := range resp.GetTabletLocations() {
		if tablets[i], err = tabletFromPB(tl, resp.GetTsInfos()); err != nil {
			return nil, &Error{Op: op, Table: t.name, Err: errors.Join(ErrMalformed, err)}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tablet := range tablets {
		e := l.entry(tablet.ID)
		e.tablet, e.err = tablet, nil
	}
	return tablets, nil
}

// tablet gives the location of one tablet, asking the master when the cache
// has none.
func (l *locations) tablet(ctx context.Context, id string) (*Tablet, error) {
	for {
		l.mu.Lock()
		e := l.entry(id)
		if e.tablet != nil {
			defer l.mu.Unlock()
			return e.tablet, nil
		}
		if wait := e.resolving; wait != nil {
			l.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			l.mu.Lock()
			tablet, err := e.tablet, e.err
			l.mu.Unlock()
			// One that ended because its own caller gave up says nothing.
			if tablet == nil && err != nil && !gaveUpItself(err) {
				return nil, err
			}
			continue
		}
		done := make(chan struct{})
		e.resolving = done
		l.mu.Unlock()

		tablet, err := l.resolve(ctx, id)

		l.mu.Lock()
		e.tablet, e.err, e.resolving = tablet, err, nil
		if errors.Is(err, ErrTabletNotFound) {
			delete(l.tablets, id)
		}
		l.mu.Unlock()
		close(done)
		return tablet, err
	}
}

// gaveUpItself reports whether an error tells more about its caller's patience
// than about servers.
func gaveUpItself(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// forget marks the location stale, unless it has changed since the caller got
// it.
func (l *locations) forget(t *Tablet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.tablets[t.ID]; e != nil && e.tablet == t {
		e.tablet = nil
	}
}

// forgetID marks the location stale whatever it is.
func (l *locations) forgetID(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.tablets[id]; e != nil {
		e.tablet = nil
	}
}

func (l *locations) resolve(ctx context.Context, id string) (*Tablet, error) {
	const op = "locating"
	intern := true
	resp := &pb.GetTabletLocationsResponsePB{}
	err := l.c.masters.call(ctx, op, "GetTabletLocations", nil,
		&pb.GetTabletLocationsRequestPB{TabletIds: [][]byte{[]byte(id)}, InternTsInfosInResponse: &intern}, resp)
	if err != nil {
		return nil, withTablet(err, id)
	}
	if errs := resp.GetErrors(); len(errs) > 0 {
		e := errs[0]
		out := &Error{Op: op, Tablet: id, Sent: true, Code: nameOf(statusNames, e.GetStatus().GetCode()), Err: serverText(e.GetStatus())}
		switch e.GetStatus().GetCode() {
		case statusNotFound:
			out.Err = fmt.Errorf("%w: %s", ErrTabletNotFound, e.GetStatus().GetMessage())
		case statusServiceUnavailable:
			out.Class = ClassRetry
		}
		return nil, out
	}
	if len(resp.GetTabletLocations()) == 0 {
		return nil, &Error{Op: op, Tablet: id, Sent: true, Err: fmt.Errorf("%w: the master names no location", ErrTabletNotFound)}
	}
	tablet, err := tabletFromPB(resp.GetTabletLocations()[0], resp.GetTsInfos())
	if err != nil {
		return nil, &Error{Op: op, Tablet: id, Err: errors.Join(ErrMalformed, err)}
	}
	return tablet, nil
}

func tabletFromPB(tl *pb.TabletLocationsPB, infos []*pb.TSInfoPB) (*Tablet, error) {
	part, err := partitionFromPB(tl.GetPartition())
	if err != nil {
		return nil, err
	}
	t := &Tablet{ID: string(tl.GetTabletId()), Partition: part}
	for _, r := range tl.GetInternedReplicas() {
		if int(r.GetTsInfoIdx()) >= len(infos) {
			return nil, fmt.Errorf("replica names server %d of %d", r.GetTsInfoIdx(), len(infos))
		}
		t.addReplica(infos[r.GetTsInfoIdx()], r.GetRole())
	}
	for _, r := range tl.GetDeprecatedReplicas() {
		t.addReplica(r.GetTsInfo(), r.GetRole())
	}
	return t, nil
}

func (t *Tablet) addReplica(info *pb.TSInfoPB, role int32) {
	if len(info.GetRpcAddresses()) == 0 {
		return // known to the master, but not reachable: it has not reported yet
	}
	t.Replicas = append(t.Replicas, Replica{
		UUID: string(info.GetPermanentUuid()), Addr: hostPort(info.GetRpcAddresses()[0]),
		Location: info.GetLocation(), Role: Role(role),
	})
}

// withTablet adds the tablet's id to an error of a call.
func withTablet(err error, tablet string) error {
	var e *Error
	if errors.As(err, &e) {
		out := *e
		out.Tablet = tablet
		return &out
	}
	return &Error{Op: "locating", Tablet: tablet, Err: err}
}
