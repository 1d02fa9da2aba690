package kafka

import (
	"context"
	"errors"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/kudu2kafka/kudu2kafka/kudu/gssapi"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// Kerberos says whose tickets GSSAPI uses, see gssapi.Config.
type Kerberos struct {
	Principal, Keytab    string
	Password             secret.Text
	Cache, Service, Conf string
}

// kerberos is the mechanism GSSAPI.
type kerberos struct {
	from   Kerberos
	tell   func(broker string, r *RefusedError) *RefusedError
	client *gssapi.Client
	fault  *RefusedError // of the configuration; then there is no client
}

func newKerberos(from Kerberos, tell func(broker string, r *RefusedError) *RefusedError, logger hclog.Logger) *kerberos {
	client, err := gssapi.NewClient(gssapi.Config(from), logger)
	k := &kerberos{from: from, tell: tell, client: client}
	if err != nil {
		k.fault = k.explain("", err)
	}
	return k
}

// Name is the mechanism's.
func (*kerberos) Name() string { return GSSAPI }

// ready has a ticket for the broker.
func (k *kerberos) ready(ctx context.Context, broker string) error {
	_, _, err := k.begin(ctx, broker)
	return err
}

func (k *kerberos) begin(ctx context.Context, broker string) (*gssapi.Session, []byte, error) {
	if k.fault != nil {
		return nil, nil, k.fault
	}
	session, first, err := k.client.Begin(ctx, broker)
	switch {
	case err == nil:
		return session, first, nil
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	}
	return nil, nil, k.explain(broker, err).dialed()
}

// Authenticate begins with the ticket.
func (k *kerberos) Authenticate(ctx context.Context, broker string) (sasl.Session, []byte, error) {
	session, first, err := k.begin(ctx, broker)
	if err != nil {
		return nil, nil, err
	}
	return &kerberosSession{k, broker, session}, first, nil
}

// explain makes a refusal of what Kerberos says.
func (k *kerberos) explain(broker string, err error) *RefusedError {
	refused := &RefusedError{Broker: broker, Key: "sasl.kerberos.principal", What: oneLine(err.Error()), Verdict: Passing, Err: err}
	switch {
	case errors.Is(err, gssapi.ErrUnreachable):
		refused.Key, refused.Verdict = "sasl.kerberos.krb5.conf", Unclear
		refused.Remedy = "start the KDC, or correct its address in krb5.conf"
	case errors.Is(err, gssapi.ErrServer):
		refused.Key = "sasl.kerberos.service.name"
		refused.Remedy = "look whether the broker's principal is " + k.from.Service + "/ and the name that it is addressed by, and at the broker's log"
	case strings.Contains(err.Error(), "KDC_ERR_S_PRINCIPAL_UNKNOWN"):
		refused.Key = "sasl.kerberos.service.name"
		refused.Remedy = "correct sasl.kerberos.service.name, or address the brokers by the names of their principals, in bootstrap.servers and advertised.listeners"
	case k.from.Keytab != "":
		refused.Key = "sasl.kerberos.keytab"
		refused.Remedy = "replace the keytab, which is read again by itself, or correct sasl.kerberos.principal"
	case !k.from.Password.Empty():
		refused.Key, refused.Verdict = "sasl.kerberos.password", Lasting
		refused.Remedy = "correct sasl.kerberos.principal or sasl.kerberos.password and start the worker anew"
	default:
		refused.Key = "sasl.kerberos.ccache"
		refused.Remedy = "have the ticket cache filled by kinit; it is read again by itself"
	}
	return refused
}

func (k *kerberos) askAgain() {
	if k.client != nil {
		k.client.AskAgain()
	}
}

func (k *kerberos) refused(broker string) *RefusedError {
	k.client.Forget(broker) // its key may be another one by now
	return &RefusedError{
		Key: "sasl.kerberos.service.name", Verdict: Passing,
		What:   "it doesn't take this program's Kerberos ticket",
		Remedy: "look whether the broker's keytab has its newest key, whether clocks differ, and at the broker's log",
	}
}

type kerberosSession struct {
	of      *kerberos
	broker  string
	session *gssapi.Session
}

// Challenge answers the broker, and makes sure that it is the one meant.
func (s *kerberosSession) Challenge(answer []byte) (bool, []byte, error) {
	out, last, err := s.session.Next(answer)
	if err != nil {
		s.of.client.Forget(s.broker)
		return false, nil, s.of.tell(s.broker, s.of.explain(s.broker, err))
	}
	return last, out, nil
}
