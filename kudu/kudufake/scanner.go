package kudufake

import (
	"bytes"
	"slices"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// scanner is an open scan of one tablet. It keeps what it saw when it was
// opened: rows, schema and view, whatever becomes of the tablet.
type scanner struct {
	id      string
	tablet  *tablet
	schema  *schema
	user    string
	seq     uint32 // of the next call
	lastUse time.Time

	proj          []*column // as the client sent them
	places        []int     // of proj in schema; -1 for a virtual column
	projectedKeys int
	flags         uint64
	ordered       bool
	preds         []*predicate
	lower, upper  []byte // encoded keys; nil: open
	limit         *uint64
	returned      uint64

	view view
	diff bool
	from uint64

	rows []*row
	next int
}

// bounds reads the primary keys of the request (DecodeEncodedKeyRange).
func (sc *scanner) bounds(open *pb.NewScanRequestPB) *failure {
	cols := sc.schema.keyColumns()
	decode := func(key []byte, what string) ([][]byte, []byte, *failure) {
		if key == nil {
			return nil, nil, nil
		}
		cells, f := decodeGroup(cols, key)
		if f != nil {
			f.text = what + ": " + f.text
			return nil, nil, f
		}
		return cells, append([]byte{}, encodeGroup(cols, cells)...), nil // not nil: the empty string is a key
	}
	var f *failure
	if _, sc.lower, f = decode(open.StartPrimaryKey, "Invalid scan start key"); f != nil {
		return f
	}
	if _, sc.upper, f = decode(open.StopPrimaryKey, "Invalid scan stop key"); f != nil {
		return f
	}
	if !sc.ordered || open.LastPrimaryKey == nil {
		return nil
	}
	if sc.lower != nil {
		return badArgument("Cannot specify both a start key and a last key")
	}
	cells, _, f := decode(open.LastPrimaryKey, "Failed to decode last primary key")
	if f != nil {
		return f
	}
	if !incrementCells(cols, cells) {
		return appFailure(0, stIllegalState, "Failed to increment encoded last row key: No lexicographically greater key exists")
	}
	sc.lower = encodeGroup(cols, cells)
	return nil
}

// contradictory scans end at once, before anything else is looked at.
func (sc *scanner) contradictory() bool {
	if sc.limit != nil && *sc.limit == 0 {
		return true
	}
	if sc.lower != nil && sc.upper != nil && bytes.Compare(sc.lower, sc.upper) >= 0 {
		return true
	}
	return slices.ContainsFunc(sc.preds, func(p *predicate) bool { return p.none })
}

// resolve finds the projected columns in the table (VerifyProjectionCompatibility).
func (sc *scanner) resolve() *failure {
	var missing []string
	for _, col := range sc.proj {
		at := sc.schema.index(col.name)
		switch {
		case col.typ == kudu.IsDeleted && at >= 0:
			return badArgument("virtual column %s exists in the table", col.name).withCode(tsInvalidSchema)
		case col.typ == kudu.IsDeleted:
			at = -1
		case at < 0:
			missing = append(missing, col.name)
		case !col.sameType(sc.schema.cols[at]):
			return badArgument("The column '%s' must have type %s found %s", col.name, sc.schema.cols[at].typeString(), col.typeString())
		}
		sc.places = append(sc.places, at)
	}
	if missing != nil {
		return badArgument("Some columns are not present in the current schema: %v", missing)
	}
	return nil
}

func (sc *scanner) projectsIsDeleted() bool {
	return slices.ContainsFunc(sc.proj, func(c *column) bool { return c.typ == kudu.IsDeleted })
}

// start takes the rows within the bounds.
func (sc *scanner) start(t *tablet) {
	sc.rows = t.rows.order()
	if sc.upper != nil {
		sc.rows = sc.rows[:seek(sc.rows, sc.upper)]
	}
	if sc.lower != nil {
		sc.rows = sc.rows[seek(sc.rows, sc.lower):]
	}
}

// look gives what the scan shows of a row: nil if nothing.
func (sc *scanner) look(r *row) (cells []cell, deleted bool) {
	if sc.diff {
		how, cells := r.between(sc.from, sc.view)
		if how == unchanged {
			return nil, false
		}
		deleted = how == changedDeleted
		return sc.filter(cells), deleted
	}
	v := r.at(sc.view)
	if v == nil || v.deleted {
		return nil, false
	}
	return sc.filter(v.cells), false
}

// filter applies the predicates; those of a deleted row see its junk.
func (sc *scanner) filter(cells []cell) []cell {
	for _, p := range sc.preds {
		if !p.matches(valueOf(cells, p.col)) {
			return nil
		}
	}
	return cells
}

func (sc *scanner) fulfilled() bool { return sc.limit != nil && sc.returned >= *sc.limit }

// hasNext tells whether there may be more: an ordered scan has merged ahead
// and knows of a row, an unordered one knows only of rows to look at.
func (sc *scanner) hasNext() bool {
	if sc.fulfilled() {
		return false
	}
	if sc.ordered {
		for ; sc.next < len(sc.rows); sc.next++ {
			if cells, _ := sc.look(sc.rows[sc.next]); cells != nil {
				break
			}
		}
	}
	return sc.next < len(sc.rows)
}

// block reads up to 128 rows: an ordered scan that many to show, an unordered
// one that many to look at.
func (sc *scanner) block(out *rowBlock) {
	out.blocks++
	for looked := 0; looked < blockRows && sc.next < len(sc.rows) && !sc.fulfilled(); {
		r := sc.rows[sc.next]
		sc.next++
		cells, deleted := sc.look(r)
		if cells != nil {
			out.add(cells, deleted)
			out.last = r.key
			sc.returned++
		}
		if cells != nil || !sc.ordered {
			looked++
		}
	}
}

// scanner finds an open scanner of the caller's (scanners.cc, LookupScanner).
func (s *Server) scanner(call *Call, id []byte) (*scanner, *failure) {
	sc := s.scanners[string(id)]
	if sc != nil && s.c.wall.time().Sub(sc.lastUse) > s.c.opts.ScannerTTL {
		delete(s.scanners, string(id))
		sc = nil
	}
	if sc == nil {
		return nil, appFailure(tsScannerExpired, stNotFound, "Scanner %s not found (it may have expired)", id)
	}
	if sc.user != call.User {
		return nil, rpcFailure(pb.ErrorStatusPB_FATAL_UNAUTHORIZED, "Not authorized: User %s doesn't own scanner %s", call.User, id)
	}
	return sc, nil
}

// continueScan reads the next batch (HandleContinueScanRequest).
func (s *Server) continueScan(call *Call, req *pb.ScanRequestPB, id []byte, resp *pb.ScanResponsePB) (*rowBlock, *failure) {
	batch := batchBytes(req)
	closing := batch == 0 && req.GetCloseScanner()
	sc, f := s.scanner(call, id)
	if f != nil {
		if closing && f.status == stNotFound {
			resp.HasMoreResults = new(false)
			return nil, nil
		}
		return nil, f
	}
	if closing {
		delete(s.scanners, sc.id)
		resp.HasMoreResults = new(false)
		return nil, nil
	}
	if req.GetCallSeqId() != sc.seq {
		delete(s.scanners, sc.id)
		return nil, appFailure(tsInvalidScanSeqID, stInvalidArgument, "Invalid call sequence ID in scan request")
	}
	sc.seq++
	sc.lastUse = s.c.wall.time()
	out := newRowBlock(sc)
	for sc.hasNext() {
		sc.block(out)
		if out.size() >= batch {
			break
		}
	}
	more := !req.GetCloseScanner() && sc.hasNext()
	if !more {
		delete(s.scanners, sc.id)
	}
	resp.HasMoreResults = &more
	return out, nil
}
