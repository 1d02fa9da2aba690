package kerberos

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

const (
	testRealm = "TEST.REALM"
	testHost  = "server.test"
)

// serviceKeys is the keytab of the service on testHost.
func serviceKeys(t testing.TB, etype int32) *keytab.Keytab {
	t.Helper()
	kt := keytab.New()
	if err := kt.AddEntry("kudu/"+testHost, testRealm, "service secret", time.Unix(0, 0), 1, etype); err != nil {
		t.Fatal(err)
	}
	return kt
}

// holding makes a login that has a ticket for testHost, as if a KDC had given
// it.
func holding(t testing.TB, kt *keytab.Keytab, etype int32) *Login {
	t.Helper()
	l, err := NewLogin(Config{Principal: "alice", Password: secret.New("x")}, nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	client := types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, "alice")
	raw, key, err := messages.NewTicket(client, testRealm, serviceName("kudu", testHost), testRealm, types.NewKrbFlags(), kt, etype, 1,
		now, now, now.Add(time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t1 := &ticket{Ticket: raw, key: key, got: now, ends: now.Add(time.Hour)}
	l.identity = &identity{name: client, realm: testRealm, tgt: t1}
	t1.of = l.identity
	l.services[testHost] = t1
	return l
}

// lies are what an acceptor does otherwise than it should.
type lies struct {
	noSubkey   bool
	otherKey   bool          // its answer is encrypted with a key of its own
	late       time.Duration // its answer is to a request of another time
	kind       []byte        // of its first token
	spoil      func([]byte) []byte
	offer      []byte // instead of 02 00 04 00
	flags      byte   // of wrapped messages, xored
	skip       uint64 // in the sequence of its messages
	rotate     int
	spoilWrap  func([]byte) []byte
	bindings   []byte // instead of the certificate's hash
	noBindings bool
	prefix     int // added to the length before the bindings
	early      int // ends after so many rounds
	more       bool
}

// acceptor is the server's end of a context, made of the same parts of gokrb5
// as the client's, and of RFC 4120, 4121 and 4752.
type acceptor struct {
	keys *keytab.Keytab
	hash []byte // of the certificate; nil without TLS
	lies lies

	round             int
	user              string
	key               types.EncryptionKey
	subkey            bool
	sendSeq, expected uint64
	nonce             []byte
}

func (a *acceptor) Next(in *pb.NegotiatePB) (*pb.NegotiatePB, error) {
	a.round++
	if a.lies.early == a.round {
		return a.success()
	}
	switch a.round {
	case 1:
		token, err := a.accept(in.GetToken())
		return challenge(token), err
	case 2:
		if in.Token == nil || len(in.GetToken()) > 0 {
			return nil, errors.New("expected an empty token")
		}
		offer := []byte{layerIntegrity, 0, 4, 0}
		if a.lies.offer != nil {
			offer = a.lies.offer
		}
		token, err := a.wrap(offer)
		return challenge(token), err
	}
	choice, err := a.unwrap(in.GetToken())
	if err != nil {
		return nil, err
	}
	if len(choice) != 4 || choice[0] != layerIntegrity {
		return nil, fmt.Errorf("client requested invalid layer: % x", choice)
	}
	if a.lies.more {
		return challenge([]byte("more")), nil
	}
	return a.success()
}

func challenge(token []byte) *pb.NegotiatePB {
	return &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_CHALLENGE.Enum(), Token: token}
}

// accept reads the client's AP-REQ and makes the AP-REP.
func (a *acceptor) accept(token []byte) ([]byte, error) {
	kind, inner, err := openToken(token)
	if err != nil || !bytes.Equal(kind, tokenAPReq) {
		return nil, fmt.Errorf("token % x: %w", kind, err)
	}
	var request messages.APReq
	if err := request.Unmarshal(inner); err != nil {
		return nil, err
	}
	service := serviceName("kudu", testHost)
	if err := request.Ticket.DecryptEncPart(a.keys, &service); err != nil {
		return nil, err
	}
	session := request.Ticket.DecryptedEncPart.Key
	if err := request.DecryptAuthenticator(session); err != nil {
		return nil, err
	}
	asked := request.Authenticator
	if flags := binary.LittleEndian.Uint32(asked.Cksum.Checksum[20:]); flags&gssMutual == 0 || flags&gssIntegrity == 0 ||
		!types.IsFlagSet(&request.APOptions, apOptionMutual) || asked.Cksum.CksumType != 0x8003 {
		return nil, fmt.Errorf("flags %x", flags)
	}
	a.user = asked.CName.PrincipalNameString() + "@" + asked.CRealm
	a.expected, a.sendSeq, a.key = uint64(asked.SeqNumber), 0xfffffff0, session
	part := messages.EncAPRepPart{CTime: asked.CTime.Add(a.lies.late), Cusec: asked.Cusec, SequenceNumber: int64(a.sendSeq)}
	etype, err := crypto.GetEtype(session.KeyType)
	if err != nil {
		return nil, err
	}
	own, err := types.GenerateEncryptionKey(etype)
	if err != nil {
		return nil, err
	}
	if !a.lies.noSubkey {
		part.Subkey, a.key, a.subkey = own, own, true
	}
	plain, err := asn1.Marshal(part)
	if err != nil {
		return nil, err
	}
	if a.lies.otherKey {
		session = own
	}
	sealed, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(plain, asnAppTag.EncAPRepPart), session, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, err
	}
	answer, err := asn1.Marshal(messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: sealed})
	if err != nil {
		return nil, err
	}
	id := tokenAPRep
	if a.lies.kind != nil {
		id = a.lies.kind
	}
	out := asn1tools.AddASNAppTag(slices.Concat(mechanism, id, asn1tools.AddASNAppTag(answer, asnAppTag.APREP)), 0)
	if a.lies.spoil != nil {
		out = a.lies.spoil(out)
	}
	return out, nil
}

func (a *acceptor) wrap(message []byte) ([]byte, error) {
	etype, err := crypto.GetEtype(a.key.KeyType)
	if err != nil {
		return nil, err
	}
	token := gssapi.WrapToken{Flags: fromAcceptor, EC: uint16(etype.GetHMACBitLength() / 8), SndSeqNum: a.sendSeq + a.lies.skip, Payload: message}
	if a.subkey {
		token.Flags |= acceptorSubkey
	}
	token.Flags ^= a.lies.flags
	a.sendSeq++
	if token.Payload == nil {
		token.Payload = []byte{}
	}
	if err := token.SetCheckSum(a.key, keyusage.GSSAPI_ACCEPTOR_SEAL); err != nil {
		return nil, err
	}
	b, err := token.Marshal()
	if body := b[16:]; a.lies.rotate > 0 {
		r := a.lies.rotate % len(body)
		copy(body, slices.Concat(body[len(body)-r:], body[:len(body)-r]))
		binary.BigEndian.PutUint16(b[6:], uint16(a.lies.rotate))
	}
	if a.lies.spoilWrap != nil {
		b = a.lies.spoilWrap(b)
	}
	return b, err
}

func (a *acceptor) unwrap(b []byte) ([]byte, error) {
	var token gssapi.WrapToken
	if err := token.Unmarshal(b, false); err != nil {
		return nil, err
	}
	if good, err := token.Verify(a.key, keyusage.GSSAPI_INITIATOR_SEAL); !good {
		return nil, fmt.Errorf("invalid MIC: %w", err)
	}
	if want := map[bool]byte{true: acceptorSubkey}[a.subkey]; token.Flags != want || token.SndSeqNum != a.expected {
		return nil, fmt.Errorf("flags %#x, sequence %d instead of %d", token.Flags, token.SndSeqNum, a.expected)
	}
	a.expected++
	return token.Payload, nil
}

func (a *acceptor) success() (*pb.NegotiatePB, error) {
	a.nonce = make([]byte, 16)
	if _, err := rand.Read(a.nonce); err != nil {
		return nil, err
	}
	out := &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum(), Nonce: a.nonce}
	if a.hash == nil || a.lies.noBindings {
		return out, nil
	}
	hash := a.hash
	if a.lies.bindings != nil {
		hash = a.lies.bindings
	}
	if a.key.KeyValue == nil { // it ends before there is a context
		out.ChannelBindings = hash
		return out, nil
	}
	token, err := a.wrap(hash)
	out.ChannelBindings = append(binary.BigEndian.AppendUint32(nil, uint32(len(token)+a.lies.prefix)), token...)
	return out, err
}

func (a *acceptor) Finish(nonce []byte) (string, error) {
	if len(nonce) < 4 || int(binary.BigEndian.Uint32(nonce)) != len(nonce)-4 {
		return "", errors.New("malformed nonce")
	}
	got, err := a.unwrap(nonce[4:])
	if err != nil {
		return "", err
	}
	if !bytes.Equal(got, a.nonce) {
		return "", errors.New("another nonce")
	}
	return a.user, nil
}

// aes256 is the usual encryption type.
const aes256 = etypeID.AES256_CTS_HMAC_SHA1_96
