package kudufake

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Fields of kudu-1.18.1 src/kudu/security/token.proto that clients have no
// use for, and package pb no names.
const (
	tokenAuthz        protowire.Number = 4 // TokenPB.authz
	authzUser         protowire.Number = 1
	authzPrivilege    protowire.Number = 2
	privilegeTable    protowire.Number = 1
	privilegeScan     protowire.Number = 2
	privilegeInsert   protowire.Number = 3
	privilegeUpdate   protowire.Number = 4
	privilegeDelete   protowire.Number = 5
	privilegeColumns  protowire.Number = 6
	columnScan        protowire.Number = 1 // ColumnPrivilegePB.scan_privilege
	tokenMessageBytes                  = protowire.BytesType
)

// Grant says what tokens let all users do with the rows of tables from now on, nil
// that they may do everything. It binds where tablet servers ask for tokens.
func (c *Cluster) Grant(p *kudu.Privileges) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.privileges = p
}

// authzBody is the token's content for a user and a table. The caller holds mu.
func (c *Cluster) authzBody(user string, t *table) []byte {
	rights := kudu.Privileges{Scan: true, Insert: true, Update: true, Delete: true}
	if c.privileges != nil {
		rights = *c.privileges
	}
	var privilege []byte
	privilege = protowire.AppendTag(privilege, privilegeTable, tokenMessageBytes)
	privilege = protowire.AppendString(privilege, t.id)
	for _, right := range []struct {
		field protowire.Number
		has   bool
	}{{privilegeScan, rights.Scan}, {privilegeInsert, rights.Insert}, {privilegeUpdate, rights.Update}, {privilegeDelete, rights.Delete}} {
		if right.has {
			privilege = protowire.AppendTag(privilege, right.field, protowire.VarintType)
			privilege = protowire.AppendVarint(privilege, 1)
		}
	}
	for _, name := range rights.Columns {
		i := t.schema.index(name)
		if i < 0 {
			continue
		}
		var entry []byte
		entry = protowire.AppendTag(entry, 1, protowire.VarintType)
		entry = protowire.AppendVarint(entry, uint64(t.schema.cols[i].id))
		entry = protowire.AppendTag(entry, 2, tokenMessageBytes)
		entry = protowire.AppendBytes(entry, protowire.AppendVarint(protowire.AppendTag(nil, columnScan, protowire.VarintType), 1))
		privilege = protowire.AppendTag(privilege, privilegeColumns, tokenMessageBytes)
		privilege = protowire.AppendBytes(privilege, entry)
	}
	var authz []byte
	authz = protowire.AppendTag(authz, authzUser, tokenMessageBytes)
	authz = protowire.AppendString(authz, user)
	authz = protowire.AppendTag(authz, authzPrivilege, tokenMessageBytes)
	return protowire.AppendBytes(authz, privilege)
}

// newAuthzToken says what a user may do with a table, for a while. The caller
// holds mu.
func (c *Cluster) newAuthzToken(user string, t *table) *pb.SignedTokenPB {
	data, err := proto.Marshal(&pb.TokenPB{ExpireUnixEpochSeconds: new(c.wall.time().Add(c.opts.AuthzLife).Unix())})
	if err != nil {
		return nil // the message has no field that could fail
	}
	data = protowire.AppendTag(data, tokenAuthz, tokenMessageBytes)
	data = protowire.AppendBytes(data, c.authzBody(user, t))
	return &pb.SignedTokenPB{TokenData: data, Signature: sign(c.tokenKey, data), SigningKeySeqNum: new(int64(c.tokenKey))}
}

func sign(key uint64, data []byte) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(bytes.Clone(data), key))
	return sum[:]
}

// authorize checks the token of a Scan or Write, if the cluster asks for one.
// The caller holds mu.
func (c *Cluster) authorize(token *pb.SignedTokenPB, user string, t *table) *failure {
	if !c.requireAuthz {
		return nil
	}
	refuse := func(text string) *failure {
		return rpcFailure(pb.ErrorStatusPB_ERROR_INVALID_AUTHORIZATION_TOKEN, "Not authorized: %s", text)
	}
	if token == nil {
		return refuse("no authorization token presented")
	}
	data := token.GetTokenData()
	var body pb.TokenPB
	if token.GetSigningKeySeqNum() != int64(c.tokenKey) || !bytes.Equal(token.GetSignature(), sign(c.tokenKey, data)) || proto.Unmarshal(data, &body) != nil {
		return refuse("authz token verification failure: invalid token signature")
	}
	if c.wall.time().Unix() > body.GetExpireUnixEpochSeconds() {
		return refuse("authz token verification failure: token expired")
	}
	if t == nil || !bytes.Contains(data, c.authzBody(user, t)) {
		return refuse("authorization token is for the wrong table ID")
	}
	return nil
}

// mayScan compares what a scan reads with what was granted (kudu-1.18.1
// src/kudu/tserver/tablet_service.cc, GetScanPrivilegesOrRespond).
// The caller holds mu.
func (c *Cluster) mayScan(t *table, proj []*column, open *pb.NewScanRequestPB) *failure {
	if !c.requireAuthz || c.privileges == nil {
		return nil
	}
	needed := make(map[string]bool)
	all := func(columns []*column) {
		for _, col := range columns {
			needed[col.name] = true
		}
	}
	all(proj)
	// A scan without columns, which counts, and one with a column that says which
	// rows are deleted, read all of the table.
	if len(proj) == 0 || slices.ContainsFunc(proj, func(col *column) bool { return col.typ == kudu.IsDeleted }) {
		clear(needed)
		all(t.schema.cols)
	}
	if open.GetOrderMode() == ordered || open.StartPrimaryKey != nil || open.StopPrimaryKey != nil || open.LastPrimaryKey != nil {
		all(t.schema.cols[:t.schema.keys])
	}
	for _, p := range open.GetColumnPredicates() {
		needed[p.GetColumn()] = true
	}
	for name := range needed {
		if !c.privileges.CanScan(name) {
			return rpcFailure(pb.ErrorStatusPB_FATAL_UNAUTHORIZED, "Not authorized: not authorized to Scan")
		}
	}
	return nil
}

// mayWrite compares operations with what was granted; without any, it wants one of
// the three rights to write. The caller holds mu.
func (c *Cluster) mayWrite(kinds ...byte) *failure {
	if !c.requireAuthz || c.privileges == nil {
		return nil
	}
	p := c.privileges
	may := p.Insert || p.Update || p.Delete
	for _, kind := range kinds {
		switch kind {
		case opInsert, opInsertIgnore:
			may = may && p.Insert
		case opUpdate, opUpdateIgnore:
			may = may && p.Update
		case opUpsert, opUpsertIgnore:
			may = may && p.Insert && p.Update
		case opDelete, opDeleteIgnore:
			may = may && p.Delete
		}
	}
	if !may {
		return rpcFailure(pb.ErrorStatusPB_FATAL_UNAUTHORIZED, "Not authorized: not authorized to write")
	}
	return nil
}
