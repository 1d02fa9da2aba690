package kudutest

import (
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Codes of masters that the cases want (kudu-1.18.1
// src/kudu/master/master.proto).
const (
	masterUnknownError     = 1
	masterInvalidSchema    = 2
	masterTableNotFound    = 3
	masterTablePresent     = 4
	masterNotTheLeader     = 7
	masterReplicationHigh  = 8
	masterEvenReplication  = 10
	masterIllegalReplicas  = 11
	knownMasterFeatures    = 11
	unknownFeature         = 99
	unknownBloomFeature    = 4
	knownTabletServerFlags = 6
)

var masterCases = []namedCase{
	{"FollowersSaySo", func(s *suite) {
		for _, addr := range s.c.Masters {
			resp := &pb.ConnectToMasterResponsePB{}
			if _, err := s.call(addr, krpc.MasterService, "ConnectToMaster", &pb.ConnectToMasterRequestPB{}, resp, nil); err != nil {
				s.Fatal(err)
			}
			s.equal("masters", []any{resp.Error == nil, len(resp.GetMasterAddrs()), resp.ClusterId != nil}, []any{true, len(s.c.Masters), true})
			if addr == s.leader {
				continue
			}
			s.equal("role", resp.GetRole(), 0)
			list := &pb.ListTablesResponsePB{}
			if _, err := s.call(addr, krpc.MasterService, "ListTables", &pb.ListTablesRequestPB{}, list, nil); err != nil {
				s.Fatal(err)
			}
			s.equal("code", list.GetError().GetCode(), masterNotTheLeader)
		}
	}},
	{"UnknownServicesMethodsAndRequests", func(s *suite) {
		t, _ := s.kv(0)
		for _, c := range []struct {
			addr, service, method string
			code                  pb.ErrorStatusPB_RpcErrorCodePB
		}{
			{s.leader, "kudu.nosuch.Service", "Ping", pb.ErrorStatusPB_ERROR_NO_SUCH_SERVICE},
			{s.leader, krpc.TabletServerService, "Scan", pb.ErrorStatusPB_ERROR_NO_SUCH_SERVICE},
			{s.leader, krpc.MasterService, "NoSuchMethod", pb.ErrorStatusPB_ERROR_NO_SUCH_METHOD},
			{t.tablets[0].addr, krpc.MasterService, "ConnectToMaster", pb.ErrorStatusPB_ERROR_NO_SUCH_SERVICE},
			{t.tablets[0].addr, krpc.TabletServerService, "ScannerKeepAlive", pb.ErrorStatusPB_ERROR_INVALID_REQUEST}, // required field
		} {
			_, err := s.call(c.addr, c.service, c.method, &pb.PingRequestPB{}, &pb.PingResponsePB{}, nil)
			s.equal(c.method, s.rpcError(err).Code, c.code)
		}
	}},
	{"FeatureFlags", func(s *suite) {
		t, _ := s.kv(0)
		ping := func(addr, service string, flags ...uint32) error {
			_, err := s.call(addr, service, "Ping", &pb.PingRequestPB{}, &pb.PingResponsePB{}, func(r *krpc.Request) { r.Features = flags })
			return err
		}
		if err := ping(s.leader, krpc.MasterService, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, knownMasterFeatures); err != nil {
			s.Error(err)
		}
		if err := ping(t.tablets[0].addr, krpc.TabletServerService, 1, 2, 3, 5, knownTabletServerFlags); err != nil {
			s.Error(err)
		}
		for _, c := range []struct {
			addr, service string
			flag          uint32
		}{
			{s.leader, krpc.MasterService, unknownFeature}, {t.tablets[0].addr, krpc.TabletServerService, unknownFeature},
			{t.tablets[0].addr, krpc.TabletServerService, unknownBloomFeature},
		} {
			e := s.rpcError(ping(c.addr, c.service, 1, c.flag))
			s.equal("refusal", []any{e.Code, e.UnsupportedFeatures}, []any{pb.ErrorStatusPB_ERROR_INVALID_REQUEST, []uint32{c.flag}})
		}
	}},
	{"ListTablesByPartOfTheName", func(s *suite) {
		t, _ := s.kv(0)
		for _, c := range []struct {
			filter string
			found  bool
		}{{t.name, true}, {t.name[3:], true}, {"nosuch" + t.name, false}} {
			resp := &pb.ListTablesResponsePB{}
			s.master("ListTables", &pb.ListTablesRequestPB{NameFilter: &c.filter}, resp)
			s.equal(c.filter, slices.ContainsFunc(resp.GetTables(), func(i *pb.ListTablesResponsePB_TableInfo) bool {
				return i.GetName() == t.name && string(i.GetId()) == string(t.id)
			}), c.found)
		}
	}},
}

var tableCases = []namedCase{
	{"SchemaComesBack", func(s *suite) {
		cols := allTypes()
		cols[1].Comment = new("a comment")
		t := s.create(cols, func(r *pb.CreateTableRequestPB) {
			r.Owner, r.Comment = new("owner"), new("text")
			r.ExtraConfigs = map[string]string{"kudu.table.history_max_age_sec": "1000000"}
			r.PartitionSchema.HashSchema = []*pb.HashBucketSchemaPB{hashBy(2, 9, "k")}
		})
		r := t.schema
		s.equal("table", []any{r.GetOwner(), r.GetComment(), r.GetExtraConfigs(), r.GetNumReplicas(), string(r.GetTableId()) == string(t.id), r.AuthzToken != nil},
			[]any{"owner", "text", map[string]string{"kudu.table.history_max_age_sec": "1000000"}, max(1, s.c.Replicas), true, true})
		for i, c := range r.GetSchema().GetColumns() {
			w := cols[i]
			s.equal("column", []any{c.GetName(), c.GetType(), c.GetIsKey(), c.GetIsNullable(), c.GetTypeAttributes().GetPrecision(), c.GetTypeAttributes().GetScale(), c.GetTypeAttributes().GetLength(), c.GetComment(), c.Id != nil},
				[]any{w.GetName(), w.GetType(), w.GetIsKey(), w.GetIsNullable(), w.GetTypeAttributes().GetPrecision(), w.GetTypeAttributes().GetScale(), w.GetTypeAttributes().GetLength(), w.GetComment(), true})
		}
		h := r.GetPartitionSchema().GetHashSchema()[0]
		s.equal("hash", []any{h.GetNumBuckets(), h.GetSeed(), h.GetColumns()[0].GetId() == int32(r.GetSchema().GetColumns()[0].GetId()), r.GetPartitionSchema().RangeSchema != nil}, []any{2, 9, true, true})
	}},
	{"DefaultsComeBack", func(s *suite) {
		t := s.create([]*pb.ColumnSchemaPB{
			col("k", kudu.Int32, isKey), col("n", kudu.Int32, withDefault([]byte{1, 2, 3, 4})), col("s", kudu.String, withDefault([]byte("text"))),
			col("im", kudu.Int32, nullable, immutable),
		}, nil)
		cols := t.schema.GetSchema().GetColumns()
		s.equal("defaults", []any{cols[0].WriteDefaultValue != nil, cols[1].GetWriteDefaultValue(), string(cols[2].GetWriteDefaultValue()), cols[3].GetImmutable()},
			[]any{false, []byte{1, 2, 3, 4}, "text", true})
	}},
	{"RefusalsOfCreate", func(s *suite) {
		k := func() *pb.ColumnSchemaPB { return col("k", kudu.Int32, isKey) }
		withID := k()
		withID.Id = new(uint32(3))
		for _, c := range []struct {
			what         string
			cols         []*pb.ColumnSchemaPB
			tweak        func(*pb.CreateTableRequestPB)
			code, status int32
		}{
			{"no key", []*pb.ColumnSchemaPB{col("v", kudu.Int32)}, nil, masterInvalidSchema, statusInvalidArgument},
			{"column ids", []*pb.ColumnSchemaPB{withID}, nil, masterInvalidSchema, statusInvalidArgument},
			{"key of floats", []*pb.ColumnSchemaPB{col("k", kudu.Double, isKey)}, nil, masterInvalidSchema, statusInvalidArgument},
			{"virtual column", []*pb.ColumnSchemaPB{k(), isDeletedColumn()}, nil, masterInvalidSchema, statusInvalidArgument},
			{"hash of a value", kvColumns(), hashed(2, "n"), masterInvalidSchema, statusInvalidArgument},
			{"one bucket", kvColumns(), hashed(1, "k"), masterInvalidSchema, statusInvalidArgument},
			{"hashed twice", kvColumns(), both(hashed(2, "k"), hashed(3, "k")), masterInvalidSchema, statusInvalidArgument},
			{"unknown column", kvColumns(), hashed(2, "nosuch"), masterInvalidSchema, statusInvalidArgument},
			{"overlap", kvColumns(), ranged(kvColumns(), 0, 10, 5, 15), masterUnknownError, statusInvalidArgument},
			{"empty range", kvColumns(), ranged(kvColumns(), 10, 10), masterUnknownError, statusInvalidArgument},
			{"half a range", kvColumns(), ranged(kvColumns(), 0), masterUnknownError, statusInvalidArgument},
			{"two replicas", kvColumns(), func(r *pb.CreateTableRequestPB) { r.NumReplicas = new(int32(2)) }, masterEvenReplication, statusInvalidArgument},
			{"no replicas", kvColumns(), func(r *pb.CreateTableRequestPB) { r.NumReplicas = new(int32(0)) }, masterIllegalReplicas, statusInvalidArgument},
			{"nine replicas", kvColumns(), func(r *pb.CreateTableRequestPB) { r.NumReplicas = new(int32(9)) }, masterReplicationHigh, statusInvalidArgument},
			{"other number of dimensions", kvColumns(), func(r *pb.CreateTableRequestPB) {
				r.PartitionSchema.RangeSchema.Columns = byName("k")
				r.PartitionSchema.CustomHashSchemaRanges = []*pb.RangeWithHashSchemaPB{
					{RangeBounds: boundOps(kvColumns(), 0, 100), HashSchema: []*pb.HashBucketSchemaPB{hashBy(3, 5, "k")}},
				}
			}, masterUnknownError, statusNotSupported},
		} {
			resp := s.tryCreate(c.cols, c.tweak)
			if resp.Error == nil {
				s.drop(resp.GetTableId())
			}
			if e := resp.GetError(); e.GetCode() != c.code || e.GetStatus().GetCode() != c.status {
				s.Errorf("%s: got {%v}, want code %d, status %d", c.what, e, c.code, c.status)
			}
		}
	}},
	{"NamesAreTakenOnce", func(s *suite) {
		t, _ := s.kv(0)
		resp := s.tryCreate(kvColumns(), func(r *pb.CreateTableRequestPB) { r.Name = &t.name })
		s.masterError(resp.GetError(), masterTablePresent, statusAlreadyPresent)
	}},
	{"DroppedTablesAreGone", func(s *suite) {
		t, _ := s.kv(1)
		if resp := s.drop(t.id); resp.Error != nil {
			s.Fatal(resp.Error)
		}
		schema := &pb.GetTableSchemaResponsePB{}
		s.master("GetTableSchema", &pb.GetTableSchemaRequestPB{Table: t.ident()}, schema)
		s.masterError(schema.GetError(), masterTableNotFound, statusNotFound)
		locations := &pb.GetTableLocationsResponsePB{}
		s.master("GetTableLocations", &pb.GetTableLocationsRequestPB{Table: &pb.TableIdentifierPB{TableName: &t.name}}, locations)
		s.masterError(locations.GetError(), masterTableNotFound, statusNotFound)
		s.masterError(s.drop(t.id).GetError(), masterTableNotFound, statusNotFound)
		s.eventually("tablet gone", func() bool {
			b, err := t.open(nil)
			return err == nil && b.resp.GetError().GetCode() == tabletNotFound
		})
		again := s.create(kvColumns(), func(r *pb.CreateTableRequestPB) { r.Name = &t.name })
		s.equal("another id", string(again.id) != string(t.id), true)
	}},
	{"LocationsInternedOrNot", func(s *suite) {
		t := s.create(kvColumns(), hashed(2, "k"))
		for _, intern := range []bool{false, true} {
			resp := &pb.GetTableLocationsResponsePB{}
			s.master("GetTableLocations", &pb.GetTableLocationsRequestPB{Table: t.ident(), InternTsInfosInResponse: &intern}, resp)
			tl := resp.GetTabletLocations()[0]
			s.equal("replicas", []any{len(tl.GetInternedReplicas()) > 0, len(tl.GetDeprecatedReplicas()) > 0, len(resp.GetTsInfos()) > 0, resp.GetTtlMillis()},
				[]any{intern, !intern, intern, 300000})
		}
	}},
	{"TabletLocationsByID", func(s *suite) {
		t := s.create(kvColumns(), hashed(2, "k"))
		resp := &pb.GetTabletLocationsResponsePB{}
		s.master("GetTabletLocations", &pb.GetTabletLocationsRequestPB{
			TabletIds: [][]byte{t.tablets[1].id, []byte("nosuch")}, InternTsInfosInResponse: new(true),
		}, resp)
		s.equal("answer", []any{resp.Error == nil, len(resp.GetTabletLocations()), len(resp.GetErrors())}, []any{true, 1, 1})
		s.equal("tablet", partitionText(resp.GetTabletLocations()[0].GetPartition()), t.partitions()[1])
		s.equal("error", []any{string(resp.GetErrors()[0].GetTabletId()), resp.GetErrors()[0].GetStatus().GetCode()}, []any{"nosuch", statusNotFound})
	}},
	{"Statistics", func(s *suite) {
		t, _ := s.kv(10)
		s.eventually("live rows", func() bool {
			resp := &pb.GetTableStatisticsResponsePB{}
			s.master("GetTableStatistics", &pb.GetTableStatisticsRequestPB{Table: t.ident()}, resp)
			return resp.Error == nil && resp.GetLiveRowCount() == 10
		})
	}},
}

// replicaCases are those of tables with three replicas.
var replicaCases = []namedCase{
	{"FollowersRefuseWrites", func(s *suite) {
		t, _ := s.kv(1)
		resp := &pb.GetTableLocationsResponsePB{}
		s.master("GetTableLocations", &pb.GetTableLocationsRequestPB{Table: t.ident(), InternTsInfosInResponse: new(true)}, resp)
		for _, r := range resp.GetTabletLocations()[0].GetInternedReplicas() {
			addr := hostPort(resp.GetTsInfos()[r.GetTsInfoIdx()].GetRpcAddresses()[0])
			if r.GetRole() == 1 {
				continue
			}
			t.tablets[0].addr = addr
			s.tsError(t.tryWrite(newOps(t.cols)).GetError(), unknownError, statusIllegalState)
			s.eventually("follower has caught up", func() bool { return fmt.Sprint(t.rows(nil)) == fmt.Sprint(kvRows(0, 1)) })
		}
	}},
}
