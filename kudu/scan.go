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
	// Since makes it a diff scan, of the rows that operations in [Since,
	// Snapshot) have changed: each once, as it is at Snapshot, or marked by
	// RowBatch.Deleted. A row that was made and deleted in between is left out.
	// It implies Ordered; predicates may be on key columns only.
	Since Timestamp
	// Predicates are the conditions that a row has to meet, all of them.
	Predicates []Predicate
	// Replica says which replicas may be read. In the modes ReadAtSnapshot any
	// shows the same, so another one stands in when the chosen one fails.
	Replica ReplicaSelection
	// Server is the address of the only server to read, as Table.BarrierAt names
	// it; empty: Replica chooses. When that one fails, so does the scan, with an
	// error whose class isn't ClassFatal if another scan may do better.
	Server string
	// From and After are lower bounds, To is the upper one: encoded primary
	// keys with a value for every key column. From is inclusive, After and To
	// are exclusive. After needs Ordered. Nil is no bound; an empty key is one,
	// that of the empty string.
	From, After, To []byte
	// Limit is the most rows to return; zero is no limit.
	Limit uint64
	// BatchBytes is about how much one answer holds; the server stops at the
	// first block of 128 rows beyond it, and caps it at 8 MiB. Default 1 MiB.
	BatchBytes int
	// NoCache keeps the blocks that the scan reads out of the server's cache.
	NoCache bool
	// RowWise asks for the row-wise layout even where the server offers the
	// columnar one. The batches are the same, made at greater cost; it serves
	// tests.
	RowWise bool
}

// ReplicaSelection says which replicas a scan may read.
type ReplicaSelection int

const (
	// LeaderOnly reads the leader; when that fails in a snapshot scan, another.
	LeaderOnly ReplicaSelection = iota
	// ClosestReplica reads one on this machine, else one at this client's
	// location, as the cluster assigns it, else any.
	ClosestReplica
	// FollowersOnly reads replicas that were no leaders when the master was asked
	// last; of a tablet with a single replica, that one.
	FollowersOnly
)

const (
	defaultBatchBytes = 1 << 20
	maxBatchBytes     = 8 << 20

	orderUnordered = 1
	orderOrdered   = 2

	rowFormatColumnar = 2 // bit of row_format_flags

	// Features of a tablet server that a request names when it depends on them
	// (TabletServerFeatures in kudu-1.18.1 src/kudu/tserver/tserver.proto).
	featurePredicates = 1
	featureColumnar   = 5
)

// normalize fills in defaults and refuses what contradicts itself.
func (o ScanOptions) normalize() (ScanOptions, error) {
	o.Ordered = o.Ordered || o.Since != 0
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
	case o.Since != 0 && o.Snapshot != 0 && o.Since > o.Snapshot:
		return o, fmt.Errorf("a diff scan's start %s lies after its end %s", o.Since, o.Snapshot)
	case o.BatchBytes < 0:
		return o, fmt.Errorf("BatchBytes is negative")
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = defaultBatchBytes
	}
	o.BatchBytes = min(o.BatchBytes, maxBatchBytes)
	return o, nil
}

// projection is what a scan asks the server for. The columns that the reader
// sees come first.
type projection struct {
	shown, wire *Schema
	deleted     int // place of the is-deleted column, -1 without
}

// projection gives the schema that the scan's batches have.
func (o *ScanOptions) projection(s *Schema) (*Schema, error) {
	if o.Columns == nil {
		return NewSchema(s.cols)
	}
	return s.Project(o.Columns...)
}

// wireProjection adds the columns that are scanned beside those asked for.
func (o *ScanOptions) wireProjection(s *Schema, cs *conditions) (*projection, error) {
	p := &projection{deleted: -1}
	var err error
	if p.shown, err = o.projection(s); err != nil {
		return nil, err
	}
	cols := append([]Column(nil), p.shown.cols...)
	// A tablet server can crash when a scan's predicates and key bounds name
	// more columns than its projection (KUDU-3782, in releases up to 1.18.1).
	constrained := len(cs.byColumn)
	bounded := len(o.From) > 0 || o.After != nil || o.To != nil
	if bounded {
		constrained += s.keys
	}
	if constrained > len(cols) {
		for i := range s.cols {
			_, has := cs.byColumn[i]
			if (i < s.keys || has) && p.shown.Index(s.cols[i].Name) < 0 {
				cols = append(cols, s.cols[i])
			}
		}
	}
	if o.Since != 0 {
		name := "is_deleted"
		for s.Index(name) >= 0 {
			name += "_"
		}
		p.deleted = len(cols)
		cols = append(cols, Column{Name: name, Type: IsDeleted})
	}
	p.wire, err = NewSchema(cols)
	return p, err
}

// openRequest is the request that opens a scan, or opens it again after the
// last row seen; without predicates, in the columnar layout.
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
	if ts := resume.snapshot; ts != 0 && o.Mode == ReadAtSnapshot {
		req.SnapTimestamp = ptr(uint64(ts))
	}
	if o.Since != 0 {
		req.SnapStartTimestamp = ptr(uint64(o.Since))
	}
	if o.Limit > 0 {
		req.Limit = ptr(o.Limit - resume.rows)
	}
	// A server refuses both lower bounds at once, so the higher one is sent.
	after := o.behind(resume)
	if after != nil && bytes.Compare(after, o.From) >= 0 {
		req.LastPrimaryKey = after
	} else if len(o.From) > 0 {
		req.StartPrimaryKey = o.From
	}
	return req
}

// behind is the primary key that the scan goes on after, nil at its start.
func (o *ScanOptions) behind(resume resumePoint) []byte {
	if resume.lastKey != nil {
		return resume.lastKey
	}
	return o.After
}

// exhausted reports that there can't be more rows, so that the server need not
// be asked: it would refuse. Behind the greatest primary key there is none, and
// it can't be stepped over (EncodedKey::IncrementEncodedKey in kudu-1.18.1
// src/kudu/common/encoded_key.cc); a limit of no rows isn't taken for one.
func (o *ScanOptions) exhausted(s *Schema, resume resumePoint) bool {
	if o.Limit > 0 && resume.rows >= o.Limit {
		return true
	}
	after := o.behind(resume)
	for i := range s.NumKeys() {
		if s.cols[i].Type.VarLen() {
			return false // a longer value is always greater
		}
	}
	return len(after) > 0 && bytes.Count(after, []byte{0xff}) == len(after)
}

// resumePoint is where a broken scan goes on.
type resumePoint struct {
	snapshot Timestamp // that the rows so far were read at
	lastKey  []byte    // encoded primary key of the last row received
	rows     uint64    // received so far
}
