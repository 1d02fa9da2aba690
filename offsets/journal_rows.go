package offsets

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// JournalRows are the rows of a journal, packed: for each, in the order of their
// keys, how many bytes its key shares with that of the row before, how many follow
// (both as varints), these, and the digest. The zero value holds none.
type JournalRows struct {
	packed []byte
	last   []byte // key
	n      int
}

// Digest tells a row that was published from a changed one. It is only compared with
// that of the same row at another time: one change in 2^64 is taken for none, unless
// its writer makes it so on purpose, for the row that it may change anyway.
type Digest [8]byte

// Len is the number of rows.
func (r *JournalRows) Len() int { return r.n }

// Bytes is what the rows take.
func (r *JournalRows) Bytes() int { return len(r.packed) }

// Add appends a row. Its encoded primary key is greater than those before; one that
// isn't is a bug, and panics.
func (r *JournalRows) Add(key []byte, digest Digest) {
	shared, most := 0, min(len(key), len(r.last))
	for shared < most && key[shared] == r.last[shared] {
		shared++
	}
	// Greater: it goes on where the last one ends, or differs upwards.
	if r.n > 0 && (shared == len(key) || shared < most && key[shared] < r.last[shared]) {
		panic(fmt.Sprintf("a journal's row %x comes behind %x", key, r.last))
	}
	r.packed = binary.AppendUvarint(r.packed, uint64(shared))
	r.packed = binary.AppendUvarint(r.packed, uint64(len(key)-shared))
	r.packed = append(r.packed, key[shared:]...)
	r.packed = append(r.packed, digest[:]...)
	r.last = append(r.last[:shared], key[shared:]...)
	r.n++
}

// Reset takes the rows away, and keeps their memory for others.
func (r *JournalRows) Reset() { r.packed, r.last, r.n = r.packed[:0], r.last[:0], 0 }

// Clone copies the rows into memory of just their size.
func (r *JournalRows) Clone() JournalRows {
	return JournalRows{packed: append(make([]byte, 0, len(r.packed)), r.packed...), last: bytes.Clone(r.last), n: r.n}
}

// Each calls fn with the rows, until it fails. The key is its only until it returns.
func (r *JournalRows) Each(fn func(key []byte, digest Digest) error) error {
	return eachPacked(r.packed, r.n, len(Digest{}), fn)
}

// eachPacked does so for n rows with digests of so many bytes.
func eachPacked(packed []byte, n, digestBytes int, fn func(key []byte, digest Digest) error) error {
	var key []byte
	rest := packed
	for n := range n {
		shared, size := binary.Uvarint(rest)
		if size <= 0 || shared > uint64(len(key)) {
			return fmt.Errorf("the journal's row %d is damaged", n)
		}
		rest = rest[size:]
		length, size := binary.Uvarint(rest)
		if size <= 0 || length > uint64(len(rest)-size) || uint64(len(rest)-size)-length < uint64(digestBytes) {
			return fmt.Errorf("the journal's row %d is damaged", n)
		}
		rest = rest[size:]
		if n > 0 && bytes.Compare(rest[:length], key[shared:]) <= 0 {
			return fmt.Errorf("the journal's row %d is out of order", n)
		}
		key = append(key[:shared], rest[:length]...)
		digest := Digest(rest[length : length+uint64(len(Digest{}))])
		rest = rest[length+uint64(digestBytes):]
		if err := fn(key, digest); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes follow the journal's last row", len(rest))
	}
	return nil
}

// appendJSON appends the rows as text: base64 of the packed ones.
func (r *JournalRows) appendJSON(b []byte) []byte {
	b = append(slices.Grow(b, base64.RawStdEncoding.EncodedLen(len(r.packed))+3), '"')
	return append(base64.RawStdEncoding.AppendEncode(b, r.packed), '"')
}

// unpackRows reads so many rows.
func unpackRows(text json.RawMessage, count int) (JournalRows, error) {
	packed, err := packedOf(text, count)
	if err != nil {
		return JournalRows{}, err
	}
	r := JournalRows{packed: packed, n: count}
	err = r.Each(func(key []byte, _ Digest) error {
		r.last = append(r.last[:0], key...)
		return nil
	})
	return r, err
}

// digestBytesV3 is the size of digests in journals of version 3.
const digestBytesV3 = 16

// unpackRowsV3 reads so many rows of a journal of version 3.
func unpackRowsV3(text json.RawMessage, count int) (r JournalRows, err error) {
	packed, err := packedOf(text, count)
	if err != nil {
		return r, err
	}
	err = eachPacked(packed, count, digestBytesV3, func(key []byte, digest Digest) error {
		r.Add(key, digest)
		return nil
	})
	return r, err
}

func packedOf(text json.RawMessage, count int) ([]byte, error) {
	var encoded string
	if err := json.Unmarshal(text, &encoded); err != nil {
		return nil, errors.New("the journal's rows are no text")
	}
	packed, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("the journal's rows: %w", err)
	}
	if count < 0 || count > len(packed) {
		return nil, fmt.Errorf("the journal hasn't got %d rows", count)
	}
	return packed, nil
}
