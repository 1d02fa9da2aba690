package kudutest

import (
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func diff(n *pb.NewScanRequestPB, proj []*pb.ColumnSchemaPB, from, to uint64) {
	atSnapshot(n, to)
	n.SnapStartTimestamp = &from
	n.ProjectedColumns = append(slices.Clone(proj), isDeletedColumn())
}

// diffRows reads the changes in [from, to): key, value of live rows, deleted.
func (t *tableHandle) diffRows(from, to uint64) []string {
	t.s.Helper()
	var out []string
	for _, flags := range []uint64{0, columnar} {
		rows := t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			diff(n, t.project("k", "v"), from, to)
			n.RowFormatFlags = &flags
		})
		for i, r := range rows {
			rows[i] = tombstone(r)
		}
		if out != nil {
			t.s.equal("columnar", rows, out)
		}
		out = rows
	}
	return out
}

// tombstone leaves out what a deleted row carries beside its key: it is
// arbitrary.
func tombstone(row string) string {
	if n := len(row); row[n-2:] == "|1" {
		for i := range row {
			if row[i] == '|' {
				return row[:i] + "|deleted"
			}
		}
	}
	return row[:len(row)-2]
}

// histories are what happens to one key between two timestamps; the last
// column is what a diff shows, "" for nothing.
var histories = []struct {
	name     string
	existed  bool
	ops      []byte
	appears  string
	newValue string
}{
	{"nothing", true, nil, "", "old"},
	{"insert", false, []byte{insertOp}, "new0", "new0"},
	{"update", true, []byte{updateOp}, "new0", "new0"},
	{"two updates", true, []byte{updateOp, updateOp}, "new1", "new1"},
	{"upsert of an old row", true, []byte{upsertOp}, "new0", "new0"},
	{"upsert of a new row", false, []byte{upsertOp}, "new0", "new0"},
	{"delete", true, []byte{deleteOp}, "deleted", ""},
	{"update and delete", true, []byte{updateOp, deleteOp}, "deleted", ""},
	{"delete and insert", true, []byte{deleteOp, insertOp}, "new1", "new1"},
	{"insert and delete", false, []byte{insertOp, deleteOp}, "", ""},
	{"insert, update, delete", false, []byte{insertOp, updateOp, deleteOp}, "", ""},
	{"delete, insert, delete", true, []byte{deleteOp, insertOp, deleteOp}, "deleted", ""},
	{"insert, delete, insert", false, []byte{insertOp, deleteOp, insertOp}, "new2", "new2"},
}

// play writes the histories, key by key, and gives both ends.
func (t *tableHandle) play() (from, to uint64) {
	t.s.Helper()
	before := newOps(t.cols)
	for k, h := range histories {
		if h.existed {
			before.add(insertOp, k, "old")
		}
	}
	from = t.write(before) + 1
	to = from
	for k, h := range histories {
		for i, op := range h.ops {
			ops := newOps(t.cols)
			if op == deleteOp {
				ops.add(op, k)
			} else {
				ops.add(op, k, "new"+string(rune('0'+i)))
			}
			to = t.write(ops) + 1
		}
	}
	return from, to
}

func wantedDiff() []string {
	var want []string
	for k, h := range histories {
		if h.appears != "" {
			want = append(want, textOf(col("k", kudu.Int32), cellOf(col("k", kudu.Int32), k))+"|"+h.appears)
		}
	}
	return want
}

var diffCases = []namedCase{
	{"EachHistory", func(s *suite) {
		t, _ := s.kv(0)
		from, to := t.play()
		want := wantedDiff()
		s.equal("right after", t.diffRows(from, to), want)
		// What happens later changes nothing but the junk of deleted rows.
		later := newOps(t.cols)
		for k := range histories {
			later.add(upsertOp, k, "later")
		}
		t.write(later)
		s.equal("later", t.diffRows(from, to), want)
		s.equal("nothing", t.diffRows(to, to), []string(nil))
	}},
	{"OperationsOfOneBatch", func(s *suite) {
		t, w := s.kv(2)
		to := t.write(newOps(t.cols).add(updateOp, 0, "a").add(updateOp, 0, "b").add(deleteOp, 1).add(insertOp, 1, "again").add(insertOp, 5, "x").add(deleteOp, 5))
		s.equal("diff", t.diffRows(w+1, to+1), []string{"0|b", "1|again"})
		s.equal("half-open", t.diffRows(w+1, to), []string(nil))
	}},
	{"UpdatesThatChangeNothingAndColumnsThatAreNotShown", func(s *suite) {
		t, w := s.kv(3)
		to := t.write(newOps(t.cols).add(updateOp, 0, "v").add(updateOp, 1, unset, 5).add(upsertOp, 2))
		s.equal("diff", t.diffRows(w+1, to+1), []string{"0|v", "1|v"})
	}},
	{"Refusals", func(s *suite) {
		t, w := s.kv(1)
		to := t.serverNow()
		edit := func(f func(n *pb.NewScanRequestPB)) scanTweak {
			return func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				diff(n, t.all(), w, to)
				f(n)
			}
		}
		t.refused(mismatchedSchema, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) { n.ProjectedColumns = t.all() }))
		t.refused(invalidSnapshot, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) { n.SnapStartTimestamp = new(to + 1) }))
		t.refused(invalidScanSpec, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) { n.OrderMode = new(int32(unordered)) }))
		t.refused(invalidScanSpec, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) {
			n.OrderMode, n.ReadMode = new(int32(unordered)), new(int32(readLatest))
		}))
		t.refused(invalidScanSpec, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) {
			n.OrderMode, n.ReadMode = new(int32(unordered)), new(int32(readYourWrites))
		}))
		t.refused(invalidSnapshot, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) { n.SnapStartTimestamp = new(hybrid(w, -8*24*time.Hour)) }))
		t.refused(invalidSchema, statusInvalidArgument, edit(func(n *pb.NewScanRequestPB) {
			n.ProjectedColumns[len(n.ProjectedColumns)-1].IsNullable = new(true)
		}))
	}},
	{"LimitBoundsAndResuming", func(s *suite) {
		t, w := s.kv(0)
		if w == 0 {
			w = t.serverNow()
		}
		to := t.insertKV(0, 300) + 1
		show := func(edit func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB)) []string {
			return t.rows(func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
				diff(n, t.project("k"), w, to)
				edit(r, n)
			})
		}
		s.equal("limit", len(show(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.Limit = new(uint64(7)) })), 7)
		s.equal("stop", show(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.StopPrimaryKey = key32(2) }), []string{"0|0", "1|0"})
		s.equal("last", show(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.LastPrimaryKey = key32(297) }), []string{"298|0", "299|0"})
		s.equal("batches", len(show(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(1)) })), 300)
	}},
	{"LivePredicatesSeeNewValues", func(s *suite) {
		t, w := s.kv(3)
		to := t.write(newOps(t.cols).add(updateOp, 0, unset, 1000).add(updateOp, 1, unset, 1)) + 1
		rows := t.rows(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
			diff(n, t.project("k", "n"), w+1, to)
			n.ColumnPredicates = []*pb.ColumnPredicatePB{between(t.cols[2], 500, nil)}
		})
		s.equal("rows", rows, []string{"0|1000|0"})
	}},
}
