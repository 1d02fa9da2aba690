package kudutest

import (
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// hybrid makes a timestamp that lies d away from a server's.
func hybrid(from uint64, d time.Duration) uint64 {
	return uint64(int64(from) + d.Microseconds()<<12)
}

// serverNow is a tablet server's clock.
func (t *tableHandle) serverNow() uint64 {
	t.s.Helper()
	return t.must(nil).resp.GetPropagatedTimestamp()
}

func (t *tableHandle) rowsAtSnapshot(ts uint64) []string {
	t.s.Helper()
	return t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, ts) })
}

var snapshotCases = []namedCase{
	{"ShowsOperationsBelowItsTimestamp", func(s *suite) {
		t, w1 := s.kv(1)
		w2 := t.write(newOps(t.cols).add(updateOp, 0, "new"))
		w3 := t.write(newOps(t.cols).add(deleteOp, 0))
		for _, c := range []struct {
			ts   uint64
			want []string
		}{
			{w1, nil}, {w1 + 1, []string{"0|v|0"}}, {w2, []string{"0|v|0"}}, {w2 + 1, []string{"0|new|0"}}, {w3, []string{"0|new|0"}}, {w3 + 1, nil},
		} {
			s.equal("rows", t.rowsAtSnapshot(c.ts), c.want)
		}
	}},
	{"BeforeTheTableIsLegal", func(s *suite) {
		t, w := s.kv(1)
		s.equal("rows", t.rowsAtSnapshot(hybrid(w, -time.Hour)), []string(nil))
	}},
	{"ChosenByTheServer", func(s *suite) {
		t, w := s.kv(1)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, 0) })
		s.equal("after the write", b.resp.GetSnapTimestamp() > w, true)
		s.equal("rows", b.rows, kvRows(0, 1))
	}},
	{"OlderThanTheHistoryMark", func(s *suite) {
		t, w := s.kv(1)
		t.refused(invalidSnapshot, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, hybrid(w, -8*24*time.Hour))
		})
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, hybrid(w, -8*24*time.Hour)) })
		s.contains(b.resp.GetError().GetStatus().GetMessage(), "snapshot scan end timestamp is earlier than the ancient history mark")
	}},
	{"TooFarInTheFuture", func(s *suite) {
		t, _ := s.kv(1)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, hybrid(t.serverNow(), time.Minute)) })
		s.tsError(b.resp.GetError(), invalidSnapshot, statusInvalidArgument)
		s.contains(b.resp.GetError().GetStatus().GetMessage(), "in the future")
	}},
	{"SomewhatInTheFutureIsTooBusy", func(s *suite) {
		t, _ := s.kv(1)
		_, err := t.open(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, hybrid(t.serverNow(), 8*time.Second)) })
		s.equal("code", s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY)
	}},
	{"ALittleInTheFutureIsWaitedFor", func(s *suite) {
		t, _ := s.kv(1)
		began := time.Now() // before the server's clock is read, since that may take longer than the wait
		ts := hybrid(t.serverNow(), 200*time.Millisecond)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, ts) })
		s.equal("rows", b.rows, kvRows(0, 1))
		s.equal("snapshot", b.resp.GetSnapTimestamp(), ts)
		s.equal("waited", time.Since(began) > 100*time.Millisecond, true)
	}},
	{"PropagatedTimestampMovesTheClock", func(s *suite) {
		t, _ := s.kv(1)
		ts := hybrid(t.serverNow(), 1500*time.Millisecond)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, ts)
			n.PropagatedTimestamp = &ts
		})
		s.equal("clock", b.resp.GetPropagatedTimestamp() > ts, true)
		t.refused(invalidSnapshot, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, 0)
			n.PropagatedTimestamp = new(hybrid(ts, time.Hour))
		})
	}},
	{"ReadYourWritesSeesThePropagatedWrite", func(s *suite) {
		t, w := s.kv(1)
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			n.ReadMode, n.PropagatedTimestamp = new(int32(readYourWrites)), &w
		})
		s.equal("rows", b.rows, kvRows(0, 1))
		s.equal("snapshot", b.resp.GetSnapTimestamp() > w, true)
	}},
	{"ResumesAfterTheLastKey", func(s *suite) {
		t, w := s.kv(300)
		b := t.must(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, w+1)
			r.BatchSizeBytes = new(uint32(1))
		})
		s.equal("last key", b.resp.GetLastPrimaryKey(), key32(127))
		t.write(newOps(t.cols).add(deleteOp, 200).add(insertOp, 1000, "late", 0))
		rest := t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, w+1)
			n.LastPrimaryKey = b.resp.GetLastPrimaryKey()
		})
		s.equal("rows", rest, kvRows(128, 300))
	}},
}
