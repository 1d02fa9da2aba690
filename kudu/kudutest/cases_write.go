package kudutest

import (
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// rowErrors are the per-row errors of a write: "index:status".
func rowErrors(resp *pb.WriteResponsePB) []string {
	var out []string
	for _, e := range resp.GetPerRowErrors() {
		out = append(out, fmt.Sprintf("%d:%d", e.GetRowIndex(), e.GetError().GetCode()))
	}
	return out
}

// counters are the resource metrics of a write that are not zero.
func counters(resp *pb.WriteResponsePB) string {
	m := resp.GetResourceMetrics()
	out := ""
	for _, c := range []struct {
		name string
		n    int64
	}{
		{"inserts", m.GetSuccessfulInserts()}, {"insertIgnored", m.GetInsertIgnoreErrors()}, {"upserts", m.GetSuccessfulUpserts()},
		{"updates", m.GetSuccessfulUpdates()}, {"updateIgnored", m.GetUpdateIgnoreErrors()}, {"deletes", m.GetSuccessfulDeletes()},
		{"deleteIgnored", m.GetDeleteIgnoreErrors()}, {"upsertIgnored", m.GetUpsertIgnoreErrors()},
	} {
		if c.n != 0 {
			out += fmt.Sprintf("%s=%d ", c.name, c.n)
		}
	}
	return out
}

func writeRefused(s *suite, t *tableHandle, ops *rowOps, code, status int32) {
	s.Helper()
	s.tsError(t.tryWrite(ops).GetError(), code, status)
}

var writeCases = []namedCase{
	{"OperationsAndRowErrors", func(s *suite) {
		t, _ := s.kv(2)
		resp := t.tryWrite(newOps(t.cols).
			add(insertOp, 0, "dup").add(insertOp, 10, "ten").add(updateOp, 99, "no").add(deleteOp, 98).
			add(upsertOp, 11, "eleven").add(upsertOp, 1, "one").add(deleteOp, 0))
		s.equal("errors", rowErrors(resp), []string{"0:6", "2:1", "3:1"})
		s.equal("timestamp", resp.GetTimestamp() > 0, true)
		s.equal("counters", counters(resp), "inserts=1 upserts=2 deletes=1 ")
		s.equal("rows", t.rowsAtSnapshot(0), []string{"1|one|10", "10|ten|NULL", "11|eleven|NULL"})
	}},
	{"IgnoringOperations", func(s *suite) {
		t, _ := s.kv(2)
		resp := t.tryWrite(newOps(t.cols).
			add(insertIgnoreOp, 0, "dup").add(insertIgnoreOp, 5, "five").add(updateIgnoreOp, 99, "no").add(updateIgnoreOp, 1, "one").
			add(deleteIgnoreOp, 98).add(deleteIgnoreOp, 0).add(upsertIgnoreOp, 7, "seven"))
		s.equal("errors", rowErrors(resp), []string(nil))
		s.equal("counters", counters(resp), "inserts=1 insertIgnored=1 upserts=1 updates=1 updateIgnored=1 deletes=1 deleteIgnored=1 ")
		s.equal("rows", t.rowsAtSnapshot(0), []string{"1|one|10", "5|five|NULL", "7|seven|NULL"})
	}},
	{"ABatchWhereAllFailsHasATimestamp", func(s *suite) {
		t, _ := s.kv(1)
		resp := t.tryWrite(newOps(t.cols).add(insertOp, 0))
		s.equal("answer", []any{rowErrors(resp), resp.GetTimestamp() > 0, resp.Error == nil}, []any{[]string{"0:6"}, true, true})
	}},
	{"TheEmptyWriteIsABarrier", func(s *suite) {
		t, w := s.kv(1)
		b := t.write(newOps(t.cols))
		s.equal("later", b > w, true)
		s.equal("then later", t.write(newOps(t.cols).add(deleteOp, 0)) > b, true)
	}},
	{"RowsThatAreWrongInThemselves", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey), col("req", kudu.Int32), col("v", kudu.String, nullable)}, nil)
		resp := t.tryWrite(newOps(t.cols).
			add(insertOp, 1, 1, "ok").
			add(insertOp, 2).                // no value for req
			add(updateOp, 1).                // nothing to update
			add(deleteOp, 1, unset, "v").    // value in a delete
			add(updateOp, unset, 2).         // no key
			add(insertOp, 3, 3, big(65537))) // cell too large
		s.equal("errors", rowErrors(resp), []string{"1:4", "2:4", "3:4", "4:4", "5:4"})
		s.equal("rows", t.rowsAtSnapshot(0), []string{"1|1|ok"})
	}},
	{"SubsetsOfColumns", func(s *suite) {
		t, _ := s.kv(2)
		t.write(newOps(t.cols[:1]).add(deleteOp, 0))
		t.write(newOps([]*pb.ColumnSchemaPB{t.cols[0], t.cols[2]}).add(updateOp, 1, 77))
		s.equal("rows", t.rowsAtSnapshot(0), []string{"1|v|77"})
	}},
	{"SchemasThatAreRefused", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey), col("req", kudu.Int32)}, nil)
		req := t.cols
		writeRefused(s, t, newOps(req[:1]), mismatchedSchema, statusInvalidArgument)
		writeRefused(s, t, newOps([]*pb.ColumnSchemaPB{req[0], col("req", kudu.Int64)}), mismatchedSchema, statusInvalidArgument)
		writeRefused(s, t, newOps([]*pb.ColumnSchemaPB{req[0], req[1], col("more", kudu.Int32, nullable)}), mismatchedSchema, statusInvalidArgument)
		writeRefused(s, t, newOps(nil), mismatchedSchema, statusInvalidArgument)
		withID := col("k", kudu.Int32, isKey)
		withID.Id = new(uint32(0))
		second := col("req", kudu.Int32)
		second.Id = new(uint32(1))
		writeRefused(s, t, newOps([]*pb.ColumnSchemaPB{withID, second}), invalidSchema, statusInvalidArgument)
	}},
	{"MalformedOperations", func(s *suite) {
		t, _ := s.kv(0)
		whole := newOps(t.cols).add(insertOp, 1, "abc", 2)
		cut := newOps(t.cols)
		cut.msg.Rows = whole.msg.Rows[:len(whole.msg.Rows)-1]
		cut.msg.IndirectData = whole.msg.IndirectData
		writeRefused(s, t, cut, mismatchedSchema, statusCorruption)
		loose := newOps(t.cols)
		loose.msg.Rows = whole.msg.Rows
		loose.msg.IndirectData = []byte("ab")
		writeRefused(s, t, loose, mismatchedSchema, statusCorruption)
		writeRefused(s, t, newOps(t.cols).add(99, 1), mismatchedSchema, statusNotSupported)
		writeRefused(s, t, newOps(t.cols).add(lowerBoundOp, 1), mismatchedSchema, statusInvalidArgument)
		s.equal("rows", t.rowsAtSnapshot(0), []string(nil))
	}},
	{"UnknownTablet", func(s *suite) {
		t, _ := s.kv(0)
		resp := &pb.WriteResponsePB{}
		_, err := t.writeRaw(0, newOps(t.cols), resp, func(_ *krpc.Request, r *pb.WriteRequestPB) { r.TabletId = []byte("nosuch") })
		if err != nil {
			s.Fatal(err)
		}
		s.tsError(resp.GetError(), tabletNotFound, statusNotFound)
	}},
	{"DefaultsAndImmutableColumns", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{
			col("k", kudu.Int32, isKey), col("d", kudu.Int32, withDefault([]byte{7, 0, 0, 0})), col("im", kudu.Int32, nullable, immutable), col("v", kudu.Int32, nullable),
		}, nil)
		resp := t.tryWrite(newOps(t.cols).add(insertOp, 1).add(insertOp, 2, 9, 5, 5))
		s.equal("inserts", rowErrors(resp), []string(nil))
		resp = t.tryWrite(newOps(t.cols).
			add(updateOp, 2, unset, 6).add(upsertOp, 2, unset, 6, 6).add(updateIgnoreOp, 2, unset, 6, 7).add(upsertOp, 2, unset, unset, 8).
			add(upsertIgnoreOp, 1, unset, 1, 1))
		s.equal("errors", rowErrors(resp), []string{"0:20", "1:20"})
		s.equal("counters", counters(resp), "upserts=2 updates=1 updateIgnored=1 upsertIgnored=1 ")
		s.equal("rows", t.rowsAtSnapshot(0), []string{"1|7|NULL|1", "2|9|5|8"})
	}},
	{"AutoIncrementingColumn", func(s *suite) {
		auto := col("auto_incrementing_id", kudu.Int64, isKey)
		auto.IsAutoIncrementing = new(true)
		t := s.create([]*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey), auto, col("v", kudu.String, nullable)}, nil)
		t.write(newOps(t.cols).add(insertOp, 1, unset, "a").add(insertOp, 1, unset, "b"))
		t.write(newOps(t.cols).add(upsertOp, 1, 10, "c"))
		t.write(newOps(t.cols).add(insertOp, 0, unset, "d"))
		s.equal("rows", t.rowsAtSnapshot(0), []string{"0|11|d", "1|1|a", "1|2|b", "1|10|c"})
		writeRefused(s, t, newOps(t.cols).add(insertOp, 1, 5, "set"), mismatchedSchema, statusInvalidArgument)
		writeRefused(s, t, newOps(t.cols).add(upsertOp, 1, unset, "unset"), mismatchedSchema, statusInvalidArgument)
	}},
	{"WrongTabletFailsTheWholeBatch", func(s *suite) {
		t := s.create(kvColumns(), hashed(4, "k"))
		placed := t.route(t.cols, 100)
		ops := newOps(t.cols).add(insertOp, placed[0][0], "mine").add(insertOp, placed[1][0], "not mine")
		writeRefused(s, t, ops, unknownError, statusNotFound)
		s.equal("rows", t.rowsAtSnapshot(0), []string(nil))
	}},
	{"ReplaysAreAnsweredFromMemory", func(s *suite) {
		t, _ := s.kv(0)
		client := fmt.Sprintf("%032x", names.Add(1))
		send := func(key int, seq, first, attempt int64) (*pb.WriteResponsePB, error) {
			resp := &pb.WriteResponsePB{}
			_, err := t.writeRaw(0, newOps(t.cols).add(insertOp, key), resp, func(r *krpc.Request, _ *pb.WriteRequestPB) {
				r.RequestID = &pb.RequestIdPB{ClientId: &client, SeqNo: &seq, FirstIncompleteSeqNo: &first, AttemptNo: &attempt}
			})
			return resp, err
		}
		one, err := send(1, 1, 1, 1)
		if err != nil {
			s.Fatal(err)
		}
		again, err := send(1, 1, 1, 2)
		if err != nil {
			s.Fatal(err)
		}
		s.equal("replay", []any{rowErrors(again), again.GetTimestamp()}, []any{[]string(nil), one.GetTimestamp()})
		if _, err := send(2, 2, 2, 1); err != nil {
			s.Fatal(err)
		}
		_, err = send(1, 1, 1, 3)
		s.equal("stale", s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_REQUEST_STALE)
		bare := t.tryWrite(newOps(t.cols).add(insertOp, 1))
		s.equal("without an id", rowErrors(bare), []string{"0:6"})
	}},
	{"PropagatedTimestampIsPassed", func(s *suite) {
		t, w := s.kv(0)
		w = max(w, t.serverNow())
		ahead := hybrid(w, 500_000_000)
		resp := &pb.WriteResponsePB{}
		if _, err := t.writeRaw(0, newOps(t.cols).add(insertOp, 1), resp, func(_ *krpc.Request, r *pb.WriteRequestPB) { r.PropagatedTimestamp = &ahead }); err != nil {
			s.Fatal(err)
		}
		s.equal("later", resp.GetTimestamp() > ahead, true)
		resp = &pb.WriteResponsePB{}
		if _, err := t.writeRaw(0, newOps(t.cols), resp, func(_ *krpc.Request, r *pb.WriteRequestPB) {
			r.PropagatedTimestamp = new(hybrid(w, 3600_000_000_000))
		}); err != nil {
			s.Fatal(err)
		}
		s.tsError(resp.GetError(), unknownError, statusInvalidArgument)
	}},
}

// big is a text of n bytes.
func big(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}
