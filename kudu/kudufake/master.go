package kudufake

import (
	"context"
	"net"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// clusterID is what ConnectToMaster tells.
const clusterID = "6b756475000000000000000066616b65"

func masterRefusal(f *failure) *pb.MasterErrorPB {
	return &pb.MasterErrorPB{Code: &f.code, Status: f.statusPB()}
}

// ping answers on both kinds of server; its feature flags are looked at before.
var ping = serves(func(context.Context, *Server, *Call, *pb.PingRequestPB) (proto.Message, [][]byte, *failure) {
	return &pb.PingResponsePB{}, nil, nil
}, func(*failure) proto.Message { return &pb.PingResponsePB{} })

// masterMethods are the RPCs of kudu.master.MasterService.
var masterMethods = map[string]method{
	"Ping": ping,
	"ConnectToMaster": serves(connectToMaster, func(f *failure) proto.Message {
		return &pb.ConnectToMasterResponsePB{Error: masterRefusal(f)}
	}),
	"GetTableSchema": serves(onMaster((*Cluster).getTableSchema), func(f *failure) proto.Message {
		return &pb.GetTableSchemaResponsePB{Error: masterRefusal(f)}
	}),
	"GetTableLocations": serves(onMaster((*Cluster).getTableLocations), func(f *failure) proto.Message {
		return &pb.GetTableLocationsResponsePB{Error: masterRefusal(f)}
	}),
	"GetTabletLocations": serves(onMaster((*Cluster).getTabletLocations), func(f *failure) proto.Message {
		return &pb.GetTabletLocationsResponsePB{Error: masterRefusal(f)}
	}),
	"ListTables": serves(onMaster((*Cluster).listTables), func(f *failure) proto.Message {
		return &pb.ListTablesResponsePB{Error: masterRefusal(f)}
	}),
	"GetTableStatistics": serves(onMaster((*Cluster).getTableStatistics), func(f *failure) proto.Message {
		return &pb.GetTableStatisticsResponsePB{Error: masterRefusal(f)}
	}),
	"CreateTable": serves(onMaster((*Cluster).createTable), func(f *failure) proto.Message {
		return &pb.CreateTableResponsePB{Error: masterRefusal(f)}
	}),
	"IsCreateTableDone": serves(onMaster((*Cluster).isCreateTableDone), func(f *failure) proto.Message {
		return &pb.IsCreateTableDoneResponsePB{Error: masterRefusal(f)}
	}),
	"AlterTable": serves(onMaster((*Cluster).alterTable), func(f *failure) proto.Message {
		return &pb.AlterTableResponsePB{Error: masterRefusal(f)}
	}),
	"IsAlterTableDone": serves(onMaster((*Cluster).isAlterTableDone), func(f *failure) proto.Message {
		return &pb.IsAlterTableDoneResponsePB{Error: masterRefusal(f)}
	}),
	"DeleteTable": serves(onMaster((*Cluster).deleteTable), func(f *failure) proto.Message {
		return &pb.DeleteTableResponsePB{Error: masterRefusal(f)}
	}),
}

// onMaster makes a handler of what only the leader answers: with the catalog
// locked, and refusing elsewhere.
func onMaster[Q proto.Message](handle func(*Cluster, *Call, Q) (proto.Message, *failure)) func(context.Context, *Server, *Call, Q) (proto.Message, [][]byte, *failure) {
	return func(_ context.Context, s *Server, call *Call, req Q) (proto.Message, [][]byte, *failure) {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		if s.c.leaderMaster != s {
			return nil, nil, appFailure(mNotTheLeader, stServiceUnavailable, "Not the leader. Local UUID: %s", s.uuid)
		}
		resp, f := handle(s.c, call, req)
		return resp, nil, f
	}
}

func hostPort(addr string) *pb.HostPortPB {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		n = 0
	}
	return &pb.HostPortPB{Host: &host, Port: new(uint32(n))}
}

func connectToMaster(_ context.Context, s *Server, _ *Call, _ *pb.ConnectToMasterRequestPB) (proto.Message, [][]byte, *failure) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	resp := &pb.ConnectToMasterResponsePB{Role: new(replicaFollower), ClusterId: new(clusterID)}
	for _, m := range s.c.masters {
		resp.MasterAddrs = append(resp.MasterAddrs, m.hostPort())
	}
	if s.c.leaderMaster == s {
		resp.Role = new(replicaLeader)
		resp.ClientLocation = new("")
	}
	return resp, nil, nil
}

func (c *Cluster) getTableSchema(call *Call, req *pb.GetTableSchemaRequestPB) (proto.Message, *failure) {
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	s := c.shown(t)
	return &pb.GetTableSchemaResponsePB{
		Schema: s.toPB(), NumReplicas: new(int32(t.replicas)), TableId: []byte(t.id), TableName: new(t.name),
		PartitionSchema: t.parts.toPB(s), AuthzToken: c.newAuthzToken(call.User, t),
		ExtraConfigs: t.extra, Owner: new(t.owner), Comment: new(t.comment),
	}, nil
}

func (c *Cluster) listTables(_ *Call, req *pb.ListTablesRequestPB) (proto.Message, *failure) {
	resp := &pb.ListTablesResponsePB{}
	for _, t := range c.sortedTables() {
		if !strings.Contains(t.name, req.GetNameFilter()) {
			continue
		}
		resp.Tables = append(resp.Tables, &pb.ListTablesResponsePB_TableInfo{
			Id: []byte(t.id), Name: new(t.name), LiveRowCount: new(t.liveRows()),
			NumTablets: new(int32(len(t.tablets))), NumReplicas: new(int32(t.replicas)),
		})
	}
	return resp, nil
}

func (c *Cluster) getTableStatistics(_ *Call, req *pb.GetTableStatisticsRequestPB) (proto.Message, *failure) {
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	return &pb.GetTableStatisticsResponsePB{OnDiskSize: new(int64(0)), LiveRowCount: new(t.liveRows())}, nil
}

func (c *Cluster) isCreateTableDone(_ *Call, req *pb.IsCreateTableDoneRequestPB) (proto.Message, *failure) {
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	return &pb.IsCreateTableDoneResponsePB{Done: new(!c.creating(t))}, nil
}

func (c *Cluster) isAlterTableDone(_ *Call, req *pb.IsAlterTableDoneRequestPB) (proto.Message, *failure) {
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	return &pb.IsAlterTableDoneResponsePB{SchemaVersion: new(t.schema.version), Done: new(!c.altering(t))}, nil
}

func (c *Cluster) deleteTable(_ *Call, req *pb.DeleteTableRequestPB) (proto.Message, *failure) {
	t, f := c.find(req.GetTable())
	if f != nil {
		return nil, f
	}
	c.dropTable(t)
	return &pb.DeleteTableResponsePB{}, nil
}
