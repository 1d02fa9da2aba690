package kudufake_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// raw calls servers without the client.
type raw struct {
	*testing.T
	pool *krpc.Pool
}

func newRaw(t *testing.T, c *kudufake.Cluster) *raw {
	r := &raw{t, krpc.NewPool(krpc.Options{Dial: c.Dial, User: "tester"})}
	t.Cleanup(func() { _ = r.pool.Close() })
	return r
}

func (r *raw) call(s *kudufake.Server, method string, req, resp proto.Message) error {
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	conn, err := r.pool.Get(ctx, s.Addr())
	if err != nil {
		return err
	}
	service := krpc.TabletServerService
	if s.Name()[0] == 'm' {
		service = krpc.MasterService
	}
	p, err := conn.Call(ctx, &krpc.Request{Service: service, Method: method, Body: req}, resp)
	p.Release()
	return err
}

func keyColumn() *pb.ColumnSchemaPB {
	return &pb.ColumnSchemaPB{Name: new("id"), Type: new(int32(kudu.Int64)), IsKey: new(false), IsNullable: new(false)}
}

// count scans a tablet on one server at a snapshot (0: latest) and gives the
// number of rows.
func (r *raw) count(s *kudufake.Server, tablet string, ts kudu.Timestamp) (int, error) {
	open := &pb.NewScanRequestPB{TabletId: []byte(tablet), ProjectedColumns: []*pb.ColumnSchemaPB{keyColumn()}}
	if ts != 0 {
		open.ReadMode, open.SnapTimestamp = new(int32(2)), new(uint64(ts))
	}
	resp := &pb.ScanResponsePB{}
	if err := r.call(s, "Scan", &pb.ScanRequestPB{NewScanRequest: open}, resp); err != nil {
		return 0, err
	}
	if resp.Error != nil {
		return 0, errors.New(resp.Error.String())
	}
	return int(resp.GetData().GetNumRows()), nil
}

// barrier is an empty write.
func (r *raw) barrier(s *kudufake.Server, tablet string) (*pb.WriteResponsePB, error) {
	key, text := keyColumn(), &pb.ColumnSchemaPB{Name: new("text"), Type: new(int32(kudu.String)), IsNullable: new(true)}
	key.IsKey = new(true)
	resp := &pb.WriteResponsePB{}
	return resp, r.call(s, "Write", &pb.WriteRequestPB{
		TabletId: []byte(tablet), Schema: &pb.SchemaPB{Columns: []*pb.ColumnSchemaPB{key, text}}, RowOperations: &pb.RowOperationsPB{},
	}, resp)
}

func (r *raw) wantCount(s *kudufake.Server, tablet string, ts kudu.Timestamp, want int) {
	r.Helper()
	if n, err := r.count(s, tablet, ts); err != nil || n != want {
		r.Fatalf("%d rows, %v; want %d", n, err, want)
	}
}

// single makes a cluster of three with one tablet of n rows.
func single(t *testing.T, opts kudufake.Options, n int) (*kudufake.Cluster, *kudufake.Table, kudufake.Tablet) {
	t.Helper()
	opts.TabletServers = 4
	c := cluster(t, opts)
	table, err := c.CreateTable(kudufake.TableSpec{Name: "one", Replicas: 3, Columns: []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n > 0 {
		fill(t, table, 0, n)
	}
	return c, table, table.Tablets()[0]
}

func TestDeposedLeaderMissesRowsAndRefusesTheBarrier(t *testing.T) {
	c, table, tablet := single(t, kudufake.Options{}, 5)
	r := newRaw(t, c)
	old, other := tablet.Leader, tablet.Replicas[1]
	if err := c.DeposeLeader(tablet.ID, other); err != nil {
		t.Fatal(err)
	}
	w, err := table.Insert(kudufake.Row{"id": 100})
	if err != nil {
		t.Fatal(err)
	}
	r.wantCount(other, tablet.ID, w+1, 6)
	r.wantCount(old, tablet.ID, w+1, 5) // the anomaly
	resp, err := r.barrier(old, tablet.ID)
	if err != nil || resp.GetError().GetStatus().GetCode() != kudufake.StatusIllegalState {
		t.Fatalf("%v, %v", resp, err)
	}
	if resp, err := r.barrier(other, tablet.ID); err != nil || kudu.Timestamp(resp.GetTimestamp()) <= w {
		t.Fatalf("%v, %v", resp, err)
	}
	if err := c.Thaw(tablet.ID); err != nil {
		t.Fatal(err)
	}
	r.wantCount(old, tablet.ID, w+1, 6)
}

func TestFrozenFollowerVouchesForNothingNew(t *testing.T) {
	c, table, tablet := single(t, kudufake.Options{}, 5)
	r := newRaw(t, c)
	before := c.Now()
	follower := tablet.Replicas[2]
	if err := c.FreezeReplica(tablet.ID, follower); err != nil {
		t.Fatal(err)
	}
	w, err := table.Insert(kudufake.Row{"id": 100})
	if err != nil {
		t.Fatal(err)
	}
	r.wantCount(follower, tablet.ID, before, 5)
	var ce *krpc.CallError
	if _, err := r.count(follower, tablet.ID, w+1); !errors.As(err, &ce) || ce.Code != pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY {
		t.Fatalf("got %v", err)
	}
}

func TestStalledTabletAnswersNoWriteUntilItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, tablet := single(t, kudufake.Options{}, 1)
		r := newRaw(t, c)
		if err := c.StallWrites(tablet.ID, true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.barrier(tablet.Leader, tablet.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		// The write is still under way: what lies behind it is not safe.
		if _, err := r.count(tablet.Leader, tablet.ID, c.Now()); err == nil {
			t.Fatal("a snapshot behind a write under way was read")
		}
		time.AfterFunc(time.Second, func() { _ = c.StallWrites(tablet.ID, false) }) // the tablet exists
		resp, err := r.barrier(tablet.Leader, tablet.ID)
		if err != nil || resp.Error != nil {
			t.Fatalf("%v, %v", resp, err)
		}
	})
}

func TestMovedReplicaIsFoundElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, tablet := single(t, kudufake.Options{}, 500)
		free := c.TabletServer(slices.IndexFunc([]int{0, 1, 2, 3}, func(i int) bool { return !slices.Contains(tablet.Replicas, c.TabletServer(i)) }))
		from := tablet.Leader
		ids, err := read(t.Context(), client(t, c), "one", kudu.ScanOptions{Ordered: true, BatchBytes: 1}, func() {
			if from != nil {
				if err := c.MoveReplica(tablet.ID, from, free); err != nil {
					t.Error(err)
				}
				from = nil
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		complete(t, ids, 500)
	})
}

func TestTabletWithoutLeaderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, tablet := single(t, kudufake.Options{NoElections: true}, 50)
		tablet.Leader.Kill()
		if err := c.MoveLeader(tablet.ID, nil); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*time.Second, func() { _ = c.MoveLeader(tablet.ID, tablet.Replicas[1]) }) // the replica exists
		ids, err := read(t.Context(), client(t, c), "one", kudu.ScanOptions{Ordered: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		complete(t, ids, 50)
	})
}

func TestSnapshotsFollowTheClockAndTheHistoryMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, table, tablet := single(t, kudufake.Options{HistoryMaxAge: time.Hour}, 1)
		r := newRaw(t, c)
		first := c.Now()
		c.Advance(50 * time.Minute)
		second, err := table.Apply(c.Now(), kudufake.Upsert(kudufake.Row{"id": 7}), kudufake.Delete(kudufake.Row{"id": 0}), kudufake.Insert(kudufake.Row{"id": 8}))
		if err != nil {
			t.Fatal(err)
		}
		r.wantCount(tablet.Leader, tablet.ID, first, 1)
		r.wantCount(tablet.Leader, tablet.ID, second+1, 2)
		if _, err := table.Apply(second, kudufake.Insert(kudufake.Row{"id": 9})); err == nil {
			t.Fatal("an operation at an old timestamp was taken")
		}
		c.Advance(20 * time.Minute)
		if _, err := r.count(tablet.Leader, tablet.ID, first); err == nil {
			t.Fatal("a snapshot beyond the history mark was read")
		}
	})
}

func TestScannersExpireAndTokensToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, tablet := single(t, kudufake.Options{RequireAuthz: true, ScannerTTL: 10 * time.Second}, 1000)
		k := client(t, c)
		passes := 0
		ids, err := read(t.Context(), k, "one", kudu.ScanOptions{Ordered: true, BatchBytes: 1}, func() {
			passes++
			switch passes {
			case 2:
				time.Sleep(12 * time.Second) // the client's keep-alive comes too late
			case 3:
				c.InvalidateAuthz()
				tablet.Leader.ExpireScanners()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		complete(t, ids, 1000)
	})
}

func TestGarbageIsDeliveredAsIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, tablet := single(t, kudufake.Options{}, 1)
		r := newRaw(t, c)
		remove := c.Control("Scan", func(*kudufake.Call) kudufake.Decision {
			return kudufake.Decision{EditFrame: func(frame []byte) []byte {
				for i := 4; i < len(frame); i++ {
					frame[i] = 0xff
				}
				return frame
			}}
		})
		if _, err := r.count(tablet.Leader, tablet.ID, 0); !errors.Is(err, krpc.ErrMalformed) {
			t.Fatalf("got %v", err)
		}
		remove()
		remove = c.Control("Scan", func(*kudufake.Call) kudufake.Decision {
			return kudufake.Decision{Edit: func(m proto.Message) { m.(*pb.ScanResponsePB).Data.NumRows = new(int32(41)) }}
		})
		r.wantCount(tablet.Leader, tablet.ID, 0, 41)
		remove()
		r.wantCount(tablet.Leader, tablet.ID, 0, 1)
		if c.Calls("Scan") != 3 {
			t.Fatalf("%d scans", c.Calls("Scan"))
		}
	})
}

func TestMemoryConnectionsKeepDeadlinesAndBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, kudufake.Options{})
		c.TabletServer(0).Pause()
		conn, err := c.Dial(t.Context(), "tcp", c.TabletServer(0).Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n, err := conn.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Fatalf("a paused server's socket does not buffer: %d, %v", n, err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("got %v", err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Write(make([]byte, 8<<20)); n == 0 || !errors.As(err, &timeout) {
			t.Fatalf("wrote %d, %v", n, err)
		}
		c.TabletServer(0).Kill()
		if _, err := c.Dial(t.Context(), "tcp", c.TabletServer(0).Addr()); err == nil {
			t.Fatal("a killed server accepts")
		}
	})
}
