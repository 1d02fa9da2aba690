package connector

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/offsets"
)

func TestKeysAreSorted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	made := map[string]func(n int) []byte{
		"numbers":       func(int) []byte { return fmt.Appendf(nil, "%016x", random.Uint64()) },
		"a long prefix": func(n int) []byte { return fmt.Appendf(nil, "one tenant, one queue, %d", n*7919%1000) },
		"few different": func(int) []byte { return []byte{byte(random.IntN(3))} },
		"one beside":    func(n int) []byte { return fmt.Appendf(nil, "%.*s%d", 20*min(n, 1), "all but one of the keys", -n) },
		"one goes on":   func(n int) []byte { return bytes.Repeat([]byte{0}, n*7919%50) },
		"empty":         func(int) []byte { return nil },
		"in order":      func(n int) []byte { return fmt.Appendf(nil, "%04d", n) },
	}
	for name, key := range made {
		for _, n := range []int{0, 1, 2, 3, 255, 256, 1000} {
			var l keyList
			var rows publishedRows
			l.add([]byte("of before"))
			rows.add([]byte("of before"), offsets.Digest{})
			l.reset()
			rows.reset()
			var want [][]byte
			for i := range n {
				l.add(key(i))
				want = append(want, bytes.Clone(l.key(i)))
				rows.add(want[i], offsets.Digest{byte(i), byte(i >> 8)})
			}
			inOrder := slices.IsSortedFunc(want, bytes.Compare)
			slices.SortFunc(want, bytes.Compare)
			places, were := l.inOrder(make([]uint64, 5))
			if were != inOrder {
				t.Errorf("%d keys, %s: were in order: %t, want %t", n, name, were, inOrder)
			}
			seen := make(map[uint64]bool)
			for i, place := range places {
				if seen[place] || !bytes.Equal(l.key(int(place)), want[i]) {
					t.Fatalf("%d keys, %s: the %d. is that of place %d, %q, want %q", n, name, i, place, l.key(int(place)), want[i])
				}
				seen[place] = true
			}
			if len(places) != n {
				t.Errorf("%d keys, %s: %d places", n, name, len(places))
			}
			clear(seen)
			for i, place := range rows.inOrder(places) {
				key, digest, _ := rows.row(int(place))
				of := int(digest[0]) + int(digest[1])<<8
				if seen[uint64(of)] || !bytes.Equal(key, want[i]) || !bytes.Equal(key, l.key(of)) {
					t.Fatalf("%d rows, %s: the %d. is row %d, %q, want %q", n, name, i, of, key, want[i])
				}
				seen[uint64(of)] = true
			}
			if len(seen) != n {
				t.Errorf("%d rows, %s: %d are sorted", n, name, len(seen))
			}
		}
	}
}

func TestJournalledRowsAreFoundByTheirKeys(t *testing.T) {
	var rows journalledRows
	for i := range 100 {
		rows.add(fmt.Appendf(nil, "%03d", 2*i), offsets.Digest{byte(i)})
	}
	for i := range 201 {
		place, found := rows.place(fmt.Appendf(nil, "%03d", i-1))
		if want := i%2 == 1 && i < 200; found != want {
			t.Errorf("key %d: found %t, want %t", i-1, found, want)
		}
		if found && (place != (i-1)/2 || rows.digests[place] != offsets.Digest{byte((i - 1) / 2)}) {
			t.Errorf("key %d is at %d", i-1, place)
		}
	}
}
