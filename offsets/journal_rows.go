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

// Digest tells a row that was published from a changed one.
type Digest [16]byte

// Len is the number of rows.
func (r *JournalRows) Len() int { return r.n }

// Bytes is what the rows take.
func (r *JournalRows) Bytes() int { return len(r.packed) }

// Add appends a row. Its encoded primary key is greater than those before; one that
// isn't is a bug, and panics.
func (r *JournalRows) Add(key string, digest Digest) {
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

// Grow makes room for so many bytes of rows.
func (r *JournalRows) Grow(bytes int) { r.packed = slices.Grow(r.packed, bytes) }

// Clip gives memory back that more rows would take.
func (r *JournalRows) Clip() {
	if n := len(r.packed); n < cap(r.packed)*7/8 {
		r.packed = append(make([]byte, 0, n), r.packed...)
	}
}

// Each calls fn with the rows, until it fails. The key is its only until it returns.
func (r *JournalRows) Each(fn func(key []byte, digest Digest) error) error {
	var key []byte
	rest := r.packed
	for n := range r.n {
		shared, size := binary.Uvarint(rest)
		if size <= 0 || shared > uint64(len(key)) {
			return fmt.Errorf("the journal's row %d is damaged", n)
		}
		rest = rest[size:]
		length, size := binary.Uvarint(rest)
		if size <= 0 || length > uint64(len(rest)-size) || uint64(len(rest)-size)-length < uint64(len(Digest{})) {
			return fmt.Errorf("the journal's row %d is damaged", n)
		}
		rest = rest[size:]
		if n > 0 && bytes.Compare(rest[:length], key[shared:]) <= 0 {
			return fmt.Errorf("the journal's row %d is out of order", n)
		}
		key = append(key[:shared], rest[:length]...)
		digest := Digest(rest[length : length+uint64(len(Digest{}))])
		rest = rest[length+uint64(len(digest)):]
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
	var encoded string
	if err := json.Unmarshal(text, &encoded); err != nil {
		return JournalRows{}, errors.New("the journal's rows are no text")
	}
	packed, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return JournalRows{}, fmt.Errorf("the journal's rows: %w", err)
	}
	if count < 0 || count > len(packed) {
		return JournalRows{}, fmt.Errorf("the journal hasn't got %d rows", count)
	}
	r := JournalRows{packed: packed, n: count}
	return r, r.Each(func(key []byte, _ Digest) error {
		r.last = append(r.last[:0], key...)
		return nil
	})
}
