package kafka

import (
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAnswersOfTheAuthenticationAreReadInAllVersions(t *testing.T) {
	said, nothing := "wrong password", ""
	tag := kmsg.Tags{}
	tag.Set(7, []byte("later"))
	for version := range int16(3) {
		for _, want := range []greeting{{}, {code: kerr.SaslAuthenticationFailed.Code, said: said}, {code: kerr.SaslAuthenticationFailed.Code}} {
			for _, token := range [][]byte{nil, []byte("token")} {
				r := kmsg.NewPtrSASLAuthenticateResponse()
				r.SetVersion(version)
				r.ErrorCode, r.SASLAuthBytes, r.SessionLifetimeMillis, r.UnknownTags = want.code, token, 1<<40, tag
				if want.said != "" {
					r.ErrorMessage = &said
				} else if token != nil {
					r.ErrorMessage = &nothing
				}
				if got, err := readGreeting(keyAuthenticate, version, answerOf(r)[4:]); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("version %d: %+v, %v, want %+v", version, got, err, want)
				}
			}
		}
	}
	for version := range int16(2) {
		for _, want := range []greeting{{}, {mechanisms: []string{Plain}}, {code: kerr.UnsupportedSaslMechanism.Code, mechanisms: []string{Plain, "", GSSAPI}}} {
			r := kmsg.NewPtrSASLHandshakeResponse()
			r.SetVersion(version)
			r.ErrorCode, r.SupportedMechanisms = want.code, want.mechanisms
			if got, err := readGreeting(keyHandshake, version, answerOf(r)[4:]); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("version %d: %+v, %v, want %+v", version, got, err, want)
			}
		}
	}
	// The newest versions that the client knows are those that are read.
	if a, b := kmsg.NewPtrSASLAuthenticateRequest().MaxVersion(), kmsg.NewPtrSASLHandshakeRequest().MaxVersion(); a != 2 || b != 1 {
		t.Errorf("the client speaks SaslAuthenticate up to version %d and SaslHandshake up to %d", a, b)
	}
}

func TestAnswerThatIsCutOffIsNoAnswer(t *testing.T) {
	for version := range int16(3) {
		r := kmsg.NewPtrSASLAuthenticateResponse()
		r.SetVersion(version)
		r.SASLAuthBytes = []byte("token")
		whole := answerOf(r)[4:]
		for n := range whole {
			if got, err := readGreeting(keyAuthenticate, version, whole[:n]); !errors.Is(err, errGreeting) {
				t.Errorf("version %d, %d of %d bytes: %+v, %v", version, n, len(whole), got, err)
			}
		}
	}
}
