package connector

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// digester tells a row that was published from one that was changed since. Its
// digests are stored: what goes into them may only change with the version of
// the journal, or the name of the hash in it.
type digester struct {
	columns []string
	hash    string
	places  []int
	buf     []byte
}

// formerDigestBytes is the size of digests in former journals.
const formerDigestBytes = 16

// parseDigest reads the text that a digest was stored as in former journals.
func parseDigest(text string) (d offsets.Digest, err error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b) != formerDigestBytes {
		return d, fmt.Errorf("%q is no digest of a row", text)
	}
	return offsets.Digest(b[:len(d)]), nil
}

// digestColumns are the columns that digests are made of: all of the table that
// the client can read.
func digestColumns(schema *kudu.Schema) []string {
	var all []string
	for _, c := range schema.Columns() {
		if c.Type.Known() {
			all = append(all, c.Name)
		}
	}
	return all
}

// newDigester makes digests of rows of the projection with the hash.
func newDigester(hash string, columns []string, projection *kudu.Schema) (*digester, error) {
	d := &digester{columns: columns, hash: hash}
	for _, name := range columns {
		i := projection.Index(name)
		if i < 0 {
			return nil, fmt.Errorf("making a digest: the projection has no column %q", name)
		}
		d.places = append(d.places, i)
	}
	return d, nil
}

// of gives the digest of a row: 64 bits of the hash of its cells.
func (d *digester) of(rows *kudu.RowBatch, row int) offsets.Digest {
	b := d.buf[:0]
	for _, place := range d.places {
		v := rows.Column(place)
		if v.IsNull(row) {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		switch v.Type() {
		case kudu.String, kudu.Varchar, kudu.Binary:
			cell := v.Bytes(row)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(cell)))
			b = append(b, cell...)
		case kudu.Bool:
			if v.Bool(row) {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case kudu.Float:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v.Float32(row)))
		case kudu.Double:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float64(row)))
		case kudu.Decimal32, kudu.Decimal64, kudu.Decimal128:
			n := v.Unscaled(row)
			b = binary.LittleEndian.AppendUint64(b, uint64(n.Hi))
			b = binary.LittleEndian.AppendUint64(b, n.Lo)
		default:
			b = binary.LittleEndian.AppendUint64(b, uint64(v.Int(row)))
		}
	}
	d.buf = b
	var digest offsets.Digest
	if d.hash == offsets.HashSHA256 {
		sum := sha256.Sum256(b)
		copy(digest[:], sum[:])
	} else {
		binary.LittleEndian.PutUint64(digest[:], xxhash.Sum64(b))
	}
	return digest
}
