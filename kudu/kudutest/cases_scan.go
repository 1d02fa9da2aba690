package kudutest

import (
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Codes and statuses that the cases want (kudu-1.18.1
// src/kudu/tserver/tserver.proto, src/kudu/common/wire_protocol.proto).
const (
	unknownError     = 1
	invalidSchema    = 2
	mismatchedSchema = 5
	tabletNotFound   = 6
	scannerExpired   = 7
	invalidScanSpec  = 8
	invalidSnapshot  = 13
	invalidScanSeq   = 14

	statusNotFound        = 1
	statusCorruption      = 2
	statusNotSupported    = 3
	statusInvalidArgument = 4
	statusAlreadyPresent  = 6
	statusIllegalState    = 9
)

// kv makes the usual table with rows of the keys from 0 below n.
func (s *suite) kv(n int) (*tableHandle, uint64) {
	s.Helper()
	t := s.create(kvColumns(), nil)
	ts := uint64(0)
	if n > 0 {
		ts = t.insertKV(0, n)
	}
	return t, ts
}

func kvRows(from, to int) []string {
	var rows []string
	for i := from; i < to; i++ {
		rows = append(rows, fmt.Sprintf("%d|v|%d", i, i*10))
	}
	return rows
}

// atSnapshot makes a scan an ordered one at a snapshot, 0 for the server's.
func atSnapshot(n *pb.NewScanRequestPB, ts uint64) {
	n.ReadMode, n.OrderMode = new(int32(readAtSnapshot)), new(int32(ordered))
	if ts != 0 {
		n.SnapTimestamp = &ts
	}
}

type scanTweak = func(*pb.ScanRequestPB, *pb.NewScanRequestPB)

var scanCases = []namedCase{
	{"BothIDAndNewScanAreRefused", func(s *suite) {
		t, _ := s.kv(1)
		_, err := t.open(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.ScannerId = []byte("x") })
		s.equal("code", s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_APPLICATION)
		_, err = t.open(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.NewScanRequest = nil })
		s.equal("code", s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_APPLICATION)
	}},
	{"UnknownTablet", func(s *suite) {
		t, _ := s.kv(1)
		t.refused(tabletNotFound, statusNotFound, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			n.TabletId = []byte("00000000000000000000000000000000")
		})
	}},
	{"ProjectionRefusals", func(s *suite) {
		t, _ := s.kv(1)
		for _, c := range []struct {
			what         string
			code, status int32
			edit         func(c *pb.ColumnSchemaPB)
		}{
			{"id", invalidSchema, statusInvalidArgument, func(c *pb.ColumnSchemaPB) { c.Id = new(uint32(0)) }},
			{"type", mismatchedSchema, statusInvalidArgument, func(c *pb.ColumnSchemaPB) { c.Type = new(int32(kudu.Int64)) }},
			{"nullability", mismatchedSchema, statusInvalidArgument, func(c *pb.ColumnSchemaPB) { c.IsNullable = new(true) }},
			{"name", mismatchedSchema, statusInvalidArgument, func(c *pb.ColumnSchemaPB) { c.Name = new("nosuch") }},
			{"empty name", invalidSchema, statusInvalidArgument, func(c *pb.ColumnSchemaPB) { c.Name = new("") }},
		} {
			s.Log(c.what)
			t.refused(c.code, c.status, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				n.ProjectedColumns = t.project("k")
				c.edit(n.ProjectedColumns[0])
			})
		}
		t.refused(invalidSchema, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			n.ProjectedColumns = t.project("k", "k")
		})
		t.refused(invalidSchema, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			c := isDeletedColumn()
			c.ReadDefaultValue = nil
			n.ProjectedColumns = append(t.project("k"), c)
		})
	}},
	{"AnyOrderOfColumnsAndAnOrdinaryIsDeleted", func(s *suite) {
		t, _ := s.kv(2)
		s.equal("rows", t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			n.ProjectedColumns = append(t.project("n", "k"), isDeletedColumn())
		}), []string{"0|0|0", "10|1|0"})
	}},
	{"EmptyProjectionCounts", func(s *suite) {
		t, _ := s.kv(5)
		for _, flags := range []uint64{0, columnar} {
			b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.ProjectedColumns, n.RowFormatFlags = nil, &flags })
			s.equal("rows", max(int64(b.resp.GetData().GetNumRows()), b.resp.GetColumnarData().GetNumRows()), 5)
		}
	}},
	{"OrderedNeedsASnapshot", func(s *suite) {
		t, _ := s.kv(1)
		for _, mode := range []int32{readLatest, readYourWrites} {
			t.refused(invalidScanSpec, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				n.OrderMode, n.ReadMode = new(int32(ordered)), &mode
			})
		}
	}},
	{"BoundsOfThePrimaryKey", func(s *suite) {
		t, _ := s.kv(10)
		for _, c := range []struct {
			start, stop, last []byte
			order             int32
			from, to          int
		}{
			{start: key32(3), order: unordered, from: 3, to: 10},
			{stop: key32(3), order: unordered, from: 0, to: 3},
			{start: key32(3), stop: key32(5), order: ordered, from: 3, to: 5},
			{last: key32(3), order: ordered, from: 4, to: 10},
			{last: key32(3), stop: key32(6), order: ordered, from: 4, to: 6},
			{last: key32(3), order: unordered, from: 0, to: 10},
			{start: append(key32(3), 1, 2, 3), order: unordered, from: 3, to: 10},
		} {
			s.equal("rows", t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				atSnapshot(n, 0)
				n.OrderMode = &c.order
				n.StartPrimaryKey, n.StopPrimaryKey, n.LastPrimaryKey = c.start, c.stop, c.last
			}), kvRows(c.from, c.to))
		}
	}},
	{"BoundsThatAreRefused", func(s *suite) {
		t, _ := s.kv(1)
		snap := func(edit func(n *pb.NewScanRequestPB)) scanTweak {
			return func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				atSnapshot(n, 0)
				edit(n)
			}
		}
		t.refused(invalidScanSpec, statusInvalidArgument, snap(func(n *pb.NewScanRequestPB) { n.StartPrimaryKey, n.LastPrimaryKey = key32(0), key32(0) }))
		t.refused(invalidScanSpec, statusInvalidArgument, snap(func(n *pb.NewScanRequestPB) { n.StartPrimaryKey = []byte{1} }))
		t.refused(invalidScanSpec, statusInvalidArgument, snap(func(n *pb.NewScanRequestPB) { n.StopPrimaryKey = []byte{} }))
		t.refused(invalidScanSpec, statusInvalidArgument, snap(func(n *pb.NewScanRequestPB) { n.LastPrimaryKey = []byte{1, 2, 3} }))
		// No key can follow the largest one.
		t.refused(invalidScanSpec, statusIllegalState, snap(func(n *pb.NewScanRequestPB) { n.LastPrimaryKey = key32(1<<31 - 1) }))
	}},
	{"CompositeKeyBounds", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{col("a", kudu.String, isKey), col("b", kudu.Int32, isKey)}, nil)
		t.write(newOps(t.cols).add(insertOp, "", 1).add(insertOp, "x", -1).add(insertOp, "x", 1).add(insertOp, "x\x00", 0).add(insertOp, "xy", 5))
		s.equal("order", t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, 0) }),
			[]string{"|1", "x|-1", "x|1", "x\x00|0", "xy|5"})
		s.equal("after", t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, 0)
			n.LastPrimaryKey = append([]byte("x\x00\x00"), key32(1)...)
		}), []string{"x\x00|0", "xy|5"})
		t.refused(invalidScanSpec, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.StartPrimaryKey = []byte("x") })
		t.refused(invalidScanSpec, statusInvalidArgument, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.StartPrimaryKey = []byte("x\x00\x00\x01") })
	}},
	{"FieldsOfAnOpening", func(s *suite) {
		t, _ := s.kv(3)
		latest := t.must(nil).resp
		s.equal("latest", []bool{latest.ScannerId != nil, latest.GetHasMoreResults(), latest.SnapTimestamp != nil, latest.LastPrimaryKey != nil, latest.GetPropagatedTimestamp() > 0, latest.ResourceMetrics != nil},
			[]bool{false, false, false, false, true, true})
		snap := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, 0) }).resp
		s.equal("snapshot", []bool{snap.ScannerId != nil, snap.GetHasMoreResults(), snap.SnapTimestamp != nil, snap.GetPropagatedTimestamp() > snap.GetSnapTimestamp()},
			[]bool{false, false, true, true})
		s.equal("last key", snap.GetLastPrimaryKey(), key32(2))
		empty, _ := s.kv(0)
		none := empty.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { atSnapshot(n, 0) }).resp
		s.equal("empty", []bool{none.ScannerId != nil, none.GetHasMoreResults(), none.SnapTimestamp != nil, none.LastPrimaryKey != nil, none.Data != nil, none.GetData().NumRows != nil},
			[]bool{false, false, true, false, true, false})
	}},
	{"BatchesHoldAtLeast128Rows", func(s *suite) {
		t, _ := s.kv(300)
		for _, order := range []int32{unordered, ordered} {
			b := t.must(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				atSnapshot(n, 0)
				n.OrderMode, r.BatchSizeBytes = &order, new(uint32(1))
			})
			s.equal("first", []any{len(b.rows), b.resp.GetHasMoreResults(), b.resp.ScannerId != nil, b.resp.SnapTimestamp != nil}, []any{128, true, true, true})
			id := b.resp.GetScannerId()
			b = t.next(id, 1, 1, t.all())
			s.equal("second", []any{len(b.rows), b.resp.GetHasMoreResults(), b.resp.ScannerId != nil, b.resp.SnapTimestamp != nil, b.resp.PropagatedTimestamp != nil},
				[]any{128, true, false, false, true})
			b = t.next(id, 2, 1, t.all())
			s.equal("third", []any{len(b.rows), b.resp.GetHasMoreResults(), b.resp.LastPrimaryKey != nil}, []any{44, false, order == ordered})
			s.tsError(t.next(id, 3, 1, t.all()).resp.GetError(), scannerExpired, statusNotFound)
		}
	}},
	{"AWholeNumberOfBlocksEndsAtOnce", func(s *suite) {
		t, _ := s.kv(256)
		b := t.must(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, 0)
			r.BatchSizeBytes = new(uint32(1))
		})
		b = t.next(b.resp.GetScannerId(), 1, 1, t.all())
		s.equal("second", []any{len(b.rows), b.resp.GetHasMoreResults()}, []any{128, false})
	}},
	{"BatchSizeZeroOpensWithoutRows", func(s *suite) {
		t, _ := s.kv(3)
		b := t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(0)) })
		s.equal("opening", []any{len(b.rows), b.resp.GetHasMoreResults(), b.resp.ScannerId != nil}, []any{0, true, true})
		s.equal("rows", t.next(b.resp.GetScannerId(), 1, 1<<20, t.all()).rows, kvRows(0, 3))
	}},
	{"LimitIsExact", func(s *suite) {
		t, _ := s.kv(300)
		for _, limit := range []uint64{0, 1, 128, 129, 299, 300, 1000} {
			n := len(t.rows(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.Limit, r.BatchSizeBytes = &limit, new(uint32(1)) }))
			s.equal("rows", n, min(300, limit))
		}
		// Nothing can come: no snapshot is chosen.
		b := t.must(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, 0)
			n.Limit = new(uint64(0))
		})
		s.equal("snapshot", b.resp.SnapTimestamp != nil, false)
	}},
	{"SequenceNumbersAreUsedOnce", func(s *suite) {
		t, _ := s.kv(600)
		open := func() []byte {
			return t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(1)) }).resp.GetScannerId()
		}
		for _, seq := range []uint32{0, 2} {
			id := open()
			s.tsError(t.next(id, seq, 1, t.all()).resp.GetError(), invalidScanSeq, statusInvalidArgument)
			s.tsError(t.next(id, 1, 1, t.all()).resp.GetError(), scannerExpired, statusNotFound)
		}
	}},
	{"Closing", func(s *suite) {
		t, _ := s.kv(600)
		b := t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(1)) })
		id := b.resp.GetScannerId()
		closing := &pb.ScanRequestPB{ScannerId: id, BatchSizeBytes: new(uint32(0)), CloseScanner: new(true)}
		for range 2 { // the second time it is unknown, and that is no error
			b, err := t.send(0, closing, t.all(), 0)
			if err != nil || b.resp.Error != nil || b.resp.GetHasMoreResults() || b.resp.Data != nil {
				s.Errorf("closing: %v %v", b, err)
			}
		}
		s.tsError(t.next(id, 1, 1, t.all()).resp.GetError(), scannerExpired, statusNotFound)
		b = t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) {
			r.BatchSizeBytes, r.CloseScanner = new(uint32(1)), new(true)
		})
		s.equal("open and close", []any{len(b.rows), b.resp.GetHasMoreResults(), b.resp.ScannerId != nil}, []any{128, false, false})
	}},
	{"KeepAlive", func(s *suite) {
		t, _ := s.kv(300)
		b := t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(1)) })
		for _, c := range []struct {
			id []byte
			ok bool
		}{{b.resp.GetScannerId(), true}, {[]byte("nosuch"), false}} {
			resp := &pb.ScannerKeepAliveResponsePB{}
			if _, err := s.call(t.tablets[0].addr, krpc.TabletServerService, "ScannerKeepAlive", &pb.ScannerKeepAliveRequestPB{ScannerId: c.id}, resp, nil); err != nil {
				s.Fatal(err)
			}
			if c.ok {
				s.equal("error", resp.Error == nil, true)
			} else {
				s.tsError(resp.Error, scannerExpired, statusNotFound)
			}
		}
	}},
	{"ScannerBelongsToItsUser", func(s *suite) {
		t, _ := s.kv(300)
		b := t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(1)) })
		other := newSuite(s.T, s.c)
		other.pool.Close()
		other.pool = krpc.NewPool(krpc.Options{Dial: s.c.Dial, User: "somebody"})
		s.Cleanup(func() { _ = other.pool.Close() })
		_, err := other.call(t.tablets[0].addr, krpc.TabletServerService, "Scan",
			&pb.ScanRequestPB{ScannerId: b.resp.GetScannerId(), CallSeqId: new(uint32(1))}, &pb.ScanResponsePB{}, nil)
		s.equal("code", s.rpcError(err).Code, pb.ErrorStatusPB_FATAL_UNAUTHORIZED)
		s.equal("rows", len(t.next(b.resp.GetScannerId(), 1, 1, t.all()).rows), 128)
	}},
	{"ScannerOutlivesItsTable", func(s *suite) {
		t, _ := s.kv(300)
		b := t.must(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			atSnapshot(n, 0)
			r.BatchSizeBytes = new(uint32(1))
		})
		more := newOps(t.cols)
		for i := range 300 {
			more.add(deleteOp, i)
		}
		t.write(more)
		s.equal("rows", t.next(b.resp.GetScannerId(), 1, 1, t.all()).rows, kvRows(128, 256))
	}},
}
