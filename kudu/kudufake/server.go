package kudufake

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Server is one master or tablet server.
type Server struct {
	c      *Cluster
	master bool
	name   string
	uuid   string
	clock  *hybridClock

	life sync.Mutex // one start or stop at a time

	mu   sync.Mutex
	addr string
	gate *gate
	rpc  *krpc.Server // nil while down
	done chan struct{}

	// Guarded by Cluster.mu.
	features []uint32
	scanners map[string]*scanner
	down     bool
}

func (c *Cluster) newServer(master bool, i int) *Server {
	s := &Server{
		c: c, master: master, uuid: c.newID(), clock: &hybridClock{wall: c.wall}, gate: newGate(),
		features: c.opts.TabletServerFeatures, scanners: make(map[string]*scanner),
	}
	s.name, s.addr = fmt.Sprintf("tserver-%d", i), fmt.Sprintf("tserver-%d:7050", i)
	if master {
		s.name, s.addr = fmt.Sprintf("master-%d", i), fmt.Sprintf("master-%d:7051", i)
		s.features = c.opts.MasterFeatures
	}
	if c.opts.Loopback {
		s.addr = "127.0.0.1:0"
	}
	return s
}

// Name says what the server is: master-0, tserver-2.
func (s *Server) Name() string { return s.name }

// Addr is the server's address, the same after a restart.
func (s *Server) Addr() string { return s.addr }

// UUID is the server's permanent id.
func (s *Server) UUID() string { return s.uuid }

func (s *Server) start() error {
	var l net.Listener
	var err error
	if s.c.opts.Loopback {
		l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", s.addr) // listening on loopback doesn't wait
	} else {
		l, err = s.c.net.listen(s.addr)
	}
	if err != nil {
		return fmt.Errorf("starting %s: %w", s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.opts.Loopback {
		s.addr = l.Addr().String() // keeps its port
	}
	s.gate = newGate()
	// A paused server must not cut connections that wait for it.
	rpc := krpc.NewServer(krpc.ServerOptions{NegotiationTimeout: time.Hour, Logger: s.c.opts.Logger}, s.serve)
	done := make(chan struct{})
	s.rpc, s.done = rpc, done
	gated := &gatedListener{Listener: l, gate: s.gate}
	go func() {
		defer close(done)
		if err := rpc.Serve(gated); err != nil {
			s.c.opts.Logger.Debug("server ended", "name", s.name, "error", err)
		}
	}()
	return nil
}

// stop cuts all connections, and waits until no handler runs.
func (s *Server) stop() {
	s.mu.Lock()
	rpc, done := s.rpc, s.done
	s.rpc = nil
	s.mu.Unlock()
	if rpc != nil {
		_ = rpc.Close() // never fails
		<-done
	}
}

// Kill ends the server as SIGKILL does: connections are cut, nobody listens,
// scanners are lost. Tablets that it leads get another leader, if most of
// their replicas live (see Options.NoElections).
func (s *Server) Kill() {
	s.life.Lock()
	defer s.life.Unlock()
	s.c.mu.Lock()
	s.down = true
	clear(s.scanners)
	if !s.c.opts.NoElections {
		s.c.elect()
	}
	s.c.signal()
	s.c.mu.Unlock()
	s.stop()
}

// Restart starts a killed server again, at its address, with its tablets but
// without its scanners. One that runs is killed first.
func (s *Server) Restart() error {
	s.Kill()
	s.life.Lock()
	defer s.life.Unlock()
	if err := s.start(); err != nil {
		return err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.down = false
	if !s.c.opts.NoElections {
		s.c.elect()
	}
	s.c.signal()
	return nil
}

// Pause stops the server as SIGSTOP does: connections are made, what is sent
// lies there, nothing is answered.
func (s *Server) Pause() { s.currentGate().shut() }

// Resume lets a paused server go on with what lies there.
func (s *Server) Resume() { s.currentGate().release() }

func (s *Server) currentGate() *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate
}

// CutConnections cuts all connections; the server goes on, with its scanners.
func (s *Server) CutConnections() {
	s.mu.Lock()
	rpc := s.rpc
	s.mu.Unlock()
	if rpc != nil {
		rpc.CloseConns()
	}
}

// ExpireScanners makes all scanners of the server expire now, and tells how
// many there were.
func (s *Server) ExpireScanners() int {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	n := len(s.scanners)
	clear(s.scanners)
	return n
}

// Scanners is the number of open scanners.
func (s *Server) Scanners() int {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return len(s.scanners)
}

// SetClockSkew sets the server's clock off from the cluster's.
func (s *Server) SetClockSkew(d time.Duration) { s.clock.setSkew(d) }

// SetFeatures sets the feature flags that the server knows.
func (s *Server) SetFeatures(flags ...uint32) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.features = slices.Clone(flags)
}

func (s *Server) hostPort() *pb.HostPortPB { return hostPort(s.Addr()) }

// serve is the handler of all calls: it finds the method, asks the controls,
// handles and answers.
func (s *Server) serve(ctx context.Context, rpc *krpc.ServerCall) {
	service, methods := krpc.TabletServerService, tserverMethods
	if s.master {
		service, methods = krpc.MasterService, masterMethods
	}
	if rpc.Service != service {
		_ = rpc.Fail(pb.ErrorStatusPB_ERROR_NO_SUCH_SERVICE, "service "+rpc.Service+" not registered on "+s.name)
		return
	}
	m, ok := methods[rpc.Method]
	if !ok {
		_ = rpc.Fail(pb.ErrorStatusPB_ERROR_NO_SUCH_METHOD, "unknown method "+rpc.Method)
		return
	}
	s.c.mu.Lock()
	known := s.features
	s.c.mu.Unlock()
	var unknown []uint32
	for _, f := range rpc.Features {
		if !slices.Contains(known, f) {
			unknown = append(unknown, f)
		}
	}
	if unknown != nil {
		_ = rpc.FailUnsupported(unknown...)
		return
	}
	req := m.newRequest()
	if err := rpc.Unmarshal(req); err != nil {
		_ = rpc.Fail(pb.ErrorStatusPB_ERROR_INVALID_REQUEST, fmt.Sprintf("invalid parameter for call %s: %v", rpc.Method, err))
		return
	}
	call := &Call{Server: s, Method: rpc.Method, User: rpc.User, Timeout: rpc.Timeout, request: req, requestID: rpc.RequestID, features: rpc.Features}
	s.answer(ctx, rpc, m, call, s.c.control.decide(call))
}
