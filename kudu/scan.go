package kudu

import (
	"bytes"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// ReadMode says which state of the rows a scan shows.
type ReadMode int32

const (
	// ReadLatest shows what the replica has applied; not repeatable.
	ReadLatest ReadMode = 1
	// ReadAtSnapshot shows the rows as of one timestamp.
	ReadAtSnapshot ReadMode = 2
	// ReadYourWrites shows at least what this client has written and read.
	ReadYourWrites ReadMode = 3
)

// ScanOptions says what a scan of one tablet reads. The zero value reads all
// columns of all rows, in no order, as they are now.
type ScanOptions struct {
	// Columns is the projection, in the order of the result; nil is all
	// columns of the table.
	Columns []string
	// Ordered gives the rows in primary key order and makes the scan
	// fault-tolerant: it goes on at another replica after the last row. It
	// implies ReadAtSnapshot.
	Ordered bool
	// Mode defaults to ReadLatest, or to ReadAtSnapshot when Ordered or with a
	// Snapshot.
	Mode ReadMode
	// Snapshot is the timestamp to read at: operations strictly below it are
	// visible. Zero lets the server choose its present; Scanner.Snapshot tells.
	Snapshot Timestamp
	// From and After are lower bounds, To is the upper one: encoded primary
	// keys with a value for every key column. From is inclusive, After and To
	// are exclusive. After needs Ordered.
	From, After, To []byte
	// Limit is the most rows to return; zero is no limit.
	Limit uint64
	// BatchBytes is about how much one answer holds; the server stops at the
	// first block of 128 rows beyond it, and caps it at 8 MiB. Default 1 MiB.
	BatchBytes int
	// NoCache keeps the blocks that the scan reads out of the server's cache.
	NoCache bool
}

const (
	defaultBatchBytes = 1 << 20
	maxBatchBytes     = 8 << 20

	orderUnordered = 1
	orderOrdered   = 2

	rowFormatColumnar = 2 // bit of row_format_flags

	// Features of a tablet server that a request names when it depends on them
	// (TabletServerFeatures in kudu-1.18.1 src/kudu/tserver/tserver.proto).
	featureColumnar = 5
)

// normalize fills in defaults and refuses what contradicts itself.
func (o ScanOptions) normalize() (ScanOptions, error) {
	if o.Mode == 0 {
		o.Mode = ReadLatest
		if o.Ordered || o.Snapshot != 0 {
			o.Mode = ReadAtSnapshot
		}
	}
	switch {
	case o.Ordered && o.Mode != ReadAtSnapshot:
		return o, fmt.Errorf("an ordered scan must read at a snapshot")
	case o.Snapshot != 0 && o.Mode != ReadAtSnapshot:
		return o, fmt.Errorf("a snapshot timestamp needs the mode ReadAtSnapshot")
	case o.After != nil && !o.Ordered:
		return o, fmt.Errorf("the bound After needs an ordered scan")
	case o.BatchBytes < 0:
		return o, fmt.Errorf("BatchBytes is negative")
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = defaultBatchBytes
	}
	o.BatchBytes = min(o.BatchBytes, maxBatchBytes)
	return o, nil
}

// projection gives the schema that the scan's batches have.
func (o *ScanOptions) projection(s *Schema) (*Schema, error) {
	if o.Columns == nil {
		return NewSchema(s.cols)
	}
	return s.Project(o.Columns...)
}

// openRequest is the request that opens a scan, or opens it again after the
// last row seen.
func (o *ScanOptions) openRequest(tablet string, proj *Schema, resume resumePoint) *pb.NewScanRequestPB {
	req := &pb.NewScanRequestPB{
		TabletId:       []byte(tablet),
		ReadMode:       ptr(int32(o.Mode)),
		OrderMode:      ptr(int32(orderUnordered)),
		CacheBlocks:    ptr(!o.NoCache),
		RowFormatFlags: ptr(uint64(rowFormatColumnar)),
		StopPrimaryKey: o.To,
	}
	for i := range proj.cols {
		req.ProjectedColumns = append(req.ProjectedColumns, proj.cols[i].projectionPB())
	}
	if o.Ordered {
		req.OrderMode = ptr(int32(orderOrdered))
	}
	if ts := resume.snapshot; ts != 0 {
		req.SnapTimestamp = ptr(uint64(ts))
	}
	if o.Limit > 0 {
		req.Limit = ptr(o.Limit - resume.rows)
	}
	// A server refuses both lower bounds at once, so the higher one is sent.
	after := o.After
	if resume.lastKey != nil {
		after = resume.lastKey
	}
	if after != nil && bytes.Compare(after, o.From) >= 0 {
		req.LastPrimaryKey = after
	} else if len(o.From) > 0 {
		req.StartPrimaryKey = o.From
	}
	return req
}

// resumePoint is where a broken scan goes on.
type resumePoint struct {
	snapshot Timestamp // that the rows so far were read at
	lastKey  []byte    // encoded primary key of the last row received
	rows     uint64    // received so far
}
