package krpc

import (
	"fmt"
	"sync/atomic"
)

// Payload is what came with a response beside its message: the sidecars. They
// are views into one pooled buffer and valid until Release. The methods may be
// called on a nil Payload, which has no sidecars.
type Payload struct {
	buf     atomic.Pointer[buffer] // nil after Release
	body    []byte
	offsets []uint32
}

// noSidecars is what calls without sidecars share; its Release does nothing.
var noSidecars = new(Payload)

// NumSidecars returns the number of sidecars.
func (p *Payload) NumSidecars() int {
	if p == nil {
		return 0
	}
	return len(p.offsets)
}

// Sidecar returns sidecar i, which may have zero length. It fails when i is
// out of range (the index usually came from the server too), and after
// Release.
func (p *Payload) Sidecar(i int) ([]byte, error) {
	if i < 0 || i >= p.NumSidecars() {
		return nil, malformed("sidecar %d of %d", i, p.NumSidecars())
	}
	if p.buf.Load() == nil {
		return nil, fmt.Errorf("reading sidecar %d: payload was released", i)
	}
	start, end := p.offsets[i], uint32(len(p.body))
	if i+1 < len(p.offsets) {
		end = p.offsets[i+1]
	}
	return p.body[start:end:end], nil
}

// Release gives the buffer back; sidecars must not be used from then on.
// Further calls do nothing.
func (p *Payload) Release() {
	if p != nil {
		p.buf.Swap(nil).release()
	}
}
