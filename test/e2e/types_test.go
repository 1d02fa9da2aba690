package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// typeColumn is a column of one scalar type with its edge values, and a way to
// make other ones.
type typeColumn struct {
	spec  testenv.ColumnSpec
	edges []any
	other func(dice *rand.Rand) any
}

const (
	firstMicros = -62135596800_000000 // 0001-01-01
	lastMicros  = 253402300799_999999 // 9999-12-31
)

// strangeTexts are valid UTF-8 that JSON has to escape, or some tools break.
func strangeTexts() []any {
	var controls strings.Builder
	for c := range rune(0x20) {
		controls.WriteRune(c)
	}
	return []any{
		"", strings.Repeat("0123456789", 500), controls.String(), "\u007f\u0080\u009f", "\u2028 and \u2029", "😀 \U0010ffff \U00010000",
		`"quoted\" \u0041 </script> &amp;`, "é e\u0301 \ufeff \ufffd \uffff", "\x00", strings.Repeat("世", 1600),
	}
}

func anyText(dice *rand.Rand) any {
	var b strings.Builder
	for range dice.IntN(30) {
		limit := []int{0x20, 0x80, 0x800, 0xd800, 0x110000}[dice.IntN(5)]
		if c := dice.IntN(limit); c < 0xd800 || c > 0xdfff {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

func anyBytes(dice *rand.Rand) any {
	b := make([]byte, dice.IntN(30))
	for i := range b {
		b[i] = byte(dice.Uint32())
	}
	return b
}

// anyDecimal has up to so many digits, some of them behind the point.
func anyDecimal(precision, scale int) func(*rand.Rand) any {
	return func(dice *rand.Rand) any {
		digits := make([]byte, 1+dice.IntN(precision))
		for i := range digits {
			digits[i] = byte('0' + dice.IntN(10))
		}
		text := strings.Repeat("0", max(0, scale+1-len(digits))) + string(digits)
		if scale > 0 {
			text = text[:len(text)-scale] + "." + text[len(text)-scale:]
		}
		if dice.IntN(2) == 0 {
			return "-" + text
		}
		return text
	}
}

func edgeDecimals(precision, scale int) []any {
	most := strings.Repeat("9", precision-scale) + "." + strings.Repeat("9", scale)
	least := "0." + strings.Repeat("0", scale-1) + "1"
	return []any{most, "-" + most, least, "-" + least, "0", "1"}
}

func anyInt(bits int) func(*rand.Rand) any {
	return func(dice *rand.Rand) any { return int64(dice.Uint64()) >> (64 - bits) }
}

// typeColumns are all types of columns, the two floats with every kind of
// number there is.
func typeColumns() []typeColumn {
	col := func(typ string, other func(*rand.Rand) any, edges ...any) typeColumn {
		return typeColumn{testenv.ColumnSpec{Name: strings.ToLower(typ), Type: typ}, edges, other}
	}
	decimal := func(precision, scale int) typeColumn {
		c := col("DECIMAL", anyDecimal(precision, scale), edgeDecimals(precision, scale)...)
		c.spec.Name = fmt.Sprintf("decimal%d", precision)
		c.spec.Precision, c.spec.Scale = precision, scale
		return c
	}
	varchar := col("VARCHAR", anyText, strangeTexts()...)
	varchar.spec.Length = 5000
	return []typeColumn{
		col("INT8", anyInt(8), math.MinInt8, math.MaxInt8, -1, 0),
		col("INT16", anyInt(16), math.MinInt16, math.MaxInt16, -1, 0),
		col("INT32", anyInt(32), math.MinInt32, math.MaxInt32, -1, 0),
		col("INT64", anyInt(64), int64(math.MinInt64), int64(math.MaxInt64), 1<<53+1, -(1<<53 + 1), -1, 0),
		col("STRING", anyText, strangeTexts()...),
		col("BINARY", anyBytes, []byte{}, []byte("\xff\xfe\xed\xa0\x80"), bytes.Repeat([]byte{0}, 5000), []byte("a"), []byte("ab"), []byte("abc")),
		varchar,
		col("BOOL", func(dice *rand.Rand) any { return dice.IntN(2) == 0 }, true, false),
		col("FLOAT", func(dice *rand.Rand) any { return math.Float32frombits(dice.Uint32()) },
			float32(math.Copysign(0, -1)), float32(0), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)),
			float32(math.SmallestNonzeroFloat32), float32(math.MaxFloat32), float32(0.1), float32(1<<24+1), float32(16777216.5), float32(1e-6), float32(1e21)),
		col("DOUBLE", func(dice *rand.Rand) any { return math.Float64frombits(dice.Uint64()) },
			math.Copysign(0, -1), 0.0, math.NaN(), math.Inf(1), math.Inf(-1),
			math.SmallestNonzeroFloat64, math.MaxFloat64, 0.1, float64(1<<53), 5e-324, 2.2250738585072014e-308, 1e21, 123456789.000001),
		col("UNIXTIME_MICROS", func(dice *rand.Rand) any { return firstMicros + dice.Int64N(lastMicros-firstMicros+1) },
			int64(firstMicros), int64(lastMicros), -1, 0, 1, -86400_000000, int64(math.MinInt64), int64(math.MaxInt64)),
		col("DATE", func(dice *rand.Rand) any {
			return time.UnixMicro(firstMicros + dice.Int64N(lastMicros-firstMicros+1)).UTC().Format(time.DateOnly)
		}, "0001-01-01", "9999-12-31", "1969-12-31", "1970-01-01", "2024-02-29", "1582-10-15", "1582-10-04"),
		decimal(9, 2), decimal(18, 18-1), decimal(38, 10),
	}
}

// createTypesTable makes a table of all types, each once with and once without
// nulls, and fills it with edge rows and random ones. It returns their number.
func createTypesTable(t *testing.T, s *stack, table string) int {
	t.Helper()
	types := typeColumns()
	spec := testenv.TableSpec{
		Name: table,
		Columns: []testenv.ColumnSpec{
			{Name: "k", Type: "BINARY", Key: true}, {Name: "id", Type: "INT64", Key: true},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 3}},
	}
	edges := 0
	for _, c := range types {
		edges = max(edges, len(c.edges))
		null := c.spec
		null.Name, null.Nullable = null.Name+"_null", true
		spec.Columns = append(spec.Columns, c.spec, null)
	}
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	const random = 300
	dice := newDice(t)
	keys := [][]byte{{}, {0}, {0, 0}, {0, 1}, {0xff, 0xfe}, {'a'}, {'a', 0}, {'a', 0, 'b'}, []byte("\xed\xa0\x80"), bytes.Repeat([]byte{0xff}, 500)}
	w := s.tool.NewWriter(table)
	for n := range 2*edges + random {
		row := testenv.Row{"k": keys[n%len(keys)], "id": int64(n - edges)}
		for _, c := range types {
			var value, null any
			switch {
			case n < edges: // edges in both
				value, null = c.edges[n%len(c.edges)], c.edges[(n+1)%len(c.edges)]
			case n < 2*edges: // edges, beside nulls
				value = c.edges[n%len(c.edges)]
			default:
				value = c.other(dice)
				if dice.IntN(3) > 0 {
					null = c.other(dice)
				}
			}
			row[c.spec.Name], row[c.spec.Name+"_null"] = value, null
		}
		w.Write("insert", row)
	}
	written, err := w.Flush(t.Context())
	if err != nil || len(written.Errors) > 0 {
		t.Fatalf("writing rows: %v, %+v", err, written.Errors)
	}
	return int(written.Rows)
}

// The table is read by its whole key, and by a prefix of it that many rows
// share.
func TestAllScalarTypesArriveWithTheirEdgeValues(t *testing.T) {
	s := newStack(t)
	whole, prefix := newJob(t, 2), newJob(t, 2)
	rows := createTypesTable(t, s, whole.table)
	prefix.table = whole.table
	prefix.connector["streaming.key"] = "k"
	for _, j := range []*job{whole, prefix} {
		const partitions = 7
		j.connector["topic.creation.default.partitions"] = fmt.Sprint(partitions)
		w := s.start(t, j, "worker")
		s.awaitRecords(t, j.topic, rows, patience)
		w.stop()
		records := s.verify(t, j, "k", "id")
		keys := []string{"k", "id"}
		if j == prefix {
			keys = keys[:1]
		}
		used := make(map[int32]bool)
		for _, r := range records {
			checkKey(t, r, keys)
			if want := int32(uint32(javaMurmur2(r.key))&0x7fffffff) % partitions; r.partition != want {
				t.Errorf("key %s is in partition %d, the Java client would choose %d", r.key, r.partition, want)
			}
			used[r.partition] = true
		}
		if len(used) < 4 {
			t.Errorf("only the partitions %v are used", slices.Sorted(maps.Keys(used)))
		}
	}
}

// checkKey requires that the record's key is the JSON object of exactly the key
// columns, in their order, as the value has them.
func checkKey(t *testing.T, r published, columns []string) {
	t.Helper()
	var cells map[string]json.RawMessage
	if err := json.Unmarshal(r.value, &cells); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i, c := range columns {
		want = append(want, "{,"[min(i, 1)])
		want = fmt.Appendf(want, "%q:%s", c, cells[c])
	}
	if want = append(want, '}'); !bytes.Equal(r.key, want) {
		t.Errorf("the key is %s, want %s", r.key, want)
	}
}

// javaMurmur2 is the hash by which Kafka's Java client chooses a partition
// (kafka-4.1.1 clients/src/main/java/org/apache/kafka/common/utils/Utils.java).
func javaMurmur2(key []byte) int32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	for i := len(key) - 1; i >= 0; i-- {
		h ^= uint32(key[i]) << (8 * i)
	}
	if len(key) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h)
}

// The vectors are those of Kafka's own tests.
func TestHashIsTheOneOfTheJavaClient(t *testing.T) {
	for text, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "abc": 479470107, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		if got := javaMurmur2([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// I5: a row that can't be JSON fails its task, which then stands before that
// row, and stays so; other tasks go on. When the row is mended, nothing is lost
// and nothing is there twice.
func TestTextThatIsNotUTF8FailsTheTaskBeforeItsRow(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	spec := testenv.TableSpec{
		Name:    j.table,
		Columns: []testenv.ColumnSpec{{Name: "id", Type: "INT64", Key: true}, {Name: "note", Type: "STRING", Nullable: true}},
		Range: &testenv.RangeSpec{Columns: []string{"id"}, Bounds: []testenv.BoundSpec{
			{Upper: testenv.Row{"id": 100}}, {Lower: testenv.Row{"id": 100}},
		}},
	}
	if err := s.tool.CreateTable(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	tablets, err := s.tool.Locate(t.Context(), j.table)
	if err != nil || len(tablets) != 2 {
		t.Fatalf("%d tablets, %v", len(tablets), err)
	}
	const bad = 40
	var rows []testenv.Row
	for id := range 200 {
		row := testenv.Row{"id": id, "note": fmt.Sprint("row ", id)}
		if id == bad {
			row["note"] = testenv.RawString("caf\xe9")
		}
		rows = append(rows, row)
	}
	if _, err := s.tool.Write(t.Context(), j.table, "insert", rows...); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "worker")
	w.awaitLine("task failed", patience)
	var complaint string
	if _, err := w.WaitLine(t.Context(), func(line string) bool {
		complaint = line
		return strings.Contains(line, "task failed")
	}); err != nil {
		t.Fatal(err)
	}
	for _, fact := range []string{`{"id":40}`, tablets[0].Tablet, "note", "not valid UTF-8"} {
		if !strings.Contains(strings.ReplaceAll(complaint, `\"`, `"`), fact) {
			t.Errorf("the task's failure doesn't name %s: %s", fact, complaint)
		}
	}
	// If a hash of the ranges gives both tablets to one task, only the rows
	// before the bad one are sure to come.
	s.awaitRecords(t, j.topic, bad, patience)
	w.stop()
	below := 0
	for _, r := range s.consume(t, j.topic) {
		var row struct{ ID int }
		if err := json.Unmarshal(r.value, &row); err != nil {
			t.Fatal(err)
		}
		if row.ID < 100 {
			below++
			if row.ID >= bad {
				t.Errorf("row %d is published, beyond the one that can't be", row.ID)
			}
		}
	}
	if below != bad {
		t.Errorf("%d rows of the failed tablet are published, want the %d before the bad one", below, bad)
	}

	if _, err := s.tool.Write(t.Context(), j.table, "update", testenv.Row{"id": bad, "note": "café"}); err != nil {
		t.Fatal(err)
	}
	w = s.start(t, j, "mended")
	s.awaitRecords(t, j.topic, len(rows), patience)
	w.stop()
	s.verify(t, j, "id")
}
