package kudu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// The hashes and bytes in this file were taken from a server of release 1.18.1
// or were accepted by it.

func TestHashesAreThoseOfTheServer(t *testing.T) {
	for _, c := range []struct {
		key  string
		seed uint32
		want uint64
	}{
		{"", 0, 0},
		{"61", 0, 0x071717d2d36b6b11},
		{"3132333435363738", 0, 0x758f67d162b2d202},
		{"68656c6c6f20776f726c64", 0, 0xd3ba2368a832afce},
		{"68656c6c6f20776f726c64", 42, 0x58ec590127de6711},
		{"8000000000000001", 0, 0x126a335c851912a9},
		{"80000005", 0, 0x95f57d1ff68948c7},
		{"61000080000007", 7, 0xd5ecd159ca9ea5f6},
	} {
		if got := murmur64(unhex(t, c.key), c.seed); got != c.want {
			t.Errorf("hash of %s with seed %d is %x, want %x", c.key, c.seed, got, c.want)
		}
	}
	if b := bucketOf(unhex(t, "61000080000007"), 7, 4); b != 2 {
		t.Errorf("bucket %d, want 2", b)
	}
}

func TestRowOperationsAreEncodedAsTheServerReadsThem(t *testing.T) {
	l := newRowLayout(mustSchema(t,
		Column{Name: "k", Type: Int32, Key: true}, Column{Name: "v", Type: String, Nullable: true}, Column{Name: "n", Type: Int32, Nullable: true}))
	var rows, indirect []byte
	add := func(kind OpKind, values ...any) {
		r := newRow(l)
		r.SetAll(values...)
		if err := r.check(kind); err != nil {
			t.Fatal(err)
		}
		rows, indirect = appendOp(rows, indirect, kind, r)
	}
	add(OpInsert, 5, "hi", nil)
	add(OpDelete, 6, "left out")
	add(OpUpsert, 7, "xyz", -1)
	want := unhex(t, "01 07 04 05000000 0000000000000000 0200000000000000"+
		"03 01 00 06000000"+
		"05 07 00 07000000 0200000000000000 0300000000000000 ffffffff")
	if !bytes.Equal(rows, want) || string(indirect) != "hixyz" {
		t.Errorf("%x %q, want %x", rows, indirect, want)
	}
	r := newRow(l)
	var got []string
	for rest := rows; len(rest) > 0; {
		var kind OpKind
		var err error
		if kind, rest, err = decodeOp(r, rest, indirect); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%v %v %v %v", kind, r.value(0), r.value(1), r.value(2)))
	}
	if want := "[INSERT 5 hi <nil> DELETE 6 <nil> <nil> UPSERT 7 xyz -1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestRowWiseAnswersBecomeTheSameColumnsAsColumnarOnes(t *testing.T) {
	proj := mustSchema(t, Column{Name: "k2", Type: Int64}, Column{Name: "i8", Type: Int8, Nullable: true},
		Column{Name: "s", Type: String, Nullable: true}, Column{Name: "bo", Type: Bool, Nullable: true},
		Column{Name: "t", Type: UnixtimeMicros, Nullable: true})
	var runs sidecars = byteRuns{
		unhex(t, "6e31010000000000 f6 0000000000000000 0000000000000000 01 0a401e18240a0600 04"+
			"f709020000000000 ef 0000000000000000 0500000000000000 00 11401e18240a0600 00"),
		[]byte("str17"),
	}
	var w rowwise
	var b RowBatch
	block := &pb.RowwiseRowBlockPB{NumRows: ptr(int32(2)), RowsSidecar: ptr(int32(0)), IndirectDataSidecar: ptr(int32(1))}
	for range 2 { // the second time in the memory of the first
		if err := w.decode(&b, proj, block, runs); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(b.Values(0), b.Values(1))
		if want := "[78190 -10 <nil> true 1700000000000010] [133623 -17 str17 false 1700000000000017]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		if err := w.decode(&b, proj, block, runs); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("decoding again allocates %v times", n)
	}
}

func TestSuccessorsAndSortKeysKeepTheOrderOfValues(t *testing.T) {
	f32 := func(f float32) any { return f }
	for _, c := range []struct {
		col    Column
		values []any // rising; neighbours in pairs marked by next
		next   []bool
	}{
		{Column{Type: Int8}, []any{-128, -127, -1, 0, 127}, []bool{true, false, true, false}},
		{Column{Type: Bool}, []any{false, true}, []bool{true}},
		{Column{Type: String}, []any{"", "\x00", "a", "a\x00", "b"}, []bool{true, false, true, false}},
		{Column{Type: Float}, []any{f32(float32(math.Inf(-1))), f32(-math.MaxFloat32), f32(-math.SmallestNonzeroFloat32), f32(0), f32(math.SmallestNonzeroFloat32), f32(math.MaxFloat32), f32(float32(math.Inf(1)))},
			[]bool{true, false, true, true, false, true}},
		{Column{Type: Double}, []any{math.Inf(-1), -math.MaxFloat64, -math.SmallestNonzeroFloat64, 0.0, math.SmallestNonzeroFloat64, math.Inf(1)},
			[]bool{true, false, true, true, false}},
		{Column{Type: Date}, []any{minDate, minDate + 1, 0, maxDate - 1, maxDate}, []bool{true, false, false, true}},
		{Column{Type: Decimal128, Precision: 38}, []any{Int128{Hi: math.MinInt64}, Int128{Hi: -1, Lo: math.MaxUint64}, Int128{}, Int128{Hi: 0, Lo: math.MaxUint64}, Int128{Hi: 1}},
			[]bool{false, true, false, true}},
	} {
		var prev []byte
		for i, v := range c.values {
			cell, err := appendCell(nil, &c.col, v)
			if err != nil {
				t.Fatal(err)
			}
			key, err := sortKey(c.col.Type, cell)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(cellOf(c.col.Type, key), cell) {
				t.Errorf("%s %v: cell %x became %x", c.col.Type, v, cell, cellOf(c.col.Type, key))
			}
			if i > 0 {
				if bytes.Compare(prev, key) >= 0 {
					t.Errorf("%s %v is not above %v", c.col.Type, v, c.values[i-1])
				}
				if next := bytes.Equal(successor(c.col.Type, prev), key); next != c.next[i-1] {
					t.Errorf("%s: %v follows %v is %v", c.col.Type, v, c.values[i-1], next)
				}
			}
			prev = key
		}
		if last := successor(c.col.Type, prev); c.col.Type != String && c.col.Type != Decimal128 && last != nil {
			t.Errorf("%s: %x follows the largest value", c.col.Type, last)
		}
	}
	if _, err := sortKey(Double, []byte{1, 0, 0, 0, 0, 0, 0xf8, 0x7f}); err == nil {
		t.Error("NaN has a sort key")
	}
}

func TestPredicatesAtTheEndsOfATypeAreSimplified(t *testing.T) {
	s := mustSchema(t, Column{Name: "k", Type: Int8, Key: true}, Column{Name: "n", Type: Int8, Nullable: true}, Column{Name: "s", Type: String, Nullable: true})
	for _, c := range []struct {
		preds []Predicate
		want  string
	}{
		{[]Predicate{LessEqual("k", 127)}, "always"},
		{[]Predicate{LessEqual("n", 127)}, "is_not_null"},
		{[]Predicate{Greater("n", 127)}, "never"},
		{[]Predicate{Less("n", -128)}, "never"},
		{[]Predicate{GreaterEqual("n", -128)}, "is_not_null"},
		{[]Predicate{GreaterEqual("k", -128)}, "always"},
		{[]Predicate{Less("s", "")}, "never"},
		{[]Predicate{GreaterEqual("s", "")}, "is_not_null"},
		{[]Predicate{IsNull("k")}, "never"},
		{[]Predicate{IsNotNull("k")}, "always"},
		{[]Predicate{IsNull("n"), Equal("n", 1)}, "never"},
		{[]Predicate{In("n")}, "never"},
		{[]Predicate{In("n", 1, 2), In("n", 2, 3)}, "equality"},
		{[]Predicate{In("n", 1, 2), Greater("n", 2)}, "never"},
		{[]Predicate{GreaterEqual("n", 5), LessEqual("n", 5)}, "equality"},
		{[]Predicate{Greater("n", 5), Less("n", 6)}, "never"},
		{[]Predicate{Greater("n", 5), Less("n", 9), Greater("n", 6)}, "range"},
	} {
		cs, err := compile(s, c.preds)
		if err != nil {
			t.Fatal(err)
		}
		got := "always"
		switch w := cs.wire(); {
		case cs.never:
			got = "never"
		case len(w) == 1:
			got = string(w[0].ProtoReflect().WhichOneof(w[0].ProtoReflect().Descriptor().Oneofs().Get(0)).Name())
		}
		if got != c.want {
			t.Errorf("%v is %s, want %s", c.preds, got, c.want)
		}
	}
	for _, p := range []Predicate{Equal("x", 1), Equal("k", 128), Equal("k", nil), Equal("k", "1"), Equal("s", 1)} {
		if _, err := compile(s, []Predicate{p}); err == nil {
			t.Errorf("%s is accepted", p)
		}
	}
}

func TestPrefixesOfKeysHaveAnEnd(t *testing.T) {
	for _, c := range []struct{ in, want string }{{"00", "01"}, {"01ff", "02"}, {"ffff", ""}, {"", ""}, {"61ff00", "61ff01"}} {
		if got := afterPrefix(unhex(t, c.in)); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("after %s comes %x, want %s", c.in, got, c.want)
		}
	}
}

func TestRequestIDsTellWhatIsFinished(t *testing.T) {
	r := newRequestTracker()
	a, b := r.begin(), r.begin()
	if id := r.id(b, 1); id.GetFirstIncompleteSeqNo() != a || id.GetSeqNo() != b || len(id.GetClientId()) != 32 {
		t.Errorf("%v", id)
	}
	r.end(a)
	if id := r.id(b, 2); id.GetFirstIncompleteSeqNo() != b || id.GetAttemptNo() != 2 {
		t.Errorf("%v", id)
	}
}

func TestOnlyWritesThatMayHaveRunAreOfUnknownOutcome(t *testing.T) {
	refused := &krpc.CallError{Code: pb.ErrorStatusPB_ERROR_SERVER_TOO_BUSY}
	stale := &krpc.CallError{Code: pb.ErrorStatusPB_ERROR_REQUEST_STALE}
	follower := &pb.TabletServerErrorPB{Code: ptr(int32(tsUnknown)), Status: &pb.AppStatusPB{Code: ptr(int32(statusIllegalState))}}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"busy", callError("w", "a", refused), false},
		{"stale", callError("w", "a", stale), true},
		{"cut before", callError("w", "a", &krpc.TransportError{Err: errors.New("reset")}), false},
		{"cut behind", callError("w", "a", &krpc.TransportError{Sent: true, Err: errors.New("reset")}), true},
		{"timed out", callError("w", "a", &krpc.TransportError{Sent: true, Err: context.DeadlineExceeded}), true},
		{"a follower", tserverError("w", "a", follower), false},
	} {
		if got := mayHaveRun(c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
