package kafka

import (
	"context"
	"crypto/x509"
	"errors"
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
	// refused says what it means that a broker doesn't take what was shown. It comes
	// back with something else if it can.
	refused() *RefusedError
}

// newMechanism gives the mechanism that s names. roots are the authorities that
// others than brokers are checked against; nil: the system's.
func newMechanism(s Security, roots func() *x509.CertPool, logger hclog.Logger) mechanism {
	switch s.Mechanism {
	case ScramSHA256:
		return withPassword{bounded{scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism()}, s.Username}
	case ScramSHA512:
		return withPassword{bounded{scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism()}, s.Username}
	case OAuthBearer:
		return &bearer{tokens: newTokens(s.OAuth, roots, logger), extensions: s.OAuth.Extensions}
	default:
		return withPassword{plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism(), s.Username}
	}
}

// withPassword is a mechanism by user and password.
type withPassword struct {
	sasl.Mechanism
	user string
}

func (withPassword) ready(context.Context, string) error { return nil }

func (m withPassword) refused() *RefusedError {
	return &RefusedError{
		Key: "sasl.password", Verdict: Lasting,
		What:   "it doesn't take the user " + strconv.Quote(m.user) + " with the password given, by " + m.Name(),
		Remedy: "correct sasl.username or sasl.password and start the worker anew, or give the user this password at the brokers",
	}
}

// bounded keeps whoever answers at a broker's address from making this program
// compute for hours: rounds of SCRAM are what the other side says they are.
type bounded struct{ sasl.Mechanism }

// mostRounds is far above the 16384 that Kafka's own servers take at most.
const mostRounds = 1 << 20

// Authenticate begins the exchange.
func (b bounded) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := b.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	return boundedSession{session}, first, nil
}

type boundedSession struct{ sasl.Session }

// Challenge looks at the number of rounds, which the first answer has.
func (b boundedSession) Challenge(answer []byte) (bool, []byte, error) {
	for part := range strings.SplitSeq(string(answer), ",") {
		if rounds, found := strings.CutPrefix(part, "i="); found {
			if n, err := strconv.Atoi(rounds); err != nil || n > mostRounds {
				return false, nil, errors.New("the broker asks for an impossible number of rounds of SCRAM")
			}
		}
	}
	return b.Session.Challenge(answer)
}
