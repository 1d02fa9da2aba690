package kudutest

import (
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Modes and orders, as in kudu-1.18.1 src/kudu/common/common.proto.
const (
	readLatest     = 1
	readAtSnapshot = 2
	readYourWrites = 3
	unordered      = 1
	ordered        = 2
	columnar       = 2
	padUnixtime    = 1
)

// open sends a new scan of the table's first tablet: all columns, row-wise,
// unordered, latest, unless tweak says otherwise.
func (t *tableHandle) open(tweak func(*pb.ScanRequestPB, *pb.NewScanRequestPB)) (*batch, error) {
	t.s.Helper()
	return t.openAt(0, tweak)
}

func (t *tableHandle) openAt(tablet int, tweak func(*pb.ScanRequestPB, *pb.NewScanRequestPB)) (*batch, error) {
	t.s.Helper()
	n := &pb.NewScanRequestPB{TabletId: t.tablets[tablet].id, ProjectedColumns: t.all(), AuthzToken: t.token}
	req := &pb.ScanRequestPB{NewScanRequest: n, CallSeqId: new(uint32(0))}
	if tweak != nil {
		tweak(req, n)
	}
	return t.send(tablet, req, n.ProjectedColumns, n.GetRowFormatFlags())
}

func (t *tableHandle) send(tablet int, req *pb.ScanRequestPB, proj []*pb.ColumnSchemaPB, flags uint64) (*batch, error) {
	t.s.Helper()
	resp := &pb.ScanResponsePB{}
	r, err := t.s.call(t.tablets[tablet].addr, krpc.TabletServerService, "Scan", req, resp, nil)
	if err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return &batch{resp: resp}, nil
	}
	return t.s.decodeBatch(resp, r, proj, flags), nil
}

// must is open for scans that have to be answered, even if with a refusal.
func (t *tableHandle) must(tweak func(*pb.ScanRequestPB, *pb.NewScanRequestPB)) *batch {
	t.s.Helper()
	b, err := t.open(tweak)
	if err != nil {
		t.s.Fatalf("scan: %v", err)
	}
	return b
}

// rows opens a scan of one tablet and reads it to the end.
func (t *tableHandle) rows(tweak func(*pb.ScanRequestPB, *pb.NewScanRequestPB)) []string {
	t.s.Helper()
	return t.rowsAt(0, tweak)
}

func (t *tableHandle) rowsAt(tablet int, tweak func(*pb.ScanRequestPB, *pb.NewScanRequestPB)) []string {
	t.s.Helper()
	var proj []*pb.ColumnSchemaPB
	var flags uint64
	b, err := t.openAt(tablet, func(r *pb.ScanRequestPB, n *pb.NewScanRequestPB) {
		if tweak != nil {
			tweak(r, n)
		}
		proj, flags = n.ProjectedColumns, n.GetRowFormatFlags()
	})
	if err != nil {
		t.s.Fatalf("scan: %v", err)
	}
	if b.resp.Error != nil {
		t.s.Fatalf("scan: %v", b.resp.Error)
	}
	rows := b.rows
	id := b.resp.GetScannerId()
	for seq := uint32(1); b.resp.GetHasMoreResults(); seq++ {
		if b, err = t.send(tablet, &pb.ScanRequestPB{ScannerId: id, CallSeqId: &seq}, proj, flags); err != nil {
			t.s.Fatalf("continuing: %v", err)
		}
		if b.resp.Error != nil {
			t.s.Fatalf("continuing: %v", b.resp.Error)
		}
		rows = append(rows, b.rows...)
	}
	return rows
}

// next asks an open scanner for more.
func (t *tableHandle) next(id []byte, seq uint32, batchBytes uint32, proj []*pb.ColumnSchemaPB) *batch {
	t.s.Helper()
	b, err := t.send(0, &pb.ScanRequestPB{ScannerId: id, CallSeqId: &seq, BatchSizeBytes: &batchBytes}, proj, 0)
	if err != nil {
		t.s.Fatalf("continuing: %v", err)
	}
	return b
}

// refused opens a scan that must be refused.
func (t *tableHandle) refused(code, status int32, tweak func(*pb.ScanRequestPB, *pb.NewScanRequestPB)) {
	t.s.Helper()
	t.s.tsError(t.must(tweak).resp.GetError(), code, status)
}
