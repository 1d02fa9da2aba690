package kerberos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	krb5 "github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	// kdcPatience is how long one KDC may take before the next is asked.
	kdcPatience = 3 * time.Second
	// maxAnswer bounds a KDC's answer; tickets with many groups have some
	// tens of kilobytes.
	maxAnswer = 1 << 20
)

// ticket is one with its session key.
type ticket struct {
	messages.Ticket
	key       types.EncryptionKey
	got, ends time.Time
	of        *identity // who has it; of tickets for services
}

// Format leaves out the key.
func (t *ticket) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "ticket for %s until %s", t.SName.PrincipalNameString(), t.ends.UTC().Format(time.RFC3339))
}

func (t *ticket) usable(now time.Time) bool { return t != nil && now.Before(t.ends) }

// renewAt is when to get a successor: well before the end, with time for a KDC
// that is away.
func (t *ticket) renewAt() time.Time {
	life := t.ends.Sub(t.got)
	return t.got.Add(life - min(life/3, 30*time.Minute))
}

// kdcs asks the KDCs of realms.
type kdcs struct {
	conf *krb5.Config
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// send gives a request to the realm's KDCs, one after the other, until one
// answers. It always goes over TCP, which all KDCs of today take. A KDC's error
// is a messages.KRBError.
func (k *kdcs) send(ctx context.Context, realm string, request []byte) ([]byte, error) {
	addrs, err := k.addresses(ctx, realm)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, addr := range addrs {
		answer, err := k.ask(ctx, addr, request)
		if err != nil {
			failures = append(failures, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		var refused messages.KRBError
		switch {
		case guard(func() error { return refused.Unmarshal(answer) }) != nil:
			return answer, nil
		case refused.ErrorCode == errorcode.KDC_ERR_SVC_UNAVAILABLE:
			// Its database is away, say. Another one may do, and it passes.
			failures = append(failures, fmt.Errorf("asking %s: %s", addr, errorcode.Lookup(refused.ErrorCode)))
			continue
		}
		return nil, refused
	}
	return nil, fmt.Errorf("%w for realm %s: %w", ErrUnreachable, realm, errors.Join(failures...))
}

// addresses are those of the realm's KDCs, from krb5.conf, else from the DNS if
// that is allowed, in the order in which to ask them.
func (k *kdcs) addresses(ctx context.Context, realm string) ([]string, error) {
	configured := slices.ContainsFunc(k.conf.Realms, func(r krb5.Realm) bool { return r.Realm == realm && len(r.KDC) > 0 })
	if configured {
		_, numbered, err := k.conf.GetKDCs(realm, true)
		if err != nil {
			return nil, fmt.Errorf("%w: looking for the KDCs of realm %s: %w", ErrCredentials, realm, err)
		}
		addrs := make([]string, len(numbered))
		for i := range addrs {
			addrs[i] = numbered[i+1]
		}
		return addrs, nil
	}
	var addrs []string
	if k.conf.LibDefaults.DNSLookupKDC {
		ctx, cancel := context.WithTimeout(ctx, kdcPatience)
		defer cancel()
		_, records, err := net.DefaultResolver.LookupSRV(ctx, "kerberos", "tcp", realm)
		if errDNS := (*net.DNSError)(nil); err != nil && (!errors.As(err, &errDNS) || !errDNS.IsNotFound) {
			return nil, fmt.Errorf("%w: looking for those of realm %s: %w", ErrUnreachable, realm, err)
		}
		for _, r := range records {
			addrs = append(addrs, net.JoinHostPort(strings.TrimRight(r.Target, "."), strconv.Itoa(int(r.Port))))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%w: krb5.conf names no KDC of the realm %s, nor does DNS", ErrCredentials, realm)
	}
	return addrs, nil
}

// ask sends one request to one KDC: its length, then itself (RFC 4120 7.2.2).
func (k *kdcs) ask(ctx context.Context, addr string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, kdcPatience)
	defer cancel()
	conn, err := k.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	fail := func(err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("asking %s: %w", addr, err)
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return nil, fail(err)
	}
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, fail(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxAnswer {
		return nil, fail(fmt.Errorf("an answer of %d bytes", n))
	}
	answer, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if err == nil && len(answer) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fail(err)
	}
	return answer, nil
}

// login gets a ticket-granting ticket by a password or a keytab.
func (k *kdcs) login(ctx context.Context, creds *credentials.Credentials) (*ticket, error) {
	realm, who := creds.Domain(), creds.CName().PrincipalNameString()+"@"+creds.Domain()
	request, err := messages.NewASReqForTGT(realm, k.conf, creds.CName())
	if err != nil {
		return nil, fmt.Errorf("%w: asking for one: %w", ErrCredentials, err)
	}
	if creds.HasKeytab() {
		request.ReqBody.EType = typesInKeytab(creds, request.ReqBody.EType)
	}
	var answer messages.ASRep
	for attempt := 0; ; attempt++ {
		b, err := request.Marshal()
		if err != nil {
			return nil, fmt.Errorf("%w: asking for one: %w", ErrCredentials, err)
		}
		b, err = k.send(ctx, realm, b)
		var refused messages.KRBError
		if errors.As(err, &refused) && refused.ErrorCode == errorcode.KDC_ERR_PREAUTH_REQUIRED && attempt == 0 {
			if err := guard(func() error { return preauthenticate(&request, creds, refused) }); err != nil {
				return nil, fmt.Errorf("%w: proving to be %s: %w", ErrCredentials, who, err)
			}
			continue
		}
		switch {
		case errors.As(err, &refused):
			return nil, refusal(who, refused)
		case err != nil:
			return nil, err
		}
		if err := guard(func() error { return answer.Unmarshal(b) }); err != nil {
			return nil, fmt.Errorf("%w: the KDC's answer makes no sense: %w", ErrCredentials, err)
		}
		break
	}
	err = guard(func() error {
		_, err := answer.Verify(k.conf, creds, request)
		return err
	})
	if err != nil {
		if apart := answer.DecryptedEncPart.AuthTime; !apart.IsZero() && time.Since(apart).Abs() > k.conf.LibDefaults.Clockskew {
			return nil, refusal(who, messages.KRBError{ErrorCode: errorcode.KRB_AP_ERR_SKEW})
		}
		if answer.DecryptedEncPart.Nonce == 0 { // it couldn't be decrypted
			return nil, refusal(who, messages.KRBError{ErrorCode: errorcode.KRB_AP_ERR_BAD_INTEGRITY})
		}
		return nil, fmt.Errorf("%w: the KDC's answer isn't valid: %w", ErrCredentials, err)
	}
	return newTicket(answer.Ticket, answer.DecryptedEncPart), nil
}

// newTicket counts a ticket's life by the KDC's clock: what is left of it at
// arrival.
func newTicket(t messages.Ticket, part messages.EncKDCRepPart) *ticket {
	return &ticket{Ticket: t, key: part.Key, got: time.Now(), ends: part.EndTime}
}

// typesInKeytab are the encryption types that the keytab has keys for, in the
// configuration's order: the KDC would choose others.
func typesInKeytab(creds *credentials.Credentials, configured []int32) []int32 {
	var both []int32
	for _, id := range configured {
		if _, _, err := creds.Keytab().GetEncryptionKey(creds.CName(), creds.Domain(), 0, id); err == nil {
			both = append(both, id)
		}
	}
	if len(both) == 0 {
		return configured
	}
	return both
}

// preauthenticate adds the proof that the KDC asks for: the time, encrypted by
// the principal's key (RFC 4120 5.2.7.2).
func preauthenticate(request *messages.ASReq, creds *credentials.Credentials, refused messages.KRBError) error {
	var hints types.PADataSequence
	if err := hints.Unmarshal(refused.EData); err != nil {
		return err
	}
	id, err := hintedType(hints, request.ReqBody.EType)
	if err != nil {
		return err
	}
	var key types.EncryptionKey
	kvno := 0
	if creds.HasKeytab() {
		key, kvno, err = creds.Keytab().GetEncryptionKey(creds.CName(), creds.Domain(), 0, id)
	} else {
		key, _, err = crypto.GetKeyFromPassword(creds.Password(), creds.CName(), creds.Domain(), id, hints)
	}
	if err != nil {
		return err
	}
	stamp, err := types.GetPAEncTSEncAsnMarshalled()
	if err != nil {
		return err
	}
	sealed, err := crypto.GetEncryptedData(stamp, key, keyusage.AS_REQ_PA_ENC_TIMESTAMP, kvno)
	if err != nil {
		return err
	}
	proof, err := sealed.Marshal()
	if err != nil {
		return err
	}
	request.PAData = append(request.PAData, types.PAData{PADataType: patype.PA_ENC_TIMESTAMP, PADataValue: proof})
	return nil
}

// hintedType is the first encryption type that the KDC names and the client
// listed.
func hintedType(hints types.PADataSequence, listed []int32) (int32, error) {
	for _, hint := range hints {
		switch hint.PADataType {
		case patype.PA_ETYPE_INFO2:
			infos, err := hint.GetETypeInfo2()
			if err != nil {
				return 0, err
			}
			for _, info := range infos {
				if slices.Contains(listed, info.EType) {
					return info.EType, nil
				}
			}
		case patype.PA_ETYPE_INFO:
			infos, err := hint.GetETypeInfo()
			if err != nil {
				return 0, err
			}
			for _, info := range infos {
				if slices.Contains(listed, info.EType) {
					return info.EType, nil
				}
			}
		}
	}
	return 0, errors.New("the KDC names no encryption type that this client has a key for")
}
