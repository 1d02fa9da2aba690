package kudu

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// fuzzProjection makes a projection of at most eight columns: the low bits of a
// byte choose the type, the top bit makes it nullable.
func fuzzProjection(types []byte) *Schema {
	all := everyColumn()
	var cols []Column
	for i, b := range types[:min(len(types), 8)] {
		c := all[int(b&0x7f)%len(all)]
		c.Name = fmt.Sprint("c", i)
		c.Nullable = b&0x80 != 0
		cols = append(cols, c)
	}
	s, err := NewSchema(cols)
	if err != nil {
		panic(err)
	}
	return s
}

// cutRuns cuts body into sidecars of the given lengths, two bytes each; what is
// left is the last one.
func cutRuns(body, lengths []byte) byteRuns {
	runs := byteRuns{}
	for len(lengths) > 1 {
		n := min(int(lengths[0])|int(lengths[1])<<8, len(body))
		runs = append(runs, body[:n:n])
		body, lengths = body[n:], lengths[2:]
	}
	return append(runs, body[:len(body):len(body)])
}

// FuzzDecodeColumnar feeds answers that a broken or hostile server could send:
// each is refused, or all its cells can be read. It fails by a panic.
func FuzzDecodeColumnar(f *testing.F) {
	for _, types := range [][]byte{{7, 0x88}, {byte(Int128Type), 0x80 | byte(Bool), byte(Varchar)}, {0x80 | byte(Decimal128)}, {}} {
		proj := fuzzProjection(types)
		for _, rows := range []int{0, 1, 9} {
			bb := NewBatchBuilder(proj)
			for n := range rows {
				row := make([]any, proj.NumColumns())
				for i := range row {
					c := proj.Column(i)
					if c.Type == Int128Type {
						row[i] = Int128FromInt64(int64(n))
					} else {
						row[i] = benchCell(c, n)
					}
				}
				if err := bb.Append(row...); err != nil {
					f.Fatal(err)
				}
			}
			block, runs := columnarOf(bb.Build())
			raw, err := proto.Marshal(block)
			if err != nil {
				f.Fatal(err)
			}
			var body, lengths []byte
			for _, r := range runs {
				body = append(body, r...)
				lengths = append(lengths, byte(len(r)), byte(len(r)>>8))
			}
			f.Add(types, raw, body, lengths)
		}
	}
	f.Fuzz(func(t *testing.T, types, raw, body, lengths []byte) {
		proj := fuzzProjection(types)
		block := &pb.ColumnarRowBlockPB{}
		if proto.Unmarshal(raw, block) != nil {
			return
		}
		var b RowBatch
		if err := decodeColumnar(&b, proj, block, cutRuns(body, lengths)); err != nil {
			if b.NumRows() != 0 {
				t.Fatalf("a refused answer shows %d rows", b.NumRows())
			}
			return
		}
		if proj.NumColumns() == 0 {
			return // rows without cells are only counted
		}
		var places []int
		for i := range proj.NumColumns() {
			if !proj.Column(i).Nullable && proj.Column(i).Type.Key() {
				places = append(places, i)
			}
		}
		var key []byte
		for row := range b.NumRows() {
			for i := range proj.NumColumns() {
				v := b.Column(i)
				_ = v.Value(row)
				// Encoders read cells without looking at the bitmap first.
				if v.Type().VarLen() {
					_ = v.Bytes(row)
				}
			}
			key = AppendKey(key[:0], &b, places, row)
		}
	})
}
