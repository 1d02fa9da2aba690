package kudutest

import (
	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// authzCases run on clusters that ask for authorization tokens.
var authzCases = []namedCase{
	{"TokensThatAreRefused", func(s *suite) {
		t, _ := s.kv(3)
		other, _ := s.kv(0)
		forged := proto.CloneOf(t.token)
		forged.Signature[0] ^= 1
		for what, token := range map[string]*pb.SignedTokenPB{"none": nil, "empty": {}, "forged": forged, "another table's": other.token} {
			_, err := t.open(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.AuthzToken = token })
			s.equal("scan with "+what, s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN)
			_, err = t.writeRaw(0, newOps(t.cols), &pb.WriteResponsePB{}, func(_ *krpc.Request, r *pb.WriteRequestPB) { r.AuthzToken = token })
			s.equal("write with "+what, s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN)
		}
	}},
	{"ContinuationsNeedNone", func(s *suite) {
		t, _ := s.kv(300)
		b := t.must(func(r *pb.ScanRequestPB, _ *pb.NewScanRequestPB) { r.BatchSizeBytes = new(uint32(1)) })
		s.equal("rows", len(t.next(b.resp.GetScannerId(), 1, 1<<20, t.all()).rows), 172)
	}},
	{"UnknownTabletComesAfterTheToken", func(s *suite) {
		t, _ := s.kv(0)
		unknown := []byte("00000000000000000000000000000000")
		_, err := t.open(func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.TabletId, n.AuthzToken = unknown, nil })
		s.equal("without", s.rpcError(err).Code, pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN)
		t.refused(tabletNotFound, statusNotFound, func(_ *pb.ScanRequestPB, n *pb.NewScanRequestPB) { n.TabletId = unknown })
	}},
}
