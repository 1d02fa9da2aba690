package kerberos

import (
	"context"
	"fmt"
	"strings"
)

// layerNone is the choice of no protection of what follows the authentication.
const layerNone = 1

// Session is one authentication by SASL's GSSAPI (RFC 4752 3.1) for servers that
// carry its messages otherwise than Kudu's, and go on without a security layer.
type Session struct {
	round   int
	context *initiator
}

// Format keeps the session's keys from being printed.
func (s *Session) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%v in round %d", s.context, s.round)
}

// Begin gets a ticket for the service on the host and gives the first message.
func (l *Login) Begin(ctx context.Context, host string) (*Session, []byte, error) {
	t, id, err := l.ticketFor(ctx, strings.ToLower(host))
	if err != nil {
		return nil, nil, err
	}
	context, token, err := newInitiator(t, id)
	if err != nil {
		return nil, nil, err
	}
	return &Session{context: context}, token, nil
}

// Next takes the server's message and gives the answer to it; last says that it is
// the last one. The server has proved its identity by then.
func (s *Session) Next(in []byte) (out []byte, last bool, err error) {
	s.round++
	switch s.round {
	case 1:
		if err := s.context.establish(in); err != nil {
			return nil, false, fmt.Errorf("%w: %w", ErrServer, err)
		}
		return []byte{}, false, nil
	case 2:
		offer, err := s.context.unwrap(in)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", ErrServer, err)
		}
		if len(offer) != 4 || offer[0]&layerNone == 0 {
			return nil, false, fmt.Errorf("%w: it wants a security layer, which is left to TLS here (% x)", ErrServer, offer)
		}
		// No further name: the server takes the ticket's. Without a layer the greatest
		// size is 0.
		token, err := s.context.wrap([]byte{layerNone, 0, 0, 0})
		return token, true, err
	}
	return nil, false, fmt.Errorf("%w: it asks for a further round", ErrServer)
}
