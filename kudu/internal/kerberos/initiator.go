package kerberos

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	// Flags of GSS_Init_sec_context (RFC 4121 4.1.1.1).
	gssMutual    = 2
	gssIntegrity = 32

	apOptionMutual = 2 // the bit of ap-options (RFC 4120 5.5.1)

	// Flags of wrap tokens (RFC 4121 4.2.2).
	fromAcceptor   = 1
	sealed         = 2
	acceptorSubkey = 4
)

// mechanism is Kerberos's object identifier, encoded; it and one of the token
// ids begin each token of the context's establishment (RFC 4121 4.1).
var (
	mechanism  = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}
	tokenAPReq = []byte{1, 0}
	tokenAPRep = []byte{2, 0}
	tokenError = []byte{3, 0}
)

// initiator is the client's end of a GSSAPI security context.
type initiator struct {
	session types.EncryptionKey // the ticket's
	asked   types.Authenticator // what the client sent

	key          types.EncryptionKey // of what is wrapped, once established
	subkey       bool                // the server chose the key
	sendSeq      uint64
	receiveSeq   uint64
	checksumSize int
}

// Format leaves out the keys.
func (c *initiator) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "context of %s", c.asked.CName.PrincipalNameString())
}

// newInitiator makes the first token.
func newInitiator(t *ticket, id *identity) (*initiator, []byte, error) {
	asked, err := types.NewAuthenticator(id.realm, id.name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: making an authenticator: %w", ErrCredentials, err)
	}
	// The length of the channel bindings and these, which Kudu leaves empty: it
	// has bindings of its own.
	sum := make([]byte, 24)
	binary.LittleEndian.PutUint32(sum, 16)
	binary.LittleEndian.PutUint32(sum[20:], gssMutual|gssIntegrity)
	asked.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: sum}
	request, err := messages.NewAPReq(t.Ticket, t.key, asked)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: using it: %w", ErrCredentials, err)
	}
	types.SetFlag(&request.APOptions, apOptionMutual)
	b, err := request.Marshal()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: using it: %w", ErrCredentials, err)
	}
	return &initiator{session: t.key, asked: asked, sendSeq: uint64(asked.SeqNumber)},
		asn1tools.AddASNAppTag(slices.Concat(mechanism, tokenAPReq, b), 0), nil
}

// establish takes the server's token, which proves that it could read the
// ticket.
func (c *initiator) establish(token []byte) error {
	return guard(func() error {
		id, inner, err := openToken(token)
		if err != nil {
			return err
		}
		if bytes.Equal(id, tokenError) {
			var answer messages.KRBError
			if err := answer.Unmarshal(inner); err != nil {
				return err
			}
			return errors.New(errorcode.Lookup(answer.ErrorCode))
		}
		if !bytes.Equal(id, tokenAPRep) {
			return fmt.Errorf("a token of kind % x", id)
		}
		var answer messages.APRep
		if err := answer.Unmarshal(inner); err != nil {
			return err
		}
		plain, err := crypto.DecryptEncPart(answer.EncPart, c.session, keyusage.AP_REP_ENCPART)
		if err != nil {
			return errors.New("its answer isn't encrypted with the ticket's key")
		}
		var part messages.EncAPRepPart
		if err := part.Unmarshal(plain); err != nil {
			return err
		}
		if !part.CTime.Equal(c.asked.CTime.Truncate(time.Second)) || part.Cusec != c.asked.Cusec {
			return errors.New("it answers another request")
		}
		c.key, c.subkey = c.session, false
		if len(part.Subkey.KeyValue) > 0 {
			c.key, c.subkey = part.Subkey, true
		}
		etype, err := crypto.GetEtype(c.key.KeyType)
		if err != nil {
			return err
		}
		c.checksumSize = etype.GetHMACBitLength() / 8
		// Some acceptors encode large numbers as negative ones.
		c.receiveSeq = uint64(uint32(part.SequenceNumber))
		return nil
	})
}

// openToken takes a token of the context's establishment apart.
func openToken(token []byte) (id, inner []byte, err error) {
	if len(token) < 2 || token[0] != 0x60 {
		return nil, nil, errors.New("not a token of GSSAPI")
	}
	length, rest := int(token[1]), token[2:]
	if length >= 0x80 {
		n := length & 0x7f
		if n > 3 || n > len(rest) {
			return nil, nil, errors.New("a token of impossible length")
		}
		length = 0
		for _, b := range rest[:n] {
			length = length<<8 | int(b)
		}
		rest = rest[n:]
	}
	rest, found := bytes.CutPrefix(rest, mechanism)
	if length != len(rest)+len(mechanism) || !found || len(rest) < 2 {
		return nil, nil, errors.New("not a token of Kerberos")
	}
	return rest[:2], rest[2:], nil
}

// wrap protects a message by a checksum.
func (c *initiator) wrap(message []byte) ([]byte, error) {
	token := gssapi.WrapToken{EC: uint16(c.checksumSize), SndSeqNum: c.sendSeq, Payload: message}
	if c.subkey {
		token.Flags = acceptorSubkey
	}
	if err := token.SetCheckSum(c.key, keyusage.GSSAPI_INITIATOR_SEAL); err != nil {
		return nil, fmt.Errorf("wrapping a message: %w", err)
	}
	c.sendSeq++
	return token.Marshal()
}

// unwrap checks the server's next wrapped message and gives its contents.
func (c *initiator) unwrap(b []byte) (message []byte, err error) {
	err = guard(func() error {
		var token gssapi.WrapToken
		if err := token.Unmarshal(bytes.Clone(b), true); err != nil {
			return err
		}
		want := byte(fromAcceptor)
		if c.subkey {
			want |= acceptorSubkey
		}
		if token.Flags != want {
			return fmt.Errorf("a wrapped message with flags %#x instead of %#x", token.Flags, want)
		}
		if token.SndSeqNum != c.receiveSeq {
			return fmt.Errorf("wrapped message %d instead of %d", token.SndSeqNum, c.receiveSeq)
		}
		if int(token.EC) != c.checksumSize {
			return fmt.Errorf("a checksum of %d bytes", token.EC)
		}
		// What follows the header may be rotated to the right.
		body := slices.Concat(token.Payload, token.CheckSum)
		if n := len(body); n > 0 {
			r := int(token.RRC) % n
			body = slices.Concat(body[r:], body[:r])
		}
		split := len(body) - c.checksumSize
		token.Payload, token.CheckSum = body[:split:split], body[split:]
		if good, err := token.Verify(c.key, keyusage.GSSAPI_ACCEPTOR_SEAL); err != nil || !good {
			return errors.New("a wrapped message with a wrong checksum")
		}
		c.receiveSeq++
		message = token.Payload
		return nil
	})
	return message, err
}
