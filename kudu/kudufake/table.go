package kudufake

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// table is a table; Cluster.mu guards it and all below.
type table struct {
	id, name       string
	schema         *schema
	before         *schema // what clients are told until an ALTER is done
	parts          partitioning
	tablets        []*tablet // in order of partitions
	replicas       int
	owner, comment string
	extra          map[string]string
	readyAt        time.Time // CREATE is done
	alteredAt      time.Time // ALTER is done
}

// historyMaxAge is how far back the table's snapshots reach; negative: for
// ever.
func (t *table) historyMaxAge(opts *Options) time.Duration {
	if text, ok := t.extra["kudu.table.history_max_age_sec"]; ok {
		if sec, err := strconv.ParseInt(text, 10, 64); err == nil {
			return time.Duration(sec) * time.Second
		}
	}
	return opts.HistoryMaxAge
}

// tablet is one shard.
type tablet struct {
	id       string
	table    *table
	part     *partition
	rows     *rowSet
	counter  int64  // of the auto-incrementing column
	seq      uint64 // of the last operation
	last     uint64 // timestamp of the last operation
	replicas []*replica

	stalled bool     // writes do not commit
	pending []uint64 // timestamps of writes that wait
}

// replica is a tablet's copy on one server.
type replica struct {
	server *Server
	leads  bool
	// frozen: the replica sees no operation after seq, and vouches for nothing
	// after ts, unless it believes that it leads.
	frozen   bool
	seq, ts  uint64
	believes bool
	notReady bool // bootstrapping
}

func (t *tablet) replicaOn(s *Server) *replica {
	for _, r := range t.replicas {
		if r.server == s {
			return r
		}
	}
	return nil
}

// leader is the replica that leads, nil if none does.
func (t *tablet) leader() *replica {
	for _, r := range t.replicas {
		if r.leads {
			return r
		}
	}
	return nil
}

// lead makes r the leader; nil for none.
func (t *tablet) lead(r *replica) {
	for _, o := range t.replicas {
		o.leads = o == r
	}
	if r != nil {
		r.believes = false
		_ = r.server.clock.update(t.last) // a leader has seen what it replicated
	}
}

// elect gives each tablet a living leader, if most of its replicas live, and
// the same for the masters. The caller holds mu.
func (c *Cluster) elect() {
	for _, t := range c.tablets {
		alive := 0
		var candidate *replica
		for _, r := range t.replicas {
			if !r.server.down {
				alive++
				if candidate == nil && !r.frozen {
					candidate = r
				}
			}
		}
		leader := t.leader()
		switch {
		case leader != nil && !leader.server.down:
		case alive*2 > len(t.replicas) && candidate != nil:
			t.lead(candidate)
		case len(t.replicas) > 1:
			t.lead(nil)
		}
	}
	if c.leaderMaster != nil && !c.leaderMaster.down {
		return
	}
	var alive []*Server
	for _, m := range c.masters {
		if !m.down {
			alive = append(alive, m)
		}
	}
	if c.leaderMaster = nil; len(alive)*2 > len(c.masters) {
		c.leaderMaster = alive[0]
	}
}

// addTable puts a table with its tablets into the catalog. The caller holds mu.
func (c *Cluster) addTable(t *table) {
	c.tables[t.id] = t
	for _, r := range t.parts.ranges {
		c.addTablets(t, r)
	}
}

// addTablets makes the tablets of a range.
func (c *Cluster) addTablets(t *table, r keyRange) {
	created := c.now()
	for _, part := range r.split() {
		tb := &tablet{id: c.newID(), table: t, part: part, rows: newRowSet(), last: created}
		// Tablets are dealt to servers in turn, and so are leaders.
		first := len(c.tablets)
		for i := range t.replicas {
			tb.replicas = append(tb.replicas, &replica{server: c.tservers[(first+i)%len(c.tservers)]})
		}
		tb.lead(tb.replicas[0])
		c.tablets[tb.id] = tb
		t.tablets = append(t.tablets, tb)
	}
	slices.SortFunc(t.tablets, func(a, b *tablet) int { return comparePartitions(a.part, b.part) })
	c.elect()
}

// dropTablets removes the tablets of a range.
func (c *Cluster) dropTablets(t *table, r *keyRange) {
	t.tablets = slices.DeleteFunc(t.tablets, func(tb *tablet) bool {
		if !tb.part.within.sameBounds(r) {
			return false
		}
		delete(c.tablets, tb.id)
		return true
	})
}

func (c *Cluster) dropTable(t *table) {
	for _, tb := range t.tablets {
		delete(c.tablets, tb.id)
	}
	delete(c.tables, t.id)
}

func (c *Cluster) tableNamed(name string) *table {
	for _, t := range c.tables {
		if t.name == name {
			return t
		}
	}
	return nil
}

// find looks a table up as requests name it: by id, by name, or both.
func (c *Cluster) find(id *pb.TableIdentifierPB) (*table, *failure) {
	var t *table
	switch {
	case id.TableId != nil:
		t = c.tables[string(id.TableId)]
		if t != nil && id.TableName != nil && t.name != id.GetTableName() {
			t = nil
		}
	case id.TableName != nil:
		t = c.tableNamed(id.GetTableName())
	default:
		return nil, appFailure(mUnknownError, stInvalidArgument, "missing table ID or table name")
	}
	if t == nil {
		return nil, appFailure(mTableNotFound, stNotFound, "the table does not exist: table_name: %q", id.GetTableName())
	}
	return t, nil
}

// creating tells whether the table's tablets do not run yet.
func (c *Cluster) creating(t *table) bool { return c.wall.time().Before(t.readyAt) }

// altering tells whether an ALTER is not done yet.
func (c *Cluster) altering(t *table) bool { return c.wall.time().Before(t.alteredAt) }

// shown is the schema that the master tells clients.
func (c *Cluster) shown(t *table) *schema {
	if c.altering(t) {
		return t.before
	}
	return t.schema
}

func (c *Cluster) sortedTables() []*table {
	return slices.SortedFunc(maps.Values(c.tables), func(a, b *table) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
}

func (t *table) liveRows() int64 {
	n := int64(0)
	for _, tb := range t.tablets {
		n += tb.rows.count()
	}
	return n
}
