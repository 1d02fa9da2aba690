package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// mechanism proves who this program is.
type mechanism interface {
	sasl.Mechanism
	// ready gets what a connection to the broker will need.
	ready(ctx context.Context, broker string) error
	// refused says what it means that the broker doesn't take what was shown. The next
	// time it is something else if there is any.
	refused(broker string) *RefusedError
	// askAgain ends pauses after who gives credentials has refused, or was away.
	askAgain()
}

// newMechanism gives the mechanism that s names. tell notes what this side refuses of
// a broker. roots are the authorities that others than brokers are checked against;
// nil: the system's.
func newMechanism(s Security, tell func(broker string, r *RefusedError) *RefusedError, roots func() *x509.CertPool, logger hclog.Logger) mechanism {
	switch auth := (scram.Auth{User: s.Username, Pass: s.Password.Reveal()}); s.Mechanism {
	case ScramSHA256:
		return withPassword{checked{auth.AsSha256Mechanism(), tell}, s.Username}
	case ScramSHA512:
		return withPassword{checked{auth.AsSha512Mechanism(), tell}, s.Username}
	case GSSAPI:
		return newKerberos(s.Kerberos, tell, logger)
	case OAuthBearer:
		return &bearer{tokens: newTokens(s.OAuth, roots, logger), extensions: s.OAuth.Extensions}
	default:
		return withPassword{plain.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsMechanism(), s.Username}
	}
}

// withPassword is a mechanism by user and password.
type withPassword struct {
	sasl.Mechanism
	user string
}

func (withPassword) ready(context.Context, string) error { return nil }

func (withPassword) askAgain() {} // nobody else is asked

func (m withPassword) refused(string) *RefusedError {
	return &RefusedError{
		Key: "sasl.password", Verdict: Lasting,
		What:   fmt.Sprintf("it doesn't take the user %q with the password given, by %s", m.user, m.Name()),
		Remedy: "correct sasl.username or sasl.password and start the worker anew, or give the user this password at the brokers",
	}
}

// checked is SCRAM, by which brokers prove that they know the password too.
type checked struct {
	sasl.Mechanism
	tell func(broker string, r *RefusedError) *RefusedError
}

// mostRounds is far above the 16384 that Kafka's own servers take at most. It keeps
// whoever answers at a broker's address from making this program compute for hours:
// rounds of SCRAM are what the other side says they are.
const mostRounds = 1 << 20

// Authenticate begins the exchange.
func (c checked) Authenticate(ctx context.Context, broker string) (sasl.Session, []byte, error) {
	session, first, err := c.Mechanism.Authenticate(ctx, broker)
	if err != nil {
		return nil, nil, err
	}
	return checkedSession{session, c, broker}, first, nil
}

type checkedSession struct {
	sasl.Session
	of     checked
	broker string
}

// Challenge answers the broker, and says so if it can't be the one meant.
func (s checkedSession) Challenge(answer []byte) (bool, []byte, error) {
	var err error
	for part := range strings.SplitSeq(string(answer), ",") {
		if rounds, found := strings.CutPrefix(part, "i="); found {
			if n, parsed := strconv.Atoi(rounds); parsed != nil || n > mostRounds {
				err = errors.New("an impossible number of rounds")
			}
		}
	}
	var done bool
	var out []byte
	if err == nil {
		done, out, err = s.Session.Challenge(answer)
	}
	if err != nil {
		return false, nil, s.of.tell(s.broker, &RefusedError{
			Key: "sasl.mechanism", Verdict: Passing, Err: err,
			What:   "it doesn't prove by " + s.of.Name() + " that it knows the password",
			Remedy: "look whether bootstrap.servers and advertised.listeners lead to the brokers, and at the broker's log",
		})
	}
	return done, out, nil
}
