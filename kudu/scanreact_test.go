package kudu

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func newTestPump(opts ScanOptions) *pump {
	c := &Client{cfg: Config{OperationTimeout: time.Second, CallTimeout: time.Second, Logger: hclog.NewNullLogger()}}
	c.locations, c.masters = newLocations(c), newMasters(c, nil)
	return &pump{c: c, table: &Table{c: c}, tablet: "t", opts: opts, addr: "server:1", avoid: make(map[string]bool)}
}

func refusal(code pb.ErrorStatusPB_RpcErrorCodePB, features ...uint32) error {
	return callError("scanning", "server:1", &krpc.CallError{Code: code, Message: "no", UnsupportedFeatures: features})
}

func TestAServerWithoutTheColumnarLayoutIsAskedForRows(t *testing.T) {
	p := newTestPump(ScanOptions{})
	lacks := refusal(pb.ErrorStatusPB_ERROR_INVALID_REQUEST, featureColumnar)
	if p.rowWise() {
		t.Fatal("rows are asked for at once")
	}
	if err := p.react(t.Context(), lacks); err != nil || !p.rowWise() {
		t.Fatalf("the scan ends with %v", err)
	}
	p.addr = "other:1"
	if p.rowWise() {
		t.Error("another server is held to be as old")
	}
	p.addr = "server:1"
	if err := p.react(t.Context(), lacks); err == nil {
		t.Error("a server that refuses rows too is asked forever")
	}
	if err := p.react(t.Context(), refusal(pb.ErrorStatusPB_ERROR_INVALID_REQUEST, featurePredicates)); err == nil {
		t.Error("a server without predicates is asked again")
	}
}

func TestABusyServerGetsTheSameCallAgain(t *testing.T) {
	p := newTestPump(ScanOptions{})
	p.id, p.seq, p.resume.rows = []byte("scanner"), 7, 100
	if err := p.react(t.Context(), refusal(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY)); err != nil || p.seq != 6 || p.id == nil {
		t.Errorf("%v, next call is %d", err, p.seq+1)
	}
	// A lost answer is another thing: its number is used up.
	cut := callError("scanning", "server:1", &krpc.TransportError{Sent: true, Err: errors.New("reset")})
	if err := p.react(t.Context(), cut); !errors.Is(err, ErrNotResumable) {
		t.Errorf("an unordered scan goes on after rows: %v", err)
	}
	p = newTestPump(ScanOptions{Ordered: true, Mode: ReadAtSnapshot})
	p.id, p.resume.rows = []byte("scanner"), 100
	if err := p.react(t.Context(), cut); err != nil || p.id != nil || !p.avoid["server:1"] {
		t.Errorf("an ordered scan doesn't move: %v", err)
	}
}

func TestSnapshotScansMoveToFollowers(t *testing.T) {
	where := &Tablet{ID: "t", Replicas: []Replica{
		{Addr: "f1:1", Role: RoleFollower}, {Addr: "learner:1", Role: RoleLearner}, {Addr: "leader:1", Role: RoleLeader}, {Addr: "127.0.0.1:1", Role: RoleFollower},
	}}
	order := func(opts ScanOptions) (out []string) {
		for _, r := range newTestPump(opts).candidates(where) {
			out = append(out, r.Addr)
		}
		return out
	}
	for _, c := range []struct {
		opts ScanOptions
		want []string
	}{
		{ScanOptions{Mode: ReadLatest}, []string{"leader:1"}},
		{ScanOptions{Mode: ReadAtSnapshot}, []string{"leader:1", "f1:1", "127.0.0.1:1"}},
		{ScanOptions{Mode: ReadLatest, Replica: ClosestReplica}, []string{"127.0.0.1:1", "f1:1", "leader:1"}},
	} {
		got := order(c.opts)
		if len(got) != len(c.want) {
			t.Errorf("%+v: %v, want %v", c.opts, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%+v: %v, want %v", c.opts, got, c.want)
			}
		}
	}
	// A busy server is left after some tries.
	p := newTestPump(ScanOptions{Mode: ReadAtSnapshot})
	for i := range busyBeforeMove {
		if p.avoid["server:1"] {
			t.Errorf("left after %d tries", i)
		}
		if err := p.react(t.Context(), refusal(pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY)); err != nil {
			t.Fatal(err)
		}
	}
	if !p.avoid["server:1"] {
		t.Error("a busy server is asked forever")
	}
}
