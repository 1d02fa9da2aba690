package connector

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// The keys of rows are kept one behind the other: there may be hundreds of
// thousands, and the collector is to find no pointer for each.

// keyList are encoded keys. The zero value has none.
type keyList struct {
	bytes  []byte
	ends   []int
	shared int // bytes that all keys begin with
}

func (l *keyList) len() int { return len(l.ends) }

func (l *keyList) key(i int) []byte {
	if i == 0 {
		return l.bytes[:l.ends[0]]
	}
	return l.bytes[l.ends[i-1]:l.ends[i]]
}

func (l *keyList) add(key []byte) {
	if len(l.ends) == 0 {
		l.shared = len(key)
	} else {
		l.shared = sharedBytes(l.bytes[:l.shared], key)
	}
	l.bytes = append(doubled(l.bytes, len(key)), key...)
	l.ends = append(doubled(l.ends, 1), len(l.bytes))
}

func (l *keyList) reset() { l.bytes, l.ends = l.bytes[:0], l.ends[:0] }

// inOrder gives the places of the keys in the order of these, and whether they
// were in it already. It takes the memory of places.
func (l *keyList) inOrder(places []uint64) (_ []uint64, were bool) {
	low := bits.Len(uint(l.len()))
	places = slices.Grow(places[:0], l.len())
	for i := range l.len() {
		places = append(places, extsort.Prefix(l.key(i)[l.shared:])>>low<<low|uint64(i))
	}
	were = sortByKeys(places, low, func(place int) []byte { return l.key(place) })
	return places, were
}

// journalledRows are the rows of a journal, in the order of their keys: with what
// tells whether they have been changed since they were published.
type journalledRows struct {
	keyList
	digests []offsets.Digest
}

func (r *journalledRows) add(key []byte, digest offsets.Digest) {
	r.keyList.add(key)
	r.digests = append(r.digests, digest)
}

// place finds a row by its key.
func (r *journalledRows) place(key []byte) (int, bool) {
	low, high := 0, r.len()
	for low < high {
		mid := int(uint(low+high) / 2)
		switch c := bytes.Compare(r.key(mid), key); {
		case c == 0:
			return mid, true
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// publishedRows are rows that have no journal yet, in any order: of each the length
// of its key, the key, and the digest. So what belongs together is in one place, and
// is found there when all are taken in the order of their keys. The zero value has
// none.
type publishedRows struct {
	bytes  []byte
	n      int
	shared int // bytes that all keys begin with
}

func (r *publishedRows) add(key []byte, digest offsets.Digest) {
	if r.n == 0 {
		r.shared = len(key)
	} else {
		first, _, _ := r.row(0)
		r.shared = sharedBytes(first[:r.shared], key)
	}
	r.bytes = doubled(r.bytes, binary.MaxVarintLen64+len(key)+len(digest))
	r.bytes = binary.AppendUvarint(r.bytes, uint64(len(key)))
	r.bytes = append(r.bytes, key...)
	r.bytes = append(r.bytes, digest[:]...)
	r.n++
}

// row gives the row at a place, and the place of the one behind it.
func (r *publishedRows) row(place int) (key []byte, digest offsets.Digest, next int) {
	n, size := binary.Uvarint(r.bytes[place:])
	from := place + size
	to := from + int(n)
	next = to + len(digest)
	return r.bytes[from:to], offsets.Digest(r.bytes[to:next]), next
}

func (r *publishedRows) reset() { r.bytes, r.n = r.bytes[:0], 0 }

// inOrder gives the places of the rows in the order of their keys. It takes the
// memory of places.
func (r *publishedRows) inOrder(places []uint64) []uint64 {
	low := bits.Len(uint(len(r.bytes)))
	places = slices.Grow(places[:0], r.n)
	for at := 0; at < len(r.bytes); {
		key, _, next := r.row(at)
		places = append(places, extsort.Prefix(key[r.shared:])>>low<<low|uint64(at))
		at = next
	}
	sortByKeys(places, low, func(place int) []byte {
		key, _, _ := r.row(place)
		return key
	})
	return places
}

// sortByKeys sorts places, and reports whether they were in order. They come with the
// beginnings of their keys, in all but the low bits, which these leave: numbers are
// sorted quickly. Only where those are alike it takes a look at the keys.
func sortByKeys(places []uint64, low int, key func(place int) []byte) (were bool) {
	if were = slices.IsSorted(places); !were {
		slices.Sort(places)
	}
	place := uint64(1)<<low - 1
	compare := func(a, b uint64) int { return bytes.Compare(key(int(a&place)), key(int(b&place))) }
	for from := 0; from < len(places); {
		to := from + 1
		for to < len(places) && places[to]>>low == places[from]>>low {
			to++
		}
		if alike := places[from:to]; !slices.IsSortedFunc(alike, compare) {
			were = false
			slices.SortFunc(alike, compare)
		}
		from = to
	}
	for i := range places {
		places[i] &= place
	}
	return were
}

// sharedBytes is how many bytes of first a key begins with.
func sharedBytes(first, key []byte) int {
	for i := range min(len(first), len(key)) {
		if key[i] != first[i] {
			return i
		}
	}
	return min(len(first), len(key))
}

// doubled makes room for n more, in twice the memory if there is none. What is long
// grows by a quarter otherwise, and is copied and thrown away three times as often.
func doubled[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return slices.Grow(s, max(n, len(s)))
}
