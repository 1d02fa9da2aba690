package kudu

import (
	"context"
	"net"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

const roleLeader = 1 // RaftPeerPB.Role

// masters finds and remembers the master that leads. All requests but
// ConnectToMaster must go to it.
type masters struct {
	c     *Client
	addrs []string

	mu       sync.Mutex
	leader   string  // "" while unknown
	search   *search // the one that is running
	location string  // this client's location, as the leader told
}

func newMasters(c *Client, addrs []string) *masters { return &masters{c: c, addrs: addrs} }

// forget drops the leader, if it still is the given one.
func (m *masters) forget(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leader == addr {
		m.leader = ""
	}
}

// answer is a master's response; all of them carry an error in one field.
type masterAnswer interface {
	proto.Message
	GetError() *pb.MasterErrorPB
}

// call sends the request to the leader master, following it when it moves,
// until an answer comes or ctx (or the client's own limit) ends.
func (m *masters) call(ctx context.Context, op, method string, features []uint32, req proto.Message, resp masterAnswer) error {
	return m.c.retry(ctx, op, func(ctx context.Context) error {
		addr, err := m.leaderAddr(ctx)
		if err != nil {
			return err
		}
		proto.Reset(resp)
		payload, err := m.c.call(ctx, addr, op, &krpc.Request{
			Service: krpc.MasterService, Method: method, Features: features, Body: req,
		}, resp)
		payload.Release()
		if err == nil && resp.GetError() != nil {
			err = m.c.told(masterError(op, addr, resp.GetError()))
		}
		switch ClassOf(err) {
		case ClassRelocate, ClassReconnect:
			m.forget(addr)
		}
		return err
	})
}

func hostPort(hp *pb.HostPortPB) string {
	return net.JoinHostPort(hp.GetHost(), strconv.FormatUint(uint64(hp.GetPort()), 10))
}
