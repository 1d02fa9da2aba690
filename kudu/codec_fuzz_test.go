package kudu

import (
	"bytes"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// FuzzDecodeOp feeds row operations: each is refused, or is encoded again to
// what decodes to the same.
func FuzzDecodeOp(f *testing.F) {
	f.Add([]byte{4, 0x88, 7}, []byte{1, 7, 4, 5, 0, 0, 0}, []byte("hi"))
	f.Add([]byte{8, 0x88}, unhex(f, "05 03 00 0000000000000000 0200000000000000 0000000000000000 0100000000000000"), []byte("hixyz"))
	f.Fuzz(func(t *testing.T, types, rows, indirect []byte) {
		s := fuzzProjection(types)
		row, again := newRow(newRowLayout(s)), newRow(newRowLayout(s))
		for len(rows) > 0 {
			kind, rest, err := decodeOp(row, rows, indirect)
			if err != nil {
				return
			}
			if kind != OpDelete && kind != OpDeleteIgnore {
				re, reIndirect := appendOp(nil, nil, kind, row)
				kind2, left, err := decodeOp(again, re, reIndirect)
				if err != nil || kind2 != kind || len(left) != 0 {
					t.Fatalf("%s encoded again: %v, %s, %d bytes left", kind, err, kind2, len(left))
				}
				for i := range s.cols {
					if row.set[i] != again.set[i] || row.null[i] != again.null[i] {
						t.Fatalf("column %d differs", i)
					}
					if v, ok := row.value(i).([]byte); ok && !bytes.Equal(v, again.value(i).([]byte)) {
						t.Fatalf("column %d differs", i)
					}
				}
			}
			rows = rest
		}
	})
}

// FuzzDecodeRowWise feeds answers in the row-wise layout: each is refused, or
// all its cells can be read.
func FuzzDecodeRowWise(f *testing.F) {
	f.Add([]byte{7, 0x81, 0x88, 0x89, 0x8d}, unhex(f, "6e31010000000000 f6 0000000000000000 0000000000000000 01 0a401e18240a0600 04"), []byte("x"), int32(1))
	f.Add([]byte{8, 0x8c}, make([]byte, 66), []byte("str"), int32(2))
	f.Add([]byte{}, []byte{}, []byte{}, int32(5))
	f.Fuzz(func(t *testing.T, types, rows, indirect []byte, n int32) {
		proj := fuzzProjection(types)
		var w rowwise
		var b RowBatch
		block := &pb.RowwiseRowBlockPB{NumRows: &n, RowsSidecar: ptr(int32(0)), IndirectDataSidecar: ptr(int32(1))}
		if w.decode(&b, proj, block, byteRuns{rows, indirect}) != nil {
			return
		}
		for r := range min(b.NumRows(), 1000) {
			b.Values(r)
		}
	})
}

// FuzzRangeBounds feeds the bounds of a range as a master would tell them.
func FuzzRangeBounds(f *testing.F) {
	f.Add(unhex(f, "06 01 00 05000000 07 01 00 09000000"), []byte{})
	f.Add(unhex(f, "08 03 00 05000000 0000000000000000 0100000000000000 09 00 00"), []byte("m"))
	s, err := NewSchema([]Column{{Name: "k", Type: Int32, Key: true}, {Name: "s", Type: String, Key: true}, {Name: "v", Type: Int8, Nullable: true}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rows, indirect []byte) {
		ops := &pb.RowOperationsPB{Rows: rows, IndirectData: indirect}
		for _, columns := range [][]string{{"k"}, {"k", "s"}, {"s", "k"}, nil} {
			rangeBoundsFromPB(ops, s, columns)
		}
	})
}

// FuzzPredicates compiles and prunes with values of any bytes; it fails by a
// panic, or when an equality's tablet would not be asked.
func FuzzPredicates(f *testing.F) {
	f.Add([]byte("a\x00"), []byte("b"), int32(5), uint32(7))
	f.Fuzz(func(t *testing.T, a, b []byte, k int32, seed uint32) {
		s, err := NewSchema([]Column{{Name: "k", Type: Int32, Key: true}, {Name: "s", Type: String, Key: true}})
		if err != nil {
			t.Fatal(err)
		}
		part := PartitionSchema{Range: []string{"s", "k"}, Hash: []HashDimension{{Columns: []string{"s"}, Buckets: 3, Seed: seed}}}
		table := &Table{schema: s, layout: newRowLayout(s), partition: part}
		row := newRow(table.layout)
		row.SetInt(0, int64(k))
		row.SetBytes(1, a)
		split := row.appendKeyOf(nil, []int{1, 0})
		bound := newRow(table.layout)
		bound.SetInt(0, int64(k))
		bound.SetBytes(1, b)
		edge := bound.appendKeyOf(nil, []int{1, 0})
		var tablets []*Tablet
		for bucket := range 3 {
			tablets = append(tablets,
				&Tablet{ID: "low", Partition: Partition{HashBuckets: []int{bucket}, RangeEnd: edge}},
				&Tablet{ID: "high", Partition: Partition{HashBuckets: []int{bucket}, RangeStart: edge}})
		}
		r, err := newRouter(s, &part, tablets)
		if err != nil {
			t.Fatal(err)
		}
		home, _ := r.find(row, nil)
		if home == nil || (home.ID == "low") != (bytes.Compare(split, edge) < 0) {
			t.Fatalf("the row with range key %x, split at %x, is in %v", split, edge, home)
		}
		for _, preds := range [][]Predicate{
			{Equal("k", k), Equal("s", a)}, {In("s", a, b)}, {LessEqual("s", a)}, {GreaterEqual("s", a), LessEqual("k", k)},
			{GreaterEqual("s", a), LessEqual("s", a)}, {In("k", k, 1), In("s", b, a)}, {In("s", a, b), GreaterEqual("k", k), LessEqual("k", k)},
		} {
			found, err := table.Prune(tablets, ScanOptions{Predicates: preds})
			if err != nil {
				t.Fatal(err)
			}
			asked := false
			for _, tablet := range found {
				asked = asked || tablet == home
			}
			if !asked {
				t.Fatalf("%v: the tablet of (%d, %x) isn't asked", preds, k, a)
			}
		}
	})
}
