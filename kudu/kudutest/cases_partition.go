package kudutest

import (
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func byName(columns ...string) []*pb.ColumnIdentifierPB {
	var ids []*pb.ColumnIdentifierPB
	for _, c := range columns {
		ids = append(ids, &pb.ColumnIdentifierPB{Name: &c})
	}
	return ids
}

func hashBy(buckets int32, seed uint32, columns ...string) *pb.HashBucketSchemaPB {
	return &pb.HashBucketSchemaPB{Columns: byName(columns...), NumBuckets: &buckets, Seed: &seed}
}

func hashed(buckets int32, columns ...string) func(*pb.CreateTableRequestPB) {
	return func(r *pb.CreateTableRequestPB) {
		r.PartitionSchema.HashSchema = append(r.PartitionSchema.HashSchema, hashBy(buckets, 0, columns...))
	}
}

// ranged partitions by the column k: bounds come in pairs, nil is
// open.
func ranged(cols []*pb.ColumnSchemaPB, bounds ...any) func(*pb.CreateTableRequestPB) {
	return func(r *pb.CreateTableRequestPB) {
		r.PartitionSchema.RangeSchema.Columns = byName("k")
		r.SplitRowsRangeBounds = boundOps(cols, bounds...)
	}
}

func boundOps(cols []*pb.ColumnSchemaPB, bounds ...any) *pb.RowOperationsPB {
	ops := newOps(cols)
	at := slices.IndexFunc(cols, func(c *pb.ColumnSchemaPB) bool { return c.GetName() == "k" })
	for i, b := range bounds {
		values := make([]any, at+1)
		for j := range values {
			values[j] = unset
		}
		if b != nil {
			values[at] = b
		}
		ops.add([]byte{lowerBoundOp, upperBoundOp}[i%2], values...)
	}
	return &ops.msg
}

func both(tweaks ...func(*pb.CreateTableRequestPB)) func(*pb.CreateTableRequestPB) {
	return func(r *pb.CreateTableRequestPB) {
		for _, t := range tweaks {
			t(r)
		}
	}
}

// home is the tablet that takes a key: the servers are asked, one by one, with
// an operation that changes nothing. -1 if none does.
func (t *tableHandle) home(key ...any) int {
	t.s.Helper()
	home := -1
	for i := range t.tablets {
		resp := &pb.WriteResponsePB{}
		keys := slices.DeleteFunc(slices.Clone(t.cols), func(c *pb.ColumnSchemaPB) bool { return !c.GetIsKey() })
		if _, err := t.writeRaw(i, newOps(keys).add(deleteIgnoreOp, key...), resp, nil); err != nil {
			t.s.Fatal(err)
		}
		if resp.Error == nil {
			if home >= 0 {
				t.s.Errorf("tablets %d and %d both take %v", home, i, key)
			}
			home = i
			continue
		}
		t.s.tsError(resp.Error, unknownError, statusNotFound)
	}
	return home
}

// route finds a key, if not more, for each of the first two tablets.
func (t *tableHandle) route(_ []*pb.ColumnSchemaPB, most int) map[int][]int {
	t.s.Helper()
	placed := make(map[int][]int)
	for key := 0; key < most && (len(placed[0]) == 0 || len(placed[1]) == 0); key++ {
		home := t.home(key)
		placed[home] = append(placed[home], key)
	}
	return placed
}

// partitions are the tablets' partitions in text.
func (t *tableHandle) partitions() []string {
	var out []string
	for _, tb := range t.tablets {
		out = append(out, partitionText(tb.partition))
	}
	return out
}

func partitionText(p *pb.PartitionPB) string {
	return fmt.Sprintf("%v %x-%x", p.GetHashBuckets(), p.GetPartitionKeyStart(), p.GetPartitionKeyEnd())
}

var partitionCases = []namedCase{
	{"Unpartitioned", func(s *suite) {
		t, _ := s.kv(0)
		s.equal("partitions", t.partitions(), []string{"[] -"})
	}},
	{"HashPartitionsEndAtTheNextBucket", func(s *suite) {
		t := s.create(kvColumns(), hashed(3, "k"))
		s.equal("partitions", t.partitions(), []string{"[0] 00000000-00000001", "[1] 00000001-00000002", "[2] 00000002-00000003"})
	}},
	{"TwoHashDimensions", func(s *suite) {
		cols := []*pb.ColumnSchemaPB{col("a", kudu.Int32, isKey), col("b", kudu.String, isKey)}
		t := s.create(cols, both(hashed(2, "a"), hashed(2, "b")))
		s.equal("partitions", t.partitions(), []string{
			"[0 0] 0000000000000000-0000000000000001", "[0 1] 0000000000000001-0000000000000002",
			"[1 0] 0000000100000000-0000000100000001", "[1 1] 0000000100000001-0000000100000002",
		})
	}},
	{"RangesWithAndWithoutBounds", func(s *suite) {
		t := s.create(kvColumns(), ranged(kvColumns(), nil, 0, 0, 10, 20, nil))
		s.equal("partitions", t.partitions(), []string{"[] -80000000", "[] 80000000-8000000a", "[] 80000014-"})
		for _, c := range []struct{ key, home int }{{-1, 0}, {0, 1}, {9, 1}, {10, -1}, {19, -1}, {20, 2}} {
			s.equal(fmt.Sprint("home of ", c.key), t.home(c.key), c.home)
		}
	}},
	{"HashAndRange", func(s *suite) {
		t := s.create(kvColumns(), both(hashed(2, "k"), ranged(kvColumns(), nil, 0, 0, nil)))
		s.equal("partitions", t.partitions(), []string{
			"[0] 00000000-0000000080000000", "[0] 0000000080000000-00000001", "[1] 00000001-0000000180000000", "[1] 0000000180000000-00000002",
		})
	}},
	{"KnownHashes", func(s *suite) {
		// Values of MurmurHash2-64A over encoded keys, reduced by hand.
		t := s.create([]*pb.ColumnSchemaPB{col("k", kudu.Int64, isKey)}, hashed(4, "k"))
		s.equal("INT64 1 of 4", t.home(1), 1)
		t = s.create([]*pb.ColumnSchemaPB{col("k", kudu.Int32, isKey)}, hashed(4, "k"))
		s.equal("INT32 5 of 4", t.home(5), 3)
		t = s.create([]*pb.ColumnSchemaPB{col("a", kudu.String, isKey), col("b", kudu.Int32, isKey)}, func(r *pb.CreateTableRequestPB) {
			r.PartitionSchema.HashSchema = []*pb.HashBucketSchemaPB{hashBy(4, 7, "a", "b")}
		})
		s.equal("(a, 7) of 4", t.home("a", 7), 2)
	}},
	{"EachTypeAsHashKey", func(s *suite) {
		// The test's own hash says where rows belong, and servers agree.
		for _, tv := range typeValues {
			if !tv.typ.Key() {
				continue
			}
			c := col("k", tv.typ, isKey)
			if tv.attr != nil {
				tv.attr(c)
			}
			t := s.create([]*pb.ColumnSchemaPB{c, col("z", kudu.Int8, isKey)}, func(r *pb.CreateTableRequestPB) {
				r.PartitionSchema.HashSchema = []*pb.HashBucketSchemaPB{hashBy(5, 3, "k", "z")}
			})
			for _, v := range tv.values {
				key := append(encodeKeyCell(c, cellOf(c, v), false), encodeKeyCell(t.cols[1], cellOf(t.cols[1], 1), true)...)
				s.equal(fmt.Sprintf("%s %v", tv.typ, v), t.home(v, 1), int(murmur2(key, 3)%5))
			}
		}
	}},
	{"RangesWithTheirOwnHashes", func(s *suite) {
		cols := kvColumns()
		t := s.create(cols, func(r *pb.CreateTableRequestPB) {
			r.PartitionSchema.HashSchema = []*pb.HashBucketSchemaPB{hashBy(2, 0, "k")}
			r.PartitionSchema.RangeSchema.Columns = byName("k")
			r.PartitionSchema.CustomHashSchemaRanges = []*pb.RangeWithHashSchemaPB{
				{RangeBounds: boundOps(cols, 0, 100), HashSchema: []*pb.HashBucketSchemaPB{hashBy(3, 5, "k")}},
				{RangeBounds: boundOps(cols, 100, 200), HashSchema: []*pb.HashBucketSchemaPB{hashBy(2, 0, "k")}},
			}
		})
		s.equal("partitions", t.partitions(), []string{
			"[0] 0000000080000000-0000000080000064", "[0] 0000000080000064-00000000800000c8",
			"[1] 0000000180000000-0000000180000064", "[1] 0000000180000064-00000001800000c8",
			"[2] 0000000280000000-0000000280000064",
		})
		for _, key := range []int{0, 1, 2, 99, 100, 101, 199} {
			buckets, seed := uint64(3), uint64(5)
			if key >= 100 {
				buckets, seed = 2, 0
			}
			c := cols[0]
			want := int32(murmur2(encodeKeyCell(c, cellOf(c, key), true), seed) % buckets)
			s.equal(fmt.Sprint("bucket of ", key), t.tablets[t.home(key)].partition.GetHashBuckets()[0], want)
		}
		s.equal("custom ranges", len(t.schema.GetPartitionSchema().GetCustomHashSchemaRanges()), 1)
	}},
	{"LocationsByPartitionKey", func(s *suite) {
		t := s.create(kvColumns(), both(hashed(2, "k"), ranged(kvColumns(), 0, 10, 20, 30)))
		all := t.partitions()
		for _, c := range []struct {
			start, end []byte
			limit      uint32
			from, to   int
		}{
			{from: 0, to: 4},
			{limit: 2, from: 0, to: 2},
			{start: []byte{0, 0, 0, 0, 0x80, 0, 0, 5}, from: 0, to: 4},
			{start: []byte{0, 0, 0, 0, 0x80, 0, 0, 15}, limit: 1, from: 0, to: 1}, // in a gap: the one before
			{start: []byte{0, 0, 0, 1, 0x80, 0, 0, 20}, from: 3, to: 4},
			{start: []byte{0, 0, 0, 9}, from: 3, to: 4}, // behind all: the last
			{end: []byte{0, 0, 0, 0, 0x80, 0, 0, 25}, from: 0, to: 2},
		} {
			req := &pb.GetTableLocationsRequestPB{Table: t.ident(), PartitionKeyStart: c.start, PartitionKeyEnd: c.end}
			if c.limit > 0 {
				req.MaxReturnedLocations = &c.limit
			}
			resp := &pb.GetTableLocationsResponsePB{}
			s.master("GetTableLocations", req, resp)
			var got []string
			for _, tl := range resp.GetTabletLocations() {
				got = append(got, partitionText(tl.GetPartition()))
			}
			s.equal(fmt.Sprintf("%x-%x", c.start, c.end), got, all[c.from:c.to])
		}
	}},
}

// encodeKeyCell and murmur2 are the test's own.
func encodeKeyCell(c *pb.ColumnSchemaPB, cell []byte, last bool) []byte {
	var out []byte
	if varlen(c.GetType()) {
		for _, b := range cell {
			out = append(out, b)
			if b == 0 && !last {
				out = append(out, 1)
			}
		}
		if !last {
			out = append(out, 0, 0)
		}
		return out
	}
	for i := len(cell) - 1; i >= 0; i-- {
		out = append(out, cell[i])
	}
	out[0] ^= 0x80
	return out
}

func murmur2(key []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(key))*m
	i := 0
	for ; i+8 <= len(key); i += 8 {
		k := uint64(0)
		for j := 7; j >= 0; j-- {
			k = k<<8 | uint64(key[i+j])
		}
		k *= m
		k ^= k >> r
		k *= m
		h ^= k
		h *= m
	}
	if i < len(key) {
		for j := len(key) - 1; j >= i; j-- {
			h ^= uint64(key[j]) << (8 * (j - i))
		}
		h *= m
	}
	h ^= h >> r
	h *= m
	h ^= h >> r
	return h
}
