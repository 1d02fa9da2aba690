package kudu

import (
	"fmt"
	"time"
)

// Timestamp is Kudu's hybrid time: microseconds since the Unix epoch in the
// upper 52 bits, a logical counter in the lower 12. Timestamps come from
// servers; never make one from this machine's clock and send it.
//
// A snapshot at timestamp T shows the operations strictly below T.
type Timestamp uint64

const logicalBits = 12

// Time is the physical part.
func (t Timestamp) Time() time.Time { return time.UnixMicro(int64(t >> logicalBits)).UTC() }

// Add moves the physical part. Use it to read in the past of what a server has
// told, never to make a later time.
func (t Timestamp) Add(d time.Duration) Timestamp {
	return Timestamp(int64(t) + d.Microseconds()<<logicalBits)
}

// Logical is the counter that orders operations of one microsecond, 0..4095.
func (t Timestamp) Logical() int { return int(t & (1<<logicalBits - 1)) }

func (t Timestamp) String() string {
	return fmt.Sprintf("%s+%d", t.Time().Format("2006-01-02T15:04:05.000000Z"), t.Logical())
}
