package kafka

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// newMechanism gives what proves who this program is.
func newMechanism(s Security) sasl.Mechanism {
	switch s.Mechanism {
	case ScramSHA256:
		return bounded{scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism()}
	case ScramSHA512:
		return bounded{scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism()}
	default:
		return plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism()
	}
}

// refusal is what it means that a broker doesn't take the credentials.
func (s Security) refusal() *RefusedError {
	return &RefusedError{
		Key: "sasl.password", Verdict: Lasting,
		What:   "it doesn't take the user " + strconv.Quote(s.Username) + " with the password given, by " + s.Mechanism,
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
