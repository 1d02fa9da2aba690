package kudutest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Cluster is what the suite runs on.
type Cluster struct {
	Masters []string
	// Dial opens connections; nil means TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Replicas is the replication factor of the suite's tables, at most the
	// number of tablet servers. Default 1.
	Replicas int
	// Authz says that tablet servers ask for authorization tokens
	// (--tserver_enforce_access_control).
	Authz bool
}

// Run runs the suite. Cases run one after the other.
func Run(t *testing.T, c Cluster) {
	type group struct {
		name  string
		cases []namedCase
	}
	groups := []group{
		{"Master", masterCases}, {"Table", tableCases}, {"Partition", partitionCases}, {"Layout", layoutCases}, {"Scan", scanCases},
		{"Predicate", predicateCases}, {"Snapshot", snapshotCases}, {"Diff", diffCases}, {"Write", writeCases}, {"Alter", alterCases},
		{"Client", clientCases}, {"Batch", batchCases}, {"Types", typeCasesOfClient},
	}
	if c.Authz {
		groups = append(groups, group{"Authz", authzCases})
	}
	if c.Replicas >= 3 {
		groups = append(groups, group{"Replica", replicaCases})
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, nc := range group.cases {
				t.Run(nc.name, func(t *testing.T) { nc.run(newSuite(t, c)) })
			}
		})
	}
}

type namedCase struct {
	name string
	run  func(*suite)
}

// suite is the context of one case.
type suite struct {
	*testing.T
	c      Cluster
	pool   *krpc.Pool
	leader string
}

// callTimeout is what servers are told; a call that takes longer fails its case.
// What comes by itself fails it after so many of these.
const (
	callTimeout = 30 * time.Second
	patience    = 3 * callTimeout
)

func newSuite(t *testing.T, c Cluster) *suite {
	s := &suite{T: t, c: c, pool: krpc.NewPool(krpc.Options{Dial: c.Dial, User: "suite"})}
	t.Cleanup(func() { _ = s.pool.Close() })
	deadline := time.Now().Add(patience)
	for s.leader == "" {
		for _, addr := range c.Masters {
			resp := &pb.ConnectToMasterResponsePB{}
			if _, err := s.call(addr, krpc.MasterService, "ConnectToMaster", &pb.ConnectToMasterRequestPB{}, resp, nil); err == nil && resp.GetRole() == 1 {
				s.leader = addr
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no master leads")
		}
	}
	return s
}

// reply is what came with a response: its sidecars, copied.
type reply struct{ sidecars [][]byte }

// call sends one request. The error is a *krpc.CallError if the server
// answered with an error frame.
func (s *suite) call(addr, service, method string, req, resp proto.Message, tweak func(*krpc.Request)) (*reply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), callTimeout) // clean-ups call too
	defer cancel()
	conn, err := s.pool.Get(ctx, addr)
	if err != nil {
		return nil, err
	}
	r := &krpc.Request{Service: service, Method: method, Body: req}
	if tweak != nil {
		tweak(r)
	}
	payload, err := conn.Call(ctx, r, resp)
	if err != nil {
		return nil, err
	}
	defer payload.Release()
	out := &reply{}
	for i := range payload.NumSidecars() {
		b, err := payload.Sidecar(i)
		if err != nil {
			return nil, err
		}
		out.sidecars = append(out.sidecars, append([]byte{}, b...))
	}
	return out, nil
}

// master calls the leader, and fails the case without an answer of the method.
func (s *suite) master(method string, req, resp proto.Message) {
	s.Helper()
	if _, err := s.call(s.leader, krpc.MasterService, method, req, resp, nil); err != nil {
		s.Fatalf("%s: %v", method, err)
	}
}

// rpcError is the code of an error frame; it fails the case if err is none.
func (s *suite) rpcError(err error) *krpc.CallError {
	s.Helper()
	var ce *krpc.CallError
	if !errors.As(err, &ce) {
		s.Fatalf("want an error frame, got %v", err)
	}
	return ce
}

// tsError checks the code and status of a tablet server's refusal.
func (s *suite) tsError(e *pb.TabletServerErrorPB, code, status int32) {
	s.Helper()
	if e.GetCode() != code || e.GetStatus().GetCode() != status {
		s.Errorf("got error {%v}, want code %d, status %d", e, code, status)
	}
}

func (s *suite) masterError(e *pb.MasterErrorPB, code, status int32) {
	s.Helper()
	if e.GetCode() != code || e.GetStatus().GetCode() != status {
		s.Errorf("got error {%v}, want code %d, status %d", e, code, status)
	}
}

// eventually runs try until it reports success.
func (s *suite) eventually(what string, try func() bool) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		late := time.Now().After(deadline)
		if try() {
			return
		}
		if late {
			s.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(wait)
	}
}

var names atomic.Int64

// tableName gives a name that no other test has.
func (s *suite) tableName() string {
	return fmt.Sprintf("kudutest_%d_%d", time.Now().UnixNano(), names.Add(1))
}

func hostPort(hp *pb.HostPortPB) string {
	return net.JoinHostPort(hp.GetHost(), strconv.Itoa(int(hp.GetPort())))
}

// equal compares two values by their text.
func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		s.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func (s *suite) contains(text, part string) {
	s.Helper()
	if !strings.Contains(text, part) {
		s.Errorf("%q does not contain %q", text, part)
	}
}
