package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Keys of the requests that open a connection.
const (
	keyMetadata     = 3
	keyHandshake    = 17
	keyVersions     = 18
	keyAuthenticate = 36
)

// maxGreeting bounds an answer of the authentication; tickets have some tens of
// kilobytes.
const maxGreeting = 1 << 20

// opening is a connection that looks at how it is opened: at the answers of the
// authentication, which comes back later where sessions end, and at what a listener
// of another security protocol answers. The client has these too, but neither names
// the broker with them nor tells them apart.
//
// The client writes a request by one call of Write, and during the authentication
// reads its answer before it writes another one.
type opening struct {
	net.Conn
	access *access
	broker string
	leave  func() // gives up the turn at the gate

	mu      sync.Mutex
	asked   int16  // the key of the last request, while that matters
	version int16  // of the same
	watched bool   // answers are looked at
	known   bool   // the broker has answered, or let the client in
	begun   bool   // some byte has come
	answer  []byte // what is looked at and not yet read by the client
}

// Write looks at which request it is.
func (o *opening) Write(b []byte) (int, error) {
	if len(b) >= 8 {
		o.mu.Lock()
		o.asked, o.version = int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))
		authenticating := o.asked == keyHandshake || o.asked == keyAuthenticate
		passed := !o.known && o.asked != keyVersions && !authenticating && o.access.mechanism != nil
		if passed {
			o.known = true
		}
		o.watched = authenticating || !o.known
		o.mu.Unlock()
		if passed {
			o.pass()
		}
	}
	return o.Conn.Write(b)
}

// pass tells that the broker takes this client.
func (o *opening) pass() {
	o.access.accept(o.broker)
	o.leave()
}

// Read gives answers once they have been looked at.
func (o *opening) Read(b []byte) (int, error) {
	o.mu.Lock()
	watched, asked := o.watched || len(o.answer) > 0, o.asked
	o.mu.Unlock()
	if !watched {
		return o.Conn.Read(b)
	}
	if asked == keyHandshake || asked == keyAuthenticate {
		return o.readAnswer(b)
	}
	n, err := o.Conn.Read(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	first := !o.begun
	if n > 0 {
		o.begun = true
		if first && o.access.files == nil && n >= 2 && b[0] == 0x15 && b[1] == 3 {
			return 0, o.access.refuse(o.broker, o.speaksTLS(Lasting))
		}
		if asked != keyVersions {
			o.known, o.watched = true, false
			defer o.pass()
		}
		return n, err
	}
	if refused := o.explain(err, first, asked); refused != nil {
		return n, o.access.refuse(o.broker, refused).dialed()
	}
	return n, err
}

// readAnswer takes a whole answer of the authentication.
func (o *opening) readAnswer(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.answer) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(o.Conn, size[:]); err != nil {
			return 0, err
		}
		length := binary.BigEndian.Uint32(size[:])
		if length > maxGreeting {
			return 0, fmt.Errorf("connecting to Kafka broker %s: an answer of %d bytes to the authentication", o.broker, length)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(o.Conn, body); err != nil {
			return 0, err
		}
		if err := o.judge(body); err != nil {
			return 0, err
		}
		o.answer = append(size[:], body...)
	}
	n := copy(b, o.answer)
	o.answer = o.answer[n:]
	return n, nil
}

// judge looks whether an answer of the authentication is a refusal, or none that could
// be read.
func (o *opening) judge(body []byte) error {
	answer, err := readGreeting(o.asked, o.version, body)
	if err != nil {
		return fmt.Errorf("connecting to Kafka broker %s: %w", o.broker, err)
	}
	switch {
	case answer.code == 0:
		return nil
	case o.asked == keyHandshake:
		return o.access.refuse(o.broker, o.notOffered(answer))
	}
	refused := o.notTaken(answer)
	if o.access.security.Mechanism == GSSAPI {
		// The key distribution center has accepted us: it is about this broker's
		// own key, and others may have a better one.
		return o.access.refuse(o.broker, refused)
	}
	return o.access.refuseCredentials(o.broker, refused)
}

func (o *opening) notOffered(answer greeting) *RefusedError {
	s := o.access.security
	err := kerr.ErrorForCode(answer.code)
	switch answer.code {
	case kerr.UnsupportedSaslMechanism.Code:
		return &RefusedError{
			Broker: o.broker, Key: "sasl.mechanism", Verdict: Lasting, Err: err,
			What:   fmt.Sprintf("it takes %s, and sasl.mechanism is %s", oneLine(strings.Join(answer.mechanisms, ", ")), s.Mechanism),
			Remedy: "write one that it takes, with what belongs to it, or enable " + s.Mechanism + " at the brokers",
		}
	case kerr.IllegalSaslState.Code:
		return &RefusedError{
			Broker: o.broker, Key: "security.protocol", Verdict: Lasting, Err: err,
			What:   "this listener takes no SASL, and security.protocol is " + s.Protocol,
			Remedy: "write security.protocol: " + protocolWith(s.encrypted(), false) + ", or name a listener with SASL in bootstrap.servers",
		}
	}
	return &RefusedError{Broker: o.broker, Key: "sasl.mechanism", What: "it doesn't begin the authentication: " + err.Error(), Remedy: "look at the broker's log", Err: err}
}

// notTaken is a refusal of the credentials. The broker's words are meant for
// clients (KIP-152).
func (o *opening) notTaken(answer greeting) *RefusedError {
	refused := o.access.mechanism.refused(o.broker)
	refused.Broker, refused.Err = o.broker, kerr.ErrorForCode(answer.code)
	if answer.said != "" {
		refused.What += " (" + oneLine(answer.said) + ")"
	}
	return refused
}

// explain makes sense of a connection that ends before its first answer; nil if
// there is none to be made. Once a broker was reached, one that closes a connection
// is about to stop.
func (o *opening) explain(err error, first bool, asked int16) *RefusedError {
	s := o.access.security
	if refused := explainAlert(s, err); refused != nil {
		return refused
	}
	if !errors.Is(err, io.EOF) || o.access.gate.reached() {
		return nil
	}
	switch {
	case first && asked == keyVersions && !s.encrypted():
		return o.speaksTLS(Unclear)
	case asked != keyVersions && !s.sasl():
		return &RefusedError{
			Broker: o.broker, Key: "security.protocol", Verdict: Unclear, Err: err,
			What:   "it closes the connection at the first request, as a listener with SASL does, and security.protocol is " + protocolWith(s.encrypted(), false),
			Remedy: "write security.protocol: " + protocolWith(s.encrypted(), true) + " with a sasl.mechanism, or name a listener without SASL in bootstrap.servers",
		}
	}
	return nil
}

func (o *opening) speaksTLS(verdict Verdict) *RefusedError {
	sasl := o.access.security.sasl()
	what := "this listener speaks TLS"
	if verdict == Unclear {
		what = "it closes the connection at the first request, as a listener with TLS does"
	}
	return &RefusedError{
		Broker: o.broker, Key: "security.protocol", Verdict: verdict,
		What:   what + ", and security.protocol is " + protocolWith(false, sasl),
		Remedy: "write security.protocol: " + protocolWith(true, sasl) + ", or name a listener without TLS in bootstrap.servers",
	}
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// oneLine keeps what others say from breaking a log's line, filling a page, or steering
// the terminal that shows it.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// Close gives the turn up as well: the attempt has ended, whatever it was.
func (o *opening) Close() error {
	o.leave()
	return o.Conn.Close()
}
