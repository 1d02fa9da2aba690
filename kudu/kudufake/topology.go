package kudufake

import (
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Tablet tells of one tablet of a table.
type Tablet struct {
	ID       string
	Buckets  []int32 // hash buckets
	Leader   *Server // nil: none leads
	Replicas []*Server
	Rows     int64          // live now
	Last     kudu.Timestamp // of the last operation
}

// Tablets lists the table's tablets in order of their partitions.
func (t *Table) Tablets() []Tablet {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	tb, err := t.get()
	if err != nil {
		return nil
	}
	var out []Tablet
	for _, tablet := range tb.tablets {
		info := Tablet{ID: tablet.id, Buckets: tablet.part.buckets, Rows: tablet.rows.count(), Last: kudu.Timestamp(tablet.last)}
		for _, r := range tablet.replicas {
			if r.leads {
				info.Leader = r.server
			}
			info.Replicas = append(info.Replicas, r.server)
		}
		out = append(out, info)
	}
	return out
}

// change runs fn on a tablet and wakes who waits for it.
func (c *Cluster) change(tabletID string, fn func(*tablet) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tablets[tabletID]
	if t == nil {
		return fmt.Errorf("no tablet %s", tabletID)
	}
	defer c.signal()
	return fn(t)
}

func (t *tablet) mustReplica(s *Server) (*replica, error) {
	if r := t.replicaOn(s); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("tablet %s has no replica on %s", t.id, s.name)
}

// MoveLeader makes the replica on s lead, at once; with nil no replica leads.
func (c *Cluster) MoveLeader(tabletID string, s *Server) error {
	return c.change(tabletID, func(t *tablet) error {
		if s == nil {
			t.lead(nil)
			return nil
		}
		r, err := t.mustReplica(s)
		if err == nil {
			t.lead(r)
		}
		return err
	})
}

// MoveReplica moves a replica: afterwards from answers TABLET_NOT_FOUND, and
// its scanners of the tablet are gone. A leader stays leader.
func (c *Cluster) MoveReplica(tabletID string, from, to *Server) error {
	return c.change(tabletID, func(t *tablet) error {
		r, err := t.mustReplica(from)
		if err != nil {
			return err
		}
		if t.replicaOn(to) != nil {
			return fmt.Errorf("tablet %s has a replica on %s already", tabletID, to.name)
		}
		r.server = to
		if r.leads {
			t.lead(r)
		}
		for id, sc := range from.scanners {
			if sc.tablet == t {
				delete(from.scanners, id)
			}
		}
		return nil
	})
}

// FreezeReplica cuts a replica off from the others: it sees no operation from
// now on, and does not vouch for snapshots from now on. Thaw ends that.
func (c *Cluster) FreezeReplica(tabletID string, s *Server) error {
	return c.change(tabletID, func(t *tablet) error {
		r, err := t.mustReplica(s)
		if err == nil {
			r.freeze(t)
		}
		return err
	})
}

func (r *replica) freeze(t *tablet) {
	r.frozen, r.seq, r.ts = true, t.seq, r.server.clock.tick()
}

// DeposeLeader cuts the leader off and has to lead instead. The old one does
// not notice: it answers reads at any snapshot without the rows that came
// since, as Kudu's leaders do, having no leases; writes it refuses.
func (c *Cluster) DeposeLeader(tabletID string, to *Server) error {
	return c.change(tabletID, func(t *tablet) error {
		r, err := t.mustReplica(to)
		if err != nil {
			return err
		}
		if old := t.leader(); old != nil && old != r {
			old.freeze(t)
			old.believes = true
		}
		t.lead(r)
		return nil
	})
}

// Thaw joins all replicas of a tablet that were frozen or deposed again.
func (c *Cluster) Thaw(tabletID string) error {
	return c.change(tabletID, func(t *tablet) error {
		for _, r := range t.replicas {
			r.frozen, r.believes = false, false
		}
		return nil
	})
}

// StallWrites has a tablet commit nothing: writes are not answered until it is
// called with false, as without a majority of replicas.
func (c *Cluster) StallWrites(tabletID string, on bool) error {
	return c.change(tabletID, func(t *tablet) error {
		t.stalled = on
		return nil
	})
}

// SetReady lets a replica serve or not: one that is not ready answers
// TABLET_NOT_RUNNING, as while it starts.
func (c *Cluster) SetReady(tabletID string, s *Server, ready bool) error {
	return c.change(tabletID, func(t *tablet) error {
		r, err := t.mustReplica(s)
		if err == nil {
			r.notReady = !ready
		}
		return err
	})
}
