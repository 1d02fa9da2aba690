package kudufake

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Options says what cluster New makes. The zero value is one master and one
// tablet server of release 1.18.1, in memory.
type Options struct {
	Masters       int // default 1
	TabletServers int // default 1
	// Replicas is the replication factor of tables that name none. Default:
	// 3, or 1 with less than three tablet servers.
	Replicas int

	// Loopback listens on 127.0.0.1 instead of connecting in memory.
	Loopback bool
	// Now is the physical clock. Default time.Now. See Cluster.Advance.
	Now func() time.Time

	// HistoryMaxAge is how far back snapshots reach; negative: for ever.
	// Default 7 days. A table's kudu.table.history_max_age_sec comes first.
	HistoryMaxAge time.Duration
	// ScannerTTL is how long a scanner lives between two calls. Default 60 s.
	ScannerTTL time.Duration
	// ScanWait is how long a scan waits for its snapshot to be safe. Default 1 s.
	ScanWait time.Duration
	// FollowerLag is how far behind the clock a follower's safe time is; reads
	// at a later snapshot wait. Default 0.
	FollowerLag time.Duration
	// CreateDelay and AlterDelay are how long such an operation is not done
	// yet. Default 0.
	CreateDelay, AlterDelay time.Duration

	// RequireAuthz has tablet servers ask for authorization tokens, as
	// --tserver_enforce_access_control does.
	RequireAuthz bool
	// AuthzLife is how long an authorization token is valid. Default 300 s.
	AuthzLife time.Duration

	// MasterFeatures and TabletServerFeatures are the feature flags that
	// servers know. Default: those of 1.18.1. Tablet servers without flag 5
	// refuse the columnar layout.
	MasterFeatures, TabletServerFeatures []uint32

	// NoElections leaves tablets and masters without a leader when it dies,
	// until one is appointed.
	NoElections bool

	// Logger gets debug lines about failed connections. Default: none.
	Logger hclog.Logger
}

func (o Options) withDefaults() Options {
	o.Masters, o.TabletServers = max(1, o.Masters), max(1, o.TabletServers)
	if o.Replicas == 0 {
		o.Replicas = 1
		if o.TabletServers >= 3 {
			o.Replicas = 3
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.HistoryMaxAge, 7 * 24 * time.Hour},
		{&o.ScannerTTL, time.Minute},
		{&o.ScanWait, time.Second},
		{&o.AuthzLife, 300 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.MasterFeatures == nil {
		o.MasterFeatures = []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	}
	if o.TabletServerFeatures == nil {
		o.TabletServerFeatures = []uint32{1, 2, 3, 5, 6}
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return o
}

// Cluster is a running cluster. Close must be called.
type Cluster struct {
	opts    Options
	net     *network
	wall    *wall
	control controls

	masters  []*Server
	tservers []*Server

	mu           sync.Mutex
	leaderMaster *Server // nil: none leads
	tables       map[string]*table
	tablets      map[string]*tablet
	ids          uint64 // last id given out
	writes       map[string]*clientWrites
	tokenKey     uint64
	requireAuthz bool
	privileges   *kudu.Privileges // of all users; nil: everything
	moved        chan struct{}    // closed and replaced when leaders or stalls change
}

// New starts a cluster. It fails only with Loopback, if no port can be had.
func New(opts Options) (*Cluster, error) {
	opts = opts.withDefaults()
	c := &Cluster{
		opts: opts, net: newNetwork(), wall: &wall{now: opts.Now},
		tables: make(map[string]*table), tablets: make(map[string]*tablet),
		writes: make(map[string]*clientWrites), tokenKey: 1, requireAuthz: opts.RequireAuthz,
		moved: make(chan struct{}),
	}
	for i := range opts.Masters {
		c.masters = append(c.masters, c.newServer(true, i))
	}
	for i := range opts.TabletServers {
		c.tservers = append(c.tservers, c.newServer(false, i))
	}
	c.leaderMaster = c.masters[0]
	for _, s := range c.servers() {
		if err := s.start(); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close stops all servers and waits for their goroutines.
func (c *Cluster) Close() {
	for _, s := range c.servers() {
		s.stop()
	}
}

func (c *Cluster) servers() []*Server { return slices.Concat(c.masters, c.tservers) }

// Config is what kudu.New needs to reach the cluster.
func (c *Cluster) Config() kudu.Config {
	return kudu.Config{Masters: c.Masters(), User: "tester", Dial: c.Dial}
}

// Masters are the masters' addresses.
func (c *Cluster) Masters() []string {
	var addrs []string
	for _, s := range c.masters {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

// Dial connects to one of the cluster's addresses.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.opts.Loopback {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	return c.net.dial(ctx, network, addr)
}

// Master is the i-th master.
func (c *Cluster) Master(i int) *Server { return c.masters[i] }

// TabletServer is the i-th tablet server.
func (c *Cluster) TabletServer(i int) *Server { return c.tservers[i] }

// NumTabletServers is the number of tablet servers, dead ones too.
func (c *Cluster) NumTabletServers() int { return len(c.tservers) }

// Time is the physical time of the cluster: Options.Now and all advances.
func (c *Cluster) Time() time.Time { return c.wall.time() }

// Advance moves the physical clocks of all servers, which age scanners,
// tokens and snapshots by them.
func (c *Cluster) Advance(d time.Duration) {
	c.wall.advance(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal()
}

// Now is a timestamp from the first tablet server's clock, larger than all
// that it gave before. Rows written earlier are in a snapshot at it.
func (c *Cluster) Now() kudu.Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return kudu.Timestamp(c.now())
}

// now is a timestamp behind all operations so far. The caller holds mu.
func (c *Cluster) now() uint64 {
	clock := c.tservers[0].clock
	ts := clock.tick()
	for _, t := range c.tablets {
		if t.last >= ts {
			_ = clock.update(t.last) // refused only if a skewed clock made it
			ts = max(clock.tick(), t.last+1)
		}
	}
	return ts
}

// LeadMaster makes the i-th master the leader; none with a negative number.
func (c *Cluster) LeadMaster(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaderMaster = nil
	if i >= 0 {
		c.leaderMaster = c.masters[i]
	}
}

// RequireAuthz has tablet servers ask for authorization tokens, or not.
func (c *Cluster) RequireAuthz(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requireAuthz = on
}

// InvalidateAuthz makes all authorization tokens given so far invalid.
func (c *Cluster) InvalidateAuthz() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokenKey++
}

// newID makes an id as the master does: 32 hex digits. The caller holds mu.
func (c *Cluster) newID() string {
	c.ids++
	return fmt.Sprintf("%016x%016x", murmur64([]byte("kudufake"), c.ids), c.ids)
}

// signal wakes those who wait for leaders or stalls. The caller holds mu.
func (c *Cluster) signal() {
	close(c.moved)
	c.moved = make(chan struct{})
}
