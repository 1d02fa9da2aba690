package kudufake

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func tserverRefusal(f *failure) *pb.TabletServerErrorPB {
	return &pb.TabletServerErrorPB{Code: &f.code, Status: f.statusPB()}
}

// tserverMethods are the RPCs of kudu.tserver.TabletServerService.
var tserverMethods = map[string]method{
	"Ping": ping,
	"Scan": serves(scan, func(f *failure) proto.Message {
		return &pb.ScanResponsePB{Error: tserverRefusal(f)}
	}),
	"ScannerKeepAlive": serves(keepAlive, func(f *failure) proto.Message {
		return &pb.ScannerKeepAliveResponsePB{Error: tserverRefusal(f)}
	}),
	"Write": serves(write, func(f *failure) proto.Message {
		return &pb.WriteResponsePB{Error: tserverRefusal(f)}
	}),
}

// lookup finds a tablet's replica on the server. The caller holds mu.
func (s *Server) lookup(id []byte) (*tablet, *replica, *failure) {
	t := s.c.tablets[string(id)]
	if t == nil {
		return nil, nil, appFailure(tsTabletNotFound, stNotFound, "Tablet not found: %s", id)
	}
	r := t.replicaOn(s)
	switch {
	case r == nil:
		return nil, nil, appFailure(tsTabletNotFound, stNotFound, "Tablet not found: %s", id)
	case r.notReady || s.c.creating(t.table):
		return nil, nil, appFailure(tsTabletNotRunning, stIllegalState, "Tablet not RUNNING: BOOTSTRAPPING")
	}
	return t, r, nil
}

// waitMoved releases mu until the cluster's leaders or stalls change, or the
// time is up. It reports false when the call should be given up.
func (c *Cluster) waitMoved(ctx context.Context, d time.Duration) bool {
	moved := c.moved
	c.mu.Unlock()
	defer c.mu.Lock()
	var expired <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-moved:
	case <-expired:
	case <-ctx.Done():
		return false
	}
	return true
}
