package kudu

import "encoding/binary"

// murmur64 is MurmurHash2-64A, by which Kudu spreads rows over hash buckets
// (kudu-1.18.1 src/kudu/util/hash_util.h). The seed is 32 bits wide on the
// wire.
func murmur64(key []byte, seed uint32) uint64 {
	const (
		mul   = 0xc6a4a7935bd1e995
		shift = 47
	)
	h := uint64(seed) ^ uint64(len(key))*mul
	for ; len(key) >= 8; key = key[8:] {
		k := binary.LittleEndian.Uint64(key) * mul
		k = (k ^ k>>shift) * mul
		h = (h ^ k) * mul
	}
	if len(key) > 0 {
		var tail uint64
		for i := len(key) - 1; i >= 0; i-- {
			tail = tail<<8 | uint64(key[i])
		}
		h = (h ^ tail) * mul
	}
	h = (h ^ h>>shift) * mul
	return h ^ h>>shift
}

// bucketOf chooses the bucket of an encoded column group.
func bucketOf(group []byte, seed uint32, buckets int) int {
	return int(murmur64(group, seed) % uint64(buckets))
}
