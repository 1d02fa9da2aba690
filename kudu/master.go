package kudu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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
	leader   string        // "" while unknown
	finding  chan struct{} // closed when the running search ends
	findErr  error         // how the last search ended
	location string        // this client's location, as the leader told
}

func newMasters(c *Client, addrs []string) *masters { return &masters{c: c, addrs: addrs} }

// leaderAddr gives the leader's address, searching for it when unknown. One
// caller searches, the others wait for its result.
func (m *masters) leaderAddr(ctx context.Context) (string, error) {
	for {
		m.mu.Lock()
		if m.leader != "" {
			defer m.mu.Unlock()
			return m.leader, nil
		}
		if wait := m.finding; wait != nil {
			m.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
				return "", ctx.Err()
			}
			m.mu.Lock()
			leader, err := m.leader, m.findErr
			m.mu.Unlock()
			// A search that ended because its own caller gave up says nothing.
			if leader == "" && err != nil && !gaveUpItself(err) {
				return "", err
			}
			continue
		}
		done := make(chan struct{})
		m.finding = done
		m.mu.Unlock()

		leader, location, err := m.find(ctx)

		m.mu.Lock()
		m.leader, m.location, m.findErr, m.finding = leader, location, err, nil
		m.mu.Unlock()
		close(done)
		return leader, err
	}
}

// forget drops the leader, if it still is the given one.
func (m *masters) forget(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leader == addr {
		m.leader = ""
	}
}

// find asks all masters at once who leads.
func (m *masters) find(ctx context.Context) (leader, location string, err error) {
	const op = "finding the leader master"
	type answer struct {
		addr string
		resp *pb.ConnectToMasterResponsePB
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, len(m.addrs))
	var wg sync.WaitGroup
	for _, addr := range m.addrs {
		wg.Go(func() {
			resp := &pb.ConnectToMasterResponsePB{}
			payload, err := m.c.call(ctx, addr, op, &krpc.Request{
				Service: krpc.MasterService, Method: "ConnectToMaster", Body: &pb.ConnectToMasterRequestPB{},
			}, resp)
			payload.Release()
			if err == nil && resp.Error != nil {
				err = masterError(op, addr, resp.Error)
			}
			answers <- answer{addr, resp, err}
		})
	}
	defer wg.Wait()
	defer cancel()

	var failures []error
	unlisted := 0
	for range m.addrs {
		a := <-answers
		if a.err != nil {
			failures = append(failures, a.err)
			continue
		}
		if a.resp.GetRole() == roleLeader {
			if err := m.c.guardian.take(a.resp); err != nil {
				return "", "", &Error{Op: op, Addr: a.addr, Sent: true, Err: err}
			}
			return a.addr, a.resp.GetClientLocation(), nil
		}
		unlisted = max(unlisted, len(a.resp.GetMasterAddrs())-len(m.addrs))
	}
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	cause := errors.New("none of the masters leads")
	if unlisted > 0 {
		cause = fmt.Errorf("none of the masters leads; the cluster has %d more than are configured: list them all", unlisted)
	}
	class := ClassRetry
	if len(failures) > 0 {
		cause = errors.Join(append([]error{cause}, failures...)...)
		// Who isn't let in by one master isn't by the others.
		if errors.Is(cause, ErrNotAuthenticated) || (len(failures) == len(m.addrs) && !slices.ContainsFunc(failures, Retriable)) {
			class, cause = ClassFatal, distinct(failures)
		}
	}
	return "", "", &Error{Op: op, Addr: fmt.Sprint(m.addrs), Class: class, Err: cause}
}

// distinct joins failures, one of those that say the same of several servers.
func distinct(failures []error) error {
	said := make(map[string]bool)
	var left []error
	for _, failure := range failures {
		text := failure.Error()
		if e := (*Error)(nil); errors.As(failure, &e) {
			text = e.Err.Error()
		}
		if !said[text] {
			said[text] = true
			left = append(left, failure)
		}
	}
	return errors.Join(left...)
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
			err = masterError(op, addr, resp.GetError())
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
