package kudufake

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

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
	tokenMessageBytes                  = protowire.BytesType
)

func authzBody(user, tableID string) []byte {
	var privilege []byte
	privilege = protowire.AppendTag(privilege, privilegeTable, tokenMessageBytes)
	privilege = protowire.AppendString(privilege, tableID)
	for _, right := range []protowire.Number{privilegeScan, privilegeInsert, privilegeUpdate, privilegeDelete} {
		privilege = protowire.AppendTag(privilege, right, protowire.VarintType)
		privilege = protowire.AppendVarint(privilege, 1)
	}
	var authz []byte
	authz = protowire.AppendTag(authz, authzUser, tokenMessageBytes)
	authz = protowire.AppendString(authz, user)
	authz = protowire.AppendTag(authz, authzPrivilege, tokenMessageBytes)
	return protowire.AppendBytes(authz, privilege)
}

// newAuthzToken lets a user do everything with a table, for a while. The
// caller holds mu.
func (c *Cluster) newAuthzToken(user, tableID string) *pb.SignedTokenPB {
	data, err := proto.Marshal(&pb.TokenPB{ExpireUnixEpochSeconds: new(c.wall.time().Add(c.opts.AuthzLife).Unix())})
	if err != nil {
		return nil // the message has no field that could fail
	}
	data = protowire.AppendTag(data, tokenAuthz, tokenMessageBytes)
	data = protowire.AppendBytes(data, authzBody(user, tableID))
	return &pb.SignedTokenPB{TokenData: data, Signature: sign(c.tokenKey, data), SigningKeySeqNum: new(int64(c.tokenKey))}
}

func sign(key uint64, data []byte) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(bytes.Clone(data), key))
	return sum[:]
}

// authorize checks the token of a Scan or Write, if the cluster asks for one.
// The caller holds mu.
func (c *Cluster) authorize(token *pb.SignedTokenPB, user, tableID string) *failure {
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
	if !bytes.Contains(data, authzBody(user, tableID)) {
		return refuse("authorization token is for the wrong table ID")
	}
	return nil
}
