package kerberos

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/messages"
)

var (
	// ErrCredentials tells that the credentials, or the configuration of
	// Kerberos, don't serve. Somebody must act.
	ErrCredentials = errors.New("no Kerberos ticket")
	// errUnknownService is the case of a server that the KDC doesn't know: there
	// is nothing wrong with the client's own credentials.
	errUnknownService = fmt.Errorf("%w", ErrCredentials)
	// ErrUnreachable tells that no KDC answers. It passes.
	ErrUnreachable = errors.New("no Kerberos KDC answers")
	// ErrServer tells that the server's answers don't prove that it is the one that the
	// ticket is for, or that nobody is in between.
	ErrServer = errors.New("the server did not prove its identity by Kerberos")
)

// refusals are what a KDC's errors mean to who set up the client. %s is the
// principal, or the service for those of services.
var refusals = map[int32]string{
	errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN: "the KDC doesn't know the principal %s",
	errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN: "the KDC doesn't know the service %s: servers must be addressed by the names that their principals have",
	errorcode.KDC_ERR_NAME_EXP:            "the principal %s has expired",
	errorcode.KDC_ERR_CLIENT_REVOKED:      "the KDC has locked or revoked the principal %s",
	errorcode.KDC_ERR_KEY_EXPIRED:         "the password of %s has expired",
	errorcode.KDC_ERR_PREAUTH_FAILED:      "wrong password or keytab for %s",
	errorcode.KRB_AP_ERR_BAD_INTEGRITY:    "wrong password or keytab for %s",
	errorcode.KDC_ERR_ETYPE_NOSUPP:        "the KDC takes none of the encryption types that this client has for %s",
	errorcode.KRB_AP_ERR_SKEW:             "the clocks of this machine and the KDC differ too much to get a ticket for %s: synchronize them",
	errorcode.KDC_ERR_WRONG_REALM:         "the KDC isn't one of the realm of %s",
	errorcode.KRB_AP_ERR_TKT_EXPIRED:      "the ticket for %s has expired",
}

// refusal makes an error of what a KDC answered about the principal.
func refusal(about string, answer messages.KRBError) error {
	text, known := refusals[answer.ErrorCode]
	if !known {
		return fmt.Errorf("%w: the KDC refuses %s: %s", ErrCredentials, about, errorcode.Lookup(answer.ErrorCode))
	}
	kind := ErrCredentials
	if answer.ErrorCode == errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN {
		kind = errUnknownService
	}
	// "(24) KDC_ERR_PREAUTH_FAILED Pre-authentication information was invalid"
	name := strings.Fields(errorcode.Lookup(answer.ErrorCode))[1]
	return fmt.Errorf("%w: "+text+" (%s)", kind, about, name)
}

// guard runs what gokrb5 does with bytes from elsewhere, and makes errors of
// its panics: its decoders of tickets, caches and keytabs trust lengths.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed Kerberos message: %v", p)
		}
	}()
	return do()
}
