package kafka

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// OAuth says where tokens for OAUTHBEARER come from.
type OAuth struct {
	// Endpoint is the URL of an identity provider's token endpoint, or file:// and
	// the path of a file that something else keeps filled with a token.
	Endpoint string
	// ClientID, ClientSecret and Scope are what the endpoint is asked with, by the
	// grant of client credentials (RFC 6749 4.4). Scope may be empty.
	ClientID, Scope string
	ClientSecret    secret.Text
	// Extensions are sent to brokers with the token, see JoinExtensions.
	Extensions string
}

// bearer is the mechanism OAUTHBEARER (RFC 7628).
type bearer struct {
	tokens     *tokens
	extensions string
}

// Name is the mechanism's.
func (*bearer) Name() string { return OAuthBearer }

// Authenticate begins with the token.
func (b *bearer) Authenticate(ctx context.Context, _ string) (sasl.Session, []byte, error) {
	token, err := b.tokens.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	// No channel binding, and no other name than the token's.
	first := "n,,\x01auth=Bearer " + token + "\x01"
	if b.extensions != "" {
		first += b.extensions + "\x01"
	}
	return &bearerSession{}, []byte(first + "\x01"), nil
}

// JoinExtensions is what OAuth.Extensions takes.
func JoinExtensions(extensions []string) string { return strings.Join(extensions, "\x01") }

var extensionForm = regexp.MustCompile(`^[A-Za-z]+=[\x21-\x7e \t\r\n]+$`)

// ValidExtension tells whether an extension is name=value as RFC 7628 (3.1) has it.
func ValidExtension(text string) bool {
	return extensionForm.MatchString(text) && !strings.HasPrefix(text, "auth=")
}

func (b *bearer) ready(ctx context.Context, _ string) error {
	_, err := b.tokens.get(ctx)
	return err
}

func (b *bearer) askAgain() { b.tokens.askAgain() }

func (b *bearer) refused(string) *RefusedError { return b.tokens.refused() }

// bearerSession is one exchange. A broker that doesn't take the token says so in
// its answer, and once more, as an error, after a last message of the client.
type bearerSession struct{ told bool }

// Challenge answers the broker.
func (s *bearerSession) Challenge(answer []byte) (bool, []byte, error) {
	switch {
	case s.told:
		return false, nil, errors.New("the broker goes on after it has refused the token")
	case len(answer) == 0:
		return true, nil, nil
	}
	s.told = true
	return false, []byte{1}, nil
}
