package krpc

import (
	"math/bits"
	"sync"
)

// Buffers come in size classes of two steps per doubling (4 KiB, 6 KiB, 8 KiB,
// 12 KiB, ... 64 MiB), so that at most half of one is unused. Larger ones are
// rare enough to be left to the garbage collector.
const (
	minClassShift = 12 // 4 KiB
	maxClassShift = 26 // 64 MiB
	numClasses    = (maxClassShift-minClassShift)*2 + 1
	unpooled      = -1
)

var bufferPools [numClasses]sync.Pool

// buffer is a piece of memory with one owner, who calls release once.
type buffer struct {
	b     []byte
	class int
}

// classOf returns the smallest class that holds n bytes, or unpooled.
func classOf(n int) int {
	if n <= 1<<minClassShift {
		return 0
	}
	if n > 1<<maxClassShift {
		return unpooled
	}
	shift := bits.Len(uint(n-1)) - 1 // 2^shift < n <= 2^(shift+1)
	class := (shift - minClassShift) * 2
	if n <= 3<<(shift-1) {
		return class + 1
	}
	return class + 2
}

// classBytes is the capacity of a buffer of the class.
func classBytes(class int) int {
	size := 1 << (minClassShift + class/2)
	if class%2 == 1 {
		size += size / 2
	}
	return size
}

// getBuffer returns a buffer with len(b) == n. Its contents are arbitrary.
func getBuffer(n int) *buffer {
	class := classOf(n)
	if class == unpooled {
		return &buffer{b: make([]byte, n), class: unpooled}
	}
	if buf, ok := bufferPools[class].Get().(*buffer); ok {
		buf.b = buf.b[:n]
		return buf
	}
	return &buffer{b: make([]byte, n, classBytes(class)), class: class}
}

// release gives the memory back. A nil receiver is fine.
func (b *buffer) release() {
	if b == nil || b.class == unpooled {
		return
	}
	bufferPools[b.class].Put(b)
}
