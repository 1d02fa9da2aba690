package kafka

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// wantPresentable fails unless an error is one line of bounded length, without
// characters that a terminal acts on, and without the password.
func wantPresentable(t *testing.T, err error) {
	t.Helper()
	const most = 4 << 10
	text := err.Error()
	if len(text) > most || strings.Contains(text, testPassword) || strings.ContainsRune(text, unicode.ReplacementChar) ||
		strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("the error is %.300q, of %d bytes", text, len(text))
	}
}

// scripted is a broker's end of a connection: it says what it likes, in pieces.
type scripted struct {
	net.Conn
	said  *bytes.Reader
	piece int
}

func (s *scripted) Read(b []byte) (int, error) {
	return s.said.Read(b[:min(len(b), s.piece)])
}
func (s *scripted) Write(b []byte) (int, error) { return len(b), nil }
func (s *scripted) Close() error                { return nil }

// answerOf frames an answer as a broker does.
func answerOf(r kmsg.Response) []byte {
	head := 4
	if r.IsFlexible() {
		head++
	}
	body := r.AppendTo(make([]byte, 4+head))
	binary.BigEndian.PutUint32(body, uint32(len(body)-4))
	return body
}

// FuzzOpening has the fuzzer play a broker in the first requests of a connection. What
// it says comes to the client unchanged, or is refused by an error that can be shown.
func FuzzOpening(f *testing.F) {
	versions, handshake, authenticate := kmsg.NewPtrApiVersionsResponse(), kmsg.NewPtrSASLHandshakeResponse(), kmsg.NewPtrSASLAuthenticateResponse()
	handshake.SetVersion(1)
	authenticate.SetVersion(2)
	handshake.SupportedMechanisms = []string{Plain, GSSAPI}
	sound := bytes.Join([][]byte{answerOf(versions), answerOf(handshake), answerOf(authenticate)}, nil)
	// A step is the kind of request (0 to 3) and its version above that.
	steps := []byte{0, 1<<2 | 1, 2<<2 | 2, 3}
	f.Add(steps, sound, byte(0), byte(255))
	f.Add(steps, sound, byte(4), byte(1))
	handshake.ErrorCode, handshake.SupportedMechanisms = kerr.UnsupportedSaslMechanism.Code, []string{"ONE\nTWO", "\x1b[2J", strings.Repeat("x", 5000)}
	f.Add([]byte{1<<2 | 1}, answerOf(handshake), byte(1), byte(7))
	handshake.ErrorCode = kerr.IllegalSaslState.Code
	f.Add([]byte{1<<2 | 1}, answerOf(handshake), byte(2), byte(7))
	authenticate.ErrorCode, authenticate.ErrorMessage = kerr.SaslAuthenticationFailed.Code, new("no\r\n\x1b]0;owned\a\xff"+strings.Repeat("y ", 500))
	f.Add([]byte{2<<2 | 2}, answerOf(authenticate), byte(0), byte(255))
	f.Add([]byte{2<<2 | 2}, answerOf(authenticate), byte(4), byte(255))
	// More tags than there are bytes, in the header and behind the fields.
	f.Add([]byte{2<<2 | 2}, []byte{0, 0, 0, 11, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}, byte(0), byte(255))
	f.Add([]byte{2<<2 | 2}, []byte{0, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, byte(0), byte(255))
	f.Add([]byte{0}, []byte{0x15, 3, 3, 0, 2, 2, 70}, byte(0), byte(255))
	f.Add([]byte{1<<2 | 1}, []byte{0xff, 0xff, 0xff, 0xff, 0}, byte(0), byte(255))
	f.Add([]byte{1<<2 | 1}, []byte{0, 0x10, 0, 0, 0}, byte(0), byte(255))

	f.Fuzz(func(t *testing.T, steps, said []byte, mechanism, piece byte) {
		s := Security{Protocol: SASLPlaintext, Mechanism: []string{Plain, ScramSHA256, ScramSHA512, OAuthBearer, GSSAPI}[mechanism%5], Username: testUser, Password: secret.New(testPassword)}
		s.OAuth = OAuth{Endpoint: "file:///nowhere", ClientSecret: secret.New(testPassword)}
		s.Kerberos = Kerberos{Service: "kafka", Principal: "a@B", Password: secret.New(testPassword)}
		if mechanism >= 128 {
			s = Security{}
		}
		broker := &scripted{said: bytes.NewReader(said), piece: int(piece) + 1}
		left := false
		o := &opening{Conn: broker, access: newAccess(s, hclog.NewNullLogger()), broker: "b:9092", leave: func() { left = true }}
		var got []byte
		buffer := make([]byte, int(piece)%97+1)
		for _, step := range steps[:min(len(steps), 8)] {
			if s.Mechanism == "" && step&3 != 0 {
				step |= 3 // without SASL a client begins with metadata
			}
			request := make([]byte, 12)
			binary.BigEndian.PutUint16(request[4:], []uint16{keyVersions, keyHandshake, keyAuthenticate, keyMetadata}[step&3])
			binary.BigEndian.PutUint16(request[6:], uint16(step>>2))
			if _, err := o.Write(request); err != nil {
				t.Fatal(err)
			}
			for more := true; more; {
				n, err := o.Read(buffer)
				got = append(got, buffer[:n]...)
				if err != nil {
					wantPresentable(t, err)
					if refused := Refused(err); refused != nil && n > 0 {
						t.Errorf("%d bytes were given along with %v", n, err)
					}
					if len(o.answer) > 0 {
						t.Error("an answer is kept behind an error")
					}
					more, steps = false, nil
				}
				more = more && len(o.answer) > 0
			}
			if len(steps) == 0 {
				break
			}
		}
		if !bytes.HasPrefix(said, got) {
			t.Errorf("the client gets % x of % x", got, said)
		}
		_ = o.Close()
		if !left {
			t.Error("the turn isn't given up")
		}
	})
}

// FuzzSASL has the fuzzer play a broker that doesn't know the password: whatever it
// answers, it is never taken for one that has proved by SCRAM that it does.
func FuzzSASL(f *testing.F) {
	path := filepath.Join(f.TempDir(), "token")
	if err := os.WriteFile(path, []byte("a.b.c"), 0o600); err != nil {
		f.Fatal(err)
	}
	salt := base64.StdEncoding.EncodeToString([]byte("salt"))
	for i, rounds := range []string{"4096", "1", "0", "-1", "1048577", "99999999999999999999", "+4096", "4096,i=2000000000"} {
		f.Add(byte(i), "r=NONCEbroker,s="+salt+",i="+rounds, "v="+salt)
	}
	f.Add(byte(0), "e=other-error", "")
	f.Add(byte(1), "r=NONCE,s=,i=4096", "v=")
	f.Add(byte(2), `{"status":"invalid_token"}`, "")
	f.Add(byte(2), "", "")
	f.Fuzz(func(t *testing.T, mechanism byte, first, second string) {
		s := Security{Protocol: SASLPlaintext, Mechanism: []string{ScramSHA256, ScramSHA512, OAuthBearer}[mechanism%3], Username: testUser, Password: secret.New(testPassword)}
		scram := s.Mechanism != OAuthBearer
		if !scram {
			s.OAuth.Endpoint = "file://" + path
		}
		tell := func(_ string, r *RefusedError) *RefusedError { return r }
		session, hello, err := newMechanism(s, tell, systemRoots, hclog.NewNullLogger()).Authenticate(t.Context(), "b:9092")
		if err != nil {
			t.Fatal(err)
		}
		if scram {
			_, nonce, _ := strings.Cut(string(hello), ",r=")
			first = strings.ReplaceAll(first, "NONCE", nonce)
		}
		began := time.Now()
		for round, answer := range []string{first, second, second} {
			done, out, err := session.Challenge([]byte(answer))
			if err != nil {
				wantPresentable(t, err)
				break
			}
			if bytes.Contains(out, []byte(testPassword)) {
				t.Errorf("the password is sent: %q", out)
			}
			if done && (scram || round > 0 || answer != "") {
				t.Fatalf("%s is content with %q and then %q", s.Mechanism, first, second)
			}
			if done {
				break
			}
		}
		// mostRounds take about half a second.
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// FuzzTokens has the fuzzer play a token endpoint, and who writes a file of tokens.
func FuzzTokens(f *testing.F) {
	claims := func(exp string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":`+exp+`}`)) + ".c2ln"
	}
	for _, life := range []string{"100", "0", "-5", "1e300", "9e9", "3e9", "1e-300", `"100"`, "null"} {
		f.Add(http.StatusOK, []byte(`{"access_token":"token","token_type":"Bearer","expires_in":`+life+`}`))
	}
	for _, exp := range []string{"1", "1e12", "9e99", "-1", fmt.Sprint(math.MaxInt64)} {
		f.Add(http.StatusOK, []byte(`{"access_token":"`+claims(exp)+`"}`))
		f.Add(http.StatusOK, []byte(claims(exp)))
	}
	f.Add(http.StatusOK, []byte(`{"access_token":"a\u0001auth=b"}`))
	f.Add(http.StatusOK, []byte("<html>"))
	f.Add(http.StatusUnauthorized, []byte(`{"error":"invalid_client","error_description":"no\n\u001b[2J"}`))
	f.Add(http.StatusUnauthorized, []byte(`{"error":"`+strings.Repeat("é", 400)+`"}`))
	f.Add(http.StatusServiceUnavailable, []byte{0xff})
	path := filepath.Join(f.TempDir(), "token")
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		from := OAuth{Endpoint: "https://idp.example.org/token?key=" + testPassword, ClientID: "me", ClientSecret: secret.New(testPassword)}
		tokens := newTokens(from, systemRoots, hclog.NewNullLogger())
		token, life, err := tokens.read(status, body)
		if err != nil {
			wantPresentable(t, err)
		} else if life <= 0 || !tokenForm.MatchString(token) || status >= 300 {
			t.Errorf("status %d and %q give %q for %v", status, body, token, life)
		}
		if got, failed := tokens.settle(token, life, err); got != token || (failed == nil) != (err == nil) {
			t.Errorf("settled as %q: %v", got, failed)
		}
		if kept, _ := tokens.kept(); life > time.Minute && kept != token {
			t.Errorf("a token for %v isn't kept", life)
		}

		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := readToken(path); err == nil && !tokenForm.MatchString(token) {
			t.Errorf("the file gives %q", token)
		} else if err != nil {
			wantPresentable(t, errors.New(strings.ReplaceAll(err.Error(), path, "")))
		}
		if ends := expiryOf(string(body)); !ends.IsZero() && ends.Year() < 1970 {
			t.Errorf("it expires %v", ends)
		}
	})
}

// FuzzPEM has the fuzzer write the files of keys and certificates.
func FuzzPEM(f *testing.F) {
	cert, key := testdata(f, "cert.pem"), testdata(f, "plain.key")
	f.Add(cert, key)
	f.Add(cert+cert, testdata(f, "keystore.pem"))
	f.Add(cert[:len(cert)/2], key)
	f.Add(cert+cert[:len(cert)/2], key)
	f.Add(cert+"-----BEGIN", key[:len(key)/2])
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key)
	f.Fuzz(func(t *testing.T, chain, private string) {
		m, fault := TLS{Trusted: chain, Chain: chain, Key: secret.New(private), KeyPassword: secret.New(storePassword)}.read()
		switch {
		case fault != nil:
			wantPresentable(t, fault)
		case chain != "" && len(m.trusted) == 0:
			t.Error("no certificate is read of a text that has some")
		case chain != "" && private != "" && (m.own == nil || m.own.PrivateKey == nil):
			t.Error("there is no key")
		}
	})
}
