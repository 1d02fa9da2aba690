package kudu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
)

// Config says which cluster to talk to, and how. Only Masters is required.
type Config struct {
	// Masters are the addresses of the masters, host:port or host (port 7051).
	// List them all: the one that leads may change.
	Masters []string
	// User is the name this client goes by in clusters without
	// authentication. Default: the operating system's user.
	User string
	// Security says how to authenticate, and whom to trust.
	Security Security
	// OperationTimeout bounds an operation, retries included, when its context
	// has no deadline. Default 30 s.
	OperationTimeout time.Duration
	// CallTimeout bounds one call, so that a server that stands still is left
	// for another attempt. Default 10 s, at most OperationTimeout.
	CallTimeout time.Duration
	// KeepAlive is how often a scanner that waits for its reader tells the
	// tablet server so. Default 15 s; it must be below the server's
	// --scanner_ttl_ms (60 s).
	KeepAlive time.Duration
	// MaxFrameBytes bounds an answer's size. Default 256 MiB.
	MaxFrameBytes int
	// Dial opens connections. Default: TCP by a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Logger gets debug lines about retries and moves. Default: none.
	Logger hclog.Logger
	// Hook is told of calls and retries. Default: none.
	Hook Hook
}

const defaultMasterPort = "7051"

func (c Config) withDefaults() (Config, error) {
	var faults []error
	masters := make([]string, 0, len(c.Masters))
	for _, m := range c.Masters {
		m = strings.TrimSpace(m)
		if m == "" {
			faults = append(faults, errors.New("a master address is empty"))
			continue
		}
		if _, _, err := net.SplitHostPort(m); err != nil {
			m = net.JoinHostPort(strings.Trim(m, "[]"), defaultMasterPort)
			if _, _, err := net.SplitHostPort(m); err != nil {
				faults = append(faults, fmt.Errorf("master address %q: %w", m, err))
			}
		}
		masters = append(masters, m)
	}
	if len(c.Masters) == 0 {
		faults = append(faults, errors.New("no master address is given"))
	}
	c.Masters = masters
	if err := c.Security.check(); err != nil {
		faults = append(faults, err)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"OperationTimeout", &c.OperationTimeout, 30 * time.Second},
		{"CallTimeout", &c.CallTimeout, 10 * time.Second},
		{"KeepAlive", &c.KeepAlive, 15 * time.Second},
	} {
		if *d.value < 0 {
			faults = append(faults, fmt.Errorf("%s is negative", d.name))
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	c.CallTimeout = min(c.CallTimeout, c.OperationTimeout)
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Hook == nil {
		c.Hook = noHook{}
	}
	return c, errors.Join(faults...)
}

// Client is a connection to one Kudu cluster. It is safe for concurrent use;
// one per cluster and process is enough.
type Client struct {
	cfg       Config
	pool      *krpc.Pool // of tablet servers
	toMasters *krpc.Pool
	guardian  *guardian
	masters   *masters
	locations *locations
	// propagated is the largest timestamp that a server told us. It goes into
	// new scans, so that they see at least what was seen before.
	propagated atomic.Uint64
	requests   *requestTracker
	farewells  farewells
	// rowWise has the addresses of tablet servers that lack the columnar
	// layout.
	rowWise sync.Map
}

// New checks the configuration; it doesn't connect. Close the client at the
// end.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configuring the Kudu client: %w", err)
	}
	c := &Client{cfg: cfg, requests: newRequestTracker()}
	if c.guardian, err = newGuardian(c); err != nil {
		return nil, fmt.Errorf("configuring the Kudu client: %w", err)
	}
	opts := krpc.Options{
		Dial:          cfg.Dial,
		User:          cfg.User,
		MaxFrameBytes: cfg.MaxFrameBytes,
		Logger:        cfg.Logger,
	}
	c.pool = krpc.NewPool(c.guardian.secure(opts, true))
	c.toMasters = krpc.NewPool(c.guardian.secure(opts, false))
	c.masters = newMasters(c, cfg.Masters)
	c.locations = newLocations(c)
	return c, nil
}

// Close cuts the connections, once the servers' scanners are freed, for which it waits
// up to a second. Scanners that are still open fail; close them first. Afterwards no
// goroutine of the client is left.
func (c *Client) Close() error {
	c.farewells.close()
	// Connecting to a tablet server may take a call to a master.
	c.toMasters.Close()
	c.pool.Close()
	c.guardian.close()
	return nil
}

// Observed is the latest timestamp that a server of the cluster has told this
// client; zero before the first scan or write.
func (c *Client) Observed() Timestamp { return Timestamp(c.propagated.Load()) }

// observe takes note of a timestamp that came from a server.
func (c *Client) observe(ts uint64) {
	for {
		seen := c.propagated.Load()
		if ts <= seen || c.propagated.CompareAndSwap(seen, ts) {
			return
		}
	}
}

// call sends one request to one server, within CallTimeout, and tells the hook.
func (c *Client) call(ctx context.Context, addr, op string, req *krpc.Request, resp proto.Message) (*krpc.Payload, error) {
	began := time.Now()
	payload, err := c.send(ctx, addr, op, req, resp)
	c.cfg.Hook.Call(CallInfo{Method: req.Method, Addr: addr, Took: time.Since(began), Err: err})
	return payload, err
}

func (c *Client) send(ctx context.Context, addr, op string, req *krpc.Request, resp proto.Message) (*krpc.Payload, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	pool := c.pool
	if req.Service == krpc.MasterService {
		pool = c.toMasters
	}
	conn, err := pool.Get(ctx, addr)
	if err != nil {
		return nil, c.guardian.explain(callError(op, addr, err), err)
	}
	payload, err := conn.Call(ctx, req, resp)
	if err != nil {
		return nil, c.told(callError(op, addr, err))
	}
	return payload, nil
}

// told completes an error that a server answered with: one that is for want of a
// right says whose.
func (c *Client) told(e *Error) *Error {
	if e.denied() {
		e.Err = fmt.Errorf("%w: %s lacks the right: %w", ErrNotAuthorized, c.guardian.who(), e.Err)
	}
	return e
}
