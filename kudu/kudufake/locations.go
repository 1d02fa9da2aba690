package kudufake

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// tsInfos collects the servers that an answer names.
type tsInfos struct {
	intern bool
	infos  []*pb.TSInfoPB
	places map[*Server]uint32
}

func (s *Server) tsInfo() *pb.TSInfoPB {
	return &pb.TSInfoPB{PermanentUuid: []byte(s.uuid), RpcAddresses: []*pb.HostPortPB{s.hostPort()}, Location: new("")}
}

// locate tells where a tablet is.
func (t *tablet) locate(in *tsInfos) *pb.TabletLocationsPB {
	out := &pb.TabletLocationsPB{TabletId: []byte(t.id), Partition: t.part.toPB()}
	for _, r := range t.replicas {
		role := replicaFollower
		if r.leads {
			role = replicaLeader
		}
		if !in.intern {
			out.DeprecatedReplicas = append(out.DeprecatedReplicas, &pb.TabletLocationsPB_DeprecatedReplicaPB{
				TsInfo: r.server.tsInfo(), Role: &role,
			})
			continue
		}
		place, ok := in.places[r.server]
		if !ok {
			place = uint32(len(in.infos))
			in.places[r.server] = place
			in.infos = append(in.infos, r.server.tsInfo())
		}
		out.InternedReplicas = append(out.InternedReplicas, &pb.TabletLocationsPB_InternedReplicaPB{TsInfoIdx: &place, Role: &role})
	}
	return out
}

// cutKey takes a partition key apart into hash part and range part.
func (t *table) cutKey(key []byte) (hash, rng []byte) {
	n := min(len(key), 4*len(t.parts.hash))
	return key[:n], key[n:]
}

// getTableLocations gives the tablets of a table from the one that holds the
// start key, or stands before it, to the one that holds the end key
// (kudu-1.18.1 src/kudu/master/catalog_manager.cc, GetTabletsInRange).
func (c *Cluster) getTableLocations(_ *Call, req *pb.GetTableLocationsRequestPB) (proto.Message, *failure) {
	start, end := req.PartitionKeyStart, req.PartitionKeyEnd
	if start != nil && end != nil && bytes.Compare(start, end) > 0 {
		return nil, appFailure(mUnknownError, stInvalidArgument, "start partition key is greater than the end partition key")
	}
	if req.MaxReturnedLocations != nil && req.GetMaxReturnedLocations() == 0 {
		return nil, appFailure(mUnknownError, stInvalidArgument, "max_returned_locations must be greater than 0 if specified")
	}
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	custom := slices.ContainsFunc(t.parts.ranges, func(r keyRange) bool { return r.custom })
	if custom && (start != nil || end != nil) {
		return nil, appFailure(mUnknownError, stInvalidArgument, "for a table with custom per-range hash schemas the range must be specified using partition_key_range field, not partition_key_{start,end} fields")
	}
	behind := func(key []byte) int { // the first tablet that starts after the key
		hash, rng := t.cutKey(key)
		for i, tb := range t.tablets {
			h, r := tb.part.startKey()
			if order := bytes.Compare(h, hash); order > 0 || order == 0 && bytes.Compare(r, rng) > 0 {
				return i
			}
		}
		return len(t.tablets)
	}
	first, last := 0, len(t.tablets)
	if start != nil {
		first = max(0, behind(start)-1)
	}
	if end != nil {
		last = behind(end)
	}
	tablets := t.tablets[first:max(first, last)]
	if req.MaxReturnedLocations != nil {
		tablets = tablets[:min(len(tablets), int(req.GetMaxReturnedLocations()))]
	}
	if c.creating(t) && len(tablets) > 0 {
		return nil, appFailure(mTabletNotRunning, stServiceUnavailable, "Tablet not running")
	}
	in := &tsInfos{intern: req.GetInternTsInfosInResponse(), places: make(map[*Server]uint32)}
	resp := &pb.GetTableLocationsResponsePB{TtlMillis: new(uint32(300_000))}
	for _, tb := range tablets {
		resp.TabletLocations = append(resp.TabletLocations, tb.locate(in))
	}
	resp.TsInfos = in.infos
	return resp, nil
}

func (c *Cluster) getTabletLocations(_ *Call, req *pb.GetTabletLocationsRequestPB) (proto.Message, *failure) {
	in := &tsInfos{intern: req.GetInternTsInfosInResponse(), places: make(map[*Server]uint32)}
	resp := &pb.GetTabletLocationsResponsePB{}
	for _, id := range req.GetTabletIds() {
		tb := c.tablets[string(id)]
		var f *failure
		switch {
		case tb == nil:
			f = appFailure(0, stNotFound, "Unknown tablet %s", id)
		case c.creating(tb.table):
			f = appFailure(0, stServiceUnavailable, "Tablet not running")
		default:
			resp.TabletLocations = append(resp.TabletLocations, tb.locate(in))
			continue
		}
		resp.Errors = append(resp.Errors, &pb.GetTabletLocationsResponsePB_Error{TabletId: id, Status: f.statusPB()})
	}
	resp.TsInfos = in.infos
	return resp, nil
}
