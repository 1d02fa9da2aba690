package kerberos

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// maxReferrals bounds the realms on the way to a service.
const maxReferrals = 8

const krbtgt = "krbtgt"

// service gets a ticket for the service on the host by the client's
// ticket-granting ticket, by way of other realms if the service's is another:
// the one that krb5.conf's [domain_realm] names for the host, or else the one
// that the KDCs name (RFC 6806).
func (k *kdcs) service(ctx context.Context, id *identity, service, host string) (*ticket, error) {
	name := serviceName(service, host)
	about, realm, tgt := name.PrincipalNameString(), id.realm, id.tgt
	there := k.conf.ResolveRealm(host)
	for range maxReferrals {
		ask := name
		if there != "" && realm != there {
			ask = types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{krbtgt, there}}
		}
		answer, err := k.exchange(ctx, id, realm, tgt, ask, about)
		if err != nil {
			return nil, err
		}
		got := answer.DecryptedEncPart.SName.NameString
		switch {
		case slices.Equal(got, name.NameString):
			return newTicket(answer.Ticket, answer.DecryptedEncPart), nil
		case len(got) == 2 && got[0] == krbtgt && got[1] != realm:
			realm, tgt = got[1], newTicket(answer.Ticket, answer.DecryptedEncPart)
		default:
			return nil, fmt.Errorf("%w: the KDC gave a ticket for %q instead of %s", ErrCredentials, got, about)
		}
	}
	return nil, fmt.Errorf("%w: more than %d realms lie on the way to %s", ErrCredentials, maxReferrals, about)
}

// exchange asks a realm's ticket-granting service for one ticket. about is the
// service that it is to lead to.
func (k *kdcs) exchange(ctx context.Context, id *identity, realm string, tgt *ticket, ask types.PrincipalName, about string) (*messages.TGSRep, error) {
	conf := *k.conf
	// Without it a KDC refuses services of other realms, instead of naming one.
	conf.LibDefaults.Canonicalize = true
	request, err := messages.NewTGSReq(id.name, realm, &conf, tgt.Ticket, tgt.key, ask, false)
	if err == nil && tgt.Realm != id.realm {
		err = prove(&request, id, tgt)
	}
	var b []byte
	if err == nil {
		b, err = request.Marshal()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: asking for one for %s: %w", ErrCredentials, about, err)
	}
	b, err = k.send(ctx, realm, b)
	var refused messages.KRBError
	switch {
	case errors.As(err, &refused) && ask.NameString[0] == krbtgt && refused.ErrorCode == errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN:
		return nil, fmt.Errorf("%w: the KDC of realm %s knows no way to realm %s, which krb5.conf's [domain_realm] names for %s",
			errUnknownService, realm, ask.NameString[1], about)
	case errors.As(err, &refused):
		return nil, refusal(about+" in realm "+realm, refused)
	case err != nil:
		return nil, err
	}
	answer := &messages.TGSRep{}
	err = guard(func() error {
		if err := answer.Unmarshal(b); err != nil {
			return err
		}
		if err := answer.DecryptEncPart(tgt.key); err != nil {
			return err
		}
		_, err := answer.Verify(&conf, request)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: the KDC's answer for %s isn't valid: %w", ErrCredentials, about, err)
	}
	return answer, nil
}

// prove replaces the proof of a request: gokrb5 takes the realm that issued the
// ticket-granting ticket for the client's, which it isn't any more in the second
// realm on the way.
func prove(request *messages.TGSReq, id *identity, tgt *ticket) error {
	body, err := request.ReqBody.Marshal()
	if err != nil {
		return err
	}
	etype, err := crypto.GetEtype(tgt.key.KeyType)
	if err != nil {
		return err
	}
	sum, err := etype.GetChecksumHash(tgt.key.KeyValue, body, keyusage.TGS_REQ_PA_TGS_REQ_AP_REQ_AUTHENTICATOR_CHKSUM)
	if err != nil {
		return err
	}
	asked, err := types.NewAuthenticator(id.realm, id.name)
	if err != nil {
		return err
	}
	asked.Cksum = types.Checksum{CksumType: etype.GetHashID(), Checksum: sum}
	proof, err := messages.NewAPReq(tgt.Ticket, tgt.key, asked)
	if err != nil {
		return err
	}
	b, err := proof.Marshal()
	if err != nil {
		return err
	}
	request.PAData[0].PADataValue = b
	return nil
}

// serviceName is the principal of a server.
func serviceName(service, host string) types.PrincipalName {
	return types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{service, host}}
}
